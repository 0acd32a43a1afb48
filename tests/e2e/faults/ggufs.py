"""Model files that are not what they should be, made of a whole one."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

_KEY = b"general.architecture"

#: The type of a text in a GGUF header.
_TEXT = 8


def whole(model: Path, folder: Path) -> Path:
    """A copy that everybody may read."""
    copy = folder / "own.gguf"
    shutil.copyfile(model, copy)
    copy.chmod(0o644)
    return copy


def cut_short(model: Path, folder: Path) -> Path:
    """A download that ended half-way."""
    path = folder / "cut.gguf"
    with model.open("rb") as whole_file:
        path.write_bytes(whole_file.read(model.stat().st_size // 2))
    return path


def page(folder: Path) -> Path:
    """What is saved when a sign-in page comes instead of the file."""
    path = folder / "page.gguf"
    path.write_text("<!doctype html><html><body>Please sign in</body></html>\n", encoding="utf-8")
    return path


def of_architecture(name: str, model: Path, folder: Path) -> Path:
    """The same model, said to be of an architecture with another name of the same length."""
    data = model.read_bytes()
    start = data.index(_KEY) + len(_KEY)
    kind, length = struct.unpack_from("<IQ", data, start)
    assert (kind, length) == (_TEXT, len(name))
    place = start + 12
    path = folder / f"{name}.gguf"
    path.write_bytes(data[:place] + name.encode() + data[place + length :])
    return path
