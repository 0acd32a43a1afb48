"""The only HTTP towards a stack, over the loopback: plain calls and streams of events.

Connections are not reused: llama-server may close an idle one under a client's hands.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import requests

    from deployctl.secret import Secret


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

    def request(
        self, method: str, url: str, *, token: Secret, body: object = None, timeout_s: float
    ) -> Reply:
        """Make a request of any other method. Never raises for what the other side does."""

    def listens(self, address: str, port: int, *, timeout_s: float) -> bool:
        """Whether somebody takes a connection there, at an address of this machine."""

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        """POST and yield the ``data:`` payloads of the event stream.

        Ends after ``timeout_s`` in all, whatever still comes; ``OSError`` when it breaks.
        """


_SLACK_S = 5.0


class RequestsHttp:
    """Real HTTP, straight to the loopback: the operator's proxies are for the outside.

    Every request is nobody's but for the token it is given. A cookie jar knows hosts and no ports:
    Open WebUI's ``token`` cookie would go to the engine too. So no cookie is taken, no redirect
    followed, and nothing is shared between requests, which also makes it safe for threads.
    """

    def __init__(self) -> None:
        import requests  # slow to import, and not every command speaks HTTP

        self._requests = requests

    def _session(self) -> requests.Session:
        session = self._requests.Session()
        session.trust_env = False
        session.headers["Connection"] = "close"
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        """See :class:`Http`."""
        return self._send("GET" if body is None else "POST", url, token, body, timeout_s)

    def request(
        self, method: str, url: str, *, token: Secret, body: object = None, timeout_s: float
    ) -> Reply:
        """See :class:`Http`."""
        return self._send(method, url, token, body, timeout_s)

    def listens(self, address: str, port: int, *, timeout_s: float) -> bool:
        """See :class:`Http`."""
        try:
            with socket.create_connection((address, port), timeout=timeout_s):
                return True
        except OSError:
            return False

    def _send(
        self, method: str, url: str, token: Secret | None, body: object, timeout_s: float
    ) -> Reply:
        try:
            with self._session() as session:
                answer = session.request(
                    method,
                    url,
                    json=body,
                    headers=_bearer(token),
                    timeout=timeout_s,
                    allow_redirects=False,
                )
        except self._requests.RequestException as problem:
            return Reply(status=0, text=str(problem))
        return Reply(status=answer.status_code, text=answer.text)

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        """See :class:`Http`."""
        # The limit of one read is longer than that of the whole, so that only one of them ends it.
        limits = (timeout_s, timeout_s + _SLACK_S)
        with (
            self._session() as session,
            session.post(
                url,
                json=body,
                headers=_bearer(token),
                timeout=limits,
                stream=True,
                allow_redirects=False,
            ) as answer,
        ):
            if answer.status_code != self._requests.codes.ok:
                raise OSError(f"HTTP {answer.status_code}: {answer.text[:500]}")
            with _ending(answer, timeout_s - answer.elapsed.total_seconds()):
                for line in answer.iter_lines(chunk_size=None):
                    text = line.decode("utf-8", "replace")
                    if text.startswith("data:"):
                        yield text.removeprefix("data:").strip()


@contextlib.contextmanager
def _ending(answer: requests.Response, seconds: float) -> Iterator[None]:
    """End a stream when its time is up: the client's own limit is only for one read."""
    with socket.socket(fileno=os.dup(answer.raw.fileno())) as connection:
        timer = threading.Timer(max(0.0, seconds), _hang_up, (connection,))
        timer.daemon = True  # a stream that was given up must not hold the process
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was first
        connection.shutdown(socket.SHUT_RDWR)


def _bearer(token: Secret | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
