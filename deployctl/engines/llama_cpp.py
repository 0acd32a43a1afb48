"""llama.cpp's server (build b11434): argv, environment, healthcheck. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deadlines import engine_start_s
from deployctl.fitting import allowance, batch_of, context_of
from deployctl.model import (
    Healthcheck,
    Image,
    Service,
    Text,
    Tmpfs,
    Variable,
)
from deployctl.services.common import NO_PROXIES, generated, here, reach, recipe_for, weights_mount

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

KIND = "llama.cpp"

#: The port inside the container. Always passed: the server's own default is about to change.
PORT = 8080

#: Where the model file is mounted, read-only.
MODELS = "/models"

#: Flags that follow from the profile's intent; ``engine.extra_args`` may not name them.
OWNED_FLAGS = frozenset(
    {
        *("-m", "--model", "-a", "--alias", "--host", "--port"),
        *(
            "-c",
            "--ctx-size",
            "-np",
            "--parallel",
            "-kvu",
            "--kv-unified",
            "-no-kvu",
            "--no-kv-unified",
        ),
        *(
            "-fa",
            "--flash-attn",
            "--cache-ram",
            "-cram",
            "--api-key",
            "--api-key-file",
            "--api-prefix",
        ),
        *("--metrics", "--slots", "--no-slots", "--ui", "--no-ui", "--webui", "--no-webui"),
        *(
            "--offline",
            "-hf",
            "-hfr",
            "--hf-repo",
            "-hff",
            "--hf-file",
            "-mu",
            "--model-url",
            "--reasoning-budget",
            "-fit",
            "--fit",
        ),
        *("-t", "--threads", "-tb", "--threads-batch"),
        *("-b", "--batch-size", "-ub", "--ubatch-size"),
        *("-ctk", "--cache-type-k", "-ctv", "--cache-type-v"),
        *("-ngl", "--gpu-layers", "--n-gpu-layers", "-lm", "--load-mode"),
        *("-lv", "--verbosity", "--log-verbosity", "-v", "--verbose", "--log-verbose"),
        *(
            "--temp",
            "--temperature",
            "--top-p",
            "--top-k",
            "--min-p",
            "-n",
            "--predict",
            "--n-predict",
        ),
    }
)


#: The image that the recipe `llama-cpp` builds from packages; it has no compiler for cards.
_MADE_FOR = "ghcr.io/ggml-org/llama.cpp:server-b11434"

#: Who may use a card through /dev/dri: a group with another number on every machine, which `up`
#: looks up. The default is the container's own group: one that Compose accepts and that opens
#: nothing.
_RENDER = Variable(name="DEPLOYCTL_RENDER_GID", default="10001")


def owns(flag: str) -> bool:
    """Whether a flag follows from the profile."""
    return flag in OWNED_FLAGS


def service(spec: ProfileSpec, weights_name: str) -> Service:
    """See :class:`deployctl.engines.Engine`; the model is one GGUF file."""
    hops, egress = reach(spec, "engine")
    device = spec.engine.device
    return Service(
        name="engine",
        image=Image(
            service="engine",
            reference=spec.engine.image,
            recipe=recipe_for(spec.engine.image, _MADE_FOR, "llama-cpp"),
        ),
        command=_command(spec, weights_name),
        environment=(
            *_threads(spec),
            # An empty key means no authentication, silently: Compose must refuse to start instead.
            ("LLAMA_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
            *NO_PROXIES,
            # Read by nobody: a file replaced in place must give a new container.
            ("DEPLOYCTL_WEIGHTS", Variable(name="DEPLOYCTL_WEIGHTS", default="as-named")),
        ),
        ports=(here(spec.ports.engine, PORT, key="ports.engine"),),
        mounts=(weights_mount(weights_name, f"{MODELS}/{weights_name}"),),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=64 * 1024**2),),  # noqa: S108  # inside the container
        memory_bytes=allowance(spec),
        memory_key="engine.memory",
        cpus=spec.engine.cpus,
        gpu=device == "cuda",
        devices=("/dev/dri",) if device == "vulkan" else (),
        groups=(_RENDER,) if device == "vulkan" else (),
        hops=hops,
        egress=egress,
        healthcheck=Healthcheck(
            # The image's own check has a fixed port and no start period.
            test=(
                *("curl", "-fsS", "--noproxy", "*", "-o", "/dev/null"),
                f"http://127.0.0.1:{PORT}/health",
            ),
            interval_s=30,
            timeout_s=5,
            retries=3,
            start_period_s=engine_start_s(spec),
            start_interval_s=1,
        ),
        stop_grace_s=10,
    )


def _command(spec: ProfileSpec, weights_name: str) -> tuple[str, ...]:
    model = spec.model
    words = [
        *("--model", f"{MODELS}/{weights_name}"),
        *("--alias", model.served_name),
        *("--host", "0.0.0.0"),  # noqa: S104  # inside the container; published on loopback only
        *("--port", str(PORT)),
        # The context is a pool: an explicit --parallel divides it evenly, so ask for it per person.
        *("--ctx-size", str(context_of(spec) * spec.concurrency)),
        *("--parallel", str(spec.concurrency)),
        # A step reads this much of a question and works on all of it at once.
        *("--batch-size", str(batch_of(spec))),
        *("--ubatch-size", str(batch_of(spec))),
        *("--flash-attn", "on"),
        # The plan has decided what fits; it must not become less without a word.
        *("--fit", "off"),
        # The plan's words, said again by the engine: what it took for what (levels below are mute).
        *("--log-verbosity", "4"),
        # The default keeps up to 8 GiB of host memory for prompts of the past.
        *("--cache-ram", "0"),
        # Other people's sampling parameters are nobody's business; the chat window is the frontend.
        "--no-slots",
        "--no-ui",
        "--metrics",
        "--offline",
    ]
    if spec.engine.device == "cpu":
        # Weights are rearranged for the processor; mapped, the file's own would stay beside them
        # (measured: 1906 MiB against 1311 with the default model).
        words += ("--load-mode", "none")
    else:
        words += ("--n-gpu-layers", "all")  # without a card even 0 is warned about
    if spec.engine.cpus is not None:
        threads = str(max(1, int(spec.engine.cpus)))
        words += ("--threads", threads, "--threads-batch", threads)
    if spec.engine.kv_type is not None:
        words += ("--cache-type-k", spec.engine.kv_type, "--cache-type-v", spec.engine.kv_type)
    if spec.engine.reasoning_budget is not None:
        words += ("--reasoning-budget", str(spec.engine.reasoning_budget))
    sampling = model.sampling
    for flag, value in (
        ("--temp", sampling.temperature),
        ("--top-p", sampling.top_p),
        ("--top-k", sampling.top_k),
        ("--min-p", sampling.min_p),
    ):
        if value is not None:
            words += (flag, f"{value:g}")
    return (*words, *spec.engine.extra_args)


def _threads(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    """One thread for each physical core of the machine, which only `up` knows.

    The server reads -1 as: all the hardware threads it sees (common/arg.cpp). There is no variable
    for the threads that read questions; without one they are as many.
    """
    if spec.engine.cpus is not None:
        return ()
    return (("LLAMA_ARG_THREADS", Variable(name="DEPLOYCTL_THREADS", default="-1")),)
