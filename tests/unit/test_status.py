"""`status` and `reconcile` over fakes: what is seen, what is wrong, what has drifted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployctl.cli.vitalstext import compact, lines_of
from deployctl.deploy.down import down
from deployctl.deploy.reconcile import reconcile
from deployctl.deploy.status import see, status
from deployctl.deploy.up import up
from deployctl.deploy.world import StatusReport, UpRequest
from deployctl.errors import DeployctlError
from deployctl.outcomes import Command, CommandResult
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeRunner, container
from tests.panel import FakePanel
from tests.scripted import result
from tests.world import Box

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STACK = "deployctl"
ENVIRONMENT = {
    "OPENAI_API_BASE_URL": "http://engine:8080/v1",
    "OPENAI_API_KEY": "planted-key",
    "ENABLE_PERSISTENT_CONFIG": "false",
    "ENABLE_SIGNUP": "false",
    "DEFAULT_MODELS": "smollm2-135m",
}
HELD = {
    "openai.api_base_urls": ["http://engine:8080/v1"],
    "openai.api_keys": ["planted-key"],
    "ui.enable_signup": False,
    "ui.default_models": "smollm2-135m",
}
AGAIN = f"deployctl up --profile smoke --set ports.webui=7901 --stack {STACK}2"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A stack that is up, with a frontend as its profile asks."""
    box = Box(home=tmp_path)
    box.http = FakePanel(**HELD)
    up(box.world(), UpRequest(stack=STACK, selection=Selection(profile="smoke")))
    for service in ("engine", "webui"):
        state = box.docker.states[service]
        box.docker.states[service] = replace(
            state, image=service, image_id=f"sha256:{service}", name=f"{STACK}-{service}-1"
        )
    box.docker.used = {"id-engine": 200_000_000, "id-webui": 500_000_000}
    box.docker.inspected = {
        "id-webui": {"Config": {"Env": [f"{k}={v}" for k, v in ENVIRONMENT.items()]}},
        "id-engine": {
            "Config": {"Cmd": ["--ctx-size", "4096", "--parallel", "2"]},
            "HostConfig": {"Memory": 469762048},
        },
    }
    # The fake store has no file; what it says of one is what is there.
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(replace(manifest, weights=None))
    return box


def panel(box: Box) -> FakePanel:
    assert isinstance(box.http, FakePanel)
    return box.http


def looked(box: Box) -> StatusReport:
    return status(box.world("status"), STACK, NOW)


def code_of(box: Box, **options: Any) -> str:
    with pytest.raises(DeployctlError) as refused:
        reconcile(
            box.world("reconcile"), STACK, **{"dry_run": False, "overrides": False, **options}
        )
    return refused.value.faults[0].code


# ── what is seen ──────────────────────────────────────────────────────────────────────────────


def test_a_well_stack_has_figures_and_no_drift(box: Box) -> None:
    report = looked(box)
    assert (report.status, report.drift) == ("ok", ())
    engine, webui = report.services
    assert (engine.state, engine.memory_bytes, engine.memory_limit_bytes) == (
        "running",
        200_000_000,
        469762048,
    )
    assert webui.image_moved is False
    assert report.engine is not None
    assert (report.engine.context, report.engine.conversations) == (2048, 2)
    assert report.engine.kv_share is None


def test_the_rate_between_two_looks_is_now_and_else_the_last_answer_s(box: Box) -> None:
    box.docker.tails = {"id-engine": ("eval time = 1 ms / 1 tokens (1, 33.0 tokens per second)",)}
    world = box.world("status")
    first = see(world, STACK, NOW)
    assert first.report.engine is not None
    assert (first.report.engine.tokens_per_s, first.report.engine.rate_basis) == (
        33.0,
        "last answer",
    )
    box.clock.sleep(2)
    second = see(world, STACK, NOW, before=first.sample).report.engine
    assert second is not None
    assert second.rate_basis == "now"
    assert second.tokens_per_s is not None
    assert second.tokens_per_s > 0


def test_the_kept_session_is_used_until_it_is_refused(box: Box) -> None:
    panel(box).calls.clear()
    looked(box)
    assert not [url for url in panel(box).calls if url.endswith("signin")]
    panel(box).token = "n3w"
    looked(box)
    assert Workspace(box.home, STACK).session() == Secret("n3w")


def test_settings_that_cannot_be_read_are_said_and_fail_nothing(box: Box) -> None:
    panel(box).token, panel(box).refuses = "n3w", True
    report = looked(box)
    assert report.status == "ok"
    (skipped,) = (check for check in report.checks if check.status == "skipped")
    assert skipped.summary.startswith("not compared: The frontend refused")


