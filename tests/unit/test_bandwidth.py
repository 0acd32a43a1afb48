"""The measured bandwidth of the memory, and the file that remembers it."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployctl.bandwidth import (
    FILE,
    bandwidth,
    bandwidth_of,
    buffer_bytes,
    is_busy,
    read_speed,
)
from tests.fakes import GIB, facts

MIB = 1024**2


@dataclass
class Meter:
    """Measures what it is told."""

    answers: list[float | None]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, threads: int, size_bytes: int) -> float | None:
        self.asked.append((threads, size_bytes))
        return self.answers.pop(0)


def ask(cache: Path, meter: Meter, **changes: object) -> float | None:
    known: dict[str, object] = {
        "cpu_model": "A CPU",
        "cores": 4,
        "total_bytes": 16 * GIB,
        "available_bytes": 8 * GIB,
        "last_level_bytes": 8 * MIB,
    }
    return bandwidth(cache, clock=time.monotonic, measure=meter, **{**known, **changes})  # type: ignore[arg-type]  # a test's


def test_it_is_measured_once(tmp_path: Path) -> None:
    cache, meter = tmp_path / "state" / FILE, Meter([40e9])
    assert [ask(cache, meter), ask(cache, meter)] == [40e9, 40e9]
    assert meter.asked == [(4, 128 * MIB)]
    assert cache.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in cache.parent.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "other", [{"cpu_model": "B"}, {"cores": 8}, {"total_bytes": 32 * GIB}, {"cpu_model": None}]
)
def test_another_machine_is_measured_anew(tmp_path: Path, other: dict[str, object]) -> None:
    cache, meter = tmp_path / FILE, Meter([40e9, 50e9])
    assert [ask(cache, meter), ask(cache, meter, **other), ask(cache, meter)] == [40e9, 50e9, 40e9]


def test_of_two_measurements_the_undisturbed_counts(tmp_path: Path) -> None:
    cache, meter = tmp_path / FILE, Meter([40e9, 12e9, 41e9, None])
    found = [ask(cache, meter), *(ask(cache, meter, again=True) for _ in range(3))]
    assert found == [40e9, 40e9, 41e9, 41e9]
    assert ask(cache, meter) == 41e9


def test_what_a_busy_machine_measured_counts_only_until_a_quiet_one_has(tmp_path: Path) -> None:
    cache, meter = tmp_path / FILE, Meter([17e9, 38e9, 26e9, 36e9])
    assert [ask(cache, meter, busy=True) for _ in range(3)] == [17e9, 38e9, 38e9]
    assert [ask(cache, meter), ask(cache, meter)] == [38e9, 38e9]  # quiet: none is slower than seen
    assert json.loads(cache.read_text()) == {"A CPU | 4 cores | 16 GiB": 38e9}
    assert meter.answers == []


@pytest.mark.parametrize(
    ("loadavg", "busy"),
    [("1.99 1 1 3/300 1\n", False), ("2.00 0 0 1/300 1\n", True), ("", False), ("?", False)],
)
def test_a_machine_is_busy_when_half_of_its_cores_are(loadavg: str, *, busy: bool) -> None:
    assert is_busy(loadavg, 4) is busy


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"A CPU | 4 cores | 16 GiB": "fast"}', "\0"),
        *(f'{{"A CPU | 4 cores | 16 GiB": {value}}}' for value in ("-1", "true", "NaN", "1e999")),
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    cache = tmp_path / FILE
    cache.write_text(text)
    assert ask(cache, Meter([40e9])) == 40e9
    assert json.loads(cache.read_text()) == {"A CPU | 4 cores | 16 GiB": 40e9}


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    meter = Meter([40e9, 41e9])
    assert [ask(tmp_path / "file/x" / FILE, meter) for _ in range(2)] == [40e9, 41e9]


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    for number in range(40):
        ask(tmp_path / FILE, Meter([1e9]), cpu_model=f"CPU {number}")
    kept = json.loads((tmp_path / FILE).read_text())
    assert len(kept) == 16
    assert "CPU 39 | 4 cores | 16 GiB" in kept


def test_nothing_is_measured_where_memory_is_short_or_unknown(tmp_path: Path) -> None:
    meter = Meter([])
    assert ask(tmp_path / FILE, meter, available_bytes=256 * MIB) is None
    assert ask(tmp_path / FILE, meter, available_bytes=None) is None
    assert meter.asked == []


@pytest.mark.parametrize(
    ("available", "last_level", "size"),
    [
        (8 * GIB, None, 128 * MIB),
        (8 * GIB, 32 * MIB, 256 * MIB),
        (2 * GIB, 32 * MIB, int(2 * GIB * 0.1)),
        (512 * GIB, 384 * MIB, 3072 * MIB),
        (8 * GIB, 384 * MIB, None),  # a tenth of what is free would fit into the caches
        (GIB, 2 * MIB, int(GIB * 0.1)),
        (256 * MIB, None, None),
        (None, None, None),
    ],
)
def test_buffers_are_larger_than_the_caches_and_smaller_than_what_is_free(
    available: int | None, last_level: int | None, size: int | None
) -> None:
    assert buffer_bytes(available, last_level) == size


def test_as_many_threads_as_the_machine_may_use_cores(tmp_path: Path) -> None:
    machine = facts(cpu_model="A CPU", physical_cores=8, cores=16, cpu_limit=2.5)
    (tmp_path / FILE).write_text('{"A CPU | 2 cores | 24 GiB": 30e9}')
    assert bandwidth_of(machine, tmp_path, clock=time.monotonic) == 30e9


def test_this_machine_reads() -> None:
    speed = read_speed(2, 4 * MIB, clock=time.monotonic, pass_s=0.002)
    assert speed is not None
    assert speed > 0


def test_what_was_read_is_divided_by_the_time_from_first_to_last() -> None:
    ticks, lock = itertools.count(), threading.Lock()

    def clock() -> float:
        with lock:
            return float(next(ticks))

    # One thread: begins at n, has read once at n + 1, and then the second is up.
    assert read_speed(1, MIB, clock=clock, pass_s=0.5) == MIB


def test_memory_that_the_system_does_not_give_is_no_measurement() -> None:
    assert read_speed(1, 0, clock=time.monotonic) is None
