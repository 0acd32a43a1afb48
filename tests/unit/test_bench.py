"""Loads, figures, remarks and verdicts: what a measurement says, from made-up answers."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployctl.bench.figures import level_of, percentile, share_of
from deployctl.bench.nouns import Bound, Level, Measured, Shape, Spread, Subject, Timed, Used
from deployctl.bench.questions import WORDS, question, words_for
from deployctl.bench.regress import comparable, last_comparable, verdict
from deployctl.bench.remarks import remarks
from deployctl.benchhistory import History
from deployctl.deploy.load import BrokenError, Load
from deployctl.deploy.measuring import measured
from deployctl.errors import DeployctlError
from deployctl.journal import Journal
from deployctl.meters import PackageEnergy, card_use, parse_card_use
from tests.benchworld import BenchBox, bench_box
from tests.scripted import ScriptedRunner

USED = Used(seconds=10.0, engine_cpus=2.0, own_cpus=0.05)
BOUND = Bound(bytes_per_s=50e9, weights_bytes=100_000_000, kv_bytes_per_token=23_040, of="memory")


def timed(first: float = 0.5, tokens: int = 101, gap: float = 0.01, sent: float = 0.0) -> Timed:
    start = sent + first
    return Timed(
        sent=sent,
        first=start,
        last=start + gap * (tokens - 1),
        tokens=tokens,
        prompt_tokens=128,
        cached_tokens=8,
        gaps=(gap,) * (tokens - 1),
    )


def level(**changes: object) -> Level:
    made = level_of(1, [[timed()], [timed()]], USED, BOUND, at_once=4)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


SUBJECT = Subject(
    host="box",
    stack="deployctl",
    profile="smoke",
    model="SmolLM2",
    served_name="smollm2-135m",
    engine="llama.cpp",
    images={"engine": "sha256:1"},
    weights="/models/x 1",
    settings="abc",
)


def run(at: str = "2026-01-01T00:00:00Z", rate: float = 100.0, **changes: object) -> Measured:
    one = level(total_rate=Spread(median=rate, low=rate * 0.99, high=rate * 1.01))
    made = Measured(
        subject=SUBJECT,
        at=at,
        shape=Shape(streams=(1,), rounds=2),
        seed=7,
        load_s=1.5,
        memory_bytes=200_000_000,
        memory_place="ram",
        levels=(one,),
        bound=BOUND,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


# ── figures ───────────────────────────────────────────────────────────────────────────────────


def test_a_level_counts_what_a_person_with_a_watch_would() -> None:
    # Two at once, both begun at 0: 202 tokens until 1.5 s; each is written in 1 s of that.
    found = level_of(2, [[timed(), timed()]], USED, None, at_once=2)
    assert found.total_rate.median == pytest.approx(202 / 1.5)
    assert found.stream_rate is not None
    assert found.stream_rate.median == pytest.approx(100)
    assert (found.first_token_p50_s, found.inter_token_p50_s) == (0.5, 0.01)
    assert found.cached_share == pytest.approx(8 / 128)
    assert found.ceiling_share is None


def test_the_spread_is_that_of_the_rounds() -> None:
    found = level_of(1, [[timed(gap=0.01)], [timed(gap=0.02)]], USED, None, at_once=1).total_rate
    assert [found.low, found.high] == pytest.approx([101 / 2.5, 101 / 1.5])
    assert found.width == pytest.approx((found.high - found.low) / found.median)


def test_the_share_of_the_ceiling_counts_weights_once_and_each_conversation() -> None:
    one = share_of(BOUND, 100, 1, context=0)
    assert one == pytest.approx(100 * 0.1 / 50)
    both = share_of(BOUND, 100, 2, context=1000)
    assert both == pytest.approx(100 * (100_000_000 + 2 * 1000 * 23_040) / 50e9)


def test_more_streams_than_places_read_no_more_at_once() -> None:
    crowd = level_of(16, [[timed()] * 16], USED, BOUND, at_once=2)
    few = level_of(2, [[timed()] * 2], USED, BOUND, at_once=2)
    assert crowd.ceiling_share == pytest.approx(few.ceiling_share)


def test_energy_is_for_a_thousand_tokens() -> None:
    used = dataclasses.replace(USED, watts=50.0, watts_of="card")
    found = level_of(1, [[timed(tokens=500)]], used, None, at_once=1)
    assert found.joules_per_1000 == pytest.approx(50 * 10 / 500 * 1000)


def test_an_answer_of_one_token_has_no_rate() -> None:
    assert level_of(1, [[timed(tokens=1)]], USED, BOUND, at_once=1).stream_rate is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_a_percentile_lies_among_the_values_and_grows(values: list[float], share: float) -> None:
    assert min(values) <= percentile(values, share) <= max(values)
    assert percentile(values, share / 2) <= percentile(values, share)


# ── questions ─────────────────────────────────────────────────────────────────────────────────


def test_no_two_questions_begin_alike_and_a_seed_gives_the_same_again() -> None:
    asked = [question(40, seed=3, number=n) for n in range(64)]
    assert len({" ".join(text.split()[:5]) for text in asked}) == 64
    assert asked == [question(40, seed=3, number=n) for n in range(64)]
    assert question(40, seed=4, number=0) != asked[0]


def test_the_words_are_words_each_once() -> None:
    assert len(set(WORDS)) == len(WORDS) > 100
    assert all(word.isalpha() and word.islower() for word in WORDS)


@given(st.integers(1, 4000), st.integers(0, 60), st.floats(1.0, 2.0))
def test_words_for_a_length_are_found_from_two_counts(
    tokens: int, template: int, each: float
) -> None:
    def count(words: int) -> int:
        return round(template + each * words)

    words = words_for(tokens, [(4, count(4)), (204, count(204))])
    assert words == 1 or abs(count(words) - tokens) <= max(3, 0.02 * tokens)


# ── remarks ───────────────────────────────────────────────────────────────────────────────────


def said(found: Level, bound: Bound | None = BOUND, at_once: int = 4, **shape: int) -> str:
    asked = Shape(output_tokens=shape.get("output_tokens", 101))
    return " ".join(remarks([found], asked, bound, at_once=at_once, unbound="nobody knows"))


def test_a_quiet_run_needs_no_remark() -> None:
    assert said(level()) == ""


def test_a_figure_above_the_ceiling_is_never_silent() -> None:
    assert "125 % of what the memory can give, which cannot be" in said(level(ceiling_share=1.25))


def test_rounds_far_apart_short_answers_a_warm_cache_and_our_own_share_are_told() -> None:
    apart = level(total_rate=Spread(median=100, low=80, high=120))
    assert "the rounds lie 40 % apart" in said(apart)
    assert "answers of 101 tokens where 200 were asked for" in said(level(), output_tokens=200)
    assert "Up to 70 % of the questions came out of the prefix cache" in said(
        level(cached_share=0.7)
    )
    busy = dataclasses.replace(USED, own_cpus=0.5)
    assert "measuring itself took 0.50 processors" in said(level(used=busy))


def test_questions_longer_than_asked_for_are_told() -> None:
    assert "Questions of 42 tokens where 128" in said(level(prompt_tokens=42.0))
    assert said(level(prompt_tokens=120.5)) == ""


def test_who_waits_in_line_and_what_is_not_known_is_told() -> None:
    assert "answers 2 at once: with 16 the others wait" in said(level(streams=16), at_once=2)
    assert "No share of the ceiling: nobody knows." in said(level(), bound=None)


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "trend"), [(100.0, "same"), (103.0, "same"), (120.0, "faster"), (80.0, "slower")]
)
def test_a_run_is_held_against_the_one_before(rate: float, trend: str) -> None:
    assert verdict(run(rate=100.0), run(rate=rate)).trend == trend


def test_what_lies_within_the_spread_is_no_difference() -> None:
    wide = level(total_rate=Spread(median=100, low=80, high=120))
    then = run(levels=(wide,))
    assert verdict(then, run(rate=90.0)).trend == "same"


def test_memory_and_load_are_told_and_decide_nothing() -> None:
    found = verdict(run(), run(memory_bytes=400_000_000, load_s=30.0))
    assert found.trend == "same"
    trends = {each.what: each.trend for each in found.differences}
    assert (trends["memory, bytes"], trends["load, s"]) == ("slower", "slower")


@pytest.mark.parametrize("name", ["host", "profile", "model", "engine", "weights", "images"])
def test_only_the_same_thing_is_compared(name: str) -> None:
    value = {"engine": "sha256:2"} if name == "images" else "other"
    other = dataclasses.replace(SUBJECT, **{name: value})  # type: ignore[arg-type]
    assert not comparable(run(subject=other), run())


def test_another_load_is_no_comparison_other_settings_are_one_and_said() -> None:
    assert not comparable(run(shape=Shape(streams=(1,), rounds=2, prompt_tokens=64)), run())
    other = run(subject=dataclasses.replace(SUBJECT, settings="def"))
    assert comparable(other, run())
    assert verdict(other, run()).other_settings


def test_a_level_that_was_ended_in_the_middle_is_held_against_nothing() -> None:
    cut = run(levels=(level(requests=1),), ended="failed")
    assert not comparable(cut, run())
    assert not comparable(run(), cut)


def test_the_latest_of_its_kind_is_taken() -> None:
    first, second = run(at="2026-01-01T00:00:00Z"), run(at="2026-01-02T00:00:00Z")
    foreign = run(subject=dataclasses.replace(SUBJECT, profile="rtx3060"))
    assert last_comparable([first, second, foreign], run()) == second
    assert last_comparable([foreign], run()) is None


# ── journal and history ───────────────────────────────────────────────────────────────────────


def test_a_history_gives_back_what_was_kept(tmp_path: Path) -> None:
    history = History(tmp_path, "deployctl")
    assert history.read().runs == ()
    history.keep(run(rate=1.0))
    history.keep(run(rate=2.0))
    assert history.read().runs == (run(rate=1.0), run(rate=2.0))
    assert history.path.stat().st_mode & 0o777 == 0o600


def test_a_line_cut_short_costs_only_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    with journal.path.open("a") as file:
        file.write('{"n": 2, "cu')
    journal.append({"n": 3})
    found = journal.read()
    assert [row["n"] for row in found.rows] == [1, 3]
    assert found.damaged == (2,)


def test_what_another_version_wrote_is_counted_and_kept(tmp_path: Path) -> None:
    history = History(tmp_path, "deployctl")
    Journal(history.path).append({"measured": {"from": "the future"}})
    history.keep(run())
    assert (len(history.read().runs), history.read().unread) == (1, 1)


def test_two_commands_cannot_hold_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    with journal.held("tune"), pytest.raises(DeployctlError) as refused, journal.held("tune"):
        pass
    assert refused.value.faults[0].code == "journal-busy"
    with journal.held("tune"):  # and afterwards it is free
        pass


# ── meters ────────────────────────────────────────────────────────────────────────────────────


def test_energy_counters_are_added_up_and_begin_anew_when_full(tmp_path: Path) -> None:
    zones = []
    named = {"0": "package-0", "1": "package-1", "2": "psys", "0:0": "core"}
    for number, name in named.items():
        zone = tmp_path / "sys/class/powercap" / f"intel-rapl:{number}"
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "max_energy_range_uj").write_text("1000000000\n")
        (zone / "energy_uj").write_text("999000000\n")
        zones.append(zone)
    energy = PackageEnergy(tmp_path)
    assert energy.joules() == 0
    (zones[0] / "energy_uj").write_text("999500000\n")
    (zones[1] / "energy_uj").write_text("1000000\n")  # over its end
    for zone in zones[2:]:  # they hold the packages once more, or are a part of them
        (zone / "energy_uj").write_text("999900000\n")
    assert energy.joules() == pytest.approx(0.5 + 2.0)


def test_a_machine_that_does_not_tell_its_energy_has_none(tmp_path: Path) -> None:
    assert PackageEnergy(tmp_path).joules() is None
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")  # there, and only root may read the rest
    assert PackageEnergy(tmp_path).joules() is None


def test_what_nvidia_smi_says_of_load_power_and_memory() -> None:
    found = parse_card_use("50, 120.5, 4096\n100, 80.25, 2048\n")
    assert found is not None
    assert (found.share, found.watts) == (0.75, 200.75)
    assert found.memory_bytes == 6144 * 1024**2
    silent = parse_card_use("[N/A], [Not Supported], 300\n")
    assert silent is not None
    assert (silent.share, silent.watts) == (None, None)
    assert parse_card_use("No devices were found\n") is None


def test_a_tool_that_fails_says_nothing() -> None:
    assert card_use(ScriptedRunner({"nvidia-smi": (9, "", "driver")}), "nvidia-smi") is None
    assert card_use(ScriptedRunner({"nvidia-smi": "1, 2, 3\n"}), "nvidia-smi") is not None


# ── the load, on an engine of fakes ───────────────────────────────────────────────────────────


@pytest.fixture
def box(tmp_path: Path) -> BenchBox:
    return bench_box(tmp_path)


SHAPE = Shape(streams=(1, 4), prompt_tokens=100, output_tokens=51, rounds=2)


def test_every_level_is_warmed_up_and_measured(box: BenchBox) -> None:
    found = measured(box.world("bench"), "deployctl", SHAPE, seed=1)
    assert [level.streams for level in found.levels] == [1, 4]
    assert [level.requests for level in found.levels] == [2, 8]
    one = found.levels[0]
    assert one.first_token_p50_s == pytest.approx(0.5)
    assert one.stream_rate is not None
    assert one.stream_rate.median == pytest.approx(100)
    assert one.total_rate.median == pytest.approx(51 / 1.0)
    assert abs(one.prompt_tokens - 100) <= 1
    assert (found.ended, found.faults) == ("", ())
    assert found.memory_bytes == 200 * 1024**2
    # two questions to count with, then a warm-up and two rounds for each level
    assert len(box.load.bodies) == 2 + 3 * (1 + 4)
    assert all(body["ignore_eos"] for body in box.load.bodies)


def test_questions_differ_unless_asked_otherwise(box: BenchBox) -> None:
    def texts(shape: Shape) -> list[str]:
        box.load.bodies.clear()
        measured(box.world("bench"), "deployctl", shape, seed=1)
        return [body["messages"][0]["content"] for body in box.load.bodies[2:]]

    fresh = texts(SHAPE)
    assert len(set(fresh)) == len(fresh)
    assert len(set(texts(dataclasses.replace(SHAPE, fresh=False)))) == 1


def test_an_answer_that_breaks_off_is_asked_again_once(box: BenchBox) -> None:
    box.load.breaks = 1
    assert measured(box.world("bench"), "deployctl", SHAPE, seed=1).ended == ""
    assert len(box.load.bodies) == 2 + 3 * (1 + 4) + 1


def test_a_token_that_is_no_text_is_no_broken_answer(box: BenchBox) -> None:
    """A parser that keeps `<think>` to itself: the one token that is counted with has no text."""
    box.load.hidden = 1
    found = measured(box.world("bench"), "deployctl", SHAPE, seed=1)
    assert (found.ended, found.levels[0].output_tokens) == ("", 51)


def test_a_time_that_is_up_keeps_what_there_is(box: BenchBox) -> None:
    box.load.stops_after = 2 + 3 + 4 + 4
    found = measured(box.world("bench"), "deployctl", SHAPE, seed=1, seconds=1.0)
    assert found.ended == "time"
    assert [level.requests for level in found.levels] == [2, 4]


def test_an_engine_that_writes_nothing_for_long_hangs(box: BenchBox) -> None:
    box.load.stops_after = 2 + 3 + 1
    box.load.while_stopped_s = 400
    with pytest.raises(DeployctlError) as hung:
        measured(box.world("bench"), "deployctl", replace_streams(4), seed=1)
    assert hung.value.faults[0].code == "engine-hung"


def replace_streams(streams: int) -> Shape:
    return dataclasses.replace(SHAPE, streams=(streams,))


def test_an_engine_that_gives_no_whole_answer_is_an_error(box: BenchBox) -> None:
    box.load.breaks = 10**6
    with pytest.raises(DeployctlError) as broken:
        measured(box.world("bench"), "deployctl", SHAPE, seed=1)
    assert broken.value.faults[0].code == "bench-broken"


def test_what_was_measured_before_the_engine_died_is_kept(box: BenchBox) -> None:
    box.load.dies_after = 2 + 3 + 4 + 4  # in the second round of four at once
    found = measured(box.world("bench"), "deployctl", SHAPE, seed=1)
    assert found.ended == "failed"
    assert [level.requests for level in found.levels] == [2, 4]
    assert found.faults[0].code.startswith("engine-")


def test_a_load_that_no_conversation_holds_is_refused_with_one_that_fits(box: BenchBox) -> None:
    shape = dataclasses.replace(SHAPE, output_tokens=4000)
    with pytest.raises(DeployctlError) as refused:
        measured(box.world("bench"), "deployctl", shape, seed=1)
    (fault,) = refused.value.faults
    assert (fault.code, fault.hint) == ("usage", f"--output-tokens {2048 - 100 - 64}")
    assert box.load.bodies == []


def test_an_engine_that_is_silent_is_asked_whether_it_lives(box: BenchBox) -> None:
    from deployctl.deploy.chat import connect

    asked = []

    def alive() -> None:
        asked.append(box.clock.now())
        raise DeployctlError("It hangs.", code="engine-hung", hint="x")

    world = box.world("bench")
    load = Load(world=world, at=connect(world, "deployctl").at, alive=alive)
    released = threading.Event()

    def never(*_: object, **__: object) -> object:
        box.load.clock.base += 60  # the time of all threads
        released.wait(20)
        raise OSError("gone")
        yield

    box.load.stream = never  # type: ignore[method-assign,assignment]
    with pytest.raises(DeployctlError) as hung:
        load.round(("hello",), 4)
    released.set()
    assert hung.value.faults[0].code == "engine-hung"
    assert len(asked) == 1


def test_a_refusal_is_a_broken_answer_with_its_words(box: BenchBox) -> None:
    from deployctl.deploy.chat import connect

    def refuse(*_: object, **__: object) -> object:
        raise OSError("HTTP 400: too long")
        yield

    box.load.stream = refuse  # type: ignore[method-assign,assignment]
    world = box.world("bench")
    load = Load(world=world, at=connect(world, "deployctl").at, alive=lambda: None)
    with pytest.raises(BrokenError, match="too long"):
        load.round(("hello",), 4)
