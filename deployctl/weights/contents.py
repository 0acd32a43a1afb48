"""Which files make the folder of a model, and whether none of them is missing.

What vLLM reads of a repository: the configuration, the tokenizer, the chat template and the
tensors as safetensors. The same tensors often lie there in other formats too; those stay behind.
Code (``*.py``) stays behind as well: nothing that comes with a model is ever run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from deployctl.weights.problems import CorruptError, MissingError

CONFIG = "config.json"
_TENSORS = ".safetensors"
_INDEX = ".safetensors.index.json"
_SUFFIXES = (_TENSORS, ".json", ".jinja", ".txt", ".model", ".tiktoken")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .+-]*")
_MAGIC = b"GGUF"
#: Text that no program reads.
_PROSE = re.compile(r"(?i)(licen[sc]e|notice|readme|use_policy|requirements).*\.txt")


def wanted(names: Iterable[str]) -> tuple[str, ...]:
    """Those of a repository's files that belong into the folder of a model, in order."""
    all_names = set(names)
    twice = any(is_tensors(name) and not _is_duplicate(name) for name in all_names)
    return tuple(
        sorted(
            name
            for name in all_names
            if _PLAIN_NAME.fullmatch(name)
            and name.endswith(_SUFFIXES)
            and not name.endswith(".bin.index.json")
            and not _PROSE.fullmatch(name)
            and not (twice and _is_duplicate(name))
        )
    )


def is_tensors(name: str) -> bool:
    """Whether the file holds tensors; their sum is what is called the size of such a model."""
    return name.endswith(_TENSORS)


def _is_duplicate(name: str) -> bool:
    """Some repositories hold every tensor once more under this name, for their authors' tools."""
    return name.startswith("consolidated") and is_tensors(name)


def check_complete(names: Iterable[str], place: str, *, repository: str = "") -> None:
    """Raise ``MissingError`` when these files are not a model; ``place`` is where they lie.

    ``repository`` (``hf:ORG/REPO[@REV]``): where the files are on the hub.
    """
    all_names = sorted(names)
    lacks = [] if CONFIG in all_names else [CONFIG]
    lacks += [] if any(map(is_tensors, all_names)) else ["*.safetensors"]
    if not lacks:
        return
    ggufs = [name for name in all_names if name.lower().endswith(".gguf")]
    raise MissingError(
        f"{place} has no {' and no '.join(lacks)}, so it is not the folder of a model",
        evidence=tuple(f"it has: {name}" for name in (ggufs or all_names)[:8]),
        instead=_instead(place, ggufs, repository),
    )


def _instead(place: str, ggufs: list[str], repository: str) -> str:
    """The file that was probably meant; of those that are here, the largest that is a model."""
    if repository:
        return f"{repository}:{ggufs[0]}" if ggufs else ""
    sizes = {name: _size_of_model(Path(place) / name) for name in ggufs}
    best = max(ggufs, key=lambda name: sizes[name], default="")
    return f"file:{place}/{best}" if best and sizes[best] else ""


def _size_of_model(path: Path) -> int:
    """Bytes of a file that begins as GGUF files do; 0 for every other."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return 0
        with path.open("rb") as stream:
            return path.stat().st_size if stream.read(len(_MAGIC)) == _MAGIC else 0
    except OSError:
        return 0


def check_shards(folder: Path, names: Iterable[str]) -> None:
    """Raise ``CorruptError`` when the index names a file of tensors that is not there."""
    here = set(names)
    for name in sorted(here):
        if not name.endswith(_INDEX):
            continue
        try:
            index = json.loads((folder / name).read_text(encoding="utf-8"))
            shards = {str(shard) for shard in index["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise CorruptError(f"{name} cannot be read", evidence=(repr(problem),)) from problem
        if missing := sorted(shards - here):
            raise CorruptError(
                f"{folder.name} lacks {missing[0]}, which its {name} names",
                evidence=tuple(f"missing: {shard}" for shard in missing[:8]),
            )
