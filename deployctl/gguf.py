"""Whether a stream is a whole GGUF file, told from the file alone. Reads the stream it is given.

The header of a GGUF file names every tensor, its shape, its type and its offset, so a file that
was cut off anywhere can be recognised without a checksum. A checksum is not always there: a file
carried on a disk, a server without one. The engine would only say so after the stack was started.
Format: magic ``GGUF``, version, counts, key/value pairs, tensor table, padding, tensor data.
"""

from __future__ import annotations

import io
import math
import struct
from typing import BinaryIO

MAGIC = b"GGUF"

#: Sizes in bytes of the fixed-width value types, by their number in the file.
_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4

#: Tensor type number → (values per block, bytes per block). A type that is not here (they are
#: added every few months) counts as one byte per tensor: then only its offset is checked.
# fmt: off  # a table, to be read in rows
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
}
# fmt: on

_DEFAULT_ALIGNMENT = 32
_MOST_DIMENSIONS = 8


def problem_with(stream: BinaryIO, size_bytes: int) -> str | None:
    """What is wrong with a GGUF file of this size, as the end of a sentence; ``None`` if whole.

    Takes about 0.2 s for a vocabulary of 150 000 words: do it once per file. Raises ``OSError``
    only when reading fails.
    """
    try:
        needed = _Header(stream, size_bytes).bytes_needed()
    except _NotGgufError as problem:
        return str(problem)
    if needed > size_bytes:
        return (
            f"is cut off: its own header asks for {needed:,} bytes, "
            f"{needed - size_bytes:,} more than there are"
        )
    return None


class _NotGgufError(Exception):
    """The header cannot be read; the text completes a sentence that begins with the file."""


class _Header:
    """One pass over the header. Every length is checked against the file before it is used."""

    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self._stream = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        self._left = size_bytes
        self._size = size_bytes

    def bytes_needed(self) -> int:
        """The smallest size the file must have to hold every tensor it names."""
        if not self._size:
            raise _NotGgufError("is empty")
        magic = self._take(min(4, self._left))
        if magic != MAGIC:
            raise _NotGgufError(
                f"is not a GGUF model: it begins with {magic!r} instead of {MAGIC!r}"
            )
        version = self._number("<I")
        if version not in (2, 3):
            raise _NotGgufError(f"is a GGUF file of version {version}; the engine reads 2 and 3")
        tensors, pairs = self._number("<Q"), self._number("<Q")
        alignment = self._read_pairs(pairs)
        ends = [self._tensor_end() for _ in self._each(tensors, at_least=24)]
        start = self._size - self._left
        start += -start % alignment
        return start + max(ends, default=0)

    def _read_pairs(self, count: int) -> int:
        alignment = _DEFAULT_ALIGNMENT
        for _ in self._each(count, at_least=13):
            key = self._string()
            kind = self._number("<I")
            if key == b"general.alignment" and kind == _UINT32:
                alignment = self._number("<I") or _DEFAULT_ALIGNMENT
            else:
                self._skip_value(kind)
        return alignment

    def _skip_value(self, kind: int) -> None:
        if kind in _FIXED:
            self._take(_FIXED[kind])
        elif kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            inner, count = self._number("<I"), self._number("<Q")
            if inner in _FIXED:
                self._take(_FIXED[inner] * count)
            elif inner == _STRING:
                for _ in self._each(count, at_least=8):
                    self._string()
            else:
                raise _NotGgufError("is damaged: its header holds a list of an unknown type")
        else:
            raise _NotGgufError("is damaged: its header holds a value of an unknown type")

    def _tensor_end(self) -> int:
        self._string()
        dimensions = self._number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise _NotGgufError(f"is damaged: its header names a tensor of {dimensions} dimensions")
        values = math.prod(self._number("<Q") for _ in range(dimensions))
        kind, offset = self._number("<I"), self._number("<Q")
        if kind not in _BLOCKS:
            return offset + 1
        per_block, block_bytes = _BLOCKS[kind]
        return offset + -(-values // per_block) * block_bytes

    def _each(self, count: int, *, at_least: int) -> range:
        """``range(count)``, unless that many things of that size cannot be in the file."""
        if count * at_least > self._left:
            raise _NotGgufError("is cut off or damaged: it ends inside its own header")
        return range(count)

    def _string(self) -> bytes:
        return self._take(self._number("<Q"))

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _take(self, count: int) -> bytes:
        if count > self._left:
            raise _NotGgufError("is cut off or damaged: it ends inside its own header")
        taken = self._stream.read(count)
        if len(taken) != count:
            raise _NotGgufError("is cut off: it is shorter than its size says")
        self._left -= count
        return taken
