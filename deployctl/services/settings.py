"""Open WebUI 0.12: which of its settings our environment sets, and how they stand now. Pure.

Settings can be changed in its admin panel. Without persistent settings such a change lives in the
running process until its next start (``Config.upsert`` in open_webui/models/config.py); with them
it is in the database and wins over the environment from then on. Keys and readings of values are
those of ``CONFIG_DEFAULTS`` in open_webui/config.py; a test holds them against a running one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _flag(text: str) -> bool:
    return text.lower() == "true"


def _text(text: str) -> str:
    return text


def _number(text: str) -> int:
    return int(text)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(";")]


def _object(text: str) -> Any:  # noqa: ANN401  # JSON is what it is
    return json.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: the variable that sets it, its key, and where the admin panel has it."""

    variable: str
    key: str
    panel: str
    read: Callable[[str], Any]  # how Open WebUI reads the variable

    @property
    def secret(self) -> bool:
        """Whether its value is compared and never shown."""
        return self.variable == "OPENAI_API_KEY"


#: What the environment sets: variable, key, place in the admin panel's settings, reading.
_ROWS: tuple[tuple[str, str, str, Callable[[str], Any]], ...] = (
    ("OPENAI_API_BASE_URL", "openai.api_base_urls", "Connections > OpenAI API, addresses", _list),
    ("OPENAI_API_KEY", "openai.api_keys", "Connections > OpenAI API, keys", _list),
    ("ENABLE_OLLAMA_API", "ollama.enable", "Connections > Ollama API", _flag),
    ("WEBUI_URL", "webui.url", "General > WebUI URL", _text),
    ("ENABLE_SIGNUP", "ui.enable_signup", "General > New Sign Ups", _flag),
    ("DEFAULT_USER_ROLE", "ui.default_user_role", "General > Default User Role", _text),
    (
        *("ENABLE_COMMUNITY_SHARING", "ui.enable_community_sharing"),
        *("General > Community Sharing", _flag),
    ),
    ("DEFAULT_MODELS", "ui.default_models", "Models > Default Model", _text),
    ("DEFAULT_MODEL_PARAMS", "models.default_params", "Models > Model Parameters", _object),
    ("DEFAULT_MODEL_METADATA", "models.default_metadata", "Models > Model Capabilities", _object),
    ("ENABLE_TITLE_GENERATION", "task.title.enable", "Interface > Title Generation", _flag),
    ("ENABLE_TAGS_GENERATION", "task.tags.enable", "Interface > Tags Generation", _flag),
    (
        *("ENABLE_FOLLOW_UP_GENERATION", "task.follow_up.enable"),
        *("Interface > Follow Up Generation", _flag),
    ),
    (
        *("ENABLE_AUTOCOMPLETE_GENERATION", "task.autocomplete.enable"),
        *("Interface > Autocomplete Generation", _flag),
    ),
    (
        *("ENABLE_SEARCH_QUERY_GENERATION", "task.query.search.enable"),
        *("Interface > Web Search Query Generation", _flag),
    ),
    ("ENABLE_WEB_SEARCH", "web.search.enable", "Web Search > Web Search", _flag),
    ("WEB_SEARCH_ENGINE", "web.search.engine", "Web Search > Web Search Engine", _text),
    ("DDGS_BACKEND", "web.search.ddgs_backend", "Web Search > DDGS Backend", _text),
    (
        *("WEB_SEARCH_RESULT_COUNT", "web.search.result_count"),
        *("Web Search > Search Result Count", _number),
    ),
    (
        *("BYPASS_WEB_SEARCH_WEB_LOADER", "web.search.bypass_web_loader"),
        *("Web Search > Bypass Web Loader", _flag),
    ),
    (
        "BYPASS_WEB_SEARCH_EMBEDDING_AND_RETRIEVAL",
        "web.search.bypass_embedding_and_retrieval",
        *("Web Search > Bypass Embedding and Retrieval", _flag),
    ),
    (
        *("BYPASS_EMBEDDING_AND_RETRIEVAL", "rag.bypass_embedding_and_retrieval"),
        *("Documents > Bypass Embedding and Retrieval", _flag),
    ),
    ("AUDIO_STT_ENGINE", "audio.stt.engine", "Audio > Speech-to-Text Engine", _text),
)

SETTINGS = tuple(
    Setting(variable=variable, key=key, panel=panel, read=read)
    for variable, key, panel, read in _ROWS
)

_NO_PROXY = "read by the programs' own libraries at each request, nowhere in the admin panel"
_AT_START = "read once when it starts, nowhere in the admin panel"

