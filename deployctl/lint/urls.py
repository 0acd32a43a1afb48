"""Rules about the addresses under which Open WebUI looks for engines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.addresses import (
    ADDRESS,
    ITSELF,
    Address,
    addresses,
    chatting,
    meant_engine,
    shares_loopback,
    together,
    wanted,
)
from deployctl.lint.change import set_variable
from deployctl.lint.interpolation import resolved
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.ports import on_host, port_of
from deployctl.lint.tree import text_of
from deployctl.lint.writing import Edit


def with_v1(raw: str) -> str:
    """An engine's address with the path that Open WebUI needs, where it has none."""
    found = ADDRESS.fullmatch(resolved(raw).strip().strip("'\""))
    bare = found is not None and (found["path"] or "").strip("/") == ""
    return raw.rstrip("/") + "/v1" if bare and not raw.endswith("}") else raw


def _changed(stack: Stack, address: Address, text: str) -> tuple[Edit | None, ...]:
    raw = address.variable.raw
    if address.text not in raw:
        return (None,)
    value = raw.replace(address.text, text, 1)
    return (set_variable(stack, address.variable, value),)


def _without_path(stack: Stack, service: Service) -> Iterator[Found]:
    for address in addresses(service):
        if not address.openai or address.path.strip("/") or not _needs_v1(stack, service, address):
            continue
        bare = address.text.rstrip("/'\"")
        yield Found(
            at=address.variable.at,
            message=f"{address.text} has no `/v1`: Open WebUI asks it for `/models`, which is not "
            "there.",
            edits=_changed(stack, address, f"{bare}/v1"),
            service=service,
        )


def _needs_v1(stack: Stack, service: Service, address: Address) -> bool:
    """Whether what answers there is known to have nothing but below ``/v1``."""
    if address.host == "api.openai.com":
        return True
    target = wanted(stack, service, address)
    return target is not None and target.kind in ("vllm", "ollama")


def _itself(stack: Stack, service: Service) -> Iterator[Found]:
    if shares_loopback(stack, service):
        return
    for address in addresses(service):
        bundled = "ollama" in service.tag and not address.openai
        if address.host not in ITSELF or bundled:
            continue
        host, port = _meant(stack, address)
        text = f"http://{host}:{port}{address.path}"
        edits = _changed(stack, address, text)
        if host == "host.docker.internal" and "extra_hosts" not in service.keys:
            hosts = stack.pen.add(
                service.entry, "extra_hosts", ["host.docker.internal:host-gateway"]
            )
            edits = (*edits, hosts)
        yield Found(
            at=address.variable.at,
            message=f"In the container {address.host} is {service.name} itself, not the engine.",
            edits=edits,
            service=service,
        )


def _meant(stack: Stack, address: Address) -> tuple[str, str]:
    """The engine that an address of the machine itself leads to, and its own port."""
    engine = meant_engine(stack, address)
    if engine is None:
        return "host.docker.internal", address.port
    return engine.name, port_of(engine) or address.port


def _other_port(stack: Stack, service: Service) -> Iterator[Found]:
    for address in addresses(service):
        target = stack.named(address.host)
        alone = target is not None and len(together(stack, target)) == 1
        port = port_of(target) if target and alone and not on_host(target) else None
        if target is None or port is None or not address.port.isdigit() or address.port == port:
            continue
        text = re.sub(r"(//[^/:]+)(?::\d+)?", rf"\g<1>:{port}", address.text, count=1)
        yield Found(
            at=address.variable.at,
            message=f"{target.name} listens on {port} in its container, not on {address.port}: "
            "between containers `ports:` does not count.",
            edits=_changed(stack, address, text),
            service=service,
        )


def _nobody(stack: Stack, service: Service) -> Iterator[Found]:
    if stack.including or _other_networks(stack, service) or on_host(service):
        return
    engines = chatting(stack)
    for address in addresses(service):
        if "." in address.host or address.host in ITSELF or not address.openai:
            continue
        names = {s.name for s in stack.services} | stack.others
        if address.host in names or stack.named(address.host) or len(engines) != 1:
            continue
        if _also_called(stack, address.host):
            continue
        engine = engines[0]
        text = f"http://{engine.name}:{port_of(engine) or address.port}{address.path}"
        yield Found(
            at=address.variable.at,
            message=f"No service is called {address.host}; the engine of this file is "
            f"{engine.name}.",
            edits=_changed(stack, address, text),
            service=service,
        )


def _also_called(stack: Stack, host: str) -> bool:
    """Whether a name may be an alias, a link, a host name or an extra host."""
    for service in stack.services:
        for key in ("links", "external_links", "extra_hosts", "hostname", "networks"):
            entry = service.keys.get(key)
            if entry is not None and host in " ".join(
                stack.text.lines[entry.key.start.line - 1 : entry.last]
            ):
                return True
    return False


def _other_networks(stack: Stack, service: Service) -> bool:
    """Whether it is on a network where others than this file's services are."""
    top = stack.pairs.of(stack.root).get("networks")
    outside = any(
        "external" in stack.pairs.of(entry.value)
        for entry in (stack.pairs.of(top.value).values() if top else ())
    )
    return outside or text_of(service.keys.get("network_mode")).startswith(
        ("service:", "container:")
    )


RULES = (
    Rule(
        id="webui-url-no-v1",
        about="Open WebUI",
        severity="error",
        what="`OPENAI_API_BASE_URL` without `/v1` that leads to vLLM, Ollama or OpenAI; llama.cpp "
        "answers without, and of others it is not known",
        why="Open WebUI puts `/models` and `/chat/completions` right behind it, and vLLM and "
        "Ollama have them only below `/v1`.",
        fix="`http://ENGINE:8000/v1`",
        basis="source",
        check=each(_without_path, "webui"),
    ),
    Rule(
        id="webui-url-itself",
        about="Open WebUI",
        severity="error",
        what="an engine at `localhost` or `127.0.0.1`, from inside the chat window's container",
        why="There that is the chat window's own container.",
        fix="the engine's service name; for one on the machine itself `host.docker.internal` with "
        "`extra_hosts`",
        basis="docs",
        check=each(_itself, "webui"),
    ),
    Rule(
        id="webui-url-port",
        about="Open WebUI",
        severity="error",
        what="an engine's service name with the port that is published, not the one it listens on",
        why="Containers talk to each other past `ports:`.",
        fix="the port on the right-hand side of `ports:`",
        basis="docs",
        check=each(_other_port, "webui"),
    ),
    Rule(
        id="webui-url-nobody",
        about="Open WebUI",
        severity="error",
        what="a host name that no service of the file has",
        why="Containers find each other by the names of services.",
        fix="the engine's service name",
        basis="docs",
        check=each(_nobody, "webui"),
    ),
)
