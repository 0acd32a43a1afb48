"""Judges room: disk, inodes, memory, swap. Pure; bytes."""

from __future__ import annotations

from collections.abc import Iterator

from deployctl.amounts import gib, rough
from deployctl.doctor.nouns import Machine, Place
from deployctl.doctor.results import failed, ok, skipped, warning
from deployctl.outcomes import CheckResult

_MIB, _GIB = 1024**2, 1024**3

#: What the smallest shipped stack takes where nothing of it is here: images built from packages
#: 0.86 GB and its model 0.1 GB, measured; a build needs about as much again while it runs.
_COMFORT_BYTES = 3 * _GIB

#: Below this not even containers and the frontend's database can be made.
_LEAST_BYTES = 64 * _MIB

#: The frontend alone is allowed 2 GiB; with less than this the smallest profile will not do.
_LEAST_MEMORY_BYTES = 2 * _GIB

_LOW_INODES = 20_000


def judge_room(machine: Machine) -> tuple[CheckResult, ...]:
    """Disk where images, volumes and models go; memory and swap."""
    state, images = machine.state.place, machine.images
    same = images is not None and images.device is not None and images.device == state.device
    return (
        *(() if same else _place("disk for images", images)),
        *_place("disk for everything" if same else "disk for models", state),
        _memory(machine),
        _swap(machine),
    )


def _place(name: str, place: Place | None) -> Iterator[CheckResult]:
    if place is None or place.free_bytes is None:
        yield skipped(name, "not known without the daemon" if place is None else "not known")
        return
    on = f" ({place.filesystem})" if place.filesystem else ""
    seen = f"{rough(place.free_bytes)} free at {place.path}{on}"
    fix = "df -h; docker system df  # what could go"  # the folder itself may not be there yet
    if place.free_bytes < _LEAST_BYTES:
        why = "Not even a container's own files can be written."
        yield failed(name, seen, why, fix, code="disk-short")
    elif place.free_bytes < _COMFORT_BYTES:
        why = "Images and the smallest model take about 1 GB (measured), and as much while built."
        yield warning(name, seen, why, fix)
    else:
        yield ok(name, seen)
    yield from _inodes(name.replace("disk", "inodes"), place)


def _inodes(name: str, place: Place) -> Iterator[CheckResult]:
    """Said only where they are few: nobody thinks of them, and `df` shows free space."""
    if not place.inodes_total or place.inodes_free is None or place.inodes_free >= _LOW_INODES:
        return
    why = "An image is tens of thousands of files; without inodes none can be made."
    seen = f"{place.inodes_free} of {place.inodes_total} left at {place.path}"
    fix = "df -i; docker image prune  # removes images without a name"
    if place.inodes_free == 0:
        yield failed(name, seen, why, fix, code="disk-short")
    else:
        yield warning(name, seen, why, fix)


def _memory(machine: Machine) -> CheckResult:
    total, free = machine.facts.memory_total_bytes, machine.facts.memory_available_bytes
    if total is None:
        return skipped("memory", "not known")
    seen = f"{gib(total)}, {gib(free)} available" if free is not None else gib(total)
    if total < _LEAST_MEMORY_BYTES:
        why = "The frontend and the smallest model need about 1 GiB (predicted), and room to work."
        return warning("memory", seen, why, "deployctl recommend")
    if free is not None and free < _GIB:
        why = "Something else uses nearly all of it: a model would push it out, or be killed."
        return warning("memory", seen, why, "ps aux --sort=-rss | head -6")
    return ok("memory", seen)


def _swap(machine: Machine) -> CheckResult:
    total = machine.facts.swap_total_bytes
    names = machine.system.swaps
    if total is None:
        return skipped("swap", "not known")
    if total == 0:
        return ok("swap", "none: what does not fit is killed, not slowed down")
    if names and all("zram" in name for name in names):
        return ok("swap", f"{gib(total)} of compressed memory (zram): no room beyond the memory")
    return ok("swap", f"{gib(total)}; stacks do not use it, their limits count it")
