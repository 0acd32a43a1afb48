"""The live view on a terminal: one line per running phase, done phases stay above."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deployctl.cli.console import NAME_WIDTH, amount, duration, ended, far
from deployctl.talk import PhaseTalk
from deployctl.visible import harmless


class _Running:
    """One phase under way, as it is drawn."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = time.monotonic()
        self.text = ""
        self.summary, self.ok = "", True
        self.spinner = Spinner("dots", style="cyan")

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        come = amount(done, total)
        self.text = f"{come}  {text}" if come else text

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        self.text = "  ".join(filter(None, (name, far(done, total, unit), detail)))

    def finish(self, summary: str, *, ok: bool = True) -> None:
        self.summary, self.ok = summary, ok

    @property
    def elapsed(self) -> str:
        return duration(time.monotonic() - self.started)


class LiveTalk:
    """Talks through Rich's live display; safe to use from several threads."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._console = Console(file=stream, no_color=not colour, highlight=False)
        self._running: list[_Running] = []
        self._lock = threading.Lock()
        self._live = Live(self, console=self._console, transient=True, refresh_per_second=10)

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        """Draw the phases under way."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column(width=NAME_WIDTH, no_wrap=True)
        grid.add_column(width=12, justify="right", no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for phase in tuple(self._running):
            grid.add_row(
                phase.spinner, phase.name, phase.elapsed, Text(harmless(phase.text), style="dim")
            )
        yield grid

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        """See :class:`deployctl.talk.Talk`."""
        running = _Running(name)
        self._enter(running)
        mark, style, over = "✗", "red", False
        try:
            yield running
            over = True
            mark, style = ("✓", "green") if running.ok else (mark, style)
        finally:
            self._leave(running)
            summary = running.summary if over else ended(sys.exc_info()[1])
            line = Text.assemble((mark, style), f" {name:<{NAME_WIDTH}} {running.elapsed:>12}  ")
            line.append(harmless(summary), style="dim" if mark == "✓" else style)
            self._console.print(line, soft_wrap=True)

    def _enter(self, running: _Running) -> None:
        with self._lock:
            self._running.append(running)
            if len(self._running) == 1:
                self._live.start()

    def _leave(self, running: _Running) -> None:
        with self._lock:
            self._running.remove(running)
            if not self._running:
                self._live.stop()

    def say(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self._console.print(Text(harmless(text)), soft_wrap=True)

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        first, *rest = harmless(text).splitlines()
        self._console.print(Text(f"! {first}", style="bold yellow"), soft_wrap=True)
        for line in rest:
            self._console.print(Text(f"  {line}"), soft_wrap=True)
