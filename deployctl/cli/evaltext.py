"""What ``eval`` found, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from deployctl.cli.console import duration
from deployctl.deploy.evalreport import EvalReport, Group, Refusal
from deployctl.evals.nouns import Marked, MarkedCall, MarkedForm, Rate

#: Rate → what it is called in a table.
_NAMES = {
    "math": {"complete": "chain complete", "right": "answer right"},
    "tools": {"valid": "valid call", "right": "right call, or none"},
    "json": {"words": "asked in words", "schema": "held to the schema"},
}

_WIDTH = 100

#: So many faults of single answers are shown.
_SHOWN = 5


def text(report: EvalReport) -> str:
    """Write the table: every rate with its interval, and how it came to be."""
    names = _NAMES[report.kind]
    rows = [(names[key], _rate(value)) for key, value in report.rates.items()]
    rows += [("cut off", _rate(report.truncated)), *_facts(report)]
    width = max(len(name) for name, _ in rows) + 2
    lines = [_head(report)]
    for name, said in rows:
        first, *more = _wrapped(said, _WIDTH - width - 2)
        lines += [f"  {name:<{width}}{first}", *(" " * (width + 2) + line for line in more)]
    lines += _wrapped(_brackets(report), _WIDTH)
    return "\n".join(lines)


def _brackets(report: EvalReport) -> str:
    """What the intervals say: no more than the questions that were answered do."""
    said = "In brackets: where the share lies, with 95 % confidence, of problems like these."
    if report.answered < report.problems:
        said += " They are the first of the dataset and no random sample: of all it may be another."
    return said


def _wrapped(said: str, width: int) -> list[str]:
    return textwrap.wrap(said, width, break_long_words=False, break_on_hyphens=False) or [""]


def _head(report: EvalReport) -> str:
    of = str(report.problems)
    if report.asked < report.problems:
        of = f"{report.asked} of {of}"
    partial = "" if report.complete else "PARTIAL: "
    return (
        f"{partial}eval {report.kind} · {report.model} on {report.engine}, stack {report.stack} · "
        f"{of} of {report.dataset}"
    )


def _rate(rate: Rate) -> str:
    if rate.share is None:
        return "nothing was answered"
    counted = f"{rate.hits} of {rate.of}"
    return f"{counted:<10} {rate.share:>5.0%}  ({rate.low:.0%} to {rate.high:.0%})"


def _facts(report: EvalReport) -> Iterator[tuple[str, str]]:
    if report.refused:
        first = _first(report.refused)
        yield "not answered", f"{len(report.refused)}, not counted: the engine refused {first}"
    if report.too_long:
        first = _first(report.too_long)
        yield "not asked", f"{len(report.too_long)}, not counted: too long for the context: {first}"
    if report.broken:
        yield (
            "not read",
            f"{len(report.broken)}, counted as wrong: the engine could not read what its model "
            f"wrote: {_first(report.broken)}",
        )
    if restated := sum(isinstance(one, Marked) and one.restated for one in report.results):
        yield "restated", f"{restated}, counted as not right: the box repeats the question"
    if report.unjudged:
        yield (
            "not judged",
            f"{report.unjudged}: the checker came to no result; counted as not right",
        )
    if (tokens := report.tokens) is not None:
        yield (
            "tokens",
            f"{tokens.mean:.0f} on average · median {tokens.median:.0f} · {tokens.total} in all",
        )
    took = f"{duration(report.seconds)}"
    if report.kept:
        took += f" · {report.kept} answers are of earlier runs"
    yield "time", took
    yield "asked with", _asked(report)
    if report.levels:
        yield "right by level", _groups(report.levels)
    if report.subjects:
        yield "right by subject", _groups(report.subjects)
    if faults := _faults(report):
        yield "what was wrong", " · ".join(faults[:_SHOWN])
    yield "answers", str(report.rows_file)


def _first(refusals: Sequence[Refusal]) -> str:
    return f"{refusals[0].id}: {refusals[0].said[:120]}"


def _asked(report: EvalReport) -> str:
    sampling = (f"{name} {value:g}" for name, value in report.sampling.items())
    at_once = "one at a time" if report.at_once == 1 else f"{report.at_once} at once"
    return " · ".join(
        (*sampling, f"at most {report.max_tokens} tokens", f"seed {report.seed}", at_once)
    )


def _groups(groups: Iterable[Group]) -> str:
    return " · ".join(f"{group.name} {group.hits['right']}/{group.of}" for group in groups)


def _faults(report: EvalReport) -> list[str]:
    return [
        f"{one.id}: {one.fault}"
        for one in report.results
        if isinstance(one, MarkedCall | MarkedForm) and one.fault
    ]
