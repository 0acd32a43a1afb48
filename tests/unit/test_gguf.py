"""A whole GGUF file is recognised from its header; every cut and every disguise is noticed."""

from __future__ import annotations

import io
import struct

import pytest

from deployctl.gguf import problem_with
from tests.ggufs import gguf


def look(content: bytes) -> str | None:
    return problem_with(io.BytesIO(content), len(content))


def test_a_whole_file_has_no_problem() -> None:
    assert look(gguf()) is None
    assert look(gguf(version=2)) is None


def test_bytes_after_the_last_tensor_are_no_problem() -> None:
    assert look(gguf() + b"\0" * 100) is None


def test_every_cut_is_noticed() -> None:
    content = gguf(512)
    assert [cut for cut in range(len(content)) if look(content[:cut]) is None] == []


def test_a_cut_in_the_data_says_how_much_is_missing() -> None:
    content = gguf()
    assert look(content[:-100]) == (
        f"is cut off: its own header asks for {len(content):,} bytes, 100 more than there are"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (
            b"<!doctype html><title>Sign in</title>",
            "is not a GGUF model: it begins with `<!do`, not with `GGUF`",
        ),
        (b"GG", "is not a GGUF model: it begins with `GG`, not with `GGUF`"),
        (gguf(version=1), "is a GGUF file of version 1; the engine reads 2 and 3"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60),
            "is cut off or damaged: it ends inside its own header",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99) + bytes(16),
            "is damaged: its header holds a value of an unknown type",
        ),
    ],
)
def test_what_is_not_a_whole_model_is_named(content: bytes, problem: str) -> None:
    assert look(content) == problem


def test_a_tensor_type_from_the_future_is_no_reason_to_refuse() -> None:
    content = bytearray(gguf())
    where = content.index(struct.pack("<IQQIQ", 2, 2, 512, 0, 0)) + 20
    content[where : where + 4] = struct.pack("<I", 4711)
    assert look(bytes(content)) is None
