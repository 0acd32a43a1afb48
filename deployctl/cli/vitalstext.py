"""How ``status`` and ``watch`` are written for people."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

from deployctl.amounts import counted, rough
from deployctl.outcomes import AlertResult
from deployctl.vitals import card_memory_used

if TYPE_CHECKING:
    from deployctl.deploy.world import StatusReport
    from deployctl.drift import Drift
    from deployctl.outcomes import CheckResult
    from deployctl.vitals import EngineVitals, ServiceVitals

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}


#: However narrow the terminal is: room for the names and a few words.
_LEAST = 40


def lines_of(report: StatusReport, width: int) -> tuple[str, ...]:
    """The whole report but where the stack is reached, in lines of ``width`` columns.

    What is to be typed, and what a log said, is never broken: it would be another text.
    """
    width = max(width, _LEAST)
    head = [f"Stack {report.stack}: {_state(report)}"]
    if report.profile:
        head += [f"profile {report.profile}", f"{report.model}"]
    column = max(18, *(len(check.name) for check in report.checks), 0)
    return (
        *_row("", head, width),
        *(line for check in report.checks for line in _check(check, width, column)),
        *(line for service in report.services for line in _service(service, width)),
        *(() if report.engine is None else _engine(report.engine, width)),
        *_drifted(report.drift, width),
    )


def _state(report: StatusReport) -> str:
    return "down" if report.down else report.status


def _row(start: str, parts: list[str], width: int) -> list[str]:
    """Put as many parts into each line as it takes; the lines after the first are set in."""
    lines, line = [], start + parts[0]
    for part in parts[1:]:
        longer = f"{line} · {part}"
        if len(longer) > width:
            lines.append(line)
            longer = " " * (len(start) or 4) + part
        line = longer
    return [*lines, line]


def _words(start: str, text: str, width: int) -> list[str]:
    """Break a sentence between words, under its beginning."""
    room = max(width - len(start), _LEAST // 2)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [start + lines[0], *(" " * len(start) + line for line in lines[1:])]


def _check(check: CheckResult, width: int, column: int) -> tuple[str, ...]:
    code = f" [{check.code}]" if check.status == "failed" and check.code else ""
    evidence = check.details[-8:] if check.status == "failed" else ()
    return (
        *_words(
            f"  {_MARKS[check.status]} {check.name:<{column}} ", f"{_summary(check)}{code}", width
        ),
        *(f"    | {line}" for line in evidence),
        *((f"    next: {check.hint}",) if check.hint else ()),
    )


def _summary(check: CheckResult) -> str:
    """What a check says; of an alert first what it is about and for how long, and nothing twice."""
    if not isinstance(check, AlertResult):
        return check.summary
    lasts = "fires" if check.active_s is None else f"for {span(check.active_s)}"
    head = f"{check.about}, {lasts}" if check.about else lasts
    return f"{head}: {check.summary if check.same_as is None else f'see {check.same_as}'}"


def _drifted(drift: tuple[Drift, ...], width: int) -> list[str]:
    """Each finding, and once for all that follow one another the way back."""
    lines: list[str] = []
    for hint, group in itertools.groupby(drift, key=lambda one: (one.lasts, one.hint)):
        lines += [line for one in group for line in _words("  ! ", one.what, width)]
        lines += [*_words("    ", hint[0], width), f"    next: {hint[1]}"]
    return lines


def _service(service: ServiceVitals, width: int) -> list[str]:
    health = f", {service.health}" if service.health else ""
    parts = [f"{service.state}{health}"]
    if service.uptime_s is not None:
        parts.append(f"up {span(service.uptime_s)}")
    parts.append(f"{service.restarts} restarts" if service.restarts != 1 else "1 restart")
    if service.memory_bytes is not None:
        parts.append(f"memory {memory_of(service)}")
    if service.cpus is not None:
        average = "" if service.cpus_basis == "now" else f" {service.cpus_basis}"
        parts.append(f"CPUs {cpus_of(service)}{average}")
    parts.append(service.image)
    return _row(f"  {service.service:<13} ", parts, width)


def memory_of(service: ServiceVitals) -> str:
    """What a container uses of its memory, as far as it is told."""
    if service.memory_bytes is None:
        return "not told"
    limit = service.memory_limit_bytes
    return f"{rough(service.memory_bytes)}{f' of {rough(limit)}' if limit else ''}"


def cpus_of(service: ServiceVitals) -> str:
    """The processors that a container uses, as far as it is told."""
    if service.cpus is None:
        return "not told"
    return f"{service.cpus:.2f}{f' of {service.cpus_limit:g}' if service.cpus_limit else ''}"


def _engine(engine: EngineVitals, width: int) -> tuple[str, ...]:
    parts = [engine.served_name]
    if engine.context is not None:
        times = "" if engine.conversations is None else f"{engine.conversations} × "
        parts.append(f"{times}{engine.context} tokens")
    parts.append(rate(engine))
    if engine.running is not None:
        parts.append(f"{engine.running} running, {engine.waiting or 0} waiting")
    kv = "not told by llama.cpp" if engine.kv_share is None else f"{100 * engine.kv_share:.0f} %"
    parts.append(f"KV use {kv}")
    lines = _row(f"  {'model':<13} ", parts, width)
    for card in engine.cards:
        used = memory_of_card(card_memory_used(card), card.memory_bytes)
        lines += _row(f"  {'card':<13} ", [card.name, used], width)
    return tuple(lines)


def memory_of_card(used: int | None, total: int | None) -> str:
    """How full a card is, as far as it is told."""
    if total is None:
        return "memory not told"
    return f"memory {rough(total)}" if used is None else f"{rough(used)} of {rough(total)} used"


def rate(engine: EngineVitals) -> str:
    """The tokens per second that were measured, and how."""
    if engine.tokens_per_s is None:
        return "no answer yet"
    return f"{engine.tokens_per_s:.1f} tokens/s measured, {engine.rate_basis}"


def compact(report: StatusReport, moment: str) -> str:
    """One line for a log: how it is, what the engine does, what is wrong. ``moment`` leads it."""
    parts: list[str] = [_state(report)]
    parts += [
        f"{s.service} {s.state}{f', {s.health}' if s.health else ''}" for s in report.services
    ]
    if report.engine is not None:
        parts.append(rate(report.engine))
        parts.append(f"{report.engine.running or 0} running")
    parts += [f"{c.summary} [{c.code}]" for c in report.checks if c.status == "failed"]
    warnings = [c for c in report.checks if c.status == "warning"]
    parts += [c.summary for c in warnings if not isinstance(c, AlertResult)]
    if firing := dict.fromkeys(c.alert for c in warnings if isinstance(c, AlertResult)):
        parts.append(f"{counted(len(firing), 'alert')}: {', '.join(firing)}")
    if report.drift:
        parts.append(f"{len(report.drift)} not as asked")
    return f"{moment} {' · '.join(parts)}"


def span(seconds: float) -> str:
    """A long time in its two largest units: ``42 s``, ``5 min``, ``3 h 20 min``, ``2 d 4 h``."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
