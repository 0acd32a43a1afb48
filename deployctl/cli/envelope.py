"""The JSON every command writes with ``--output json``, above all when it fails. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployctl.errors import ExitCode, Fault
from deployctl.outcomes import Status
from deployctl.secret import Secret

#: Raised when a key of the envelope changes its meaning or goes away; additions do not count.
VERSION = 1


def envelope(
    *,
    command: str,
    status: Status,
    exit_code: ExitCode,
    data: object = None,
    faults: tuple[Fault, ...] = (),
    compact: bool = False,
) -> str:
    """Write one command's result as JSON text; ``compact``: in one line, of several."""
    return json.dumps(
        {
            "version": VERSION,
            "command": command,
            "status": status,
            "exit_code": int(exit_code),
            "data": plain(data),
            "errors": [plain(fault) for fault in faults],
        },
        # and ASCII: whole on a stdout of any encoding, harmless on a terminal
        indent=None if compact else 2,
    )


def plain(value: object) -> Any:  # noqa: ANN401  # JSON is what it is
    """Turn our nouns into JSON values; a secret never becomes one."""
    match value:
        case Secret():
            return "***"
        case Path():
            return str(value)
        case float():
            return round(value, 6)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return value
