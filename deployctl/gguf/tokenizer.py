"""The tokenizer of a GGUF file as ``tokenizer.json`` and ``tokenizer_config.json``. Pure.

One kind is known: byte-level BPE with the pre-tokenizer that llama.cpp calls ``smollm``. It was
compared with llama.cpp itself and with the conversion that transformers makes, text by text. What
text is cut into before the merges is not in the file but in each program, so that every other kind
would need the same proof.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from deployctl.gguf.reader import GgufError, Reader
from deployctl.gguf.refusal import UnconvertibleError

TOKENS = "tokenizer.ggml.tokens"
TYPES = "tokenizer.ggml.token_type"
MERGES = "tokenizer.ggml.merges"

#: ``tokenizer.ggml.token_type``: an ordinary word, and one that only a program writes.
_NORMAL, _CONTROL = 1, 3

#: Key in ``config.json`` → what GGUF calls it. llama.cpp names the same words by default.
_IDS = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}

#: Switches that change what text becomes; on, each of them would need a proof of its own.
_SWITCHES = ("add_bos_token", "add_eos_token", "add_space_prefix")

#: Further words that end an answer for llama.cpp.
_OTHER_ENDS = ("eot_token_id", "eom_token_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The vocabulary: words in the order of their numbers, merges in the order of their rank."""

    tokens: tuple[str, ...]
    special: tuple[int, ...]
    merges: tuple[str, ...]
    ids: Mapping[str, int]  # as config.json names them, without what the file does not say
    unknown: int | None
    template: str | None


def check_kind(reader: Reader) -> None:
    """Refuse every other kind of tokenizer, with ``UnconvertibleError``."""
    model, kind = (_text(reader, f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if model != "gpt2" or kind != "smollm":
        raise UnconvertibleError(
            f"its tokenizer is {model!r} with the pre-tokenizer {kind!r}, and only 'gpt2' with "
            "'smollm' is known here"
        )
    if "tokenizer.chat_template" in reader.lengths:
        raise UnconvertibleError("its chat template is longer than any that is known here")
    on = [switch for switch in _SWITCHES if reader.values.get(f"tokenizer.ggml.{switch}")]
    if on:
        raise UnconvertibleError(f"its tokenizer sets `{on[0]}`, which is not known here")


def read(reader: Reader, vocabulary: int) -> Words:
    """The words of the file, checked. Raises ``UnconvertibleError``, ``GgufError``."""
    check_kind(reader)
    tokens, merges = _texts(reader, TOKENS), _texts(reader, MERGES)
    types = reader.lists.get(TYPES, ())
    if not len(tokens) == len(types) == len(set(tokens)) == vocabulary:
        raise GgufError("is damaged: its words and their types do not fit together")
    if other := set(types) - {_NORMAL, _CONTROL}:
        raise UnconvertibleError(
            f"it has words of the type {min(map(str, other))}, which is not known here"
        )
    known = set(tokens)
    for merge in merges:
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= known:
            raise GgufError("is damaged: it joins words that it does not have")
    ids = {
        key: found
        for key, name in _IDS.items()
        if (found := _id(reader, f"{name}_token_id", vocabulary)) is not None
    }
    if "eos_token_id" not in ids:
        raise UnconvertibleError("it does not say which word ends an answer")
    ends = {_id(reader, name, vocabulary) for name in _OTHER_ENDS} - {None}
    if ends - {ids["eos_token_id"]}:
        raise UnconvertibleError("it names several words that end an answer")
    return Words(
        tokens=tokens,
        special=tuple(number for number, kind in enumerate(types) if kind == _CONTROL),
        merges=merges,
        ids=ids,
        unknown=_id(reader, "unknown_token_id", vocabulary),
        template=_text(reader, "tokenizer.chat_template"),
    )


def _text(reader: Reader, key: str) -> str | None:
    value = reader.values.get(key)
    return None if not isinstance(value, bytes) else _decoded(value)


def _texts(reader: Reader, key: str) -> tuple[str, ...]:
    return tuple(_decoded(item) for item in reader.lists.get(key, ()) if isinstance(item, bytes))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise GgufError("is damaged: a text in its header is not UTF-8") from None


def _id(reader: Reader, name: str, vocabulary: int) -> int | None:
    value = reader.values.get(f"tokenizer.ggml.{name}")
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < vocabulary:
        raise GgufError(f"is damaged: its `{name}` is no word of it")
    return value


# ── the files ─────────────────────────────────────────────────────────────────────────────────


def files(words: Words, context: int) -> dict[str, bytes]:
    """``tokenizer.json`` and ``tokenizer_config.json``, by name."""
    compact = json.dumps(_tokenizer(words), ensure_ascii=False, separators=(",", ":"))
    config = json.dumps(_config(words, context), ensure_ascii=False, indent=2)
    return {
        "tokenizer.json": f"{compact}\n".encode(),
        "tokenizer_config.json": f"{config}\n".encode(),
    }


def _tokenizer(words: Words) -> dict[str, object]:
    bytes_as_letters = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, **_added(words, number)} for number in words.special],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**bytes_as_letters, "add_prefix_space": False},
            ],
        },
        "post_processor": None,
        "decoder": {**bytes_as_letters, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(words.tokens)},
            "merges": words.merges,
        },
    }


def _added(words: Words, number: int) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": words.tokens[number], **flags, "special": True}


def _config(words: Words, context: int) -> dict[str, object]:
    named = {key.removesuffix("_id"): words.tokens[number] for key, number in words.ids.items()}
    if words.unknown is not None:
        named["unk_token"] = words.tokens[words.unknown]
    template = {} if words.template is None else {"chat_template": words.template}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(n): _added(words, n) for n in words.special},
        "additional_special_tokens": [words.tokens[number] for number in words.special],
        **named,
        **template,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        # The class that takes tokenizer.json as it is; those of models bring rules of their own.
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
