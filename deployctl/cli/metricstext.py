"""How ``metrics`` is written for people: each figure with its unit, in the column of its time."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from deployctl.amounts import counted
from deployctl.cli.table import columns
from deployctl.cli.vitalstext import cpus_of, memory_of, memory_of_card, rate, span
from deployctl.counters import Tally

if TYPE_CHECKING:
    from deployctl.counters import Latency
    from deployctl.deploy.cardnow import CardNow
    from deployctl.deploy.metrics import MetricsReport
    from deployctl.vitals import EngineVitals, ServiceVitals

#: There was nothing of the kind in that time, or too little to tell.
_NOTHING = "–"


#: Engines by the name that people know them by.
_TITLES = {"vllm": "vLLM"}


def lines_of(report: MetricsReport, width: int) -> tuple[str, ...]:
    """The whole report; sentences are broken at ``width`` columns, tables are not."""
    return (
        _head(report),
        *_engine(report, width),
        "",
        *_services(report),
        *(("", *_cards(report.cards)) if report.cards else ()),
    )


def _head(report: MetricsReport) -> str:
    if report.engine is None:
        return f"Stack {report.stack}: the engine tells nothing"
    return f"Stack {report.stack}: {_title(report.engine)} serves {report.engine.served_name}"


def _title(engine: EngineVitals) -> str:
    return _TITLES.get(engine.kind, engine.kind)


# ── the engine ────────────────────────────────────────────────────────────────────────────────


def _engine(report: MetricsReport, width: int) -> Iterator[str]:
    engine, whole = report.engine, report.since_start
    if engine is None or whole is None:
        return
    yield ""
    over = f"last {report.window_s:.1f} s" if report.window else "it began anew"
    rows = [("", "now", over, "since its start"), *_rows(report, engine, whole)]
    yield from columns(rows, indent=2, right=frozenset())
    if lacks := _lacking(report):
        yield ""
        told = f"Not exported by {_title(engine)}: {', '.join(lacks)}."
        yield textwrap.fill(told, width, initial_indent="  ", subsequent_indent="  ")
    if any(_NOTHING in row for row in rows):
        yield f"  {_NOTHING}: nothing of it in that time, or too little to tell."


def _rows(report: MetricsReport, engine: EngineVitals, whole: Tally) -> Iterator[tuple[str, ...]]:
    """Figure, now, in the window, since the engine's start; what is not exported is left out."""
    window = report.window
    part = Tally() if window is None else window.counted
    made = None if window is None else window.generated_tokens_per_s
    read = None if window is None else window.read_tokens_per_s
    yield "requests running", _requests(engine.running), "", ""
    yield "requests waiting", _requests(engine.waiting), "", ""
    if engine.kv_share is not None:
        yield "KV memory in use", _percent(engine.kv_share), "", ""
    last = engine.rate_basis == "last answer"
    now = {"answer_tokens_per_s": rate(engine).replace(" measured", "") if last else ""}
    over = {"generated_tokens": _per_s(made), "read_tokens": _per_s(read)}
    for name, label, show in _TALLIED:
        if name not in report.not_exported:
            yield label, now.get(name, ""), over.get(name) or show(part), show(whole)


#: What people call the figures that an engine may lack.
_NAMES = {
    "first_token": "time to first token",
    "inter_token.p50_s": "p50 and p95 between two tokens",
    "kv_share": "KV memory in use",
    "finished": "requests finished",
    "preemptions": "answers preempted",
    "cached_share": "prompts from the cache",
    "read_tokens": "tokens read",
    "reading_tokens_per_s": "the speed of reading",
    "generated_tokens": "tokens generated",
    "answer_tokens_per_s": "the speed of one answer",
}


def _lacking(report: MetricsReport) -> list[str]:
    return [words for name, words in _NAMES.items() if name in report.not_exported]


def _requests(count: int | None) -> str:
    return _NOTHING if count is None else counted(count, "request")


def _times(count: int | None) -> str:
    return _NOTHING if count is None else counted(count, "time")


def _tokens(count: int | None) -> str:
    return _NOTHING if count is None else counted(count, "token")


def _per_s(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1f} tokens/s"


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.0f} %"


def _reasons(finished: Mapping[str, int] | None) -> str:
    """``4 stop, 1 abort``, in the engine's own words."""
    told = [f"{count} {reason}" for reason, count in (finished or {}).items() if count]
    return _NOTHING if finished is None else ", ".join(told) or "0 requests"


