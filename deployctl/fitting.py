"""Will it fit, and how fast can it be: a profile's load, held against this machine. Pure.

``sizing`` knows models and engines, not profiles and not machines; here the two meet. A verdict on
an estimate never stops anybody: it proposes. Only weights that alone exceed a memory's total do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.cards import card as card_of
from deployctl.sizing import (
    Fit,
    Load,
    Part,
    Proposal,
    Room,
    Verdict,
    ceiling,
    impossible,
    is_short,
    judge,
    need,
    proposals,
    whole_blocks,
)

if TYPE_CHECKING:
    from deployctl.model import Gpu, HostFacts, Plan
    from deployctl.profiles.schema import ProfileSpec

_MIB, _GIB = 1024**2, 1024**3

#: Beside the parts: what the engine's container took in all after its first answer.
IN_ALL = "in all"

#: Tokens of a question that are read at once, unless the profile says.
BATCH = {"llama.cpp": 512, "vllm": 2048}

#: Formats as file names spell them.
_FORMATS = re.compile(
    r"(iq[1-4]_[a-z]+|q[2-8]_k(?:_[sml])?|q[458]_[01]|bf16|f16|f32)", re.IGNORECASE
)


def load_of(spec: ProfileSpec) -> Load | None:
    """What the engine is asked to hold; ``None`` when the model's shape is not known."""
    model, engine = spec.model, spec.engine
    if model.shape is None:
        return None
    wide = engine.dtype == "float32"  # then vLLM holds everything so, whatever the files hold
    return Load(
        engine=engine.kind,
        device=engine.device,
        shape=model.shape.noun(),
        format=_format(spec),
        weights_bytes=None if wide else model.size,
        context=context_of(spec),
        concurrency=spec.concurrency,
        kv_type="f32" if wide else engine.kv_type or "f16",
        batch=max(batch_of(spec), spec.concurrency),
        kv_pool_bytes=engine.kv_cache,
        eager=bool(engine.eager),
    )


def batch_of(spec: ProfileSpec) -> int:
    """Tokens of a question that are read at once."""
    return spec.engine.batch or BATCH[spec.engine.kind]


def context_of(spec: ProfileSpec) -> int:
    """Tokens of one conversation as the engine serves them.

    llama.cpp rounds what each conversation has up to whole blocks: 3072 for 3000. The plan does so
    itself, so that what is asked, counted and refused is one number.
    """
    asked = spec.model.context
    return whole_blocks(asked) if spec.engine.kind == "llama.cpp" else asked


def _format(spec: ProfileSpec) -> str:
    """The format in which the engine holds the weights: as it is told, else as their file's is."""
    if spec.engine.dtype == "float32":
        return "f32"
    if spec.model.format is not None:
        return spec.model.format.lower()
    found = _FORMATS.findall(spec.model.source.rsplit("/", 1)[-1])
    if found:
        return str(found[-1]).lower()
    return "bf16" if spec.engine.kind == "vllm" else "q8_0"


