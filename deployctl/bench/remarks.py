"""What has to be said beside the figures of a measurement, so that nobody misreads them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployctl.bench.figures import above_the_ceiling
from deployctl.bench.nouns import Bound, Level, Shape

#: Rounds of one load that differ by more than this were disturbed.
_UNSTEADY = 0.25

#: Of the questions' tokens; the model's own template may always come out of the cache.
_CACHED = 0.5

#: Questions that are further from what was asked for are pointed out, tokens.
_OFF_TOKENS, _OFF_SHARE = 8, 0.1

#: Of all the engine used, what measuring itself may take before it is said.
_OWN_SHARE = 0.1


def remarks(
    levels: Sequence[Level], shape: Shape, bound: Bound | None, *, at_once: int, unbound: str
) -> tuple[str, ...]:
    """Sentences, the gravest first. ``at_once``: how many answers the engine writes together."""
    found = [line for level in levels for line in _of(level, shape, bound)]
    asked, counted = shape.prompt_tokens, [level.prompt_tokens for level in levels]
    if counted and abs(counted[0] - asked) > max(_OFF_TOKENS, _OFF_SHARE * asked):
        found.append(
            f"Questions of {counted[0]:.0f} tokens where {asked} were asked for: the model's "
            "template and what is to be done take some of them."
        )
    cached = [level.cached_share or 0.0 for level in levels]
    if shape.fresh and max(cached, default=0.0) > _CACHED:
        found.append(
            f"Up to {100 * max(cached):.0f} % of the questions came out of the prefix cache; "
            "longer ones say more (--prompt-tokens)."
        )
    waiting = [level.streams for level in levels if level.streams > at_once]
    if waiting:
        found.append(
            f"This stack answers {at_once} at once: with {waiting[0]} the others wait in line, and "
            "their first token with them."
        )
    if bound is None and levels:
        found.append(f"No share of the ceiling: {unbound}.")
    return tuple(found)


def _of(level: Level, shape: Shape, bound: Bound | None) -> Iterator[str]:
    name = f"{level.streams} at once" if level.streams > 1 else "One answer at a time"
    if bound is not None and above_the_ceiling(level):
        assert level.ceiling_share is not None
        yield (
            f"{name}: {100 * level.ceiling_share:.0f} % of what the memory can give, which cannot "
            f"be: {bound.bytes_per_s / 1e9:.1f} GB/s of {bound.of}. The weights lie in a cache, or "
            "the memory is faster than that figure, or the engine reads less for each token."
        )
    if level.total_rate.width > _UNSTEADY:
        yield (
            f"{name}: the rounds lie {100 * level.total_rate.width:.0f} % apart "
            f"({level.total_rate.low:.1f} to {level.total_rate.high:.1f} tokens/s); something else "
            "used this machine, or it throttles."
        )
    if level.output_tokens < 0.9 * shape.output_tokens:
        yield (
            f"{name}: answers of {level.output_tokens:.0f} tokens where {shape.output_tokens} were "
            "asked for."
        )
    own, engine = level.used.own_cpus, level.used.engine_cpus
    if own is not None and engine and own > _OWN_SHARE * engine:
        yield (
            f"{name}: measuring itself took {own:.2f} processors beside the engine's {engine:.2f}."
        )
