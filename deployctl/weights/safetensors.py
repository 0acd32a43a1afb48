"""The format safetensors: whether a stream is a whole such file, and how one begins. Pure.

Format: eight bytes that say how long the header is, the header (JSON: for each tensor where its
data begins and ends), the data. So a file that was cut off is recognised without a checksum.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import BinaryIO

_LENGTH_BYTES = 8
_VALUE_BYTES = 2
#: What the format's own reader accepts at most.
_LONGEST_HEADER = 100_000_000


def problem_with(stream: BinaryIO, size_bytes: int) -> str | None:
    """What is wrong with a file of this size, as the end of a sentence; ``None`` if whole.

    Raises ``OSError`` only when reading fails.
    """
    if not size_bytes:
        return "is empty"
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if not 2 <= length <= min(_LONGEST_HEADER, size_bytes):
        return "is cut off or is not a safetensors file: its header does not fit into it"
    try:
        header = json.loads(stream.read(length))
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if _named(name)]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "is damaged or is not a safetensors file: its header cannot be read"
    needed = _LENGTH_BYTES + length + max(ends, default=0)
    if needed > size_bytes:
        return (
            f"is cut off: its own header asks for {needed:,} bytes, "
            f"{needed - size_bytes:,} more than there are"
        )
    return None


def beginning(tensors: Iterable[tuple[str, tuple[int, ...]]]) -> bytes:
    """What stands before the data of these tensors of 16-bit numbers: name and shape, in order.

    The data follows without gaps, in the same order, little-endian.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors:
        start, end = end, end + _VALUE_BYTES * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # as its own writer does: the data is aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _named(name: str) -> bool:
    return name != "__metadata__"
