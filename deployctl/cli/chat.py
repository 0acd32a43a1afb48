"""``deployctl chat``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.cli.session import Session
    from deployctl.deploy.chat import Asked, ChatReport, Line
    from deployctl.deploy.world import World
    from deployctl.reply import Piece, Reader


def chat(
    question: Annotated[
        str | None,
        typer.Argument(help="What to ask; - reads it from stdin; none, on a terminal, converses."),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="What the model is told first.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            metavar="N",
            min=1,
            help="How long the answer may be, thoughts included.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", min=0.0, max=2.0, help="0 is the likeliest."),
    ] = None,
    no_reasoning: Annotated[
        bool, typer.Option("--no-reasoning", help="Do not show what the model thinks.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Only the answer as it came: no thoughts, no figures.")
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Ask the model, straight through the engine's API.

    The answer comes as it is made; nothing is stored.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.chat import Asked, Message, connect

    question, system = _typed(question), _typed(system)
    session = Session.open("chat", output, quiet=True)
    world = session.world(stack)
    talking = question is None and sys.stdin.isatty() and output is Output.TEXT
    asked = Asked(
        messages=() if system is None else (Message(role="system", content=system),),
        max_tokens=max_tokens,
        temperature=temperature,
        raw=raw,
    )
    screen = _Screen(
        reasoning=not (no_reasoning or raw),
        figures=not raw,
        dim=sys.stderr.isatty() and not session.environment.get("NO_COLOR"),
    )
    if talking:
        return _converse(world, connect(world, stack), asked, screen)
    text = _question(question, stack)
    line = connect(world, stack)
    asked = replace(asked, messages=(*asked.messages, Message(role="user", content=text)))
    return _once(session, world, line, asked, screen)


def _typed(text: str | None) -> str | None:
    """What was typed as it was meant: a locale without UTF-8 leaves its bytes as half characters.

    The engine would refuse those: no JSON can hold them.
    """
    if text is None or text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return os.fsencode(text).decode("utf-8", "replace")


def _question(given: str | None, stack: str) -> str:
    """What was asked, on the command line or on stdin; ``usage`` when that is nothing."""
    from deployctl.errors import DeployctlError

    text = given
    if given == "-" or (given is None and not sys.stdin.isatty()):
        source = getattr(sys.stdin, "buffer", None)
        text = source.read().decode("utf-8", "replace") if source else sys.stdin.read()
    if text is None or not text.strip():
        of = "" if stack == DEFAULT_STACK_NAME else f" --stack {stack}"
        raise DeployctlError(
            "Nothing was asked.", code="usage", hint=f'deployctl chat "What can you do?"{of}'
        )
    return text


def _once(session: Session, world: World, line: Line, asked: Asked, screen: _Screen) -> int:
    from deployctl.deploy.chat import ask
    from deployctl.reply import Reader

    if session.output is Output.JSON:
        report = ask(world, line, asked, lambda _piece: None, Reader(raw=asked.raw))
        return session.emit(report, "")
    screen.show(world, line, asked, Reader(raw=asked.raw))
    return 0


def _converse(world: World, line: Line, asked: Asked, screen: _Screen) -> int:
    """Ask and answer until /quit or Ctrl-D. Ctrl-C stops an answer, and, at the prompt, leaves."""
    from deployctl.cli import console
    from deployctl.cli.boundary import words
    from deployctl.deploy.chat import Message
    from deployctl.errors import DeployctlError
    from deployctl.reply import Reader

    console.err(
        f"{line.at.served_name}, straight from the engine of stack {line.at.stack}; nothing is "
        "kept.\n/new begins anew, /quit or Ctrl-D leaves, Ctrl-C stops an answer."
    )
    begun = asked
    while True:
        try:
            text = (_typed(console.ask("> ")) or "").strip()
        except EOFError:
            console.err("")
            return 0
        if text == "/quit":
            return 0
        if text == "/new":
            asked = begun
            console.err("A new conversation.")
        if not text or text == "/new":
            continue
        question = Message(role="user", content=text)
        reader = Reader(raw=asked.raw)
        longer = replace(asked, messages=(*asked.messages, question))
        try:
            screen.show(world, line, longer, reader)
        except KeyboardInterrupt:
            console.err("(stopped)")
        except DeployctlError as error:
            too_long = error.faults[0].code == "chat-too-long"
            console.err("\n\n".join(words(fault) for fault in error.faults))
            console.err("/new begins anew, with nothing said before." if too_long else "")
            continue
        answer = Message(role="assistant", content=reader.answer)
        asked = replace(longer, messages=(*longer.messages, answer))


class _Screen:
    """Shows an answer as it comes: the answer on stdout, all else on stderr."""

    def __init__(self, *, reasoning: bool, figures: bool, dim: bool) -> None:
        self._reasoning = reasoning
        self._figures = figures
        self._dim = dim
        self._thinking = False

    def show(self, world: World, line: Line, asked: Asked, into: Reader) -> None:
        """Ask, and show; whatever ends it, the line is ended too."""
        from deployctl.cli import console
        from deployctl.deploy.chat import ask

        report = None
        try:
            report = ask(world, line, asked, self._piece, into)
        finally:
            self._end_thoughts()
            if into.answer and not into.answer.endswith("\n"):
                console.pour("\n")
        for said in remarks(report):
            if self._figures or not report.answer.strip():  # no answer is never left unsaid
                console.err(said)
        if self._figures:
            console.err(figures(report))

    def _piece(self, piece: Piece) -> None:
        from deployctl.cli import console

        if piece.kind == "answer":
            self._end_thoughts()
            console.pour(piece.text)
        elif self._reasoning:
            if not self._thinking and not self._dim:
                console.aside("thinking: ")
            self._thinking = True
            console.aside(piece.text, dim=self._dim)

    def _end_thoughts(self) -> None:
        from deployctl.cli import console

        if self._thinking:
            self._thinking = False
            console.aside("\n\n")


#: A limit that leaves room for an answer behind the thoughts: those are longer as a rule, tokens.
_ROOM = 2048


def remarks(report: ChatReport) -> tuple[str, ...]:
    """What is to be said of an answer that is none, or not whole, and what to do about it."""
    counted = report.usage.get("completion_tokens")
    tokens = counted if isinstance(counted, int) else None
    after = "" if tokens is None else f" after {tokens} tokens"
    more = f"--max-tokens {max(_ROOM, 4 * (tokens or 0))}"
    thought = f"The model thought{'' if tokens is None else f' for {tokens} tokens'}"
    match report.finish_reason, bool(report.answer.strip()), bool(report.reasoning):
        case "length", True, _:
            return (f"! The answer was cut off{after}. Next: {more}",)
        case "length", False, True:
            return (f"! {thought} and gave no answer. Next: {more}",)
        case _, False, True:
            return (f"! {thought} and gave no answer. Next: ask in other words",)
        case _, False, False:
            return ("! The model gave an empty answer. Next: ask in other words",)
    return ()


def figures(report: ChatReport) -> str:
    """Say in a line how fast an answer came: ``23 tokens · 45.2 tokens/s · first after …``."""
    from deployctl.cli.console import duration

    timings, usage = report.timings, report.usage
    parts = []
    if isinstance(tokens := usage.get("completion_tokens"), int):
        parts.append(f"{tokens} tokens")
    if timings.tokens_per_second is not None:
        parts.append(f"{timings.tokens_per_second:.1f} tokens/s")
    if timings.first_token_s is not None:
        parts.append(f"first after {timings.first_token_s:.2f} s")
    if isinstance(prompt := usage.get("prompt_tokens"), int):
        parts.append(f"question of {prompt} tokens")
    parts.append(f"{duration(timings.seconds)} in all")
    by = "" if timings.measured_by == "deployctl" else ", the speed by the engine"
    return f"[{' · '.join(parts)}; measured{by}]"
