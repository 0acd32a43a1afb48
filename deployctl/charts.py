"""Draws a comparison as PNG or SVG. Touches one file; needs matplotlib (the extra ``chart``)."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.bench.nouns import Level, Shape
from deployctl.bench.side import Side, few, level_of, many, streams_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What the file may be, by its name's end.
FORMATS = (".png", ".svg")

_WIDTH_IN, _BAR_IN, _AROUND_IN = 10.0, 0.42, 1.1

#: Told apart by people who see colours differently, and in grey (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """A value, and how far below and above it the measurements lie."""

    value: float
    low: float
    high: float


def draw(sides: Sequence[Side], shape: Shape, *, title: str, path: Path) -> None:
    """Write the chart; error bars are the spread.

    Raises ``OSError`` where that cannot be, and whatever matplotlib raises; a file that is there
    already is then as it was.
    """
    import matplotlib as mpl

    mpl.use("Agg")  # no window, whatever this machine has
    from matplotlib import pyplot as plt

    # Text stays text in an SVG, and the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deployctl"}):
        high = 2 * (_AROUND_IN + _BAR_IN * len(sides)) + 0.6
        figure, grid = plt.subplots(2, 2, figsize=(_WIDTH_IN, high), layout="constrained")
        try:
            for axes, (name, unit, of) in zip(grid.flat, _panels(shape), strict=True):
                _panel(axes, [(side.name, of(side)) for side in sides], name, unit)
            figure.suptitle("\n".join(textwrap.wrap(title, 110)), fontsize=10)
            kind, drawn = path.suffix.lower().removeprefix("."), io.BytesIO()
            date: dict[str, Any] = {"Date": None} if kind == "svg" else {}
            figure.savefig(drawn, format=kind, dpi=150, metadata=date)
        finally:
            plt.close(figure)
    path.write_bytes(drawn.getvalue())


def _panels(shape: Shape) -> tuple[tuple[str, str, Callable[[Side], _Bar | None]], ...]:
    one, most = few(shape), many(shape)
    return (
        (f"One answer, {streams_text(one)}", "tokens/s", lambda s: _alone(level_of(s, one))),
        (f"All answers, {streams_text(most)}", "tokens/s", lambda s: _together(level_of(s, most))),
        (f"First token, {streams_text(one)}", "ms, p50 (line: to p95)", lambda s: _first(s, one)),
        ("Memory after load", "MiB", _memory),
    )


def _panel(axes: Axes, bars: Sequence[tuple[str, _Bar | None]], name: str, unit: str) -> None:
    for at, (_, bar) in enumerate(bars):
        if bar is None:
            axes.text(0, at, " not measured", va="center", fontsize=8, color="0.4")
            continue
        reach = [[bar.value - bar.low], [bar.high - bar.value]]
        axes.barh(at, bar.value, height=0.6, color=_COLOURS[at % len(_COLOURS)])
        if bar.low != bar.high:
            axes.errorbar(bar.value, at, xerr=reach, color="0.15", capsize=3, linewidth=1)
        text = f"  {bar.value:.0f}" if bar.value >= 100 else f"  {bar.value:.1f}"
        axes.text(bar.high, at, text, va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [_wrapped(name) for name, _ in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, max((bar.high for _, bar in bars if bar), default=1.0) * 1.2)
    axes.set_title(name, fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _wrapped(name: str) -> str:
    # `$` would begin a formula.
    return "\n".join(textwrap.wrap(name, 24)).replace("$", r"\$")


def _alone(level: Level | None) -> _Bar | None:
    rate = level.stream_rate if level else None
    return None if rate is None else _Bar(value=rate.median, low=rate.low, high=rate.high)


def _together(level: Level | None) -> _Bar | None:
    if level is None:
        return None
    rate = level.total_rate
    return _Bar(value=rate.median, low=rate.low, high=rate.high)


def _first(side: Side, streams: int) -> _Bar | None:
    level = level_of(side, streams)
    if level is None:
        return None
    middle = level.first_token_p50_s * 1000
    return _Bar(value=middle, low=middle, high=max(middle, level.first_token_p95_s * 1000))


def _memory(side: Side) -> _Bar | None:
    held = side.measured.memory_bytes if side.measured else None
    if held is None:
        return None
    size = held / 1024**2
    return _Bar(value=size, low=size, high=size)
