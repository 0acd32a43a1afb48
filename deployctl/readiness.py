"""Whether a stack is ready: probes from outside, until a deadline; and the proof.

``/health`` alone is never "ready": llama-server says 200 with no model loaded, Open WebUI before
its database is there. Ready means that an answer of the served model came back through the UI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from deployctl.aside import Aside
from deployctl.errors import DeployctlError
from deployctl.outcomes import Answer
from deployctl.reply import Reader, ReplyError
from deployctl.secret import Secret

if TYPE_CHECKING:
    from deployctl.loopback import Http, Reply

#: What the model is asked. Short to read, short to answer, the same for every model.
QUESTION = "Say hello in one short sentence."

#: Seconds between two probes.
PROBE_EVERY_S = 0.05

#: What is seen of a service when nothing came back from it.
DOES_NOT_ANSWER = "does not answer yet"

#: Tokens that are plenty for the answer of a model that does not think first.
_SHORT_TOKENS = 48

#: A proof stops reading once this much of the answer is there, in characters.
_ENOUGH_CHARS = 25

#: Or a whole line, or a whole sentence of some words.
_SENTENCE = re.compile(r"\n|\S\s+\S.*[.!?…](?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a stack is reached from this machine, and with what."""

    stack: str
    webui: str  # http://127.0.0.1:7860
    engine: str  # http://127.0.0.1:8000
    served_name: str
    secrets_file: str
    engine_key: Secret
    admin_email: str
    admin_password: Secret
    again: str  # the command that brings the stack up as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One attempt from outside: whether it worked, and what was seen."""

    ok: bool
    seen: str


def probe_engine(http: Http, at: Endpoints) -> Probe:
    """Ask the engine which models it serves: ours must be among them."""
    reply = http.call(f"{at.engine}/v1/models", token=at.engine_key, timeout_s=5)
    if reply.status != HTTPStatus.OK:
        return Probe(ok=False, seen=_seen(reply))
    names = model_ids(reply.data)
    if at.served_name not in names:
        return Probe(ok=False, seen=f"serves {', '.join(names) or 'no model'}")
    return Probe(ok=True, seen=f"serves {at.served_name}")


def probe_frontend(http: Http, at: Endpoints) -> Probe:
    """Ask the frontend whether its start is complete, database included."""
    reply = http.call(f"{at.webui}/ready", timeout_s=5)
    if reply.status == HTTPStatus.OK:
        return Probe(ok=True, seen="ready")
    return Probe(ok=False, seen=_seen(reply))


#: Service → how it is asked from outside; first the one for whose answer more questions wait.
PROBES: Mapping[str, Callable[[Http, Endpoints], Probe]] = {
    "webui": probe_frontend,
    "engine": probe_engine,
}


def not_listed(at: Endpoints, names: tuple[str, ...]) -> DeployctlError:
    """Make ``proof-failed`` of a frontend that offers these models and not the served one."""
    found = ", ".join(names) or "none"
    return _unproved(at, f"The frontend does not list model {at.served_name}; it lists: {found}.")


