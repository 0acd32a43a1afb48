"""Healthchecks as they should be, and which images bring one of their own. Pure."""

from __future__ import annotations

import re
from typing import Any

from deployctl.lint.nouns import Service, Stack
from deployctl.lint.ports import port_of
from deployctl.lint.services import words_of
from deployctl.lint.writing import Edit

#: Failures of so many seconds are borne by a first start: download, load, compile.
PATIENCE = {"vllm": "20m", "llama.cpp": "10m", "webui": "3m"}

#: Images without a healthcheck of their own → how theirs is asked, each with a program it has.
_OTHERS: dict[str, tuple[str, ...]] = {
    "docker.io/ollama/ollama": ("CMD", "ollama", "list"),
    # Over TCP: while it makes its first database, only the socket answers.
    "docker.io/library/postgres": (
        "CMD-SHELL",
        "pg_isready -h 127.0.0.1 -U $${POSTGRES_USER:-postgres}",
    ),
    "docker.io/library/redis": ("CMD", "redis-cli", "ping"),
    "docker.io/valkey/valkey": ("CMD", "valkey-cli", "ping"),
}


def brings_none(service: Service) -> bool:
    """Whether an image is known to bring no healthcheck."""
    own = "docker.io/vllm/vllm-openai"
    return not service.built and (service.repository in _OTHERS or service.repository == own)


def proposed(service: Service) -> dict[str, Any] | None:
    """The healthcheck to write for a service; ``None`` where it is not known how to ask it."""
    if service.built:
        return None
    if service.kind in PATIENCE:
        return good(service)
    test = _OTHERS.get(service.repository)
    if test is None or _elsewhere(service):
        return None
    return _asking(test, "1m")


def _elsewhere(service: Service) -> bool:
    """Whether its command may have it listen where the programs do not look by themselves."""
    entry = service.keys.get("command")
    words = words_of(entry) if entry else ()
    return words is None or any(re.search(r"port|\.conf|^-p", word.text) for word in words)


def check_for(stack: Stack, service: Service) -> Edit | None:
    """The lines that give a service the healthcheck it lacks."""
    check = proposed(service)
    return stack.pen.add(service.entry, "healthcheck", check) if check else None


def good(service: Service) -> dict[str, Any]:
    """The healthcheck for an engine or a chat window."""
    port = port_of(service) or {"vllm": "8000"}.get(service.kind, "8080")
    if service.kind == "llama.cpp":
        test: tuple[str, ...] = ("CMD", "curl", "-fsS", f"http://127.0.0.1:{port}/health")
    else:
        path = "health" if service.kind == "vllm" else _readiness(service)
        asked = f"import urllib.request as u;u.urlopen('http://127.0.0.1:{port}/{path}',timeout=4)"
        test = ("CMD", "python3", "-c", asked)
    return _asking(test, PATIENCE.get(service.kind, "3m"))


def _asking(test: tuple[str, ...], patience: str) -> dict[str, Any]:
    return {
        "test": test,
        "interval": "30s",
        "timeout": "5s",
        "retries": 3,
        "start_period": patience,
    }


def _readiness(service: Service) -> str:
    """Where Open WebUI says that its database answers: ``/ready`` came in spring 2026.

    Before that it is a page of the window itself, which is there whatever the database does.
    """
    release = re.match(r"v?0\.(\d+)(?!\d)", service.tag)
    return "health/db" if release and int(release[1]) < 12 else "ready"  # read in 0.12
