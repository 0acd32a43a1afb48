"""Which keys of a profile may be turned on this machine, and to which values. Pure.

Never among them: what the operator chose (model, format, context, exposure, egress) and what was
fixed by ``--set``. A profile's own words are promises where they are limits: no fewer at once than
it says, no more processors, no less context.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.fitting import batch_of
from deployctl.profiles.units import format_size
from deployctl.sizing import kv_bytes_per_token
from deployctl.tuning.nouns import Candidate, Knob, Target, Value

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

#: The profile's own limits for these keys (``profiles/schema.py``).
MOST_AT_ONCE, _BATCHES = 256, range(32, 16384 + 1)

CONCURRENCY, CPUS, BATCH = "concurrency", "engine.cpus", "engine.batch"
EAGER, KV_TYPE, KV_CACHE = "engine.eager", "engine.kv_type", "engine.kv_cache"

#: Keys in the order of the gain to expect of each; the lossy one after everything else.
KEYS = (CONCURRENCY, CPUS, BATCH, EAGER, KV_TYPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processors:
    """What this machine computes with: its physical cores and all hardware threads."""

    cores: int
    threads: int


def knobs(
    spec: ProfileSpec,
    target: Target,
    processors: Processors,
    *,
    prompt_tokens: int,
    fixed: Collection[str] = (),
) -> tuple[Knob, ...]:
    """The knobs that have another value to try, in the order of the gain to expect.

    ``prompt_tokens`` of a question: a step that reads more than all questions together reads them
    at once either way. ``fixed``: keys that the operator has set.
    """
    found = (
        _concurrency(spec, target),
        _cpus(spec, processors),
        _batch(spec, target, prompt_tokens),
        *_of_one_engine(spec),
    )
    return tuple(knob for knob in found if knob.values and not is_fixed(knob.key, fixed))


def is_fixed(key: str, fixed: Collection[str]) -> bool:
    """Whether it, or the block that it is in, is among them."""
    return any(key == each or key.startswith(f"{each}.") for each in fixed)


def _concurrency(spec: ProfileSpec, target: Target) -> Knob:
    now, streams = spec.concurrency, min(target.streams, MOST_AT_ONCE)
    # For `people` the number at once is what is looked for; see search.
    wanted = () if target.goal == "people" else (streams, streams * 3 // 4, streams // 2)
    return Knob(
        key=CONCURRENCY,
        now=now,
        values=tuple(dict.fromkeys(n for n in wanted if n > now)),
        about="answered at the same time; more wait in line",
        meets=(BATCH,),
    )


def _cpus(spec: ProfileSpec, processors: Processors) -> Knob:
    now = spec.engine.cpus
    counts: tuple[int, ...] = ()
    if spec.engine.device == "cpu":
        # Without a value it is one for each physical core already.
        most = processors.threads if now is None else int(now)
        known = processors.cores if now is None else int(now)
        wanted = (processors.threads, processors.cores - 1, processors.cores)
        counts = tuple(dict.fromkeys(n for n in wanted if 1 <= n <= most and n != known))
    return Knob(
        key=CPUS,
        now=now,
        values=counts,
        about=f"threads that compute, of {processors.cores} cores and {processors.threads} "
        "hardware threads",
        meets=(BATCH,),
    )


def _batch(spec: ProfileSpec, target: Target, prompt_tokens: int) -> Knob:
    now = batch_of(spec)
    # More than all questions together is the same as that.
    enough = max(prompt_tokens * max(target.streams, spec.concurrency), now)
    wanted: list[int] = []
    for factor in (2, 4):
        if now * factor // 2 < enough:
            wanted.append(now * factor)
    wanted += [now // 2, now // 4]
    least = max(32, spec.concurrency if spec.engine.kind == "vllm" else 0)
    return Knob(
        key=BATCH,
        now=now,
        values=tuple(n for n in wanted if n in _BATCHES and n >= least),
        about="tokens of questions that are read at once",
        meets=(CPUS,),
    )


def _of_one_engine(spec: ProfileSpec) -> Iterator[Knob]:
    engine = spec.engine
    if engine.kind == "vllm":
        yield Knob(
            key=EAGER,
            now=bool(engine.eager),
            values=(not engine.eager,),
            about="without graphs and compiled kernels; faster to start",
            meets=(BATCH,),
        )
        return
    now = engine.kv_type or "f16"
    exact = now in ("f32", "f16", "bf16")
    yield Knob(
        key=KV_TYPE,
        now=now,
        values=tuple(kind for kind in ("f16", "q8_0") if kind != now),
        about="what conversations are kept in",
        lossy=("q8_0",) if exact else (),
    )


# ── candidates ────────────────────────────────────────────────────────────────────────────────


def as_it_is(spec: ProfileSpec) -> Candidate:
    """The profile as it is, by the keys that can be turned at all, defaults written out."""
    engine = spec.engine
    values: dict[str, Value] = {
        CONCURRENCY: spec.concurrency,
        CPUS: engine.cpus,
        BATCH: batch_of(spec),
        EAGER: bool(engine.eager) if engine.kind == "vllm" else None,
        KV_TYPE: (engine.kv_type or "f16") if engine.kind == "llama.cpp" else None,
    }
    return Candidate(values=values)


def settings(
    spec: ProfileSpec, changes: tuple[tuple[str, Value], ...], *, fixed: Collection[str] = ()
) -> tuple[tuple[str, Value], ...]:
    """The changes with what has to follow, so that the profile does not contradict itself.

    A pool for all conversations that the profile gives in bytes grows with their number; it is not
    searched: what is measured never fills it, so a larger one makes nothing faster. One that is
    ``fixed`` stays: who needs more than that is refused as any such profile is.
    """
    if is_fixed(KV_CACHE, fixed):
        return changes
    people = dict(changes).get(CONCURRENCY)
    shape, pool = spec.model.shape, spec.engine.kv_cache
    if not isinstance(people, int) or shape is None or pool is None:
        return changes
    needed = people * spec.model.context * kv_bytes_per_token(shape.noun())
    mib = -(-needed // 1024**2) * 1024**2
    return (*changes, (KV_CACHE, format_size(mib))) if needed > pool else changes


def written(value: Value) -> str:
    """A value as ``--set`` and a profile's YAML take it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
