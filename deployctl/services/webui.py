"""Open WebUI 0.12: the frontend's environment, volume and healthcheck. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployctl.engines import engine
from deployctl.model import Healthcheck, Image, Mount, Port, Service, Text, Tmpfs
from deployctl.services import NO_PROXIES, generated

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

PORT = 8080
VOLUME = "webui-data"
DATA = "/app/backend/data"

#: One check is a fresh Python; it asks /ready because /health says yes before the database is up.
_CHECK = (
    "import urllib.request as u;"
    f"u.build_opener(u.ProxyHandler({{}})).open('http://127.0.0.1:{PORT}/ready',timeout=4)"
)


def service(spec: ProfileSpec) -> Service:
    """Build the frontend's service for a profile."""
    return Service(
        name="webui",
        image=Image(service="webui", reference=spec.frontend.image, recipe="open-webui"),
        environment=(*_connection(spec), *_access(), *_behaviour(spec), *_quiet(), *NO_PROXIES),
        ports=(Port(address="127.0.0.1", host_port=spec.ports.webui, container_port=PORT),),
        mounts=(Mount(kind="volume", source=VOLUME, target=DATA, read_only=False),),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=256 * 1024**2),),  # noqa: S108  # in the container
        memory_bytes=spec.frontend.memory,
        healthcheck=Healthcheck(
            test=("python3", "-c", _CHECK),
            interval_s=30,
            timeout_s=5,
            retries=3,
            start_period_s=spec.deadlines.frontend,
            start_interval_s=1,
        ),
        stop_grace_s=10,
    )


def _connection(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    return (
        ("OPENAI_API_BASE_URL", f"http://engine:{engine(spec.engine.kind).PORT}/v1"),
        ("OPENAI_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
        ("ENABLE_OLLAMA_API", "false"),  # else it looks for Ollama on the host
    )


def _access() -> tuple[tuple[str, Text], ...]:
    return (
        ("WEBUI_SECRET_KEY", generated("DEPLOYCTL_WEBUI_SECRET")),
        ("WEBUI_ADMIN_EMAIL", generated("DEPLOYCTL_ADMIN_EMAIL")),
        ("WEBUI_ADMIN_PASSWORD", generated("DEPLOYCTL_ADMIN_PASSWORD")),
        ("WEBUI_ADMIN_NAME", "Admin"),
        ("WEBUI_AUTH", "true"),
        # Settings come from here at every start, not from what the first start left in the
        # database; and then sign-up must be closed in words, or the second start reopens it.
        ("ENABLE_PERSISTENT_CONFIG", "false"),
        ("ENABLE_SIGNUP", "false"),
        ("DEFAULT_USER_ROLE", "pending"),
    )


def _behaviour(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    model = spec.model
    params: dict[str, object] = {
        name: value
        for name, value in (
            ("temperature", model.sampling.temperature),
            ("top_p", model.sampling.top_p),
            ("top_k", model.sampling.top_k),
            ("min_p", model.sampling.min_p),
            ("max_tokens", model.max_tokens),
        )
        if value is not None
    }
    if not model.tools:
        # The chat window sends 28 tools (about 5 000 tokens) with every message otherwise.
        params["function_calling"] = "legacy"
    metadata = {"capabilities": {"builtin_tools": model.tools}}
    background = "true" if spec.frontend.background_tasks else "false"
    return (
        ("DEFAULT_MODELS", model.served_name),
        ("DEFAULT_MODEL_PARAMS", json.dumps(params, separators=(",", ":"))),
        ("DEFAULT_MODEL_METADATA", json.dumps(metadata, separators=(",", ":"))),
        ("ENABLE_TITLE_GENERATION", background),
        ("ENABLE_TAGS_GENERATION", background),
        ("ENABLE_FOLLOW_UP_GENERATION", background),
        ("ENABLE_AUTOCOMPLETE_GENERATION", "false"),
    )


def _quiet() -> tuple[tuple[str, Text], ...]:
    """What must not be tried without a way out, and what must be writable on a read-only root."""
    return (
        ("OFFLINE_MODE", "true"),
        ("ENABLE_VERSION_UPDATE_CHECK", "false"),
        ("ANONYMIZED_TELEMETRY", "false"),
        ("DO_NOT_TRACK", "true"),
        ("SCARF_NO_ANALYTICS", "true"),
        ("BYPASS_EMBEDDING_AND_RETRIEVAL", "true"),
        ("AUDIO_STT_ENGINE", "webapi"),  # the browser's, not a whisper model that is not here
        ("ENABLE_COMMUNITY_SHARING", "false"),
        ("HOME", "/tmp"),  # noqa: S108  # inside the container
        ("STATIC_DIR", "/tmp/static"),  # noqa: S108  # inside the container
    )
