"""The addresses that Open WebUI is given, and which service of the file is behind one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployctl.lint.flags import flags_of
from deployctl.lint.interpolation import UNKNOWN
from deployctl.lint.models import model_of
from deployctl.lint.nouns import Service, Stack, Variable
from deployctl.lint.ports import on_host, port_of
from deployctl.lint.tree import text_of

ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]+\]|[^/:\s;]+)(?::(?P<port>[^/\s;]*))?(?P<path>/[^\s;]*)?"
)

#: The container's own loopback.
ITSELF = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")  # noqa: S104  # what is looked for

_MACHINE = ("host.docker.internal", "host.containers.internal")

#: The second counts where both are set (Open WebUI 0.12, `config.py`).
OPENAI = ("OPENAI_API_BASE_URL", "OPENAI_API_BASE_URLS")
OLLAMA = ("OLLAMA_BASE_URL", "OLLAMA_BASE_URLS", "OLLAMA_API_BASE_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of a variable; ``openai``: it is asked in OpenAI's protocol."""

    variable: Variable
    text: str
    host: str
    port: str
    path: str
    openai: bool


def in_variable(variable: Variable, *, openai: bool) -> Iterator[Address]:
    """The addresses of a variable, as far as the file tells them."""
    for text in (variable.value or "").split(";"):
        found = ADDRESS.fullmatch(text.strip().strip("'\""))
        if found and UNKNOWN not in found["host"]:
            default = "443" if found["scheme"] == "https" else "80"
            yield Address(
                variable=variable,
                text=text.strip(),
                host=found["host"],
                port=found["port"] or default,
                path=found["path"] or "",
                openai=openai,
            )


def addresses(service: Service) -> Iterator[Address]:
    """All addresses of engines that a chat window is given."""
    for name in (*OPENAI, *OLLAMA):
        variable = service.environment.get(name)
        if variable is not None:
            yield from in_variable(variable, openai=name in OPENAI)


def asked(service: Service) -> Variable | None:
    """The variable whose addresses Open WebUI asks for chats, if it asks any."""
    switch = service.environment.get("ENABLE_OPENAI_API")
    if switch is not None and switch.off:
        return None
    found = (service.environment.get(name) for name in reversed(OPENAI))
    return next((variable for variable in found if variable is not None and variable.value), None)


# ── who is there ──────────────────────────────────────────────────────────────────────────────


def together(stack: Stack, service: Service) -> tuple[Service, ...]:
    """The services that share a network namespace with one, itself among them."""
    where = _namespace(service)
    return tuple(one for one in stack.services if _namespace(one) == where)


def _namespace(service: Service) -> str:
    mode = text_of(service.keys.get("network_mode"))
    return mode if mode == "host" or ":" in mode else f"service:{service.name}"


def reached(stack: Stack, service: Service, address: Address) -> Service | None:
    """The service of the file that answers a chat window at an address, if the file tells."""
    if address.host in ITSELF:
        near = [one for one in together(stack, service) if one is not service]
        return _one(one for one in near if port_of(one) == address.port) or (
            _published(stack, address.port) if on_host(service) else None
        )
    if address.host in _MACHINE:
        return _published(stack, address.port)
    there = stack.named(address.host)
    near = list(together(stack, there)) if there else []
    if len(near) > 1:
        return _one(one for one in near if port_of(one) == address.port)
    return there


def _published(stack: Stack, port: str) -> Service | None:
    """The service behind a port of the machine itself."""
    return _one(
        one
        for one in stack.services
        if any(held.published == port for held in one.ports)
        or (on_host(one) and port_of(one) == port)
    )


def _one(found: Iterator[Service]) -> Service | None:
    services = list(found)
    return services[0] if len(services) == 1 else None


# ── who is meant ──────────────────────────────────────────────────────────────────────────────

_NO_CHAT = {
    "--runner": ("pooling",),
    "--convert": ("embed", "classify", "reward"),
    "--task": ("embed", "embedding", "classify", "score", "reward", "transcription"),
}
_NO_CHAT_MODEL = re.compile(r"(?i)embed|rerank|(?<![a-z])bge-")


def chats(engine: Service) -> bool:
    """Whether an engine may answer chats: not one that makes embeddings or ranks."""
    flags = flags_of(engine, dashes=True)
    for name, values in _NO_CHAT.items():
        flag = flags.get(name) if flags else None
        if flag is not None and flag.value in values:
            return False
    if flags is not None and flags.get("--embedding", "--embeddings", "--reranking", "--rerank"):
        return False
    return not _NO_CHAT_MODEL.search(model_of(engine) or "")


def chatting(stack: Stack) -> tuple[Service, ...]:
    """The engines that a chat window may be meant for; none that others only build upon."""
    return tuple(e for e in stack.of("vllm", "llama.cpp") if chats(e) and not e.extended)


def shares_loopback(stack: Stack, service: Service) -> bool:
    """Whether a service's loopback is that of others too."""
    joined = text_of(service.keys.get("network_mode")).startswith(("service:", "container:"))
    return joined or on_host(service) or len(together(stack, service)) > 1


def meant_engine(stack: Stack, address: Address) -> Service | None:
    """The engine that is meant by an address that leads back into the chat window's container."""
    kind = chatting(stack) if address.openai else stack.of("ollama")
    found = [engine for engine in kind if not on_host(engine)]
    published = (e for e in found if any(port.published == address.port for port in e.ports))
    return found[0] if len(found) == 1 else next(published, None)


def wanted(stack: Stack, service: Service, address: Address) -> Service | None:
    """The service that an address leads to, or will once ``webui-url-itself`` is corrected."""
    there = reached(stack, service, address)
    if there is None and address.host in ITSELF and not shares_loopback(stack, service):
        return meant_engine(stack, address)
    return there
