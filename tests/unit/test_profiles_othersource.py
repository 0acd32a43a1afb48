"""A model whose source was changed: what is known of it then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.inspect import ModelInspector
from deployctl.planner import build_plan
from deployctl.profiles.document import Readers
from deployctl.profiles.explain import shown
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.schema import ModelSpec
from deployctl.profiles.selection import Selection
from tests.ggufs import SMOLLM2, described
from tests.llamas import Llama, original
from tests.profilefiles import CATALOG, Files, Models, shipped
from tests.unit.conftest import Shelf

R1: dict[str, str | int] = {
    "general.architecture": "qwen2",
    "general.file_type": 3,
    "qwen2.block_count": 28,
    "qwen2.context_length": 131072,
    "qwen2.embedding_length": 1536,
    "qwen2.feed_forward_length": 8960,
    "qwen2.attention.head_count": 12,
    "qwen2.attention.head_count_kv": 2,
}
R1_NAME = "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf"
LLAMA_CPP = [
    name for name in CATALOG.shipped_names() if shipped(name).spec.engine.kind == "llama.cpp"
]
SMALL = described({**SMOLLM2, "general.file_type": 15}, words=64)


def _inspector(shelf: Shelf) -> Any:  # Inspector
    inspector = ModelInspector(shelf.store, shelf.environment)

    def inspect(source: str, *, strict: bool, need: bool = False) -> Mapping[str, Any] | None:
        return inspector.strict(source, need=need) if strict else inspector(source)

    return inspect


def laid(shelf: Shelf, profile: str, *sets: str, model: str | None = None) -> Profile:
    readers = CATALOG.readers(_inspector(shelf))
    return resolve(Selection(profile=profile, sets=sets, model=model), readers)


def mine(shelf: Shelf, text: str, *sets: str) -> ModelSpec:
    readers = Readers(profile=Files(mine=text), model=Models(), inspect=_inspector(shelf))
    return resolve(Selection(profile="mine", sets=sets), readers).spec.model


def refused(shelf: Shelf, profile: str, *sets: str, model: str | None = None) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        build_plan(laid(shelf, profile, *sets, model=model))
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize("profile", LLAMA_CPP)
@pytest.mark.parametrize("by_set", [False, True])
def test_a_file_of_another_model_is_described_by_itself(
    shelf: Shelf, tmp_path: Path, profile: str, by_set: bool
) -> None:
    """No profile's model comes as f16, and none is as small as this."""
    path = tmp_path / "Tiny.F16.gguf"
    keys: dict[str, str | int] = {**SMOLLM2, "general.file_type": 1, "llama.block_count": 3}
    path.write_bytes(described(keys, words=64))
    source = f"file:{path}"
    found = (
        laid(shelf, profile, f"model.source={source}")
        if by_set
        else laid(shelf, profile, model=source)
    )
    model, before = found.spec.model, shipped(profile).spec.model
    said = ModelInspector(shelf.store, shelf.environment).strict(source)
    assert said is not None
    expected = {"source": source, "context": before.context, "max_tokens": before.max_tokens}
    assert model == ModelSpec.model_validate({**expected, **said})
    assert not any("models/" in str(at) for at in found.origins.values())


