"""Whole repositories and the operator's own folders: every file of a model, complete or not at all.

A repository lies in ``hf-whole/ORG/REPO/REV/REPO/``, which holds nothing else, because the engine
gets that folder. Beside it: ``manifest.json``, and ``parts/`` while a download is unfinished.
All files are of one commit: the one that the revision meant when the download began.
"""

from __future__ import annotations

import shlex
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deployctl.model import Source, Weights, WeightsSpec
from deployctl.outcomes import Progress
from deployctl.weights import manifest
from deployctl.weights.check import readable_by_all, readable_folder, verify
from deployctl.weights.contents import check_complete, check_shards, is_tensors, wanted
from deployctl.weights.disk import make_folder, publish
from deployctl.weights.looks import Hub
from deployctl.weights.manifest import Entry, Manifest
from deployctl.weights.problems import CorruptError, MissingError, OtherSizeError
from deployctl.weights.transfer import Transfer, forget

if TYPE_CHECKING:
    from deployctl.weights.hub import HubFile, HubRepository


class Folders:
    """Fetches and checks folders. ``clock`` counts seconds."""

    def __init__(
        self,
        *,
        transfer: Transfer,
        hub: Hub,
        clock: Callable[[], float],
    ) -> None:
        self._transfer = transfer
        self._hub = hub
        self._clock = clock

    def locate(self, spec: WeightsSpec, folder: Path, note: Path) -> Weights | None:
        """The folder, if its manifest says that it is whole and nothing in it changed."""
        known = manifest.load(note)
        if not known.holds(folder) or spec.size_bytes not in (None, known.tensor_bytes):
            return None
        if not open_to_all(folder, known.files):
            return None
        return found_folder(folder, known, "local" if spec.source.kind == "file" else "cached")

    def own(self, spec: WeightsSpec, folder: Path, note: Path, progress: Progress) -> Weights:
        """Check the operator's own folder, where it lies. Raises ``SourceError``, ``OSError``."""
        readable_folder(folder)
        names = manifest.names_in(folder)
        check_complete((path.name for path in folder.iterdir()), str(folder))
        for name in names:
            readable_by_all(folder / name)
            _inside(folder, name)
        known = manifest.load(note)
        kept = {name: e for name, e in known.files.items() if e.matches(folder / name)}
        files = {
            name: kept.get(name) or self._check(folder / name, name, None, None, progress)
            for name in names
        }
        check_shards(folder, names)
        whole = Manifest(complete=True, files=files)
        compare_size(spec, whole.tensor_bytes, str(folder))
        manifest.save(note, whole)
        return found_folder(folder, whole, "local")

    def fetch(self, spec: WeightsSpec, folder: Path, note: Path, progress: Progress) -> Weights:
        """Make ``folder`` the repository's; the caller holds its lock.

        Raises ``SourceError`` and ``OSError``; what came so far stays for the next time.
        """
        known = manifest.load(note)
        open_up(folder, known.files)
        if known.complete and (again := self._recheck(folder, known, progress)):
            manifest.save(note, again)
            if found := self.locate(spec, folder, note):
                return found
        there = self._hub.repository(spec.source)
        files = self._wanted(spec, there)
        parts = note.with_name("parts")
        kept = self._kept(folder, files, known, progress)
        missing = [file for file in files if file.remote.name not in kept]
        needed = sum(_left(file, parts) for file in missing)
        self._transfer.check_space(spec.source.filename, folder.parent, needed)
        make_folder(parts)
        have = Manifest(
            commit=there.commit, license=there.license or "", gated=there.gated, files=kept
        )
        manifest.save(note, have)
        counted = _Counted(progress, total=sum(f.remote.size_bytes or 0 for f in files))
        counted.done = sum(entry.size_bytes for entry in kept.values())
        for file in missing:
            entry = self._bring(file, parts, folder, counted)
            have = replace(have, files={**have.files, file.remote.name: entry})
            manifest.save(note, have)
        self._finish(folder, have, parts, note)
        return found_folder(folder, manifest.load(note), "downloaded")

    def _wanted(self, spec: WeightsSpec, there: HubRepository) -> list[HubFile]:
        """The files to have, each with its size and its content's name, after one was asked for.

        A gated repository gives its list of files to everybody and the files to few, so that one
        question comes before anything is downloaded.
        """
        source = spec.source
        by_name = {file.remote.name: file for file in there.files}
        names = wanted(by_name)
        listing = f"hf:{source.repo}" + ("" if source.revision == "main" else f"@{source.revision}")
        check_complete(by_name, f"{source.repo}@{source.revision}", repository=listing)
        files = [by_name[name] for name in names]
        pinned = replace(source, revision=there.commit)
        asked = next(name for name in names if is_tensors(name))
        return self._with_sizes(spec, files, pinned, asked)

    def _with_sizes(
        self, spec: WeightsSpec, files: list[HubFile], pinned: Source, asked: str
    ) -> list[HubFile]:
        complete = [
            self._hub.file(replace(pinned, path=file.remote.name))
            if file.remote.name == asked or file.remote.size_bytes is None
            else file
            for file in files
        ]
        sizes = [file.remote.size_bytes for file in complete if is_tensors(file.remote.name)]
        if None not in sizes:
            compare_size(spec, sum(size or 0 for size in sizes), complete[0].remote.host)
        return complete

    def _recheck(self, folder: Path, known: Manifest, progress: Progress) -> Manifest | None:
        """The manifest with the times of today, when every file is still the same content."""
        try:
            files = {
                name: entry
                if entry.matches(folder / name)
                else replace(
                    self._check(folder / name, name, entry.sha256, entry.size_bytes, progress),
                    tag=entry.tag,
                )
                for name, entry in known.files.items()
            }
        except (CorruptError, FileNotFoundError):
            progress(f"{folder.name} is here but not whole any more; fetching what is missing")
            return None
        return replace(known, files=files)

    def _kept(
        self, folder: Path, files: Iterable[HubFile], known: Manifest, progress: Progress
    ) -> dict[str, Entry]:
        """Those of the files that are here already, of the very content that is wanted."""
        kept = {}
        for file in files:
            name, tag = file.remote.name, file.remote.tag
            path, entry = folder / name, known.files.get(name)
            if entry is not None and (tag is None or entry.tag != tag):
                entry = None
            sha256 = file.sha256 or (entry.sha256 if entry else None)
            if entry is not None and entry.matches(path):
                kept[name] = entry
            elif sha256 is not None and path.is_file():
                try:
                    found = self._check(path, name, sha256, file.remote.size_bytes, progress)
                except CorruptError:
                    continue
                kept[name] = replace(found, tag=tag)
        return kept

    def _bring(self, file: HubFile, parts: Path, folder: Path, counted: _Counted) -> Entry:
        name = file.remote.name
        part = parts / f"{name}.part"
        self._transfer.download(file.remote, part, progress=counted)
        part.touch()  # of an empty file nothing is downloaded
        try:
            found = self._check(part, name, file.sha256, file.remote.size_bytes, counted.progress)
        except CorruptError as problem:
            aside = parts / f"{name}.corrupt"
            part.replace(aside)
            forget(part)
            kept = (f"kept for inspection: {aside}",)
            raise CorruptError(str(problem), evidence=(*problem.evidence, *kept)) from problem
        publish(part, folder / name)
        forget(part)
        counted.done += found.size_bytes
        return replace(found, tag=file.remote.tag)

    def _finish(self, folder: Path, have: Manifest, parts: Path, note: Path) -> None:
        for stranger in set(manifest.names_in(folder)) - set(have.files):
            (folder / stranger).unlink()  # of an earlier commit: the engine would read it too
        check_shards(folder, have.files)
        manifest.save(note, replace(have, complete=True))
        shutil.rmtree(parts, ignore_errors=True)

    def _check(
        self,
        path: Path,
        name: str,
        sha256: str | None,
        size_bytes: int | None,
        progress: Progress,
    ) -> Entry:
        found = verify(
            path,
            name=name,
            sha256=sha256,
            size_bytes=size_bytes,
            progress=progress,
            clock=self._clock,
        )
        seen = path.stat()
        return Entry(size_bytes=seen.st_size, mtime_ns=seen.st_mtime_ns, sha256=found)


