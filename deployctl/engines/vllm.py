"""vLLM 0.32's server, on NVIDIA cards and on processors: argv, environment, healthcheck. Pure.

What its flags do at start was read in the source of its release 0.32.0, and seen with its build
for processors: 2 × 2048 tokens asked for, 4224 kept, one block of 128 being vLLM's own. On a card
it was not tried by us.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployctl.deadlines import engine_start_s
from deployctl.fitting import allowance, batch_of, load_of
from deployctl.model import (
    Healthcheck,
    Image,
    Mount,
    Service,
    StackFile,
    Text,
    Tmpfs,
    Variable,
)
from deployctl.services.common import (
    CACHE_VOLUME,
    NO_PROXIES,
    asked_by_python,
    generated,
    here,
    reach,
    recipe_for,
    weights_mount,
)
from deployctl.sizing import graph_sizes, pool_bytes, weights_bytes

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

KIND = "vllm"

#: The port inside the container: vLLM's own default, passed all the same.
PORT = 8000

#: Below it the model's folder is mounted, read-only.
MODELS = "/models"

#: What it compiled is kept here, for its next start.
CACHE = "/cache"

#: Our own file in the container: nothing answers without the key (docs/decisions/0007).
_OURS, _GATE = "/opt/deployctl", "vllm_gate"

_MIB = 1024**2
_GIB = 1024**3

#: Seconds that answers under way may still take after a stop was asked for.
_DRAIN_S = 15

#: One check is a fresh Python: whether the image has curl is not certain, Python it has.
_CHECK = asked_by_python(f"http://127.0.0.1:{PORT}/health")

#: The image that the recipe `vllm-cpu` builds from packages. There is none for cards: what CUDA
#: needs is 3 GB of packages that no index is asked for here.
_MADE_FOR = "vllm/vllm-openai-cpu:v0.32.0-x86_64"

_OWNED = (
    *("--model", "--served-model-name", "--host", "--port", "--uds", "--config"),
    *("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--dtype"),
    *("--gpu-memory-utilization", "--device-memory-utilization", "--kv-cache-memory-bytes"),
    *("--kv-cache-memory", "--num-gpu-blocks-override", "--kv-cache-dtype", "--block-size"),
    *("--enforce-eager", "--no-enforce-eager"),
    *("--cudagraph-capture-sizes", "--max-cudagraph-capture-size"),
    *("--reasoning-parser", "--tool-call-parser", "--tool-strict-level"),
    *("--enable-auto-tool-choice", "--no-enable-auto-tool-choice"),
    *("--generation-config", "--override-generation-config", "--api-key"),
    *("--disable-access-log-for-endpoints", "--shutdown-timeout", "--middleware"),
)

#: Flags that follow from the profile's intent; ``engine.extra_args`` may not name them. vLLM's
#: parser takes underscores for dashes.
OWNED_FLAGS = frozenset({*_OWNED, *(f"--{flag[2:].replace('-', '_')}" for flag in _OWNED)})


def owns(flag: str) -> bool:
    """Whether a flag follows from the profile; vLLM's parser also takes the beginning of one."""
    return flag in OWNED_FLAGS or (len(flag) > 4 and any(o.startswith(flag) for o in OWNED_FLAGS))


