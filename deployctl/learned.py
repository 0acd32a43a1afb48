"""What engines said of themselves on this machine: one small file in the state folder.

The next plan of exactly the same load says "measured" where it would say "predicted". The file is a
cache: damaged or gone, plans only predict again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.model import Plan

FILE = "measured.json"

#: So many loads are remembered, the latest.
_KEPT = 200


class Learned:
    """Figures by load, on this machine. Reads and writes ``measured.json`` below ``home``."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def of(self, plan: Plan) -> Mapping[str, int]:
        """Part's name → bytes that the engine itself named for this plan's load; may be empty."""
        found = self._all().get(_key(plan))
        if not isinstance(found, dict):
            return {}
        return {name: size for name, size in found.items() if isinstance(size, int) and size >= 0}

    def keep(self, plan: Plan, figures: Mapping[str, int]) -> None:
        """Remember what an engine said; a folder that cannot be written remembers nothing."""
        key = _key(plan)
        known = self._all()
        if not figures or known.get(key) == dict(figures):
            return
        known.pop(key, None)
        known[key] = dict(figures)
        text = json.dumps(dict(list(known.items())[-_KEPT:]), indent=1)
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{FILE}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(name).replace(self._file)

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(text_of(self._file) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _key(plan: Plan) -> str:
    """Everything that decides what the engine takes: profile, model, image and the load itself."""
    engine = plan.service("engine")
    load = dataclasses.asdict(plan.load) if plan.load else {}
    return json.dumps([plan.profile, str(plan.weights.source), engine.image.reference, load])
