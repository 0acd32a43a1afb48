"""One pass over the header of a GGUF file. Reads the stream it is given.

The header of a GGUF file names every tensor, its shape, its type and its offset, so a file that
was cut off anywhere can be recognised without a checksum. A checksum is not always there: a file
carried on a disk, a server without one. The engine would only say so after the stack was started.
Format: magic ``GGUF``, version, counts, key/value pairs, tensor table, padding, tensor data.
"""

from __future__ import annotations

import io
import math
import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"GGUF"

#: Value types by their number in the file, with what ``struct`` calls them.
_FIXED = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9

#: Tensor type number → (name, values per block, bytes per block). A type that is not here (they
#: are added every few months) counts as one byte per tensor: then only its offset is checked.
# fmt: off  # a table, to be read in rows
_BLOCKS = {
    0: ("f32", 1, 4),
    1: ("f16", 1, 2),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 36),
    10: ("q2_k", 256, 84),
    11: ("q3_k", 256, 110),
    12: ("q4_k", 256, 144),
    13: ("q5_k", 256, 176),
    14: ("q6_k", 256, 210),
    15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1),
    25: ("i16", 1, 2),
    26: ("i32", 1, 4),
    27: ("i64", 1, 8),
    28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
}

# fmt: on

#: Tensor type → values per block.
BLOCK_VALUES = {name: values for name, values, _ in _BLOCKS.values()}

_DEFAULT_ALIGNMENT = 32
_MOST_DIMENSIONS = 8

#: Texts longer than this are no name, licence or template of anything.
_LONGEST_TEXT = 1 << 18


class GgufError(Exception):
    """The header cannot be read; the text completes a sentence that begins with the file."""


class NoGgufError(GgufError):
    """It is something else altogether, or nothing: what a download of a web page leaves."""


