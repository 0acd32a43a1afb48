"""What was asked of a stack, read back from the file that was applied. Pure.

Not from the profile: that may have been edited, or be gone. What runs was made of this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from deployctl.libyaml import LOADER
from deployctl.render import HOP_LIMIT
from deployctl.services.common import ADDON_LABEL
from deployctl.vitals import capacity

Device = Literal["cpu", "cuda", "vulkan"]

_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"

#: The variable that `up` sets to the machine's own number of cores.
_THREADS = "DEPLOYCTL_THREADS"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedService:
    """One service: what it publishes as (address, port), and how far it may reach."""

    name: str
    published: tuple[tuple[str, int], ...]
    egress: bool
    hops: int
    memory_bytes: int
    addon: str | None = None  # the add-on that it belongs to


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the stack's file asks of engine and frontend. ``None``: it does not say."""

    engine: Literal["llama.cpp", "vllm"]
    device: Device
    context: int  # tokens of one conversation
    concurrency: int
    max_tokens: int | None  # of an answer in the chat window
    tools: bool  # the chat window sends its tools
    tool_parser: bool  # the engine was started for tools; llama.cpp always is
    threads: int | None  # as written; "as many as there are" is None
    services: tuple[WantedService, ...]

    def service(self, name: str) -> WantedService | None:
        """The service of this name, if the file has one."""
        return next((service for service in self.services if service.name == name), None)


def addons_of(wanted: Wanted) -> frozenset[str]:
    """The add-ons that the stack has, by name."""
    return frozenset(service.addon for service in wanted.services if service.addon is not None)


def wanted_of(text: str, variables: Mapping[str, str]) -> Wanted:
    """Read a stack's ``compose.yaml``; ``variables`` are those of this machine (threads).

    Raises ``ValueError`` when it is not one of ours.
    """
    try:
        services = yaml.load(text, Loader=LOADER)["services"]  # noqa: S506  # a safe one
        engine, webui = services["engine"], services["webui"]
        words = [str(word) for word in engine["command"]]
        environment = webui["environment"]
        params = json.loads(environment["DEFAULT_MODEL_PARAMS"])
        metadata = json.loads(environment["DEFAULT_MODEL_METADATA"])
        vllm = "--served-model-name" in words
        kind: Literal["llama.cpp", "vllm"] = "vllm" if vllm else "llama.cpp"
        context, concurrency = _room(kind, words)
        return Wanted(
            engine=kind,
            device=_device(engine),
            context=context,
            concurrency=concurrency,
            max_tokens=params.get("max_tokens"),
            tools=bool(metadata["capabilities"]["builtin_tools"]),
            tool_parser=not vllm or "--enable-auto-tool-choice" in words,
            threads=_threads(words, engine["environment"], variables),
            services=tuple(_service(name, service) for name, service in services.items()),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ValueError(f"not a stack's file: {problem}") from problem


def _room(kind: str, words: list[str]) -> tuple[int, int]:
    """(tokens of one conversation, conversations), as ``status`` reads them too."""
    context, concurrency = capacity(kind, words)
    if context is None or concurrency is None:
        raise ValueError("it does not say how much the engine holds")
    return context, concurrency


def _after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def _device(service: Mapping[str, Any]) -> Device:
    if service.get("deploy"):
        return "cuda"
    return "vulkan" if service.get("devices") else "cpu"


def _threads(
    words: list[str], environment: Mapping[str, Any], variables: Mapping[str, str]
) -> int | None:
    written = environment.get("OMP_NUM_THREADS")
    if "--threads" in words:
        written = _after(words, "--threads")
    elif "LLAMA_ARG_THREADS" in environment or _THREADS in str(written):
        written = variables.get(_THREADS)
    number = int(written) if written is not None else -1
    return number if number > 0 else None


def _service(name: str, service: Mapping[str, Any]) -> WantedService:
    networks = tuple(service.get("networks") or ())
    return WantedService(
        name=name,
        published=tuple(_published(service.get("ports") or ())),
        egress="beyond" in networks,
        hops=int((service.get("sysctls") or {}).get(HOP_LIMIT, 64)),
        memory_bytes=int(service.get("mem_limit") or 0),
        addon=(service.get("labels") or {}).get(ADDON_LABEL),
    )


def _published(ports: Iterable[object]) -> Iterator[tuple[str, int]]:
    for port in ports:
        host, _, _ = str(port).rpartition(":")
        address, _, number = host.rpartition(":")
        yield address.strip("[]"), int(number)


def leads_out(network: Mapping[str, Any]) -> bool:
    """Whether packets of this network (in Docker's words) are passed on in this machine's name."""
    options = network.get("Options") or {}
    return not network.get("Internal") and options.get(_MASQUERADE) != "false"
