"""Looks into a model before it is downloaded, or without: what its own file says of it. Edge.

Of a GGUF file only the beginning is read, of a repository the list of files and its small JSON
files. Writes nothing and runs nothing: a model's files are data, also its chat template.
"""

from __future__ import annotations

import io
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deployctl import gguf
from deployctl.errors import DeployctlError
from deployctl.model import Source, WeightsSpec
from deployctl.modelfacts import Said, UnreadableError, said_by_folder, said_by_header, spdx
from deployctl.sizing import weights_bytes
from deployctl.sources import parse_source
from deployctl.weights import WeightsStore, faults, manifest
from deployctl.weights.contents import CONFIG, check_complete, is_tensors, wanted
from deployctl.weights.problems import (
    DeniedError,
    MissingError,
    SourceError,
    UnfitError,
    UnreachableError,
)

if TYPE_CHECKING:
    from deployctl.weights.hub import HubFile
    from deployctl.weights.web import Remote

#: How much of a GGUF file is read, one step after the other: the shape stands in the first MiB,
#: the chat template behind the vocabulary.
_STEPS_BYTES = (1 << 20, 4 << 20, 12 << 20, 32 << 20)
#: No JSON file that is read here is larger; the one that is, the tokenizer's, is not read.
_LONGEST_JSON = 16 << 20
#: A file of several that make one model: it holds a part of the tensors only.
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


#: What a header says, with the name and the size in bytes of the file that it stands in.
Say = Callable[[gguf.GgufHeader, str, int], Said]