def service(spec: ProfileSpec, weights_name: str) -> Service:
    """See :class:`deployctl.engines.Engine`; the model is a folder of safetensors."""
    hops, egress = reach(spec, "engine")
    cuda = spec.engine.device == "cuda"
    return Service(
        name="engine",
        image=Image(
            service="engine",
            reference=spec.engine.image,
            recipe=recipe_for(spec.engine.image, _MADE_FOR, "vllm-cpu"),
        ),
        command=_command(spec, f"{MODELS}/{weights_name}"),
        environment=_environment(spec),
        ports=(here(spec.ports.engine, PORT, key="ports.engine"),),
        mounts=(
            weights_mount(weights_name, f"{MODELS}/{weights_name}"),
            Mount(kind="volume", source=CACHE_VOLUME, target=CACHE, read_only=False),
        ),
        files=(
            StackFile(name=f"{_GATE}.py", target=f"{_OURS}/{_GATE}.py", template=f"{_GATE}.py"),
        ),
        # What it compiles for the card is kept here and loaded from here: a place that forbids
        # executing, Docker's default, ends the start.
        tmpfs=(Tmpfs(target="/tmp", size_bytes=_GIB, executable=True),),  # noqa: S108  # inside
        memory_bytes=_memory(spec),
        memory_key="engine.memory",
        cpus=spec.engine.cpus,
        gpu=cuda,
        # Its processes talk through shared memory: ten chunks of 16 MiB for each worker
        # (vllm/envs.py), and its authors ask for 2 GiB with a card.
        shm_bytes=2 * _GIB if cuda else 512 * _MIB,
        hops=hops,
        egress=egress,
        healthcheck=Healthcheck(
            test=_CHECK,
            interval_s=30,
            timeout_s=5,
            retries=3,
            start_period_s=engine_start_s(spec),
            start_interval_s=2,  # each one is a Python that starts, beside one that loads a model
        ),
        stop_grace_s=2 * _DRAIN_S,
    )


# ── argv ──────────────────────────────────────────────────────────────────────────────────────


def _command(spec: ProfileSpec, model: str) -> tuple[str, ...]:
    # The model stands first: flags that take lists would swallow it, and without one vLLM serves
    # a default model of its own.
    words = [
        model,
        *("--served-model-name", spec.model.served_name),
        *("--host", "0.0.0.0"),  # noqa: S104  # inside the container; published on loopback only
        *("--port", str(PORT)),
        *("--max-model-len", str(spec.model.context)),
        *("--max-num-seqs", str(spec.concurrency)),
        # A step decodes one token for each conversation, so it has room for all of them.
        *("--max-num-batched-tokens", str(max(batch_of(spec), spec.concurrency))),
        *_memory_flags(spec),
        *_graphs(spec),
    ]
    if spec.engine.dtype is not None:
        words += ("--dtype", spec.engine.dtype)
    if spec.model.reasoning and spec.model.reasoning_parser is not None:
        words += ("--reasoning-parser", spec.model.reasoning_parser)
    if spec.model.tools and spec.model.tool_parser is not None:
        words += (
            *("--enable-auto-tool-choice", "--tool-call-parser", spec.model.tool_parser),
            # Else arguments keep to their schema only for clients that ask for `strict`.
            *("--tool-strict-level", "parameter"),
        )
    words += (
        # Not what the model's folder says, which may also cap every answer's length.
        *("--generation-config", "vllm"),
        *("--override-generation-config", _sampling(spec)),
        *("--disable-access-log-for-endpoints", "/health,/metrics"),
        *("--middleware", f"{_GATE}.Gate"),
        *("--shutdown-timeout", str(_DRAIN_S)),
    )
    return (*words, *spec.engine.extra_args)


def _sampling(spec: ProfileSpec) -> str:
    sampling = spec.model.sampling.model_dump(exclude_none=True)
    return json.dumps(sampling, separators=(",", ":"))


def _graphs(spec: ProfileSpec) -> tuple[str, ...]:
    """CUDA graphs for the numbers of conversations that can occur; none on a processor."""
    if spec.engine.eager or spec.engine.device != "cuda":
        return ("--enforce-eager",) if spec.engine.eager else ()
    return ("--cudagraph-capture-sizes", *map(str, graph_sizes(spec.concurrency)))


# ── memory ────────────────────────────────────────────────────────────────────────────────────


def _memory_flags(spec: ProfileSpec) -> tuple[str, ...]:
    pool = kv_pool_bytes(spec)
    if pool is None:
        return ("--gpu-memory-utilization", "0.85")
    # Given the size, vLLM measures nothing and takes exactly that.
    words = ("--kv-cache-memory-bytes", str(pool))
    if spec.engine.device != "cuda":
        return words
    # The start is refused all the same where less of the card is free than this share of all of
    # it (request_memory in vllm/v1/worker/utils.py; 0.92 by default). So it is the share without
    # which nothing works, weights and conversations, and the rest is not guessed.
    return (*words, "--gpu-memory-utilization", _certain_share(spec, pool))


def kv_pool_bytes(spec: ProfileSpec) -> int | None:
    """Bytes for all conversations together; ``None`` where that follows from nothing."""
    load = load_of(spec)
    return spec.engine.kv_cache if load is None else pool_bytes(load)


