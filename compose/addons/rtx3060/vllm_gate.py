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

#: What every browser sends that asks beforehand what it may ask; it carries no key.
PREFLIGHT = frozenset({b"origin", b"access-control-request-method"})

KEY = os.environ.get("VLLM_API_KEY", "").encode()
if not KEY:  # here, since the server would go on without a middleware that cannot be made
    raise RuntimeError("VLLM_API_KEY is empty, and nothing answers without a key")


class Gate:
    """ASGI middleware: 401 without ``Authorization: Bearer KEY``."""

    def __init__(self, app: App) -> None:
        self._app = app

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

    @staticmethod
    def _may_pass(scope: Scope) -> bool:
        if scope["type"] == "http":
            asked = {name for name, _ in scope["headers"]}
            # vLLM's own CORS middleware answers these itself; any other OPTIONS would get through
            # to /metrics, which looks at no method.
            if scope["method"] == "OPTIONS" and asked >= PREFLIGHT:
                return True
            if scope["method"] in ("GET", "HEAD") and scope["path"] in OPEN:
                return True
        for name, value in scope["headers"]:
            scheme, _, key = value.partition(b" ")
            if name == b"authorization" and scheme.lower() == b"bearer":
                return hmac.compare_digest(key.strip(), KEY)
        return False
