"""Small, real GGUF files for tests: a header, a vocabulary, one tensor of 32-bit floats."""

from __future__ import annotations

import struct

ALIGNMENT = 32


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def gguf(data_bytes: int = 4096, *, seed: int = 1, version: int = 3) -> bytes:
    """A whole file whose tensor data is ``data_bytes`` long (a multiple of four)."""
    words = ["<s>", "</s>", "hello", "world"]
    vocabulary = struct.pack("<IQ", 8, len(words)) + b"".join(_text(word) for word in words)
    scores = struct.pack("<IQ", 6, len(words)) + struct.pack(f"<{len(words)}f", *range(len(words)))
    pairs = [
        _pair("general.architecture", 8, _text("test")),
        _pair("general.alignment", 4, struct.pack("<I", ALIGNMENT)),
        _pair("tokenizer.ggml.tokens", 9, vocabulary),
        _pair("tokenizer.ggml.scores", 9, scores),
        _pair("test.flag", 7, b"\x01"),
    ]
    tensor = _text("w") + struct.pack("<IQQIQ", 2, 2, data_bytes // 8, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(pairs)) + b"".join(pairs) + tensor
    head += b"\0" * (-len(head) % ALIGNMENT)
    pattern = bytes((seed * 7 + i * 13) % 256 for i in range(251))
    return head + (pattern * (data_bytes // 251 + 1))[:data_bytes]
