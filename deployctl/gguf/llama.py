"""What a GGUF file of the llama family becomes as the folder of a model in 16 bits. Pure.

The other way round of llama.cpp's ``convert_hf_to_gguf.py``: the names of the tensors, the order
of the rows of queries and keys, and what ``config.json`` says. Only what is known to come out as it
once was is converted. Everything else is refused, because a model that computes something else
still writes fluently.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deployctl.gguf import tokenizer
from deployctl.gguf.reader import BLOCK_VALUES, GgufError, GgufTensor, Reader
from deployctl.gguf.refusal import UnconvertibleError

#: Raised with every change of a single byte of what comes out: folders that were made before are
#: then made anew, each version beside the other.
VERSION = 1

#: The lists of the header that a conversion needs; see ``Reader``.
LISTS = frozenset({tokenizer.TOKENS, tokenizer.TYPES, tokenizer.MERGES})

#: Everything that llama.cpp knows to say of this family and that has a place in ``config.json``.
_KEYS = frozenset(
    {
        *("block_count", "context_length", "embedding_length", "feed_forward_length"),
        *("attention.head_count", "attention.head_count_kv", "attention.key_length"),
        *("attention.value_length", "attention.layer_norm_rms_epsilon"),
        *("rope.freq_base", "rope.dimension_count", "vocab_size"),
    }
)

#: Types of tensors whose values are known exactly; those that the package gguf can undo.
_KINDS = frozenset(
    {
        *("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"),
        *("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"),
    }
)

#: Name in a layer of the GGUF file → name in a layer of the folder.
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One tensor of the folder and the one of the file that it is made of.

    ``head_rows`` is not 0 where the rows of each head, so many, lie in another order: llama.cpp
    turns the two halves of a head (rotated together) into pairs of neighbours.
    """

    name: str
    shape: tuple[int, ...]
    made_of: GgufTensor
    head_rows: int = 0

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The folder: its tensors by name, and its small files as they are to be written."""

    pieces: tuple[Piece, ...]
    files: Mapping[str, bytes]
    data_start: int  # in the GGUF file, where the tensors' data begins


@dataclass(frozen=True, slots=True, kw_only=True)
class _Llama:
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    eps: float
    theta: float
    tied: bool


def recipe(reader: Reader) -> Recipe:
    """What the file becomes; ``reader`` has read all of it and kept :data:`LISTS`.

    Raises ``UnconvertibleError`` where that is not known for sure, ``GgufError`` where the file
    contradicts itself.
    """
    llama = _understood(reader)
    words = tokenizer.read(reader, llama.vocabulary)
    config = _config(llama, words)
    return Recipe(
        pieces=tuple(sorted(_pieces(reader, llama), key=lambda piece: piece.name)),
        files={
            "config.json": as_json(config),
            "generation_config.json": as_json(words.ids),
            **tokenizer.files(words, llama.context),
        },
        data_start=reader.data_start,
    )


def refusal(reader: Reader) -> str | None:
    """Why the file cannot be converted, told without the words: the end of a sentence.

    ``None`` when :func:`recipe` is likely to work.
    """
    try:
        llama = _understood(reader)
        tokenizer.check_kind(reader)
        tuple(_pieces(reader, llama))
    except GgufError as problem:
        return str(problem)
    return None


def as_json(data: Mapping[str, object]) -> bytes:
    """The same text on every machine."""
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


# ── what the header says ──────────────────────────────────────────────────────────────────────


def _understood(reader: Reader) -> _Llama:
    kind = reader.values.get("general.architecture")
    if kind != b"llama":
        named = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else "not named"
        raise UnconvertibleError(f"its architecture is {named!r}, and only 'llama' is known here")
    if reader.values.get("general.type", b"model") != b"model":
        raise UnconvertibleError("it is not a model of its own, but a part or an addition of one")
    parts = reader.values.get("split.count")
    if isinstance(parts, int) and parts > 1:
        raise UnconvertibleError(f"it is one of {parts} files of a model; join them first")
    lists = sorted(key for key in reader.lengths if key.startswith("llama."))
    if lists:
        raise UnconvertibleError(f"it says `{lists[0]}` for each layer, not as one number")
    said = (key for key in reader.values if key.startswith("llama."))
    strange = sorted(key for key in said if key.removeprefix("llama.") not in _KEYS)
    if strange:
        raise UnconvertibleError(f"it says `{strange[0]}`, whose meaning in 16 bits is not known")
    return _numbers(reader)


def _numbers(reader: Reader) -> _Llama:
    hidden, heads = _count(reader, "embedding_length"), _count(reader, "attention.head_count")
    head_dim = _count(reader, "attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if _count(reader, key, head_dim) != head_dim:
            raise UnconvertibleError(f"its `llama.{key}` is not {head_dim}, the size of a head")
    if head_dim % 2:
        raise GgufError("is damaged: a head has an odd number of values")
    vocabulary = reader.lengths.get(tokenizer.TOKENS, 0)
    if _count(reader, "vocab_size", vocabulary) != vocabulary:
        raise GgufError("is damaged: it has another number of words than it says")
    return _Llama(
        layers=_count(reader, "block_count"),
        hidden=hidden,
        feed_forward=_count(reader, "feed_forward_length"),
        heads=heads,
        kv_heads=_count(reader, "attention.head_count_kv", heads),
        head_dim=head_dim,
        vocabulary=vocabulary,
        context=_count(reader, "context_length"),
        eps=_real(reader, "attention.layer_norm_rms_epsilon", None),
        theta=_real(reader, "rope.freq_base", 10000.0),
        tied=all(tensor.name != "output.weight" for tensor in reader.tensors),
    )


def _count(reader: Reader, key: str, default: int | None = None) -> int:
    value = reader.values.get(f"llama.{key}", default)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise UnconvertibleError(f"it does not say `llama.{key}`, or not as one number")
    return value


def _real(reader: Reader, key: str, default: float | None) -> float:
    """A number of 32 bits as people write it: 1e-05, not 9.999999747378752e-06."""
    value = reader.values.get(f"llama.{key}", default)
    if not isinstance(value, float) or not 0 < value < math.inf:
        raise UnconvertibleError(f"it does not say `llama.{key}`, or not as one number")
    as_stored = struct.pack("<f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next((short for short in shorter if struct.pack("<f", short) == as_stored), value)


# ── what it becomes ───────────────────────────────────────────────────────────────────────────


def _pieces(reader: Reader, llama: _Llama) -> Iterator[Piece]:
    """Every tensor of the file, each once and in its own shape; nothing missing, nothing left."""
    here = {tensor.name: tensor for tensor in reader.tensors}
    if len(here) != len(reader.tensors):
        raise GgufError("is damaged: it names a tensor twice")
    for name, (becomes, shape, head_rows) in _expected(llama):
        tensor = here.pop(name, None)
        if tensor is None:
            raise GgufError(f"is damaged: it has no tensor `{name}`")
        if tensor.dimensions != shape[::-1]:
            raise UnconvertibleError(
                f"its `{name}` is {_by(tensor.dimensions[::-1])}, not {_by(shape)}"
            )
        if tensor.kind not in _KINDS:
            kind = tensor.kind or "of a type that is not known here"
            raise UnconvertibleError(f"its `{name}` is {kind}, whose exact values are not known")
        if shape[-1] % BLOCK_VALUES[tensor.kind]:
            raise GgufError(f"is damaged: a row of `{name}` ends inside a block")
        yield Piece(name=becomes, shape=shape, made_of=tensor, head_rows=head_rows)
    if here:
        raise UnconvertibleError(f"it has a tensor `{min(here)}`, which a plain llama has not")


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _expected(llama: _Llama) -> Iterator[tuple[str, tuple[str, tuple[int, ...], int]]]:
    """Name in the file → name, shape (rows first) and rows to be sorted by head in the folder."""
    table = (llama.vocabulary, llama.hidden)
    yield "token_embd.weight", ("model.embed_tokens.weight", table, 0)
    yield "output_norm.weight", ("model.norm.weight", (llama.hidden,), 0)
    if not llama.tied:
        yield "output.weight", ("lm_head.weight", table, 0)
    wide, narrow = llama.heads * llama.head_dim, llama.kv_heads * llama.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm": (llama.hidden,),
        "attn_q": (wide, llama.hidden),
        "attn_k": (narrow, llama.hidden),
        "attn_v": (narrow, llama.hidden),
        "attn_output": (llama.hidden, wide),
        "ffn_norm": (llama.hidden,),
        "ffn_gate": (llama.feed_forward, llama.hidden),
        "ffn_up": (llama.feed_forward, llama.hidden),
        "ffn_down": (llama.hidden, llama.feed_forward),
    }
    for layer in range(llama.layers):
        for name, becomes in _IN_LAYER.items():
            head_rows = llama.head_dim if name in ("attn_q", "attn_k") else 0
            folder_name = f"model.layers.{layer}.{becomes}.weight"
            yield f"blk.{layer}.{name}.weight", (folder_name, shapes[name], head_rows)


def _config(llama: _Llama, words: tokenizer.Words) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        **words.ids,
        "head_dim": llama.head_dim,
        "hidden_act": "silu",
        "hidden_size": llama.hidden,
        "initializer_range": 0.02,
        "intermediate_size": llama.feed_forward,
        "max_position_embeddings": llama.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": llama.heads,
        "num_hidden_layers": llama.layers,
        "num_key_value_heads": llama.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": llama.eps,
        "rope_scaling": None,
        "rope_theta": llama.theta,
        "tie_word_embeddings": llama.tied,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": llama.vocabulary,
    }
