"""Which profile for this machine: what ``auto`` takes and what ``recommend`` says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.amounts import gib
from deployctl.errors import DeployctlError
from deployctl.fitting import Fitting, Speed, fitting, own_card, without_tensor_cores
from deployctl.suits import architecture, card

if TYPE_CHECKING:
    from deployctl.model import HostFacts, Plan
    from deployctl.sizing import Fit, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that may be chosen; the higher rank is the better one, 0 is never automatic."""

    rank: int
    plan: Plan
    description: str = ""
    weights_here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The profile ``auto`` picked, why in one sentence, and what was given up for it, if any."""

    profile: str
    reason: str
    given_up: tuple[str, ...] = ()
    hint: str = ""


def choose(
    candidates: Sequence[Candidate], facts: HostFacts, *, again: Callable[[str], str]
) -> Choice:
    """Pick the best profile that this machine can run now; ``memory-short`` when none can be.

    ``again`` gives the command line that names a profile instead, for hints.
    """
    given_up: list[str] = []
    unreachable: Plan | None = None
    second: list[Plan] = []
    for candidate in sorted(candidates, key=lambda c: -c.rank):
        plan = candidate.plan
        fitted = fitting(plan, facts)
        limit = limit_of(plan, facts, fitted)
        absent = _absent(candidate, facts)
        drawback = _larger(plan, facts) or _short_now(fitted)
        if limit is None and absent is None and drawback is None:
            return _chosen(plan, facts, given_up, unreachable, again)
        if limit is None and absent is None:
            second.append(plan)
        elif limit is None:
            unreachable = unreachable or plan
        if _for_this_kind(plan, facts):
            given_up.append(f"{plan.profile}: {limit or absent or drawback}")
    if second:
        return _chosen(second[0], facts, given_up, unreachable, again)
    if unreachable is not None:
        raise DeployctlError(
            "This machine could run a shipped profile, but none of their models can be had now.",
            code="weights-unreachable",
            details=tuple(given_up),
            hint=_later(unreachable, again),
        )
    raise DeployctlError(
        "No shipped profile can run on this machine.",
        code="memory-short",
        details=tuple(given_up),
        hint="deployctl recommend  # says what each of them lacks",
    )


def _chosen(
    plan: Plan,
    facts: HostFacts,
    given_up: Sequence[str],
    unreachable: Plan | None,
    again: Callable[[str], str],
) -> Choice:
    return Choice(
        profile=plan.profile,
        reason=_why(plan, facts, first=not given_up),
        given_up=tuple(text for text in given_up if not text.startswith(f"{plan.profile}:")),
        hint=_later(unreachable, again) if unreachable else "",
    )


def _short_now(fitted: Fitting | None) -> str | None:
    """Why a plan that this machine could hold is too much for what is free now, if it is.

    Of a card already what would leave too little: a desktop on it grows, and an engine that asks
    for more than there is does not start.
    """
    if fitted is None:
        return None
    tight = (fit for fit in fitted.fits if fit.place == "gpu" and fit.verdict == "tight")
    if on_card := next((fit for fit in tight if fit.left_bytes is not None), None):
        return on_card.reason
    return _worst(fitted).reason if fitted.short else None


def _worst(fitted: Fitting) -> Fit:
    """The memory that decides."""
    order: tuple[Verdict, ...] = ("no", "tight", "fits")
    return min(fitted.fits, key=lambda fit: order.index(fit.verdict))


def _for_this_kind(plan: Plan, facts: HostFacts) -> bool:
    """Whether the plan is for such a machine at all: what is not is nothing given up."""
    if architecture(plan, facts).status == "failed":
        return False
    return plan.requirements.card is None or own_card(plan, facts) is not None


#: Cards report a little less than what is printed on them.
_AS_LARGE = 0.9


def _larger(plan: Plan, facts: HostFacts) -> str | None:
    """Why a profile is for larger cards than this machine's, if it is."""
    wanted, here = plan.requirements.card, own_card(plan, facts)
    if wanted is None or here is None or here.memory_bytes is None:
        return None
    if here.memory_bytes >= _AS_LARGE * wanted.memory_bytes:
        return None
    return f"It is made for a card of {gib(wanted.memory_bytes)}, and {here.name} has less."


