"""A tiny model of the llama family as its authors have it, and as a GGUF file of llama.cpp.

Written with the package gguf, and permuted as llama.cpp's ``convert_hf_to_gguf.py`` does it, so
that what deployctl makes of the file can be compared with what the file was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize
from numpy.typing import NDArray

LAYERS, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD = 2, 4, 2, 16, 96
HIDDEN = HEADS * HEAD_DIM
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}"
)
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w", "1 2")

Tensors = dict[str, NDArray[np.float32]]


def letters() -> list[str]:
    """The letters that stand for the 256 bytes, as GPT-2 chose them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letter = {byte: chr(byte) for byte in plain}
    letter |= {byte: chr(256 + number) for number, byte in enumerate(others)}
    return [letter[byte] for byte in range(256)]


def words() -> list[str]:
    return [*SPECIAL, *letters(), *(merge.replace(" ", "") for merge in MERGES)]


def original(*, tied: bool = True, seed: int = 1) -> Tensors:
    """The tensors by the names that transformers gives them; any numbers, of 32 bits."""
    draw = np.random.default_rng(seed)
    narrow = KV_HEADS * HEAD_DIM
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (len(words()), HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    if not tied:
        shapes["lm_head.weight"] = (len(words()), HIDDEN)
    for layer in range(LAYERS):
        shapes |= {
            f"model.layers.{layer}.{name}.weight": shape
            for name, shape in {
                "input_layernorm": (HIDDEN,),
                "self_attn.q_proj": (HIDDEN, HIDDEN),
                "self_attn.k_proj": (narrow, HIDDEN),
                "self_attn.v_proj": (narrow, HIDDEN),
                "self_attn.o_proj": (HIDDEN, HIDDEN),
                "post_attention_layernorm": (HIDDEN,),
                "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
                "mlp.up_proj": (FEED_FORWARD, HIDDEN),
                "mlp.down_proj": (HIDDEN, FEED_FORWARD),
            }.items()
        }
    return {n: draw.standard_normal(s).astype(np.float32) for n, s in sorted(shapes.items())}


#: Name in the folder → name in the GGUF file; without the layer.
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def in_gguf(name: str) -> str:
    """What a tensor of the folder is called in the file."""
    inside = name.removesuffix(".weight")
    if inside in _NAMES:
        return f"{_NAMES[inside]}.weight"
    _, _, layer, inner = inside.split(".", 3)
    return f"blk.{layer}.{_NAMES[inner]}.weight"


def permuted(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """``LlamaModel.permute`` of llama.cpp's converter, word for word."""
    return (
        values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        .swapaxes(1, 2)
        .reshape(values.shape)
    )


@dataclass
class Llama:
    """What the file is to say. ``values``: keys to set, or to leave out with ``None``."""

    tensors: Tensors = field(default_factory=original)
    kind: GGMLQuantizationType = GGMLQuantizationType.F32
    values: Mapping[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=words)
    types: list[int] = field(
        default_factory=lambda: [
            TokenType.CONTROL if word in SPECIAL else TokenType.NORMAL for word in words()
        ]
    )
    merges: tuple[str, ...] = MERGES
    extra: Tensors = field(default_factory=dict)  # by their names in the file

    def write(self, path: Path) -> Path:
        writer = GGUFWriter(path, "llama")
        for key, value in (_KEYS | dict(self.values)).items():
            _add(writer, key, value)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        for name, values in self.tensors.items():
            heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2], 0)
            self._tensor(writer, in_gguf(name), permuted(values, heads) if heads else values)
        for name, values in self.extra.items():
            self._tensor(writer, name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        path.chmod(0o644)
        return path

    def _tensor(self, writer: GGUFWriter, name: str, values: NDArray[np.float32]) -> None:
        kind = self.kind if values.ndim > 1 else GGMLQuantizationType.F32
        raw_kind = None if kind == GGMLQuantizationType.F32 else kind
        writer.add_tensor(name, quantize(values, kind), raw_dtype=raw_kind)


_KEYS: dict[str, Any] = {
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "llama.block_count": LAYERS,
    "llama.context_length": 512,
    "llama.embedding_length": HIDDEN,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 100000.0,
    "llama.rope.dimension_count": HEAD_DIM,
    "llama.vocab_size": len(words()),
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.chat_template": CHATML,
}


def _add(writer: GGUFWriter, key: str, value: str | bool | int | float | list[int] | None) -> None:
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
