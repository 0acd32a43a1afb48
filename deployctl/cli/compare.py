"""``deployctl compare``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from enum import StrEnum
from functools import partial
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
    from collections.abc import Iterator

    from deployctl.deploy.comparing import CompareReport
    from deployctl.deploy.contenders import CompareRequest
    from deployctl.deploy.passing import Shield
    from deployctl.deploy.world import World
    from deployctl.errors import Fault


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
    world = session.world(stack)
    report = _compared(world, request)
    return _hand_out(world, report, request, output, markdown, chart)


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
        if markdown is not None and markdown.absolute() == chart.absolute():
            raise typer.BadParameter(f"--chart {chart}: --markdown names the same file.")
    for path in (markdown, chart):
        refuse_unwritable(path)


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def _hand_out(
    world: World,
    report: CompareReport,
    request: CompareRequest,
    output: Written,
    markdown: Path | None,
    chart: Path | None,
) -> int:
    """Write the result wherever it is wanted; returns the exit code.

    The table comes first: no file is worth it. An envelope has to say what became of the files.
    What was measured is kept until all of it is written.
    """
    from deployctl.cli import console
    from deployctl.cli.comparetext import as_markdown, text
    from deployctl.cli.handing import hand_out
    from deployctl.cli.retyped import mended
    from deployctl.deploy.comparing import handed_out
    from deployctl.visible import harmless

    as_json = output is Written.JSON
    if not as_json:
        said = as_markdown(report) if output is Written.MARKDOWN else text(report)
        console.out(harmless(said).rstrip("\n"))
    line = shlex.split(request.again)[1:]
    faults = tuple(mended(fault, line) for fault in report.faults)
    faults = (*faults, *_files(report, request, markdown, chart))
    status = "degraded" if faults and report.status == "ok" else report.status
    code = hand_out(
        "compare",
        as_json=as_json,
        status=status,
        data=replace(report, status=status),
        text="",
        faults=faults,
    )
    if not faults:
        handed_out(world, report)
    return code


def _files(
    report: CompareReport, request: CompareRequest, markdown: Path | None, chart: Path | None
) -> Iterator[Fault]:
    """Write the files that were asked for; why one could not be written."""
    from deployctl.cli.comparetext import as_markdown, asked
    from deployctl.cli.filing import attempted

    def table(path: Path) -> None:
        path.write_text(as_markdown(report), encoding="utf-8")

    def drawing(path: Path) -> None:
        from deployctl.charts import draw

        title = f"deployctl compare: {asked(report)}"
        draw(report.sides, report.shape, title=title, path=path)

    if not any(side.measured for side in report.sides):
        return  # an earlier result is worth more than an empty one
    for path, work in ((markdown, table), (chart, drawing)):
        if path is not None:
            yield from attempted(path, partial(work, path), again=request.again)
