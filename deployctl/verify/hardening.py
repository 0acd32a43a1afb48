"""Checks of how each container is kept: as Docker was told, and as it is seen from inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployctl.commands import inside
from deployctl.sidebyside import side_by_side
from deployctl.verify.alive import ended
from deployctl.verify.nouns import Container, Seen, failed, ok

if TYPE_CHECKING:
    from deployctl.verify.nouns import Subject

#: Seconds that a healthcheck may still need after a start: Docker asks every second or two then.
_SETTLE_S, _LOOK_EVERY_S = 15.0, 0.2

#: Asked inside a container, as its own user. What can be written is removed again.
_SCRIPT = """
echo "uid $(id -u)"
grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/1/status
for place in / /usr /etc /var/tmp /app; do
  [ -d "$place" ] || continue
  file="$place/.deployctl-verify"
  if (: > "$file") 2>/dev/null; then echo "wrote $place"; rm -f "$file"; else echo "refused"; fi
done
"""

#: What it must have said: a container without `grep` has said nothing of its rights.
_LOOKED_AT = {"uid", "CapEff", "CapBnd", "NoNewPrivs"}


def hardening(subject: Subject) -> Seen:
    """``hardening``: no root, nothing to write but what is meant, no rights, and limits."""
    looked = side_by_side(
        lambda c: _inside(subject, c), subject.containers, name="verify hardening"
    )
    wrong = [
        f"{container.service}: {fault}"
        for container, (faults, _) in zip(subject.containers, looked, strict=True)
        for fault in (*_told(container), *faults)
    ]
    if wrong:
        return failed(
            f"{len(wrong)} of the ground rules for containers are broken",
            f"remove what changes them from compose.override.yaml, then: {subject.up}",
            where=wrong[0].partition(":")[0],
            details=tuple(wrong),
        )
    refused = sum(count for _, count in looked)
    return ok(
        f"{len(subject.containers)} containers: not root, read-only ({refused} writes refused), no "
        "capabilities, no new privileges, memory and processes limited"
    )


def _told(container: Container) -> Iterator[str]:
    """What Docker was told, where it is not as it should be."""
    host = container.get("HostConfig") or {}
    user = str(container.get("Config", "User") or "")
    options = [str(option) for option in host.get("SecurityOpt") or ()]
    rules = (
        (user.partition(":")[0] not in ("", "0", "root"), f"its user is {user or 'root'}"),
        (host.get("ReadonlyRootfs") is True, "its root file system can be written"),
        ([str(c).upper() for c in host.get("CapDrop") or ()] == ["ALL"], "it keeps capabilities"),
        (not host.get("CapAdd"), f"it is given capabilities: {host.get('CapAdd')}"),
        (not host.get("Privileged"), "it is privileged"),
        (
            any(o in ("no-new-privileges", "no-new-privileges:true") for o in options),
            "programs in it may gain privileges",
        ),
        ((host.get("Memory") or 0) > 0, "its memory is not limited"),
        ((host.get("PidsLimit") or 0) > 0, "its processes are not limited"),
        (
            not any(host.get(f"{kind}Mode") == "host" for kind in ("Network", "Pid", "Ipc")),
            "it shares a namespace with this machine",
        ),
        ("docker.sock" not in str(container.seen.get("Mounts")), "it can command Docker"),
    )
    return (fault for holds, fault in rules if not holds)


def _inside(subject: Subject, container: Container) -> tuple[tuple[str, ...], int]:
    """(what is wrong as seen from inside, how many writes were refused)."""
    result = subject.ports.runner.run(
        inside(container.state.id, _SCRIPT, label=f"look into {container.service}")
    )
    lines = result.stdout.splitlines()
    told = {line.replace(":", " ").partition(" ")[0] for line in lines}
    if not told >= _LOOKED_AT:
        return (f"could not be looked into: {' '.join(result.tail(2))}",), 0
    faults = []
    for line in lines:
        word, _, value = line.replace(":", " ").partition(" ")
        value = value.strip()
        if word == "uid" and value == "0":
            faults.append("its programs are root (seen inside)")
        elif word in ("CapEff", "CapBnd") and int(value or "0", 16):
            faults.append(f"{word} is {value} (seen inside)")
        elif word == "NoNewPrivs" and value != "1":
            faults.append("privileges can be gained (seen inside)")
        elif word == "wrote":
            faults.append(f"a file could be written in {value} (tried)")
    return tuple(faults), lines.count("refused")


def healthchecks(subject: Subject) -> Seen:
    """``healthchecks``: Docker's own checks pass, of the containers that the checks began with."""
    clock, deadline = subject.ports.clock, subject.ports.clock.now() + _SETTLE_S
    while True:
        everything = subject.ports.docker.containers(subject.stack)
        states = [
            state
            for state in everything
            if subject.wanted.service(state.service) or state.health is not None
        ]
        ill = [s for s in states if s.status == "running" and s.health != "healthy"]
        if not any(state.health == "starting" for state in ill) or clock.now() >= deadline:
            break
        clock.sleep(_LOOK_EVERY_S)
    if gone := ended(subject, everything):
        said = ", ".join(f"{service} {what}" for service, what in gone.items())
        service = next(iter(gone))
        return failed(said, f"deployctl logs {service} --stack {subject.stack}", where=service)
    if ill:
        said = ", ".join(f"{s.service} is {s.health or 'without a healthcheck'}" for s in ill)
        service = ill[0].service
        return failed(said, f"deployctl logs {service} --stack {subject.stack}", where=service)
    healthy = (state.service for state in states if state.health == "healthy")
    return ok(", ".join(f"{service} healthy" for service in healthy))
