"""What a model says of itself, from its own file or the beginning of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployctl.chattemplate import traits_of
from deployctl.errors import DeployctlError, Fault
from deployctl.hfconfig import ConfigError, format_of, sampling_of, shape_of, templates_of
from deployctl.inspect import ModelInspector
from deployctl.profiles.schema import ModelSpec
from deployctl.weights.check import verify
from deployctl.weights.problems import CorruptError
from tests.ggufs import SMOLLM2, described, gguf
from tests.hubserver import HubServer
from tests.llamas import Llama, original
from tests.repositories import PARTS, QWEN2, as_json, repository, safetensors
from tests.unit.conftest import Shelf, spec

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}<|im_end|>{% endfor %}"
HERMES = CHATML + "{%- if tools %}<tool_call>{{ tools | tojson }}</tool_call>{% endif %}"
QWEN3 = HERMES + "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
R1 = (
    "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% endif %}"
    "{% if m['tool_calls'] is defined %}<｜tool▁calls▁begin｜>{% endif %}{% endfor %}"
    "{% if '</think>' in content %}{% endif %}{{ '<｜Assistant｜><think>\\n' }}"
)
LLAMA3 = (
    "<|start_header_id|>{% if tools is not none %}Respond as "
    '{"name": function name, "parameters": …}{{ tools }}{% endif %}'
)
SMALL = described(SMOLLM2, template=CHATML)
SMOLLM2_SHAPE = {
    "architecture": "llama",
    "layers": 30,
    "hidden": 576,
    "feed_forward": 1536,
    "heads": 9,
    "kv_heads": 3,
    "head_dim": 64,
    "vocabulary": 49152,
    "tied_embeddings": True,
    "trained_context": 8192,
}
QWEN2_SHAPE = {
    "architecture": "qwen2",
    "layers": 28,
    "hidden": 1536,
    "feed_forward": 8960,
    "heads": 12,
    "kv_heads": 2,
    "head_dim": 128,
    "vocabulary": 151936,
    "tied_embeddings": False,
    "trained_context": 131072,
}
FILES = {
    **repository(),
    "chat_template.jinja": R1.encode(),
    "consolidated.safetensors": safetensors(512),
}
TENSOR_BYTES = sum(len(FILES[name]) for name in PARTS if name.endswith(".safetensors"))
REPOSITORY = {
    "name": "repo BF16",
    "served_name": "repo",
    "size": f"{TENSOR_BYTES}B",
    "license": "MIT",
    "gated": False,
    "reasoning": True,
    "reasoning_parser": "deepseek_r1",
    "tools": False,
    "tool_template": False,
    "sampling": {"temperature": 0.6, "top_p": 0.95},
    "format": "bf16",
    "shape": QWEN2_SHAPE,
}


@pytest.fixture
def shelf(shelf: Shelf, hub: HubServer) -> Shelf:
    shelf.environment["HF_ENDPOINT"] = hub.url
    return shelf


def inspector(shelf: Shelf) -> ModelInspector:
    return ModelInspector(shelf.store, shelf.environment)


def said(shelf: Shelf, source: str) -> Mapping[str, Any]:
    """What is said, which a profile accepts, and says the same for a refinement."""
    found = inspector(shelf).strict(source)
    assert found is not None
    assert inspector(shelf)(source) == found
    ModelSpec(source=source, context=1024, max_tokens=512, **found)
    return found


def fails(shelf: Shelf, source: str) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        inspector(shelf).strict(source)
    return caught.value.faults[0]


def asks(shelf: Shelf, source: str) -> str:
    """The hint about a source that was typed in this command."""
    store = shelf.store
    store.again = f"deployctl up --profile smoke --model {source} --stack s"
    with pytest.raises(DeployctlError) as caught:
        ModelInspector(store, shelf.environment).strict(source)
    return caught.value.faults[0].hint


def test_a_file_without_its_kind_is_named_with_it(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/m.gguf").write_bytes(SMALL)
    meant = f"deployctl up --profile smoke --stack s --model file:{tmp_path}/sub/m.gguf"
    monkeypatch.chdir(tmp_path)
    for typed in (f"{tmp_path}/sub/m.gguf", "sub/m.gguf", "file:sub/m.gguf", "./sub/m.gguf"):
        assert asks(shelf, typed) == meant
    assert asks(shelf, "none.gguf") == (
        f"deployctl up --profile smoke --stack s --model file:{tmp_path}/none.gguf"
    )
    assert asks(shelf, "org/repo") == ("deployctl up --profile smoke --stack s --model hf:org/repo")


def test_of_a_folder_the_largest_model_is_named_instead_of_it(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "a-page.gguf").write_bytes(b"<html>" + bytes(9999))
    (tmp_path / "b.gguf").write_bytes(SMALL[:100])
    (tmp_path / "c.gguf").write_bytes(SMALL)
    os.mkfifo(tmp_path / "d.gguf")
    assert asks(shelf, f"file:{tmp_path}") == (
        f"deployctl up --profile smoke --stack s --model file:{tmp_path}/c.gguf"
        "  # or another of its files"
    )
    for name in ("b.gguf", "c.gguf"):
        (tmp_path / name).unlink()
    assert asks(shelf, f"file:{tmp_path}") == (
        f"ls -l {tmp_path}  # shows what is there; then correct model.source"
    )


# ── GGUF ──────────────────────────────────────────────────────────────────────────────────────


def test_a_gguf_file_of_the_operator(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(SMALL)
    assert said(shelf, "file:~/SmolLM2-135M-Instruct.Q4_1.gguf") == {
        "name": "SmolLM2-135M-Instruct.Q4_1",
        "served_name": "smollm2-135m-instruct.q4_1",
        "size": f"{len(SMALL)}B",
        "license": "Apache-2.0",
        "gated": False,
        "reasoning": False,
        "tools": False,
        "tool_template": False,
        "sampling": {"temperature": 0.7, "top_p": 0.95},
        "format": "q4_1",
        "shape": SMOLLM2_SHAPE,
    }


def test_the_beginning_of_a_file_on_the_hub_is_enough(shelf: Shelf, hub: HubServer) -> None:
    content = described(SMOLLM2, template=HERMES) + b"\0" * (3 << 20)
    hub.add("org/repo", {"m.gguf": content})
    found = said(shelf, "hf:org/repo:m.gguf")
    assert found["shape"] == SMOLLM2_SHAPE
    assert found["size"] == f"{len(content)}B"
    assert (found["tool_template"], found["tool_parser"]) == (True, "hermes")
    ranges = [seen.headers["range"] for seen in hub.bodies()]
    assert ranges[:2] == ["bytes=0-1048575", "bytes=1048576-4194303"]
    assert shelf.files() == []


def test_the_hub_says_the_licence_that_the_file_does_not(shelf: Shelf, hub: HubServer) -> None:
    bare = {key: value for key, value in SMOLLM2.items() if key != "general.license"}
    hub.add("org/repo", {"m.gguf": described(bare)})
    assert said(shelf, "hf:org/repo:m.gguf")["license"] == "unknown"
    hub.licenses["org/repo"] = "llama3.2"
    assert said(shelf, "hf:org/repo:m.gguf")["license"] == "llama3.2"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_a_web_server(shelf: Shelf, hub: HubServer, ranges: bool) -> None:
    hub.add("x", {"m.gguf": SMALL})["m.gguf"].ranges = ranges
    found = said(shelf, f"{hub.url}/web/x/m.gguf?download=true")
    assert (found["name"], found["shape"]) == ("m", SMOLLM2_SHAPE)


def test_a_server_that_does_not_say_how_large_the_file_is(shelf: Shelf, hub: HubServer) -> None:
    file = hub.add("x", {"m.gguf": SMALL})["m.gguf"]
    file.ranges = file.says_length = False
    assert "does not say how large m.gguf is" in fails(shelf, f"{hub.url}/web/x/m.gguf").message


def test_a_fetched_file_is_read_here(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", {"m.gguf": SMALL})
    shelf.store.fetch(spec("hf:org/repo:m.gguf"), progress=shelf.heard)
    hub.stop()
    assert said(shelf, "hf:org/repo:m.gguf")["shape"] == SMOLLM2_SHAPE


def test_a_wheel_is_read_once_it_was_fetched(shelf: Shelf) -> None:
    source = "wheel:p==1:a/m.gguf"
    assert inspector(shelf).strict(source) is None
    assert inspector(shelf)(source) is None
    path = shelf.store.path_of(spec(source).source)
    path.parent.mkdir(parents=True)
    path.write_bytes(SMALL)
    assert said(shelf, source)["shape"] == SMOLLM2_SHAPE


def test_of_what_a_file_becomes_its_header_tells(
    shelf: Shelf, hub: HubServer, tmp_path: Path
) -> None:
    path = Llama().write(tmp_path / "Tiny.F32.gguf")
    hub.add("org/repo", {"Tiny.F32.gguf": path.read_bytes()})
    for source in (f"file:{path}", "hf:org/repo:Tiny.F32.gguf"):
        of_the_file, found = said(shelf, source), said(shelf, f"bf16:{source}")
        assert found == {
            **{key: value for key, value in of_the_file.items() if key != "size"},
            "name": "Tiny.F32 BF16",
            "format": "bf16",
            "size_about": f"{2 * sum(v.size for v in original().values())}B",
        }
    assert not any("bf16" in name for name in shelf.files())


def test_of_what_was_made_of_a_file_the_folder_tells(shelf: Shelf, tmp_path: Path) -> None:
    path = Llama().write(tmp_path / "Tiny.F32.gguf")
    source = f"bf16:file:{path}"
    before = said(shelf, source)
    made = shelf.store.fetch(spec(source), progress=shelf.heard)
    found = said(shelf, source)
    assert found == {
        **{key: value for key, value in before.items() if key != "size_about"},
        "size": f"{made.size_bytes}B",
    }
    path.unlink()
    alone = inspector(shelf).strict(source)
    assert alone is not None
    for key in ("shape", "size", "format", "tool_template", "reasoning"):
        assert alone[key] == found[key]


def test_what_cannot_be_converted_is_refused_before_it_is_fetched(
    shelf: Shelf, hub: HubServer, tmp_path: Path
) -> None:
    content = Llama(values={"tokenizer.ggml.pre": "qwen2"}).write(tmp_path / "m.gguf").read_bytes()
    hub.add("org/repo", {"m.gguf": content, "m-00001-of-00002.gguf": content})
    fault = fails(shelf, "bf16:hf:org/repo:m.gguf")
    assert fault.code == "weights-unconvertible"
    assert fault.message == (
        "m.gguf cannot be converted: its tokenizer is 'gpt2' with the pre-tokenizer 'qwen2', and "
        "only 'gpt2' with 'smollm' is known here."
    )
    assert shelf.files() == []
    part = fails(shelf, "bf16:hf:org/repo:m-00001-of-00002.gguf")
    assert (part.code, "join them" in part.message) == ("model-unreadable", True)


def test_a_wheel_that_is_not_here_tells_nothing_of_its_folder(shelf: Shelf) -> None:
    assert inspector(shelf).strict("bf16:wheel:p==1:a/m.gguf") is None
    assert inspector(shelf)(f"bf16:file:{shelf.root}/none.gguf") is None


def test_what_cannot_be_understood_is_said(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<!doctype html>")
    (tmp_path / "cut.gguf").write_bytes(SMALL[:1000])
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(SMALL)
    faults = [fails(shelf, f"file:{tmp_path}/{name}.gguf") for name in ("page", "cut")]
    assert [fault.code for fault in faults] == ["model-unreadable"] * 2
    assert faults[0].message == (
        "The model page.gguf cannot be understood: page.gguf is not a GGUF model: it begins with "
        "`<!do`, not with `GGUF`."
    )
    assert "ends inside its own header" in faults[1].message
    assert "is one of several" in fails(shelf, f"file:{tmp_path}/m-00001-of-00002.gguf").message
    with pytest.raises(DeployctlError):
        inspector(shelf)(f"file:{tmp_path}/page.gguf")


def test_what_is_no_plain_decoder_has_no_shape(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf())
    found = said(shelf, f"file:{tmp_path}/m.gguf")
    assert "shape" not in found
    assert found["format"] == "f32"


def test_the_hint_names_one_model_only(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<!doctype html>")
    source = f"file:{tmp_path}/page.gguf"
    store = shelf.store
    for again, hint in (
        (
            f"deployctl up --profile smoke --model {source} --set 'ports.webui=1'",
            "`deployctl up --profile smoke --set ports.webui=1 --model hf:ORG/REPO:FILE.gguf`",
        ),
        (
            f"deployctl up --set model.source={source}",
            "`deployctl up --model hf:ORG/REPO:FILE.gguf`",
        ),
    ):
        store.again = again
        with pytest.raises(DeployctlError) as caught:
            ModelInspector(store, shelf.environment).strict(source)
        assert hint in caught.value.faults[0].hint


def test_what_is_no_regular_file_is_not_opened(shelf: Shelf, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "pipe.gguf", "/dev/zero"):
        fault = fails(shelf, f"file:{path}")
        assert fault.code == "weights-not-found"
        assert "is not a regular file" in fault.message
        with pytest.raises(DeployctlError):
            inspector(shelf)(f"file:{path}")


def test_a_folder_with_a_pipe_in_it(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in PARTS:
        (folder / name).write_bytes(FILES[name])
    for name in ("generation_config.json", "config.json"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        if name != "config.json":
            assert said(shelf, f"file:{folder}")["shape"] == QWEN2_SHAPE
    assert fails(shelf, f"file:{folder}").code == "weights-not-found"


def test_a_check_does_not_open_a_pipe(shelf: Shelf, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    with pytest.raises(CorruptError, match="is not a regular file"):
        verify(
            pipe,
            name=pipe.name,
            sha256=None,
            size_bytes=None,
            progress=shelf.heard,
            clock=lambda: 0.0,
        )


# ── repositories and folders ──────────────────────────────────────────────────────────────────


def test_a_repository_is_described_by_its_small_files(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", FILES)
    hub.licenses["org/repo"] = "mit"
    assert said(shelf, "hf:org/repo") == REPOSITORY
    asked = {seen.path.rpartition("/")[2] for seen in hub.seen if "/resolve/" in seen.path}
    assert asked == {"config.json", "generation_config.json", "chat_template.jinja"}
    hub.says_sizes = False
    assert said(shelf, "hf:org/repo") == REPOSITORY


def test_a_fetched_repository_says_the_same_without_a_network(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", FILES)
    hub.licenses["org/repo"] = "mit"
    shelf.store.fetch(spec("hf:org/repo"), progress=shelf.heard)
    hub.stop()
    assert said(shelf, "hf:org/repo") == REPOSITORY


def test_the_size_it_says_is_the_size_that_is_fetched(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", FILES)
    got = shelf.store.fetch(spec("hf:org/repo", size_bytes=TENSOR_BYTES), progress=shelf.heard)
    assert f"{got.size_bytes}B" == REPOSITORY["size"]


def test_a_folder_of_the_operator(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "My Model"
    folder.mkdir()
    for name in (*PARTS, "consolidated.safetensors"):
        (folder / name).write_bytes(FILES[name])
    expected = {**REPOSITORY, "name": "My Model BF16", "served_name": "my-model"}
    assert said(shelf, f"file:{folder}/") == {**expected, "license": "unknown"}


def test_a_gated_repository_says_so_where_its_files_may_be_read(
    shelf: Shelf, hub: HubServer
) -> None:
    for file in hub.add("org/repo", FILES).values():
        file.token = "hf_right"
    fault = fails(shelf, "hf:org/repo")
    assert fault.code == "weights-denied"
    assert "HF_TOKEN=" in fault.hint
    assert f"{hub.url}/org/repo" in fault.hint
    assert inspector(shelf)("hf:org/repo") is None
    shelf.environment["HF_TOKEN"] = "hf_right"
    assert said(shelf, "hf:org/repo")["gated"] is True


def test_a_key_that_is_missing_is_named(shelf: Shelf, hub: HubServer) -> None:
    config = {key: value for key, value in QWEN2.items() if key != "num_hidden_layers"}
    hub.add("org/repo", {**FILES, "config.json": as_json(config)})
    fault = fails(shelf, "hf:org/repo")
    assert (fault.code, fault.message) == (
        "model-unreadable",
        "The model repo cannot be understood: config.json does not say `num_hidden_layers`.",
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "config.json is not JSON"),
        (b"[1]", "config.json holds no map of keys"),
        (as_json({**QWEN2, "num_hidden_layers": 10**9}), "its `layers` would be 1000000000"),
        (as_json({**QWEN2, "architectures": ["BertModel"]}), "is a BertModel, which writes no"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    shelf: Shelf, hub: HubServer, content: bytes, why: str
) -> None:
    hub.add("org/repo", {**FILES, "config.json": content})
    fault = fails(shelf, "hf:org/repo")
    assert fault.code == "model-unreadable"
    assert why in fault.message


# ── what does not answer ──────────────────────────────────────────────────────────────────────


def test_silence_is_a_failure_only_where_nothing_else_is_known(
    shelf: Shelf, hub: HubServer, tmp_path: Path
) -> None:
    hub.stop()
    for source in ("hf:org/repo", "hf:org/repo:m.gguf", f"{hub.url}/web/m.gguf"):
        assert inspector(shelf)(source) is None
        assert fails(shelf, source).code == "weights-unreachable"
    assert inspector(shelf)(f"file:{tmp_path}/none.gguf") is None
    assert fails(shelf, f"file:{tmp_path}/none.gguf").code == "weights-not-found"
    assert inspector(shelf)("nonsense") is None
    assert fails(shelf, "nonsense").code == "source-invalid"


def test_what_does_not_exist_is_wrong_for_sure(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", FILES)
    assert fails(shelf, "hf:org/repo:none.gguf").code == "weights-not-found"
    with pytest.raises(DeployctlError):
        inspector(shelf)(f"{hub.url}/web/none.gguf")


# ── pure ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("template", "reasoning", "tools", "reasoning_parser", "tool_parser"),
    [
        (CHATML, False, False, None, None),
        (HERMES, False, True, None, "hermes"),
        (R1, True, False, "deepseek_r1", None),
        (R1 + "{% if enable_thinking %}{% endif %}", True, False, "deepseek_r1", None),
        (R1 + "{% if not thinking %}{% endif %}", True, False, None, None),
        (LLAMA3, False, True, None, "llama3_json"),
        (QWEN3, True, True, "qwen3", "hermes"),
        (HERMES + "{% if enable_thinking %}<think>{% endif %}", True, True, None, "hermes"),
        (CHATML + "<think>", True, False, None, None),
        ("Use your tools. {{ 'tools' }} {# tools #}", False, False, None, None),
        ("{% for t in tools %}[TOOL]{% endfor %}", False, True, None, None),
        ("", False, False, None, None),
    ],
)
def test_templates_tell_what_their_models_can(
    template: str,
    reasoning: bool,
    tools: bool,
    reasoning_parser: str | None,
    tool_parser: str | None,
) -> None:
    traits = traits_of(template)
    assert (traits.reasoning, traits.tools) == (reasoning, tools)
    assert (traits.reasoning_parser, traits.tool_parser) == (reasoning_parser, tool_parser)


def test_named_templates() -> None:
    both = [{"name": "tool_use", "template": HERMES}, {"name": "default", "template": CHATML}]
    assert templates_of({"chat_template": both}) == (CHATML, HERMES)
    assert templates_of({"chat_template": [{"name": "x", "template": CHATML}]}) == (CHATML, None)
    assert templates_of({"chat_template": 7}) == (None, None)


def test_shapes_of_other_families() -> None:
    gpt2 = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": 768,
        "n_head": 12,
        "n_layer": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
        "n_inner": None,
    }
    shape = shape_of(gpt2)
    assert shape is not None
    assert (shape.feed_forward, shape.kv_heads, shape.tied_embeddings) == (3072, 12, True)
    sees = {"model_type": "mistral3", "text_config": {**QWEN2, "head_dim": 64}}
    shape = shape_of(sees)
    assert shape is not None
    assert (shape.hidden, shape.head_dim) == (1536, 64)
    assert shape_of({**QWEN2, "num_experts": 8}) is None
    assert shape_of({**QWEN2, "model_type": "new_thing"}) is not None
    with pytest.raises(ConfigError):
        shape_of({})


def test_what_the_tensors_are_stored_in() -> None:
    assert format_of({"torch_dtype": "float16"}) == "f16"
    assert format_of({"dtype": "bfloat16"}) == "bf16"
    assert format_of({"text_config": {"dtype": "float32"}}) == "f32"
    assert format_of({"quantization_config": {"quant_method": "awq"}}) == "awq"
    assert format_of({}) is None


def test_absurd_sampling_is_left_out() -> None:
    assert sampling_of({"temperature": 9, "top_p": 0.8, "top_k": 20, "min_p": True}) == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
    }
