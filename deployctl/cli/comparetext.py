"""Writes the report of a comparison for people, and as Markdown. Prints nothing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from deployctl.amounts import counted
from deployctl.bench.side import markdown, streams_text
from deployctl.cli.table import columns

if TYPE_CHECKING:
    from deployctl.deploy.comparing import CompareReport

#: Widest heading of a model, and widest line, characters.
_HEADING, _LINE = 22, 100


def text(report: CompareReport) -> str:
    """Write the report for people: the table, what it says, and what to know of it."""
    return "\n".join(
        [
            *_table(report),
            *(line for said in report.verdict for line in _wrapped(said)),
            "",
            *(line for said in (asked(report), *report.notes) for line in _wrapped(said)),
        ]
    )


def asked(report: CompareReport) -> str:
    """Say in a sentence what was asked of each model."""
    shape = report.shape
    levels = " and ".join(streams_text(count) for count in shape.streams)
    return (
        f"Measured with {counted(shape.rounds, 'round')} at {levels}, questions of "
        f"{shape.prompt_tokens} and answers of {shape.output_tokens} tokens, on {report.engine}."
    )


def as_markdown(report: CompareReport) -> str:
    """Write the report as Markdown."""
    return markdown(report.sides, report.shape, asked=asked(report), notes=report.notes)


def _table(report: CompareReport) -> list[str]:
    """As many models beside each other as a line takes, two at least; the others below them."""
    count = len(report.sides)
    for beside in range(count, 1, -1):
        blocks = [_block(report, at, at + beside) for at in range(0, count, beside)]
        if beside == 2 or all(len(line) <= _LINE for block in blocks for line in block):
            break
    return [line for block in blocks for line in (*block, "")]


def _block(report: CompareReport, first: int, end: int) -> list[str]:
    """The table of the models from ``first`` to before ``end``."""
    heads = [textwrap.wrap(side.name, _HEADING) for side in report.sides[first:end]]
    lines: list[tuple[str, ...]] = [
        ("", *(head[at] if at < len(head) else "" for head in heads), "")
        for at in range(max(map(len, heads)))
    ]
    lines += [(row.label, *row.cells[first:end], row.basis) for row in report.rows]
    return columns(lines, indent=0, right=frozenset(range(1, len(heads) + 1)))


def _wrapped(said: str) -> list[str]:
    return textwrap.wrap(said, _LINE - 4, subsequent_indent="  ", break_on_hyphens=False)
