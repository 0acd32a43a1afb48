"""Measures how fast this machine reads its memory: what limits a model on a processor. An edge.

Lets the C library search buffers that no cache holds for a byte that is not in them, in as many
threads as there are cores. Owns one small file that remembers the result. Takes about half a
second and up to a tenth of the free memory for that time, so only commands that show it measure.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.files import text_of
from deployctl.hardware import cache_bytes

if TYPE_CHECKING:
    import ctypes

    from deployctl.model import HostFacts

#: The file below the state folder.
FILE = "bandwidth.json"

_MIB = 1024 * 1024

#: Buffers altogether: at least so much, and so many times the last-level cache, but never more
#: than this part of the free memory. Measured on a virtual machine with 32 MiB of cache: four
#: times that reads 15 % faster than memory, eight times 6 %, sixteen times 1 % but takes 0.8 s.
_AT_LEAST, _CACHES, _SHARE = 128 * _MIB, 8, 0.1

#: Below these the result would say more about the caches than about the memory.
_TOO_LITTLE, _TOO_FEW_CACHES = 32 * _MIB, 4

#: Passes, and seconds each. The fastest counts: a machine that is shared has bursts.
_PASSES, _PASS_S = 3, 0.1

#: More threads find no more memory channels on any machine of today.
_MOST_THREADS = 64

#: Behind the name of a machine that nobody has measured yet while it was quiet.
_BUSY = " | busy"

#: Where several machines share a state folder, the file remembers so many.
_KEPT = 16

#: Threads and buffer bytes → bytes per second.
Measure = Callable[[int, int], float | None]


def bandwidth_of(
    facts: HostFacts,
    home: Path,
    *,
    clock: Callable[[], float],
    root: Path = Path("/"),
    again: bool = False,
) -> float | None:
    """The measured read bandwidth of the machine that ``facts`` describe; see :func:`bandwidth`."""
    cores = _threads(facts)
    return bandwidth(
        home / FILE,
        cpu_model=facts.cpu_model,
        cores=cores,
        clock=clock,
        total_bytes=facts.memory_total_bytes,
        available_bytes=facts.memory_available_bytes,
        last_level_bytes=_last_level(root),
        again=again,
        busy=is_busy(text_of(root / "proc/loadavg"), cores),
    )


def bandwidth(
    cache: Path,
    *,
    cpu_model: str | None,
    cores: int,
    clock: Callable[[], float],
    total_bytes: int | None = None,
    available_bytes: int | None = None,
    last_level_bytes: int | None = None,
    again: bool = False,
    busy: bool = False,
    measure: Measure | None = None,
) -> float | None:
    """Bytes per second that ``cores`` threads read, measured now or remembered in ``cache``.

    The best that was ever measured counts, since a machine that was ``busy`` reads slower and none
    reads faster than it can. What only a busy machine has measured is measured anew each time,
    until a quiet one has; ``again`` measures in any case. ``None`` when there is too little memory
    for an honest measurement, or the system refuses it. Never raises for the file.
    """
    key = _key(cpu_model, cores, total_bytes)
    remembered = _remembered(cache)
    quiet, hurried = remembered.pop(key, None), remembered.pop(f"{key}{_BUSY}", None)
    known = max(filter(None, (quiet, hurried)), default=None)
    size = buffer_bytes(available_bytes, last_level_bytes)
    if size is None or (quiet is not None and not again):
        return known
    take = measure or (lambda threads, count: read_speed(threads, count, clock=clock))
    found = take(min(cores, _MOST_THREADS), size)
    if found is None or (busy and known is not None and found <= known):
        return known
    best = max(found, known or 0.0)
    if best == quiet:
        return best
    mark = _BUSY if busy and quiet is None else ""
    newest = [*remembered.items(), (f"{key}{mark}", best)][-_KEPT:]
    _remember(cache, dict(newest))
    return best


def is_busy(loadavg: str, cores: int) -> bool:
    """Whether others used half of the cores in the last minute; ``loadavg`` is the kernel's text.

    Where the kernel does not tell, nobody says that they did.
    """
    try:
        return float(loadavg.split()[0]) * 2 >= cores
    except (IndexError, ValueError):
        return False


def _threads(facts: HostFacts) -> int:
    """As many as an engine would compute with."""
    cores = facts.physical_cores or facts.cores
    return cores if facts.cpu_limit is None else max(1, min(cores, round(facts.cpu_limit)))


def _key(cpu_model: str | None, cores: int, total_bytes: int | None) -> str:
    """What stays the same between boots. With other memory modules it is another machine."""
    gib = "?" if total_bytes is None else round(total_bytes / 1024**3)  # differs by kernel below
    return f"{cpu_model or '?'} | {cores} cores | {gib} GiB"


def buffer_bytes(available: int | None, last_level: int | None) -> int | None:
    """How large the buffers should be together; ``None`` when that is more than may be taken."""
    wanted = max(_AT_LEAST, _CACHES * (last_level or 0))
    allowed = 0 if available is None else int(available * _SHARE)
    if allowed >= wanted:
        return wanted
    enough = max(_TOO_LITTLE, _TOO_FEW_CACHES * (last_level or 0))
    return allowed if allowed >= enough else None


def _last_level(root: Path) -> int | None:
    """The last-level caches together, bytes; ``None`` where the kernel does not list them."""
    processors = root / "sys/devices/system/cpu"
    for index in ("index3", "index2"):
        files = sorted(processors.glob(f"cpu[0-9]*/cache/{index}"))
        found = cache_bytes((text_of(f / "size"), text_of(f / "shared_cpu_list")) for f in files)
        if found:
            return found
    return None


# ── the measurement ───────────────────────────────────────────────────────────────────────────


def read_speed(
    threads: int, size_bytes: int, *, clock: Callable[[], float], pass_s: float = _PASS_S
) -> float | None:
    """Bytes per second that ``threads`` read together; ``None`` when the system refuses.

    ``size_bytes`` of memory are taken for the time; ``clock`` counts seconds.
    """
    crew = _Crew(threads, size_bytes // threads, clock, pass_s)
    return crew.run()


class _Crew:
    """Threads that read, each its own part, in passes that all begin together."""

    def __init__(
        self, threads: int, part_bytes: int, clock: Callable[[], float], pass_s: float
    ) -> None:
        self._threads = threads
        self._part = part_bytes
        self._clock = clock
        self._pass_s = pass_s
        self._start = threading.Barrier(threads)
        self._done: list[list[tuple[float, float, int]]] = [[] for _ in range(_PASSES)]

    def run(self) -> float | None:
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self._threads)]
        try:
            for worker in workers:
                worker.start()
        except RuntimeError:  # no more threads for this user: those that wait must not wait on
            self._start.abort()
            return None
        for worker in workers:
            worker.join()
        speeds = [_speed(laps) for laps in self._done if len(laps) == self._threads]
        # What counts is how fast it can be: a ceiling is not lower because others were reading.
        return max(speeds, default=None)

    def _work(self) -> None:
        """Fill a part (memory that was never written is one page of zeros) and read it."""
        import ctypes  # these two only where something is measured: `plan` has no time for them
        import mmap

        libc = ctypes.CDLL(None)  # its functions run without Python's lock
        libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        libc.memchr.argtypes = libc.memset.argtypes
        try:
            memory = mmap.mmap(-1, self._part)
        except (OSError, ValueError):
            self._start.abort()
            return
        with contextlib.suppress(OSError, AttributeError):  # then with small pages, a little slower
            memory.madvise(mmap.MADV_HUGEPAGE)
        view = ctypes.c_char.from_buffer(memory)
        place = ctypes.addressof(view)
        libc.memset(place, 1, self._part)
        with contextlib.suppress(threading.BrokenBarrierError):
            for laps in self._done:
                self._start.wait()
                laps.append(self._lap(libc, place))
        del view
        memory.close()

    def _lap(self, libc: ctypes.CDLL, place: int) -> tuple[float, float, int]:
        """Read the part until the time is up: when it began, when it ended, bytes."""
        started = now = self._clock()
        count = 0
        while now - started < self._pass_s:
            libc.memchr(place, 0, self._part)
            count += self._part
            now = self._clock()
        return started, now, count


def _speed(laps: Iterable[tuple[float, float, int]]) -> float:
    """From the first start to the last end: threads that wait for others count as slow."""
    starts, ends, counts = zip(*laps, strict=True)
    return float(sum(counts) / (max(ends) - min(starts)))


# ── the file ──────────────────────────────────────────────────────────────────────────────────


def _remembered(cache: Path) -> dict[str, float]:
    """What the file holds; nothing when it is not there or not what we write."""
    try:
        data: Any = json.loads(text_of(cache))
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        key: float(value)
        for key, value in data.items()
        if type(value) in (int, float) and 0 < value < float("inf")
    }


def _remember(cache: Path, data: dict[str, float]) -> None:
    """Replace the file in one step. Without a folder to write to it is measured anew each time."""
    import tempfile

    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.")  # 0600
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(data, indent=1) + "\n")
            fresh.replace(cache)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
