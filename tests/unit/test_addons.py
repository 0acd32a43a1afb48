"""Add-ons as everybody else has them: switched on, planned, started, left out, gone again."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons import ADDONS, NAMES, SECRETS
from deployctl.addons.monitored.grafana import IMAGE as GRAFANA
from deployctl.catalog import Catalog
from deployctl.cli.options import chosen
from deployctl.deploy.kept import kept_selection
from deployctl.deploy.names import ImageMode, OnFailure
from deployctl.deploy.passing import on_free_ports
from deployctl.deploy.plan import plan as planning
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError
from deployctl.model import Plan, Service, Variable
from deployctl.outcomes import Command, CommandResult
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.proved import last_proved
from deployctl.render import render
from deployctl.services.common import ADDON_LABEL, FILES_LABEL, NO_PROXIES
from deployctl.workspace import Workspace
from tests.fakes import FakeFacts, container
from tests.world import Box
from tests.yamltext import parsed

CATALOG = Catalog({"HOME": "/nonexistent"})
PROFILES = ("smoke", "smoke-vllm", "rtx3060")


def planned(*addons: str, profile: str = "smoke", sets: tuple[str, ...] = ()) -> Plan:
    selection = Selection(profile=profile, addons=addons, sets=sets)
    return build_plan(resolve(selection, CATALOG.readers()))


def services(plan: Plan) -> dict[str, Service]:
    return {service.name: service for service in plan.services}


# ── switched on ───────────────────────────────────────────────────────────────────────────────


def test_a_profile_has_none_of_them_unless_it_says_so() -> None:
    for name in CATALOG.shipped_names():
        assert planned(profile=name).addons == ()
    assert planned("cache").addons == ("cache",)
    assert planned(sets=("addons.cache.enabled=true",)).addons == ("cache",)


def test_what_is_typed_after_with_is_in_every_hint_and_set_wins_over_it() -> None:
    selection = chosen("smoke", None, None, None, ["cache, jupyter", "cache"])
    assert selection.addons == ("jupyter", "cache")
    assert selection.words == ("--profile", "smoke", "--with", "jupyter,cache")
    assert planned("cache", sets=("addons.cache.enabled=false",)).addons == ()


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("jupiter", "--with jupyter"), ("grafanaaa", f"--with {','.join(NAMES)}"), ("", "--with ")],
)
def test_a_name_that_is_none_is_a_usage_error(typed: str, hint: str) -> None:
    with pytest.raises(DeployctlError) as refused:
        chosen("smoke", None, None, None, [typed])
    (fault,) = refused.value.faults
    assert fault.code == "usage"
    assert fault.hint.startswith(hint)


@pytest.mark.parametrize(
    ("sets", "where", "hint"),
    [
        (("ports.engine=8888",), "--set ports.engine", "--set ports.engine=8889"),
        (("addons.jupyter.port=8001",), "--set addons.jupyter.port", "addons.jupyter.port=8002"),
    ],
)
def test_a_port_serves_one_of_them(sets: tuple[str, ...], where: str, hint: str) -> None:
    with pytest.raises(DeployctlError) as refused:
        planned(*NAMES, sets=sets)
    (fault,) = refused.value.faults
    assert fault.where == where or "addons.cache.port" in fault.message
    assert hint in fault.hint or "cache" in fault.message


# ── planned ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("profile", PROFILES)
def test_each_adds_its_own_services_and_touches_no_other(profile: str) -> None:
    bare = services(planned(profile=profile))
    for name in NAMES:
        found = services(planned(name, profile=profile))
        assert {key: found[key] for key in bare} == bare
        added = [service for key, service in found.items() if key not in bare]
        assert added
        assert {service.addon for service in added} == {name}


@pytest.mark.parametrize("profile", PROFILES)
def test_each_service_is_as_hardened_as_the_others(profile: str) -> None:
    for service in planned(*NAMES, profile=profile).services:
        assert not service.egress
        assert service.hops == 1
        assert all(port.address == "127.0.0.1" and port.key for port in service.ports)
        assert set(NO_PROXIES) <= set(service.environment), service.name
        if service.addon is not None:
            assert service.need is not None
            assert service.need.bytes < service.memory_bytes <= 1024**3, service.name
        words = " ".join(str(word) for word in (*service.entrypoint, *service.command))
        assert "DEPLOYCTL_" not in words  # none of ours is on a command line


def test_every_generated_secret_is_used_and_none_twice() -> None:
    assert len(set(SECRETS)) == len(SECRETS)
    used = {
        value.name
        for service in planned(*NAMES).services
        for _, value in service.environment
        if isinstance(value, Variable) and value.required
    }
    for secret in SECRETS:
        assert f"DEPLOYCTL_{secret.upper()}" in used


@pytest.mark.parametrize("profile", PROFILES)
def test_the_memory_of_each_is_in_the_plan(profile: str) -> None:
    plan = planned(*NAMES, profile=profile)
    assert len(plan.beside) == len(plan.services) - 1  # the engine's is the model's
    assert len({part.name for part in plan.beside}) == len(plan.beside)


def test_a_page_asks_for_a_secret_that_its_addon_has() -> None:
    spec = resolve(Selection(profile="smoke", addons=NAMES), CATALOG.readers()).spec
    for addon in ADDONS:
        for page in addon.pages(spec):
            assert page.secret is None or page.secret in addon.secrets
            assert page.host in ("127.0.0.1", "localhost")


# ── rendered ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("profile", PROFILES)
def test_a_service_is_labelled_with_its_addon_and_with_what_its_files_hold(profile: str) -> None:
    plan = planned(*NAMES, profile=profile)
    bundle = render(plan, CATALOG.templates_dir)
    read = parsed(bundle.text("compose.yaml"))["services"]
    for service in plan.services:
        labels = read[service.name].get("labels", {})
        assert labels.get(ADDON_LABEL) == service.addon
        assert (FILES_LABEL in labels) == bool(service.files)
        mounted = {mount["source"] for mount in read[service.name].get("volumes", ())}
        assert {f"./{file.name}" for file in service.files} <= mounted
    assert len({file.name for file in bundle.files}) == len(bundle.files)


def test_no_secret_is_in_a_file_beside_the_stack() -> None:
    for profile in PROFILES:
        for file in render(planned(*NAMES, profile=profile), CATALOG.templates_dir).files:
            assert "${DEPLOYCTL_" not in file.text or file.name == "compose.yaml"


# ── brought up ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def bring_up(box: Box, *addons: str, sets: tuple[str, ...] = ()) -> UpReport:
    box.runner.services = tuple(services(planned(*addons, sets=sets)))
    selection = Selection(profile="smoke", addons=addons, sets=sets)
    return up(box.world(), UpRequest(stack="deployctl", selection=selection))


def test_up_waits_for_each_and_says_where_it_is(box: Box) -> None:
    report = bring_up(box, "jupyter", "cache")
    assert [p.name for p in report.phases][-2:] == ["jupyter ready", "cache ready"]
    assert dict(report.pages)["Jupyter"].startswith("http://localhost:8888/lab")
    space = Workspace(box.home, "deployctl")
    sheet = space.credentials_file.read_text()
    token = json.loads(space.secrets_file.read_text())["jupyter_token"]
    assert f"token:          {token}\n" in sheet
    assert stat.S_IMODE(space.secrets_file.stat().st_mode) == 0o600
    manifest = space.manifest()
    assert manifest is not None
    assert kept_selection(manifest).addons == ("jupyter", "cache")
    assert manifest.pages == report.pages
    assert not bring_up(box, "jupyter", "cache").changed


def test_one_that_does_not_run_is_named_and_the_core_has_answered(box: Box) -> None:
    box.docker.states["cache"] = container("cache", "hash-cache", status="restarting", restarts=4)
    box.docker.tails = {box.docker.states["cache"].id: ("cannot read its file",)}
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "jupyter", "cache")
    (fault,) = refused.value.faults
    assert (fault.code, fault.where, int(refused.value.exit_code)) == (
        "addon-not-ready",
        "cache",
        6,
    )
    assert fault.message.endswith("Engine and chat window have answered.")
    assert fault.details == ("cannot read its file",)
    assert fault.hint.startswith("deployctl logs cache --stack deployctl")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"health": "starting"}, "is starting"),  # for ever
        ({"status": "exited", "health": None}, "stopped with exit code 0"),
    ],
)
def test_the_wait_ends_whatever_is_wrong(box: Box, changes: dict[str, str], said: str) -> None:
    box.docker.states["cache"] = container("cache", "hash-cache", **changes)
    box.docker.inspected = {
        box.docker.states["cache"].id: {
            "State": {"Health": {"Log": [{"ExitCode": 7, "Output": "no\nanswer "}]}}
        }
    }
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "cache")
    (fault,) = refused.value.faults
    assert fault.code == "addon-not-ready"
    assert f"its container `cache` {said}." in fault.message
    assert fault.details[-1] == "its healthcheck ended with 7: no answer"


def test_one_that_needs_more_memory_gets_the_command_that_gives_it(box: Box) -> None:
    state = container("cache", "hash-cache", status="exited", health=None)
    box.docker.states["cache"] = replace(state, oom_killed=True, exit_code=137)
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "cache", sets=("addons.cache.memory=10MiB",))
    hint = refused.value.faults[0].hint
    assert hint.startswith("deployctl up --profile smoke --with cache --set addons.cache.memory=")
    assert "=10MiB" not in hint


def test_one_whose_container_is_gone_is_named(box: Box) -> None:
    run = box.runner.run

    def without(command: Command, **more: Any) -> CommandResult:
        result = run(command, **more)
        if "up" in command.argv:
            box.docker.states.pop("cache", None)
        return result

    box.runner.run = without  # type: ignore[method-assign]
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "cache")
    (fault,) = refused.value.faults
    assert (fault.code, fault.where) == ("addon-not-ready", "cache")
    assert "there is no container `cache`." in fault.message


@pytest.mark.parametrize(
    ("policy", "did"), [("keep", "kept"), ("down", "taken-down"), ("rollback", "rolled-back")]
)
def test_what_is_done_about_one_that_fails_is_as_asked(
    box: Box, policy: OnFailure, did: str
) -> None:
    """A stack that lacks one of its parts is never the one that `rollback` goes back to."""
    bring_up(box)
    box.runner.services = tuple(services(planned("cache")))
    box.docker.states["cache"] = container("cache", "hash-cache", status="restarting", restarts=4)
    selection = Selection(profile="smoke", addons=("cache",))
    with pytest.raises(DeployctlError) as refused:
        up(
            box.world(),
            UpRequest(stack="deployctl", selection=selection, on_failure=policy),
        )
    assert refused.value.faults[0].code == "addon-not-ready"
    assert refused.value.after is not None
    assert refused.value.after.did == did
    proved = last_proved(Workspace(box.home, "deployctl"))
    assert proved is not None
    assert proved.plan.addons == ()


def test_one_that_restarts_holds_its_own_port(box: Box) -> None:
    bring_up(box, "cache")
    box.docker.states["cache"] = replace(
        box.docker.states["cache"], status="restarting", restarts=4, health=None
    )
    box.facts = FakeFacts(replace(box.facts.facts, busy_ports={8001: "process docker-proxy"}))
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "cache")
    assert refused.value.faults[0].code == "addon-not-ready"  # not port-taken


def test_a_port_that_was_taken_meanwhile_is_moved_by_its_own_key(box: Box) -> None:
    box.runner.fail = {
        "start the stack": "Error response from daemon: driver failed programming external "
        "connectivity on endpoint deployctl-cache-1 (4b7a): Bind for 127.0.0.1:8001 failed: port "
        "is already allocated"
    }
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "cache")
    (fault,) = refused.value.faults
    assert fault.code == "start-port-taken"
    assert "--set addons.cache.port=8002" in fault.hint
    assert "compose.override" not in fault.message


def test_a_trial_gets_other_ports_for_all_that_are_held(box: Box) -> None:
    plan = planned("cache", "jupyter")
    busy = {7860: "x", 8001: "x", 8888: "x"}
    box.facts = FakeFacts(replace(box.facts.facts, busy_ports=busy))
    selection = Selection(profile="smoke", addons=("cache", "jupyter"))
    found = on_free_ports(box.world(), plan, selection)
    moved = {text.partition("=")[0] for text in found.sets}
    assert moved == {"ports.webui", "addons.cache.port", "addons.jupyter.port"}
    numbers = [text.partition("=")[2] for text in found.sets]
    assert len(set(numbers)) == len(numbers)


def test_secrets_of_addons_are_made_once_and_stay_while_they_are_off(box: Box) -> None:
    bring_up(box)
    space = Workspace(box.home, "deployctl")
    first = json.loads(space.secrets_file.read_text())
    assert not set(SECRETS) & set(first)
    bring_up(box, "jupyter")
    made = json.loads(space.secrets_file.read_text())
    assert {name: made[name] for name in first} == first
    assert len(made["jupyter_token"]) >= 32
    bring_up(box)
    assert json.loads(space.secrets_file.read_text()) == made
    assert made["jupyter_token"] not in (space.folder / ".env").read_text()
    assert made["jupyter_token"] not in space.credentials_file.read_text()
    bring_up(box, "jupyter")
    assert json.loads(space.secrets_file.read_text()) == made
    space.secrets_file.write_text("{")  # damaged: put back from .env, the add-on's too
    bring_up(box, "jupyter")
    assert json.loads(space.secrets_file.read_text()) == made


def test_what_is_not_named_any_more_is_told_before_and_after(box: Box) -> None:
    bring_up(box, *NAMES, sets=("addons.monitoring.grafana=never",))
    box.docker.kept_volumes = (*box.docker.kept_volumes, "deployctl_prometheus-data")
    report = bring_up(box, "jupyter")
    gone = set(services(planned(*NAMES))) - set(services(planned("jupyter"))) - {"grafana"}
    assert set(report.stopped) == gone
    assert "deployctl_prometheus-data" in report.kept_volumes
    assert "deployctl_webui-data" not in report.kept_volumes
    assert any(said.startswith("change: prometheus remove") for said in box.talk.said)


def test_one_that_hangs_can_be_taken_out(box: Box) -> None:
    """Compose cannot stop a service that is in none of its files; it removes what is left."""
    bring_up(box, "cache")
    box.docker.states["cache"] = replace(box.docker.states["cache"], health="unhealthy")
    assert "cache" in bring_up(box).stopped
    assert "stop what hangs" not in box.runner.labels


# ── what may be left out ──────────────────────────────────────────────────────────────────────

WITHOUT_GRAFANA = frozenset({GRAFANA})
DOCKER_IO = frozenset({"docker.io"})


def test_a_part_that_cannot_be_had_is_left_out_and_told(box: Box) -> None:
    box.docker.absent, box.images.silent = WITHOUT_GRAFANA, DOCKER_IO
    box.runner.services = tuple(services(planned("monitoring", sets=(_OFF,))))
    report = up(
        box.world(),
        UpRequest(stack="deployctl", selection=Selection(profile="smoke", addons=("monitoring",))),
    )
    assert "grafana" not in box.docker.states
    (each,) = report.adapted
    assert (each.key, each.value) == ("addons.monitoring.grafana", "never")
    assert each.reason == (
        f"{GRAFANA} is not here, docker.io does not answer, and no packages can replace it"
    )
    assert f"without Grafana: {each.reason}" in box.talk.said


_OFF = "addons.monitoring.grafana=never"


@pytest.mark.parametrize(
    ("absent", "silent", "sets", "there"),
    [
        (WITHOUT_GRAFANA, DOCKER_IO, (), False),
        (WITHOUT_GRAFANA, frozenset(), (), True),
        (frozenset(), DOCKER_IO, (), True),
        (WITHOUT_GRAFANA, DOCKER_IO, ("addons.monitoring.grafana=always",), True),
        (frozenset(), frozenset(), (_OFF,), False),
    ],
)
def test_the_plan_goes_by_image_and_registry_unless_the_operator_decides(
    box: Box, absent: frozenset[str], silent: frozenset[str], sets: tuple[str, ...], *, there: bool
) -> None:
    box.docker.absent, box.images.silent = absent, silent
    selection = Selection(profile="smoke", addons=("monitoring",), sets=sets)
    request = UpRequest(stack="deployctl", selection=selection)
    report = planning(
        box.world(),
        selection,
        stack="deployctl",
        make_fit=False,
        force=False,
        again=request.again_with,
    )
    assert ("grafana" in services(report.plan)) == there


def up_with_monitoring(box: Box, images: ImageMode = "auto") -> UpReport:
    selection = Selection(profile="smoke", addons=("monitoring",))
    box.runner.services = tuple(services(planned("monitoring", sets=(_OFF,))))
    request = UpRequest(stack="deployctl", selection=selection, images=images)
    return up(box.world(), request)


def test_a_stack_that_runs_without_it_goes_on_without_it(box: Box) -> None:
    """A registry that comes and goes must not make anything of it anew."""
    box.docker.absent, box.images.silent = WITHOUT_GRAFANA, DOCKER_IO
    first = up_with_monitoring(box)
    box.images.silent, box.images.patience_s = frozenset(), None
    again = up_with_monitoring(box)
    assert not again.changed
    assert again.adapted == first.adapted
    assert box.images.patience_s is None  # nobody was asked
    box.docker.states.clear()  # what does not run is decided anew
    box.runner.services = tuple(services(planned("monitoring")))
    selection = Selection(profile="smoke", addons=("monitoring",))
    report = up(box.world(), UpRequest(stack="deployctl", selection=selection))
    assert report.adapted == ()
    assert "grafana" in box.docker.states


@pytest.mark.parametrize(("mode", "asked"), [("local", False), ("build", False), ("auto", True)])
def test_where_images_may_come_from_is_regarded(box: Box, mode: ImageMode, *, asked: bool) -> None:
    box.docker.absent, box.images.silent = WITHOUT_GRAFANA, DOCKER_IO
    (each,) = up_with_monitoring(box, mode).adapted
    assert (each.value, box.images.patience_s is not None) == ("never", asked)


def test_a_registry_that_answers_and_gives_nothing_is_said_with_the_way_without(box: Box) -> None:
    box.docker.absent = WITHOUT_GRAFANA
    box.images.error = DeployctlError(
        "refused", code="image-pull-failed", where="grafana", hint="docker save"
    )
    with pytest.raises(DeployctlError) as refused:
        up_with_monitoring(box)
    (fault,) = refused.value.faults
    assert "--set addons.monitoring.grafana=never" in fault.hint
    assert fault.hint.endswith("# without Grafana")


def test_nothing_is_asked_of_a_registry_for_a_stack_without_such_a_part(box: Box) -> None:
    bring_up(box, "jupyter", "cache")
    assert box.images.patience_s is None


# ── files of the operator's own ───────────────────────────────────────────────────────────────


def test_own_rules_are_checked_before_anything_starts(box: Box) -> None:
    bring_up(box, "monitoring")
    space = Workspace(box.home, "deployctl")
    rules = space.folder / "rules"
    assert rules.is_dir()
    before = dict(box.docker.states)
    (rules / "mine.yaml").write_text("groups: [\n")
    box.runner.fail = {"check your files": f"{rules}/mine.yaml: yaml: line 2: did not find it\n"}
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, "monitoring")
    (fault,) = refused.value.faults
    assert (fault.code, int(refused.value.exit_code)) == ("own-file-invalid", 3)
    assert fault.where == f"{rules / 'mine.yaml'}:2"
    assert "did not find it" in fault.message
    assert str(rules / "mine.yaml") in fault.hint
    assert box.docker.states == before


def test_another_rule_is_another_container(box: Box) -> None:
    def variable() -> str:
        text = (Workspace(box.home, "deployctl").folder / ".env").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("DEPLOYCTL_RULES="))
        return line

    bring_up(box, "monitoring")
    assert variable() == "DEPLOYCTL_RULES='none'"
    rules = Workspace(box.home, "deployctl").folder / "rules"
    (rules / "mine.yaml").write_text("groups: []\n")
    bring_up(box, "monitoring")
    first = variable()
    (rules / "mine.yaml").write_text("groups: [] # the same and more\n")
    bring_up(box, "monitoring")
    assert len({first, variable(), "DEPLOYCTL_RULES='none'"}) == 3


def test_an_addon_that_measures_containers_is_told_their_names(box: Box) -> None:
    bring_up(box)
    folder = Workspace(box.home, "deployctl").folder
    assert not (folder / "exported").exists()
    bring_up(box, "monitoring")
    found = json.loads((folder / "exported/containers.json").read_text())["containers"]
    assert found[box.docker.states["engine"].id] == {"service": "engine"}
    assert stat.S_IMODE((folder / "exported/containers.json").stat().st_mode) == 0o644
    box.docker.states["engine"] = replace(box.docker.states["engine"], id="f" * 64)
    bring_up(box, "monitoring", sets=("concurrency=3",))
    found = json.loads((folder / "exported/containers.json").read_text())["containers"]
    assert found["f" * 64] == {"service": "engine"}


# ── what was refused, and how changes are told ────────────────────────────────────────────────


def test_what_is_no_block_is_refused_whatever_is_laid_over_it(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("extends: smoke\naddons: [jupyter]\n")
    selection = Selection(profile=str(file), sets=("addons.cache.port=8005",))
    with pytest.raises(DeployctlError) as refused:
        resolve(selection, CATALOG.readers())
    (fault,) = refused.value.faults
    assert fault.where == f"{file}:2"
    assert "a block of keys" in fault.message


def test_a_limit_and_a_port_of_an_addon_name_their_own_keys(box: Box) -> None:
    bring_up(box, "jupyter", "cache")
    keys = ("addons.jupyter.memory=2GiB", "addons.jupyter.port=8899", "addons.cache.ttl=2h")
    bring_up(box, "jupyter", "cache", sets=keys)
    (jupyter,) = (said for said in box.talk.said if said.startswith("change: jupyter"))
    assert "mem_limit 1.00 GiB → 2.00 GiB (--set addons.jupyter.memory)" in jupyter
    assert jupyter.count("(--set addons.jupyter.port)") == 1
    assert "cache" not in jupyter


def test_a_change_of_an_addon_names_its_cause(box: Box) -> None:
    bring_up(box, "cache")
    bring_up(box, "cache", sets=("addons.cache.ttl=2h", "addons.cache.frontend=true"))
    changes = [said for said in box.talk.said if said.startswith("change: ")]
    (cache,) = (said for said in changes if said.startswith("change: cache"))
    said = "(--set addons.cache.ttl, --set addons.cache.frontend)"
    assert f"a file that it reads is another {said}" in cache
    assert "deployctl.files" not in cache
    (window,) = (said for said in changes if said.startswith("change: webui"))
    assert "OPENAI_API_BASE_URL" in window
    assert "(--with cache)" in window
    assert "base/llama-cpp.yaml" not in window
