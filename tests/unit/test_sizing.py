"""Arithmetic of memory and speed, held against figures that were read or computed elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployctl.model import ModelShape
from deployctl.sizing import (
    Load,
    Part,
    Room,
    ceiling,
    impossible,
    judge,
    kv_bytes_per_token,
    need,
    parameters,
    proposals,
    read_per_token,
    weights_bytes,
)
from tests.shapes import LLAMA, QWEN, R1, SMOL

MIB, GIB = 1024**2, 1024**3


def load(**changes: object) -> Load:
    base = Load(
        engine="llama.cpp", device="cpu", shape=R1, format="q4_k_m", context=2048, concurrency=2
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def on_vllm(**changes: object) -> Load:
    base = Load(engine="vllm", device="cuda", shape=R1, format="bf16", context=8192, concurrency=8)
    return replace(replace(base, batch=2048), **changes)  # type: ignore[arg-type]  # the same


def total(parts: tuple[Part, ...], place: str = "ram") -> int:
    return sum(part.bytes for part in parts if part.place == place)


def rooms(gpu: float | None, free: float | None = None) -> tuple[Room, ...]:
    def size(gib: float | None) -> int | None:
        return None if gib is None else int(gib * GIB)

    return (
        Room(place="gpu", name="RTX 2060", total_bytes=size(gpu), free_bytes=size(free)),
        Room(place="ram", name="main memory", total_bytes=16 * GIB, free_bytes=None),
    )


@pytest.mark.parametrize(
    ("shape", "count"),
    [(R1, 1_777_088_000), (QWEN, 1_543_714_304), (LLAMA, 1_235_814_400), (SMOL, 134_515_008)],
)
def test_parameters_of_models_we_know(shape: ModelShape, count: int) -> None:
    assert parameters(shape) == count
    assert weights_bytes(shape, "BF16") == 2 * count


@pytest.mark.parametrize(
    ("shape", "form", "size"),
    [
        (SMOL, "q4_1", 96_576_768),  # the tensors of the file itself
        (R1, "q4_k_m", 1_111_370_240),  # the engine's log: 463.35 + 596.53 MiB
        (R1, "q8_0", 1_888_581_632),  # the engine's log: 1801.09 MiB
        (R1, "something of tomorrow", 1_888_581_632),
    ],
)
def test_weights_of_the_engines_own_formats(shape: ModelShape, form: str, size: int) -> None:
    assert weights_bytes(shape, form) == size


def test_conversations_by_type() -> None:
    assert kv_bytes_per_token(R1) == 28672
    assert kv_bytes_per_token(LLAMA) == 32768
    assert kv_bytes_per_token(R1, "q8_0") == 28672 * 17 // 32
    assert kv_bytes_per_token(R1, "bf16") == kv_bytes_per_token(R1, "f16")


def test_an_embedding_table_of_its_own_is_not_read_for_every_token() -> None:
    assert read_per_token(R1, "bf16") == 3_087_428_608
    assert read_per_token(QWEN, "bf16") == 3_087_428_608


def test_the_ceiling_of_an_rtx_3060() -> None:
    assert f"{ceiling(360e9, R1, 'bf16'):.1f}" == "116.6"


@pytest.mark.parametrize(
    ("changes", "mib"),
    [
        # The engine's own "compute buffer size" in MiB, with its "output buffer size" added.
        ({}, 69.52 + 1.16),
        ({"batch": 128}, 17.38 + 1.16),
        ({"batch": 2048}, 278.07 + 1.16),
        ({"context": 32768, "concurrency": 1}, 99.52 + 0.58),
        ({"context": 1000, "concurrency": 3}, 68.65 + 1.74),
        ({"shape": SMOL}, 16.64 + 0.38),
        ({"shape": SMOL, "context": 8192}, 22.64 + 0.38),
        ({"shape": LLAMA, "concurrency": 8}, 70.02 + 3.91),
    ],
)
def test_working_space_is_what_the_engine_reports(changes: dict[str, object], mib: float) -> None:
    # On a card, because on a processor a buffer comes on top that it does not report.
    parts = need(load(device="cuda", **changes))
    [space] = [part for part in parts if part.name == "working space"]
    assert space.bytes / MIB == pytest.approx(mib, rel=0.002)


@pytest.mark.parametrize(
    ("changes", "mib"),
    [
        # measured: VmHWM of llama-server, AVX2, all conversations filled
        ({}, 1311),
        ({"format": "q8_0"}, 2049),
        ({"shape": SMOL, "format": "q4_1"}, 235),
        ({"shape": SMOL, "format": "q4_1", "concurrency": 8}, 515),
        ({"shape": LLAMA, "format": "q4_0", "concurrency": 4}, 1118),
        ({"shape": QWEN, "kv_type": "q8_0", "batch": 1024}, 1202),
    ],
)
def test_main_memory_against_the_real_server(changes: dict[str, object], mib: float) -> None:
    assert total(need(load(**changes))) / MIB == pytest.approx(mib, rel=0.02)


def test_the_cache_comes_in_blocks_of_256_cells_per_conversation() -> None:
    [kv] = [p for p in need(load(context=1000, concurrency=3)) if p.name == "conversations"]
    assert kv.bytes == 84 * MIB  # the engine's log


def test_the_file_s_size_counts_where_it_is_known() -> None:
    [weights] = [p for p in need(load(weights_bytes=5 * MIB)) if p.name == "weights"]
    assert (weights.bytes, weights.basis) == (5 * MIB, "measured")


def test_on_a_card_the_embedding_table_stays_in_main_memory() -> None:
    parts = [part for part in need(load(device="cuda")) if part.name == "weights"]
    assert {part.place for part in parts} == {"gpu", "ram"}
    assert sum(part.bytes for part in parts) == weights_bytes(R1, "q4_k_m")


def test_vllm_holds_16_bit_weights_and_a_pool() -> None:
    parts = {p.name: p for p in need(on_vllm()) if p.place == "gpu"}
    assert parts["weights"].bytes == 3_554_176_000
    assert parts["conversations"].bytes == (8 * 8192 + 16) * 28672
    others = parts["working space"].bytes + parts["engine"].bytes
    assert 0.5 * GIB < others < 0.9 * GIB
    assert total(need(on_vllm(eager=True)), "gpu") < total(need(on_vllm()), "gpu")
    pool = {p.name: p for p in need(on_vllm(kv_pool_bytes=4 * GIB)) if p.place == "gpu"}
    assert pool["conversations"].bytes == 4 * GIB


@pytest.mark.parametrize(
    ("gpu", "free", "verdict"),
    [
        (12, 11, "fits"),
        (12, 5, "tight"),  # something else is using the card
        (6, 6, "tight"),  # a few MiB left
        (4, 4, "no"),
        (None, None, "tight"),
        (None, 12, "fits"),
        (None, 1, "tight"),
        (12, None, "fits"),
    ],
)
def test_verdicts(gpu: float | None, free: float | None, verdict: str) -> None:
    parts = (Part(place="gpu", name="weights", bytes=int(5.7 * GIB), basis="predicted", why=""),)
    [fit] = judge(parts, rooms(gpu, free))
    assert fit.verdict == verdict
    assert fit.reason.endswith(".")


def test_what_is_left_is_of_the_free_memory() -> None:
    parts = (Part(place="gpu", name="weights", bytes=2 * GIB, basis="predicted", why=""),)
    [fit] = judge(parts, rooms(12, 10))
    assert (fit.left_bytes, fit.reason) == (8 * GIB, "8.0 GiB are left (RTX 2060).")


def test_only_weights_that_exceed_all_memory_are_impossible() -> None:
    huge = need(on_vllm(context=131072))
    assert judge(huge, rooms(6))[0].verdict == "no"
    assert not impossible(huge, rooms(6))
    assert impossible(need(on_vllm()), rooms(3))
    assert not impossible(need(on_vllm()), rooms(None))


def test_a_context_that_is_too_long_is_proposed_shorter() -> None:
    first, *_ = proposals(on_vllm(context=131072, concurrency=2, eager=True), rooms(6))
    assert first.sets == (("model.context", "30720"),)
    assert first.keeps == "2 at once, conversations in f16"


def test_no_context_is_proposed_that_the_model_was_not_made_for() -> None:
    (only,) = proposals(on_vllm(context=10**7, concurrency=1, eager=True), rooms(24))
    assert only.sets == (("model.context", "131072"),)
    first, *_ = proposals(on_vllm(context=10**7, concurrency=2, eager=True), rooms(6))
    assert first.sets == (("model.context", "30720"),)


@pytest.mark.parametrize(("trained", "proposed"), [(1, None), (511, None), (900, 768)])
def test_a_model_made_for_little_is_proposed_whole_blocks_or_nothing(
    trained: int, proposed: int | None
) -> None:
    asked = on_vllm(context=10**7, concurrency=1, eager=True)
    asked = replace(asked, shape=replace(asked.shape, trained_context=trained))
    sets = [("model.context", str(proposed))] if proposed else []
    assert [one for each in proposals(asked, rooms(24)) for one in each.sets] == sets


def test_llama_cpp_may_also_keep_narrower_conversations() -> None:
    wanted = load(device="cuda", context=65536, concurrency=2)
    sets = [proposal.sets for proposal in proposals(wanted, rooms(4))]
    assert sets == [
        (("model.context", "43008"),),
        (("concurrency", "1"),),
        (("engine.kv_type", "q8_0"),),
    ]


def test_where_all_would_get_too_little_fewer_get_more() -> None:
    crowd = load(device="cuda", context=131072, concurrency=64)
    assert [proposal.sets for proposal in proposals(crowd, rooms(6, 5))] == [
        (("model.context", "1792"),),
        (("model.context", "3584"), ("concurrency", "32")),
    ]


def test_where_nothing_fits_well_less_than_is_free_now_is_proposed() -> None:
    """How much there is in all is not known: too little left over is better than too little."""
    smallest = total(need(load(context=512, concurrency=1)))
    free = Room(place="ram", name="memory", total_bytes=None, free_bytes=smallest + MIB)
    found = proposals(load(context=512), (free,))
    assert found
    for proposal in found:
        (fit,) = judge(proposal.parts, (free,))
        assert (fit.verdict, fit.need_bytes <= smallest + MIB) == ("tight", True)


def test_what_fits_needs_no_proposal_and_what_cannot_fit_has_none() -> None:
    assert proposals(load(), rooms(None)) == ()
    assert proposals(on_vllm(), rooms(3)) == ()


def test_what_lives_beside_takes_room() -> None:
    beside = (Part(place="ram", name="Open WebUI", bytes=12 * GIB, basis="claimed", why=""),)
    wanted = load(context=65536)
    assert proposals(wanted, rooms(None)) == ()
    assert proposals(wanted, rooms(None), beside=beside)[0].sets[0][0] == "model.context"
