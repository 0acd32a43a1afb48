"""Which model is in a GGUF file: from the whole header, from a prefix, or said to be unknown."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest

from deployctl.gguf import GgufError, GgufHeader, read_header
from deployctl.model import ModelShape

SHAPE = ModelShape(
    architecture="qwen2",
    layers=2,
    hidden=256,
    feed_forward=512,
    heads=4,
    kv_heads=2,
    head_dim=64,
    vocabulary=1000,
    tied_embeddings=True,
    trained_context=4096,
)
NUMBERS = {
    "qwen2.block_count": 2,
    "qwen2.embedding_length": 256,
    "qwen2.feed_forward_length": 512,
    "qwen2.attention.head_count": 4,
    "qwen2.attention.head_count_kv": 2,
    "qwen2.context_length": 4096,
    "general.file_type": 7,
}


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def words(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def model(numbers: dict[str, int] | None = None, *, untied: bool = False) -> bytes:
    """A header as the converter writes it: facts, vocabulary, template; then the tensor table."""
    vocabulary = struct.pack("<IIQ", 9, 8, 1000) + b"".join(text(f"w{n}") for n in range(1000))
    pairs = [
        words("general.architecture", "qwen2"),
        words("general.name", "Tiny"),
        words("general.license", "mit"),
        *(number(key, value) for key, value in (NUMBERS | (numbers or {})).items()),
        text("tokenizer.ggml.tokens") + vocabulary,
        words("tokenizer.chat_template", "{{ messages }}"),
    ]
    names = ["token_embd.weight", *(["output.weight"] if untied else [])]
    table = b"".join(
        text(name) + struct.pack("<IQQIQ", 2, 256, 1000, 8, index * 272000)
        for index, name in enumerate(names)
    )
    return b"GGUF" + struct.pack("<IQQ", 3, len(names), len(pairs)) + b"".join(pairs) + table


def read(content: bytes, size: int = 10_000_000) -> GgufHeader:
    return read_header(io.BytesIO(content), size)


def test_a_whole_header_says_everything_without_the_data() -> None:
    header = read(model())
    assert header.complete
    assert header.shape == SHAPE
    assert (header.name, header.architecture) == ("Tiny", "qwen2")
    assert (header.format, header.license) == ("q8_0", "mit")
    assert (header.chat_template, header.trained_context) == ("{{ messages }}", 4096)
    assert header.tensor_bytes == 1000 * 256 * 34 // 32
    [tensor] = header.tensors
    assert (tensor.name, tensor.dimensions, tensor.kind) == (
        "token_embd.weight",
        (256, 1000),
        "q8_0",
    )


def test_an_output_layer_of_its_own_is_seen() -> None:
    assert read(model(untied=True)).shape == replace(SHAPE, tied_embeddings=False)


@pytest.mark.parametrize(("size", "tied"), [(1_530_000, True), (1_800_000, False)])
def test_a_prefix_is_enough_for_the_shape(size: int, tied: bool) -> None:
    # Whether there is an output layer follows from the size then: the format is known.
    header = read(model()[:2000], size)
    assert not header.complete
    assert header.shape == replace(SHAPE, tied_embeddings=tied)
    assert (header.tensors, header.tensor_bytes, header.chat_template) == ((), None, None)


def test_no_prefix_raises() -> None:
    content = model()
    for cut in range(4, len(content), 97):
        assert not read(content[:cut]).complete


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention.head_count"])
def test_a_shape_with_a_hole_is_no_shape(key: str) -> None:
    assert read(model({f"qwen2.{key}": 0})).shape is None


def test_a_mixture_of_experts_is_no_plain_decoder() -> None:
    assert read(model({"qwen2.expert_count": 8})).shape is None


def test_a_format_of_tomorrow_is_named_after_most_of_its_bytes() -> None:
    assert read(model({"general.file_type": 999})).format == "q8_0"


def test_the_size_of_the_file_is_a_wall() -> None:
    with pytest.raises(GgufError, match="ends inside its own header"):
        read(model(), 1000)
    with pytest.raises(GgufError, match="is not a GGUF model"):
        read(b"<!doctype html>")
    with pytest.raises(GgufError, match="is empty"):
        read(b"", 0)
