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
