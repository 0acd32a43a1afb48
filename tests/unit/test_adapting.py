"""What a profile leaves to the machine: which image its driver runs, which way leads to its card.

The machines are made of facts; nothing of this was tried on a card.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from deployctl.adapting import adaptations, changed_by
from deployctl.catalog import Catalog
from deployctl.deploy.drift import of_profile
from deployctl.deploy.kept import kept_selection
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError
from deployctl.model import CardAccess, Gpu, HostFacts, Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.selection import Adaptation, Selection
from deployctl.render import render
from deployctl.workspace import Workspace
from tests.fakes import GIB, FakeFacts, facts
from tests.world import Box
from tests.yamltext import parsed

CATALOG = Catalog({"HOME": "/nonexistent"})
NEW, OLD = "vllm/vllm-openai:v0.32.0", "vllm/vllm-openai:v0.32.0-cu129"


def machine(
    driver: str | None = "580.95.05", ways: tuple[CardAccess, ...] | None = ("reservation",)
) -> HostFacts:
    card = Gpu(
        name="NVIDIA GeForce RTX 3060",
        memory_bytes=12 * GIB,
        memory_free_bytes=int(11.5 * GIB),
        compute_capability="8.6",
        driver=driver,
    )
    known = None if ways is None else bool(ways)
    return facts(gpus=(card,), container_toolkit=known, card_access=ways)


def resolved(profile: str, *sets: str, adapted: tuple[Adaptation, ...] = ()) -> Profile:
    selection = Selection(profile=profile, sets=sets, adapted=adapted)
    return resolve(selection, CATALOG.readers())


def found(
    here: HostFacts, *sets: str, profile: str = "rtx3060", before: tuple[Adaptation, ...] = ()
) -> dict[str, tuple[str, str]]:
    bare = resolved(profile, *sets)
    decided = adaptations(bare, build_plan(bare), here, before)
    return {each.key: (each.value, each.reason) for each in decided}


def as_on(here: HostFacts, *sets: str) -> Plan:
    bare = resolved("rtx3060", *sets)
    decided = adaptations(bare, build_plan(bare), here)
    return build_plan(resolved("rtx3060", *sets, adapted=decided))


# ── the image ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("driver", "image", "reason"),
    [
        ("610.57.04", NEW, "driver 610.57.04 is 580 or newer"),
        ("580.65.06", NEW, "driver 580.65.06 is 580 or newer"),
        ("570.86", OLD, f"driver 570.86 is older than 580, which {NEW} needs"),
        ("525.60.13", OLD, f"driver 525.60.13 is older than 580, which {NEW} needs"),
        ("470.57", OLD, f"driver 470.57 is older than 580, which {NEW} needs"),
    ],
)
def test_the_driver_decides_which_build_of_the_release_it_is(
    driver: str, image: str, reason: str
) -> None:
    assert found(machine(driver))["engine.image"] == (image, reason)


def test_what_the_card_needs_of_its_driver_follows_the_image() -> None:
    def needed(plan: Plan) -> int | None:
        assert plan.requirements.card is not None
        return plan.requirements.card.driver

    assert needed(build_plan(resolved("rtx3060"))) == 580
    assert needed(as_on(machine("550.54.14"))) == 525
    assert needed(as_on(machine("550.54.14"), "requires.gpu.driver=560")) == 560
    assert needed(as_on(machine(), "engine.image=example.org/vllm:1")) is None


def test_an_image_of_one_s_own_stays() -> None:
    for own in ("example.org/vllm:1", NEW):
        assert "engine.image" not in found(machine("550.54.14"), f"engine.image={own}")
    engine = as_on(machine("550.54.14"), "engine.image=example.org/vllm:1").service("engine")
    assert (engine.image.reference, engine.image.by_driver) == ("example.org/vllm:1", ())


def test_a_profile_that_names_both_is_adapted_and_one_that_names_the_image_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    catalog = Catalog({"DEPLOYCTL_HOME": str(tmp_path)})

    def image(engine: str) -> list[str]:
        (folder / "own.yaml").write_text(f"extends: rtx3060\nengine:\n{engine}")
        bare = resolve(Selection(profile="own"), catalog.readers())
        decided = adaptations(bare, build_plan(bare), machine("550.54.14"))
        return [each.value for each in decided if each.key == "engine.image"]

    assert image("  image: example.org/v:1\n") == []
    both = '  images:\n    "580": example.org/v:1\n    "525": example.org/v:1-cu129\n'
    assert image(f"  image: example.org/v:1\n{both}") == ["example.org/v:1-cu129"]
    assert image('  images:\n    "550": example.org/v:2\n') == ["example.org/v:2"]


def test_a_profile_without_a_card_leaves_nothing_to_it() -> None:
    assert found(machine(), profile="smoke-vllm") == {}
    assert found(machine(), profile="vulkan") == {}
    assert "engine.image" not in found(machine("535.1"), profile="gpu-6gb-gguf")


def test_what_a_machine_does_not_tell_now_stays_as_it_was() -> None:
    before = adaptations(
        resolved("rtx3060"), build_plan(resolved("rtx3060")), machine("550.54", ("cdi",))
    )
    asleep = machine(None, None)
    assert found(asleep, before=before) == {each.key: (each.value, each.reason) for each in before}
    assert found(asleep) == {}
    assert found(machine("580.1"), before=before)["engine.image"][0] == NEW


def test_the_key_of_an_image_is_a_driver() -> None:
    with pytest.raises(DeployctlError) as refused:
        resolved("rtx3060", "engine.images.newest=example.org/v:1")
    assert refused.value.faults[0].where == "--set engine.images.newest"


def test_nvidia_s_own_question_is_left_out_where_the_driver_was_judged() -> None:
    def asked(plan: Plan) -> bool:
        return ("NVIDIA_DISABLE_REQUIRE", "1") not in plan.service("engine").environment

    assert asked(build_plan(resolved("rtx3060")))
    assert not asked(as_on(machine("550.54.14")))
    assert not asked(build_plan(resolved("gpu-6gb-gguf")))
    assert asked(as_on(machine("550.54.14"), "engine.image=example.org/vllm:1"))


# ── the way to the card ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ways", "access"),
    [
        (("reservation", "cdi", "runtime"), "reservation"),
        (("reservation", "runtime"), "reservation"),
        (("reservation", "cdi"), "reservation"),
        (("cdi",), "cdi"),
    ],
)
def test_cdi_where_docker_has_nothing_else(ways: tuple[CardAccess, ...], access: str) -> None:
    value, reason = found(machine(ways=ways))["engine.gpu_access"]
    assert value == access
    assert reason


def test_a_way_that_was_asked_for_stays_and_none_is_made_up() -> None:
    asked = found(machine(ways=("cdi",)), "engine.gpu_access=runtime")
    assert "engine.gpu_access" not in asked
    assert "engine.gpu_access" not in found(machine(ways=()))


def rendered(plan: Plan) -> dict[str, Any]:
    text = render(plan, CATALOG.templates_dir).text("compose.yaml")
    engine: dict[str, Any] = parsed(text)["services"]["engine"]
    return engine


def test_each_way_is_asked_of_docker_in_its_own_words() -> None:
    def devices(engine: dict[str, Any]) -> Any:
        return engine.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")

    plain = rendered(build_plan(resolved("rtx3060")))
    assert devices(plain) == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert "runtime" not in plain
    assert "CUDA_VISIBLE_DEVICES" not in plain["environment"]
    cdi = rendered(build_plan(resolved("rtx3060", "engine.gpu_access=cdi")))
    assert devices(cdi) == [
        {"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}
    ]
    assert cdi["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    runtime = rendered(build_plan(resolved("gpu-4gb", "engine.gpu_access=runtime")))
    assert (devices(runtime), runtime["runtime"]) == (None, "nvidia")
    assert runtime["environment"]["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_a_template_that_asks_for_the_card_otherwise_is_a_bug_of_ours(tmp_path: Path) -> None:
    shutil.copytree(CATALOG.templates_dir, tmp_path, dirs_exist_ok=True)
    own = tmp_path / "compose.yaml.j2"
    wrong = own.read_text().replace("devices: {{ service.gpus }}", "devices: []")
    own.write_text(wrong)
    with pytest.raises(ValueError, match="does not say what the plan says"):
        render(build_plan(resolved("rtx3060")), tmp_path)


def test_the_same_values_give_the_same_bytes_whoever_decided_them() -> None:
    here = machine("550.54.14", ("cdi",))
    typed = resolved("rtx3060", f"engine.image={OLD}", "engine.gpu_access=cdi")
    assert rendered(as_on(here)) == rendered(build_plan(typed))
    assert changed_by(resolved("rtx3060"), adaptations(typed, build_plan(typed), here)) == ()
    assert rendered(as_on(machine())) == rendered(build_plan(resolved("rtx3060")))


# ── brought up ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(home=tmp_path, facts=FakeFacts(machine("550.54.14")))
    box.http.served_name = "deepseek-r1-1.5b"
    return box


def bring_up(box: Box) -> UpReport:
    return up(box.world(), UpRequest(stack="s", selection=Selection(profile="rtx3060")))


def test_up_says_what_the_machine_decided_and_again_changes_nothing(box: Box) -> None:
    report = bring_up(box)
    reason = f"driver 550.54.14 is older than 580, which {NEW} needs"
    assert f"engine.image is {OLD}: {reason}" in box.talk.said
    assert report.images[0].reference == OLD
    assert [each.reason for each in report.adapted if each.key == "engine.image"] == [reason]
    assert not bring_up(box).changed


def test_a_driver_that_was_updated_is_why_the_image_changes(box: Box) -> None:
    bring_up(box)
    box.facts = FakeFacts(machine("580.95.05"))
    report = bring_up(box)
    (cause,) = [c for c in report.changes[0].causes if c.startswith("image ")]
    assert cause.endswith("(driver 580.95.05 is 580 or newer)")
    assert report.images[0].reference == NEW
    left_out = [c for c in report.changes[0].causes if "NVIDIA_DISABLE_REQUIRE" in c]
    assert left_out == ["NVIDIA_DISABLE_REQUIRE 1 → absent (driver 580.95.05 is 580 or newer)"]


def test_a_change_of_the_way_to_the_card_is_told_with_its_reason(box: Box) -> None:
    bring_up(box)
    box.facts = FakeFacts(machine("550.54.14", ("cdi",)))
    causes = bring_up(box).changes[0].causes
    assert any("(Docker knows the card by CDI" in each for each in causes)


def test_what_was_decided_is_on_record_and_no_word_of_a_hint(box: Box) -> None:
    bring_up(box)
    manifest = Workspace(box.home, "s").manifest()
    assert manifest is not None
    kept = kept_selection(manifest)
    assert {each.key for each in kept.adapted} == {"engine.image", "engine.gpu_access"}
    assert kept.words == ("--profile", "rtx3060")
    # Nobody asks the machine: the plan is that of the containers.
    plan = build_plan(resolve(kept, CATALOG.readers()))
    assert plan.service("engine").image.reference == OLD


def test_what_runs_is_not_as_asked_any_more_after_the_driver_was_updated(box: Box) -> None:
    bring_up(box)
    space = Workspace(box.home, "s")
    manifest = space.manifest()
    assert manifest is not None

    def seen(here: HostFacts) -> list[str]:
        box.facts = FakeFacts(here)
        return [each.what for each in of_profile(box.world(), space, manifest, "again")]

    assert seen(machine("550.54.14")) == []
    assert seen(machine(None, None)) == []  # a card that does not answer is no other driver
    (what,) = seen(machine("580.95.05"))
    assert "(driver 580.95.05 is 580 or newer)" in what


def test_a_driver_that_is_too_old_for_every_image_is_refused_by_the_oldest(box: Box) -> None:
    box.facts = FakeFacts(machine("470.57.02"))
    with pytest.raises(DeployctlError) as refused:
        bring_up(box)
    fault = refused.value.faults[0]
    assert fault.code == "gpu-driver-old"
    assert f"470.57.02; {OLD} of profile rtx3060 needs 525" in fault.message


def test_a_way_that_docker_does_not_have_is_refused_with_one_that_it_has(box: Box) -> None:
    box.facts = FakeFacts(machine(ways=("cdi",)))
    selection = Selection(profile="rtx3060", sets=("engine.gpu_access=runtime",))
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), UpRequest(stack="deployctl", selection=selection))
    fault = refused.value.faults[0]
    assert fault.code == "gpu-toolkit-missing"
    assert fault.hint.startswith("deployctl up --profile rtx3060 --set engine.gpu_access=cdi")


@pytest.mark.parametrize(
    ("driver", "profile", "image"),
    [
        ("550.54.14", "rtx3060", OLD),
        ("470.57.02", "cpu-only", "ghcr.io/ggml-org/llama.cpp:server-b11434"),
    ],
)
def test_auto_judges_profiles_as_this_machine_would_have_them(
    box: Box, driver: str, profile: str, image: str
) -> None:
    box.facts = FakeFacts(machine(driver))
    report = up(box.world(), UpRequest(stack="s"))
    assert (report.profile, report.images[0].reference) == (profile, image)
