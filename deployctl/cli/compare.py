"""``deployctl compare``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.load import (
    OutputTokensOption,
    PromptTokensOption,
    RoundsOption,
    StreamsOption,
)
from deployctl.cli.options import (
    DebugOption,
    ForceOption,
    ImagesOption,
    Output,
    OverlayOption,
    ProfileOption,
    QuietOption,
    SetOption,
    chosen,
)
from deployctl.deploy.names import DEFAULT_COMPARE_STACK
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.deploy.comparing import CompareReport
    from deployctl.deploy.contenders import CompareRequest
    from deployctl.deploy.passing import Shield
    from deployctl.deploy.world import World

#: Widest heading of a model, characters.
_HEADING = 24


class Written(StrEnum):
    """How the result is written to stdout."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def compare(  # one parameter per option
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="Two models or more, each NAME[:FORMAT] of the catalog, hf:ORG/REPO:FILE.gguf "
            "or file:/PATH.",
        ),
    ],
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    set_: SetOption = None,
    streams: StreamsOption = "1,4",
    prompt_tokens: PromptTokensOption = 128,
    output_tokens: OutputTokensOption = 128,
    rounds: RoundsOption = 3,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Measure anew what a comparison that did not end has measured."
        ),
    ] = False,
    force: ForceOption = False,
    images: ImagesOption = "auto",
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE|-", help="Write the table as Markdown, too."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(
            "--chart", metavar="FILE.png|.svg", help="Draw it, too (needs the extra `chart`)."
        ),
    ] = None,
    stack: Annotated[
        str,
        typer.Option("--stack", metavar="NAME", help="Its own stack, made and removed."),
    ] = DEFAULT_COMPARE_STACK,
    output: Annotated[
        Written,
        typer.Option("--output", "-o", help="text for people, json for programs, markdown."),
    ] = Written.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Measure models side by side on this machine.

    Each is brought up in turn on a stack of its own; nothing of that is left but model files.
    """
    from deployctl.bench.nouns import Shape
    from deployctl.cli.load import shape_of, words_of
    from deployctl.cli.session import Session
    from deployctl.deploy.contenders import CompareRequest

    if str(markdown) == "-":
        if output is Written.JSON:
            raise typer.BadParameter("--markdown -: stdout has the JSON; give a file.")
        markdown, output = None, Written.MARKDOWN
    _refuse_places(markdown, chart)
    shape = shape_of(streams, prompt_tokens, output_tokens, rounds)
    files = (("--markdown", markdown), ("--chart", chart))
    request = CompareRequest(
        models=tuple(models),
        selection=chosen(profile, overlay, None, set_),
        shape=shape,
        load_words=(
            *words_of(shape, Shape(streams=(1, 4))),
            *(word for name, path in files if path is not None for word in (name, str(path))),
        ),
        stack=stack,
        images=images,
        force=force,
        anew=again,
    )
    talking = Output.JSON if output is Written.JSON else Output.TEXT
    session = Session.open("compare", talking, quiet=quiet, again=request.again)
    report = _compared(session.world(stack), request)
    return _hand_out(report, request, output, markdown, chart)


def _compared(world: World, request: CompareRequest) -> CompareReport:
    from deployctl.cli.signals import ended_once, shielded
    from deployctl.deploy.comparing import compare as recipe

    shield: Shield = shielded
    with ended_once():
        return recipe(world, request, shield=shield)


def _refuse_places(markdown: Path | None, chart: Path | None) -> None:
    """Refuse what could not be written in the end, before anything is brought up."""
    from deployctl import extras
    from deployctl.charts import FORMATS
    from deployctl.cli.filing import refuse_unwritable

    if chart is not None:
        if chart.suffix.lower() not in FORMATS:
            raise typer.BadParameter(f"--chart {chart}: the name ends in {' or '.join(FORMATS)}.")
        extras.need("chart")
    for path in (markdown, chart):
        refuse_unwritable(path)


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def text(report: CompareReport) -> str:
    """Write the report for people: the table, what it says, and what to know of it."""
    import textwrap

    from deployctl.cli.table import columns

    heads = [textwrap.wrap(side.name, _HEADING) for side in report.sides]
    deep = max(map(len, heads))
    lines: list[tuple[str, ...]] = [
        ("", *(head[at] if at < len(head) else "" for head in heads), "") for at in range(deep)
    ]
    lines += [(row.label, *row.cells, row.basis) for row in report.rows]
    right = frozenset(range(1, len(report.sides) + 1))
    return "\n".join(
        [
            *columns(lines, indent=0, right=right),
            "",
            *(line for said in report.verdict for line in _wrapped(said)),
            "",
            *(line for said in (asked(report), *report.notes) for line in _wrapped(said)),
        ]
    )


def _wrapped(said: str) -> list[str]:
    import textwrap

    return textwrap.wrap(said, 96, subsequent_indent="  ", break_on_hyphens=False)


def asked(report: CompareReport) -> str:
    """Say in a sentence what was asked of each model."""
    from deployctl.amounts import counted
    from deployctl.bench.side import streams_text

    shape = report.shape
    levels = " and ".join(streams_text(count) for count in shape.streams)
    return (
        f"Measured with {counted(shape.rounds, 'round')} at {levels}, questions of "
        f"{shape.prompt_tokens} and answers of {shape.output_tokens} tokens, on {report.engine}."
    )


def as_markdown(report: CompareReport) -> str:
    """Write the report as Markdown."""
    from deployctl.bench.side import markdown

    return markdown(report.sides, report.shape, asked=asked(report), notes=report.notes)


def _hand_out(
    report: CompareReport,
    request: CompareRequest,
    output: Written,
    markdown: Path | None,
    chart: Path | None,
) -> int:
    """Write the result wherever it is wanted; returns the exit code."""
    import shlex

    from deployctl.cli import console
    from deployctl.cli.boundary import words
    from deployctl.cli.envelope import envelope, plain
    from deployctl.cli.filing import write
    from deployctl.cli.retyped import mended
    from deployctl.errors import CODES, ExitCode
    from deployctl.visible import harmless

    line = shlex.split(request.again)[1:]
    report = replace(report, faults=tuple(mended(fault, line) for fault in report.faults))
    code = CODES[report.faults[0].code][0] if report.faults else ExitCode.OK
    if markdown is not None:
        write(markdown, as_markdown(report))
    if chart is not None:
        _draw(report, chart)
    if output is Written.JSON:
        data = {key: value for key, value in plain(report).items() if key != "faults"}
        console.out(
            envelope(
                command="compare",
                status=report.status,
                exit_code=code,
                data=data,
                faults=report.faults,
            )
        )
        return int(code)
    write_out: Callable[[CompareReport], str] = text
    if output is Written.MARKDOWN:
        write_out = as_markdown
    console.out(harmless(write_out(report)).rstrip("\n"))
    if report.faults:
        console.err("\n\n".join(words(fault) for fault in report.faults))
    return int(code)


def _draw(report: CompareReport, path: Path) -> None:
    from deployctl.charts import draw
    from deployctl.cli.filing import warn

    try:
        draw(report.sides, report.shape, title=f"deployctl compare: {asked(report)}", path=path)
    except OSError as problem:
        warn(path, problem)
