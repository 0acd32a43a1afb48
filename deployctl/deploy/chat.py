"""The recipe of ``chat``: one question, straight to the engine's API, the answer as it comes.

Past the frontend on purpose: nothing is stored, nobody is signed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.deploy import stack
from deployctl.deploy.health import lost_network
from deployctl.deploy.kept import kept_request, way_of
from deployctl.deploy.known import down, known, paused
from deployctl.deploy.reviving import cut_off
from deployctl.deploy.why import why
from deployctl.errors import DeployctlError
from deployctl.readiness import probe_engine
from deployctl.reply import Piece, Reader, ReplyError
from deployctl.verify.wanted import Wanted, wanted_of
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.outcomes import ContainerState
    from deployctl.readiness import Endpoints

#: How often, and how many seconds apart, an engine that answers no more is looked at.
_LOOKS, _LOOK_EVERY_S = 8, 0.5

#: An answer may take this long in all, seconds. Whoever reads it ends it earlier with Ctrl-C.
_PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation: ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, and how; what is ``None`` is as the profile has it."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    raw: bool = False  # leave <think> in the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How fast an answer came, measured. Times in seconds; unknown is ``None``.

    ``measured_by`` is who measured ``tokens_per_second``: the engine itself, or the clock here.
    """

    first_token_s: float | None
    seconds: float
    tokens_per_second: float | None
    measured_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReport:
    """An answer, and what it took. ``usage`` is in tokens, in the engine's words."""

    stack: str
    model: str
    engine_url: str
    answer: str
    reasoning: str
    finish_reason: str | None
    usage: dict[str, Any]
    timings: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An engine that listens, and how to bring its stack up changed.

    ``max_tokens``: how long an answer of the chat window may be.
    """

    at: Endpoints
    max_tokens: int | None
    way: Way


def connect(world: World, name: str) -> Line:
    """Find the stack's engine, which must answer now.

    ``stack-unknown``, ``stack-not-running``, or the cause if not.
    """
    space = Workspace(world.home, name)
    manifest, states = known(world, space)
    engine = next((state for state in states if state.service == "engine"), None)
    if engine is None:
        space.refuse_unfinished()
        if not states:
            raise down(space, "so there is no engine to ask")
        raise _not_running(name, manifest, "has no engine container")
    if (held := paused(engine)) is not None:
        raise DeployctlError.of((held,))
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    way, wanted = way_of(kept_request(name, manifest)), _wanted(manifest)
    probe = probe_engine(world.http, at)
    if not probe.ok:
        space.refuse_unfinished()  # somebody is bringing it up just now
        kind = "llama.cpp" if wanted is None else wanted.engine
        state = _engine(world, name)  # it may have died just now
        if state is not None and cut_off(world, name, (state,)):
            raise DeployctlError.of((lost_network(state, kept_request(name, manifest)),))
        raise DeployctlError.of((why(world, way, "engine", engine=kind, state=state),))
    return Line(at=at, max_tokens=wanted.max_tokens if wanted else None, way=way)


def still_there(world: World, name: str) -> None:
    """Raise the cause where the engine does not answer any more, as :func:`connect` does.

    Docker may need a moment to see that a process has ended.
    """
    for looks_left in reversed(range(_LOOKS)):
        try:
            connect(world, name)
        except DeployctlError as problem:
            if problem.faults[0].code != "engine-not-ready" or not looks_left:
                raise
            world.clock.sleep(_LOOK_EVERY_S)
        else:
            return


def ask(
    world: World, line: Line, asked: Asked, on_piece: Callable[[Piece], None], into: Reader
) -> ChatReport:
    """Ask, and hand on every piece of the answer as it comes; ``into`` keeps all of it.

    Raises ``chat-failed`` when the engine refuses or the answer breaks off, ``chat-too-long`` when
    the conversation is longer than the model's context.
    """
    at, started = line.at, world.clock.now()
    first: float | None = None
    try:
        events = world.http.stream(
            f"{at.engine}/v1/chat/completions",
            token=at.engine_key,
            body=_body(line, asked),
            timeout_s=_PATIENCE_S,
        )
        for payload in events:
            for piece in into.event(payload):
                first = world.clock.now() if first is None else first
                on_piece(piece)
        for piece in into.end():
            on_piece(piece)
    except ReplyError as problem:
        raise _failed(line, asked, str(problem)) from None
    except BrokenPipeError:
        raise  # whoever reads the answer left
    except OSError as problem:
        raise _broken(world, line, asked, _said_by_engine(problem)) from None
    ended = world.clock.now()
    if into.finish_reason is None and not into.usage:
        raise _broken(world, line, asked, "The stream ended in the middle.")
    return ChatReport(
        stack=at.stack,
        model=at.served_name,
        engine_url=f"{at.engine}/v1",
        answer=into.answer,
        reasoning=into.reasoning,
        finish_reason=into.finish_reason,
        usage=into.usage,
        timings=_figures(into, started=started, first=first, ended=ended),
    )


def _engine(world: World, name: str) -> ContainerState | None:
    states = world.docker.containers(name)
    return next((state for state in states if state.service == "engine"), None)


def _wanted(manifest: Manifest) -> Wanted | None:
    """What was asked of the stack; ``None`` where the record is an older deployctl's."""
    try:
        return wanted_of(manifest.compose or "", {})
    except ValueError:
        return None


