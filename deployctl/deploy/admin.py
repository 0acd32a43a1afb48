"""Speaks with the frontend as its administrator, with the session of the last sign-in.

A sign-in costs the frontend a fifth of a second and more, so the session is used until refused.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.errors import DeployctlError
from deployctl.readiness import sign_in

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.loopback import Http, Reply
    from deployctl.readiness import Endpoints
    from deployctl.secret import Secret
    from deployctl.workspace import Workspace

_SIGNED_OUT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

#: For an answer that is read from memory or from a small table, and for a sign-in; seconds.
_TIMEOUT_S, _SIGN_IN_S = 10.0, 30.0

#: For one who only looks; seconds.
_LOOKING_S = 5.0


class Admin:
    """The frontend's administrator. Methods raise ``proof-failed`` when it is refused.

    ``looking`` is the time of day, of one who looks again and again: a sign-in that was refused is
    not tried by it a second time, nor one that takes longer than a look may.
    """

    def __init__(
        self, http: Http, space: Workspace, at: Endpoints, *, looking: datetime | None = None
    ) -> None:
        self._http = http
        self._space = space
        self._at = at
        self._looking = looking
        self._timeout_s = _TIMEOUT_S if looking is None else _LOOKING_S
        self._token = space.session()
        self._fresh = False

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON is what it is
        """The answer of one path, as JSON."""
        return self._call(path, None).data

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401
        """The answer to ``body``, as JSON."""
        return self._call(path, body).data

    def _call(self, path: str, body: object) -> Reply:
        reply = self._once(path, body)
        if reply.status in _SIGNED_OUT and not self._fresh:
            self._token = None
            reply = self._once(path, body)
        if reply.status != HTTPStatus.OK:
            raise DeployctlError(
                f"The chat window answered {path} with HTTP {reply.status}."
                if reply.status
                else f"The chat window did not answer {path}.",
                code="frontend-not-ready" if reply.status == 0 else "proof-failed",
                where="webui",
                hint=f"deployctl status --stack {self._space.stack}",
                details=tuple(reply.text.splitlines()[:5]),
            )
        return reply

    def _once(self, path: str, body: object) -> Reply:
        if self._token is None:
            self._token = self._signed_in()
            self._fresh = True
            self._space.keep_session(self._token)
        url = f"{self._at.webui}{path}"
        return self._http.call(url, token=self._token, body=body, timeout_s=self._timeout_s)

    def _signed_in(self) -> Secret:
        """Sign in; what is refused is noted for those who look."""
        from deployctl.deploy import refused  # rarely: the session is used until refused

        if self._looking is not None:
            refused.refuse_again(self._space, self._at, self._looking)
        try:
            token = sign_in(
                self._http, self._at, timeout_s=_SIGN_IN_S if self._looking is None else _LOOKING_S
            )
        except DeployctlError as problem:
            code = problem.faults[0].code
            if code == "proof-failed":
                refused.keep_refused(self._space, self._at)
            elif code == "sign-in-limited" and self._looking is not None:
                refused.keep_limited(self._space, self._looking)
            raise
        refused.forget_refused(self._space)
        return token