def _certain_share(spec: ProfileSpec, pool: int) -> str:
    gpu = spec.requires.gpu
    if gpu is None:
        return "0.01"
    hundredths = 100 * (_weights(spec) + pool) // gpu.memory
    return f"{min(95, max(1, hundredths)) / 100:.2f}"


def _weights(spec: ProfileSpec) -> int:
    """Bytes of the weights as vLLM holds them; 0 where nothing tells."""
    load = load_of(spec)
    if load is None:
        return spec.model.size or spec.model.size_about or 0
    return load.weights_bytes or weights_bytes(load.shape, load.format)


def _memory(spec: ProfileSpec) -> int:
    """The container's limit, in bytes.

    On a processor vLLM counts the files it has just read as taken, though they could go
    (memory.current in vllm/utils/cpu_resource_utils.py), and refuses to start where the
    conversations do not fit beside them: the weights count twice.
    """
    twice = spec.engine.memory is None and spec.engine.device == "cpu"
    return allowance(spec) + (_weights(spec) if twice else 0)


# ── environment ───────────────────────────────────────────────────────────────────────────────


def _environment(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    return (
        # An empty key means no authentication, silently: Compose must refuse to start instead.
        ("VLLM_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
        ("PYTHONPATH", _OURS),
        ("HF_HUB_OFFLINE", "1"),
        ("VLLM_NO_USAGE_STATS", "1"),
        ("DO_NOT_TRACK", "1"),
        ("NO_COLOR", "1"),
        ("VLLM_DISABLE_LOG_LOGO", "1"),
        # Caches go below it. The user of the container has no name of its own either, and what
        # asks for one (torch, for the name of a folder) fails without an answer.
        ("HOME", "/tmp"),  # noqa: S108  # inside the container
        ("USER", "engine"),
        # Else its processes look for an address to meet at that leads outside.
        ("VLLM_HOST_IP", "127.0.0.1"),
        *((name, _CACHE_FOLDER) for name in _CACHES),
        *(
            _on_processors(spec)
            if spec.engine.device == "cpu"
            else ((name, _CACHE_FOLDER) for name in _CARD_CACHES)
        ),
        *NO_PROXIES,
        # Read by nobody: a file replaced in place must give a new container.
        ("DEPLOYCTL_WEIGHTS", Variable(name="DEPLOYCTL_WEIGHTS", default="as-named")),
    )


#: A folder of the cache volume, one for each image and model: `up` names it. Plain Compose has not
#: made the volume writable for the container's user, so there it is in memory.
_CACHE_FOLDER = Variable(name="DEPLOYCTL_ENGINE_CACHE", default="/tmp/cache")  # noqa: S108  # inside

#: Whose caches go there: vLLM's own, torch's compiler's, and what else keeps to the convention for
#: caches (FlashInfer); with a card Triton's and the driver's.
_CACHES = ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME")
_CARD_CACHES = ("TRITON_CACHE_DIR", "CUDA_CACHE_PATH")


def _on_processors(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    """One thread for each physical core of the machine, which only `up` knows, or as many as asked.

    vLLM itself ties its threads to cores and keeps one for the processes that only hand things on:
    of two cores, half. What each of these brings was measured: benchmarks/results/streams.md.
    """
    threads: Text = Variable(name="DEPLOYCTL_THREADS", default="2")
    if spec.engine.cpus is not None:
        threads = str(max(1, int(spec.engine.cpus)))
    return (
        ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
        ("OMP_NUM_THREADS", threads),
        # The model in the process of its scheduler: no copies from one to the other for each
        # token, and one process less that starts.
        ("VLLM_ENABLE_V1_MULTIPROCESSING", "0"),
        # What is compiled ahead of time for a processor cannot be loaded again in this release
        # ('function' object has no attribute 'finalize_loading', then it compiles anew); what
        # torch's own cache keeps can.
        ("VLLM_USE_AOT_COMPILE", "0"),
        # Headers that torch compiles ahead of its kernels go to /tmp, whatever the cache folder is
        # called, and are compiled at every start, even where no kernel is left to compile.
        ("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0"),
    )
