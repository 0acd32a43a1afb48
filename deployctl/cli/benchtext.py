"""Measurements written for people. Pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from deployctl.amounts import exact
from deployctl.cli.table import columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployctl.bench.nouns import Level, Measured, Spread
    from deployctl.bench.regress import Difference, Verdict
    from deployctl.deploy.bench import BenchReport, HistoryReport

_WIDTH = 100


def text(report: BenchReport) -> str:
    """The table of one measurement, what to know of it, and how it compares."""
    found = report.measured
    lines = [_head(found), _started(found)]
    if found.levels:
        lines += ["", *_table(found.levels), "", *_below(found)]
    lines += [line for said in found.warnings for line in _wrapped(f"! {said}")]
    if found.levels:
        lines += _verdict(report.verdict)
    return "\n".join(lines)


def _head(found: Measured) -> str:
    subject = found.subject
    part = f" · {found.ended} in the middle" if found.ended else ""
    return (
        f"Stack {subject.stack}: {subject.model} on {subject.engine}, "
        f"profile {subject.profile}{part}"
    )


def _started(found: Measured) -> str:
    place = "of the card in use" if found.memory_place == "gpu" else "held by the engine"
    load = "unknown" if found.load_s is None else f"{found.load_s:.1f} s"
    memory = "" if found.memory_bytes is None else f" · {exact(found.memory_bytes)} {place}"
    return f"Load {load}{memory} (measured)"


def _table(levels: tuple[Level, ...]) -> list[str]:
    card = any(level.used.gpu_share is not None for level in levels)
    upper = ("at", "first token", "", "between", "", "tokens/s", "tokens/s", "of the", "CPUs")
    lower = ("once", "p50", "p95", "p50", "p95", "each", "in all", "ceiling", "used")
    rows = [
        (*upper, *(("GPU",) if card else ())),
        (*lower, *(("used",) if card else ())),
        *((*_row(level), *((_percent(level.used.gpu_share),) if card else ())) for level in levels),
    ]
    return columns(rows, indent=2, right=frozenset(range(len(rows[0]))))


def _row(level: Level) -> tuple[str, ...]:
    cpus = level.used.engine_cpus
    return (
        str(level.streams),
        seconds(level.first_token_p50_s),
        seconds(level.first_token_p95_s),
        seconds(level.inter_token_p50_s),
        seconds(level.inter_token_p95_s),
        rate(level.stream_rate),
        rate(level.total_rate),
        _percent(level.ceiling_share),
        "–" if cpus is None else f"{cpus:.1f}",
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def seconds(value: float | None) -> str:
    """A short time: ``8 ms``, ``0.42 s``, ``12.1 s``."""
    if value is None:
        return "–"
    if value < 0.1:
        return f"{1000 * value:.1f} ms" if value < 0.01 else f"{1000 * value:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def rate(value: Spread | None) -> str:
    """Tokens per second with half of the spread: ``74.1 ±2``; of one round it has none."""
    if value is None:
        return "–"
    apart = (value.high - value.low) / 2
    middle = f"{value.median:.1f}" if value.median < 100 else f"{value.median:.0f}"
    return (
        middle
        if apart == 0
        else f"{middle} ±{apart:.1f}"
        if apart < 1
        else f"{middle} ±{apart:.0f}"
    )


def _below(found: Measured) -> list[str]:
    shape, levels = found.shape, found.levels
    kind = "" if shape.fresh else ", the same each time"
    rounds = "1 round" if shape.rounds == 1 else f"{shape.rounds} rounds"
    said = [
        f"Measured: questions of {levels[0].prompt_tokens:.0f} tokens{kind}, answers of "
        f"{levels[0].output_tokens:.0f}, {rounds} after one to warm up; ± is half of what the "
        "rounds lie apart."
    ]
    if found.bound is not None:
        bound = found.bound
        said.append(
            f"Ceiling: {bound.one_stream:.1f} tokens/s for one answer (predicted: "
            f"{bound.bytes_per_s / 1e9:.1f} GB/s of {bound.of} ÷ "
            f"{bound.weights_bytes / 1e9:.2f} GB read for each token)."
        )
    said += _energy(levels)
    return [line for each in said for line in _wrapped(each)]


def _energy(levels: tuple[Level, ...]) -> list[str]:
    told = [
        f"{level.streams} at once: {level.joules_per_1000 / 3600:.2f} Wh ({level.used.watts:.0f} W)"
        for level in levels
        if level.joules_per_1000 is not None and level.used.watts is not None
    ]
    whose = next((level.used.watts_of for level in levels if level.used.watts_of), "")
    if not told:
        metered = any(level.used.seconds for level in levels)
        return ["Energy: this machine does not tell its power (to this user)."] if metered else []
    return [f"Energy for 1000 tokens, of the {whose}: {' · '.join(told)}."]


_WORDS = {"faster": "faster", "slower": "SLOWER", "same": "as before"}


def _verdict(found: Verdict | None) -> list[str]:
    if found is None:
        return [
            "Against before: the first measurement of this profile, model, image and load here."
        ]
    other = ", with other settings" if found.other_settings else ""
    changed = [each for each in found.differences if each.trend != "same"]
    told = "; ".join(map(_difference, changed)) or _steady(found)
    return list(_wrapped(f"Against {found.since}{other}: {_WORDS[found.trend]}. {told}."))


def _difference(each: Difference) -> str:
    return f"{each.what} ×{each.ratio:.2f} ({_figure(each.then)} → {_figure(each.now)})"


def _figure(value: float) -> str:
    return exact(round(value)) if value > 1_000_000 else f"{value:.3g}"


def _steady(found: Verdict) -> str:
    rates = [each.noise for each in found.differences if each.what.endswith("tokens/s")]
    widest = max(rates, default=0.0)
    return f"No figure differs by more than runs do anyway (tokens/s: up to {100 * widest:.0f} %)"


def _wrapped(said: str) -> Iterator[str]:
    yield from textwrap.wrap(said, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def history_text(report: HistoryReport) -> str:
    """One line for each measurement, the latest first."""
    head = ("when (UTC)", "profile", "model", "load", "at once", "first token", "tokens/s", "")
    rows = [head]
    for run, verdict in report.runs:
        for place, level in enumerate(run.levels):
            first = place == 0
            rows.append(
                (
                    run.at.replace("T", " ").removesuffix("Z") if first else "",
                    run.subject.profile if first else "",
                    run.subject.model if first else "",
                    f"{run.shape.prompt_tokens}+{run.shape.output_tokens}" if first else "",
                    str(level.streams),
                    seconds(level.first_token_p50_s),
                    rate(level.total_rate),
                    _mark(run, verdict) if first else "",
                )
            )
    lines = columns(rows, indent=0, right=frozenset({4, 5, 6}))
    lines += ["", f"Load: tokens of the question + of the answer. Kept in {report.file}"]
    if report.unread:
        lines.append(f"{report.unread} of its lines cannot be read; they are left as they are.")
    return "\n".join(lines)


def _mark(run: Measured, verdict: Verdict | None) -> str:
    word = "" if verdict is None else _WORDS[verdict.trend]
    if verdict is not None and verdict.other_settings:
        word += " (other settings)"
    return f"{word} ({run.ended})".strip() if run.ended else word
