"""Engines: intent in, argv, environment and container out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployctl.engines import engine, llama_cpp, vllm
from deployctl.fitting import allowance
from deployctl.model import Service, Tmpfs, Variable
from deployctl.profiles.schema import ProfileSpec
from deployctl.sources import parse_source
from tests.profilefiles import CATALOG, shipped

RECORDS = Path(__file__).parent / "records"
VLLM_FLAGS = frozenset(
    line
    for line in (RECORDS / "vllm-0.32-flags.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith("--")
)


def made(name: str, *sets: str) -> tuple[ProfileSpec, Service]:
    spec = shipped(name, *sets).spec
    weights = parse_source(spec.model.source).filename
    return spec, engine(spec.engine.kind).service(spec, weights)


def after(service: Service, flag: str) -> str:
    """The word behind a flag; the flag must be there once."""
    (at,) = (index for index, word in enumerate(service.command) if word == flag)
    return service.command[at + 1]


def environment(service: Service) -> dict[str, object]:
    return dict(service.environment)


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_every_engine_s_words_are_plain_text_and_name_the_mounted_model(name: str) -> None:
    _, service = made(name)
    assert all(isinstance(word, str) for word in service.command)
    (mount,) = (each for each in service.mounts if isinstance(each.source, Variable))
    assert mount.read_only
    assert mount.target in service.command
    assert mount.target.startswith("/models/")


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_no_flag_of_ours_may_be_given_again(name: str) -> None:
    """What the engine derives and what ``extra_args`` may name do not overlap."""
    spec, service = made(name)
    given = {word for word in service.command if word.startswith("-")}
    assert given <= engine(spec.engine.kind).OWNED_FLAGS


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_only_what_the_profile_computes_on_is_handed_over(name: str) -> None:
    spec, service = made(name)
    device = spec.engine.device
    assert service.gpu is (device == "cuda")
    assert service.devices == (("/dev/dri",) if device == "vulkan" else ())
    assert bool(service.groups) is (device == "vulkan")
    assert (service.hops, service.egress) == (1, False)


# ── llama.cpp ─────────────────────────────────────────────────────────────────────────────────


def test_llama_cpp_gives_every_conversation_its_whole_context() -> None:
    _, service = made("smoke", "concurrency=16")
    assert after(service, "--ctx-size") == str(16 * 2048)
    assert after(service, "--parallel") == "16"
    assert after(service, "--fit") == "off"


def test_llama_cpp_reads_as_much_of_a_question_as_the_profile_says() -> None:
    _, service = made("smoke")
    assert (after(service, "--batch-size"), after(service, "--ubatch-size")) == ("512", "512")
    _, service = made("smoke", "engine.batch=128")
    assert (after(service, "--batch-size"), after(service, "--ubatch-size")) == ("128", "128")


def test_llama_cpp_s_threads_are_the_machine_s_cores_unless_the_profile_limits_them() -> None:
    _, service = made("smoke")
    threads = environment(service)["LLAMA_ARG_THREADS"]
    assert threads == Variable(name="DEPLOYCTL_THREADS", default="-1")
    assert "--threads" not in service.command
    assert service.cpus is None


@pytest.mark.parametrize(("cpus", "threads"), [("4", "4"), ("2.5", "2"), ("0.5", "1")])
def test_llama_cpp_has_no_more_threads_than_processors(cpus: str, threads: str) -> None:
    _, service = made("smoke", f"engine.cpus={cpus}")
    assert after(service, "--threads") == after(service, "--threads-batch") == threads
    assert "LLAMA_ARG_THREADS" not in environment(service)
    assert service.cpus == float(cpus)


def test_llama_cpp_keeps_conversations_as_the_profile_says() -> None:
    _, service = made("smoke")
    assert "--cache-type-k" not in service.command
    _, service = made("smoke", "engine.kv_type=q8_0")
    assert after(service, "--cache-type-k") == after(service, "--cache-type-v") == "q8_0"


@pytest.mark.parametrize(
    ("name", "layers"), [("smoke", False), ("gpu-4gb", True), ("vulkan", True)]
)
def test_llama_cpp_puts_the_whole_model_on_a_card(name: str, layers: bool) -> None:
    _, service = made(name)
    assert ("--n-gpu-layers" in service.command) is layers
    # Only the processors' build can be made from packages.
    assert (service.image.recipe is None) is layers


def test_a_card_s_group_is_one_that_compose_accepts_and_up_fills_in() -> None:
    _, service = made("vulkan")
    assert service.groups == (Variable(name="DEPLOYCTL_RENDER_GID", default="10001"),)


def test_an_engine_may_use_what_it_is_predicted_to_need_unless_the_profile_says() -> None:
    spec, service = made("cpu-only")
    assert service.memory_bytes == allowance(spec)
    _, service = made("cpu-only", "engine.memory=3GiB")
    assert service.memory_bytes == 3 * 1024**3


# ── vLLM ──────────────────────────────────────────────────────────────────────────────────────


def test_vllm_on_a_card_whole() -> None:
    _, service = made("rtx3060")
    assert service.command == (
        "/models/DeepSeek-R1-Distill-Qwen-1.5B",
        *("--served-model-name", "deepseek-r1-1.5b"),
        *("--host", "0.0.0.0"),
        *("--port", "8000"),
        *("--max-model-len", "8192"),
        *("--max-num-seqs", "8"),
        *("--max-num-batched-tokens", "2048"),
        # 8 × 8192 tokens of 28 672 bytes, and one block of 16.
        *("--kv-cache-memory-bytes", str((8 * 8192 + 16) * 28672)),
        # (3 554 176 000 + that) ÷ 12 GiB, rounded down.
        *("--gpu-memory-utilization", "0.42"),
        *("--cudagraph-capture-sizes", "1", "2", "4", "8"),
        *("--dtype", "bfloat16"),
        *("--reasoning-parser", "deepseek_r1"),
        *("--generation-config", "vllm"),
        *("--override-generation-config", '{"temperature":0.6,"top_p":0.95,"min_p":0.0}'),
        *("--disable-access-log-for-endpoints", "/health,/metrics"),
        *("--middleware", "vllm_gate.Gate"),
        *("--shutdown-timeout", "15"),
    )
    assert service.gpu
    assert service.shm_bytes == 2 * 1024**3
    assert service.image.recipe is None


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_vllm_knows_every_flag_that_it_is_given(name: str) -> None:
    spec, service = made(name)
    if spec.engine.kind == vllm.KIND:
        assert {word for word in service.command if word.startswith("-")} <= VLLM_FLAGS


def test_vllm_knows_every_flag_it_may_be_given() -> None:
    sets = ("model.tools=true", "engine.eager=false")
    _, service = made("cpu-vllm", *sets)
    assert {word for word in service.command if word.startswith("-")} <= VLLM_FLAGS
    assert "--swap-space" not in VLLM_FLAGS  # gone by 0.32: the list can say no


def test_vllm_is_told_the_model_first_because_lists_swallow_what_follows() -> None:
    for name in ("rtx3060", "gpu-6gb", "smoke-vllm"):
        _, service = made(name)
        assert service.command[0].startswith("/models/")


@pytest.mark.parametrize(
    ("concurrency", "sizes"),
    [(1, "1"), (2, "1 2"), (3, "1 2 3"), (4, "1 2 4"), (12, "1 2 4 8 12"), (20, "1 2 4 8 16 20")],
)
def test_vllm_captures_graphs_for_as_many_as_there_can_be(concurrency: int, sizes: str) -> None:
    _, service = made("rtx3060", f"concurrency={concurrency}")
    at = service.command.index("--cudagraph-capture-sizes") + 1
    assert service.command[at : at + len(sizes.split())] == tuple(sizes.split())
    assert service.command[at + len(sizes.split())].startswith("--")


def test_vllm_without_graphs_captures_none() -> None:
    _, service = made("gpu-6gb")
    assert "--enforce-eager" in service.command
    assert "--cudagraph-capture-sizes" not in service.command
    _, service = made("smoke-vllm", "engine.eager=false")
    assert "--enforce-eager" not in service.command
    assert "--cudagraph-capture-sizes" not in service.command


@pytest.mark.parametrize(
    ("name", "sets", "tokens"),
    [
        ("rtx3060", ("concurrency=1", "model.context=8192"), 8192 + 16),
        ("rtx3060", ("concurrency=3", "model.context=8200"), 3 * 8208 + 16),
        # On a processor a block is 128 tokens.
        ("cpu-vllm", ("concurrency=3", "model.context=4100"), 3 * 4224 + 128),
        ("cpu-vllm", ("engine.dtype=float32",), 2 * (2 * 4096 + 128)),  # twice the bytes
    ],
)
def test_vllm_keeps_whole_blocks_and_one_of_its_own(
    name: str, sets: tuple[str, ...], tokens: int
) -> None:
    spec, service = made(name, *sets)
    assert after(service, "--kv-cache-memory-bytes") == str(tokens * 28672)
    assert vllm.kv_pool_bytes(spec) == tokens * 28672


def test_vllm_keeps_more_where_the_profile_says_so() -> None:
    _, service = made("rtx3060", "engine.kv_cache=4GiB")
    assert after(service, "--kv-cache-memory-bytes") == str(4 * 1024**3)
    assert after(service, "--gpu-memory-utilization") == "0.60"


def test_vllm_s_start_asks_for_no_more_of_the_card_than_what_is_certain() -> None:
    """0.92, the default, refuses a 6 GB card with a desktop on it."""
    _, service = made("gpu-6gb")
    share = float(after(service, "--gpu-memory-utilization"))
    weights, conversations = 3_554_176_000, (4 * 4096 + 16) * 28672
    assert share * 6 * 1024**3 <= weights + conversations
    assert (share + 0.01) * 6 * 1024**3 > weights + conversations


def test_vllm_on_a_processor_asks_for_no_share_of_anything() -> None:
    spec, service = made("cpu-vllm")
    assert "--gpu-memory-utilization" not in service.command
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment(service)  # whole GiB only, and it would win
    # The files just read count against the limit when vLLM looks: once more the weights.
    assert service.memory_bytes == allowance(spec) + 3_087_428_608
    assert not service.gpu


def test_vllm_s_step_has_room_for_every_conversation() -> None:
    _, service = made("gpu-6gb", "concurrency=64", "engine.batch=32")
    assert after(service, "--max-num-batched-tokens") == "64"


def test_vllm_without_a_known_shape_decides_for_itself() -> None:
    spec = shipped("gpu-6gb").spec
    model = spec.model.model_copy(update={"shape": None})
    service = vllm.service(spec.model_copy(update={"model": model}), "x")
    assert "--kv-cache-memory-bytes" not in service.command
    assert after(service, "--gpu-memory-utilization") == "0.85"


def test_vllm_calls_tools_only_where_the_profile_wants_them() -> None:
    _, service = made("cpu-vllm")
    assert "--enable-auto-tool-choice" not in service.command
    _, service = made("cpu-vllm", "model.tools=true")
    assert "--enable-auto-tool-choice" in service.command
    assert after(service, "--tool-call-parser") == "hermes"


def test_vllm_samples_as_the_profile_says() -> None:
    _, service = made("cpu-vllm", "model.sampling.min_p=0.05")
    assert json.loads(after(service, "--override-generation-config")) == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "min_p": 0.05,
    }


def test_vllm_writes_only_where_it_may_and_may_load_what_it_compiled() -> None:
    _, service = made("rtx3060")
    assert service.tmpfs == (Tmpfs(target="/tmp", size_bytes=1024**3, executable=True),)
    assert environment(service)["HOME"] == "/tmp"
    assert environment(service)["USER"]  # no such user in the image: asking for it must not fail


def test_vllm_says_nothing_to_anybody_and_wants_a_key() -> None:
    for name in ("rtx3060", "smoke-vllm"):
        _, service = made(name)
        seen = environment(service)
        key = seen["VLLM_API_KEY"]
        assert isinstance(key, Variable)
        assert key.required
        for variable in ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
            assert seen[variable] == "1"
        assert service.stop_grace_s > int(after(service, "--shutdown-timeout"))


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), Variable(name="DEPLOYCTL_THREADS", default="2")),
        (("engine.cpus=2.5",), "2"),
        (("engine.cpus=0.5",), "1"),
    ],
)
def test_vllm_s_threads_on_a_processor(sets: tuple[str, ...], expected: object) -> None:
    _, service = made("smoke-vllm", *sets)
    seen = environment(service)
    assert (seen["OMP_NUM_THREADS"], seen["VLLM_CPU_OMP_THREADS_BIND"]) == (expected, "nobind")
    _, on_a_card = made("rtx3060")
    assert not {"OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND"} & set(environment(on_a_card))


def test_vllm_keeps_what_it_compiled_where_up_says() -> None:
    place = Variable(name="DEPLOYCTL_ENGINE_CACHE", default="/tmp/cache")
    for name in ("smoke-vllm", "rtx3060"):
        _, service = made(name)
        seen = environment(service)
        for variable in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR"):
            assert seen[variable] == place
        assert [(m.source, m.target) for m in service.mounts if m.kind == "volume"] == [
            ("engine-cache", "/cache")
        ]


def test_vllm_s_flags_may_not_be_given_again_in_the_other_spelling_either() -> None:
    assert {"--max-model-len", "--max_model_len"} <= vllm.OWNED_FLAGS
    assert {"-c", "--ctx-size", "-ngl", "-t"} <= llama_cpp.OWNED_FLAGS


def test_what_a_profile_adds_comes_last_and_wins() -> None:
    for name in ("smoke", "smoke-vllm"):
        _, service = made(name, "engine.extra_args=[--made-up, value]")
        assert service.command[-2:] == ("--made-up", "value")
