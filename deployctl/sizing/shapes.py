"""A decoder's shape → its tensors, their bytes in any format, its memory per token. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from deployctl.model import ModelShape

#: Tensor type → (values per block, bytes per block): ggml's own sizes.
BLOCKS = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "q8_0": (32, 34),
    "q6_k": (256, 210),
    "q5_k": (256, 176),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_k": (256, 144),
    "q4_1": (32, 20),
    "q4_0": (32, 18),
    "iq4_nl": (32, 18),
    "iq4_xs": (256, 136),
    "q3_k": (256, 110),
    "q2_k": (256, 84),
    "iq3_s": (256, 110),
    "iq3_xxs": (256, 98),
    "iq2_s": (256, 82),
    "iq2_xs": (256, 74),
    "iq2_xxs": (256, 66),
    "iq1_m": (256, 56),
    "iq1_s": (256, 50),
}

#: What a tensor becomes whose rows are no multiple of 256 values (llama-quant.cpp, b11434).
_FALLBACK = {"q6_k": "q8_0", "q5_k": "q5_1", "q4_k": "q5_0", "q3_k": "q4_0", "q2_k": "q4_0"}
_FALLBACK |= {kind: "iq4_nl" for kind in BLOCKS if kind.startswith("iq")}

_PLAIN = frozenset({"f32", "f16", "bf16"})

Kind = Literal["embedding", "output", "q", "k", "v", "attention", "gate", "up", "down", "vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor as llama.cpp's file has it. ``row`` is the dimension that blocks run along."""

    name: str  # without .weight
    kind: Kind
    row: int
    rows: int
    layer: int = -1

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return self.row * self.rows


def tensors(shape: ModelShape) -> Iterator[Tensor]:
    """All tensors of a model of this shape, in the file's order."""
    yield Tensor(name="token_embd", kind="embedding", row=shape.hidden, rows=shape.vocabulary)
    for layer in range(shape.layers):
        yield from _of_layer(shape, layer)
    yield Tensor(name="output_norm", kind="vector", row=shape.hidden, rows=1)
    if not shape.tied_embeddings:
        yield Tensor(name="output", kind="output", row=shape.hidden, rows=shape.vocabulary)


def _of_layer(shape: ModelShape, layer: int) -> Iterator[Tensor]:
    hidden, queries = shape.hidden, shape.heads * shape.head_dim
    keys, wide = shape.kv_heads * shape.head_dim, shape.feed_forward
    matrices: tuple[tuple[str, Kind, int, int], ...] = (
        ("attn_q", "q", hidden, queries),
        ("attn_k", "k", hidden, keys),
        ("attn_v", "v", hidden, keys),
        ("attn_output", "attention", queries, hidden),
        ("ffn_gate", "gate", hidden, wide),
        ("ffn_up", "up", hidden, wide),
        ("ffn_down", "down", wide, hidden),
    )
    vectors = [("attn_norm", hidden), ("ffn_norm", hidden)]
    if shape.architecture == "qwen2":  # the only one of ours with biases
        vectors += [("attn_q.bias", queries), ("attn_k.bias", keys), ("attn_v.bias", keys)]
    if shape.architecture == "qwen3":
        vectors += [("attn_q_norm", shape.head_dim), ("attn_k_norm", shape.head_dim)]
    for name, kind, row, rows in matrices:
        yield Tensor(name=f"blk.{layer}.{name}", kind=kind, row=row, rows=rows, layer=layer)
    for name, size in vectors:
        yield Tensor(name=f"blk.{layer}.{name}", kind="vector", row=size, rows=1, layer=layer)


def type_of(tensor: Tensor, shape: ModelShape, form: str) -> str:
    """The type this tensor has in a file of this format, as llama.cpp's own quantiser chooses it.

    From ``llama_tensor_get_type`` at b11434, without an importance matrix. The rare formats below
    4 bits are taken as if all layers were alike; an unknown format counts as 8 bits.
    """
    form = form.lower()
    if tensor.kind == "vector":
        return "f32"
    if is_plain(form):
        return form
    base = _base(form)
    chosen = _mixed(tensor, shape, form, base)
    return chosen if tensor.row % BLOCKS[chosen][0] == 0 else _smaller(tensor, chosen)


def _base(form: str) -> str:
    """``q4_k`` of ``q4_k_m``: the type of most tensors in a format."""
    if form in BLOCKS:
        return form
    stem = form.rsplit("_", 1)[0]
    return stem if stem in BLOCKS else {"iq3": "iq3_s", "iq2": "iq2_s"}.get(stem, "q8_0")


