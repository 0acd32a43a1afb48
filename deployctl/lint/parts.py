"""The ports and mounts of a service, as they are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.interpolation import UNKNOWN, resolved
from deployctl.lint.nouns import Mount, Port
from deployctl.lint.tree import Entry, Item, Listing, Mapping, Pairs, Scalar, text_of

_SHORT = re.compile(
    r"(?:(?P<address>\[[^\]]*\]|[^:\[\]]*):)??(?:(?P<published>[\w.\-" + UNKNOWN + r"]*):)?"
    r"(?P<target>[\w.\-" + UNKNOWN + r"]+)(?:/(?P<protocol>\w+))?"
)


def ports_of(entry: Entry | None, pairs: Pairs) -> Iterator[Port]:
    """The ports that a service publishes, in either form; what cannot be read is left out."""
    if entry is None or not isinstance(entry.value, Listing):
        return
    for item in entry.value.items:
        if isinstance(item.value, Scalar):
            found = _SHORT.fullmatch(resolved(item.value.text).strip())
            if found and re.search(rf"[0-9{UNKNOWN}]", found["target"]):
                part = {key: value or "" for key, value in found.groupdict().items()}
                yield Port(
                    address=part["address"].strip("[]"),
                    published=part["published"],
                    target=part["target"],
                    protocol=part["protocol"],
                    part=item,
                    at=item.value.start,
                )
        elif isinstance(item.value, Mapping):
            inside = pairs.of(item.value)
            yield Port(
                address=resolved(text_of(inside.get("host_ip"))),
                published=resolved(text_of(inside.get("published"))),
                target=resolved(text_of(inside.get("target"))),
                protocol=resolved(text_of(inside.get("protocol"))),
                part=item,
                at=item.at,
            )


def mounts_of(keys: dict[str, Entry], pairs: Pairs) -> Iterator[Mount]:
    """What is mounted into a service, from `volumes:`, `tmpfs:`, `configs:` and `secrets:`."""
    entry = keys.get("volumes")
    items = entry.value.items if entry and isinstance(entry.value, Listing) else ()
    for item in items:
        if isinstance(item.value, Scalar):
            yield _short_mount(resolved(item.value.text), item)
        else:
            inside = pairs.of(item.value)
            target = inside.get("target") or inside.get("destination") or inside.get("dst")
            source = inside.get("source") or inside.get("src")
            kind = text_of(inside.get("type")) or "volume"
            yield Mount(
                kind=kind,
                source=resolved(text_of(source)),
                target=_folder(resolved(text_of(target))),
                at=item.at,
                part=item,
            )
    yield from _others(keys, pairs)


def _others(keys: dict[str, Entry], pairs: Pairs) -> Iterator[Mount]:
    """What else lies in a container's folders: memory, configurations, secrets."""
    tmpfs = keys.get("tmpfs")
    if tmpfs is not None:
        value = tmpfs.value
        found = (
            value.items
            if isinstance(value, Listing)
            else (Item(value=value, at=tmpfs.at, last=tmpfs.last),)
        )
        for item in found:
            if isinstance(item.value, Scalar):
                on = _folder(resolved(item.value.text).partition(":")[0])
                yield Mount(kind="tmpfs", source="", target=on, at=item.at, part=item)
    for key in ("configs", "secrets"):
        held = keys.get(key)
        listed = held.value.items if held and isinstance(held.value, Listing) else ()
        for item in listed:
            inside = pairs.of(item.value)
            on = resolved(text_of(inside.get("target")))
            if on:
                yield Mount(kind=key, source=key, target=_folder(on), at=item.at, part=item)


def _short_mount(text: str, item: Item) -> Mount:
    drive = re.match(r"[A-Za-z]:(?=[\\/].*:)", text)  # of a Windows path, with a colon of its own
    head = drive[0] if drive else ""
    parts = text[len(head) :].split(":")
    source, target = (head + parts[0], parts[1]) if len(parts) > 1 else ("", text)
    bind = source.startswith((".", "/", "~", "\\")) or bool(re.match(r"[A-Za-z]:", source))
    kind = "bind" if bind else "volume"
    return Mount(kind=kind, source=source, target=_folder(target), at=item.at, part=item)


def _folder(path: str) -> str:
    return path.rstrip("/") or path
