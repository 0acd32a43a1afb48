"""Random-weight GGUF files of real models' exact shapes, for engines that must be filled.

A model's memory and speed follow from the shapes and types of its tensors, not from what it
learnt. The vocabulary has the real size and as many merges as the real one, because both take
memory too. Seeded: the same arguments give the same file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

from deployctl.catalog import Catalog
from deployctl.model import ModelShape
from deployctl.profiles.models import read_entry
from deployctl.sizing.shapes import BLOCKS, Tensor, tensors, type_of

_READERS = Catalog({"HOME": "/nonexistent"}).readers()

#: The catalog's larger models, in the shapes that profiles plan with.
SHAPES = {
    title: read_entry(name, _READERS).shape.noun()
    for title, name in (
        ("R1-Distill-Qwen-1.5B", "deepseek-r1-distill-qwen-1.5b"),
        ("Qwen2.5-1.5B", "qwen2.5-1.5b-instruct"),
        ("Llama-3.2-1B", "llama-3.2-1b-instruct"),
    )
}

#: Merges in the real tokenizers, and the name of their way to cut text into words.
_MERGES = {"qwen2": (151387, "qwen2"), "llama": (280147, "llama-bpe")}

#: Where a block's 16-bit scales are, by type: bytes that may not be random.
_SCALES = {
    "q4_0": (0,),
    "q4_1": (0, 2),
    "q5_0": (0,),
    "q5_1": (0, 2),
    "q8_0": (0,),
    "q4_k": (0, 2),
    "q5_k": (0, 2),
    "q6_k": (208,),
}

_BLOCKS_AT_ONCE = 1 << 20


def make(path: Path, name: str, form: str, *, seed: int = 1) -> ModelShape:
    """Write the file and return its shape. ``form`` is one of the formats that sizing knows."""
    shape = SHAPES[name]
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, shape.architecture)
    writer.add_file_type(LlamaFileType[f"MOSTLY_{form.upper()}"])
    _describe(writer, name, shape)
    kinds = [(tensor, type_of(tensor, shape, form)) for tensor in tensors(shape)]
    for tensor, kind in kinds:
        _announce(writer, tensor, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind in kinds:
        writer.write_tensor_data(_data(random, tensor, kind))
    writer.close()
    return shape


def _describe(writer: GGUFWriter, name: str, shape: ModelShape) -> None:
    writer.add_name(f"{name}, random weights")
    writer.add_context_length(shape.trained_context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(shape.vocabulary)
    merges, cut = _MERGES[shape.architecture]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    letters = _byte_letters()
    fill = shape.vocabulary - len(letters) - 2
    # Real words are 6.5 letters long on average.
    words = [*letters, *(f"Ġ{n:06x}" for n in range(fill)), "<|end|>", "<|begin|>"]
    kinds = [TokenType.NORMAL] * (len(letters) + fill) + [TokenType.CONTROL] * 2
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"Ġ{n % 4096:03x} {n:05x}" for n in range(merges)])
    writer.add_bos_token_id(shape.vocabulary - 1)
    writer.add_eos_token_id(shape.vocabulary - 2)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")


def _byte_letters() -> list[str]:
    """The letters that stand for the 256 bytes in such vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + n) for n in range(256 - len(plain)))
    return [chr(byte) if byte in plain else next(others) for byte in range(256)]


def _announce(writer: GGUFWriter, tensor: Tensor, kind: str) -> None:
    name = tensor.name if tensor.name.endswith(".bias") else f"{tensor.name}.weight"
    per_block, block_bytes = BLOCKS[kind]
    rows = () if tensor.kind == "vector" else (tensor.rows,)
    if kind in ("f32", "f16"):
        dtype = np.dtype(np.float32 if kind == "f32" else np.float16)
        count = tensor.values * dtype.itemsize
        writer.add_tensor_info(name, (*rows, tensor.row), dtype, count)
        return
    row_bytes = tensor.row // per_block * block_bytes
    writer.add_tensor_info(
        name,
        (*rows, row_bytes),
        np.dtype(np.uint8),
        tensor.rows * row_bytes,
        raw_dtype=GGMLQuantizationType[kind.upper()],
    )


def _data(random: np.random.Generator, tensor: Tensor, kind: str) -> np.ndarray:
    if tensor.kind == "vector":
        return np.full(tensor.row, 0.0 if tensor.name.endswith(".bias") else 1.0, np.float32)
    if kind in ("f32", "f16"):
        numbers = random.standard_normal(tensor.values, np.float32) * np.float32(0.02)
        return numbers if kind == "f32" else numbers.astype(np.float16)
    per_block, block_bytes = BLOCKS[kind]
    blocks = random.integers(0, 256, (tensor.values // per_block, block_bytes), np.uint8)
    small = np.frombuffer(np.float16(0.0005).tobytes(), np.uint8)
    for where in _SCALES[kind]:
        blocks[:, where : where + 2] = small
    return blocks.reshape(tensor.rows, -1)
