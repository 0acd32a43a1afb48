"""Which value of a profile stands behind a flag, a variable or a limit of the stack. Pure.

For people who read a change: ``--ctx-size 4096 → 8192`` is theirs only with the line beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons import switched_on
from deployctl.profiles.excerpt import where

if TYPE_CHECKING:
    from deployctl.changes import Cause
    from deployctl.model import Service
    from deployctl.profiles.resolve import Profile

_ENGINE: dict[str, tuple[str, ...]] = {
    "image": ("engine.image",),
    "mem_limit": ("engine.memory", "model.context", "concurrency"),
    "memswap_limit": ("engine.memory", "model.context", "concurrency"),
    "cpus": ("engine.cpus",),
    "ports": ("ports.engine",),
    "volumes": ("model.source",),
    "model file": ("model.source",),
    "networks": ("egress",),
    "dns": ("egress",),
    "sysctls": ("egress",),
    "healthcheck": (  # a deadline that nobody wrote follows from the others
        *("deadlines.engine", "model.use", "model.source", "model.format"),
        *("engine.dtype", "engine.eager"),
    ),
    "healthcheck.test": ("engine.kind",),
    "deploy": ("engine.gpu_access", "engine.device"),
    "runtime": ("engine.gpu_access", "engine.device"),
    "CUDA_DEVICE_ORDER": ("engine.gpu_access",),
    "CUDA_VISIBLE_DEVICES": ("engine.gpu_access",),
    "NVIDIA_VISIBLE_DEVICES": ("engine.gpu_access",),
    "NVIDIA_DRIVER_CAPABILITIES": ("engine.gpu_access",),
    "NVIDIA_DISABLE_REQUIRE": ("engine.image",),
    "devices": ("engine.device",),
    "group_add": ("engine.device",),
    # llama.cpp
    "--model": ("model.source",),
    "--alias": ("model.served_name",),
    "--ctx-size": ("model.context", "concurrency"),
    "--parallel": ("concurrency",),
    "LLAMA_ARG_THREADS": ("engine.cpus",),
    "--threads": ("engine.cpus",),
    "--threads-batch": ("engine.cpus",),
    "--batch-size": ("engine.batch",),
    "--ubatch-size": ("engine.batch",),
    "--cache-type-k": ("engine.kv_type",),
    "--cache-type-v": ("engine.kv_type",),
    "--n-gpu-layers": ("engine.device",),
    "--load-mode": ("engine.device",),
    "--reasoning-budget": ("engine.reasoning_budget",),
    "--temp": ("model.sampling.temperature",),
    "--top-p": ("model.sampling.top_p",),
    "--top-k": ("model.sampling.top_k",),
    "--min-p": ("model.sampling.min_p",),
    # vLLM
    "VLLM_CPU_OMP_THREADS_BIND": ("engine.cpus",),
    "OMP_NUM_THREADS": ("engine.cpus",),
    "argument 1": ("model.source",),
    "--served-model-name": ("model.served_name",),
    "--dtype": ("engine.dtype",),
    "--max-model-len": ("model.context",),
    "--max-num-seqs": ("concurrency",),
    "--max-num-batched-tokens": ("engine.batch",),
    "--kv-cache-memory-bytes": ("engine.kv_cache", "model.context", "concurrency"),
    "--gpu-memory-utilization": ("requires.gpu.memory",),
    "--enforce-eager": ("engine.eager",),
    "--cudagraph-capture-sizes": ("concurrency",),
    "--reasoning-parser": ("model.reasoning_parser",),
    "--tool-call-parser": ("model.tool_parser",),
    "--enable-auto-tool-choice": ("model.tools",),
    "--override-generation-config": ("model.sampling",),
}

_WEBUI: dict[str, tuple[str, ...]] = {
    "image": ("frontend.image",),
    "mem_limit": ("frontend.memory",),
    "memswap_limit": ("frontend.memory",),
    "ports": ("ports.webui", "exposure"),
    "networks": ("egress",),
    "dns": ("egress",),
    "sysctls": ("exposure", "egress"),
    "healthcheck": ("deadlines.frontend",),
    "WEBUI_URL": ("ports.address",),
    "CORS_ALLOW_ORIGIN": ("ports.address",),
    "OPENAI_API_BASE_URL": ("engine.kind",),
    "DEFAULT_MODELS": ("model.served_name",),
    "DEFAULT_MODEL_PARAMS": ("model.sampling", "model.max_tokens"),
    "DEFAULT_MODEL_METADATA": ("model.tools",),
    "ENABLE_TITLE_GENERATION": ("frontend.background_tasks",),
    "ENABLE_TAGS_GENERATION": ("frontend.background_tasks",),
    "ENABLE_FOLLOW_UP_GENERATION": ("frontend.background_tasks",),
    "ENABLE_WEB_SEARCH": ("egress",),
    "WEB_SEARCH_ENGINE": ("egress",),
    "WEB_SEARCH_RESULT_COUNT": ("egress",),
    "DDGS_BACKEND": ("egress",),
    "BYPASS_WEB_SEARCH_WEB_LOADER": ("egress",),
    "BYPASS_WEB_SEARCH_EMBEDDING_AND_RETRIEVAL": ("egress",),
    "ENABLE_SEARCH_QUERY_GENERATION": ("egress", "frontend.background_tasks"),
}

PATHS = {"engine": _ENGINE, "webui": _WEBUI}


def _paths(service: str, what: str) -> tuple[str, ...]:
    """The keys of the profile for a thing, or for the map it stands in (``healthcheck.test``)."""
    known = PATHS.get(service, {})
    while what not in known and "." in what:
        what = what.rpartition(".")[0]
    if service == "engine" and what.startswith("-"):  # no flag of ours: one of the operator's
        return known.get(what, ("engine.extra_args",))
    return known.get(what, ())


def _of_addon(profile: Profile, addon: str, service: Service, what: str) -> tuple[str, ...]:
    """The keys of its block that may be behind a thing and are written; else what switched it on.

    Limits and ports have keys of their own. What else moved may be of any of the others.
    """
    ports = tuple(port.key for port in service.ports)
    limits = {"mem_limit": (service.memory_key,), "memswap_limit": (service.memory_key,)}
    on = f"addons.{addon}.enabled"
    others = (path for path in profile.origins if path.startswith(f"addons.{addon}."))
    rest = tuple(path for path in others if path not in (on, service.memory_key, *ports))
    keys = {**limits, "ports": ports}.get(what, rest)
    return tuple(path for path in keys if path in profile.origins) or (on,)


def causes_of(profile: Profile) -> Cause:
    """Where each moved thing comes from in this profile: ``file:line``, '' where nothing says."""
    addons = switched_on(profile.spec)
    owned = {s.name: (addon.name, s) for addon in addons for s in addon.services(profile.spec)}
    windows = {
        name: f"addons.{addon.name}.enabled"
        for addon in addons
        for name, _ in addon.frontend(profile.spec)
    }

    def cause(service: str, what: str) -> str:
        paths = _paths(service, what)
        if service in owned:
            paths = _of_addon(profile, *owned[service], what)
        if what in windows:
            paths = (windows[what],)
        written = [path for path in paths if path in profile.origins]
        for said in ("deadlines.engine", "engine.gpu_access"):
            if said in written:  # the others only stand in for it
                written = [said]
        if not written and any(path.startswith("model.") for path in paths):
            # The new model's entry says nothing of it, and that it is another model is why.
            written = [path for path in ("model.use", "model.source") if path in profile.origins]
        places = (profile.origins[path] for path in written)
        return ", ".join(
            dict.fromkeys(where(at, profile.sources.get(at.file, ())) for at in places)
        )

    return cause
