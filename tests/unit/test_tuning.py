"""The search on machines made up: what it asks, what it adopts, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from deployctl.bench.nouns import Shape
from deployctl.profiles.units import UnitError
from deployctl.tuning import record
from deployctl.tuning.knobs import Processors, as_it_is, knobs, settings, written
from deployctl.tuning.nouns import Candidate, Knob, Outcome, Slo, Target, Try, Value
from deployctl.tuning.search import Search
from deployctl.tuning.slo import missed, parse_slo, reachable, words
from deployctl.tuning.state import State
from deployctl.tuning.worth import beats, worth
from tests.fakes import facts
from tests.profilefiles import shipped
from tests.tuningworld import Machine, driven, level, measured, result

BASE = Candidate(values={"concurrency": 2, "engine.cpus": None, "engine.batch": None})
KNOBS = (
    Knob(key="concurrency", now=2, values=(4, 3), about="at once", meets=("engine.batch",)),
    Knob(key="engine.cpus", now=None, values=(1,), about="threads", meets=("engine.batch",)),
    Knob(key="engine.batch", now=None, values=(1024, 256), about="read", meets=("engine.cpus",)),
)
THROUGHPUT = Target(goal="throughput", streams=4)
PEOPLE = Target(goal="people", streams=2, slo=Slo(first_token_s=2.0))


def search(
    target: Target = THROUGHPUT, *, budget_s: float = 10_000, earlier: tuple[str, ...] = ()
) -> Search:
    return Search(BASE, KNOBS, target, budget_s=budget_s, earlier=earlier)


def rate_by(gains: Mapping[tuple[str, Value], float], spread: float = 0.01) -> Machine:
    """A machine on which each value of a knob has its own factor."""

    def machine(asked: Try) -> Outcome:
        rate = 100.0
        for key, now in asked.candidate.values.items():
            rate *= gains.get((key, now), 1.0)
        return measured(level(rate, spread=spread))

    return machine


# ── one knob after another ────────────────────────────────────────────────────────────────────


def test_the_profile_as_it_is_comes_first_and_knobs_in_their_order() -> None:
    asked = driven(search(), rate_by({}))
    changed = [dict(each.candidate.changed(BASE)) for each in asked]
    assert changed == [
        {},
        {"concurrency": 4},
        {"concurrency": 3},
        {"engine.cpus": 1},
        {"engine.batch": 1024},
        {"engine.batch": 256},
    ]


def test_what_is_best_of_each_is_kept_and_measured_again_in_turns() -> None:
    gains: dict[tuple[str, Value], float] = {
        ("concurrency", 4): 1.5,
        ("concurrency", 3): 1.2,
        ("engine.batch", 256): 1.1,
    }
    one = search()
    asked = driven(one, rate_by(gains))
    found = result(one)
    best = {"concurrency": 4, "engine.batch": 256}
    assert dict(found.changes) == best
    confirming = [each for each in asked if each.pair]
    changed = [dict(each.candidate.changed(BASE)) for each in confirming]
    assert changed == [{}, best, {}, best]
    assert found.confirmed is not None
    assert found.confirmed.gain.median == pytest.approx(1.65)
    assert found.confirmed.gain.low == pytest.approx(1.65 * 0.99 / 1.01)
    assert [(step.key, step.before, step.after) for step in found.steps] == [
        ("concurrency", 2, 4),
        ("engine.batch", None, 256),
    ]


def test_what_lies_within_the_spread_is_no_better() -> None:
    one = search()
    driven(one, rate_by({("concurrency", 4): 1.1}, spread=0.06))
    assert result(one).winner is None
    assert "beyond the spread" in result(one).why


def test_what_is_hardly_better_is_not_worth_a_line() -> None:
    one = search()
    driven(one, rate_by({("concurrency", 4): 1.02}, spread=0.0))
    assert result(one).winner is None


def test_a_knob_is_turned_again_where_another_has_changed_since() -> None:
    """Fewer threads pay only with the larger batch, which is found after them."""

    def machine(asked: Try) -> Outcome:
        batch, cpus = asked.candidate.values["engine.batch"], asked.candidate.values["engine.cpus"]
        rate = 100.0 * (1.2 if batch == 1024 else 1.0)
        return measured(level(rate * (1.3 if batch == 1024 and cpus == 1 else 1.0)))

    one = search()
    driven(one, machine)
    assert dict(result(one).changes) == {"engine.batch": 1024, "engine.cpus": 1}


def test_a_winner_that_is_no_better_the_second_time_is_none() -> None:
    def machine(asked: Try) -> Outcome:
        lucky = not asked.pair and asked.candidate.values["engine.cpus"] == 1
        return measured(level(150 if lucky else 100))

    one = search()
    driven(one, machine)
    assert result(one).winner is None
    assert "when both were measured again" in result(one).why


def test_candidates_that_fail_or_do_not_fit_are_kept_with_their_cause() -> None:
    def machine(asked: Try) -> Outcome:
        if asked.candidate.values["concurrency"] == 4:
            return Outcome(failed="failed: it died [engine-crashed]", took_s=5)
        if asked.candidate.values["concurrency"] == 3:
            return Outcome(skipped="skipped: it does not fit")
        return measured(level(130 if asked.candidate.values["engine.cpus"] == 1 else 100))

    one = search()
    driven(one, machine)
    verdicts = [each.verdict for each in one.tried]
    assert verdicts[:4] == [
        "as it is",
        "failed: it died [engine-crashed]",
        "skipped: it does not fit",
        "better: adopted",
    ]
    assert dict(result(one).changes) == {"engine.cpus": 1}


def test_without_the_profile_as_it_is_there_is_nothing_to_say() -> None:
    one = search()
    assert len(driven(one, lambda _asked: Outcome(failed="failed"))) == 1
    assert one.found is None


# ── the SLO ───────────────────────────────────────────────────────────────────────────────────


def test_what_misses_the_slo_is_out_however_fast_it_is() -> None:
    def machine(asked: Try) -> Outcome:
        many = asked.candidate.values["concurrency"] == 4
        return measured(level(300 if many else 100, first_s=3.0 if many else 1.0))

    one = search(Target(goal="throughput", streams=4, slo=Slo(first_token_s=2.0)))
    driven(one, machine)
    assert result(one).winner is None
    assert one.tried[1].verdict == "misses: first token (p95) after 3.00 s, not 2s"


def test_what_keeps_to_the_slo_wins_where_the_profile_does_not() -> None:
    def machine(asked: Try) -> Outcome:
        many = asked.candidate.values["concurrency"] == 4
        return measured(level(90 if many else 100, first_s=1.0 if many else 5.0))

    one = search(Target(goal="throughput", streams=4, slo=Slo(first_token_s=2.0)))
    driven(one, machine)
    assert dict(result(one).changes) == {"concurrency": 4}


def test_an_slo_that_nothing_keeps_to_is_said_with_what_can_be_kept() -> None:
    slo = Slo(first_token_s=0.1)
    one = search(Target(goal="throughput", streams=4, slo=slo))
    driven(one, rate_by({}))
    assert not result(one).reached
    levels = [each.outcome.level for each in one.tried if each.outcome.level]
    assert reachable(levels, slo, "throughput") == ("ttft=600ms",)


def test_an_slo_for_people_allows_for_slow_answers_where_nothing_else_is_left() -> None:
    slow = level(3, first_s=1.0, between_s=0.33, streams=1)
    assert reachable([slow], Slo(first_token_s=2.0), "people") == ("ttft=2s", "itl=400ms")
    assert missed(slow, Slo(first_token_s=2.0, inter_token_s=0.4), "people") == ()


def test_latency_is_how_soon_a_whole_answer_is_there() -> None:
    target = Target(goal="latency", streams=1)
    soon = worth(level(50, first_s=0.2, between_s=0.02, streams=1), target)
    late = worth(level(90, first_s=2.0, between_s=0.02, streams=1), target)
    assert beats(soon, late)
    assert not beats(late, soon)


def test_latency_is_as_certain_as_the_seconds_that_are_compared() -> None:
    """Tokens a second of all answers may lie together where the answers' seconds do not."""
    target = Target(goal="latency", streams=4)
    soon = level(100, first_s=0.2, between_s=0.020, answer_spread=0.2)
    late = level(100, first_s=0.2, between_s=0.022, answer_spread=0.2)
    assert not beats(worth(soon, target), worth(late, target))
    steady = level(100, first_s=0.2, between_s=0.020, spread=0.2, answer_spread=0.01)
    other = level(100, first_s=0.2, between_s=0.022, spread=0.2, answer_spread=0.01)
    assert beats(worth(steady, target), worth(other, target))