@pytest.mark.parametrize("name", ["carried.gguf", R1_NAME])
def test_the_same_model_carried_by_hand_keeps_what_the_catalog_says(
    shelf: Shelf, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(described(R1, words=151936))
    found = laid(shelf, "cpu-only", f"model.source=file:{tmp_path}/{name}")
    model, before = found.spec.model, shipped("cpu-only").spec.model
    assert model.name == "DeepSeek-R1-Distill-Qwen-1.5B Q4_1"
    for key in ("use", "served_name", "license", "reasoning", "reasoning_parser", "sampling"):
        assert getattr(model, key) == getattr(before, key)
    assert (model.format, model.size) == ("q4_1", (tmp_path / name).stat().st_size)
    assert (model.size_about, model.sha256) == (None, None)


@pytest.mark.parametrize("kind", ["hf:org/repo:", "https://mirror.example/m/", "file:/nowhere/"])
def test_what_cannot_be_looked_into_is_judged_by_its_name(shelf: Shelf, kind: str) -> None:
    same = laid(shelf, "cpu-only", f"model.source={kind}{R1_NAME}").spec.model
    assert (same.use, same.format) == ("deepseek-r1-distill-qwen-1.5b", "q4_k_m")
    assert same.shape is not None
    eight = R1_NAME.replace("Q4_K_M", "Q8_0")
    larger = laid(shelf, "cpu-only", f"model.source={kind}{eight}").spec.model
    assert (larger.name, larger.format) == ("DeepSeek-R1-Distill-Qwen-1.5B Q8_0", "q8_0")
    assert larger.size_about is None
    other = laid(shelf, "cpu-only", f"model.source={kind}qwen2.5-7b-q8_0.gguf").spec.model
    assert (other.name, other.license) == ("qwen2.5-7b-q8_0", "unknown")
    assert (other.use, other.format, other.shape, other.size_about) == (None, None, None, None)


@pytest.mark.parametrize(
    "source",
    [
        "hf:HuggingFaceTB/SmolLM2-135M-Instruct",
        "file:/nowhere/SmolLM2-135M-Instruct",
        "bf16:file:/nowhere/SmolLM2-135M-Instruct.Q4_1.gguf",
        "bf16:hf:org/repo:smollm2-135m-instruct.q4_1.gguf",
    ],
)
def test_the_original_of_a_folder_made_here_is_the_same_model(shelf: Shelf, source: str) -> None:
    found = laid(shelf, "smoke-vllm", f"model.source={source}").spec.model
    before = shipped("smoke-vllm").spec.model
    assert before.source.startswith("bf16:wheel:")
    kept = ("use", "name", "format", "served_name", "license", "shape", "sampling")
    assert [getattr(found, key) for key in kept] == [getattr(before, key) for key in kept]
    assert (found.source, found.sha256, found.size, found.size_about) == (source, *[None] * 3)


def test_a_folder_made_of_a_file_here_is_described_by_that_file(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = Llama().write(tmp_path / "tiny.gguf")
    found = laid(shelf, "smoke-vllm", f"model.source=bf16:file:{path}").spec.model
    assert (found.name, found.format, found.use) == ("tiny BF16", "bf16", None)
    assert found.shape is not None
    assert (found.shape.layers, found.size) == (2, None)
    assert found.size_about == 2 * sum(values.size for values in original().values())


def test_a_folder_for_vllm_is_refused_for_llama_cpp(shelf: Shelf) -> None:
    fault = refused(shelf, "smoke", "model.source=bf16:file:/nowhere/m.gguf")
    assert "It is a folder for vLLM; llama.cpp reads the GGUF file as it is." in fault.message
    assert fault.hint.endswith("--set model.source=file:/nowhere/m.gguf")
    by_hand = refused(shelf, "smoke-vllm", "model.source=file:/nowhere/m.gguf")
    assert "It is a GGUF file, and vLLM reads folders of safetensors." in by_hand.message
    assert by_hand.hint.endswith("--set model.source=bf16:file:/nowhere/m.gguf")


def test_a_model_file_for_vllm_is_made_a_folder_of_where_it_was_typed(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = Llama().write(tmp_path / "tiny.gguf")
    fault = refused(shelf, "smoke-vllm", model=f"file:{path}")
    assert fault.hint.endswith(f"--model bf16:file:{path}")


def test_the_layer_that_names_the_source_may_describe_the_model(
    shelf: Shelf, tmp_path: Path
) -> None:
    text = (
        "extends: cpu-only\nmodel: {source: 'hf:org/repo:m-Q8_0.gguf', name: Mine, "
        "format: q8_0, license: MIT, size_about: 1GiB}\n"
    )
    model = mine(shelf, text)
    assert (model.name, model.license, model.format) == ("Mine", "MIT", "q8_0")
    assert (model.size_about, model.shape) == (1 << 30, None)
    (tmp_path / "small.gguf").write_bytes(SMALL)
    over = mine(shelf, text, f"model.source=file:{tmp_path}/small.gguf", "model.name=Ours")
    assert (over.name, over.license, over.format) == ("Ours", "Apache-2.0", "q4_k_m")
    named = mine(shelf, text, "model.source=https://mirror.example/m-Q8_0.gguf")
    assert (named.name, named.license) == ("Mine", "MIT")


def test_a_former_model_s_source_is_no_change_of_the_new_one(shelf: Shelf) -> None:
    text = "extends: mid\nmodel: {use: llama-3.2-1b-instruct}\n"
    mid = f"extends: cpu-only\nmodel: {{source: 'https://mirror.example/{R1_NAME}'}}\n"
    readers = Readers(profile=Files(mine=text, mid=mid), model=Models())
    for sets in ((), ("model.source=https://m.example/Llama-3.2-1B-Instruct-Q4_K_M.gguf",)):
        model = resolve(Selection(profile="mine", sets=sets), readers).spec.model
        assert model.name == "Llama-3.2-1B-Instruct Q4_K_M"
        assert model.sampling.min_p is None


@pytest.mark.parametrize("name", ["Tiny.gguf", R1_NAME])
def test_what_is_shown_means_the_same(shelf: Shelf, tmp_path: Path, name: str) -> None:
    keys = R1 if name == R1_NAME else SMOLLM2
    (tmp_path / name).write_bytes(described(keys, words=151936))
    found = laid(shelf, "cpu-only", f"model.source=file:{tmp_path}/{name}")
    assert mine(shelf, shown(found)) == found.spec.model


def test_a_file_that_cannot_be_understood_is_told_where_it_is_named(
    shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "x.gguf").write_bytes(b"<html>")
    typed = refused(shelf, "smoke", model=f"file:{tmp_path}/x.gguf")
    assert (typed.code, typed.where) == ("model-unreadable", f"--model file:{tmp_path}/x.gguf")
    chosen = refused(shelf, "smoke", f"model.source=file:{tmp_path}/x.gguf")
    assert (chosen.code, chosen.where) == ("model-unreadable", "--set model.source")


def test_a_wheel_that_is_not_here_says_nothing(shelf: Shelf) -> None:
    fault = refused(shelf, "smoke", model="wheel:p==1:a/m.gguf")
    assert (fault.code, fault.where) == ("model-unreadable", "--model wheel:p==1:a/m.gguf")


# ── how much it needs ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_set", [False, True])
def test_a_file_that_is_not_there_is_named_before_anything_else(
    shelf: Shelf, tmp_path: Path, by_set: bool
) -> None:
    source = f"file:{tmp_path}/missing/folder/m.gguf"
    fault = (
        refused(shelf, "smoke", f"model.source={source}")
        if by_set
        else refused(shelf, "smoke", model=source)
    )
    assert fault.code == "weights-not-found"
    assert f"{tmp_path}/missing/folder/m.gguf" in fault.message
    assert f"ls -l {tmp_path}  #" in fault.hint  # the nearest folder that is there


def test_a_file_for_another_machine_may_be_described_instead(shelf: Shelf) -> None:
    source = "model.source=file:/does/not/exist.gguf"
    assert build_plan(laid(shelf, "smoke", source, "engine.memory=1GiB"))
    assert laid(shelf, "smoke", source).spec.model.shape is None  # `profile show` shows it


@pytest.mark.parametrize("by_set", [False, True])
def test_a_file_of_an_unknown_family_is_not_said_to_be_away(
    shelf: Shelf, tmp_path: Path, by_set: bool
) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(described({"general.architecture": "odder", "general.file_type": 1}))
    fault = (
        refused(shelf, "smoke", f"model.source=file:{path}")
        if by_set
        else refused(shelf, "smoke", model=f"file:{path}")
    )
    assert fault.code == "model-unreadable"
    assert "'odder'" in fault.message
    assert "--set engine.memory=" in fault.hint
    assert build_plan(laid(shelf, "smoke", f"model.source=file:{path}", "engine.memory=1GiB"))


def test_a_hub_that_is_away_is_left_to_the_plan(shelf: Shelf) -> None:
    fault = refused(shelf, "smoke", "model.source=hf:nobody/nothing:m.gguf")
    assert fault.code == "profile-invalid"
    assert "not here to be read" in fault.message