def sign_ins(box: Box) -> int:
    return sum(url.endswith("/signin") for url in panel(box).calls)


def said_of_settings(report: StatusReport) -> str:
    (skipped,) = (check for check in report.checks if check.status == "skipped")
    return skipped.summary


def changed_password(box: Box, password: str) -> None:
    file = Workspace(box.home, STACK).secrets_file
    file.write_text(json.dumps(json.loads(file.read_text()) | {"admin_password": password}))


def test_a_password_that_was_refused_is_not_tried_at_every_look(box: Box) -> None:
    """Open WebUI allows 15 sign-ins in three minutes, refused ones counted."""
    panel(box).token, panel(box).refuses = "n3w", True
    panel(box).calls.clear()
    said = [said_of_settings(looked(box)) for _ in range(4)]
    assert sign_ins(box) == 1
    assert said[0].startswith("not compared: The frontend refused")
    assert "is not asked again before admin_password of" in said[-1]
    note = Workspace(box.home, STACK).folder / "refused.json"
    assert note.stat().st_mode & 0o777 == 0o600
    assert Workspace(box.home, STACK).secrets().admin_password.reveal() not in note.read_text()
    changed_password(box, "what-the-operator-chose")
    panel(box).refuses = False
    assert [check for check in looked(box).checks if check.status == "skipped"] == []
    assert sign_ins(box) == 2
    assert not note.exists()


def test_a_frontend_that_takes_no_sign_in_is_left_alone_for_three_minutes(box: Box) -> None:
    panel(box).token, panel(box).limits = "n3w", True
    panel(box).calls.clear()
    world = box.world("status")
    for seconds in (0, 60, 179):
        report = status(world, STACK, NOW + timedelta(seconds=seconds))
        assert said_of_settings(report).startswith("not compared: The frontend takes no")
    assert sign_ins(box) == 1
    panel(box).limits = False
    report = status(world, STACK, NOW + timedelta(seconds=181))
    assert [check for check in report.checks if check.status == "skipped"] == []


def test_reconcile_tries_a_password_that_was_refused_before(box: Box) -> None:
    panel(box).token, panel(box).refuses = "n3w", True
    looked(box)
    panel(box).refuses = False
    reconcile(box.world("reconcile"), STACK, dry_run=True, overrides=False)
    assert [check for check in looked(box).checks if check.status == "skipped"] == []


def test_a_silent_frontend_is_not_asked_for_its_settings(box: Box) -> None:
    panel(box).frontend_silent, panel(box).token = True, "n3w"
    panel(box).calls.clear()
    report = looked(box)
    assert not [url for url in panel(box).calls if "/api/v1/" in url]
    (failed,) = (check for check in report.checks if check.status != "ok")
    assert (failed.code, failed.hint) == ("frontend-hung", "deployctl up --profile smoke")


def test_a_stack_that_was_taken_down_says_so_and_nothing_is_wrong(box: Box) -> None:
    down(box.world("down"), STACK, volumes=False)
    report = looked(box)
    assert (report.status, report.down) == ("failed", True)
    first, *rest = lines_of(report, 100)
    assert first.startswith(f"Stack {STACK}: down · profile smoke")
    assert not [line for line in rest if "✗" in line]
    assert rest[-1] == "    next: deployctl up --profile smoke"
    assert compact(report, "now").startswith("now down")


def test_one_whose_containers_somebody_removed_was_not_taken_down(box: Box) -> None:
    box.docker.states.clear()
    report = looked(box)
    assert not report.down
    assert [check.status for check in report.checks] == ["failed", "failed"]


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────


def test_a_dead_engine_is_told_with_its_cause(box: Box) -> None:
    engine = box.docker.states["engine"]
    box.docker.states["engine"] = replace(engine, status="exited", exit_code=137)
    report = looked(box)
    (failed,) = (check for check in report.checks if check.status == "failed")
    assert report.status == "degraded"
    assert failed.code is not None
    assert failed.code.startswith("engine-")
    assert failed.hint
    assert report.engine is None


def test_an_engine_that_answers_nothing_hangs(box: Box) -> None:
    panel(box).engine_silent = True
    (failed,) = (check for check in looked(box).checks if check.status == "failed")
    assert failed.code == "engine-hung"
    assert failed.hint == "deployctl up --profile smoke"


def test_an_engine_that_still_starts_does_not_hang(box: Box) -> None:
    panel(box).engine_silent = True
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="starting")
    (failed,) = (check for check in looked(box).checks if check.status == "failed")
    assert failed.code == "engine-not-ready"


