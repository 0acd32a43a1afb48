"""Lets nothing of vLLM's server be used without its key, but the question whether it lives.

Mounted into the engine's container and named by ``--middleware``. vLLM's own key guards ``/v1`` and
leaves ``/invocations``, ``/tokenize``, ``/metrics`` and its documentation to whoever reaches the
port (seen with release 0.32.0). Needs nothing but Python; ASGI 3.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What Docker's own check asks, which has no key.
OPEN = frozenset({"/health"})


class Gate:
    """ASGI middleware: 401 without ``Authorization: Bearer KEY``."""

    def __init__(self, app: App) -> None:
        key = os.environ.get("VLLM_API_KEY", "")
        if not key:  # an empty key would let everybody in
            raise RuntimeError("VLLM_API_KEY is empty, and nothing answers without a key")
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or self._may_pass(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            head = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": head})
            await send({"type": "http.response.body", "body": b'{"error":"Unauthorized"}'})

    def _may_pass(self, scope: Scope) -> bool:
        if scope["type"] == "http" and (scope["path"] in OPEN or scope["method"] == "OPTIONS"):
            return True  # OPTIONS is a browser asking what it may ask; it carries no key
        for name, value in scope["headers"]:
            scheme, _, key = value.partition(b" ")
            if name == b"authorization" and scheme.lower() == b"bearer":
                return hmac.compare_digest(key.strip(), self._key)
        return False