def _body(line: Line, asked: Asked) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": line.at.served_name,
        "messages": [{"role": m.role, "content": m.content} for m in asked.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if (limit := asked.max_tokens or line.max_tokens) is not None:
        body["max_tokens"] = limit
    if asked.temperature is not None:
        body["temperature"] = asked.temperature
    return body


def _figures(reader: Reader, *, started: float, first: float | None, ended: float) -> Figures:
    """Take the engine's own measure of its speed, else ours: tokens after the first one."""
    by_engine = reader.timings.get("predicted_per_second")
    tokens = reader.usage.get("completion_tokens")
    speed: float | None = None
    if isinstance(by_engine, int | float):
        speed = float(by_engine)
    elif isinstance(tokens, int) and tokens > 1 and first is not None and ended > first:
        speed = (tokens - 1) / (ended - first)
    return Figures(
        first_token_s=None if first is None else first - started,
        seconds=ended - started,
        tokens_per_second=speed,
        measured_by="engine" if isinstance(by_engine, int | float) else "deployctl",
    )


# ── what may be wrong ─────────────────────────────────────────────────────────────────────────


def _not_running(name: str, manifest: Manifest | None, why_not: str) -> DeployctlError:
    return DeployctlError(
        f"Stack {name} {why_not}, so there is no engine to ask.",
        code="stack-not-running",
        where="engine",
        hint=kept_request(name, manifest).again,
    )


#: How the engines say that a conversation is longer than their context.
_TOO_LONG = ("exceeds the available context size", "maximum context length", "max_model_len")


def _failed(line: Line, asked: Asked, said: str) -> DeployctlError:
    if any(words in said for words in _TOO_LONG):
        return _too_long(line, asked, said)
    return DeployctlError(
        "The engine gave no whole answer.",
        code="chat-failed",
        where="engine",
        details=(said,),
        hint=f"deployctl status --stack {line.at.stack}",
    )


def _too_long(line: Line, asked: Asked, said: str) -> DeployctlError:
    """Name the context that would do: what the engine counted and an answer, in whole 1024s."""
    counted = max(map(int, re.findall(r"\d+(?= (?:input )?tokens)", said)), default=0)
    room = counted + (asked.max_tokens or line.max_tokens or 0)
    longer = line.way.with_set(("model.context", str(-(-room // 1024) * 1024)))
    return DeployctlError(
        "The question, with what was said before, is longer than what the model looks at.",
        code="chat-too-long",
        where="engine",
        details=(said,),
        hint=f"{longer}  # or ask with less text",
    )


def _broken(world: World, line: Line, asked: Asked, said: str) -> DeployctlError:
    """Say why an answer broke off: with the engine's own fault, if it does not work any more."""
    if said.startswith("HTTP 4"):
        return _failed(line, asked, said)
    try:
        still_there(world, line.at.stack)
    except DeployctlError as cause:
        return cause
    return _failed(line, asked, said)


def _said_by_engine(problem: OSError) -> str:
    """Take the engine's own sentence out of ``HTTP 400: {"error":{"message":…}}``."""
    text = str(problem)
    head, brace, rest = text.partition("{")
    try:
        error = json.loads(brace + rest)["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        return text
    return f"{head}{message}" if isinstance(message, str) else text
