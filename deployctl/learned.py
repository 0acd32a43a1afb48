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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.model import Plan, Service
    from deployctl.sizing import Part

FILE = "measured.json"

#: Of a service: the most it took here, and the image that it ran.
TAKEN, _IMAGE = "taken", "image"

#: So many loads are remembered, the latest.
_KEPT = 200


class Learned:
    """Figures by load, on this machine. Reads and writes ``measured.json`` below ``home``."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def of(self, plan: Plan) -> Mapping[str, int]:
        """Part's name → bytes, as far as they are known here; may be empty.

        Of the engine what it named itself for this plan's load, of the others what they took.
        """
        known = self._all()
        beside = ((part.name, _sizes(known.get(_service_key(s)))) for s, part in _beside(plan))
        taken = {name: found[TAKEN] for name, found in beside if TAKEN in found}
        return {**_sizes(known.get(_key(plan))), **taken}

    def keep(self, plan: Plan, figures: Mapping[str, int]) -> None:
        """Remember what an engine said; a folder that cannot be written remembers nothing."""
        if figures:
            self._remember({_key(plan): dict(figures)})

    def keep_taken(self, plan: Plan, taken: Mapping[str, tuple[str, int]]) -> None:
        """Remember what services took: name → (image as it runs, bytes); the most of one image."""
        known = self._all()
        found: dict[str, Mapping[str, int | str]] = {}
        for service, _ in _beside(plan):
            if service.name not in taken:
                continue
            image, size = taken[service.name]
            key = _service_key(service)
            before = known.get(key)
            if isinstance(before, dict) and before.get(_IMAGE) == image:
                size = max(size, _sizes(before).get(TAKEN, 0))
            found[key] = {TAKEN: size, _IMAGE: image}
        self._remember(found)

    def _remember(self, found: Mapping[str, Mapping[str, int | str]]) -> None:
        """Write down what is new of it, all at once."""
        known = self._all()
        new = {key: dict(figures) for key, figures in found.items() if known.get(key) != figures}
        if not new:
            return
        known = {key: kept for key, kept in known.items() if key not in new} | new
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


def _sizes(found: object) -> dict[str, int]:
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(k): size for k, size in pairs if isinstance(size, int) and size >= 0}


def _beside(plan: Plan) -> Iterator[tuple[Service, Part]]:
    """The services whose memory does not follow from the model, and what is planned of it."""
    return ((s, s.need) for s in plan.services if s.need is not None)


def _service_key(service: Service) -> str:
    """What it takes depends on its image; which one that was here is in the record."""
    return json.dumps(["service", service.name, service.image.reference])


def _key(plan: Plan) -> str:
    """Everything that decides what the engine takes: profile, model, image and the load itself."""
    engine = plan.service("engine")
    load = dataclasses.asdict(plan.load) if plan.load else {}
    return json.dumps([plan.profile, str(plan.weights.source), engine.image.reference, load])
