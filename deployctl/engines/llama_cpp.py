"""llama.cpp's server (build b11434): argv, environment, healthcheck. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.model import Healthcheck, Image, Mount, Port, Service, Tmpfs, Variable
from deployctl.services import NO_PROXIES, generated

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
        *("-c", "--ctx-size", "-np", "--parallel", "-kvu", "--kv-unified"),
        *("-fa", "--flash-attn", "--cache-ram", "-cram", "--api-key", "--api-key-file"),
        *("--metrics", "--slots", "--no-slots", "--ui", "--no-ui", "--webui", "--no-webui"),
        *("--offline", "-hf", "--hf-repo", "--reasoning-budget"),
        *("--temp", "--temperature", "--top-p", "--top-k", "--min-p", "-n", "--predict"),
    }
)


def service(spec: ProfileSpec, weights_name: str) -> Service:
    """See :class:`deployctl.engines.Engine`."""
    return Service(
        name="engine",
        image=Image(service="engine", reference=spec.engine.image, recipe="llama-cpp"),
        command=_command(spec, weights_name),
        environment=(
            # An empty key means no authentication, silently: Compose must refuse to start instead.
            ("LLAMA_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
            *NO_PROXIES,
            # Read by nobody: a file replaced in place must give a new container.
            ("DEPLOYCTL_WEIGHTS", Variable(name="DEPLOYCTL_WEIGHTS", default="as-named")),
        ),
        ports=(Port(address="127.0.0.1", host_port=spec.ports.engine, container_port=PORT),),
        mounts=(
            Mount(
                kind="bind",
                source=Variable(name="DEPLOYCTL_MODEL", default=f"./models/{weights_name}"),
                target=f"{MODELS}/{weights_name}",
                read_only=True,
            ),
        ),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=64 * 1024**2),),  # noqa: S108  # inside the container
        memory_bytes=spec.engine.memory,
        healthcheck=Healthcheck(
            # The image's own check has a fixed port and no start period.
            test=(
                *("curl", "-fsS", "--noproxy", "*", "-o", "/dev/null"),
                f"http://127.0.0.1:{PORT}/health",
            ),
            interval_s=30,
            timeout_s=5,
            retries=3,
            start_period_s=spec.deadlines.engine,
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
        *("--ctx-size", str(model.context * spec.concurrency)),
        *("--parallel", str(spec.concurrency)),
        *("--flash-attn", "on"),
        # The default keeps up to 8 GiB of host memory for prompts of the past.
        *("--cache-ram", "0"),
        # Other people's sampling parameters are nobody's business; the chat window is the frontend.
        "--no-slots",
        "--no-ui",
        "--metrics",
        "--offline",
    ]
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
