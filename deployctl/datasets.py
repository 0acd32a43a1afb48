"""Gets a dataset's bytes: of the sets that come with deployctl, of a file, or from the hub.

From the hub a file comes once, in the same way as model files do, into
``datasets/ORG/REPO/REV/FILE`` of the state folder, and lies there from then on.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.evals.nouns import Kind
from deployctl.model import Source
from deployctl.outcomes import Progress
from deployctl.sources import parse_source
from deployctl.visible import visible
from deployctl.weights import looks
from deployctl.weights.disk import make_folder, publish
from deployctl.weights.lock import only_one
from deployctl.weights.problems import (
    CorruptError,
    DeniedError,
    MissingError,
    OfflineError,
    SourceError,
)
from deployctl.weights.transfer import Transfer, forget

#: Which file of a repository is meant where none is named: so it is called in MATH-500.
DEFAULT_FILE = "test.jsonl"

#: No dataset of problems is larger, bytes.
_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset as it lies here. ``name``: as it is told; ``file``: where to look into it."""

    name: str
    file: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The checksum of all of it."""
        return hashlib.sha256(self.content).hexdigest()


class Datasets:
    """Datasets below ``root``; ``shipped`` holds those that came along.

    ``environment`` gives HF_ENDPOINT and HF_TOKEN, ``again`` is the command that hints repeat.
    """

    def __init__(
        self,
        root: Path,
        shipped: Path,
        *,
        environment: Mapping[str, str],
        again: str,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._root, self._shipped = root, shipped
        self._environment, self._again = environment, again
        self._clock, self._sleep = clock, sleep

    def get(self, kind: Kind, written: str | None, *, progress: Progress) -> Dataset:
        """Read what was asked for: ``None`` is the shipped set, ``hf:…`` the hub, else a file.

        ``dataset-invalid`` where it cannot be read, ``dataset-unavailable`` from the hub.
        """
        if written is None:
            path = self._shipped / f"{kind}.jsonl"
            return _read(path, name="deployctl's own set")
        if not written.startswith("hf:"):
            return _read(Path(written), name=visible(written))
        return _read(self._fetched(_source(written), progress), name=visible(written))

    def _fetched(self, source: Source, progress: Progress) -> Path:
        """Where the file of the hub lies, fetched if it is not here yet."""
        revision = source.revision.replace("/", "%2F")
        target = self._root.joinpath(*source.repo.split("/"), revision, *source.path.split("/"))
        if target.is_file():
            return target
        try:
            make_folder(target.parent)
            with only_one(target, progress=progress, sleep=self._sleep):
                if not target.is_file():
                    self._fetch(source, target, progress)
        except SourceError as problem:
            raise self._unavailable(source, problem) from problem
        except OSError as problem:
            raise DeployctlError(
                f"The dataset cannot be kept: {problem.strerror or problem}.",
                code="workspace-unwritable",
                where=str(self._root),
                hint=f"ls -ld {shlex.quote(str(self._root.parent))}; df -h "
                f"{shlex.quote(str(self._root.parent))}",
            ) from problem
        return target

    def _fetch(self, source: Source, target: Path, progress: Progress) -> None:
        from deployctl.weights.hub import DATASETS

        hub = looks.Hub(self._environment, clock=self._clock, sleep=self._sleep)
        progress(f"looking for {source.filename} at {hub.host}")
        file = hub.file(replace(source, repo=f"{DATASETS}{source.repo}"))
        part = target.with_name(f"{target.name}.part")
        Transfer(clock=self._clock, sleep=self._sleep).download(
            file.remote, part, progress=progress
        )
        if file.sha256 not in (None, hashlib.sha256(part.read_bytes()).hexdigest()):
            forget(part)
            raise CorruptError(f"{source.filename} has another checksum than the hub says")
        publish(part, target)
        forget(part)

    def _unavailable(self, source: Source, problem: SourceError) -> DeployctlError:
        own = f"or bring the file: {_with(self._again, f'/path/to/{source.filename}')}"
        if isinstance(problem, MissingError):
            other = _with(self._again, f"hf:{source.repo}:FILE.jsonl")
            hint = f"{other}  # with the file's own name there"
        elif isinstance(problem, DeniedError):
            hint = f"HF_TOKEN=hf_… {self._again}  # {own}"
        elif isinstance(problem, OfflineError):
            hint = f"HF_HUB_OFFLINE=0 {self._again}  # {own}"
        else:
            hint = f"HF_ENDPOINT=https://MIRROR {self._again}  # {own}"
        return DeployctlError(
            f"The dataset cannot be had: {_lower(str(problem))}.",
            code="dataset-unavailable",
            where=source.text,
            hint=hint,
            details=problem.evidence,
        )


def _lower(text: str) -> str:
    """The sentence as the second half of another one; names keep their capitals."""
    return text[0].lower() + text[1:] if text.startswith(("The ", "A ")) else text


def _source(written: str) -> Source:
    try:
        source = parse_source(written)
    except DeployctlError as problem:
        fault = problem.faults[0]
        raise DeployctlError(
            fault.message.replace("The model source", "The dataset", 1),
            code="dataset-invalid",
            where="--dataset",
            hint="--dataset hf:ORG/REPO  # or hf:ORG/REPO@REVISION:FILE.jsonl",
        ) from None
    return replace(source, path=source.path or DEFAULT_FILE)


def _with(again: str, dataset: str) -> str:
    """The same command with another dataset."""
    words = shlex.split(again)
    for at, word in enumerate(words):
        if word.startswith("--dataset="):
            words[at] = f"--dataset={dataset}"
        elif word == "--dataset" and at + 1 < len(words):
            words[at + 1] = dataset
    return shlex.join(words)


def _read(path: Path, *, name: str) -> Dataset:
    file = visible(str(path))
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        why = f"it is larger than {_LARGEST >> 20} MiB" if len(content) > _LARGEST else ""
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        content, why = b"", getattr(problem, "strerror", None) or "that is no file name"
    if why:
        raise DeployctlError(
            f"The dataset cannot be read: {why}.",
            code="dataset-invalid",
            where=file,
            hint=f"ls -l {shlex.quote(visible(str(path.parent)))}",
        )
    return Dataset(name=name, file=file, content=content)
