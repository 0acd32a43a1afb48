"""The kinds of value in a profile (sizes, images, checksums…), and what is wrong with them. Pure.

A refusal is a pydantic error of type :data:`PROBLEM` whose context says what is wrong and what to
write instead; ``problems`` turns it into what the operator reads.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Any, NoReturn, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from deployctl.errors import DeployctlError
from deployctl.profiles.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    UnitError,
    parse_duration,
    parse_size,
)
from deployctl.sources import parse_source

#: The type of our own validation errors; what is wrong and how to mend it is in their context.
PROBLEM = "problem"


def refuse(
    sentence: str,
    *,
    write: str = "",
    hint: str = "",
    typed: str = "",
    source: str = "",
    code: str = "profile-invalid",
    at: tuple[str, ...] = (),
) -> NoReturn:
    """Refuse a value: ``write`` is the value to write instead, ``hint`` any other edit.

    ``typed`` is what to type instead of making that edit, where the value was typed; ``source``
    another source of the model, behind the option that this one was typed behind.

    ``at`` is the way to the value from the map that is being checked.
    """
    context = {"sentence": sentence, "write": write, "hint": hint, "code": code, "at": at}
    context |= {"typed": typed, "source": source}
    raise PydanticCustomError(PROBLEM, "{sentence}", context)


def _size(written: Any) -> int:  # noqa: ANN401  # whatever the file says
    try:
        return parse_size(written, example="")  # the key has a better one
    except UnitError as problem:
        refuse(problem.sentence, write=problem.suggestion)


def _duration(written: Any) -> int:  # noqa: ANN401  # whatever the file says
    try:
        return parse_duration(written, example="")  # the key has a better one
    except UnitError as problem:
        refuse(problem.sentence, write=problem.suggestion)


def _source(text: str) -> str:
    try:
        parse_source(text)
    except DeployctlError as problem:
        fault = problem.faults[0]
        meant = re.fullmatch(r"Did you mean `([^`$]+)`\?", fault.hint)
        write = meant[1] if meant else ""
        refuse(fault.message, write=write, hint=fault.hint, code=fault.code)
    return text


_SERVED_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
_SHA256 = r"^[0-9a-f]{64}$"
_IMAGE = (
    r"^([a-zA-Z0-9.-]+(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})(@sha256:[0-9a-f]{64})?$"
)

#: Tags that mean another image every day, also with a variant behind them (``main-slim``).
_MOVING_TAGS = frozenset({"latest", "main", "master", "edge", "nightly", "dev"})


def _served_name(text: str) -> str:
    if not re.fullmatch(_SERVED_NAME, text):
        fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:96] or "my-model"
        sentence = "Clients, logs and metrics know the model by it: letters, digits, `.`, `_`, `-`."
        refuse(sentence, write=fitting)
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(_SHA256, text):
        refuse(
            "A checksum is 64 digits 0-9 and a-f.",
            write=text.lower() if re.fullmatch(_SHA256, text.lower()) else "",
            hint="sha256sum FILE.gguf",
        )
    return text


def _image(text: str) -> str:
    found = re.fullmatch(_IMAGE, text)
    if found is None:
        sentence = "An image is written NAME:TAG, with the registry before it."
        refuse(sentence, hint="write it like `ghcr.io/open-webui/open-webui:v0.12.4`")
    moving = found["tag"].partition("-")[0]
    if moving in _MOVING_TAGS and "@" not in text:
        sentence = f"The tag `{found['tag']}` is another image every day; a profile names one."
        refuse(sentence, hint="name the tag of one release, like `v0.12.4`")
    return text


def some(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names nothing, or something twice."""
    if not names:
        refuse("It names none, so it could run nowhere.", write="[amd64, arm64]")
    if len(set(names)) != len(names):
        refuse("It names one twice.", hint="keep one of the two")
    return names


def _capability(text: str) -> str:
    if not re.fullmatch(_CAPABILITY, text):
        refuse("A compute capability is two numbers with a point.", write='"8.6"')
    return text


def of_networks(addresses: Iterable[str]) -> tuple[str, ...]:
    """Those at which other machines may reach this one, the likeliest first.

    Docker's own bridges come last: they have the first address of a network in 172.16/12.
    """

    def unlikely(address: IPAddress) -> tuple[bool, bool, str]:
        bridge = str(address).endswith(".0.1") and address in _BRIDGES
        return bridge, address.version == 6, str(address)

    found = (ipaddress.ip_address(address) for address in addresses)
    seen = (a for a in found if not (a.is_loopback or a.is_link_local))
    return tuple(str(address) for address in sorted(seen, key=unlikely))


def _lan_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        refuse(
            "It should be an address of this machine, not a name.",
            hint="ip -brief address  # shows the addresses of this machine",
        )
    if address.is_unspecified or address.is_multicast:
        refuse(
            "That would be every network this machine is in; name the address in one of them.",
            hint="ip -brief address  # shows the addresses of this machine",
        )
    if address.is_link_local and address.version == 6:
        refuse(
            "An address of the link alone needs a zone; name one that other machines see.",
            hint="ip -brief address  # shows the addresses of this machine",
        )
    if address.is_loopback:
        refuse("That is this machine itself, and `exposure: loopback` says so.", hint="delete it")
    return str(address)  # as browsers write it in the origin of a page


IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_BRIDGES = ipaddress.ip_network("172.16.0.0/12")

_CAPABILITY = r"^[0-9]{1,2}\.[0-9]$"


Size: TypeAlias = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
]
Duration: TypeAlias = Annotated[
    int,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
PortNumber: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Line: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
ImageReference: TypeAlias = Annotated[
    str,
    Field(max_length=400),
    AfterValidator(_image),
    WithJsonSchema({"type": "string", "pattern": _IMAGE.replace("?P<tag>", "")}),
]


ServedName: TypeAlias = Annotated[
    str,
    AfterValidator(_served_name),
    WithJsonSchema({"type": "string", "pattern": _SERVED_NAME}),
]
SourceText: TypeAlias = Annotated[str, Field(max_length=2000), AfterValidator(_source)]
Sha256: TypeAlias = Annotated[
    str,
    AfterValidator(_sha256),
    WithJsonSchema({"type": "string", "pattern": _SHA256}),
]
Capability: TypeAlias = Annotated[
    str,
    AfterValidator(_capability),
    WithJsonSchema({"type": "string", "pattern": _CAPABILITY}),
]
LanAddress: TypeAlias = Annotated[str, Field(max_length=64), AfterValidator(_lan_address)]
