"""What the configuration files of a repository say of the model. Pure: data in, values out.

``config.json`` gives the dimensions, ``generation_config.json`` the authors' sampling,
``tokenizer_config.json`` mostly the chat template. Keys as transformers writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployctl.model import ModelShape

_KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "feed_forward": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
    "trained_context": ("max_position_embeddings", "n_positions", "max_sequence_length"),
}
_KV_HEADS = ("num_key_value_heads", "num_kv_heads")

#: Families whose name in GGUF is another one than their ``model_type``.
_GGUF_NAMES = {"mistral": "llama", "gemma3_text": "gemma3", "qwen2_5_vl_text": "qwen2vl"}

#: Families that share both tables unless they say otherwise. For all others the answer is no:
#: that never promises less memory than is needed.
_TIED = frozenset(
    {"bloom", "cohere", "cohere2", "gemma", "gemma2", "gemma3_text", "gpt2", "opt", "smollm3"}
    | {"starcoder2"}
)

#: Not the plain decoder that a :class:`ModelShape` describes: experts, compressed attention.
_OTHER_KINDS = ("num_experts", "num_local_experts", "n_routed_experts", "kv_lora_rank")

_WRITES = ("CausalLM", "ConditionalGeneration", "LMHeadModel")
_DTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}


class ConfigError(Exception):
    """A file says too little or too much; the text is a sentence without a full stop."""


def shape_of(config: Mapping[str, Any]) -> ModelShape | None:
    """The dimensions; ``None`` for a model with experts or compressed attention.

    Raises ``ConfigError`` that names the key that is missing, or what the model is instead.
    """
    kinds = [str(kind) for kind in config.get("architectures") or ()]
    if kinds and not any(word in kind for kind in kinds for word in _WRITES):
        raise ConfigError(f"config.json says that it is a {kinds[0]}, which writes no answers")
    text = config.get("text_config")  # a model that also sees: the part that writes
    if isinstance(text, Mapping):
        config = {**config, **text}
    if any(config.get(key) for key in _OTHER_KINDS):
        return None
    found = {name: _number(config, keys) for name, keys in _KEYS.items()}
    if found["feed_forward"] is None and config.get("model_type") == "gpt2" and found["hidden"]:
        found["feed_forward"] = 4 * found["hidden"]  # what the absent key means there
    sure = {name: value for name, value in found.items() if value is not None}
    if missing := [_KEYS[name][0] for name in found if name not in sure]:
        raise ConfigError(f"config.json does not say `{missing[0]}`")
    kind = str(config.get("model_type", "unknown"))
    tied = config.get("tie_word_embeddings")
    one_for_all = 1 if config.get("multi_query") else sure["heads"]
    return ModelShape(
        architecture=_GGUF_NAMES.get(kind, kind.replace("_", "")),
        kv_heads=_number(config, _KV_HEADS) or one_for_all,
        head_dim=_number(config, ("head_dim",)) or max(1, sure["hidden"] // sure["heads"]),
        tied_embeddings=tied if isinstance(tied, bool) else kind in _TIED,
        **sure,
    )


def format_of(config: Mapping[str, Any]) -> str | None:
    """What the tensors are stored in: the name of the quantization, or bf16, f16, f32."""
    quantized = config.get("quantization_config")
    if isinstance(quantized, Mapping) and isinstance(quantized.get("quant_method"), str):
        return str(quantized["quant_method"])
    text = config.get("text_config")
    inside = text if isinstance(text, Mapping) else {}
    for place in (config, inside):
        dtype = place.get("dtype") or place.get("torch_dtype")
        if isinstance(dtype, str):
            return _DTYPES.get(dtype.removeprefix("torch."))
    return None


def sampling_of(generation: Mapping[str, Any]) -> dict[str, float | int]:
    """The sampling that the authors ship, as keys of ``model.sampling``; what is absurd is not."""
    found: dict[str, float | int] = {"temperature": 0.7, "top_p": 0.95}
    limits = {"temperature": (0, 2), "top_p": (0.001, 1), "top_k": (0, 1000), "min_p": (0, 1)}
    for key, (low, high) in limits.items():
        value = generation.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
            found[key] = int(value) if key == "top_k" else float(value)
    return found


def templates_of(tokenizer: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The chat template, and the one that is used with tools where that is another one."""
    written = tokenizer.get("chat_template")
    if isinstance(written, str):
        return written, None
    named = {
        str(item.get("name")): item["template"]
        for item in (written if isinstance(written, list) else [])
        if isinstance(item, Mapping) and isinstance(item.get("template"), str)
    }
    first = next(iter(named.values()), None)
    return named.get("default", first), named.get("tool_use")


def _number(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
