"""The search keeps its promises on any machine: no repeats, an end in time, the best found."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

from hypothesis import given, settings
from hypothesis import strategies as st

from deployctl.tuning.knobs import KEYS, Processors, as_it_is, knobs
from deployctl.tuning.knobs import settings as with_followers
from deployctl.tuning.nouns import Candidate, Goal, Knob, Outcome, Slo, Target, Try, Value
from deployctl.tuning.search import Search
from deployctl.tuning.worth import LEAST_GAIN
from tests.profilefiles import CATALOG, shipped
from tests.tuningworld import driven, level, measured

QUICK = settings(max_examples=80, deadline=None)

shares = st.floats(0.2, 5.0)
BUDGETS = st.floats(1, 2000)
goals: st.SearchStrategy[Goal] = st.sampled_from(["throughput", "latency", "people"])


@st.composite
def searches(draw: st.DrawFn, budgets: st.SearchStrategy[float] = BUDGETS) -> Search:
    """A search over a shipped profile, as any machine has it."""
    spec = shipped(draw(st.sampled_from(CATALOG.shipped_names()))).spec
    goal = draw(goals)
    first = st.floats(0.1, 10) if goal == "people" else st.none() | st.floats(0.1, 10)
    target = Target(
        goal=goal,
        streams=draw(st.integers(1, 40)),
        slo=Slo(first_token_s=draw(first)),
    )
    cores = draw(st.integers(1, 64))
    processors = Processors(cores=cores, threads=cores * draw(st.sampled_from([1, 2])))
    fixed = draw(st.sets(st.sampled_from(KEYS), max_size=2))
    return Search(
        as_it_is(spec),
        knobs(spec, target, processors, prompt_tokens=128, fixed=fixed),
        target,
        budget_s=draw(budgets),
        fixed=tuple(fixed),
    )


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    """What a machine makes of one try after another: anything."""
    one = st.builds(
        lambda rate, first, took, spread: measured(
            level(rate, first_s=first, spread=spread), took_s=took
        ),
        st.floats(1, 1000),
        st.floats(0.01, 20),
        st.floats(0.5, 60),
        st.floats(0, 0.5),
    )
    bad = st.sampled_from([Outcome(skipped="skipped"), Outcome(failed="failed", took_s=3.0)])
    return draw(st.lists(st.one_of(one, one, one, bad), min_size=1, max_size=30))


@given(search=searches(), found=outcomes())
@QUICK
def test_nothing_is_asked_twice_and_it_ends(search: Search, found: list[Outcome]) -> None:
    answers: dict[str, Outcome] = {}

    def machine(asked: Try) -> Outcome:
        assert asked.identity not in answers
        answers[asked.identity] = found[len(answers) % len(found)]
        return answers[asked.identity]

    driven(search, machine)
    assert [each.asked.identity for each in search.tried] == list(answers)
    assert all(each.verdict for each in search.tried)


@given(search=searches(), found=outcomes())
@QUICK
def test_only_the_keys_that_may_be_turned_are_and_no_promise_is_broken(
    search: Search, found: list[Outcome]
) -> None:
    count = 0

    def machine(asked: Try) -> Outcome:
        nonlocal count
        count += 1
        changed = dict(asked.candidate.changed(search.base))
        assert set(changed) <= set(KEYS)
        least, now = search.base.values["concurrency"], asked.candidate.values["concurrency"]
        assert isinstance(least, int)
        assert isinstance(now, int)
        assert least <= now <= 256
        assert 1 <= asked.streams <= 256
        return found[count % len(found)]

    driven(search, machine)
    assert count


@given(search=searches(st.just(300.0)), found=outcomes(), took=st.floats(1, 40))
@QUICK
def test_the_budget_is_kept_where_all_take_as_long(
    search: Search, found: list[Outcome], took: float
) -> None:
    spent = 0.0

    def machine(asked: Try) -> Outcome:
        nonlocal spent
        spent += took
        each = found[int(spent) % len(found)]
        return measured(each.level, took) if each.level else Outcome(failed="failed", took_s=took)

    driven(search, machine)
    assert spent <= 300.0 + 1e-6


@st.composite
def separable(draw: st.DrawFn) -> tuple[tuple[Knob, ...], Mapping[tuple[str, Value], float]]:
    """Knobs each of whose values has a factor of its own, whatever the others are."""
    names = [f"k{n}" for n in range(draw(st.integers(1, 4)))]
    made: list[Knob] = []
    factors: dict[tuple[str, Value], float] = {}
    for name in names:
        values = tuple(range(1, draw(st.integers(2, 5))))
        factors |= {(name, value): draw(shares) for value in values}
        made.append(
            Knob(
                key=name,
                now=0,
                values=values,
                about="",
                meets=tuple(draw(st.sets(st.sampled_from(names)))),
            )
        )
    return tuple(made), factors


@given(given_=separable(), goal=st.sampled_from(["throughput", "latency"]))
@QUICK
def test_the_best_of_a_separable_machine_is_found(
    given_: tuple[tuple[Knob, ...], Mapping[tuple[str, Value], float]], goal: Goal
) -> None:
    made, factors = given_

    def speed(values: Mapping[str, Value]) -> float:
        return prod(factors.get(item, 1.0) for item in values.items())

    def machine(asked: Try) -> Outcome:
        at = speed(asked.candidate.values)
        return measured(level(100 * at, first_s=1 / at, between_s=0.02 / at))

    base = Candidate(values={knob.key: 0 for knob in made})
    search = Search(base, made, Target(goal=goal, streams=4), budget_s=1e9)
    driven(search, machine)
    assert search.found is not None
    winner = search.found.winner or base
    every = [(knob.key, (knob.now, *knob.values)) for knob in made]
    best = max(
        speed(dict(zip((key for key, _ in every), one, strict=True)))
        for one in product(*(values for _, values in every))
    )
    assert speed(winner.values) >= best / (1 + LEAST_GAIN) ** (len(made) + 1)


@given(most=st.integers(1, 300), start=st.integers(1, 8))
@QUICK
def test_the_most_people_are_found_to_an_eighth(most: int, start: int) -> None:
    base = Candidate(values={"concurrency": 1})
    target = Target(goal="people", streams=start, slo=Slo(first_token_s=2.0))

    def machine(asked: Try) -> Outcome:
        at_once = asked.candidate.values["concurrency"]
        assert isinstance(at_once, int)
        keeps = asked.streams <= min(most, at_once)
        return measured(
            level(6.0 * asked.streams, first_s=1 if keeps else 3, streams=asked.streams)
        )

    search = Search(base, (), target, budget_s=1e9)
    driven(search, machine)
    assert search.found is not None
    reachable = min(most, 256)
    assert reachable - max(1, reachable // 8) <= search.found.streams <= reachable


@given(name=st.sampled_from(CATALOG.shipped_names()), people=st.integers(1, 256))
@QUICK
def test_what_follows_from_more_people_is_only_their_pool(name: str, people: int) -> None:
    spec = shipped(name).spec
    found = with_followers(spec, (("concurrency", people),))
    assert {key for key, _ in found} <= {"concurrency", "engine.kv_cache"}
