"""Folders that are made here of a GGUF file: complete or not at all, and made once.

Such a folder lies in ``bf16-VERSION/PLACE OF THE FILE/NAME-bf16/``, which holds nothing else,
because the engine gets that folder; beside it ``manifest.json``. It is made in a folder of its own
and gets its name last, by one rename.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.model import Weights, WeightsSpec
from deployctl.outcomes import Progress
from deployctl.weights import manifest
from deployctl.weights.check import verify
from deployctl.weights.disk import make_folder, publish_folder, remove
from deployctl.weights.folders import compare_size, found_folder, open_to_all, open_up
from deployctl.weights.manifest import Entry, Manifest
from deployctl.weights.meter import Meter
from deployctl.weights.places import Places
from deployctl.weights.problems import CorruptError, MissingError, UnfitError
from deployctl.weights.records import load_verified
from deployctl.weights.transfer import Transfer

if TYPE_CHECKING:
    from deployctl.gguf.llama import Recipe

TENSORS = "model.safetensors"


class Converted:
    """Makes and checks such folders. ``clock`` counts seconds."""

    def __init__(self, places: Places, *, transfer: Transfer, clock: Callable[[], float]) -> None:
        self._places = places
        self._transfer = transfer
        self._clock = clock

    def locate(self, spec: WeightsSpec) -> Weights | None:
        """The folder, if it is whole and was made of the file that is wanted."""
        folder = self._places.path_of(spec.source)
        known = manifest.load(self._places.note_of(spec.source))
        if not known.holds(folder) or spec.size_bytes not in (None, known.tensor_bytes):
            return None
        if spec.sha256 is not None and spec.sha256.lower() != known.made_of:
            return None
        if not self._is_of_the_file(spec, known) or not open_to_all(folder, known.files):
            return None
        return found_folder(folder, known, "cached")

    def check_space(self, spec: WeightsSpec) -> None:
        """Raise ``NoSpaceError`` before anything is fetched, as far as the size is known."""
        folder = self._places.path_of(spec.source)
        self._transfer.check_space(spec.source.filename, folder.parent, spec.size_bytes)

    def make(self, spec: WeightsSpec, progress: Progress) -> Weights:
        """Make the folder of the file, which is here and checked; the caller holds the lock.

        Raises ``SourceError`` and ``OSError``; then, and when interrupted, nothing is left of it.
        """
        folder, note = self._places.path_of(spec.source), self._places.note_of(spec.source)
        file, sha256 = self._file(spec)
        if kept := self._recheck(spec, folder, note, progress, sha256):
            return found_folder(folder, kept, "cached")
        making = folder.with_name(f"{folder.name}.making")
        remove(making)  # of a process that was killed
        progress(f"reading {file.name}")
        with _damaged(spec, file):
            recipe = _recipe(file)
        size = self._room(spec, recipe, folder)
        make_folder(making)
        try:
            with _damaged(spec, file):
                files = self._write(file, recipe, making, progress, size)
            whole = Manifest(complete=True, made_of=sha256, files=files)
            manifest.save(note, whole)
            publish_folder(making, folder)
        finally:
            remove(making)
        return found_folder(folder, whole, "converted")

    def _file(self, spec: WeightsSpec) -> tuple[Path, str]:
        """The file and the checksum that it was found to have."""
        file = self._places.path_of(spec.source.fetched)
        known = load_verified(self._places.note_of(spec.source.fetched))
        if known is None:
            raise MissingError(f"{file} is a folder, and {spec.source.kind}: is made of one file")
        return file, known.sha256

    def _is_of_the_file(self, spec: WeightsSpec, known: Manifest) -> bool:
        """Whether the file is the one that the folder was made of, or is not here any more."""
        try:
            seen = self._places.path_of(spec.source.fetched).stat()
        except OSError:
            return True
        checked = load_verified(self._places.note_of(spec.source.fetched))
        return checked is not None and checked.matches(seen) and checked.sha256 == known.made_of

    def _room(self, spec: WeightsSpec, recipe: Recipe, folder: Path) -> int:
        from deployctl.weights.bf16 import size_bytes

        tensors = size_bytes(recipe)
        compare_size(spec, tensors, "The conversion")
        needed = tensors + sum(map(len, recipe.files.values()))
        self._transfer.check_space(spec.source.filename, folder.parent, needed)
        return tensors

    def _write(
        self, file: Path, recipe: Recipe, making: Path, progress: Progress, size: int
    ) -> dict[str, Entry]:
        from deployctl.weights.bf16 import write_tensors

        meter = Meter(progress, f"converting {file.name}", total=size, clock=self._clock)
        sums = {TENSORS: write_tensors(file, recipe, making / TENSORS, report=meter.at)}
        for name, content in recipe.files.items():
            (making / name).write_bytes(content)
            sums[name] = hashlib.sha256(content).hexdigest()
        return {name: _entry(making / name, sha256) for name, sha256 in sorted(sums.items())}

    def _recheck(
        self, spec: WeightsSpec, folder: Path, note: Path, progress: Progress, sha256: str
    ) -> Manifest | None:
        """The manifest with the times of today, when the folder is still the one of this file."""
        known = manifest.load(note)
        open_up(folder, known.files)
        if not known.complete or known.made_of != sha256:
            return None
        if manifest.names_in(folder) != tuple(sorted(known.files)):
            return None
        if spec.size_bytes not in (None, known.tensor_bytes):
            return None
        try:
            for name, entry in known.files.items():
                verify(
                    folder / name,
                    name=name,
                    sha256=entry.sha256,
                    size_bytes=entry.size_bytes,
                    progress=progress,
                    clock=self._clock,
                )
        except CorruptError:
            progress(f"{folder.name} is here but not whole any more; making it again")
            return None
        files = {name: _entry(folder / name, e.sha256) for name, e in known.files.items()}
        again = replace(known, files=files)
        manifest.save(note, again)
        return again


def _entry(path: Path, sha256: str) -> Entry:
    seen = path.stat()
    return Entry(size_bytes=seen.st_size, mtime_ns=seen.st_mtime_ns, sha256=sha256)


@contextmanager
def _damaged(spec: WeightsSpec, file: Path) -> Iterator[None]:
    """Say how to be rid of a file that was found whole and is not.

    To ask for it again alone would take the same one. The operator's own is left to him.
    """
    try:
        yield
    except CorruptError as problem:
        if spec.source.fetched.kind == "file":
            raise
        mend = f"rm {shlex.quote(str(file))}"
        raise CorruptError(str(problem), evidence=problem.evidence, mend=mend) from problem


def _recipe(file: Path) -> Recipe:
    from deployctl.gguf import llama
    from deployctl.gguf.reader import GgufError, Reader
    from deployctl.gguf.refusal import UnconvertibleError

    with file.open("rb") as stream:
        reader = Reader(stream, os.fstat(stream.fileno()).st_size, keep=llama.LISTS)
        try:
            reader.read()
            return llama.recipe(reader)
        except UnconvertibleError as problem:
            raise UnfitError(f"{file.name} cannot be converted: {problem}") from problem
        except GgufError as problem:
            raise CorruptError(f"{file.name} {problem}") from problem
