"""Rules about who reaches what: published ports, the host's network, rights over it. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from deployctl.lint.change import drop_key, set_variable
from deployctl.lint.flags import flags_of, place, replace
from deployctl.lint.interpolation import UNKNOWN, known
from deployctl.lint.nouns import Found, Port, Rule, Service, Stack, each
from deployctl.lint.tree import Item, Mapping, Scalar, text_of
from deployctl.lint.writing import Edit

_EVERYWHERE = ("", "0.0.0.0", "::", "*")  # noqa: S104  # what is looked for

#: What is meant to be reached from everywhere: reverse proxies and VPNs.
_DOORS = re.compile(
    r"(?:^|/)(?:caddy|nginx|traefik|haproxy|envoy|apache|httpd|openresty|swag|wireguard|wg-easy"
    r"|tailscale|cloudflared|npm|zoraxy)(?:-[^/]*)?$"
)


def port_of(service: Service) -> str | None:
    """The port that an engine or a chat window listens on in its container, if the file tells."""
    if service.kind == "webui":
        return _told(service.environment["PORT"].value, "8080") if "PORT" in (
            service.environment
        ) else (None if service.environment_open else "8080")  # fmt: skip
    if service.kind == "ollama":
        return "11434" if "OLLAMA_HOST" not in service.environment else None
    if service.kind not in ("vllm", "llama.cpp"):
        return None
    flags = flags_of(service, dashes=service.kind == "vllm")
    if flags is None:
        return None
    flag = flags.get("--port")
    if flag is not None:
        return _told(flag.value, None)
    if service.kind == "llama.cpp" and "LLAMA_ARG_PORT" in service.environment:
        return _told(service.environment["LLAMA_ARG_PORT"].value, None)
    return ("8000" if service.kind == "vllm" else "8080") if flags.whole else None


def _told(value: str | None, default: str | None) -> str | None:
    if value is None:
        return None
    return value if value.isdigit() else (default if value == "" else None)


def open_ports(service: Service) -> Iterator[Port]:
    """The ports of a service that the whole network reaches."""
    for port in service.ports:
        told = known(port.published) and known(port.address)
        if told and port.address in _EVERYWHERE:
            yield port


def on_host(service: Service) -> bool:
    """Whether a service has the host's own network."""
    return text_of(service.keys.get("network_mode")) == "host"


def _open(stack: Stack, service: Service) -> Iterator[Found]:
    if _DOORS.search(service.repository) or on_host(service):
        return
    for port in open_ports(service):
        yield Found(
            at=port.at,
            message=_reached(service, port),
            edits=(_at_home(stack, service, port),),
            service=service,
            severity="error" if service.kind in ("vllm", "llama.cpp", "ollama") else "warning",
            last=port.part.value.last if isinstance(port.part.value, Scalar) else port.part.last,
        )


def _reached(service: Service, port: Port) -> str:
    shown = port.published or f"for {port.target}"
    if UNKNOWN in shown:
        shown = f"for {port.target}"
    said = f"Port {shown} of {service.name} is open to the whole network"
    if service.kind == "vllm":
        return f"{said}; `POST /invocations` answers there without a key, even where one is set."
    if service.kind in ("llama.cpp", "ollama"):
        return f"{said}: whoever reaches it uses your machine."
    return f"{said}; Docker publishes past ufw."


def _meant(service: Service, port: Port, text: str) -> str:
    """A port as written, but to where the chat window listens: what ``webui-port`` says of it."""
    listens = port_of(service) if service.kind == "webui" and not service.built else None
    if listens is None or not port.target.isdigit() or port.target == listens:
        return text
    head, slash, protocol = text.partition("/")
    if not port.published or not head.endswith(f":{port.target}"):
        return text
    return f"{head[: -len(port.target)]}{listens}{slash}{protocol}"


def _at_home(stack: Stack, service: Service, port: Port) -> Edit | None:
    """The same port on this machine alone."""
    part = port.part
    if isinstance(part.value, Scalar):  # of an alias: where it is written
        text = _meant(service, port, part.value.text.strip())
        if port.address:
            rest = text[text.index(":", text.find("]") if text.startswith("[") else 0) + 1 :]
            home = re.sub(r"^\$\{[^}]*\}:", "", text) if text.startswith("$") else rest
        else:
            home = text.lstrip(":") if ":" in text else f":{text}"
        return stack.pen.put(part.value, f'"127.0.0.1:{home}"')
    return None if part.alias else _host_ip(stack, part)


def _host_ip(stack: Stack, part: Item) -> Edit | None:
    node = part.value
    if not isinstance(node, Mapping) or not node.entries:
        return None
    written = next((e for e in node.entries if e.key.text == "host_ip"), None)
    if written is not None and isinstance(written.value, Scalar):
        return stack.pen.put(written.value, "127.0.0.1")
    first = node.entries[0]
    line = stack.text.lines[first.key.start.line - 1]
    if node.flow:
        at = line.find("{", node.start.column - 1) + 1
        made = f"{line[:at]}host_ip: 127.0.0.1, {line[at:]}"
        return Edit(first=first.key.start.line, last=first.key.start.line, lines=(made,))
    added = " " * (first.key.start.column - 1) + "host_ip: 127.0.0.1"
    return Edit(first=first.last, last=first.last, lines=(stack.text.lines[first.last - 1], added))