def test_a_restart_storm_is_told_though_it_runs_at_this_moment(box: Box) -> None:
    box.docker.states["engine"] = replace(
        box.docker.states["engine"], restarts=5, started_at="2026-11-22T11:59:58Z"
    )
    (failed,) = (check for check in looked(box).checks if check.status == "failed")
    assert failed.summary.startswith("It keeps restarting, 5 times so far.")


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_look_between_two_crashes_says_that_it_crashes(box: Box, restarts: int) -> None:
    panel(box).engine_silent = True
    box.docker.tails = {"id-engine": ("error: unknown argument: --nonsense",)}
    box.docker.states["engine"] = replace(
        box.docker.states["engine"],
        health="starting",
        restarts=restarts,
        started_at="2026-11-22T11:59:58Z",
    )
    container, outside = (c for c in looked(box).checks if c.status == "failed")
    assert container.code not in ("engine-not-ready", None)
    assert ("keeps restarting, 2 times" if restarts == 2 else "ended a moment") in container.summary
    assert "unknown argument" in " ".join((container.summary, *container.details))
    assert (outside.name, outside.code) == ("engine answers", container.code)


def test_one_that_crashed_long_ago_and_answers_is_well(box: Box) -> None:
    box.docker.states["engine"] = replace(
        box.docker.states["engine"], restarts=2, started_at="2026-11-22T11:59:58Z"
    )
    assert looked(box).status == "ok"


@pytest.mark.parametrize(("service", "role"), [("engine", "engine"), ("webui", "frontend")])
def test_an_answer_outweighs_a_stale_healthcheck(box: Box, service: str, role: str) -> None:
    box.docker.states[service] = replace(box.docker.states[service], health="unhealthy")
    report = looked(box)
    assert report.status == "ok"
    seen = {check.name: check.summary for check in report.checks}
    assert seen[f"container {service}"] == (
        "running; Docker's last healthcheck failed, it answers now"
    )
    panel(box).engine_silent = service == "engine"
    panel(box).frontend_silent = service == "webui"
    codes = {check.code for check in looked(box).checks if check.status == "failed"}
    assert codes == {f"{role}-hung"}


@pytest.mark.parametrize("service", ["engine", "webui"])
@pytest.mark.parametrize("health", ["healthy", "unhealthy", None])
def test_a_container_taken_off_its_network_is_made_anew_by_up(
    box: Box, service: str, health: str | None
) -> None:
    box.docker.states[service] = replace(box.docker.states[service], health=health)
    panel(box).engine_silent = service == "engine"
    panel(box).frontend_silent = service == "webui"
    alone = {"NetworkSettings": {"Networks": {}}, "HostConfig": {"NetworkMode": "deployctl_x"}}
    box.docker.inspected = {**box.docker.inspected, f"id-{service}": alone}
    container, outside = (c for c in looked(box).checks if c.status == "failed")
    assert (container.code, container.hint) == ("stack-not-running", "deployctl up --profile smoke")
    assert container.summary == f"Container `{service}` runs, and lost its network."
    assert (outside.code, outside.hint) == (container.code, container.hint)


def test_a_look_between_two_ends_that_sees_it_start_says_that_it_ends(box: Box) -> None:
    box.http.engine_ready = False  # HTTP 503
    box.docker.states["engine"] = replace(
        box.docker.states["engine"],
        health="starting",
        restarts=2,
        started_at="2026-11-22T11:59:57Z",
    )
    container, outside = (c for c in looked(box).checks if c.status == "failed")
    assert "It keeps restarting, 2 times so far." in container.summary
    assert outside.code == container.code != "engine-not-ready"


def test_a_paused_and_an_unhealthy_container_fail(box: Box) -> None:
    panel(box).frontend_silent = True
    box.docker.states["engine"] = replace(box.docker.states["engine"], status="paused")
    box.docker.states["webui"] = replace(box.docker.states["webui"], health="unhealthy")
    codes = {check.where: check.code for check in looked(box).checks if check.status == "failed"}
    assert codes == {"engine": "stack-not-running", "webui": "frontend-hung"}


def test_a_lost_card_is_found_by_asking_inside(box: Box) -> None:
    _with_card(box)
    box.runner.fail["the card inside"] = "Failed to initialize NVML: Unknown Error"
    (failed,) = (check for check in looked(box).checks if check.status == "failed")
    assert (failed.name, failed.code) == ("card", "engine-gpu-lost")


