"""The check that nothing of the stack listens where nobody asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from deployctl.amounts import counted
from deployctl.reach import authority
from deployctl.sidebyside import side_by_side
from deployctl.verify.nouns import Container, Seen, doubtful, failed, ok

if TYPE_CHECKING:
    from deployctl.verify.nouns import Subject

#: Seconds to wait for a connection to one of this machine's own addresses: it is right here.
_WAIT_S = 1.0


def published(subject: Subject) -> Seen:
    """``published-loopback``: by what Docker says, and by trying this machine's other addresses."""
    asked = {
        place
        for service in subject.wanted.services
        for place in service.published
        if not ip_address(place[0]).is_loopback
    }
    bound = {place: c.service for c in subject.containers for place in _bound(c)}
    wide = {place: name for place, name in bound.items() if not ip_address(place[0]).is_loopback}
    wrong = [
        f"{name} is published at {authority(*place)} (Docker)"
        for place, name in sorted(wide.items())
        if place not in asked
    ]
    others = [a for a in subject.facts.addresses if not ip_address(a).is_loopback]
    tried = [(a, port) for a in others for port in sorted({port for _, port in bound})]
    answering = _answering(subject, [place for place in tried if place not in asked])
    strangers = {place: name for place in answering if (name := subject.ports.holder(*place))}
    wrong += [
        f"something answers at {authority(*place)} (tried)"
        for place in answering
        if place not in strangers
    ]
    if wrong:
        return failed(
            f"reachable where the profile does not ask for it: {counted(len(wrong), 'place')}",
            f"remove the ports from compose.override.yaml, then: {subject.up}",
            details=tuple(wrong),
        )
    if strangers:
        # A program of the operator's, a proxy as it may be: nothing that the stack has opened.
        return doubtful(
            f"{len(strangers)} of the stack's ports are taken by other programs at this machine's "
            "other addresses: what they pass on is theirs to guard",
            "ss -ltnp  # who listens there",
            details=tuple(
                f"{name} listens at {authority(*place)} (tried)"
                for place, name in sorted(strangers.items())
            ),
        )
    lan = f", and as the profile asks at {', '.join(authority(*p) for p in sorted(asked))}"
    return ok(
        f"{len(bound) - len(wide)} ports on loopback{lan if asked else ''}; "
        f"{len(tried)} tries at {len(others)} other "
        f"{'address' if len(others) == 1 else 'addresses'} of this machine were refused"
    )


def _bound(container: Container) -> Iterator[tuple[str, int]]:
    for places in (container.get("NetworkSettings", "Ports") or {}).values():
        for place in places or ():
            yield place.get("HostIp") or "0.0.0.0", int(place["HostPort"])  # noqa: S104  # says it


def _answering(subject: Subject, places: list[tuple[str, int]]) -> list[tuple[str, int]]:
    listens = subject.ports.http.listens
    found = side_by_side(
        lambda place: listens(*place, timeout_s=_WAIT_S), places, name="verify published-loopback"
    )
    return [place for place, answered in zip(places, found, strict=True) if answered]
