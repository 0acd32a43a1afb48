"""The check that nothing gets out of the stack, or only where the profile lets it.

By trying, from inside each container's own network (see ``wayout``), and by what makes it so: the
hop limit there, the networks it is in, its resolver. The first can tell on machines without the
internet too: a packet that is stopped at the first hop is stopped by this machine, which says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.commands import beside
from deployctl.render import DNS
from deployctl.sidebyside import side_by_side
from deployctl.verify.nouns import Container, Seen, failed, ok, skipped
from deployctl.verify.wanted import WantedService, leads_out

if TYPE_CHECKING:
    from deployctl.verify.nouns import Subject

#: How a try may end in a container whose packets get no farther than this machine.
_INSIDE = {"stopped", "unknown-here", "no-route"}

#: What else is no answer from anybody: packets for the neighbours end there, silently.
_LOST = {"far", "silent"}

_WORDS = {
    "answered": "was answered",
    "refused": "was refused by somebody beyond this machine",
    "far": "was stopped by somebody beyond this machine",
    "silent": "went out and nobody said no",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of looking for a way out of one container."""

    service: str
    ttl: int
    tries: Mapping[str, str]
    leaks: tuple[str, ...]  # whole clauses; empty: closed


def no_egress(subject: Subject) -> Seen:
    """``no-egress``: what the profile does not let out does not get out."""
    shut = [service for service in subject.wanted.services if not service.egress]
    free = [service.name for service in subject.wanted.services if service.egress]
    if not shut:
        return skipped(f"the profile lets {' and '.join(free)} out (egress: all)")
    closed = [(s, c) for s in shut if (c := subject.container(s.name)) is not None]
    if absent := [s.name for s in shut if subject.container(s.name) is None]:
        return failed(
            f"{' and '.join(absent)} must not get out, and has no running container to look from",
            subject.up,
            where=absent[0],
        )
    looked = side_by_side(lambda pair: _look(subject, *pair), closed, name="verify no-egress")
    if unknown := [problem for problem in looked if isinstance(problem, str)]:
        return failed(
            "could not look from inside the containers",
            f"docker run --rm {_image(subject)} python3 -V",
            details=tuple(unknown),
        )
    found = [one for one in looked if isinstance(one, Found)]
    leaks = tuple(f"{one.service}: {leak}" for one in found for leak in one.leaks)
    if leaks:
        return failed(
            f"there is a way out of {' and '.join(one.service for one in found if one.leaks)}, "
            "and the profile asks for none",
            f"remove what opens it from compose.override.yaml, then: {subject.up}",
            where=next(one.service for one in found if one.leaks),
            details=leaks,
        )
    return ok(_closed(found) + (f"; {' and '.join(free)} may, as asked" if free else ""))


def _closed(found: list[Found]) -> str:
    ends = [end for one in found for end in one.tries.values()]
    tries = f"{len(ends)} packets from {' and '.join(one.service for one in found)}"
    limits = ", ".join(sorted({str(one.ttl) for one in found}))
    if set(ends) <= {"unknown-here", "no-route"}:  # trying tells nothing here
        return (
            f"this machine has no way out itself; judged by hop limit {limits}, networks that are "
            "not masqueraded and resolvers that are closed"
        )
    stopped = sum(end in _INSIDE for end in ends)
    rest = f", {len(ends) - stopped} lost without an answer" if stopped < len(ends) else ""
    return f"{tries}: {stopped} stopped at the first hop{rest}; hop limit {limits}; no names"


def _look(subject: Subject, service: WantedService, container: Container) -> Found | str:
    """Look from inside the container's network; a clause when that was not possible."""
    result = subject.ports.runner.run(
        beside(container.state.id, _image(subject), subject.way_out, label="look for a way out")
    )
    try:
        said = json.loads(result.stdout)
        tries, ttl = dict(said["tries"]), int(said["ttl"])
    except (ValueError, KeyError, TypeError):
        return f"{service.name}: {' '.join(result.tail(3)) or 'nothing was said'}"
    return Found(
        service=service.name,
        ttl=ttl,
        tries=tries,
        leaks=(
            *_tried(tries, service),
            *_names(said, container),
            *_built(subject, service, container, ttl),
        ),
    )


def _image(subject: Subject) -> str:
    """The frontend's image, by its id: it has a Python, and it is here."""
    frontend = subject.container("webui")
    return frontend.state.image_id if frontend is not None else "python:3"


def _tried(tries: Mapping[str, str], service: WantedService) -> Iterator[str]:
    """What trying shows. Packets that may reach the neighbours can only get lost there."""
    allowed = _INSIDE if service.hops <= 1 else _INSIDE | _LOST
    for way, end in tries.items():
        if end not in allowed:
            yield f"{way} {_WORDS.get(end, end)} (tried)"


def _names(said: Mapping[str, Any], container: Container) -> Iterator[str]:
    if said.get("name"):
        yield f"a name of the outside resolves to {said['name']} (tried)"
    asked = container.get("HostConfig", "Dns") or []
    if tuple(asked) != DNS:
        yield f"its resolver asks {', '.join(asked) or 'what this machine asks'} (Docker)"
    if said.get("ipv6") != "no-route":
        yield "it has a way out by IPv6 (tried)"


def _built(
    subject: Subject, service: WantedService, container: Container, ttl: int
) -> Iterator[str]:
    """What makes it so: each of these alone leaves a way for a program that looks for one."""
    if ttl > service.hops:
        yield f"its packets survive {ttl} hops, not {service.hops} (measured)"
    known = {str(network.get("Id")): network for network in subject.networks}
    for name, entry in (container.get("NetworkSettings", "Networks") or {}).items():
        network = known.get(str(entry.get("NetworkID")))
        if network is None:
            yield f"it is in network {name}, which is not the stack's (Docker)"
        elif leads_out(network):
            yield f"it is in network {name}, which leads out (Docker)"
