"""Outcomes as rows of a journal, and back; and when rows are of the same thing. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from deployctl.bench.nouns import Level, Shape, Spread, Used
from deployctl.revive import revive
from deployctl.tuning.knobs import KEYS, KV_CACHE, is_fixed
from deployctl.tuning.nouns import Outcome, Try

if TYPE_CHECKING:
    from deployctl.model import HostFacts
    from deployctl.profiles.schema import ProfileSpec

#: Raised when what is measured, or how, has changed, so that older rows are not comparable.
_VERSION = 2

#: Blocks of a profile that the engine's speed does not depend on.
_BESIDE = ("extends", "description", "frontend", "ports", "deadlines", "requires", "auto")

_NAMES: Mapping[str, Any] = {"Level": Level, "Spread": Spread, "Used": Used}


def row(asked: Try, outcome: Outcome) -> dict[str, Any]:
    """One measurement as it is kept."""
    return {
        "try": asked.identity,
        "values": dict(asked.candidate.values),
        "outcome": dataclasses.asdict(outcome),
    }


def on_record(rows: Iterable[Mapping[str, Any]]) -> dict[str, Outcome]:
    """Try → what came of it in an earlier run; of several the last. Damaged rows are left out."""
    found: dict[str, Outcome] = {}
    for each in rows:
        try:
            outcome = revive(Outcome, each["outcome"], _NAMES)
        except (KeyError, TypeError, ValueError):
            continue
        found[str(each.get("try"))] = dataclasses.replace(outcome, earlier=True)
    return found


def key(
    spec: ProfileSpec,
    facts: HostFacts,
    shape: Shape,
    *,
    image: str,
    weights: str,
    fixed: Collection[str] = (),
    override: str | None = None,
) -> str:
    """The same for measurements that can be held against each other: machine, plan, load.

    The plan without the keys that are turned, because each row says those itself; the pool, which
    may follow from them, as the profile has it, and whether it may. ``image``: the engine's, by its
    id. ``weights``: which file. ``override``: what the operator lays over the stack that is
    measured.
    """
    plan = spec.model_dump(mode="json")
    for name in _BESIDE:
        plan.pop(name, None)
    for path in KEYS:
        block, _, name = path.rpartition(".")
        (plan[block] if block else plan).pop(name, None)
    load = dataclasses.asdict(dataclasses.replace(shape, streams=()))
    pool = is_fixed(KV_CACHE, fixed)
    said = [_VERSION, machine(facts), plan, image, weights, load, pool, override]
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def machine(facts: HostFacts) -> str:
    """This machine in a line: what its figures depend on."""
    memory = facts.memory_total_bytes
    parts = [
        facts.cpu_model or facts.architecture,
        f"{facts.physical_cores or facts.cores} cores, {facts.cores} hardware threads",
        *(() if memory is None else (f"{memory / 1024**3:.1f} GiB of memory",)),
        *(f"{gpu.name} (driver {gpu.driver})" for gpu in facts.gpus),
    ]
    if facts.cpu_limit is not None:
        parts.insert(2, f"limited to {facts.cpu_limit:g}")
    return ", ".join(parts)
