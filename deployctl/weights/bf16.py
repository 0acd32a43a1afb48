"""The tensors of a GGUF file as one safetensors file in 16 bits. Edge: reads one file, writes one.

The package gguf undoes the quantization, numpy rounds, both step by step and without a choice of
their own (no sums, no fused operations), so that the same file gives the same bytes on every
machine. A piece of a tensor is in memory at a time, some megabytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deployctl.gguf.llama import Piece, Recipe
from deployctl.weights.problems import CorruptError, UnfitError
from deployctl.weights.safetensors import beginning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Numbers of a tensor that are worked on at a time: 4 MiB as 32-bit floats, several times over.
_AT_A_TIME = 1 << 20


def size_bytes(recipe: Recipe) -> int:
    """How large the file of tensors becomes."""
    return len(_beginning(recipe)) + sum(2 * piece.values for piece in recipe.pieces)


def write_tensors(
    gguf_file: Path, recipe: Recipe, target: Path, *, report: Callable[[int], None]
) -> str:
    """Write ``target`` and return its sha256; ``report`` gets the bytes written so far.

    Raises ``CorruptError`` when the file ends early or holds what is no number, ``OSError``.
    """
    digest, done = hashlib.sha256(), 0
    with gguf_file.open("rb") as source, target.open("wb") as written:
        for chunk in _chunks(source, recipe, gguf_file.name):
            written.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            report(done)
    return digest.hexdigest()


def _beginning(recipe: Recipe) -> bytes:
    return beginning((piece.name, piece.shape) for piece in recipe.pieces)


def _chunks(source: BinaryIO, recipe: Recipe, name: str) -> Iterator[bytes]:
    yield _beginning(recipe)
    for piece in recipe.pieces:
        source.seek(recipe.data_start + piece.made_of.offset)
        for rows in _steps(piece):
            values = _values(source, piece, rows, name)
            yield _rounded(values, piece, name).tobytes()


def _steps(piece: Piece) -> Iterator[int]:
    """Numbers of rows that are worked on together: whole heads where their rows are sorted."""
    total = piece.values // piece.shape[-1]
    unit = piece.head_rows or 1
    step = max(1, _AT_A_TIME // (piece.shape[-1] * unit)) * unit
    while total > 0:
        yield min(step, total)
        total -= step


def _values(source: BinaryIO, piece: Piece, rows: int, name: str) -> NDArray[np.float32]:
    """The next so many rows as 32-bit floats, in the order in which the folder has them."""
    import numpy as np
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    tensor = piece.made_of
    assert tensor.kind is not None
    assert tensor.bytes is not None
    count = tensor.bytes * rows * piece.shape[-1] // piece.values
    raw = source.read(count)
    if len(raw) != count:
        raise CorruptError(f"{name} is cut off: it ends inside {tensor.name}")
    stored = np.frombuffer(raw, dtype=np.uint8).reshape(rows, -1)
    found = dequantize(stored, GGMLQuantizationType[tensor.kind.upper()])
    values = np.ascontiguousarray(found, dtype=np.float32).reshape(rows, piece.shape[-1])
    if not piece.head_rows:
        return values
    pairs = values.reshape(-1, piece.head_rows // 2, 2, piece.shape[-1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, piece.shape[-1])


def _rounded(values: NDArray[np.float32], piece: Piece, name: str) -> NDArray[np.uint16]:
    """To the nearest number of 16 bits, of two equally near ones to the even one."""
    import numpy as np

    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    beyond = (rounded & 0x7F80) == 0x7F80  # rounded up to infinity
    if not np.isfinite(values).all() or beyond.any():
        raise UnfitError(
            f"{name} cannot be converted: its {piece.made_of.name} holds what is no number of 16 "
            "bits"
        )
    return rounded