def _mixed(tensor: Tensor, shape: ModelShape, form: str, base: str) -> str:
    head = tensor.kind == "output" or (tensor.kind == "embedding" and shape.tied_embeddings)
    if head:
        fits = tensor.row % BLOCKS[base][0] == 0
        return "q8_0" if base == "q8_0" or not fits else "q6_k"
    if form in ("q4_k_m", "q5_k_m") and tensor.kind in ("v", "down"):
        return "q6_k" if _more_bits(tensor.layer, shape.layers) else base
    if form == "q4_k_s" and (
        (tensor.kind == "v" and tensor.layer < 4)
        or (tensor.kind == "down" and tensor.layer < shape.layers // 8)
    ):
        return "q5_k"
    if form in ("q3_k_m", "q3_k_l", "q2_k"):
        return _three_bits(tensor, shape, form, base)
    return base


def _three_bits(tensor: Tensor, shape: ModelShape, form: str, base: str) -> str:
    if form == "q3_k_l":
        return "q5_k" if tensor.kind in ("v", "attention", "down") else base
    if form == "q2_k":
        many = shape.heads // max(1, shape.kv_heads) >= 4
        return {"v": "q4_k" if many else "q3_k", "down": "q3_k", "attention": "q3_k"}.get(
            tensor.kind, base
        )
    early = {"v": 2, "down": shape.layers // 16}.get(tensor.kind)
    if early is not None:
        return "q5_k" if tensor.layer < early else "q4_k"
    return "q4_k" if tensor.kind == "attention" else base


def _more_bits(layer: int, layers: int) -> bool:
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _smaller(tensor: Tensor, chosen: str) -> str:
    other = _FALLBACK.get(chosen, chosen)
    return other if tensor.row % BLOCKS[other][0] == 0 else "f16"


def is_plain(form: str) -> bool:
    """Whether a format keeps numbers as they are, not in blocks with a common scale."""
    return form.lower() in _PLAIN


def bytes_of(values: int, kind: str) -> int:
    """Bytes of so many values of a type; a last block that is not full counts whole."""
    per_block, block_bytes = BLOCKS[kind]
    return -(-values // per_block) * block_bytes


@lru_cache(maxsize=64)
def parameters(shape: ModelShape) -> int:
    """How many numbers the model has learnt."""
    return sum(tensor.values for tensor in tensors(shape))


@lru_cache(maxsize=64)  # asked again for every context that is tried
def weights_bytes(shape: ModelShape, format: str) -> int:  # noqa: A002  # the word for it
    """Bytes of all weights in a format; one that is not known counts as 8 bits a number.

    16-bit formats count two bytes for every parameter, as safetensors files and vLLM do. GGUF
    files keep norms and biases in 32 bits even there: 0.03 % more.
    """
    if format.lower() in ("f16", "bf16"):
        return 2 * parameters(shape)
    return sum(_bytes_in(tensor, shape, format) for tensor in tensors(shape))


def embedding_bytes(shape: ModelShape, form: str) -> int:
    """Bytes of the table that turns tokens into vectors."""
    return _bytes_in(next(tensors(shape)), shape, form)


def read_per_token(shape: ModelShape, format: str) -> int:  # noqa: A002  # the word for it
    """Bytes read from memory for one decoded token of one conversation, its context aside.

    All weights, except an embedding table of its own: of that only one row is looked up.
    """
    lookup = 0 if shape.tied_embeddings else embedding_bytes(shape, format)
    return weights_bytes(shape, format) - lookup


def _bytes_in(tensor: Tensor, shape: ModelShape, form: str) -> int:
    return bytes_of(tensor.values, type_of(tensor, shape, form))


def kv_bytes_per_token(shape: ModelShape, kv_type: str = "f16") -> int:
    """Bytes that one token of a conversation keeps: a key and a value in every layer."""
    row = shape.kv_heads * shape.head_dim
    # One that is not known counts as 16 bits, the engines' own default.
    kind = kv_type.lower()
    return 2 * shape.layers * bytes_of(row, kind if kind in BLOCKS else "f16")


def ceiling(bytes_per_second: float, shape: ModelShape, format: str) -> float:  # noqa: A002
    """The most tokens a second that one conversation can get: memory is read once for each."""
    return bytes_per_second / read_per_token(shape, format)
