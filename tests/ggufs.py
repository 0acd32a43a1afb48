"""Small, real GGUF files for tests: a header, a vocabulary, one tensor of 32-bit floats."""

from __future__ import annotations

import struct
from collections.abc import Mapping

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


#: The keys that describe SmolLM2-135M-Instruct, as its own header has them.
SMOLLM2: dict[str, str | int] = {
    "general.architecture": "llama",
    "general.name": "Smollm2 135M 8k Lc100K Mix1 Ep2",
    "general.license": "apache-2.0",
    "general.file_type": 3,
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
}


def described(
    keys: Mapping[str, str | int], *, words: int = 49152, template: str | None = None
) -> bytes:
    """A whole file with these keys, a vocabulary of ``words``, and a chat template behind it."""
    pairs = [
        _pair(key, 8, _text(value))
        if isinstance(value, str)
        else _pair(key, 4, struct.pack("<I", value))
        for key, value in keys.items()
    ]
    vocabulary = b"".join(_text(f"word number {number}") for number in range(words))
    pairs.append(_pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, words) + vocabulary))
    if template is not None:
        pairs.append(_pair("tokenizer.chat_template", 8, _text(template)))
    tensor = _text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 4, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + b"\0" * (-len(head) % ALIGNMENT) + b"\0" * 512