# ── people ────────────────────────────────────────────────────────────────────────────────────


def carrying(most: Mapping[Value, int]) -> Machine:
    """A machine that carries so many at once, by the batch; as it is only two."""

    def machine(asked: Try) -> Outcome:
        values = asked.candidate.values
        carried = most.get(values["engine.batch"], 0)
        streams = asked.streams
        keeps = streams <= min(carried, int(str(values["concurrency"])))
        return measured(level(100.0, first_s=1.0 if keeps else 4.0, streams=min(streams, 15)))

    return machine


def test_the_most_people_at_once_is_found_by_doubling_and_halving() -> None:
    one = search(PEOPLE)
    asked = driven(one, carrying({None: 11}))
    found = result(one)
    assert found.streams == 11
    assert dict(found.changes) == {"concurrency": 11}
    assert [each.streams for each in asked][:7] == [2, 4, 8, 16, 12, 10, 11]


def test_a_knob_that_carries_more_is_adopted_and_the_number_grows_on() -> None:
    one = search(PEOPLE)
    driven(one, carrying({None: 6, 256: 13}))
    found = result(one)
    assert found.streams == 13
    assert dict(found.changes) == {"concurrency": 13, "engine.batch": 256}


def test_as_many_as_the_profile_carries_as_it_is_need_no_overlay() -> None:
    one = search(PEOPLE)
    driven(one, carrying({None: 2, 1024: 2, 256: 2}))
    assert (result(one).winner, result(one).streams) == (None, 2)
    assert result(one).why == "Nothing that was tried carries more at once."