def limit_of(plan: Plan, facts: HostFacts, fitted: Fitting | None) -> str | None:
    """What of the machine itself rules the plan out, if anything."""
    for check in (architecture(plan, facts), *card(plan, facts)):
        if check.status == "failed":
            return check.summary
    if slow := without_tensor_cores(plan, facts):
        # Measured by others: up to nine times slower there in 16 bit, with two answers at once.
        return f"{slow} has no tensor cores, and vLLM is slow without them (claimed)."
    if fitted is not None and fitted.verdict == "no":
        return _worst(fitted).reason
    return None


def _absent(candidate: Candidate, facts: HostFacts) -> str | None:
    plan = candidate.plan
    source = plan.weights.source
    if candidate.weights_here or facts.reachable.get(source.text, True):
        return None
    return f"{plan.model} is not here and its source does not answer ({source})"


def _why(plan: Plan, facts: HostFacts, *, first: bool) -> str:
    memory = "" if facts.memory_total_bytes is None else f", {gib(facts.memory_total_bytes)} memory"
    machine = f"{facts.cores} cores{memory}"
    if plan.requirements.card is not None and facts.gpus:
        machine = facts.gpus[0].name
    which = "the best shipped profile" if first else "the best one left"
    return f"{plan.profile} ({plan.model}): {which} for {machine}."


def _later(plan: Plan, again: Callable[[str], str]) -> str:
    return (
        f"{again(plan.profile)}  # once the hub answers, or with "
        f"--set model.source={plan.weights.source.by_hand}"
    )


# ── all of them, compared ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One profile on this machine: whether it runs, what limits it, how fast it can be at most."""

    profile: str
    verdict: Verdict
    reason: str
    model: str
    engine: str
    limit: str | None  # what rules it out
    need_bytes: int | None  # of the memory that decides
    speed: Speed | None
    description: str
    command: str


def recommend(candidates: Sequence[Candidate], facts: HostFacts) -> tuple[Recommendation, ...]:
    """Every candidate judged by this machine, the best first."""
    judged = [(candidate.rank, _judged(candidate, facts)) for candidate in candidates]
    order: tuple[Verdict, ...] = ("fits", "tight", "no")
    ranked = sorted(judged, key=lambda pair: (order.index(pair[1].verdict), -pair[0]))
    return tuple(recommendation for _, recommendation in ranked)


def passed_over(candidates: Sequence[Candidate], facts: HostFacts) -> tuple[str, ...]:
    """What would be better on such a machine than the first of :func:`recommend`, and why it isn't.

    Only profiles for a card like this one's: what is made for another machine is nothing given up.
    """
    ranks = {candidate.plan.profile: candidate.rank for candidate in candidates}
    plans = {candidate.plan.profile: candidate.plan for candidate in candidates}
    first, *others = recommend(candidates, facts)
    return tuple(
        f"{each.profile}: {each.reason}"
        for each in others
        if ranks[each.profile] > ranks[first.profile]
        and _for_this_kind(plans[each.profile], facts)
        and _larger(plans[each.profile], facts) is None
    )


def _judged(candidate: Candidate, facts: HostFacts) -> Recommendation:
    plan = candidate.plan
    fitted = fitting(plan, facts)
    limit = limit_of(plan, facts, fitted)
    verdict: Verdict = fitted.verdict if fitted else "tight"
    larger = _larger(plan, facts)
    if limit:
        verdict = "no"
    elif larger and verdict == "fits":
        verdict = "tight"
    deciding = _worst(fitted) if fitted and fitted.fits else None
    return Recommendation(
        profile=plan.profile,
        verdict=verdict,
        reason=limit
        or larger
        or (deciding.reason if deciding else "How much memory it needs is unknown."),
        model=plan.model,
        engine=plan.engine,
        limit=limit,
        need_bytes=deciding.need_bytes if deciding else None,
        speed=fitted.speed if fitted else None,
        description=candidate.description,
        command=f"deployctl up --profile {plan.profile}",
    )