class StreamEndsError(GgufError):
    """There is less to read than the size says: a damaged file, or a prefix of a good one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """One tensor of the table. ``kind`` and ``bytes`` are ``None`` for a type unknown here."""

    name: str
    dimensions: tuple[int, ...]  # the one that blocks run along first
    kind: str | None
    bytes: int | None
    offset: int  # in bytes, from where the data of all tensors begins


def _legible(raw: bytes) -> str:
    """Bytes for people: as text where they are some, else as numbers."""
    text = raw.decode("ascii", "replace")
    if text.isprintable() and "\ufffd" not in text:
        return f"`{text}`"
    return f"the bytes {raw.hex(' ')}"


class Reader:
    """One pass over the header. Every length is checked against the file before it is used.

    ``keep`` names the lists whose items are wanted; of all others only the length is kept.
    """

    def __init__(
        self, stream: BinaryIO, size_bytes: int, *, keep: Collection[str] = frozenset()
    ) -> None:
        self._stream = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        self._left = size_bytes
        self._size = size_bytes
        self._keep = keep
        self.values: dict[str, object] = {}  # numbers, and texts as bytes
        self.lengths: dict[str, int] = {}  # of lists, and of texts that are too long to keep
        self.lists: dict[str, tuple[object, ...]] = {}  # those to keep: numbers, texts as bytes
        self.tensors: list[GgufTensor] = []
        self.data_start = 0  # where the tensors' data begins
        self.bytes_needed = 0  # the smallest size that holds every tensor named

    def read(self) -> None:
        """Read all of it; raises ``GgufError``, with what was read so far kept."""
        if not self._size:
            raise NoGgufError("is empty")
        magic = self._take(min(4, self._left))
        if magic != MAGIC:
            begins = _legible(magic)
            raise NoGgufError(f"is not a GGUF model: it begins with {begins}, not with `GGUF`")
        version = self._number("<I")
        if version not in (2, 3):
            raise GgufError(f"is a GGUF file of version {version}; the engine reads 2 and 3")
        tensors, pairs = self._number("<Q"), self._number("<Q")
        for _ in self._each(pairs, at_least=13):
            self._read_pair()
        ends = [self._tensor_end() for _ in self._each(tensors, at_least=24)]
        start = self._size - self._left
        self.data_start = start + -start % self._alignment
        self.bytes_needed = self.data_start + max(ends, default=0)

    @property
    def _alignment(self) -> int:
        value = self.values.get("general.alignment")
        return value if isinstance(value, int) and value > 0 else _DEFAULT_ALIGNMENT

    def _read_pair(self) -> None:
        key = self._string().decode("utf-8", "replace")
        kind = self._number("<I")
        if kind in _FIXED:
            self.values[key] = self._number(_FIXED[kind])
        elif kind == _STRING:
            text = self._string()
            if len(text) <= _LONGEST_TEXT:
                self.values[key] = text
            else:
                self.lengths[key] = len(text)
        elif kind == _ARRAY:
            self._read_list(key)
        else:
            raise GgufError("is damaged: its header holds a value of an unknown type")

    def _read_list(self, key: str) -> None:
        inner, count = self._number("<I"), self._number("<Q")
        self.lengths[key] = count
        if inner in _FIXED:
            raw = self._take(struct.calcsize(_FIXED[inner]) * count)
            if key in self._keep:
                self.lists[key] = struct.unpack(f"<{count}{_FIXED[inner][1:]}", raw)
        elif inner == _STRING:
            texts = self._strings(self._each(count, at_least=8))
            if key in self._keep:
                self.lists[key] = tuple(texts)
            else:
                deque(texts, maxlen=0)
        else:
            raise GgufError("is damaged: its header holds a list of an unknown type")

    def _tensor_end(self) -> int:
        name = self._string().decode("utf-8", "replace")
        count = self._number("<I")
        if count > _MOST_DIMENSIONS:
            raise GgufError(f"is damaged: its header names a tensor of {count} dimensions")
        dimensions = tuple(self._number("<Q") for _ in range(count))
        kind, offset = self._number("<I"), self._number("<Q")
        known, per_block, block_bytes = _BLOCKS.get(kind, (None, 1, 0))
        size = -(-math.prod(dimensions) // per_block) * block_bytes
        self.tensors.append(
            GgufTensor(
                name=name,
                dimensions=dimensions,
                kind=known,
                bytes=size if known else None,
                offset=offset,
            )
        )
        return offset + (size if known else 1)

    def _each(self, count: int, *, at_least: int) -> range:
        """``range(count)``, unless that many things of that size cannot be in the file."""
        if count * at_least > self._left:
            raise GgufError("is cut off or damaged: it ends inside its own header")
        return range(count)

    def _strings(self, each: range) -> Iterator[bytes]:
        """Texts that follow each other. Nearly all of a header is such lists: hence in one loop."""
        read, left = self._stream.read, self._left
        for _ in each:
            head = read(8)
            length = int.from_bytes(head, "little")
            left -= 8 + length
            if left < 0:
                raise GgufError("is cut off or damaged: it ends inside its own header")
            text = read(length)
            if len(head) + len(text) != 8 + length:
                raise StreamEndsError("is cut off: it is shorter than its size says")
            yield text
        self._left = left

    def _string(self) -> bytes:
        return self._take(self._number("<Q"))

    def _number(self, form: str) -> int:
        value: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _take(self, count: int) -> bytes:
        if count > self._left:
            raise GgufError("is cut off or damaged: it ends inside its own header")
        taken = self._stream.read(count)
        if len(taken) != count:
            raise StreamEndsError("is cut off: it is shorter than its size says")
        self._left -= count
        return taken


def problem_with(stream: BinaryIO, size_bytes: int) -> str | None:
    """What is wrong with a GGUF file of this size, as the end of a sentence; ``None`` if whole.

    Takes about 0.1 s for a vocabulary of 150 000 words: do it once per file. Raises ``OSError``
    only when reading fails.
    """
    header = Reader(stream, size_bytes)
    try:
        header.read()
    except GgufError as problem:
        return str(problem)
    if header.bytes_needed > size_bytes:
        return (
            f"is cut off: its own header asks for {header.bytes_needed:,} bytes, "
            f"{header.bytes_needed - size_bytes:,} more than there are"
        )
    return None
