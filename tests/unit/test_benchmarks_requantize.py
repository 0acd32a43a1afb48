"""The second model of `compare`: the same one in another format, of the benchmarks' own making."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize

from benchmarks.requantize import requantize


def small_model(path: Path, *, tied: bool = True) -> None:
    chance = np.random.default_rng(1)
    writer = GGUFWriter(path, "llama")
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_name("small")
    writer.add_token_list(["a", "é", "<|end|>"])
    writer.add_float32("llama.rope.freq_base", 100000.0)
    matrices = {"token_embd.weight": (3, 64), "blk.0.attn_q.weight": (64, 64)}
    if not tied:
        matrices["output.weight"] = (3, 64)
    for name, shape in matrices.items():
        numbers = chance.standard_normal(shape, np.float32)
        stored = quantize(numbers, GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, stored, raw_dtype=GGMLQuantizationType.Q8_0)
    odd = chance.standard_normal((4, 20), np.float32)  # no multiple of a block
    writer.add_tensor("blk.0.odd.weight", odd)
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def kinds(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}


def test_matrices_change_and_what_the_type_cannot_hold_stays(tmp_path: Path) -> None:
    small_model(tmp_path / "in.gguf")
    requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "q4_0")
    assert kinds(tmp_path / "out.gguf") == {
        "token_embd.weight": "Q8_0",  # picks the next token
        "blk.0.attn_q.weight": "Q4_0",
        "blk.0.odd.weight": "F32",
        "blk.0.attn_norm.weight": "F32",
    }


def test_an_output_of_its_own_keeps_the_eight_bits(tmp_path: Path) -> None:
    small_model(tmp_path / "in.gguf", tied=False)
    requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "q4_1")
    found = kinds(tmp_path / "out.gguf")
    assert (found["token_embd.weight"], found["output.weight"]) == ("Q4_1", "Q8_0")


@pytest.mark.parametrize(("form", "error"), [("q8_0", 0.0), ("f16", 0.002), ("q4_1", 0.2)])
def test_the_numbers_are_the_same_but_for_rounding(tmp_path: Path, form: str, error: float) -> None:
    small_model(tmp_path / "in.gguf")
    requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", form)
    for old, new in zip(
        GGUFReader(tmp_path / "in.gguf").tensors,
        GGUFReader(tmp_path / "out.gguf").tensors,
        strict=True,
    ):
        before = dequantize(old.data, old.tensor_type)
        after = dequantize(new.data, new.tensor_type)
        assert np.abs(before - after).max() <= error


def test_all_that_is_said_of_the_model_stays_but_its_format(tmp_path: Path) -> None:
    small_model(tmp_path / "in.gguf")
    requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "q4_0")
    before, after = (
        {
            name: field.contents()
            for name, field in GGUFReader(tmp_path / file).fields.items()
            if not name.startswith("GGUF.")
        }
        for file in ("in.gguf", "out.gguf")
    )
    assert before.pop("general.file_type") == LlamaFileType.MOSTLY_Q8_0
    assert after.pop("general.file_type") == LlamaFileType.MOSTLY_Q4_0
    assert after == before