def test_nobody_is_carried_in_time() -> None:
    one = search(PEOPLE)
    driven(one, carrying({}))
    assert not result(one).reached


def test_a_number_that_did_not_hold_again_gives_way_to_a_smaller_one() -> None:
    holding = carrying({None: 11})

    def machine(asked: Try) -> Outcome:
        if asked.pair and asked.streams == 11:
            return measured(level(100, first_s=2.1))
        return holding(asked)

    one = search(PEOPLE)
    driven(one, machine)
    assert result(one).streams == 10


def test_the_winner_is_told_with_the_values_that_it_has() -> None:
    """Twelve held with another batch, but not again; eleven need none."""
    holding = carrying({None: 11, 256: 12})

    def machine(asked: Try) -> Outcome:
        if asked.pair and asked.streams == 12:
            return measured(level(100, first_s=2.1))
        return holding(asked)

    one = search(PEOPLE)
    driven(one, machine)
    found = result(one)
    assert dict(found.changes) == {"concurrency": 11}
    assert found.steps == ()


def test_answers_that_come_slower_than_people_read_do_not_count() -> None:
    slow = level(40, first_s=0.5, streams=10)
    assert missed(slow, Slo(first_token_s=2), "people") == (
        "4.0 tokens/s for each, less than people read (5)",
    )
    assert missed(slow, Slo(first_token_s=2), "throughput") == ()


# ── budget, and what is on record ─────────────────────────────────────────────────────────────


def test_a_small_budget_keeps_time_for_one_pair() -> None:
    one = search(budget_s=40)
    asked = driven(one, rate_by({("concurrency", 4): 1.5}))
    assert [bool(each.pair) for each in asked] == [False, False, True, True]
    assert dict(result(one).changes) == {"concurrency": 4}
    assert not result(one).complete


def test_a_budget_for_nothing_measures_the_profile_and_says_so() -> None:
    one = search(budget_s=15)
    assert len(driven(one, rate_by({("concurrency", 4): 1.5}))) == 1
    assert (result(one).winner, result(one).complete) == (None, False)
    assert result(one).why.endswith("the budget had no room for more.")


