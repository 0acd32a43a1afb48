"""A box whose engine answers loads in a time of its own, by the letter of its API."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from tests.fakes import FakeHttp
from tests.world import Box


class OwnClock:
    """Each thread's own time, so that answers side by side take as long as they say."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.base = 0.0

    def now(self) -> float:
        return self.base + float(getattr(self._local, "seconds", 0.0))

    def sleep(self, seconds: float) -> None:
        self._local.seconds = getattr(self._local, "seconds", 0.0) + seconds


@dataclass
class BenchHttp(FakeHttp):
    """Answers with as many tokens as are asked for; ``first_s`` and ``gap_s`` are its speed."""

    clock: OwnClock = field(default_factory=OwnClock)
    first_s: float = 0.5
    gap_s: float = 0.01
    template_tokens: int = 20
    breaks: int = 0  # so many answers break off
    dies_after: int | None = None  # answers
    cached: int | None = 3
    hidden: int = 0  # first tokens of each answer that are no text
    stops_after: int | None = None  # answers; then it writes nothing, and says it is well
    while_stopped_s: float = 0.0  # how much time passes for everybody in each look
    interrupts_after: int | None = None  # answers; then somebody presses Ctrl-C
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        FakeHttp.__init__(self)
        self._lock = threading.Lock()

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        if not isinstance(body, dict) or "ignore_eos" not in body:  # the proof of `up`
            yield from super().stream(url, token=token, body=body, timeout_s=timeout_s)
            return
        with self._lock:
            self.bodies.append(body)
            count = len(self.bodies)
        if self.dies_after is not None and count > self.dies_after:
            self.engine_ready = False
            raise OSError("Connection reset by peer")
        if self.interrupts_after is not None and count > self.interrupts_after:
            if count == self.interrupts_after + 1:  # once, whoever else is asked meanwhile
                os.kill(os.getpid(), signal.SIGINT)
            self.stopped.wait(10)
        while self.stops_after is not None and count > self.stops_after:
            self.clock.base += self.while_stopped_s
            if self.stopped.wait(0.2 if self.while_stopped_s else 10):
                break
        self.clock.sleep(self.first_s)
        for number in range(self.hidden, body["max_tokens"]):
            if self.breaks and number == 1:
                self.breaks -= 1
                return
            self.clock.sleep(self.gap_s if number else 0.0)
            yield json.dumps({"choices": [{"delta": {"content": "word "}}]})
        yield json.dumps({"choices": [{"delta": {}, "finish_reason": "length"}]})
        words = len(str(body["messages"][0]["content"]).split())
        usage: dict[str, Any] = {
            "completion_tokens": body["max_tokens"],
            "prompt_tokens": words + self.template_tokens,
        }
        if self.cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
        yield json.dumps({"choices": [], "usage": usage})
        yield "[DONE]"


@dataclass
class BenchBox(Box):
    """The smoke stack, up, on a clock that loads move."""

    load: BenchHttp = field(default_factory=BenchHttp)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.http = self.load
        self.clock = self.load.clock  # type: ignore[assignment]

    def bring_up(self) -> BenchBox:
        up(self.world(), UpRequest(stack="deployctl", selection=Selection(profile="smoke")))
        state = self.docker.states["engine"]
        self.docker.used = {state.id: 200 * 1024**2}
        return self


def bench_box(home: Path) -> BenchBox:
    return BenchBox(home=home).bring_up()
