"""What Docker says when a port or an address of this machine cannot be had. Pure.

Seen with Docker 26.1; the words of Docker 28 and 29 are known from reports of others. A port that a
service of the operator's override asks for is not ours to move: its owner is named instead.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import HOME
from deployctl.diagnosis.signs import Found, Sign, pattern


def _next_port(found: Found) -> str:
    """The same with another port, for the service that wants this one."""
    number = int(_port(found) or 0)
    if (stranger := _stranger(found)) is not None:
        return _in_the_override(found, stranger, f"give {stranger} another port than {number}")
    key = _key_of(found, number)
    plan = found.way.plan
    taken = {p.host_port for s in plan.services for p in s.ports} if plan is not None else set()
    free = number + 1
    while free in taken or free > 65535:
        free = 1025 if free > 65535 else free + 1
    return found.way.with_set((key, str(free)))


def _key_of(found: Found, number: int) -> str:
    for service in found.way.plan.services if found.way.plan is not None else ():
        for port in service.ports:
            if port.host_port == number and port.key:
                return port.key
    return "ports.engine" if found.evidence.service == "engine" else "ports.webui"


def _port(found: Found) -> str:
    at = next(filter(None, map(found.word, ("at", "also", "bound", "desktop"))), "")
    return at.rpartition(":")[2][:5]


def _port_said(found: Found) -> str:
    if (stranger := _stranger(found)) is not None:
        return (
            f"Port {_port(found)}, which `{stranger}` of compose.override.yaml asks for, is held "
            "by something else."
        )
    return f"Port {_port(found)} is held by something else by now."


def _stranger(found: Found) -> str | None:
    """The service of the operator's override whose port it is; ``None`` for one of ours.

    Docker names its container; of one of ours a port that we did not ask for is the override's.
    """
    stack, plan = found.way.stack, found.way.plan
    name = found.word("endpoint").removeprefix(f"{stack}-").rpartition("-")[0]
    known = {service.name for service in plan.services} if plan is not None else set(_CORE)
    if name and name not in known:
        return name
    if plan is None or not _port(found):
        return None
    ours = {str(port.host_port) for service in plan.services for port in service.ports}
    return None if _port(found) in ours else (name or "a service")


#: The services that every stack has.
_CORE = ("engine", "webui")


def _in_the_override(found: Found, stranger: str, what: str) -> str:
    words = stranger if stranger != "a service" else "ports"
    return (
        f"grep -n -A9 {words} {HOME}/stacks/{found.way.stack}/compose.override.yaml"
        f"  # {what} there; then: {found.way.same()}"
    )


def _another_address(found: Found) -> str:
    if (stranger := _stranger(found)) is not None:
        return _in_the_override(found, stranger, "take the address out")
    again = found.way.with_set(("ports.address", "ADDRESS"))
    return f"hostname -I  # with one of them: {again}"


def _address_said(found: Found) -> str:
    if (stranger := _stranger(found)) is not None:
        return f"The address that `{stranger}` of compose.override.yaml asks for is not here."
    return "`ports.address` is not an address of this machine any more."


#: Whose port it is, where Docker names its container.
_ENDPOINT = r"(?:endpoint (?P<endpoint>[\w.-]+) \(\w+\): .{0,200}?)?"

#: Docker 28 names the address on this machine first, then perhaps the container's own.
_BOUND = (
    r"failed to bind host port (?:for )?(?P<bound>(?:\[[^\]\s]*\]|[^\s:/]*):\d{1,5})"
    r"(?::\S+)?/(?:tcp|udp)"
)

SIGNS = (
    Sign(
        code="start-port-taken",
        about="docker",
        pattern=pattern(
            f"{_ENDPOINT}(?:"
            r"Bind for (?P<at>\S+:\d+) failed: port is already allocated"
            r"|listen tcp[46]? (?P<also>\S+:\d+): bind: address already in use"
            f"|{_BOUND}: address already in use"
            r"|[Pp]orts are not available: .*?(?P<desktop>\S+:\d+))"
        ),
        seen="port is already allocated · bind: address already in use · failed to bind host port "
        "…: address already in use",
        cause="Something else took the port since it was looked at.",
        way_out="`--set ports.webui=` or `--set ports.engine=` another; the override's is named",
        remedy=_next_port,
        sample="Error response from daemon: driver failed programming external connectivity on "
        "endpoint s-webui-1 (4b7a): Bind for 127.0.0.1:7860 failed: port is already allocated",
        message=_port_said,
    ),
    Sign(
        code="start-address-missing",
        about="docker",
        pattern=pattern(
            f"{_ENDPOINT}(?:"
            r"listen tcp[46]? (?P<at>\S+:\d+): bind: cannot assign requested address"
            f"|{_BOUND}: cannot assign requested address)"
        ),
        seen="bind: cannot assign requested address · failed to bind host port …: cannot assign …",
        cause="`ports.address` is not an address of this machine any more.",
        way_out="`--set ports.address=` one that `hostname -I` names",
        remedy=_another_address,
        message=_address_said,
        sample="Error response from daemon: driver failed programming external connectivity on "
        "endpoint s-webui-1 (4279): Error starting userland proxy: listen tcp4 203.0.113.9:7860: "
        "bind: cannot assign requested address",
    ),
)