def allowance(spec: ProfileSpec) -> int:
    """Bytes of the host's memory the engine may use before it is stopped.

    What it is predicted to need and a quarter more, because a limit that is not used costs nothing
    and one that is too small ends the engine in the middle of an answer. ``ValueError`` without a
    shape: then the profile has to say.
    """
    if spec.engine.memory is not None:
        return spec.engine.memory
    load = load_of(spec)
    if load is None:
        raise ValueError("the model's shape is not known")
    expected = sum(part.bytes for part in need(load) if part.place == "ram")
    return -(-(expected * 5 // 4 + 128 * _MIB) // (64 * _MIB)) * 64 * _MIB


def next_memory(limit: int, predicted: int = 0) -> int:
    """The memory to give a service whose limit is too low, bytes.

    Half as much again, and as what is predicted; in whole GiB from 4 GiB on, 256 MiB below.
    """
    more = max(limit, predicted) * 3 // 2
    step = _GIB if more >= 4 * _GIB else 256 * _MIB
    return -(-more // step) * step


# ── judged ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The most one stream can be answered with: bandwidth ÷ bytes read for each token."""

    tokens_per_s: float
    bytes_per_s: float
    bytes_per_token: int
    of: str  # whose bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How a plan fits: what takes what, of how much, what remains, and how fast it can be."""

    verdict: Verdict
    parts: tuple[Part, ...]
    rooms: tuple[Room, ...]
    fits: tuple[Fit, ...]  # one for each room
    proposals: tuple[Proposal, ...]
    short: bool  # more is needed than there is, or than is free now
    impossible: bool
    seen_bytes: int | None  # what the engine took in all when it last ran here so; measured
    speed: Speed | None


def fitting(
    plan: Plan,
    facts: HostFacts,
    *,
    learned: Mapping[str, int] | None = None,
    running: bool = False,
) -> Fitting | None:
    """Hold a plan against this machine; ``None`` when the model's shape is not known.

    ``learned``, part's name → bytes: what the engine itself said of exactly this load, and what
    the other services took here.
    ``running``: the stack is up, so that what is free now does not count what it uses.
    """
    if plan.load is None:
        return None
    predicted = need(plan.load)
    known = _measured(predicted, learned or {}, _SAID)
    beside = _measured(plan.beside, _more(plan.beside, learned or {}), _TOOK)
    parts = (*known, *beside)
    rooms = _rooms(plan, facts, running=running)
    fits = judge(parts, rooms)
    verdict: Verdict = max((fit.verdict for fit in fits), key=_SEVERITY.index, default="fits")
    short = any(is_short(fit) for fit in fits)
    fixed = (*beside, *_differences(predicted, known))
    offers = _offers(plan, rooms, fixed) if short else ()
    return Fitting(
        verdict=verdict,
        parts=parts,
        rooms=rooms,
        fits=fits,
        proposals=offers,
        short=short,
        impossible=impossible(parts, rooms),
        seen_bytes=(learned or {}).get(IN_ALL),
        speed=_speed(plan, facts),
    )


def _differences(predicted: Sequence[Part], known: Sequence[Part]) -> tuple[Part, ...]:
    """What measurements add to predictions, as parts: other values are predicted with it."""
    return tuple(
        replace(now, name=f"measured {now.name}", bytes=now.bytes - before.bytes)
        for before, now in zip(predicted, known, strict=True)
        if now.bytes != before.bytes
    )


def _offers(plan: Plan, rooms: Sequence[Room], beside: Sequence[Part]) -> tuple[Proposal, ...]:
    """What would fit, with all that has to follow: the profile must not contradict itself."""
    assert plan.load is not None
    found = proposals(plan.load, rooms, beside=beside)
    if found or plan.load.kv_pool_bytes is None:
        return tuple(replace(offer, sets=following(plan, offer.sets)) for offer in found)
    # A pool of a fixed size stays as large however little is asked of it.
    own = (("engine.kv_cache", "null"),)
    loose = replace(plan.load, kv_pool_bytes=None)
    if all(fit.verdict != "no" for fit in judge((*need(loose), *beside), rooms)):
        return (Proposal(sets=own, parts=need(loose), keeps="context and concurrency"),)
    found = proposals(loose, rooms, beside=beside)
    return tuple(replace(o, sets=(*own, *following(plan, o.sets))) for o in found)


def following(plan: Plan, sets: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A shorter context leaves less for the answer, and that less for thinking."""
    context = int(dict(sets).get("model.context", plan.context))
    if context > plan.max_tokens:
        return sets
    answer = context // 2
    thinking = plan.thinking is not None and plan.thinking >= answer
    budget = (("engine.reasoning_budget", str(answer // 2)),) if thinking else ()
    return (*sets, ("model.max_tokens", str(answer)), *budget)


_SEVERITY: tuple[Verdict, ...] = ("fits", "tight", "no")


_SAID = "what the engine itself said here, with these settings"
_TOOK = "the most it took here"


def _more(parts: Sequence[Part], learned: Mapping[str, int]) -> Mapping[str, int]:
    """What services took here, where that tells more than what is planned of them.

    What was measured at work is not less because one has only started here; what is claimed of an
    image says nothing of the one that runs.
    """
    return {
        part.name: learned[part.name]
        for part in parts
        if part.name in learned and (part.basis != "measured" or learned[part.name] > part.bytes)
    }


def _measured(parts: Sequence[Part], learned: Mapping[str, int], why: str) -> tuple[Part, ...]:
    return tuple(
        replace(part, bytes=learned[part.name], basis="measured", why=why)
        if part.name in learned
        else part
        for part in parts
    )


def too_long(plan: Plan) -> int | None:
    """The most tokens the model was made for, where the plan asks for more."""
    trained = plan.load.shape.trained_context if plan.load else None
    return trained if trained is not None and plan.asked_context > trained else None


def own_card(plan: Plan, facts: HostFacts) -> Gpu | None:
    """The card of this machine that the plan would run on: the one with the most memory."""
    vulkan = plan.load is not None and plan.load.device == "vulkan"
    # An NVIDIA card has no device file for Vulkan that a container could use.
    vendors = ("amd", "intel") if vulkan else ("nvidia",)
    cards = [gpu for gpu in facts.gpus if gpu.vendor in vendors]
    return max(cards, key=lambda gpu: gpu.memory_bytes or 0, default=None)


def without_tensor_cores(plan: Plan, facts: HostFacts) -> str | None:
    """The card's name, where vLLM in 16 bit would be slow on it; else ``None``."""
    here = own_card(plan, facts)
    if plan.engine != "vllm" or here is None:
        return None
    known = card_of(here.name, here.memory_bytes)
    return here.name if known is not None and not known.tensor_cores else None


def _rooms(plan: Plan, facts: HostFacts, *, running: bool) -> tuple[Room, ...]:
    ram = Room(
        place="ram",
        name="memory of this machine",
        total_bytes=facts.memory_total_bytes,
        free_bytes=None if running else facts.memory_available_bytes,
    )
    wanted = plan.requirements.card
    if wanted is None:
        return (ram,)
    here = own_card(plan, facts)
    if here is None or here.memory_bytes is None:
        name = f"{wanted.name or 'a card'} (not in this machine)" if here is None else here.name
        return (
            Room(place="gpu", name=name, total_bytes=wanted.memory_bytes, free_bytes=None),
            ram,
        )
    free = None if running else here.memory_free_bytes
    return (
        Room(place="gpu", name=here.name, total_bytes=here.memory_bytes, free_bytes=free),
        ram,
    )


def _speed(plan: Plan, facts: HostFacts) -> Speed | None:
    assert plan.load is not None
    shape, form = plan.load.shape, plan.load.format
    wanted = plan.requirements.card
    if wanted is None:
        rate = facts.bandwidth_bytes_per_s
        whose = "this machine's memory (measured; too little if it was busy)"
    else:
        here = own_card(plan, facts)
        name = here.name if here is not None else wanted.name
        size = (here.memory_bytes if here is not None else None) or wanted.memory_bytes
        known = card_of(name, size) if name else None
        rate, whose = (known.bandwidth_bytes_per_s, f"{name} (claimed)") if known else (None, "")
    if not rate:
        return None
    most = ceiling(rate, shape, form)
    return Speed(tokens_per_s=most, bytes_per_s=rate, bytes_per_token=round(rate / most), of=whose)
