"""Who reaches a stack and whom it reaches: addresses, and whole sentences for the plan. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

LOOPBACK = "127.0.0.1"


def authority(address: str, port: int) -> str:
    """``address:port`` as URLs and Compose write it: an IPv6 address stands in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def url(address: str, port: int) -> str:
    """The plain-HTTP address of what listens there."""
    return f"http://{authority(address, port)}"


def who_can_reach(spec: ProfileSpec) -> tuple[str, ...]:
    """Whole sentences: who reaches the chat window and the API, and who may reach out."""
    return (*_inwards(spec), _outwards(spec))


def _inwards(spec: ProfileSpec) -> tuple[str, ...]:
    window, api = url(LOOPBACK, spec.ports.webui), url(LOOPBACK, spec.ports.engine)
    if spec.exposure == "loopback" or spec.ports.address is None:
        return (f"Only this machine reaches the chat window ({window}) and the API ({api}/v1).",)
    shared = url(spec.ports.address, spec.ports.webui)
    return (
        f"Every machine in the network of {spec.ports.address} reaches the chat window at "
        f"{shared}; this machine also at {window}.",
        "It is plain HTTP: passwords and chats can be read by whoever can listen in that network.",
        "Nobody uses the chat window without signing in, and nobody can sign up.",
        f"Only this machine reaches the API ({api}/v1).",
    )


def _outwards(spec: ProfileSpec) -> str:
    if spec.egress == "all":
        return (
            "The chat window and the engine may reach out, to this machine's networks and the "
            "internet; the chat window can search the web, with DuckDuckGo."
        )
    if spec.egress == "frontend":
        return (
            "The chat window may reach out, to this machine's networks and the internet, and can "
            "search the web, with DuckDuckGo; the engine may not."
        )
    if spec.exposure == "lan":
        return (
            "Neither the chat window nor the engine may reach out: packets of the chat window "
            "get as far as the machines of this machine's own networks and end there."
        )
    return "Neither the chat window nor the engine may reach out."