def _host_network(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("network_mode")
    if entry is None or not on_host(service) or _listens_at_home(service):
        return
    port = port_of(service)
    if service.ports or port is None:
        edit = drop_key(stack, service, "network_mode")
    else:
        pad = " " * (entry.key.start.column - 1)
        outside = "3000" if service.kind == "webui" else port
        edit = stack.pen.key(entry, (f"{pad}ports:", f'{pad}  - "127.0.0.1:{outside}:{port}"'))
    yield Found(
        at=entry.at,
        message=f"{service.name} has the host's network: it listens on every address of this "
        "machine, past every `ports:`.",
        edits=(edit,),
        service=service,
        last=entry.last,
    )


def _listens_at_home(service: Service) -> bool:
    if service.kind == "webui":
        return (service.value("HOST") or "").startswith("127.")
    flags = flags_of(service)
    host = flags.get("--host") if flags else None
    return host is not None and (host.value or "") in ("127.0.0.1", "localhost", "::1")


def _inside_only(stack: Stack, service: Service) -> Iterator[Found]:
    """An engine that listens where no other container reaches it."""
    if on_host(service) or text_of(service.keys.get("network_mode")).startswith("service:"):
        return
    message = f"{service.name} listens on its own container's loopback: nobody else reaches it."
    name = {"webui": "HOST", "llama.cpp": "LLAMA_ARG_HOST"}.get(service.kind, "")
    flags = flags_of(service)
    flag = flags.get("--host") if flags and service.kind != "webui" else None
    if flag is not None and flags is not None and flags.argv is not None:
        if flag.value in ("127.0.0.1", "localhost", "::1"):
            word = flag.value_word
            text = "0.0.0.0" if flag.joined is None else "--host=0.0.0.0"  # noqa: S104
            at = place(stack, flags.argv, word)
            edit = replace(stack, flags.argv, word, text)
            yield Found(at=at, message=message, edits=(edit,), service=service)
    elif name and service.value(name) in ("127.0.0.1", "localhost"):
        variable = service.environment[name]
        edit = set_variable(stack, variable, "0.0.0.0")  # noqa: S104
        yield Found(at=variable.at, message=message, edits=(edit,), service=service)


def _twice(stack: Stack) -> Iterator[Found]:
    """Ports of the host that two services want."""
    held: dict[str, list[tuple[str, Service]]] = {}
    for service in stack.services:
        if "profiles" in service.keys or on_host(service):
            continue
        for port in service.ports:
            number = port.published
            if not number.isdigit() or not known(port.address) or port.protocol == "udp":
                continue
            before = held.setdefault(number, [])
            first = next((one for at, one in before if _meet(at, port.address)), service)
            before.append((port.address, service))
            if first is not service:
                yield Found(
                    at=port.at,
                    message=f"{first.name} has port {number} of this machine already: Docker "
                    f"starts only one of the two.",
                    edits=(_elsewhere(stack, port, held),),
                    service=service,
                    last=port.part.last,
                )


def _meet(one: str, other: str) -> bool:
    """Whether a port on both addresses is the same one: a wildcard has every address."""
    return one == other or one in _EVERYWHERE or other in _EVERYWHERE


def _elsewhere(stack: Stack, port: Port, held: Container[str]) -> Edit | None:
    value = port.part.value
    free = next(str(n) for n in range(int(port.published) + 1, 1 << 17) if str(n) not in held)
    if port.part.alias or not isinstance(value, Scalar) or value.text.count(port.published) < 1:
        return None
    head, colon, tail = value.text.rpartition(":")
    if not colon or not head.endswith(port.published):
        return None
    text = f"{head[: -len(port.published)]}{free}:{tail}"
    return stack.pen.put(value, f'"{text}"')


RULES = (
    Rule(
        id="port-open",
        about="Ports",
        severity="warning",
        what="a port published without an address, or on `0.0.0.0`; not those of reverse proxies",
        why="It is bound on every address of the machine; Docker's own rules come before ufw's. "
        "vLLM's key protects `/v1` and leaves `/invocations` and `/metrics` open.",
        fix="`127.0.0.1:` before it; what others are to reach goes through a proxy with TLS",
        basis="docs",
        check=each(_open),
    ),
    Rule(
        id="port-twice",
        about="Ports",
        severity="error",
        what="the same port of the machine published by two services",
        why="Docker gives it to the first, and the second does not start.",
        fix="another number on the left",
        basis="docs",
        check=_twice,
    ),
    Rule(
        id="network-host",
        about="Ports",
        severity="warning",
        what="`network_mode: host` for an engine or a chat window",
        why="It listens on every address of the machine, and `ports:` says nothing about it.",
        fix="a port on `127.0.0.1`; containers reach each other by their services' names",
        basis="docs",
        check=each(_host_network, "vllm", "llama.cpp", "webui", "ollama"),
    ),
    Rule(
        id="listens-inside-only",
        about="Ports",
        severity="error",
        what="`--host 127.0.0.1` or `HOST=127.0.0.1` in a container",
        why="That is the container's own loopback: neither the chat window nor a published port "
        "reaches it. Who may reach it is for `ports:` to say.",
        fix="`0.0.0.0` inside, `127.0.0.1:` in `ports:`",
        basis="docs",
        check=each(_inside_only, "vllm", "llama.cpp", "webui"),
    ),
)