class Remembering(FakeRunner):
    """`docker logs` gives the first lines of an engine that found no card."""

    def run(self, command: Command, **options: Any) -> CommandResult:
        if command.argv[:2] == ("docker", "logs"):
            return result(command, 0, "load_tensors: offloaded 0/31 layers to GPU")
        return super().run(command, **options)


def test_an_engine_that_fell_back_to_the_processor_is_found(box: Box) -> None:
    _with_card(box)
    box.runner = Remembering(box.docker)
    (failed,) = (check for check in looked(box).checks if check.status == "failed")
    assert failed.code == "engine-gpu-unused"


def _with_card(box: Box) -> None:
    given = {"HostConfig": {"DeviceRequests": [{"Driver": "nvidia"}]}}
    box.docker.inspected = {**box.docker.inspected, "id-engine": given}
    box.docker.states["engine"] = replace(
        box.docker.states["engine"], started_at="2026-11-22T08:00:00Z"
    )


def test_what_is_missing_is_brought_up_by_the_same_words(box: Box) -> None:
    stack = f"{STACK}2"
    selection = Selection(profile="smoke", sets=("ports.webui=7901",))
    box.docker.states.clear()
    box.docker.kept_volumes = ()
    up(box.world(), UpRequest(stack=stack, selection=selection))
    box.docker.states.clear()
    report = status(box.world("status"), stack, NOW)
    assert report.status == "failed"
    assert {check.hint for check in report.checks} == {AGAIN}


# ── what has drifted ──────────────────────────────────────────────────────────────────────────


def places(report: StatusReport) -> list[tuple[str, str]]:
    return [(drift.place, drift.name) for drift in report.drift]


