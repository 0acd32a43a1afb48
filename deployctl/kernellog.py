"""What the kernel's own log says of a container that was killed for memory. Reads /dev/kmsg.

Its counter in /proc/vmstat also counts those that passed a limit of their own, anywhere on the
machine; only the log says who was killed, and whether for the machine's memory or for a limit.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

#: For what a container was killed: the machine's memory, a limit, neither; or nobody may look.
KilledFor = Literal["machine", "limit", "neither", "unknown"]

KERNEL_LOG = Path("/dev/kmsg")

#: One record is never longer (CONSOLE_EXT_LOG_MAX in the kernel).
_RECORD_BYTES = 8192


#: Docker notes an end a little after the kernel's log does, seconds.
_SLACK_S = 10.0


def killed_for(container_id: str, ended_s_ago: float, log: Path = KERNEL_LOG) -> KilledFor:
    """Say for what memory the kernel killed a process of this container, when it ended last.

    ``unknown`` where this user may not read the kernel's log, or there is none.
    """
    since_us = (time.monotonic() - ended_s_ago - _SLACK_S) * 1e6
    try:
        return last_kill(_records(log), container_id, since_us=since_us)
    except OSError:
        return "unknown"


def last_kill(records: Iterable[str], container_id: str, *, since_us: float = 0) -> KilledFor:
    """The same, from the records of the log since a moment, in µs since the machine booted; pure.

    Such a record is ``oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/docker/<id>,…``; with
    the machine's memory it is ``CONSTRAINT_NONE`` and ``global_oom`` (mm/oom_kill.c).
    """
    found: KilledFor = "neither"
    for record in records:
        ours = "oom-kill:" in record and container_id in record.partition("task_memcg=")[2]
        if ours and _moment_us(record) >= since_us:
            found = "limit" if "CONSTRAINT_MEMCG" in record else "machine"
    return found


def _moment_us(record: str) -> int:
    """When a record was made: the third field of its head, `priority,sequence,moment,flags;`."""
    fields = record.partition(";")[0].split(",")
    return int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else 0


def _records(log: Path) -> Iterator[str]:
    """All that is in the log now; one read is one record, and the last says EAGAIN."""
    handle = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                record = os.read(handle, _RECORD_BYTES)
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno == errno.EPIPE:  # it was overwritten under our eyes; go on
                    continue
                raise
            if not record:
                return
            yield record.decode("utf-8", "replace")
    finally:
        os.close(handle)