#: What our environment sets besides, and why nobody can change it in a running one.
NO_SETTINGS: Mapping[str, str] = {
    "AIOHTTP_POOL_DNS_TTL": _AT_START,
    "WEBUI_SECRET_KEY": _AT_START,
    "WEBUI_ADMIN_EMAIL": "the first administrator's, made once when there are no users",
    "WEBUI_ADMIN_PASSWORD": "the first administrator's, made once when there are no users",
    "WEBUI_ADMIN_NAME": "the first administrator's, made once when there are no users",
    "WEBUI_AUTH": _AT_START,
    "ENABLE_PERSISTENT_CONFIG": "says where settings live; read once when it starts",
    "CORS_ALLOW_ORIGIN": _AT_START,
    "OFFLINE_MODE": _AT_START,
    "ENABLE_VERSION_UPDATE_CHECK": _AT_START,
    "ANONYMIZED_TELEMETRY": _AT_START,
    "DO_NOT_TRACK": _AT_START,
    "SCARF_NO_ANALYTICS": _AT_START,
    "HOME": _AT_START,
    "STATIC_DIR": _AT_START,
    **dict.fromkeys(
        (
            *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
            *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
        ),
        _NO_PROXY,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that is not as the environment asks; secrets are compared and never shown."""

    key: str
    panel: str
    now: Any  # as Open WebUI holds it
    asked: Any
    secret: bool = False

    @property
    def words(self) -> tuple[str, str]:
        """(now, asked) for people."""
        if self.secret:
            return "***", "***"
        return _shown(self.now), _shown(self.asked)


def differences(
    environment: Mapping[str, str], effective: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Which settings are not as the environment asks; ``effective`` is Open WebUI's own export.

    A key that it does not have is passed over: another version's, and nothing can be said of it.
    """
    found = []
    for setting in SETTINGS:
        asked = _asked(setting, environment)
        if asked is None or setting.key not in effective:
            continue
        now = effective[setting.key]
        if _plain(now) != _plain(asked):
            found.append(
                Difference(
                    key=setting.key,
                    panel=setting.panel,
                    now=now,
                    asked=asked,
                    secret=setting.secret,
                )
            )
    if "OPENAI_API_BASE_URL" in environment:
        found += _connection(effective)
    return tuple(found)


def _asked(setting: Setting, environment: Mapping[str, str]) -> Any:  # noqa: ANN401
    text = environment.get(setting.variable)
    if text is None:
        return None
    try:
        return setting.read(text)
    except ValueError:  # the operator's own value, which Open WebUI itself cannot read either
        return None


def _connection(effective: Mapping[str, Any]) -> list[Difference]:
    """What a connection needs besides its address: that it is switched on, and plain."""
    found = []
    if effective.get("openai.enable", True) is not True:
        found.append(
            Difference(
                key="openai.enable",
                panel="Connections > OpenAI API",
                now=effective["openai.enable"],
                asked=True,
            )
        )
    configs = effective.get("openai.api_configs")
    special = _special(configs) if isinstance(configs, Mapping) else {}
    if special:
        found.append(
            Difference(
                key="openai.api_configs",
                panel="Connections > OpenAI API, how each is used",
                now=special,
                asked={},
            )
        )
    return found


#: What the admin panel writes for a connection nothing was changed of.
_USUAL = {"enable": True, "connection_type": "external", "auth_type": "bearer", "azure": False}


def _special(configs: Mapping[str, Any]) -> dict[str, Any]:
    """Of each connection what is not as it is anyway; a header may be a password, so names only."""
    found: dict[str, Any] = {}
    for name, config in configs.items():
        if not isinstance(config, Mapping):
            continue
        rest = {
            key: value if key in ("enable", "prefix_id", "model_ids", "connection_type") else "***"
            for key, value in config.items()
            if (value or value is False) and value != _USUAL.get(key, False)
        }
        if rest:
            found[name] = rest
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401  # JSON is what it is
    """A value as it counts: nothing is '', models are a comma's list in one version or the other.

    In an object what is null counts as absent: the panel writes it where nothing is chosen.
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


_LONGEST = 120

#: The user and password inside an address.
_PASSWORD = re.compile(r"(?<=://)[^\s/'\"]+@")


def _shown(value: Any) -> str:  # noqa: ANN401
    """A value in one short line."""
    match value:
        case bool():
            return "on" if value else "off"
        case None | "":
            return "nothing"
        case str():
            text = value
        case _:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    text = _PASSWORD.sub("***@", " ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