def test_each_kind_of_drift_is_found_and_fails_nothing(box: Box) -> None:
    space = Workspace(box.home, STACK)
    (space.folder / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    (space.folder / "compose.override.yaml").write_text("services: {}\n", encoding="utf-8")
    box.docker.states["engine"] = replace(box.docker.states["engine"], config_hash="other")
    box.docker.states["webui"] = replace(box.docker.states["webui"], image_id="sha256:older")
    box.docker.states["stray"] = container("stray", "x", image="stray", image_id="sha256:stray")
    panel(box).settings["ui.enable_signup"] = True
    panel(box).models = [{"id": "smollm2-135m", "is_active": False}]
    report = looked(box)
    assert report.status == "ok"
    assert places(report) == [
        ("file", "compose.yaml"),
        ("file", "compose.override.yaml"),
        ("container", "engine"),
        ("container", "stray"),
        ("image", "webui"),
        ("setting", "ui.enable_signup"),
        ("override", "smollm2-135m"),
    ]
    # It may be broken: only Compose can tell.
    assert report.drift[1].lasts.endswith(
        "the next `up` applies it, if Docker Compose can read it."
    )
    assert all(drift.hint.startswith("deployctl ") for drift in report.drift)


def test_a_replaced_and_a_removed_model_file_are_found(box: Box, tmp_path: Path) -> None:
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    model = tmp_path / "a model.gguf"
    space.save_manifest(replace(manifest, weights=f"{model} 5-1"))
    (found,) = looked(box).drift
    assert (found.place, found.name) == ("weights", str(model))
    assert found.lasts.startswith("The engine goes on with what it has read;")
    running = box.docker.states["engine"]
    box.docker.states["engine"] = replace(running, status="exited")
    assert "does not run; its next start needs" in looked(box).drift[0].lasts
    box.docker.states["engine"] = running
    model.write_text("other", encoding="utf-8")
    (found,) = looked(box).drift
    assert "was replaced" in found.what
    seen = model.stat()
    space.save_manifest(replace(manifest, weights=f"{model} {seen.st_size}-{seen.st_mtime_ns}"))
    assert looked(box).drift == ()


def test_against_the_profile_says_what_plan_says(box: Box) -> None:
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    assert manifest.compose is not None
    older = manifest.compose.replace('"--ctx-size"\n      - "4096"', '"--ctx-size"\n      - "2048"')
    assert older != manifest.compose
    space.save_manifest(replace(manifest, compose=older))
    (space.folder / "compose.yaml").write_text(older, encoding="utf-8")
    report = status(box.world("status"), STACK, NOW, profile=True)
    (found,) = (drift for drift in report.drift if drift.place == "profile" and "ctx" in drift.what)
    assert found.name == "engine"


# ── reconcile ─────────────────────────────────────────────────────────────────────────────────


def changed_by_hand(box: Box) -> None:
    panel(box).settings |= {
        "ui.enable_signup": True,
        "openai.api_base_urls": ["http://elsewhere/v1"],
        "ui.somebody_elses": "kept",
    }


def test_reconcile_sets_back_what_differs_and_nothing_else(box: Box) -> None:
    changed_by_hand(box)
    report = reconcile(box.world("reconcile"), STACK, dry_run=False, overrides=False)
    assert [(s.name, s.before, s.after) for s in report.set_back] == [
        ("openai.api_base_urls", '["http://elsewhere/v1"]', '["http://engine:8080/v1"]'),
        ("ui.enable_signup", "on", "off"),
    ]
    assert {key: panel(box).settings[key] for key in HELD} == HELD
    assert panel(box).settings["ui.somebody_elses"] == "kept"
    assert ("/api/v1/configs/import", {"config": {"ui.enable_signup": False}}) in panel(box).posted
    assert looked(box).drift == ()


def test_a_dry_run_says_it_and_posts_nothing(box: Box) -> None:
    changed_by_hand(box)
    report = reconcile(box.world("reconcile"), STACK, dry_run=True, overrides=False)
    assert [s.name for s in report.set_back] == ["openai.api_base_urls", "ui.enable_signup"]
    assert panel(box).posted == []


def test_nothing_to_do_is_fine(box: Box) -> None:
    report = reconcile(box.world("reconcile"), STACK, dry_run=False, overrides=False)
    assert (report.set_back, report.left, panel(box).posted) == ((), (), [])


def test_what_may_be_meant_so_is_left_unless_asked(box: Box) -> None:
    panel(box).models = [{"id": "smollm2-135m", "params": {"temperature": 2}}]
    panel(box).functions = [
        {"id": "f", "type": "filter", "name": "F", "is_active": True, "is_global": True}
    ]
    report = reconcile(box.world("reconcile"), STACK, dry_run=False, overrides=False)
    assert [s.name for s in report.left] == ["smollm2-135m", "f"]
    assert panel(box).posted == []
    report = reconcile(box.world("reconcile"), STACK, dry_run=False, overrides=True)
    assert [s.name for s in report.set_back] == ["smollm2-135m", "f"]
    assert (panel(box).models, panel(box).functions[0]["is_global"]) == ([], False)


def test_settings_that_do_not_stay_set_are_an_error(box: Box) -> None:
    changed_by_hand(box)
    panel(box).stubborn = True
    assert code_of(box) == "reconcile-failed"


def test_reconcile_needs_a_stack_that_runs_and_is_nobody_else_s(box: Box) -> None:
    with Workspace(box.home, STACK).lock("up"):
        assert code_of(box) == "stack-locked"
    down(box.world("down"), STACK, volumes=False)
    assert code_of(box) == "stack-not-running"
    down(box.world("down"), STACK, volumes=True)
    assert code_of(box) == "stack-unknown"


def test_no_secret_is_in_what_is_handed_out(box: Box) -> None:
    from deployctl.cli.envelope import plain

    panel(box).settings["openai.api_keys"] = ["planted-too"]
    text = json.dumps(plain(looked(box)))
    text += json.dumps(
        plain(reconcile(box.world("reconcile"), STACK, dry_run=True, overrides=False))
    )
    assert "planted" not in text


def test_a_wrong_key_set_in_the_panel_is_named_with_the_command_that_sets_it_back(
    box: Box,
) -> None:
    well = next(check for check in looked(box).checks if check.name == "model listed")
    assert (well.status, well.summary) == ("ok", "offers smollm2-135m")
    panel(box).settings["openai.api_keys"] = ["wrong"]
    report = looked(box)
    check = next(check for check in report.checks if check.status == "failed")
    assert (report.status, check.name, check.code) == ("degraded", "model listed", "proof-failed")
    assert "it lists: none. Admin Settings > Connections > OpenAI API, keys" in check.summary
    assert check.hint == f"deployctl reconcile webui --stack {STACK}"
    with pytest.raises(DeployctlError) as ended:  # and so does `up`, which has nothing to do
        up(box.world(), UpRequest(stack=STACK, selection=Selection(profile="smoke")))
    fault = ended.value.faults[0]
    assert (fault.code, fault.hint) == ("proof-failed", check.hint)
    assert fault.message == check.summary
    assert "planted-key" not in fault.message


def test_a_model_that_is_not_listed_for_another_reason_blames_no_setting(box: Box) -> None:
    box.http.served_name = "other"
    panel(box).settings["ui.enable_signup"] = True
    failed = [c for c in looked(box).checks if c.status == "failed"]
    assert "model listed" not in [check.name for check in failed]  # the engine's own check says it
    assert all("reconcile" not in check.hint for check in failed)
