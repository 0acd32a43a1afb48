"""Sizing never raises, never promises less for more, and proposes only what it would accept."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from deployctl.model import ModelShape
from deployctl.sizing import (
    Load,
    Place,
    Room,
    ceiling,
    impossible,
    is_short,
    judge,
    need,
    proposals,
)
from deployctl.sizing.shapes import BLOCKS

GIB = 1024**3


def positive(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most)


shapes = st.builds(
    ModelShape,
    architecture=st.sampled_from(["llama", "qwen2", "qwen3", "other"]),
    layers=positive(200),
    hidden=positive(20_000),
    feed_forward=positive(60_000),
    heads=positive(128),
    kv_heads=positive(128),
    head_dim=positive(512),
    vocabulary=positive(300_000),
    tied_embeddings=st.booleans(),
    trained_context=positive(1_000_000),
)
formats = st.sampled_from([*BLOCKS, "q4_k_m", "Q5_K_M", "q4_k_s", "q3_k_l", "iq3_m", "no format"])
loads = st.builds(
    Load,
    engine=st.sampled_from(["llama.cpp", "vllm"]),
    device=st.sampled_from(["cpu", "cuda", "vulkan"]),
    shape=shapes,
    format=formats,
    weights_bytes=st.none() | positive(100 * GIB),
    context=positive(300_000),
    concurrency=positive(300),
    kv_type=st.sampled_from(["f16", "q8_0", "q4_0", "bf16", "no type"]),
    batch=positive(8192),
    kv_pool_bytes=st.none() | positive(50 * GIB),
    eager=st.booleans(),
)
sizes = st.none() | st.integers(0, 200 * GIB)


def room(place: Place) -> st.SearchStrategy[Room]:
    return st.builds(
        Room, place=st.just(place), name=st.just(place), total_bytes=sizes, free_bytes=sizes
    )


rooms = st.tuples(room("gpu"), room("ram"))


def total(load: Load) -> int:
    return sum(part.bytes for part in need(load))


@given(load=loads, rooms=rooms)
@settings(max_examples=150)
def test_nothing_raises_and_everything_is_positive(load: Load, rooms: tuple[Room, Room]) -> None:
    parts = need(load)
    assert all(part.bytes >= 0 and part.why for part in parts)
    fits = judge(parts, rooms)
    assert {fit.place for fit in fits} == {part.place for part in parts}
    if impossible(parts, rooms):
        assert "no" in {fit.verdict for fit in fits}
    assert ceiling(1e9, load.shape, load.format) > 0


@given(load=loads, more=st.integers(1, 100_000), people=st.integers(1, 100))
@settings(max_examples=100)
def test_more_never_needs_less(load: Load, more: int, people: int) -> None:
    assert total(replace(load, context=load.context + more)) >= total(load)
    assert total(replace(load, concurrency=load.concurrency + people)) >= total(load)


@given(load=loads, rooms=rooms)
@settings(max_examples=60)
def test_proposals_pass_the_same_judge(load: Load, rooms: tuple[Room, Room]) -> None:
    short = any(is_short(fit) for fit in judge(need(load), rooms))
    for proposal in proposals(load, rooms):
        found = judge(proposal.parts, rooms)
        fits = {fit.verdict for fit in found} == {"fits"}
        assert fits or (short and not any(is_short(fit) for fit in found))
        assert proposal.sets
        for key, value in proposal.sets:
            if key == "model.context":
                assert 512 <= int(value) < load.context
                assert int(value) <= load.shape.trained_context
                assert int(value) % (256 if int(value) <= 8192 else 1024) == 0
            elif key == "concurrency":
                assert 1 <= int(value) < load.concurrency


@given(load=loads, total_bytes=st.integers(1, 100 * GIB), more=st.integers(0, 100 * GIB))
@settings(max_examples=60)
def test_more_memory_never_proposes_a_shorter_context(
    load: Load, total_bytes: int, more: int
) -> None:
    def context(size: int) -> int | None:
        both = (
            Room(place="gpu", name="card", total_bytes=size, free_bytes=None),
            Room(place="ram", name="main memory", total_bytes=size, free_bytes=None),
        )
        if all(fit.verdict == "fits" for fit in judge(need(load), both)):
            return load.context
        found = proposals(load, both)
        good = [p for p in found if {f.verdict for f in judge(p.parts, both)} == {"fits"}]
        sets = [dict(p.sets) for p in good if [key for key, _ in p.sets] == ["model.context"]]
        return int(sets[0]["model.context"]) if sets else None

    small, large = context(total_bytes), context(total_bytes + more)
    assert small is None or (large is not None and large >= small)
