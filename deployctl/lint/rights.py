"""Rules about what a container may do to the machine it runs on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import drop_key
from deployctl.lint.interpolation import resolved
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.tree import Entry, Item, Listing, text_of
from deployctl.lint.writing import Edit

#: Programs that look after Docker itself, which they cannot without its socket.
_KEEPERS = re.compile(
    r"portainer|traefik|watchtower|dozzle|autoheal|docker-socket-proxy|nginx-proxy|dockge|yacht"
    r"|cadvisor|diun|homepage|glances|netdata|docker-gen|caddy-docker|ouroboros|lazydocker"
)


def _privileged(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("privileged")
    if entry is not None and resolved(text_of(entry)).lower() == "true":
        yield Found(
            at=entry.at,
            message=f"{service.name} is `privileged`: whoever breaks into it has this machine.",
            edits=(drop_key(stack, service, "privileged"),),
            service=service,
        )


def _socket(stack: Stack, service: Service) -> Iterator[Found]:
    if _KEEPERS.search(service.repository):
        return
    entry = service.keys.get("volumes")
    for mount in service.mounts:
        if not mount.source.endswith("docker.sock") or entry is None:
            continue
        holder = entry.value
        edit = (
            _drop_item(stack, service, entry, mount.part) if isinstance(holder, Listing) else None
        )
        yield Found(
            at=mount.at,
            message=f"{service.name} has Docker's socket, and with it this whole machine; `:ro` "
            "changes nothing about that.",
            edits=(edit,),
            service=service,
            last=mount.part.last,
        )


def _drop_item(stack: Stack, service: Service, entry: Entry, part: Item | Entry) -> Edit | None:
    holder = entry.value
    if not isinstance(holder, Listing):
        return None
    if len(holder.items) == 1:
        return drop_key(stack, service, entry.key.text)
    return stack.pen.drop(part, holder)


RULES = (
    Rule(
        id="container-privileged",
        about="Ports",
        severity="error",
        what="`privileged: true`",
        why="It takes away everything that keeps a container in; a graphics card does not need it.",
        fix="leave it out; a card is handed over with `deploy.resources.reservations.devices`",
        basis="docs",
        check=each(_privileged),
    ),
    Rule(
        id="docker-socket",
        about="Ports",
        severity="warning",
        what="`docker.sock` in a container; not in those that manage Docker",
        why="Whoever has the socket can start a container with the whole disk in it.",
        fix="leave it out",
        basis="docs",
        check=each(_socket),
    ),
)