def test_a_slow_profile_leaves_room_for_faster_candidates() -> None:
    """Each costs what its kind has cost: the profile as it is 60 s, the others 5 s."""

    def machine(asked: Try) -> Outcome:
        as_it_is = asked.candidate == BASE
        return measured(level(50 if as_it_is else 300), took_s=60 if as_it_is else 5)

    one = search(budget_s=280)
    asked = driven(one, machine)
    assert result(one).complete
    assert sum(bool(each.pair) for each in asked) == 4


def test_the_budget_that_would_do_is_known() -> None:
    one = search(budget_s=1)
    driven(one, lambda _asked: measured(level(), took_s=150))
    assert one.needed_s == 1200


def test_what_is_on_record_costs_nothing_and_leads_the_same_way() -> None:
    machine = rate_by({("concurrency", 4): 1.5, ("engine.batch", 256): 1.1})
    first = search()
    asked = driven(first, machine)
    rows = [record.row(each.asked, each.outcome) for each in first.tried]
    known = record.on_record(rows)
    again = search(budget_s=1, earlier=tuple(known))
    assert driven(again, lambda each: known[each.identity]) == asked
    assert again.found == first.found


@pytest.mark.parametrize(
    ("recorded", "left_s", "affords"),
    [
        ((), 20, True),
        ((), 19, False),
        ((0,), 10, True),
        ((0,), 9, False),
        ((1,), 10, True),
        ((1,), 9, False),
        ((0, 1), 0, True),
    ],
)
def test_of_a_pair_each_half_that_is_not_on_record_takes_time(
    recorded: tuple[int, ...], left_s: int, affords: bool
) -> None:
    more = BASE.turned("concurrency", 4)
    halves = [Try(candidate=each, streams=4, pair="pair 1 of x") for each in (BASE, more)]
    known = [halves[n].identity for n in recorded]
    state = State(BASE, THROUGHPUT, budget_s=10 + left_s, earlier=known)
    asking = state.measure(BASE, 4)
    next(asking)
    with pytest.raises(StopIteration):
        asking.send(measured(level(), took_s=10))
    assert state.affords_pair(1, halves) is affords


def test_half_a_confirmation_is_none_where_the_other_half_took_too_long() -> None:
    gains: dict[tuple[str, Value], float] = {("concurrency", 4): 1.5}

    def machine(asked: Try) -> Outcome:
        if asked.pair.startswith("pair 2") and asked.candidate != BASE:
            return Outcome(failed="took longer than the budget", late=True, kept=False, took_s=99)
        return rate_by(gains)(asked)

    one = search()
    driven(one, machine)
    found = result(one)
    assert dict(found.changes) == {"concurrency": 4}
    assert found.confirmed is not None
    assert (len(found.confirmed.base), len(found.confirmed.winner)) == (1, 1)


def test_rows_that_are_damaged_are_left_out() -> None:
    asked = Try(candidate=BASE, streams=4)
    good = record.row(asked, measured(level()))
    rows: list[dict[str, Any]] = [
        {"try": "x"},
        {"try": "y", "outcome": {"level": 3}},
        {"outcome": 1},
        good,
    ]
    assert list(record.on_record(rows)) == [asked.identity]
    assert record.on_record(rows)[asked.identity].level == level()


# ── the knobs of a profile ────────────────────────────────────────────────────────────────────

TWO = Processors(cores=2, threads=4)


def turned(
    name: str, *sets: str, target: Target = THROUGHPUT, fixed: tuple[str, ...] = ()
) -> dict[str, tuple[Value, ...]]:
    spec = shipped(name, *sets).spec
    found = knobs(spec, target, TWO, prompt_tokens=128, fixed=fixed)
    return {knob.key: knob.values for knob in found}


def test_the_knobs_of_llama_cpp() -> None:
    assert turned("smoke", target=Target(goal="throughput", streams=16)) == {
        "concurrency": (16, 12, 8),
        "engine.cpus": (4, 1),
        "engine.batch": (1024, 2048, 256, 128),
        "engine.kv_type": ("q8_0",),
    }


def test_the_knobs_of_vllm() -> None:
    assert turned("smoke-vllm", target=Target(goal="latency", streams=1)) == {
        "engine.cpus": (4, 1),
        "engine.batch": (1024, 512),
        "engine.eager": (False,),
    }


