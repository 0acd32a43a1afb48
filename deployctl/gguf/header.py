"""Which model is in a GGUF file, from its header or the beginning of it. Reads a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from deployctl.gguf import llama
from deployctl.gguf.reader import GgufTensor, Reader, StreamEndsError
from deployctl.model import ModelShape
from deployctl.sizing.shapes import weights_bytes

# fmt: off  # a table, to be read in rows
#: ``general.file_type`` → the format's usual name (llama.h, ``llama_ftype``).
_FORMATS = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    25: "iq4_nl",
    30: "iq4_xs",
    32: "bf16",
    38: "mxfp4",
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the header says. What it does not say is ``None``.

    ``complete`` is false when only a prefix was there to read: then tensors, and whatever stands
    behind the vocabulary (mostly the chat template), are missing.
    """

    architecture: str | None
    name: str | None
    shape: ModelShape | None  # None also for what is no plain decoder: experts, other dimensions
    format: str | None  # q4_k_m; by general.file_type, else the type of most bytes
    tensors: tuple[GgufTensor, ...]
    tensor_bytes: int | None
    chat_template: str | None
    license: str | None
    trained_context: int | None
    complete: bool
    unconvertible: str | None  # why no folder in 16 bits is made of it; None also when unknown


def read_header(stream: BinaryIO, size_bytes: int) -> GgufHeader:
    """What the file says of the model in it.

    ``size_bytes`` is the whole file's size; the stream may end earlier. The first MiB is mostly
    enough for the shape, and about 8 MiB for everything. Raises ``GgufError`` when this is no
    GGUF file or a damaged one, ``OSError`` when reading fails.
    """
    reader = Reader(stream, size_bytes)
    try:
        reader.read()
        complete = True
    except StreamEndsError:
        complete = False
    return _described(reader, size_bytes, complete=complete)


def _described(reader: Reader, size_bytes: int, *, complete: bool) -> GgufHeader:
    values = reader.values
    architecture = _text(values, "general.architecture")
    tensors = tuple(reader.tensors) if complete else ()
    sizes = [tensor.bytes for tensor in tensors]
    file_type = values.get("general.file_type")
    form = (_FORMATS.get(file_type) if isinstance(file_type, int) else None) or _most(tensors)
    shape = _shape(values, reader.lengths, architecture or "")
    if shape is not None:
        names = {tensor.name for tensor in tensors}
        tied = "output.weight" not in names if complete else _tied_by_size(shape, form, size_bytes)
        shape = replace(shape, tied_embeddings=tied)
    return GgufHeader(
        architecture=architecture,
        name=_text(values, "general.name"),
        shape=shape,
        format=form,
        tensors=tensors,
        tensor_bytes=sum(size or 0 for size in sizes) if complete and None not in sizes else None,
        chat_template=_text(values, "tokenizer.chat_template"),
        license=_text(values, "general.license"),
        trained_context=_count(values, f"{architecture}.context_length"),
        complete=complete,
        unconvertible=llama.refusal(reader) if complete else None,
    )


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None


def _count(values: Mapping[str, object], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _most(tensors: tuple[GgufTensor, ...]) -> str | None:
    totals: dict[str, int] = {}
    for tensor in tensors:
        if tensor.kind is not None:
            totals[tensor.kind] = totals.get(tensor.kind, 0) + (tensor.bytes or 0)
    return max(totals, key=lambda kind: totals[kind]) if totals else None


def _shape(
    values: Mapping[str, object], lengths: Mapping[str, int], prefix: str
) -> ModelShape | None:

    def number(key: str) -> int | None:
        return _count(values, f"{prefix}.{key}")

    layers, hidden = number("block_count"), number("embedding_length")
    wide, heads = number("feed_forward_length"), number("attention.head_count")
    vocabulary = lengths.get("tokenizer.ggml.tokens") or number("vocab_size")
    if not (layers and hidden and wide and heads and vocabulary) or number("expert_count"):
        return None
    return ModelShape(
        architecture=prefix,
        layers=layers,
        hidden=hidden,
        feed_forward=wide,
        heads=heads,
        kv_heads=number("attention.head_count_kv") or heads,
        head_dim=number("attention.key_length") or max(1, hidden // heads),
        vocabulary=vocabulary,
        tied_embeddings=True,
        trained_context=number("context_length") or 0,
    )


def _tied_by_size(shape: ModelShape, form: str | None, size_bytes: int) -> bool:
    """Whether a file of this size rather has one table for input and output than two."""

    def off(tied: bool) -> int:  # noqa: FBT001  # read at once, called below
        other = replace(shape, tied_embeddings=tied)
        return abs(weights_bytes(other, form or "q8_0") - size_bytes)

    return off(True) <= off(False)  # noqa: FBT003  # as above
