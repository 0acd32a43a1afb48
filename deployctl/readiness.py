"""Whether a stack is ready: probes from outside, until a deadline; and the proof.

``/health`` alone is never "ready": llama-server says 200 with no model loaded, Open WebUI before
its database is there. Ready means that an answer of the served model came back through the UI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from deployctl.aside import Aside
from deployctl.errors import DeployctlError
from deployctl.outcomes import Answer
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
_ENOUGH_CHARS = 40

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

    ``look`` is called after each probe, to raise when waiting has become pointless (a dead
    container). ``pause`` gives the seconds until the next probe.
    """
    started = clock.now()
    while True:
        result = probe()
        if result.ok or clock.now() - started >= deadline_s:
            return result
        look()
        clock.sleep(pause())


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
        raise DeployctlError(
            f"The frontend gave no answer to a sign-in ({_seen(reply)}).",
            code="frontend-not-ready",
            where="webui",
            hint=f"deployctl status --stack {at.stack}",
        )
    if reply.status != HTTPStatus.OK or not (isinstance(token, str) and token):
        raise _unproved(
            at,
            f"The frontend refused the stored administrator ({_seen(reply)}).",
            hint="if the password was changed in the chat window, write the new one into "
            f"admin_password of {at.secrets_file}, then: deployctl up --stack {at.stack}",
        )
    return Secret(token)


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
    hears what is being done. Raises ``proof-failed`` with what was seen, or ``chats-unsaved``.
    Returns as soon as there is a sentence or a line.
    """
    started = clock.now()

    def left() -> float:
        return max(0.1, deadline_s - (clock.now() - started))

    on_step("signing in" if kept is None else "listing models")
    token = kept or sign_in(http, at, timeout_s=min(30, left()))
    on_step("listing models")
    listed = http.call(f"{at.webui}/api/models", token=token, timeout_s=min(30, left()))
    if kept is not None and listed.status in _SIGNED_OUT:
        token = sign_in(http, at, timeout_s=min(30, left()))
        listed = http.call(f"{at.webui}/api/models", token=token, timeout_s=min(30, left()))
    names = model_ids(listed.data)
    if at.served_name not in names:
        raise not_listed(at, names)
    saving = Aside(lambda: _keep_a_chat(http, at, token, timeout_s=min(30, left())))
    answer = _answer(
        http,
        at,
        token,
        max_tokens if reasoning else min(max_tokens, _SHORT_TOKENS),
        clock=clock,
        started=started,
        deadline_s=deadline_s,
        on_step=on_step,
    )
    saving.result()
    return answer, token


def _answer(  # the question, whom it goes to, and for how long
    http: Http,
    at: Endpoints,
    token: Secret,
    max_tokens: int,
    *,
    clock: Clock,
    started: float,
    deadline_s: float,
    on_step: Callable[[str], None],
) -> Answer:
    """Ask, and read until there is enough; ``proof-failed`` when there never is."""
    body = {
        "model": at.served_name,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": max_tokens,
    }
    url = f"{at.webui}/api/chat/completions"
    left_s = max(0.1, deadline_s - (clock.now() - started))
    content = thought = ""
    on_step("asking")
    try:
        for payload in http.stream(url, token=token, body=body, timeout_s=left_s):
            delta = _delta(at, payload)
            content += _piece(delta, "content")
            thought += _piece(delta, "reasoning_content", "reasoning")
            on_step("answering" if content else "thinking" if thought else "asking")
            if _enough(content) or clock.now() - started >= deadline_s:
                break
    except OSError as problem:
        if clock.now() - started < deadline_s:
            raise _unproved(
                at, "The answer broke off on its way through the frontend.", problem
            ) from None
    if not content.strip():
        raise _unproved(at, _silence(thought, late=clock.now() - started >= deadline_s))
    return Answer(text=content.strip(), reasoning=thought, seconds=clock.now() - started)


def _keep_a_chat(http: Http, at: Endpoints, token: Secret, *, timeout_s: float) -> None:
    """Save an empty chat and delete it again; ``chats-unsaved`` when that cannot be.

    On a full disk, or one it may only read, the frontend answers all the same, and loses it.
    """
    url = f"{at.webui}/api/v1/chats"
    saved = http.call(f"{url}/new", token=token, body={"chat": {}}, timeout_s=timeout_s)
    chat = saved.data.get("id") if isinstance(saved.data, dict) else None
    if saved.status == HTTPStatus.OK and isinstance(chat, str):
        saved = http.request("DELETE", f"{url}/{chat}", token=token, timeout_s=timeout_s)
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


def _delta(at: Endpoints, payload: str) -> dict[str, Any]:
    """The new piece in one event; ``proof-failed`` when the event is an error."""
    try:
        event = json.loads(payload)
    except ValueError:
        return {}  # "[DONE]", comments
    if not isinstance(event, dict):
        return {}
    if problem := event.get("error") or event.get("detail"):
        raise _unproved(at, "The engine answered the frontend with an error.", problem)
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = first.get("delta") if isinstance(first, dict) else None
    return delta if isinstance(delta, dict) else {}


def _piece(delta: dict[str, Any], *names: str) -> str:
    """The first text under one of these names."""
    return next((text for name in names if isinstance(text := delta.get(name), str) and text), "")


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
