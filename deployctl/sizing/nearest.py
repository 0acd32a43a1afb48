"""The nearest values that fit. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deployctl.sizing.needs import need
from deployctl.sizing.nouns import Load, Part, Proposal, Room
from deployctl.sizing.verdicts import is_short, judge

#: Less context than this is no conversation.
_LEAST_CONTEXT = 512

#: With less than this, fewer conversations are better than shorter ones.
_USEFUL_CONTEXT = 2048

_WIDE_KV = frozenset({"f16", "bf16", "f32", "auto"})


def proposals(
    load: Load, rooms: Sequence[Room], *, beside: Sequence[Part] = ()
) -> tuple[Proposal, ...]:
    """What to change so that the load fits, best first; nothing when no change is needed or helps.

    ``beside`` is what else lives in the same memories. Contexts are multiples of 256, of 1024
    above 8192, never below 512 and never more than the model was made for. Each proposal comes out
    of :func:`judge` as ``fits``. Where none does, and the load needs more than there is or than is
    free now, they come out as ``tight`` and need no more than that: little left over is better than
    too little.
    """
    for good in (("fits",), ("fits", "tight")):

        def fits(other: Load, good: tuple[str, ...] = good) -> bool:
            judged = judge((*need(other), *beside), rooms)
            return all(fit.verdict in good and not is_short(fit) for fit in judged)

        if fits(load):
            return ()
        if found := tuple(_found(load, fits)):
            return found
    return ()


def _found(asked: Load, fits: Callable[[Load], bool]) -> list[Proposal]:
    load = asked
    if asked.context > (trained := asked.shape.trained_context):
        made_for = _contexts(trained + 1)
        if not made_for:  # shorter than any conversation
            return []
        load = replace(asked, context=made_for[-1])
        if fits(load):
            return [_proposal(asked, load)]
    shorter, fewer = _shorter(load, fits), _fewer(load, fits)
    tried = [shorter, fewer]
    if shorter is None or shorter.context < _USEFUL_CONTEXT:
        tried.append(_fewer_and_shorter(load, fits))
    if load.engine == "llama.cpp" and load.kv_type.lower() in _WIDE_KV:
        narrow = replace(load, kv_type="q8_0")
        tried.append(narrow if fits(narrow) else None)
        if not any(tried):
            tried.append(_shorter(narrow, fits) or _fewer_and_shorter(narrow, fits))
    return [_proposal(asked, other) for other in dict.fromkeys(tried) if other is not None]


def _shorter(load: Load, fits: Callable[[Load], bool]) -> Load | None:
    steps = _contexts(load.context)
    best = _largest(len(steps), lambda i: fits(replace(load, context=steps[i])))
    return None if best is None else replace(load, context=steps[best])


def _fewer(load: Load, fits: Callable[[Load], bool]) -> Load | None:
    best = _largest(load.concurrency - 1, lambda i: fits(replace(load, concurrency=i + 1)))
    return None if best is None else replace(load, concurrency=best + 1)


def _fewer_and_shorter(load: Load, fits: Callable[[Load], bool]) -> Load | None:
    found = None
    count = load.concurrency
    while count > 1:
        count //= 2
        found = _shorter(replace(load, concurrency=count), fits) or found
        if found is not None and found.context >= min(_USEFUL_CONTEXT, load.context):
            break
    return found


def _contexts(below: int) -> list[int]:
    """The contexts that may be proposed instead of a larger one, ascending."""
    small = range(_LEAST_CONTEXT, min(below, 8193), 256)
    return [*small, *range(9 * 1024, below, 1024)]


def _largest(count: int, good: Callable[[int], bool]) -> int | None:
    """The largest of ``range(count)`` that is good, where all smaller ones are good too."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if good(middle) else (low, middle)
    return low - 1 if low else None


def _proposal(load: Load, other: Load) -> Proposal:
    sets, keeps = [], []
    for key, old, new, text in (
        ("model.context", load.context, other.context, f"context {load.context}"),
        ("concurrency", load.concurrency, other.concurrency, f"{load.concurrency} at once"),
        ("engine.kv_type", load.kv_type, other.kv_type, f"conversations in {load.kv_type}"),
    ):
        if old == new:
            keeps.append(text)
        else:
            sets.append((key, str(new)))
    return Proposal(sets=tuple(sets), parts=need(other), keeps=", ".join(keeps))
