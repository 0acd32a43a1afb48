"""``deployctl eval``: whether the model's answers are any good."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    QuietOption,
    StackOption,
)
from deployctl.evals.nouns import DEFAULT_SEED

if TYPE_CHECKING:
    from deployctl.cli.session import Session
    from deployctl.deploy.evalreport import EvalReport
    from deployctl.evals.nouns import Kind

group = typer.Typer(
    name="eval",
    help="Measure whether the model's answers are right, whole and in form.",
    epilog="Start here: deployctl eval math --n 20",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FirstOption = Annotated[
    int | None,
    typer.Option("--n", metavar="N", min=1, help="Only the first N; asking for more goes on."),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="How long one answer may be; else the profile's."
    ),
]
AtOnceOption = Annotated[
    int,
    typer.Option(
        "--concurrency",
        metavar="N",
        min=1,
        help="Questions at once. Only one at a time gives the same answers again.",
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Another gives other answers.")
]
AnewOption = Annotated[
    bool, typer.Option("--again", help="Ask all anew; what was answered so far is put aside.")
]


@group.command()
def math(  # one parameter per option
    n: FirstOption = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="FILE|hf:…",
            help="JSON lines like MATH-500's: a file, or hf:ORG/REPO[@REV][:FILE] of the hub.",
        ),
    ] = None,
    max_tokens: TokensOption = None,
    concurrency: AtOnceOption = 1,
    seed: SeedOption = DEFAULT_SEED,
    again: AnewOption = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Ask mathematics: is the chain whole, is the answer right.

    Goes on where an earlier run ended.
    """
    return _evaluated(
        "math", n, dataset, max_tokens, concurrency, seed, again, stack, output, quiet
    )


@group.command()
def tools(
    n: FirstOption = None,
    max_tokens: TokensOption = None,
    concurrency: AtOnceOption = 1,
    seed: SeedOption = DEFAULT_SEED,
    again: AnewOption = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Offer tools: is a call valid, and is it the right one."""
    return _evaluated("tools", n, None, max_tokens, concurrency, seed, again, stack, output, quiet)


@group.command("json")
def json_(
    n: FirstOption = None,
    max_tokens: TokensOption = None,
    concurrency: AtOnceOption = 1,
    seed: SeedOption = DEFAULT_SEED,
    again: AnewOption = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Ask for JSON of a schema: in words, and held to it."""
    return _evaluated("json", n, None, max_tokens, concurrency, seed, again, stack, output, quiet)


def _evaluated(  # every option once
    kind: Kind,
    n: int | None,
    dataset: str | None,
    max_tokens: int | None,
    concurrency: int,
    seed: int,
    again: bool,
    stack: str,
    output: Output,
    quiet: bool,
) -> int:
    from deployctl.cli.session import Session
    from deployctl.datasets import Datasets
    from deployctl.deploy.evalreport import EvalRequest
    from deployctl.deploy.evaluating import evaluate
    from deployctl.deploy.judging import MathVerify
    from deployctl.extras import need

    request = EvalRequest(
        kind=kind,
        stack=stack,
        typed=_typed(kind, n, dataset, max_tokens, concurrency, seed, stack),
        dataset=dataset,
        first=n,
        max_tokens=max_tokens,
        at_once=concurrency,
        seed=seed,
        anew=again,
    )
    session = Session.open(f"eval {kind}", output, quiet=quiet, again=request.typed)
    need("eval")
    world = session.world(stack)
    sources = Datasets(
        world.home / "datasets",
        world.catalog.evals_dir,
        environment=session.environment,
        again=request.typed,
        clock=world.clock.now,
        sleep=world.clock.sleep,
    )
    report = evaluate(world, request, sources=sources, judge=MathVerify(world.runner))
    return _handed_out(session, report)


def _typed(
    kind: Kind,
    n: int | None,
    dataset: str | None,
    max_tokens: int | None,
    concurrency: int,
    seed: int,
    stack: str,
) -> str:
    """The command line that goes on from here; ``--again`` would begin anew."""
    options = {
        "--n": n,
        "--dataset": dataset,
        "--max-tokens": max_tokens,
        "--concurrency": concurrency if concurrency != 1 else None,
        "--seed": seed if seed != DEFAULT_SEED else None,
        "--stack": stack if stack != DEFAULT_STACK_NAME else None,
    }
    words = (word for name, value in options.items() if value is not None for word in (name, value))
    return shlex.join(("deployctl", "eval", kind, *map(str, words)))


def _handed_out(session: Session, report: EvalReport) -> int:
    """Write what there is on stdout, what ended it on stderr; the exit code is the latter's."""
    from deployctl.cli.evaltext import text
    from deployctl.cli.handing import hand_out

    return hand_out(
        session.command,
        as_json=session.output is Output.JSON,
        status=report.status,
        data=report,
        text=text(report),
        faults=report.faults,
    )
