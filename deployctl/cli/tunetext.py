"""Writes the report of ``tune`` for people. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployctl.amounts import counted
from deployctl.tuning.figures import gained, named, rate, said, seconds

if TYPE_CHECKING:
    from deployctl.deploy.tunereport import TuneReport
    from deployctl.tuning.nouns import Found, Tried

_HEAD = ("tokens/s in total", "p50", "p95", "")


def text(report: TuneReport) -> str:
    """Write what was tried, what is better, and how to use it; nothing where nothing began."""
    if report.profile is None:
        return ""
    slo = f", {' and '.join(report.slo)}" if report.slo else ""
    lines = [
        f"Profile {report.profile} ({report.model}), tuned for {report.goal}{slo}",
        f"Machine  {report.machine}",
        f"Load     {report.load}",
    ]
    if report.tried:
        lines += ["", *_table(report)]
    if report.on_record:
        lines += ["", *_on_record(report)]
    if report.found is not None:
        lines += ["", *_result(report, report.found)]
    return "\n".join(lines)


def _table(report: TuneReport) -> list[str]:
    from deployctl.cli.table import columns

    people = report.goal == "people"
    rows = [("", *(("at once",) if people else ()), *_HEAD)]
    for each in report.tried:
        at_once = (str(each.asked.streams),) if people else ()
        rows.append((named(each.changes), *at_once, *_figures(each), each.verdict))
    figures = frozenset(range(1, 5 if people else 4))
    head, *rest = columns(rows, indent=2, right=figures)
    first = " " * head.index("p50") + "first token"
    return [first, head, *rest]


def _figures(tried: Tried) -> tuple[str, str, str]:
    level = tried.outcome.level
    if level is None:
        return "–", "–", "–"
    return (
        rate(level.total_rate),
        seconds(level.first_token_p50_s),
        seconds(level.first_token_p95_s),
    )


def _on_record(report: TuneReport) -> Iterator[str]:
    those = counted(report.on_record, "measurement")
    yield f"Of an earlier run, kept in {report.journal}: {those}. `--again` makes all anew."


def _result(report: TuneReport, found: Found) -> Iterator[str]:
    from deployctl.tuning.nouns import Target
    from deployctl.tuning.slo import parse_slo

    target = Target(goal=report.goal, streams=found.streams, slo=parse_slo(report.slo, report.goal))
    if found.confirmed is not None:
        name = "Measured again in turns with the profile as it is"
        yield f"{name}: {gained(found.confirmed, target)}."
    if found.why:
        yield found.why
    if report.goal == "people" and found.reached:
        yield f"At most at once: {found.streams}."
    if not found.complete:
        yield f"The budget ended the search. With more it goes on from here: {report.longer}"
    if report.overlay is None:
        yield from _unwritten(report, found)
        return
    yield f"Wrote {report.overlay}:"
    for key, value in report.settings:
        lossy = "  # lossy: answers may differ a little" if key in report.lossy else ""
        yield f"  {key}: {said(value)}{lossy}"
    yield "Nothing is applied yet. To use it:"
    yield report.command


def _unwritten(report: TuneReport, found: Found) -> Iterator[str]:
    if found.winner is None:
        yield "No overlay is written: the profile stays as it is."
    elif not report.overlay_text:
        yield "No overlay is written: `up` would refuse it now."
    else:
        yield "The overlay could not be written. To be put into a file by hand:"
        yield from ("", *report.overlay_text.splitlines())
