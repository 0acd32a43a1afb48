"""Open WebUI 0.12: the frontend's environment, volume and healthcheck. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployctl.deadlines import frontend_start_s
from deployctl.engines import engine
from deployctl.model import (
    Healthcheck,
    Image,
    Mount,
    Port,
    Service,
    Text,
    Tmpfs,
)
from deployctl.reach import LOOPBACK, url
from deployctl.services.common import (
    DATA_VOLUME,
    NO_PROXIES,
    asked_by_python,
    generated,
    reach,
    recipe_for,
)
from deployctl.sizing import Part

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

PORT = 8080
VOLUME = DATA_VOLUME
DATA = "/app/backend/data"

#: The image that the recipe `open-webui` builds from packages.
_MADE_FOR = "ghcr.io/open-webui/open-webui:v0.12.4"

#: What it takes beside the engine, whatever the model: the registry's image, with all that is in
#: it. Built from packages in its slim form it takes 0.3 GiB (measured). Which of them runs here is
#: known once it has run.
NEED = Part(
    place="ram",
    name="chat window",
    bytes=860 * 1024**2,
    basis="claimed",
    why="Open WebUI of the registry after its first chats; built from packages a third of it",
)

#: One check is a fresh Python; it asks /ready because /health says yes before the database is up.
_CHECK = asked_by_python(f"http://127.0.0.1:{PORT}/ready")


def service(spec: ProfileSpec) -> Service:
    """Build the frontend's service for a profile."""
    hops, egress = reach(spec, "webui")
    return Service(
        name="webui",
        image=Image(
            service="webui",
            reference=spec.frontend.image,
            recipe=recipe_for(spec.frontend.image, _MADE_FOR, "open-webui"),
        ),
        environment=(
            *_connection(spec),
            *_access(),
            *_address(spec),
            *_behaviour(spec),
            *_quiet(),
            *(_web_search(spec) if egress else ()),
            *NO_PROXIES,
        ),
        ports=tuple(
            Port(
                address=address,
                host_port=spec.ports.webui,
                container_port=PORT,
                key="ports.webui",
            )
            for address in _addresses(spec)
        ),
        mounts=(Mount(kind="volume", source=VOLUME, target=DATA, read_only=False),),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=256 * 1024**2),),  # noqa: S108  # in the container
        memory_bytes=spec.frontend.memory,
        memory_key="frontend.memory",
        need=NEED,
        hops=hops,
        egress=egress,
        healthcheck=Healthcheck(
            test=_CHECK,
            interval_s=30,
            timeout_s=5,
            retries=3,
            start_period_s=frontend_start_s(spec),
            start_interval_s=1,
        ),
        stop_grace_s=10,
    )


def _connection(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    return (
        ("OPENAI_API_BASE_URL", f"http://engine:{engine(spec.engine.kind).PORT}/v1"),
        ("OPENAI_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
        ("ENABLE_OLLAMA_API", "false"),  # else it looks for Ollama on the host
        # It remembers the engine's address for five minutes; a new engine may have another one.
        ("AIOHTTP_POOL_DNS_TTL", "1"),
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


def _addresses(spec: ProfileSpec) -> tuple[str, ...]:
    """Where it is published; this machine's own programs always find it on loopback."""
    shared = spec.ports.address if spec.exposure == "lan" else None
    return (LOOPBACK,) if shared is None else (LOOPBACK, shared)


def _address(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    """Where people of the network find it, and that pages from elsewhere may not speak for them.

    Browsers say from which page a request comes; Open WebUI holds that against the list for plain
    requests and for its live connection, without which no answer is shown.
    """
    *_, shared = _addresses(spec)
    if shared == LOOPBACK:
        return ()
    origins = (url(host, spec.ports.webui) for host in (shared, LOOPBACK, "localhost"))
    return (
        ("WEBUI_URL", url(shared, spec.ports.webui)),
        ("CORS_ALLOW_ORIGIN", ";".join(origins)),
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
    background = _flag(spec.frontend.background_tasks)
    return (
        ("DEFAULT_MODELS", model.served_name),
        ("DEFAULT_MODEL_PARAMS", json.dumps(params, separators=(",", ":"))),
        ("DEFAULT_MODEL_METADATA", json.dumps(metadata, separators=(",", ":"))),
        ("ENABLE_TITLE_GENERATION", background),
        ("ENABLE_TAGS_GENERATION", background),
        ("ENABLE_FOLLOW_UP_GENERATION", background),
        ("ENABLE_AUTOCOMPLETE_GENERATION", "false"),
    )


def _web_search(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    """Web search, for a chat in which it is switched on. DuckDuckGo needs no key."""
    return (
        ("ENABLE_WEB_SEARCH", "true"),
        ("WEB_SEARCH_ENGINE", "duckduckgo"),
        ("DDGS_BACKEND", "duckduckgo"),  # `auto` asks Google, Brave and others too
        ("WEB_SEARCH_RESULT_COUNT", "3"),
        # What the search engine says of each page goes to the model, not the pages: three of them
        # are longer than the context of a small model, and nobody else is asked for anything.
        ("BYPASS_WEB_SEARCH_WEB_LOADER", "true"),
        ("BYPASS_WEB_SEARCH_EMBEDDING_AND_RETRIEVAL", "true"),  # there is no embedding model
        # Else the model first writes search terms: one more answer for each message.
        ("ENABLE_SEARCH_QUERY_GENERATION", _flag(spec.frontend.background_tasks)),
    )


def _flag(value: bool) -> str:  # noqa: FBT001  # the word for it
    return "true" if value else "false"


def _quiet() -> tuple[tuple[str, Text], ...]:
    """What must not be tried, way out or not, and what must be writable on a read-only root."""
    return (
        # No version check, no download of models, no packages for tools. Web search does not ask.
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
