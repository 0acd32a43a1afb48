"""One resumable download for every URL: ranged HTTP into a ``.part`` file.

Resumes after a cut connection within the call (a few tries, growing pauses) and across calls (the
part stays, with a note of what it is the beginning of).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deployctl.outcomes import Progress
from deployctl.weights.bounded import bounded
from deployctl.weights.meter import Meter
from deployctl.weights.problems import CorruptError, CutError, NoSpaceError, UnreachableError
from deployctl.weights.records import PartOf, load_part, save
from deployctl.weights.web import (
    Remote,
    continue_tag,
    innermost,
    judge,
    open_at,
    placed,
    proxy_evidence,
    session,
)
from deployctl.weights.words import in_words

if TYPE_CHECKING:
    import requests  # an edge module; imported for real inside the functions

#: Connecting and the first headers, all addresses of a name together.
_OPEN_S = 20.0
#: Small, because urllib3 throws away the bytes of a chunk that a cut connection left incomplete.
_CHUNK_BYTES = 16 << 10
#: Pauses after failures in a row. A try that brought a megabyte or more starts the row again.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
#: Who never answered in this call is asked only once more: the operator is waiting.
_PAUSES_UNANSWERED_S = (0.5,)
_WORTH_A_NEW_ROW_BYTES = 1 << 20


class Transfer:
    """Downloads into a part file. ``disk_free`` gives the free bytes of a folder's disk."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        disk_free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._disk_free = disk_free

    def download(self, remote: Remote, part: Path, *, progress: Progress) -> None:
        """Make ``part`` the whole file, continuing what is there when it is of the same content.

        Raises the problems of :mod:`deployctl.weights.problems`; the part stays in every case.
        """
        _forget_foreign_part(remote, part)
        answered, failures = False, 0
        while remote.size_bytes is None or _size(part) != remote.size_bytes:
            before = _size(part)
            try:
                self._attempt(remote, part, progress)
            except CutError as cut:
                answered = answered or cut.answered
                grown = _size(part) - before >= _WORTH_A_NEW_ROW_BYTES
                failures = 1 if grown else failures + 1
                pauses = _PAUSES_S if answered else _PAUSES_UNANSWERED_S
                if failures > len(pauses):
                    raise _gave_up(remote, part, cut) from cut
                pause = cut.pause_s if cut.pause_s is not None else pauses[failures - 1]
                text = f"{remote.host}: {cut}; trying again in {pause:.1f} s"
                progress(text, done=_size(part), total=remote.size_bytes)
                self._sleep(pause)
            else:
                return

    def check_space(self, name: str, folder: Path, needed_bytes: int | None) -> None:
        """Raise ``NoSpaceError``, with the numbers, when the disk of ``folder`` has less room."""
        free = self._disk_free(folder)
        if needed_bytes is not None and needed_bytes > free:
            raise NoSpaceError(
                f"{name} needs {in_words(needed_bytes)} more, and the disk of {folder} has "
                f"{in_words(free)} left",
                evidence=(f"short of: {in_words(needed_bytes - free)}", f"folder: {folder}"),
                folder=str(folder),
            )

    def _attempt(self, remote: Remote, part: Path, progress: Progress) -> None:
        import requests

        start = _size(part)
        known = load_part(note_of(part))
        if_range = known.tag if known is not None and not known.strong else None
        answered = False
        try:
            with session() as http:
                response = bounded(
                    lambda: open_at(http, remote, start=start, if_range=if_range), seconds=_OPEN_S
                )
                answered = True
                with response:
                    self._receive(response, remote, part, start, progress)
        except (requests.RequestException, UnreachableError) as problem:
            # requests raises these for everything between the name look-up and a cut body.
            why = str(problem) if isinstance(problem, UnreachableError) else innermost(problem)
            raise CutError(why, answered=answered) from problem

    def _receive(
        self,
        response: requests.Response,
        remote: Remote,
        part: Path,
        start: int,
        progress: Progress,
    ) -> None:
        judge(response, remote)
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            forget(part)  # what is here is longer than what is there: another file
            raise CutError("the file there is another one now", answered=True, pause_s=0.0)
        start, total = placed(response, start)
        _compare_sizes(remote, total)
        total = remote.size_bytes if total is None else total
        self.check_space(remote.name, part.parent, None if total is None else total - start)
        save(note_of(part), _part_of(remote, response, total))
        done = self._write(response, remote, part, start, total, progress)
        if total is not None and done < total:
            why = f"the connection was closed at {done:,} of {total:,} bytes"
            raise CutError(why, answered=True)

    def _write(
        self,
        response: requests.Response,
        remote: Remote,
        part: Path,
        start: int,
        total: int | None,
        progress: Progress,
    ) -> int:
        """Append the body to the part from ``start`` on; the size the part has then."""
        meter = Meter(progress, f"downloading {remote.name}", total=total, clock=self._clock)
        done = start
        with _opened(part, start) as file:
            meter.at(done)
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                meter.at(done)
        return done


def forget(part: Path) -> None:
    """Remove a part and its note, if they are there."""
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)


def note_of(part: Path) -> Path:
    """Where it is written what the part is the beginning of."""
    return part.with_name(f"{part.name}.json")


def _forget_foreign_part(remote: Remote, part: Path) -> None:
    """Remove a part that is not the beginning of ``remote``, as far as can be told here."""
    known = load_part(note_of(part))
    if (
        known is None
        or (remote.tag is not None and known.tag != remote.tag)
        or (remote.tag is None and known.tag is None and known.size_bytes is None)
        or (remote.size_bytes is not None and _size(part) > remote.size_bytes)
    ):
        forget(part)


def _compare_sizes(remote: Remote, total: int | None) -> None:
    if remote.size_bytes is not None and total not in (None, remote.size_bytes):
        raise CorruptError(
            f"{remote.host} offers {remote.name} in another size than the expected one",
            evidence=(
                f"expected: {in_words(remote.size_bytes)}",
                f"offered:  {in_words(total or 0)}",
            ),
        )


def _part_of(remote: Remote, response: requests.Response, total: int | None) -> PartOf:
    if remote.tag is not None:
        return PartOf(tag=remote.tag, strong=True, size_bytes=total)
    return PartOf(tag=continue_tag(response), strong=False, size_bytes=total)


def _gave_up(remote: Remote, part: Path, cut: CutError) -> UnreachableError:
    kept = _size(part)
    text = (
        f"{remote.host} stopped answering during the download of {remote.name}"
        if kept or cut.answered
        else f"{remote.host} does not answer"
    )
    evidence = [f"{remote.host}: {cut}", *proxy_evidence(os.environ)]
    if kept:
        evidence.append(f"kept for the next time: {part}, {in_words(kept)}")
    return UnreachableError(text, evidence=tuple(evidence))


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _opened(part: Path, start: int) -> BinaryIO:
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    file.truncate(start)
    file.seek(start)
    return file
