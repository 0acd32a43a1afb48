"""Parts of monitoring that a stack can be without: asked for outright, switched off, impossible."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.addons.monitored.exporters import GPU_IMAGE
from deployctl.addons.monitored.grafana import IMAGE as GRAFANA
from deployctl.addons.monitoring import PARTS
from deployctl.catalog import Catalog
from deployctl.deploy.logs import logs
from deployctl.deploy.open import Seat, open_window
from deployctl.deploy.plan import plan as planning
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.model import Gpu, HostFacts
from deployctl.outcomes import CheckResult
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Adaptation, Selection
from tests.fakes import GIB, FakeFacts, facts
from tests.world import Box

CATALOG = Catalog({"HOME": "/nonexistent"})
NO_GRAFANA = Adaptation(key=PARTS["grafana"], value="never", reason="it is not here")
NO_EXPORTER = Adaptation(key=PARTS["gpu-exporter"], value="never", reason="it is not there")


def with_card() -> HostFacts:
    card = Gpu(
        name="NVIDIA GeForce RTX 3060",
        memory_bytes=12 * GIB,
        memory_free_bytes=int(11.5 * GIB),
        compute_capability="8.6",
        driver="580.95.05",
    )
    return facts(gpus=(card,), container_toolkit=True, card_access=("reservation",))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def bring_up(box: Box, selection: Selection) -> None:
    if selection.profile == "rtx3060":
        box.facts, box.http.served_name = FakeFacts(with_card()), "deepseek-r1-1.5b"
    plan = build_plan(resolve(selection, CATALOG.readers()))
    box.runner.services = tuple(service.name for service in plan.services)
    up(box.world(), UpRequest(stack="s", selection=selection))


def selected(
    *sets: str,
    profile: str = "smoke",
    addons: tuple[str, ...] = ("monitoring",),
    adapted: tuple[Adaptation, ...] = (NO_GRAFANA,),
) -> Selection:
    return Selection(profile=profile, addons=addons, sets=sets, adapted=adapted)


# ── asked for outright ────────────────────────────────────────────────────────────────────────


def warned(box: Box, *sets: str, profile: str = "smoke") -> list[CheckResult]:
    if profile == "rtx3060":
        box.facts = FakeFacts(with_card())
    selection = Selection(profile=profile, addons=("monitoring",), sets=sets)
    request = UpRequest(stack="s", selection=selection)
    report = planning(
        box.world(), selection, stack="s", make_fit=False, force=False, again=request.again_with
    )
    return [check for check in report.checks if check.name == "image"]


def test_a_plan_says_that_a_part_that_is_asked_for_cannot_be_had(box: Box) -> None:
    box.docker.absent, box.images.silent = frozenset({GRAFANA}), frozenset({"docker.io"})
    (check,) = warned(box, "addons.monitoring.grafana=always")
    assert check == CheckResult(
        name="image",
        status="warning",
        summary=f"{GRAFANA} is not here, docker.io does not answer, and no packages can replace "
        "it; with addons.monitoring.grafana=always `up` ends there",
        where="addons.monitoring.grafana",
        hint="deployctl up --profile smoke --with monitoring "
        "--set addons.monitoring.grafana=auto --stack s  # goes on without Grafana",
    )


@pytest.mark.parametrize(
    ("absent", "silent", "choice"),
    [
        (frozenset({GRAFANA}), frozenset(), "always"),  # its registry answers
        (frozenset(), frozenset({"docker.io"}), "always"),  # it is here
        (frozenset({GRAFANA}), frozenset({"docker.io"}), "auto"),  # told as what is left out
        (frozenset({GRAFANA}), frozenset({"docker.io"}), "never"),
    ],
)
def test_and_nothing_where_it_can_be_had_or_is_not_asked_for(
    box: Box, absent: frozenset[str], silent: frozenset[str], choice: str
) -> None:
    box.docker.absent, box.images.silent = absent, silent
    assert warned(box, f"addons.monitoring.grafana={choice}") == []


def test_each_part_is_told_by_its_own_name(box: Box) -> None:
    box.docker.absent = frozenset({GRAFANA, GPU_IMAGE})
    box.images.silent = frozenset({"docker.io"})
    (check,) = warned(box, "addons.monitoring.gpu=always", profile="rtx3060")
    assert check.where == "addons.monitoring.gpu"
    assert check.hint.endswith(
        "--set addons.monitoring.gpu=auto --stack s  # goes on without the exporter of the NVIDIA "
        "card"
    )


def test_up_asks_no_registry_about_what_it_pulls_anyway(box: Box) -> None:
    sets = ("addons.monitoring.grafana=always",)
    bring_up(box, selected(*sets, adapted=()))
    assert box.images.patience_s is None


# ── asked about in a stack that has it not ────────────────────────────────────────────────────


def refused(box: Box, name: str) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        logs(box.world("logs"), "s", (name,), follow=False, tail="1", on_line=lambda _line: None)
    (fault,) = caught.value.faults
    assert (fault.code, int(caught.value.exit_code)) == ("usage", 2)
    return fault


@pytest.mark.parametrize("addons", [("monitoring",), ("jupyter",), ()])
@pytest.mark.parametrize("sets", [(), ("addons.monitoring.gpu=never",)])
def test_no_card_no_exporter_whatever_is_on(
    box: Box, addons: tuple[str, ...], sets: tuple[str, ...]
) -> None:
    bring_up(box, selected(*sets, addons=addons, adapted=()))
    fault = refused(box, "gpu-exporter")
    assert fault.message == (
        "Stack s has no service or add-on 'gpu-exporter': its engine computes on no NVIDIA card "
        "(engine.device: cpu)."
    )
    assert fault.hint == "deployctl logs --stack s"


def test_an_exporter_that_up_left_out_is_told_with_its_reason(box: Box) -> None:
    bring_up(box, selected(profile="rtx3060", adapted=(NO_GRAFANA, NO_EXPORTER)))
    assert refused(box, "gpu-exporter").message == (
        "Stack s has no service or add-on 'gpu-exporter', which was left out: it is not there."
    )


@pytest.mark.parametrize(
    ("profile", "name", "key"),
    [("smoke", "grafana", PARTS["grafana"]), ("rtx3060", "gpu-exporter", PARTS["gpu-exporter"])],
)
@pytest.mark.parametrize("addons", [("monitoring",), ()])
def test_a_part_that_was_switched_off_is_told_with_the_setting(
    box: Box, profile: str, name: str, key: str, addons: tuple[str, ...]
) -> None:
    bring_up(box, selected(f"{key}=never", profile=profile, addons=addons, adapted=()))
    fault = refused(box, name)
    assert fault.message == (
        f"Stack s has no service or add-on '{name}': --set {key}=never switches it off."
    )
    assert fault.hint == (
        f"deployctl up --profile {profile} --with monitoring --set {key}=auto --stack s"
    )


def test_one_that_a_file_switches_off_is_told_with_its_line(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: smoke\naddons:\n  monitoring: {enabled: true, grafana: never}\n")
    bring_up(box, Selection(profile=str(file)))
    fault = refused(box, "grafana")
    assert f"`addons.monitoring.grafana: never` in {file}:3 switches it off" in fault.message
    assert fault.hint == f"deployctl up --profile {file} --set {PARTS['grafana']}=auto --stack s"


def test_a_page_that_was_switched_off_is_told_too_and_what_has_none_is_none(box: Box) -> None:
    sets = ("addons.monitoring.grafana=never", "addons.monitoring.gpu=never")
    bring_up(box, selected(*sets, adapted=()))
    seat = Seat(environment={}, platform="linux", user="ann")
    said = {}
    for name in PARTS:
        with pytest.raises(DeployctlError) as caught:
            open_window(box.world("open"), "s", seat, name)
        said[name] = str(caught.value)
    assert "--set addons.monitoring.grafana=never switches it off" in said["grafana"]
    assert "switches it off" not in said["gpu-exporter"]


def test_of_a_profile_that_is_gone_nothing_is_told(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: smoke\n")
    bring_up(box, Selection(profile=str(file)))
    file.unlink()
    assert refused(box, "grafana").message == "Stack s has no service or add-on 'grafana'."


@pytest.mark.parametrize("profile", ["smoke", "rtx3060"])
def test_each_part_is_a_service_with_its_key_and_none_without(profile: str) -> None:
    def services(choice: str) -> set[str]:
        sets = tuple(f"{key}={choice}" for key in keys)
        selection = selected(*sets, profile=profile, adapted=())
        return {s.name for s in build_plan(resolve(selection, CATALOG.readers())).services}

    bare = resolve(selected(profile=profile, adapted=()), CATALOG.readers())
    keys = tuple(part.key for part in build_plan(bare).optional)
    assert {PARTS[name] for name in services("always") - services("never")} == set(keys)
