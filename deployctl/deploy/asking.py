"""Asks a running engine many questions, and hands on every answer as soon as it is whole."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.aside import Aside
from deployctl.deploy.chat import still_there
from deployctl.deploy.evalroom import with_room
from deployctl.errors import DeployctlError
from deployctl.evals.nouns import Call, Question, Row
from deployctl.reply import Reader, ReplyError
from deployctl.sidebyside import apart
from deployctl.verify.ask import dig

if TYPE_CHECKING:
    from deployctl.deploy.chat import Line
    from deployctl.deploy.evalwatch import Watch
    from deployctl.deploy.world import World

#: One answer may take this long, seconds: a small board writes thousands of tokens in an hour.
_PATIENCE_S = 3 * 3600.0

#: How often it is looked whether anything still comes, in real seconds.
_LOOK_S = 0.5

_STATUS = re.compile(r"HTTP (\d{3})")

#: So much of a refusal is kept, characters.
_LONGEST_SAID = 500

#: Refusals that are about this question. The others are about every one.
_ABOUT_IT = (400, 413, 422)


@dataclass(slots=True, kw_only=True)
class _Round:
    """Questions under way. ``keep`` is called for one row at a time."""

    world: World
    line: Line
    engine: str
    context: int
    watch: Watch
    todo: Iterator[Question]
    keep: Callable[[Row, bool], None]
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Question | None:
        """The next one to be asked; ``None`` when there is none, or nobody wants any more."""
        with self.lock:
            return None if self.stopped else next(self.todo, None)

    def kept(self, row: Row, *, lasting: bool) -> None:
        """Hand on a row, unless whoever asked has gone on without it."""
        with self.lock:
            if not self.stopped:
                self.keep(row, lasting)

    def stop(self) -> None:
        """Let nothing begin any more, and nothing be handed on."""
        with self.lock:
            self.stopped = True


def ask_all(
    world: World,
    line: Line,
    questions: Iterable[Question],
    *,
    engine: str,
    context: int,
    at_once: int,
    watch: Watch,
    keep: Callable[[Row, bool], None],
) -> None:
    """Ask them all, ``at_once`` at a time; ``keep`` hears each row, and whether it will not change.

    Raises the cause where the engine died, ``engine-hung`` where it writes nothing any more,
    ``chat-failed`` where it answers nobody, and ``KeyboardInterrupt``; what was heard until then
    stands. The threads hold no process.
    """
    asking = _Round(
        world=world,
        line=line,
        engine=engine,
        context=context,
        watch=watch,
        todo=iter(questions),
        keep=keep,
    )
    work = Aside(lambda: _all(asking, at_once))
    try:
        work.result()
    finally:
        asking.stop()


def _all(asking: _Round, at_once: int) -> None:
    asking.watch.heard()
    lanes: set[Future[None]] = {apart(partial(_lane, asking), name="eval") for _ in range(at_once)}
    while lanes:
        ended, lanes = wait(lanes, timeout=_LOOK_S, return_when=FIRST_EXCEPTION)
        for lane in ended:
            lane.result()
        if lanes:
            asking.watch.look()


def _lane(asking: _Round) -> None:
    while (question := asking.next()) is not None:
        row, lasting = _asked(asking, question)
        asking.kept(row, lasting=lasting)


def _asked(asking: _Round, question: Question) -> tuple[Row, bool]:
    """Ask one question, and once more where that broke and the engine still answers."""
    at, id_ = asking.line.at, question.id
    fitting, why = with_room(
        asking.world, asking.line, question, engine=asking.engine, context=asking.context
    )
    if fitting is None:
        return Row(id=id_, too_long=True, said=why), True
    for last in (False, True):
        try:
            return _answered(asking, fitting), True
        except _NoAnswerError as problem:
            said, status = str(problem), problem.status
        if status in _ABOUT_IT:
            return Row(id=id_, refused=True, said=said), True
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            break
        still_there(asking.world, at.stack)
        if last and status == HTTPStatus.INTERNAL_SERVER_ERROR:
            # It cannot read what its model wrote: the model's failure, unless it is the engine's.
            return Row(id=id_, broken=True, said=said), False
    raise DeployctlError(
        f"The engine runs and refuses to answer: HTTP {status}."
        if status
        else "The engine runs, and its answer broke off twice.",
        code="chat-failed",
        where="engine",
        hint=f"deployctl logs engine --stack {at.stack}",
        details=(said,),
    )


class _NoAnswerError(Exception):
    """No whole answer came; the text says why. ``status`` is HTTP's, 0 where it broke off."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said[:_LONGEST_SAID])
        self.status = status


