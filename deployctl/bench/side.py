"""Models side by side on one machine: the table operators know, and what it says in words. Pure.

A difference is told only where it is larger than the rounds of either model lie apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployctl.amounts import exact
from deployctl.bench.nouns import Level, Measured, Shape, Spread
from deployctl.errors import Fault

#: What is not said of a model that did not come so far.
NOTHING = "–"

_YES = {True: "yes", False: "no", None: None}

#: One measurement of memory has no spread. Less than this share is no difference.
_SAME_MEMORY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One model of a comparison: what is known of it, and what came of measuring it.

    ``model`` is what to type after ``--model``, ``name`` what people call it. ``weights_bytes`` on
    disk, as found; ``kv_bytes_per_token`` by its shape. ``tool_template``: whether its own template
    shows tools to it; ``None``: not known. ``fault`` says why there is no measurement, or none that
    is whole.
    """

    model: str
    name: str
    source: str
    weights_bytes: int | None
    kv_bytes_per_token: int | None
    tool_template: bool | None
    reasoning: bool
    measured: Measured | None = None
    fault: Fault | None = None
    recorded: bool = False  # taken over from a comparison that did not end


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what, a cell for each model, and how that is known."""

    label: str
    cells: tuple[str, ...]
    basis: str


def few(shape: Shape) -> int:
    """The level at which one answer is looked at: the fewest streams."""
    return min(shape.streams)


def many(shape: Shape) -> int:
    """The level at which all together are looked at: the most streams."""
    return max(shape.streams)


def streams_text(count: int) -> str:
    """How many streams, in words."""
    return "1 stream" if count == 1 else f"{count} streams"


def level_of(side: Side, streams: int) -> Level | None:
    """What was measured of a model at so many streams, if it came so far."""
    return side.measured.level(streams) if side.measured else None


# ── the table ─────────────────────────────────────────────────────────────────────────────────


def rows(sides: Sequence[Side], shape: Shape) -> tuple[Row, ...]:
    """The table, line by line; times and rates are those of ``shape``."""
    one, most = few(shape), many(shape)

    def row(label: str, basis: str, cell: Callable[[Side], str | None]) -> Row:
        cells = tuple(cell(side) or NOTHING for side in sides)
        return Row(label=label, cells=cells, basis=basis)

    return (
        row("load time", "measured", _load_time),
        row("memory after load", _memory_basis(sides), _memory),
        row(f"first token, {streams_text(one)}", "measured", lambda s: _first(level_of(s, one))),
        row(
            f"tokens/s of one, {streams_text(one)}", "measured", lambda s: _alone(level_of(s, one))
        ),
        row(
            f"tokens/s of all, {streams_text(most)}",
            "measured",
            lambda s: _together(level_of(s, most)),
        ),
        row("KV cache per token", "predicted", lambda s: _kv(s.kv_bytes_per_token)),
        row("weights on disk", _disk_basis(sides), _disk),
        row(
            f"share of ceiling, {streams_text(one)}",
            "measured",
            lambda s: _share(level_of(s, one)),
        ),
        row("calls tools by its template", "claimed", lambda s: _YES[s.tool_template]),
        row("thinks in writing", "claimed", lambda s: _YES[s.reasoning]),
    )


def _load_time(side: Side) -> str | None:
    found = side.measured
    return None if found is None or found.load_s is None else f"{found.load_s:.1f} s"


def _memory(side: Side) -> str | None:
    found = side.measured
    if found is None or found.memory_bytes is None:
        return None
    return f"{exact(found.memory_bytes)} {'VRAM' if found.memory_place == 'gpu' else 'RAM'}"


def _memory_basis(sides: Sequence[Side]) -> str:
    """Nobody tells what one process holds of a card: it is what all of it is used for."""
    of_a_card = any(s.measured is not None and s.measured.memory_place == "gpu" for s in sides)
    return "measured, whole card" if of_a_card else "measured"


def _first(level: Level | None) -> str | None:
    if level is None:
        return None
    return f"{_time(level.first_token_p50_s)} (p95 {_time(level.first_token_p95_s)})"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _alone(level: Level | None) -> str | None:
    return None if level is None or level.stream_rate is None else _rate(level.stream_rate)


def _together(level: Level | None) -> str | None:
    return None if level is None else _rate(level.total_rate)


def _rate(spread: Spread) -> str:
    middle, low, high = (_number(n) for n in (spread.median, spread.low, spread.high))
    return f"{middle} ({low} to {high})" if low != high else middle


def _number(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"


def _kv(size: int | None) -> str | None:
    return None if size is None else f"{size / 1024:.1f} KiB"


def _disk(side: Side) -> str | None:
    size = side.weights_bytes
    if size is None:
        return None
    said = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
    return f"{said} (claimed)" if _claimed(side) else said


def _claimed(side: Side) -> bool:
    """Whether the size is the catalog's: the file of one that never came up was not looked at."""
    return side.weights_bytes is not None and side.measured is None


