"""One download at a time per file: the second process waits and says for whom."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployctl.outcomes import Progress

_LOOK_AGAIN_S = 0.2


@contextmanager
def only_one(target: Path, *, progress: Progress, sleep: Callable[[float], None]) -> Iterator[None]:
    """Hold the lock of ``target`` (``TARGET.lock``) inside the block, waiting for it if need be.

    The lock belongs to the open file, so it ends with its process, however that ends. The holder's
    process number is in ``TARGET.lock.pid``: filelock empties the lock file whenever a waiter
    opens it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(f"{target}.lock", mode=0o644)
    owner = Path(f"{target}.lock.pid")
    said = ""
    while True:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            text = f"waiting for process {_pid_in(owner)}, which downloads {target.name}"
            if text != said:
                progress(text)
                said = text
            sleep(_LOOK_AGAIN_S)
        else:
            break
    try:
        owner.write_text(f"{os.getpid()}\n", encoding="ascii")
        owner.chmod(0o644)
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _pid_in(owner: Path) -> str:
    try:
        return owner.read_text(encoding="ascii").strip() or "(unknown)"
    except OSError:
        return "(unknown)"