def _answered(asking: _Round, question: Question) -> Row:
    """Ask, and read the answer as it is written.

    As a stream: the engine ends an answer that nobody reads any more, and a run that was killed
    leaves it free for the next.
    """
    at, clock = asking.line.at, asking.world.clock
    reading, limit = Reading(), question.body["max_tokens"]
    started = clock.now()
    asking.watch.asked(limit)
    try:
        for payload in asking.world.http.stream(
            f"{at.engine}/v1/chat/completions",
            token=at.engine_key,
            body={
                "model": at.served_name,
                **question.body,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
            timeout_s=_PATIENCE_S,
        ):
            asking.watch.heard()
            reading.event(payload)
    except ReplyError as problem:
        raise _NoAnswerError(str(problem), HTTPStatus.INTERNAL_SERVER_ERROR) from None
    except OSError as problem:
        found = _STATUS.match(str(problem))
        status = int(found[1]) if found else 0
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            asking.watch.read(limit)  # nothing was written
        raise _NoAnswerError(_own_words(str(problem)), status) from None
    if reading.reader.finish_reason is None:
        raise _NoAnswerError("the answer ended in the middle", 0)
    asking.watch.read(limit)
    return reading.row(question.id, clock.now() - started)


def _own_words(said: str) -> str:
    """Take the engine's sentence out of ``HTTP 400: {"error":{"message":…}}``."""
    head, brace, rest = said.partition("{")
    try:
        error = json.loads(brace + rest)["error"]
    except (ValueError, KeyError, TypeError):
        return said
    message = error.get("message") if isinstance(error, dict) else error
    return f"{head}{message}" if isinstance(message, str) else said


@dataclass(slots=True)
class Reading:
    """One streamed answer: what ``Reader`` reads of it, and the calls of tools in it."""

    reader: Reader = field(default_factory=lambda: Reader(raw=True))
    calls: dict[int, list[str]] = field(default_factory=dict)  # name, arguments

    def event(self, payload: str) -> None:
        """Read one event's payload; ``ReplyError`` when it is an error."""
        for _ in self.reader.event(payload):
            pass
        if '"tool_calls"' not in payload:
            return
        for number, call in enumerate(_calls(payload)):
            place = call.get("index")
            parts = self.calls.setdefault(place if isinstance(place, int) else number, ["", ""])
            for at, key in enumerate(("name", "arguments")):
                text = dig(call, "function", key)
                parts[at] += text if isinstance(text, str) else ""

    def row(self, id_: str, seconds: float) -> Row:
        """All of it; what did not come is empty."""
        usage = self.reader.usage
        return Row(
            id=id_,
            answer=self.reader.answer,
            reasoning=self.reader.reasoning,
            calls=tuple(
                Call(name=name, arguments=arguments)
                for _, (name, arguments) in sorted(self.calls.items())
            ),
            finish_reason=self.reader.finish_reason,
            tokens=_count(usage.get("completion_tokens")),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            seconds=round(seconds, 3),
        )


def _calls(payload: str) -> list[dict[str, Any]]:
    calls = dig(json.loads(payload), "choices", 0, "delta", "tool_calls")
    return [c for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []


def _count(value: object) -> int | None:
    return value if type(value) is int else None
