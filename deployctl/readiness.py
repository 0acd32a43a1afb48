"""The only HTTP towards a stack: probes from outside, until a deadline; and the proof.

``/health`` alone is never "ready": llama-server says 200 with no model loaded, Open WebUI before
its database is there. Ready means that an answer of the served model came back through the UI.
Connections are not reused: llama-server may close an idle one under a client's hands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import requests

from deployctl.errors import DeployctlError
from deployctl.model import Answer, ContainerState, Secret

#: What the model is asked. Short to read, short to answer, the same for every model.
QUESTION = "Say hello in one short sentence."

#: Seconds between two probes, and between two looks at the containers.
_PROBE_EVERY_S, _LOOK_EVERY_S = 0.1, 0.5

#: A proof stops reading once this much of the answer is there, in characters.
_ENOUGH_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer. ``status`` 0 means that none came; ``text`` then says why."""

    status: int
    text: str

    @property
    def data(self) -> Any:  # noqa: ANN401  # JSON is what it is
        """The body as JSON, or ``None`` when it is not."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Http(Protocol):
    """The requests we make; the tests have a fake that keeps the same contract."""

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        """GET, or POST when there is a body. Never raises for what the other side does."""

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        """POST and yield the ``data:`` payloads of the event stream; ``OSError`` when it breaks."""


class RequestsHttp:
    """Real HTTP, straight to the loopback: the operator's proxies are for the outside."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Connection"] = "close"

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        """See :class:`Http`."""
        try:
            answer = self._session.request(
                "GET" if body is None else "POST",
                url,
                json=body,
                headers=_bearer(token),
                timeout=timeout_s,
            )
        except requests.RequestException as problem:
            return Reply(status=0, text=str(problem))
        return Reply(status=answer.status_code, text=answer.text)

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        """See :class:`Http`."""
        with self._session.post(
            url, json=body, headers=_bearer(token), timeout=timeout_s, stream=True
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise OSError(f"HTTP {answer.status_code}: {answer.text[:500]}")
            for line in answer.iter_lines(chunk_size=None):
                text = line.decode("utf-8", "replace")
                if text.startswith("data:"):
                    yield text.removeprefix("data:").strip()


def _bearer(token: Secret | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a stack is reached from this machine, and with what."""

    webui: str  # http://127.0.0.1:7860
    engine: str  # http://127.0.0.1:8000
    served_name: str
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
    if reply.status != requests.codes.ok:
        return Probe(ok=False, seen=_seen(reply))
    names = [row.get("id") for row in (reply.data or {}).get("data", ())]
    if at.served_name not in names:
        return Probe(ok=False, seen=f"serves {', '.join(map(str, names)) or 'no model'}")
    return Probe(ok=True, seen=f"serves {at.served_name}")


def probe_frontend(http: Http, at: Endpoints) -> Probe:
    """Ask the frontend whether its start is complete, database included."""
    reply = http.call(f"{at.webui}/ready", timeout_s=5)
    if reply.status == requests.codes.ok:
        return Probe(ok=True, seen="answers")
    return Probe(ok=False, seen=_seen(reply))


def _seen(reply: Reply) -> str:
    if reply.status == 0:
        return "does not answer yet"
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
    on_change: Callable[[str], None] = lambda _seen: None,
) -> Probe:
    """Probe until it works or the deadline passes; returns the last probe either way.

    ``look`` is called now and then to raise when waiting has become pointless (a dead container).
    """
    started = looked = clock.now()
    seen = ""
    while True:
        result = probe()
        if result.ok or clock.now() - started >= deadline_s:
            return result
        if result.seen != seen:
            seen = result.seen
            on_change(seen)
        if clock.now() - looked >= _LOOK_EVERY_S:
            look()
            looked = clock.now()
        clock.sleep(_PROBE_EVERY_S)


def trouble(state: ContainerState) -> str | None:
    """Say in a sentence why a container will not become ready by waiting; ``None`` if it may.

    A restarting container is not running: Docker calls it so between two crashes.
    """
    if state.oom_killed:
        return "was killed because it needed more memory than its limit"
    if state.status in ("exited", "dead"):
        why = f": {state.error}" if state.error else ""
        return f"stopped with exit code {state.exit_code}{why}"
    if state.status == "restarting" or state.restarts > 0:
        return f"keeps restarting (exit code {state.exit_code}, {state.restarts} restarts)"
    return None


def sign_in(http: Http, at: Endpoints) -> Secret:
    """Sign in to the frontend as the generated administrator; ``proof-failed`` when refused."""
    reply = http.call(
        f"{at.webui}/api/v1/auths/signin",
        body={"email": at.admin_email, "password": at.admin_password.reveal()},
        timeout_s=30,
    )
    token = reply.data.get("token") if isinstance(reply.data, dict) else None
    if reply.status != requests.codes.ok or not token:
        raise _unproved(
            f"The frontend refused the stored administrator ({_seen(reply)}).",
            hint="deployctl down --volumes  # if the password was changed in the UI by mistake: "
            "this removes the chats too",
        )
    return Secret(token)


def prove(http: Http, at: Endpoints, *, clock: Clock, deadline_s: float, reasoning: bool) -> Answer:
    """Sign in, list the models, ask through the frontend's own chat API, read the answer.

    Raises ``proof-failed`` with what was seen. Returns as soon as the answer's first line is there.
    """
    started = clock.now()
    token = sign_in(http, at)
    listed = http.call(f"{at.webui}/api/models", token=token, timeout_s=30)
    names = [row.get("id") for row in (listed.data or {}).get("data", ())]
    if at.served_name not in names:
        found = ", ".join(map(str, names)) or "none"
        raise _unproved(f"The frontend does not list model {at.served_name}; it lists: {found}.")
    body = {
        "model": at.served_name,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": 2048 if reasoning else 48,
    }
    content = thought = ""
    url = f"{at.webui}/api/chat/completions"
    try:
        for payload in http.stream(url, token=token, body=body, timeout_s=deadline_s):
            delta = _delta(payload)
            content += delta.get("content") or ""
            thought += delta.get("reasoning_content") or delta.get("reasoning") or ""
            answer = content.strip()
            if "\n" in answer or len(answer) >= _ENOUGH_CHARS:
                break
            if clock.now() - started > deadline_s:
                break
    except OSError as problem:
        raise _unproved("The answer broke off on its way through the frontend.", problem) from None
    if not content.strip():
        raise _unproved(
            f"The model thought for {len(thought)} characters but gave no answer in time."
            if thought
            else "The model gave an empty answer."
        )
    return Answer(text=content.strip(), reasoning=thought, seconds=clock.now() - started)


def _delta(payload: str) -> dict[str, Any]:
    """The new piece in one event; ``proof-failed`` when the event is an error."""
    try:
        event = json.loads(payload)
    except ValueError:
        return {}  # "[DONE]", comments
    if not isinstance(event, dict):
        return {}
    if problem := event.get("error") or event.get("detail"):
        raise _unproved("The engine answered the frontend with an error.", problem)
    choices = event.get("choices") or [{}]
    delta = choices[0].get("delta")
    return delta if isinstance(delta, dict) else {}


def _unproved(
    message: str, evidence: object = None, *, hint: str = "deployctl logs webui"
) -> DeployctlError:
    details = () if evidence is None else tuple(str(evidence).splitlines()[:20])
    return DeployctlError(message, code="proof-failed", where="webui", hint=hint, details=details)
