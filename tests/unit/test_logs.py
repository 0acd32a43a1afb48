"""Whose lines ``logs`` prints: of services, of add-ons (all theirs), and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.addons import NAMES
from deployctl.catalog import Catalog
from deployctl.deploy.logs import logs
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Adaptation, Selection
from deployctl.workspace import Workspace
from tests.fakes import container
from tests.world import Box

CATALOG = Catalog({"HOME": "/nonexistent"})
NO_GRAFANA = Adaptation(key="addons.monitoring.grafana", value="never", reason="it is not here")


def bring_up(tmp_path: Path, *addons: str, sets: tuple[str, ...] = ()) -> Box:
    box = Box(home=tmp_path)
    adapted = (NO_GRAFANA,) if "monitoring" in addons else ()
    selection = Selection(profile="smoke", addons=addons, sets=sets, adapted=adapted)
    plan = build_plan(resolve(selection, CATALOG.readers()))
    box.runner.services = tuple(service.name for service in plan.services)
    up(box.world(), UpRequest(stack="s", selection=selection))
    return box


@pytest.fixture
def full(tmp_path: Path) -> Box:
    """A stack with every add-on, without Grafana."""
    return bring_up(tmp_path, *NAMES)


def printed(box: Box, *asked: str) -> tuple[str, ...]:
    """The services that Compose was asked for."""
    logs(box.world("logs"), "s", asked, follow=False, tail="1", on_line=lambda _line: None)
    argv = box.runner.commands[-1].argv
    assert "logs" in argv
    return tuple(word for word in argv[argv.index("logs") :] if word in box.runner.services)


def refused(box: Box, *asked: str) -> tuple[Fault, int]:
    with pytest.raises(DeployctlError) as caught:
        printed(box, *asked)
    (fault,) = caught.value.faults
    return fault, int(caught.value.exit_code)


MONITORING = {"prometheus", "node-exporter", "containers", "blackbox"}


@pytest.mark.parametrize(
    ("asked", "services"),
    [
        ((), set()),  # Compose prints all
        (("engine",), {"engine"}),
        (("monitoring",), MONITORING),
        (("jupyter", "cache"), {"jupyter", "cache"}),  # both are services too
        (("prometheus", "monitoring", "engine"), {*MONITORING, "engine"}),
    ],
)
def test_an_addon_stands_for_all_its_services(
    full: Box, asked: tuple[str, ...], services: set[str]
) -> None:
    found = printed(full, *asked)
    assert set(found) == services
    assert len(found) == len(services)


def test_a_service_of_the_operator_s_own_is_one_of_them(full: Box) -> None:
    full.docker.states["proxy"] = container("proxy")
    full.runner.services = (*full.runner.services, "proxy")
    assert printed(full, "proxy") == ("proxy",)


def test_where_the_file_is_lost_services_are_known_still(full: Box) -> None:
    for name in ("manifest.json", "compose.yaml"):
        (Workspace(full.home, "s").folder / name).unlink()
    assert printed(full, "prometheus") == ("prometheus",)
    fault, _ = refused(full, "monitoring")
    assert fault.message == "Stack s has no service or add-on 'monitoring'."  # nobody knows


def test_a_removed_container_of_an_addon_is_said_and_the_others_are_printed(full: Box) -> None:
    del full.docker.states["blackbox"]
    assert set(printed(full, "monitoring")) == MONITORING - {"blackbox"}
    assert full.talk.warned == [
        "Stack s has no container of blackbox: it was removed, and its log with it."
    ]


def test_an_addon_without_any_container_is_refused(full: Box) -> None:
    for service in MONITORING:
        del full.docker.states[service]
    fault, code = refused(full, "monitoring")
    assert (fault.code, code) == ("stack-not-running", 6)
    assert "they were removed, and their logs with them" in fault.message
    assert fault.hint == "deployctl up --profile smoke --with jupyter,monitoring,cache --stack s"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("monitorin", "monitoring"), ("promethus", "prometheus"), ("engin", "engine")],
)
def test_a_near_miss_is_told_with_all_there_is(full: Box, typed: str, meant: str) -> None:
    fault, code = refused(full, "engine", typed)
    assert (fault.code, code) == ("usage", 2)
    assert fault.message == f"Stack s has no service or add-on '{typed}'; did you mean {meant}?"
    assert fault.hint == f"deployctl logs {meant} --stack s"
    services, addons = fault.details
    assert set(services.partition(": ")[2].split(", ")) == set(full.runner.services)
    assert addons == "its add-ons: jupyter, monitoring, cache"


def test_what_resembles_nothing_is_told_with_all_there_is(tmp_path: Path) -> None:
    fault, _ = refused(bring_up(tmp_path), "zzz")
    assert fault.message == "Stack s has no service or add-on 'zzz'."
    assert fault.details == ("its services: engine, webui",)
    assert fault.hint == "deployctl logs --stack s"


@pytest.mark.parametrize(
    ("typed", "addon"),
    [("monitoring", "monitoring"), ("prometheus", "monitoring"), ("cache", "cache")],
)
def test_what_an_addon_would_bring_comes_with_the_command(
    tmp_path: Path, typed: str, addon: str
) -> None:
    sets = ("ports.webui=7861", f"addons.{addon}.enabled=false")
    fault, code = refused(bring_up(tmp_path, "jupyter", sets=sets), typed)
    assert (fault.code, code) == ("usage", 2)
    assert fault.message == (
        f"Stack s has no service or add-on '{typed}': the add-on {addon} is not switched on."
    )
    assert fault.hint == (
        f"deployctl up --profile smoke --with jupyter,{addon} --set ports.webui=7861 --stack s"
    )


@pytest.mark.parametrize(
    "out", ["addons.monitoring={enabled: false}", "addons={monitoring: {enabled: false}}"]
)
def test_a_setting_of_the_whole_block_does_not_keep_it_out(tmp_path: Path, out: str) -> None:
    fault, _ = refused(bring_up(tmp_path, sets=(out,)), "prometheus")
    assert "the add-on monitoring is not switched on" in fault.message
    assert fault.hint == (
        f"deployctl up --profile smoke --with monitoring --set '{out}' "
        "--set addons.monitoring.enabled=true --stack s"
    )


def test_what_another_command_brings_up_just_now_is_not_said_to_be_off(tmp_path: Path) -> None:
    box = bring_up(tmp_path)
    with Workspace(box.home, "s").lock("up"):
        fault, _ = refused(box, "monitoring")
    assert fault.code == "stack-locked"


def test_a_near_miss_of_what_an_addon_would_bring(tmp_path: Path) -> None:
    fault, _ = refused(bring_up(tmp_path), "promethus")
    assert "did you mean prometheus? It comes with an add-on that is not" in fault.message
    assert fault.hint == "deployctl up --profile smoke --with monitoring --stack s"


def test_a_part_that_up_left_out_is_told_with_its_reason(full: Box) -> None:
    fault, _ = refused(full, "grafana")
    assert fault.message == (
        "Stack s has no service or add-on 'grafana', which was left out: it is not here."
    )
    assert fault.hint.startswith("deployctl up --profile smoke --with jupyter,monitoring,cache")


def test_addons_are_named_also_where_the_profile_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: smoke\n")
    box = Box(home=tmp_path / "home")
    up(box.world(), UpRequest(stack="s", selection=Selection(profile=str(file))))
    file.unlink()
    assert refused(box, "monitoring")[0].hint == (
        f"deployctl up --profile {file} --with monitoring --stack s"
    )
    assert refused(box, "prometheus")[0].message == (
        "Stack s has no service or add-on 'prometheus'."
    )
