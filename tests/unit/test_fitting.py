"""Proposals are values that an operator can type: they resolve, and they fit."""

from dataclasses import replace

import pytest

from deployctl.catalog import Catalog
from deployctl.fitting import Fitting, allowance, fitting
from deployctl.model import HostFacts
from deployctl.planner import build_plan
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.selection import Selection
from tests.fakes import facts

CATALOG = Catalog({"HOME": "/nonexistent"})
GIB = 1024**3


def profile(selection: Selection) -> Profile:
    return resolve(selection, CATALOG.readers())


def fitted(selection: Selection, host: HostFacts) -> Fitting:
    found = fitting(build_plan(profile(selection)), host)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "sets", "memory"),
    [
        ("gpu-6gb", ("model.context=131072",), 24),
        ("gpu-4gb", ("model.context=131072",), 24),
        ("rtx3060", ("concurrency=64", "model.context=131072"), 24),
        ("rtx3060", ("engine.kv_cache=100GiB",), 24),
        ("rtx3060", ("engine.kv_cache=100GiB", "model.context=131072", "concurrency=8"), 24),
        ("cpu-only", ("model.context=131072", "concurrency=8"), 8),
        ("cpu-only", (), 2.3),
        ("smoke", ("concurrency=64",), 2),
    ],
)
def test_what_is_proposed_resolves_and_fits(
    name: str, sets: tuple[str, ...], memory: float
) -> None:
    host = facts(memory_total_bytes=int(memory * GIB), memory_available_bytes=int(memory * GIB))
    asked = Selection(profile=name, sets=sets)
    found = fitted(asked, host)
    assert found.verdict == "no"
    assert found.proposals
    for proposal in found.proposals:
        selection = asked
        for key, value in proposal.sets:
            selection = selection.with_set(key, value)
        assert fitted(selection, host).verdict != "no", proposal


def test_what_fits_has_nothing_proposed() -> None:
    assert fitted(Selection(profile="smoke"), facts()).proposals == ()


def test_memory_that_nobody_knows_is_tight_not_refused() -> None:
    host = facts(memory_total_bytes=None, memory_available_bytes=None)
    assert fitted(Selection(profile="smoke"), host).verdict == "tight"


def test_only_weights_beyond_all_memory_are_impossible() -> None:
    small = facts(memory_total_bytes=GIB // 2, memory_available_bytes=GIB // 2)
    assert not fitted(Selection(profile="smoke"), small).impossible
    tiny = facts(memory_total_bytes=GIB // 16, memory_available_bytes=GIB // 16)
    assert fitted(Selection(profile="smoke"), tiny).impossible


def test_the_container_s_limit_leaves_room_for_the_prediction() -> None:
    for name in CATALOG.shipped_names():
        found = profile(Selection(profile=name))
        parts = fitted(Selection(profile=name), facts()).parts
        need = sum(p.bytes for p in parts if p.place == "ram" and p.name != "chat window")
        assert allowance(found.spec) > need, name


def test_the_ceiling_is_of_the_card_that_is_here_or_was_meant() -> None:
    from deployctl.model import Gpu

    meant = fitted(Selection(profile="rtx3060"), facts()).speed
    assert meant is not None
    assert 116 <= meant.tokens_per_s <= 117
    card = Gpu(name="NVIDIA GeForce RTX 4090", memory_bytes=24 * GIB, driver="580.1")
    here = fitted(Selection(profile="rtx3060"), replace(facts(), gpus=(card,))).speed
    assert here is not None
    assert here.tokens_per_s > 2 * meant.tokens_per_s
    unknown = replace(card, name="NVIDIA Something New")
    assert fitted(Selection(profile="rtx3060"), replace(facts(), gpus=(unknown,))).speed is None


def test_too_little_free_memory_is_proposed_for_like_too_little_in_all() -> None:
    host = facts(memory_total_bytes=8 * GIB, memory_available_bytes=int(2.2 * GIB))
    found = fitted(Selection(profile="cpu-only"), host)
    assert (found.verdict, found.short) == ("tight", True)
    assert found.proposals


def test_single_precision_takes_twice_as_much_and_is_half_as_fast() -> None:
    half = fitted(Selection(profile="gpu-8gb"), facts())
    full = fitted(Selection(profile="gpu-8gb", sets=("engine.dtype=float32",)), facts())
    parts = [{p.name: p.bytes for p in found.parts if p.place == "gpu"} for found in (half, full)]
    assert parts[1]["weights"] == 2 * parts[0]["weights"]
    assert parts[1]["conversations"] == 2 * parts[0]["conversations"]
    assert full.verdict == "no"
    assert half.speed is not None
    assert full.speed is not None
    assert full.speed.tokens_per_s < 0.6 * half.speed.tokens_per_s


def test_what_was_measured_counts_in_what_is_proposed() -> None:
    host = facts(memory_total_bytes=3 * GIB, memory_available_bytes=3 * GIB)
    plan = build_plan(profile(Selection(profile="cpu-only")))
    found = fitting(plan, host, learned={"working space": GIB})
    assert found is not None
    assert found.verdict == "no"
    for proposal in found.proposals:
        more = sum(part.bytes for part in proposal.parts if part.place == "ram")
        assert more + GIB * 0.8 < 3 * GIB


def test_a_pool_is_not_blamed_for_a_main_memory_that_is_too_small() -> None:
    host = facts(memory_total_bytes=2 * GIB, memory_available_bytes=2 * GIB)
    asked = Selection(profile="rtx3060", sets=("engine.kv_cache=20GiB",))
    assert fitted(asked, host).proposals == ()
