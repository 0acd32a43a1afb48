"""The last stack that was proved: all it takes to bring the very same up again.

Owns ``proved.json`` in the stack's folder (0600). No secret is in it: those lie in ``secrets.json``
and live exactly as long as the chats; this record goes with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from deployctl.atomic import have, usable
from deployctl.files import text_of
from deployctl.model import Bundle, Plan  # read back by their names
from deployctl.profiles.selection import AUTO, Selection
from deployctl.revive import revive

if TYPE_CHECKING:
    from deployctl.workspace import Workspace

#: Raised when a record of an older deployctl is not to be used any more.
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedImage:
    """An image as it ran: its name then, and its id, which no later pull changes."""

    service: str
    reference: str
    id: str
    built: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """A stack through whose chat window an answer came."""

    fingerprint: str  # over all that decides the containers; see Workspace.fingerprint
    plan: Plan
    bundle: Bundle
    images: tuple[ProvedImage, ...]
    weights: str | None  # which model file: where it lies, and its identity
    variables: tuple[tuple[str, str], ...]  # of this machine, no secrets
    override: Mapping[str, str]  # parts of the operator's own file
    automatic: bool  # the profile was chosen, not named
    selection: Selection  # what was chosen on the command line


def keep_proved(space: Workspace, proved: Proved) -> None:
    """Remember what has just answered; nothing is written where it is on record already."""
    text = json.dumps({"version": _VERSION, **asdict(proved)}, indent=1) + "\n"
    have(space.folder / "proved.json", text, 0o600)


def proved_selection(space: Workspace) -> Selection | None:
    """What was chosen for the stack that answered last, were all else of the record of no use."""
    try:
        data = json.loads(text_of(space.folder / "proved.json") or "{}")
        found: Selection = revive(Selection, data["selection"], {})
        return found.of(AUTO) if data["automatic"] else found
    except (ValueError, TypeError, KeyError):
        return None


def last_proved(space: Workspace) -> Proved | None:
    """What answered last; ``None`` when nothing did, or another deployctl wrote that down."""
    from deployctl.addons.nouns import Optional, Page
    from deployctl.sizing import Load, Part

    path = space.folder / "proved.json"
    try:
        with usable(path):
            data = json.loads(path.read_text("utf-8") if path.is_file() else "")
        if data.pop("version") != _VERSION:
            return None
        found: Proved = revive(
            Proved, data, {"Load": Load, "Part": Part, "Page": Page, "Optional": Optional}
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found