class ModelInspector:
    """Reads what a model says of itself. ``store`` knows which models are here already.

    ``environment`` gives HF_ENDPOINT, HF_TOKEN and proxies.
    """

    def __init__(self, store: WeightsStore, environment: Mapping[str, str]) -> None:
        self._store = store
        self._environment = environment

    def __call__(self, source_text: str) -> Said | None:
        """Keys of the profile's ``model``; ``None`` where the model cannot be read now.

        Raises ``DeployctlError`` only for what is wrong for sure: ``model-unreadable``,
        ``weights-not-found``, ``weights-corrupt``.
        """
        try:
            source = parse_source(source_text)
        except DeployctlError:
            return None  # refused where it is written, with its place
        own = source.fetched
        if own.kind == "file" and not self._store.path_of(own).exists():
            return None
        try:
            return self._read(source)
        except (UnreachableError, DeniedError):
            return None
        except (SourceError, UnreadableError, OSError) as problem:
            raise self._fault(problem, source) from problem

    def strict(self, source_text: str, *, need: bool = False) -> Said | None:
        """The same where nothing else is known of the model; ``None`` for an unfetched wheel only.

        ``need``: how much memory it needs must follow from it. Raises ``DeployctlError``: also
        ``source-invalid``, ``weights-unreachable``, ``weights-denied``.
        """
        try:
            source = parse_source(source_text)
        except DeployctlError as problem:
            raise self._meant(problem, source_text) from problem
        try:
            said = self._read(source)
        except (SourceError, UnreadableError, OSError) as problem:
            raise self._fault(problem, source) from problem
        if need and said is not None and "shape" not in said:
            raise self._of_no_known_family(source)
        return said

    def _meant(self, problem: DeployctlError, text: str) -> DeployctlError:
        """The same with a whole command line as hint, where it can be told what was meant."""
        (fault,) = problem.faults
        path = Path(text.removeprefix("file:")).expanduser()
        said = re.fullmatch(r"Did you mean `([^`]+)`\?", fault.hint)
        meant = said[1].replace("$PWD", str(Path.cwd())) if said else ""
        if path.exists():
            meant = f"file:{path.absolute()}"
        again = faults.with_source(self._store.again, meant)
        return DeployctlError.of((replace(fault, hint=again),)) if meant else problem

    # ── where to look ─────────────────────────────────────────────────────────────────────────

    def _read(self, source: Source, say: Say = said_by_header) -> Said | None:
        if source.inner is not None:
            return self._converted(source, source.inner)
        here = self._store.path_of(source)
        if source.kind == "file" and here.is_dir():
            return _folder_here(source, here, manifest.names_in(here))
        if not source.path:
            return self._repository(source, here)
        if _SHARD.search(source.filename):
            raise UnreadableError(
                f"{source.filename} is one of several files of a model; join them"
            )
        if source.kind == "file" or here.is_file():
            return _file_here(source, here, say)
        return None if source.kind == "wheel" else self._file_there(source, say)

    def _converted(self, source: Source, inner: Source) -> Said | None:
        """What the folder is or will be: the header of its file knows, where that can be read."""
        made = self._store.locate(WeightsSpec(source=source))
        if made is not None and not self._store.path_of(inner).exists():
            return _folder_here(source, made.path, manifest.names_in(made.path))
        said = self._read(inner, _said_in_16_bits)
        if said is not None and made is not None:
            said.pop("size_about", None)
            said["size"] = f"{made.size_bytes}B"
        return said

    def _file_there(self, source: Source, say: Say) -> Said:
        from deployctl.weights.web import Remote

        if source.kind == "https":
            return self._head_of(Remote(url=source.path, name=source.filename), say)
        said = self._head_of(self._store.hub.file(source).remote, say)
        try:
            there = self._store.hub.repository(replace(source, path=""))
        except SourceError:  # a mirror may give files and know nothing of repositories
            return said
        license_ = spdx(there.license) if said["license"] == "unknown" else said["license"]
        return {**said, "license": license_, "gated": there.gated}

    def _head_of(self, remote: Remote, say: Say) -> Said:
        """What the header says, from as little of the file as is needed."""
        begun = b""
        for step in _STEPS_BYTES:
            more, total = self._bytes_of(remote, step - len(begun), start=len(begun))
            begun += more
            size = remote.size_bytes if total is None else total
            if size is None:
                raise UnreadableError(f"{remote.host} does not say how large {remote.name} is")
            header = _header(io.BytesIO(begun), size, remote.name)
            if header.complete or len(begun) < step or step == _STEPS_BYTES[-1]:
                return say(header, remote.name, size)
        raise AssertionError("the last step returns")

    def _repository(self, source: Source, here: Path) -> Said:
        if self._store.locate(WeightsSpec(source=source)) is not None:
            known = manifest.load(self._store.note_of(source))
            said = _folder_here(source, here, tuple(known.files))
            return {**said, "license": spdx(known.license), "gated": known.gated}
        there = self._store.hub.repository(source)
        files = {file.remote.name: file for file in there.files}
        check_complete(files, f"{source.repo}@{source.revision}", repository=source.text)
        pinned = replace(source, revision=there.commit)
        self._store.hub.file(replace(pinned, path=CONFIG))  # refused here where it is gated
        names = [name for name in wanted(files) if is_tensors(name)]
        size = sum(self._size_of(files[name], pinned) for name in names)

        def read(name: str) -> bytes | None:
            return self._bytes_of(files[name].remote, _LONGEST_JSON)[0] if name in files else None

        said = said_by_folder(read, source.filename, size)
        return {**said, "license": spdx(there.license), "gated": there.gated}

    def _size_of(self, file: HubFile, pinned: Source) -> int:
        size = file.remote.size_bytes
        if size is None:
            size = self._store.hub.file(replace(pinned, path=file.remote.name)).remote.size_bytes
        return size or 0

    def _bytes_of(self, remote: Remote, count: int, *, start: int = 0) -> tuple[bytes, int | None]:
        from deployctl.weights.web import first_bytes

        return first_bytes(remote, count, environment=self._environment, start=start)

    def _fault(self, problem: Exception, source: Source) -> DeployctlError:
        again = self._store.again  # a command line, which may name the model already
        if isinstance(problem, SourceError):
            return faults.fault(problem, WeightsSpec(source=source), again=again)
        hint = (
            f"Name another one: `{_with_model(again)}`; or write a profile "
            "that describes it (`model.size`, `model.shape`)."
        )
        if isinstance(problem.__cause__, gguf.NoGgufError):  # no profile makes a model of a page
            hint = f"Get the file again, or name another one: `{_with_model(again)}`."
            if source.fetched.kind == "file":
                path = shlex.quote(source.fetched.path)
                hint = f"`head -c 200 {path}` shows what it is. {hint}"
        return DeployctlError(
            f"The model {source.fetched.filename} cannot be understood: {problem}.",
            code="model-unreadable",
            hint=hint,
            where=str(source),
        )

    def _of_no_known_family(self, source: Source) -> DeployctlError:
        """A model that was read, and whose dimensions stand nowhere that is known here."""
        family = self._family(source)
        called = f"of the family {family!r}, which is" if family else "of a family that is"
        return DeployctlError(
            f"How much memory {source.filename} needs is not known: it is {called} not known here, "
            "or is no plain decoder, and its dimensions cannot be read.",
            code="model-unreadable",
            hint=f"{self._store.again} --set engine.memory=4GiB  # as much as it may take; the "
            "engine's image must know this family",
            where=str(source),
        )

    def _family(self, source: Source) -> str | None:
        """What a GGUF file that is here calls its architecture."""
        path = self._store.path_of(source)
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return _header(stream, path.stat().st_size, path.name).architecture


