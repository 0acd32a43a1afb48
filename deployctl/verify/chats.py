"""The chats that the administrator has, by id: to leave them as they were. Pure but for its ports.

Open WebUI 0.12.4: ``GET /api/v1/chats/`` without a page lists them all, titles and ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.verify.ask import dig, good

if TYPE_CHECKING:
    from deployctl.loopback import Http, Reply
    from deployctl.secret import Secret
    from deployctl.verify.nouns import Ports

#: How often, and how many seconds apart, to look for a chat whose making was not confirmed: the
#: frontend makes it within milliseconds, before it asks the engine.
_LOOKS, _LOOK_EVERY_S = 5, 0.2

_LIST = "/api/v1/chats/?include_pinned=true&include_folders=true"


def ids(http: Http, base: str, token: Secret) -> frozenset[str]:
    """The ids of all chats; none where the frontend does not tell them."""
    reply = http.call(f"{base}{_LIST}", token=token, timeout_s=30)
    rows = reply.data if good(reply) and isinstance(reply.data, list) else []
    return frozenset(one for row in rows if isinstance(one := dig(row, "id"), str))


def holding(
    ports: Ports, base: str, token: Secret, message: str, before: frozenset[str]
) -> str | None:
    """The chat, not there ``before``, that holds this message; ``None`` where there is none."""
    for look in range(_LOOKS):
        for chat in ids(ports.http, base, token) - before:
            kept = ports.http.call(f"{base}/api/v1/chats/{chat}", token=token, timeout_s=30)
            if dig(kept.data, "chat", "history", "messages", message) is not None:
                return chat
        if look < _LOOKS - 1:
            ports.clock.sleep(_LOOK_EVERY_S)
    return None


def delete(http: Http, base: str, token: Secret, chat: str) -> Reply:
    """Delete a chat."""
    return http.request("DELETE", f"{base}/api/v1/chats/{chat}", token=token, timeout_s=30)
