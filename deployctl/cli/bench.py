"""``deployctl bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.load import (
    OutputTokensOption,
    PromptTokensOption,
    RoundsOption,
    StreamsOption,
)
from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    QuietOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.deploy.bench import BenchReport
    from deployctl.errors import Fault

group = typer.Typer(
    name="bench",
    help="Measure a running stack; `bench history` shows earlier measurements.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@group.callback()
def bench(  # one parameter per option
    context: typer.Context,
    streams: StreamsOption = "1,4,16",
    prompt_tokens: PromptTokensOption = 128,
    output_tokens: OutputTokensOption = 128,
    rounds: RoundsOption = 3,
    cached: Annotated[
        bool,
        typer.Option(
            "--cached", help="Ask the same question each time, which the engine's cache knows."
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Which questions, by chance if absent. A cache knows those of an earlier run.",
        ),
    ] = None,
    fail_if_slower: Annotated[
        bool,
        typer.Option(
            "--fail-if-slower", help="Exit 6 when it got slower since the last run of the same."
        ),
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Measure a running stack: how long until the first token, tokens/s, memory, the ceiling.

    Ends with 6 when the engine does, and keeps what was measured until then.
    """
    if context.invoked_subcommand is not None:
        _refuse_before(context)
        return 0
    from dataclasses import replace
    from secrets import randbelow

    from deployctl.bench.nouns import Shape
    from deployctl.cli.load import shape_of, words_of
    from deployctl.cli.session import Session
    from deployctl.cli.signals import ended_once
    from deployctl.deploy.bench import bench as recipe

    shape = replace(shape_of(streams, prompt_tokens, output_tokens, rounds), fresh=not cached)
    session = Session.open("bench", output, quiet=quiet)
    chance = randbelow(1 << 32) if seed is None else seed
    again = ("bench", *words_of(shape, Shape()), *(("--cached",) if cached else ()))
    doing = _typed(*again, stack=stack).removeprefix("deployctl ")
    with ended_once(said="ending; what was measured is kept"):
        report = recipe(session.world(stack), stack, shape, seed=chance, doing=doing)
    return _hand_out(report, session.output, again=again, fail_if_slower=fail_if_slower)


@group.command()
def history(
    last: Annotated[
        int, typer.Option("--last", min=1, metavar="N", help="How many, the latest first.")
    ] = 20,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Show earlier measurements of a stack, which need not run any more."""
    from deployctl.cli.benchtext import history_text
    from deployctl.cli.session import Session
    from deployctl.deploy.bench import history as recipe
    from deployctl.errors import DeployctlError

    session = Session.open("bench history", output, quiet=True)
    report = recipe(session.world(stack), stack, last=last)
    if not report.runs and not report.unread:
        raise DeployctlError(
            f"Nothing was measured of stack {stack} yet.",
            code="bench-none",
            where=str(report.file),
            hint=_typed("bench", stack=stack),
        )
    data = {
        "stack": report.stack,
        "file": report.file,
        "unread": report.unread,
        "runs": [{"measured": run, "verdict": verdict} for run, verdict in report.runs],
    }
    return session.emit(data, history_text(report))


def _typed(*words: str, stack: str) -> str:
    """A command line of ``bench`` for a stack."""
    import shlex

    own = () if stack == DEFAULT_STACK_NAME else ("--stack", stack)
    return shlex.join(("deployctl", *words, *own))


def _refuse_before(context: typer.Context) -> None:
    """Refuse options that stand before `history`: they would be those of a measurement."""
    given = [
        name
        for name in context.params
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(
            f"--{given[0].replace('_', '-')} stands before {context.invoked_subcommand}: "
            "its options stand behind it."
        )


def _hand_out(
    report: BenchReport, output: Output, *, again: tuple[str, ...], fail_if_slower: bool
) -> int:
    """Write the result; returns the exit code."""
    from deployctl.cli.benchtext import text
    from deployctl.cli.handing import hand_out

    faults = _faults(report, again=again, fail_if_slower=fail_if_slower)
    return hand_out(
        "bench",
        as_json=output is Output.JSON,
        status="ok" if not faults else "degraded" if report.measured.levels else "failed",
        data=report,
        text=text(report),
        faults=faults,
    )


def _faults(
    report: BenchReport, *, again: tuple[str, ...], fail_if_slower: bool
) -> tuple[Fault, ...]:
    """What ended it, or what it found."""
    from deployctl.errors import Fault

    found, stack = report.measured, report.measured.subject.stack
    if found.ended == "interrupted":
        return (
            Fault(
                code="interrupted",
                message="Interrupted. What was measured until then is kept."
                if report.kept_in
                else "Interrupted before anything was measured."
                if not found.levels
                else "Interrupted. What was measured is above, and kept nowhere.",
                hint=_typed(*again, stack=stack),
            ),
            *report.unkept,
        )
    if found.ended or report.unkept:
        return (*found.faults, *report.unkept)
    if fail_if_slower and report.verdict is not None and report.verdict.trend == "slower":
        return (
            Fault(
                code="bench-slower",
                message=f"Stack {stack} got slower since {report.verdict.since}.",
                where=stack,
                hint=_typed("bench", "history", stack=stack),
            ),
        )
    return ()