def _waits(found: Latency | None) -> str:
    if found is None or found.mean_s is None:
        return _NOTHING
    if found.p50_s is None or found.p95_s is None:
        return f"mean {seconds(found.mean_s)}"
    return f"p50 {seconds(found.p50_s)}, p95 {seconds(found.p95_s)}"


def seconds(value: float) -> str:
    """A short time: ``7.9 ms``, ``420 ms``, ``1.35 s``, ``12 s``."""
    if value < 1:
        return f"{1000 * value:.{1 if value < 0.1 else 0}f} ms"
    return f"{value:.{2 if value < 10 else 0}f} s"


#: What is counted: its name in the report, in words, and how its amount is written.
_TALLIED: tuple[tuple[str, str, Callable[[Tally], str]], ...] = (
    ("generated_tokens", "tokens generated", lambda t: _tokens(t.generated_tokens)),
    ("answer_tokens_per_s", "  of one answer", lambda t: _per_s(t.answer_tokens_per_s)),
    ("read_tokens", "tokens read", lambda t: _tokens(t.read_tokens)),
    ("reading_tokens_per_s", "  while it reads", lambda t: _per_s(t.reading_tokens_per_s)),
    ("cached_share", "prompts from the cache", lambda t: _percent(t.cached_share)),
    ("first_token", "time to first token", lambda t: _waits(t.first_token)),
    ("inter_token", "between two tokens", lambda t: _waits(t.inter_token)),
    ("finished", "requests finished", lambda t: _reasons(t.finished)),
    ("preemptions", "answers preempted", lambda t: _times(t.preemptions)),
)


# ── containers and cards ──────────────────────────────────────────────────────────────────────


def _services(report: MetricsReport) -> list[str]:
    """A container each; its processors say of what time they are."""
    rows: list[tuple[str, ...]] = [("container", "state", "up", "memory now", "CPUs")]
    rows += [_service(service) for service in report.services]
    return columns(rows, indent=2, right=frozenset())


def _service(service: ServiceVitals) -> tuple[str, ...]:
    health = f", {service.health}" if service.health else ""
    of_time = ""
    if service.cpus_basis == "now":
        of_time = f", last {service.cpus_window_s or 0:.1f} s"
    elif service.cpus_basis is not None:
        of_time = f", {service.cpus_basis}"
    return (
        service.service,
        f"{service.state}{health}",
        _NOTHING if service.uptime_s is None else span(service.uptime_s),
        memory_of(service),
        f"{cpus_of(service)}{of_time}",
    )


def _cards(cards: tuple[CardNow, ...]) -> list[str]:
    """A card each; all of it now, whoever uses it."""
    rows: list[tuple[str, ...]] = [("card", "memory now", "busy", "temperature", "power")]
    for card in cards:
        limit = "" if card.power_limit_w is None else f" of {card.power_limit_w:.0f} W"
        rows.append(
            (
                card.name,
                memory_of_card(card.memory_used_bytes, card.memory_bytes),
                "not told" if card.busy_share is None else _percent(card.busy_share),
                "not told" if card.temperature_c is None else f"{card.temperature_c:.0f} °C",
                "not told" if card.power_w is None else f"{card.power_w:.0f} W{limit}",
            )
        )
    return columns(rows, indent=2, right=frozenset())


def compact(report: MetricsReport) -> str:
    """One line for a log: when, what the engine does, and what each container uses."""
    parts = []
    engine, window = report.engine, report.window
    if engine is not None:
        parts.append(f"{engine.running or 0} running, {engine.waiting or 0} waiting")
    if window is not None:
        parts.append(f"generated {_per_s(window.generated_tokens_per_s)}")
        parts.append(f"read {_per_s(window.read_tokens_per_s)}")
        if window.counted.first_token is not None:
            parts.append(f"first token {_waits(window.counted.first_token)}")
    if engine is not None and engine.kv_share is not None:
        parts.append(f"KV use {_percent(engine.kv_share)}")
    parts += [f"{s.service} {memory_of(s)}, {cpus_of(s)} CPUs" for s in report.services]
    parts += [f"{fault.message} [{fault.code}]" for fault in report.faults]
    over = f" last {report.window_s:.1f} s:" if window is not None else ""
    return f"{report.at}{over} {' · '.join(parts)}"