def _with_model(again: str) -> str:
    """The command line with another model than the one that it names, if it names one."""
    kept: list[str] = []
    for word in shlex.split(again):
        option = kept[-1] if kept else ""
        if option == "--model" or (option == "--set" and word.startswith("model.source=")):
            kept.pop()
        elif not word.startswith("--model="):
            kept.append(word)
    return f"{shlex.join(kept)} --model hf:ORG/REPO:FILE.gguf"


def _check_regular(path: Path) -> None:
    """Refuse what is no file before it is opened: a pipe would wait for its writer forever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise MissingError(f"{path} is not a regular file, and a model is one")


def _file_here(source: Source, path: Path, say: Say) -> Said:
    try:
        _check_regular(path)
        with path.open("rb") as stream:
            size = path.stat().st_size
            return say(_header(stream, size, path.name), path.name, size)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"There is no file {source.path}") from None
    except PermissionError as problem:
        raise DeniedError(f"{path} cannot be read: {problem.strerror}") from problem


def _folder_here(source: Source, folder: Path, names: tuple[str, ...]) -> Said:
    check_complete(names or (path.name for path in folder.iterdir()), str(folder))

    def read(name: str) -> bytes | None:
        if name not in names:
            return None
        _check_regular(folder / name)
        with (folder / name).open("rb") as stream:
            return stream.read(_LONGEST_JSON)

    size = sum((folder / name).stat().st_size for name in names if is_tensors(name))
    return said_by_folder(read, source.filename, size)


def _said_in_16_bits(header: gguf.GgufHeader, name: str, size_bytes: int) -> Said:
    """The same of the folder that is made of the file; how large it will be follows from it."""
    if header.unconvertible is not None:
        raise UnfitError(f"{name} cannot be converted: {header.unconvertible}")
    said = {**said_by_header(header, name, size_bytes), "format": "bf16"}
    said["name"] = f"{said['name']} BF16"
    del said["size"]
    if header.shape is not None:
        said["size_about"] = f"{weights_bytes(header.shape, 'bf16')}B"
    return said


def _header(stream: BinaryIO, size_bytes: int, name: str) -> gguf.GgufHeader:
    try:
        header = gguf.read_header(stream, size_bytes)
    except gguf.GgufError as problem:
        raise UnreadableError(f"{name} {problem}") from problem
    return header
