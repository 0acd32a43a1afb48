"""Judges what of the outside answers, and the clock that is compared with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deployctl.doctor.nouns import Index, Outside, System
from deployctl.doctor.results import ok, skipped, warning
from deployctl.outcomes import CheckResult, Reach

#: Certificates and sign-ins are judged by the minute; beyond this they start to be refused.
_WRONG_S = 60.0

#: What the command that brings the stack up can have more, to go without.
_OFFLINE = {
    "registry": "--images build  # makes them from packages instead",
    "hub": "--set model.source=file:/PATH/TO/MODEL.gguf",
}
_NEEDED = {
    "registry": "Images that are not here cannot be pulled from it.",
    "hub": "Models that are not here cannot be downloaded from it.",
}
_PACKAGES = {
    "pip": ("python3 -m pip config list", "Python packages"),
    "apt": ("sudo apt-get update", "Debian packages"),
}


def judge_outside(outside: Outside, system: System, up: str) -> tuple[CheckResult, ...]:
    """Registries, the model hub, package indexes, the clock. ``up`` brings the stack up."""
    return (
        *outside.problem,
        *(_reach(reach, up) for reach in outside.reaches),
        *_indexes(outside.indexes),
        _clock(outside, system),
    )


def _reach(reach: Reach, up: str) -> CheckResult:
    name = reach.name if reach.kind == "registry" else f"hub {reach.name}"
    through = "" if reach.asked == reach.name else f" through {reach.asked}"
    if reach.answers:
        return ok(name, f"answers{through}")
    reason = f": {reach.reason}" if reach.reason else ""
    seen = f"does not answer{through}{reason}"
    return warning(name, seen, _NEEDED[reach.kind], f"{up} {_OFFLINE[reach.kind]}")


def _indexes(indexes: tuple[Index, ...]) -> Iterator[CheckResult]:
    for index in indexes:
        name = f"packages ({index.kind})"
        fix, what = _PACKAGES[index.kind]
        if not index.asked:
            yield skipped(name, "none configured, or nothing to ask it with")
        elif index.answering == index.asked:
            yield ok(name, "answers")
        elif index.answering:
            yield ok(name, f"{index.answering} of {index.asked} answer")
        else:
            why = f"Images cannot be built here: they are made of {what}."
            yield warning(name, "does not answer", why, fix)


def _clock(outside: Outside, system: System) -> CheckResult:
    ahead = outside.ahead_s
    fix = "sudo timedatectl set-ntp true; timedatectl"
    if ahead is not None and abs(ahead) > _WRONG_S:
        return warning(
            "clock",
            f"{abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}",
            "Certificates and sign-ins are refused when the time is wrong.",
            fix,
        )
    if system.ntp is False:
        why = "It will drift; certificates and sign-ins are refused when the time is wrong."
        return warning("clock", "not synchronised", why, fix)
    synchronised = ", synchronised" if system.ntp else ""
    if ahead is None:
        said = "synchronised" if system.ntp else "nobody answers whose clock could be compared"
        return ok("clock", said) if system.ntp else skipped("clock", said)
    return ok("clock", f"within {_WRONG_S:.0f} s of a server's{synchronised}")
