"""What people set in Open WebUI besides its settings, and which wins over them in every chat. Pure.

It is in its database and stays: a row of its own for the served model (admin panel, Models), and
functions that are switched on for every chat (admin panel, Functions).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One such thing; ``says`` is what it does, without the texts people wrote."""

    kind: Literal["model", "function"]
    id: str
    says: str


def model_override(
    rows: object, served_name: str, environment: Mapping[str, str]
) -> Override | None:
    """What the served model's own row changes; ``None`` when there is none, or it changes nothing.

    ``rows`` is what ``GET /api/v1/models/base`` answers; ``environment`` asks for the defaults.
    """
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("id") == served_name:
            parts = _model_parts(row, tools=_tools_asked(environment))
            if not parts:
                return None
            return Override(kind="model", id=served_name, says=", ".join(parts))
    return None


def _tools_asked(environment: Mapping[str, str]) -> bool | None:
    """Whether the model is to be sent the chat window's own tools; ``None`` where nothing says."""
    try:
        asked = json.loads(environment["DEFAULT_MODEL_METADATA"])["capabilities"]["builtin_tools"]
    except (KeyError, ValueError, TypeError):
        return None
    return asked if isinstance(asked, bool) else None


def _model_parts(row: Mapping[str, Any], *, tools: bool | None) -> list[str]:
    parts = []
    if row.get("is_active") is False:
        parts.append("switched off")
    meta = row.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    if meta.get("hidden") is True:
        parts.append("hidden")
    params = row.get("params")
    for key, value in params.items() if isinstance(params, Mapping) else ():
        if key == "system" and value:
            parts.append(f"a system prompt of {len(str(value))} characters")
        elif value is not None and value not in ("", [], {}):
            parts.append(f"{key}={_short(value)}")
    capabilities = meta.get("capabilities")
    # The panel writes all of them when one is changed; this one sends the model tools.
    sent = capabilities.get("builtin_tools") if isinstance(capabilities, Mapping) else None
    if isinstance(sent, bool) and sent is not tools:
        parts.append(f"builtin_tools={str(sent).lower()}")
    parts += [
        f"{name} attached"
        for name in ("knowledge", "toolIds", "filterIds", "actionIds", "skillIds")
        if meta.get(name)
    ]
    return parts


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def global_functions(rows: object) -> tuple[Override, ...]:
    """The functions that run in every chat; ``rows`` is what ``GET /api/v1/functions/`` answers."""
    return tuple(
        Override(
            kind="function",
            id=str(row.get("id")),
            says=f"{row.get('type', 'function')} {row.get('name') or row.get('id')} is on for "
            "every chat",
        )
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping) and row.get("is_active") and row.get("is_global")
    )