class _Counted:
    """Shows the bytes of one file as part of all of them."""

    def __init__(self, progress: Progress, *, total: int) -> None:
        self.progress = progress
        self.done = 0
        self._total = total

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        del total  # of this file only
        self.progress(text, done=None if done is None else self.done + done, total=self._total)


def open_to_all(folder: Path, names: Iterable[str]) -> bool:
    """Whether everybody may read the files: the engine runs as a user of its own."""
    looked_into = stat.S_IROTH | stat.S_IXOTH
    return folder.stat().st_mode & looked_into == looked_into and all(
        (folder / name).stat().st_mode & stat.S_IROTH for name in names
    )


def open_up(folder: Path, names: Iterable[str]) -> None:
    """Let everybody read what is ours and already here; somebody may have closed it."""
    if folder.is_dir():
        folder.chmod(folder.stat().st_mode | 0o555)
    for path in (folder / name for name in names):
        if path.is_file():
            path.chmod(path.stat().st_mode | 0o444)


def _left(file: HubFile, parts: Path) -> int:
    """Bytes of the file that are still to come."""
    part = parts / f"{file.remote.name}.part"
    here = part.stat().st_size if part.is_file() else 0
    return max(0, (file.remote.size_bytes or 0) - here)


def compare_size(spec: WeightsSpec, size_bytes: int, place: str) -> None:
    """Refuse another model than the one that the profile describes."""
    if spec.sha256 is not None and spec.source.inner is None:
        raise CorruptError(
            f"{spec.source} is a folder, and a folder has no checksum that could be compared",
            evidence=("a commit pins it: hf:ORG/REPO@COMMIT",),
        )
    if spec.size_bytes not in (None, size_bytes):
        raise OtherSizeError(
            f"{place} has {spec.source.filename} in another size than the profile says",
            evidence=(f"expected: {spec.size_bytes:,} bytes", f"found:    {size_bytes:,} bytes"),
            found=size_bytes,
        )


def _inside(folder: Path, name: str) -> None:
    """Refuse a link that leads out of the folder: the container gets the folder only."""
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise MissingError(
            f"{name} in {folder} is a link to a file outside of it, and the engine gets only the "
            "folder",
            evidence=(f"{name} -> {target}",),
            mend=f"cp -rL {shlex.quote(str(folder))} /path/to/copy",
            instead="file:/path/to/copy",
        )


def found_folder(
    folder: Path,
    known: Manifest,
    how: Literal["cached", "downloaded", "local", "converted"],
) -> Weights:
    """Describe a folder that is here and whole."""
    return Weights(path=folder, size_bytes=known.tensor_bytes, how=how, identity=known.identity())