def model_ids(data: object) -> tuple[str, ...]:
    """The models of a list in OpenAI's form, as JSON; none in an answer of any other form."""
    rows = data.get("data") if isinstance(data, dict) else None
    names = [r.get("id") for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []
    return tuple(name for name in names if isinstance(name, str))


def _seen(reply: Reply) -> str:
    if reply.status == 0:
        return DOES_NOT_ANSWER
    message = reply.data.get("error", reply.data) if isinstance(reply.data, dict) else None
    if isinstance(message, dict):
        message = message.get("message", message.get("detail"))
    return f"HTTP {reply.status}" + (f": {message}" if isinstance(message, str) else "")


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


def wait(
    probe: Callable[[], Probe],
    look: Callable[[], None],
    *,
    clock: Clock,
    deadline_s: float,
    pause: Callable[[], float] = lambda: PROBE_EVERY_S,
) -> Probe:
    """Probe until it works or the deadline passes; returns the last probe either way.

    ``look`` is called all the time between probes, to raise when waiting has become pointless (a
    dead container). ``pause`` gives the seconds from one probe to the next; it is asked again after
    each look, since what was seen then may make the next probe worth while at once.
    """
    started = clock.now()
    while True:
        result = probe()
        probed = clock.now()
        if result.ok or probed - started >= deadline_s:
            return result
        look()
        while (left := probed + pause() - clock.now()) > 0:
            clock.sleep(min(left, PROBE_EVERY_S))
            if left > PROBE_EVERY_S:
                look()


def sign_in(http: Http, at: Endpoints, *, timeout_s: float = 30) -> Secret:
    """Sign in to the frontend as the generated administrator.

    ``proof-failed`` when refused, ``sign-in-limited`` when that was tried too often,
    ``frontend-not-ready`` when there was no answer to it.
    """
    reply = http.call(
        f"{at.webui}/api/v1/auths/signin",
        body={"email": at.admin_email, "password": at.admin_password.reveal()},
        timeout_s=timeout_s,
    )
    token = reply.data.get("token") if isinstance(reply.data, dict) else None
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise DeployctlError(
            "The frontend takes no more sign-ins for a while: it allows 15 in three minutes.",
            code="sign-in-limited",
            where="webui",
            hint=f"sleep 180; deployctl status --stack {at.stack}",
        )
    if reply.status == 0 or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _unanswered(at, f"a sign-in ({_seen(reply)})")
    if reply.status != HTTPStatus.OK or not (isinstance(token, str) and token):
        raise _unproved(
            at,
            f"The frontend refused the stored administrator ({_seen(reply)}).",
            hint=password_changed(at),
        )
    return Secret(token)


def password_changed(at: Endpoints) -> str:
    """What to do about a stored administrator that the frontend refuses."""
    return (
        "if the password was changed in the chat window, write the new one into "
        f"admin_password of {at.secrets_file}, then: {at.again}"
    )


def _unanswered(at: Endpoints, what: str) -> DeployctlError:
    return DeployctlError(
        f"The frontend gave no answer to {what}.",
        code="frontend-not-ready",
        where="webui",
        hint=f"deployctl status --stack {at.stack}",
    )


_SIGNED_OUT = (401, 403)


def prove(
    http: Http,
    at: Endpoints,
    *,
    clock: Clock,
    deadline_s: float,
    reasoning: bool,
    max_tokens: int,
    kept: Secret | None = None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> tuple[Answer, Secret]:
    """Sign in, list the models, ask through the frontend's own chat API, read it, save a chat.

    The chat is saved while the engine is at the question. ``max_tokens`` is what one answer may
    have, thoughts included; ``deadline_s`` is for it all. ``kept`` is the session of an earlier
    sign-in; while it is valid nobody signs in anew. Returns the answer and the session. ``on_step``
    hears what is being done. Raises ``proof-failed`` with what was seen, ``chats-unsaved``, or
    ``frontend-not-ready``. Returns as soon as there is a sentence or a line.
    """
    started = clock.now()
    end = started + deadline_s

    def left() -> float:
        return max(0.1, end - clock.now())

    on_step("signing in" if kept is None else "listing models")
    token = kept or sign_in(http, at, timeout_s=min(30, left()))
    on_step("listing models")
    listed = http.call(f"{at.webui}/api/models", token=token, timeout_s=min(30, left()))
    if kept is not None and listed.status in _SIGNED_OUT:
        token = sign_in(http, at, timeout_s=min(30, left()))
        listed = http.call(f"{at.webui}/api/models", token=token, timeout_s=min(30, left()))
    if listed.status != HTTPStatus.OK:
        raise _unproved(at, f"The frontend did not list its models ({_seen(listed)}).")
    names = model_ids(listed.data)
    if at.served_name not in names:
        raise not_listed(at, names)
    body = {
        "model": at.served_name,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": max_tokens if reasoning else min(max_tokens, _SHORT_TOKENS),
    }
    left_s = left()
    saving = Aside(lambda: _keep_a_chat(http, at, token, timeout_s=min(30, left_s)))
    events = http.stream(
        f"{at.webui}/api/chat/completions", token=token, body=body, timeout_s=left_s
    )
    on_step("asking")
    try:
        read = _read(events, at, late=lambda: clock.now() >= end, on_step=on_step)
        seconds = clock.now() - started
    finally:
        saving.result()  # where both fail, this is nearer to the cause
    return Answer(text=read.answer.strip(), reasoning=read.reasoning, seconds=seconds), token


def _read(
    events: Iterable[str],
    at: Endpoints,
    *,
    late: Callable[[], bool],
    on_step: Callable[[str], None],
) -> Reader:
    """Read until there is enough of an answer; ``proof-failed`` when there never is."""
    reader = Reader(raw=True)
    try:
        for payload in events:
            for piece in reader.event(payload):
                on_step("answering" if piece.kind == "answer" else "thinking")
            if _enough(reader.answer) or late():
                break
    except ReplyError as problem:
        message = "The engine answered the frontend with an error."
        raise _unproved(at, message, problem) from None
    except OSError as problem:
        if not late():
            message = "The answer broke off on its way through the frontend."
            raise _unproved(at, message, problem) from None
    if not reader.answer.strip():
        raise _unproved(at, _silence(reader.reasoning, late=late()))
    return reader


def _keep_a_chat(http: Http, at: Endpoints, token: Secret, *, timeout_s: float) -> None:
    """Save an empty chat and delete it again; ``chats-unsaved`` when that is refused.

    On a full disk, or one it may only read, the frontend answers all the same, and loses it.
    """
    url = f"{at.webui}/api/v1/chats"
    saved = http.call(f"{url}/new", token=token, body={"chat": {}}, timeout_s=timeout_s)
    chat = saved.data.get("id") if isinstance(saved.data, dict) else None
    if saved.status == HTTPStatus.OK and isinstance(chat, str):
        saved = http.request("DELETE", f"{url}/{chat}", token=token, timeout_s=timeout_s)
    if saved.status == 0:
        raise _unanswered(at, "the saving of a chat")
    if saved.status != HTTPStatus.OK:
        raise DeployctlError(
            f"The frontend answers, and cannot save a chat ({_seen(saved)}).",
            code="chats-unsaved",
            where="webui",
            hint=f"deployctl logs webui --stack {at.stack}",
        )


def _enough(content: str) -> bool:
    """Whether this much of an answer proves that there is one."""
    answer = content.strip()
    return bool(_SENTENCE.search(answer)) or len(answer) >= _ENOUGH_CHARS


def _silence(thought: str, *, late: bool) -> str:
    """Say how it came that there is no answer."""
    end = "in time" if late else "at the end"
    if thought:
        return f"The model thought for {len(thought)} characters but gave no answer {end}."
    return "The model gave no answer in time." if late else "The model gave an empty answer."


def _unproved(
    at: Endpoints, message: str, evidence: object = None, *, hint: str = ""
) -> DeployctlError:
    from deployctl.redact import Redactor  # slow to import: only for what went wrong

    hint = hint or f"deployctl logs --stack {at.stack}"
    known = Redactor((at.engine_key.reveal(), at.admin_password.reveal())).known
    details = () if evidence is None else tuple(known(str(evidence)).splitlines()[:20])
    return DeployctlError(
        known(message), code="proof-failed", where="webui", hint=hint, details=details
    )