def test_a_card_needs_no_threads() -> None:
    assert "engine.cpus" not in turned("rtx3060")


@pytest.mark.parametrize("fixed", [("engine.batch",), ("engine",)])
def test_what_the_operator_set_is_not_touched(fixed: tuple[str, ...]) -> None:
    assert "engine.batch" not in turned("smoke", fixed=fixed)


def test_a_profile_is_asked_for_no_less_than_it_promises() -> None:
    found = turned("smoke", "concurrency=8", "engine.cpus=2", target=THROUGHPUT)
    assert "concurrency" not in found
    assert found["engine.cpus"] == (1,)


def test_the_lossy_knob_is_the_last() -> None:
    assert list(turned("smoke"))[-1] == "engine.kv_type"


def test_what_is_narrow_already_is_tried_wider_and_loses_nothing() -> None:
    spec = shipped("smoke", "engine.kv_type=q4_0").spec
    *_, kept = knobs(spec, THROUGHPUT, TWO, prompt_tokens=128)
    assert (kept.now, kept.values, kept.lossy) == ("q4_0", ("f16", "q8_0"), ())


def test_a_fixed_pool_grows_with_the_conversations() -> None:
    spec = shipped("smoke-vllm", "engine.kv_cache=180MiB").spec
    assert settings(spec, (("concurrency", 16),)) == (
        ("concurrency", 16),
        ("engine.kv_cache", "720MiB"),
    )
    assert settings(spec, (("engine.batch", 64),)) == (("engine.batch", 64),)
    for fixed in ("engine.kv_cache", "engine"):
        assert settings(spec, (("concurrency", 16),), fixed=(fixed,)) == (("concurrency", 16),)


def test_values_as_set_takes_them() -> None:
    assert [written(value) for value in (16, 2.0, 1.5, True, None, "q8_0")] == [
        *("16", "2", "1.5", "true", "null", "q8_0")
    ]


def test_the_key_is_of_what_the_speed_depends_on() -> None:
    def key(*sets: str, memory: int = 4, shape: Shape | None = None, image: str = "a") -> str:
        host = facts(memory_total_bytes=memory * 1024**3)
        load = shape or Shape()
        return record.key(shipped("smoke", *sets).spec, host, load, image=image, weights="w")

    assert key() == key("concurrency=9", "engine.batch=64", "ports.webui=1234")
    assert len({key(), key("model.context=4096"), key(memory=8), key(image="b")}) == 4
    assert key(shape=Shape(output_tokens=9)) != key() == key(shape=Shape(streams=(7,)))


def test_the_base_is_the_profile_as_it_is() -> None:
    base = as_it_is(shipped("smoke", "engine.batch=64").spec)
    assert asdict(base)["values"] == {
        "concurrency": 2,
        "engine.cpus": None,
        "engine.batch": 64,
        "engine.eager": None,
        "engine.kv_type": "f16",
    }


# ── how an SLO is written ─────────────────────────────────────────────────────────────────────


def test_an_slo_as_it_is_typed() -> None:
    assert parse_slo(["ttft=2s,itl=200ms"]) == Slo(first_token_s=2.0, inter_token_s=0.2)
    assert parse_slo(["ttft=2s", "ttft=1500ms"]) == Slo(first_token_s=1.5)
    assert parse_slo([], "people") == Slo(first_token_s=2.0)
    assert parse_slo(["itl=90ms"], "people") == Slo(first_token_s=2.0, inter_token_s=0.09)
    assert parse_slo([]) == Slo()
    assert words(Slo(first_token_s=1.5, inter_token_s=3.0)) == ("ttft=1500ms", "itl=3s")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ttft=1.5s", "ttft=1500ms"),
        ("ttft=2", "ttft=2s"),
        ("itl=200 ms", "itl=200ms"),
        ("itl=0s", "itl=15m"),
        ("2s", "ttft=2s"),
        ("p95=2s", "ttft=2s"),
    ],
)
def test_an_slo_that_is_none_says_how_to_write_it(written: str, meant: str) -> None:
    with pytest.raises(UnitError) as refused:
        parse_slo([written])
    assert refused.value.suggestion == meant
