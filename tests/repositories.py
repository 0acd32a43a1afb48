"""Small repositories of models as the hub has them: configuration, tokenizer, tensors."""

from __future__ import annotations

import json
from typing import Any

#: The keys that the configuration of a Qwen2 model really has.
QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def safetensors(data_bytes: int = 4096, *, seed: int = 1) -> bytes:
    """A whole file of one tensor whose data is ``data_bytes`` long (even)."""
    tensor = {"dtype": "BF16", "shape": [data_bytes // 2], "data_offsets": [0, data_bytes]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": tensor}).encode()
    header += b" " * (-len(header) % 8)
    pattern = bytes((seed * 7 + i * 13) % 256 for i in range(251))
    return (
        len(header).to_bytes(8, "little")
        + header
        + (pattern * (data_bytes // 251 + 1))[:data_bytes]
    )


def as_json(data: object) -> bytes:
    """The bytes of a JSON file."""
    return json.dumps(data).encode()


def repository(*, seed: int = 1, shard_bytes: int = 32 * 1024) -> dict[str, bytes]:
    """A repository in two shards, with what else lies in such repositories."""
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"metadata": {}, "weight_map": dict(zip("ab", names, strict=True))}
    return {
        ".gitattributes": b"*.safetensors filter=lfs",
        "README.md": b"# A model",
        "LICENSE.txt": b"MIT",
        "chat_template.jinja": b"{% for m in messages %}{{ m['content'] }}{% endfor %}",
        "config.json": as_json(QWEN2),
        "generation_config.json": as_json({"temperature": 0.6, "top_p": 0.95}),
        "model.gguf": b"GGUF the same once more",
        names[0]: safetensors(shard_bytes, seed=seed),
        names[1]: safetensors(shard_bytes, seed=seed + 1),
        "model.safetensors.index.json": as_json(index),
        "modeling.py": b"raise SystemExit",
        "onnx/model.onnx": b"the same once more",
        "original/consolidated.00.pth": b"the same once more",
        "pytorch_model.bin": b"the same once more",
        "pytorch_model.bin.index.json": b"{}",
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
    }


#: What of :func:`repository` makes the folder of a model.
PARTS = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
]