def _disk_basis(sides: Sequence[Side]) -> str:
    return "measured, or claimed" if any(map(_claimed, sides)) else "measured"


def _share(level: Level | None) -> str | None:
    if level is None or level.ceiling_share is None:
        return None
    return f"{100 * level.ceiling_share:.0f} %"


# ── in words ──────────────────────────────────────────────────────────────────────────────────


def verdict(sides: Sequence[Side], shape: Shape) -> tuple[str, ...]:
    """What the table says: a sentence for each thing that was measured, and for each failure."""
    done = [side for side in sides if side.measured is not None and not side.measured.ended]
    said: list[str] = []
    if len(done) > 1:
        said += _compared(done, shape)
    elif done:
        said.append(f"Only {done[0].name} was measured to the end: nothing to hold it against.")
    return (*said, *(text for side in sides if (text := _short_of(side))))


def _short_of(side: Side) -> str:
    """That a model was not measured, or not to the end, and why; '' of one that was."""
    if side.measured is not None and not side.measured.ended:
        return ""
    so_far = " to the end" if side.measured is not None else ""
    why = "." if side.fault is None else f": {side.fault.message}"
    return f"{side.name} was not measured{so_far}{why}"


def _compared(done: Sequence[Side], shape: Shape) -> list[str]:
    one, most = few(shape), many(shape)
    if shape.rounds < 2:
        return ["One round has no spread, so no difference in speed is told: --rounds 3."]
    more, first = "as many tokens/s as", f"First token ({streams_text(one)})"
    alone, together = f"One answer ({streams_text(one)})", f"All answers ({streams_text(most)})"
    said = (
        _ranked(alone, more, done, lambda s: _stream_rate(level_of(s, one)), up=True),
        _ranked(together, more, done, lambda s: _total_rate(level_of(s, most)), up=True),
        _ranked(first, "the time of", done, lambda s: _first_token(level_of(s, one)), up=False),
        _ranked("Memory after load", "the memory of", done, _held_memory, up=False),
    )
    return [text for text in said if text]


def _stream_rate(level: Level | None) -> Spread | None:
    return None if level is None else level.stream_rate


def _total_rate(level: Level | None) -> Spread | None:
    return None if level is None else level.total_rate


def _first_token(level: Level | None) -> Spread | None:
    """Its middle, and how far the slow ones lie above it: of the fast ones nothing is kept."""
    if level is None:
        return None
    middle, slow = level.first_token_p50_s, level.first_token_p95_s
    return Spread(median=middle, low=middle, high=max(middle, slow))


def _held_memory(side: Side) -> Spread | None:
    held = side.measured.memory_bytes if side.measured else None
    if not held:
        return None
    width = held * _SAME_MEMORY
    return Spread(median=held, low=held - width / 2, high=held + width / 2)


def beyond_spread(first: Spread, second: Spread) -> bool:
    """Whether the middles lie further apart than the rounds of either do."""
    widest = max(first.high - first.low, second.high - second.low)
    return abs(first.median - second.median) > widest


def _ranked(
    what: str,
    relation: str,
    done: Sequence[Side],
    of: Callable[[Side], Spread | None],
    *,
    up: bool,
) -> str:
    """One sentence: the best, and how many times it is what each of the others is; '' of none."""
    known = [(side.name, found) for side in done if (found := of(side)) is not None]
    if len(known) < 2:
        return ""
    ordered = sorted(known, key=lambda pair: pair[1].median, reverse=up)
    (best, top), others = ordered[0], ordered[1:]
    apart = [(name, each) for name, each in others if each.median and beyond_spread(top, each)]
    alike = [name for name, each in others if (name, each) not in apart]
    if not apart:
        return f"{what}: no difference beyond the spread."
    times = " and ".join(
        f"{top.median / each.median:.2f} × {relation} {name}" for name, each in apart
    )
    same = f"; {' and '.join(alike)}: no difference beyond the spread" if alike else ""
    return f"{what}: {best} has {times}{same}."


# ── as Markdown ───────────────────────────────────────────────────────────────────────────────


def markdown(sides: Sequence[Side], shape: Shape, *, asked: str, notes: Sequence[str] = ()) -> str:
    """The table as Markdown: what was asked above it, the verdict and what to know below it."""
    head = ("", *(side.name for side in sides), "how known")
    said = (*verdict(sides, shape), *notes)
    lines = [
        _escaped(asked),
        "",
        _line(head),
        _line(("---", *("---:" for _ in sides), "---")),
        *(_line((row.label, *row.cells, row.basis)) for row in rows(sides, shape)),
        "",
        *(f"- {_escaped(text)}" for text in said),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """What Markdown would take for its own: a cell's end, and marks of emphasis or of HTML."""
    one_line = " ".join(text.split())
    for mark in ("\\", "|", "*", "_", "`", "<", "["):
        one_line = one_line.replace(mark, f"\\{mark}")
    return one_line
