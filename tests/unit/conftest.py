"""What several unit tests need: a local hub and a model store with time that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployctl.model import WeightsSpec
from deployctl.runner import StoppableRunner, SubprocessRunner
from deployctl.sources import parse_source
from deployctl.weights import WeightsStore
from deployctl.weights.transfer import Transfer
from tests.fakes import FakeClock
from tests.hubserver import HubServer, running

GIB = 1024**3


@dataclass
class Heard:
    """A Progress that remembers."""

    lines: list[tuple[str, int | None, int | None]] = field(default_factory=list)

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self.lines.append((text, done, total))

    @property
    def texts(self) -> list[str]:
        return [text for text, _, _ in self.lines]


@dataclass
class Shelf:
    """A store in a fresh folder, with what its test looks at."""

    root: Path
    environment: dict[str, str]
    clock: FakeClock = field(default_factory=FakeClock)
    heard: Heard = field(default_factory=Heard)
    free_bytes: int = 100 * GIB
    runner: StoppableRunner = field(default_factory=SubprocessRunner)

    def __post_init__(self) -> None:
        self.now = self.clock.now
        self.sleep = self.clock.sleep

    @property
    def store(self) -> WeightsStore:
        return WeightsStore(
            self.root,
            environment=self.environment,
            runner=self.runner,
            again="deployctl up --profile cpu-only",
            clock=self.now,
            sleep=self.sleep,
            transfer=Transfer(
                clock=self.now, sleep=self.sleep, disk_free=lambda _: self.free_bytes
            ),
        )

    def files(self) -> list[str]:
        """Everything that lies in the store, without the lock files."""
        names = (str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())
        return sorted(name for name in names if ".lock" not in name)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on loopback, reached directly whatever proxies this machine has."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    with running() as server:
        yield server


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A store without a hub."""
    return Shelf(root=tmp_path / "models", environment={"HOME": str(tmp_path)})


def spec(text: str, *, sha256: str | None = None, size_bytes: int | None = None) -> WeightsSpec:
    """A spec from the written form of its source."""
    return WeightsSpec(source=parse_source(text), sha256=sha256, size_bytes=size_bytes)
