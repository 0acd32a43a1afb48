"""What was typed after ``--set``, as the uppermost layer of a profile. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.document import Node, dotted
from deployctl.profiles.excerpt import SETTINGS, quoted
from deployctl.profiles.keys import Keys
from deployctl.profiles.source import load_setting

_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

#: Keys in one path; profiles have at most three.
_MAX_KEYS = 8


def read_settings(typed: tuple[str, ...]) -> tuple[Node | None, tuple[Fault, ...]]:
    """All ``--set`` as one layer; of two for the same key the later wins."""
    layer: Node | None = None
    faults: list[Fault] = []
    for index, text in enumerate(typed):
        name, equals, value = text.partition("=")
        keys = name.split(".")
        at = Origin(file=SETTINGS, line=index + 1)
        problem = _wrong_key(name, keys) if equals else f"{quoted(name)} has no `=` and no value."
        if problem:
            hint = "--set ports.webui=7861  # the form is KEY.KEY=VALUE"
            faults.append(excerpt.fault(at, typed, problem, hint))
            continue
        node, found = load_setting(typed, index)
        faults += found if value.strip() else (_empty(fault, tuple(keys)) for fault in found)
        for depth, key in reversed(tuple(enumerate(keys))):
            place = Origin(
                file=SETTINGS, line=index + 1, column=1 + len(".".join([*keys[:depth], ""]))
            )
            node = Node({key: Node(node.value, node.origin, place, node.refused)}, place)
        layer = node if layer is None else _join(layer, node)
    return layer, tuple(faults)


def _empty(fault: Fault, path: tuple[str, ...]) -> Fault:
    """A value that is missing; the hint is one that the key can have."""
    keys = Keys()
    if keys.field(path) is None or keys.is_block(path):
        return fault
    return replace(fault, hint=f"--set {shlex.quote(f'{dotted(path)}={keys.example(path)}')}")


def _wrong_key(name: str, keys: list[str]) -> str | None:
    if not all(_KEY.fullmatch(key) for key in keys) or len(keys) > _MAX_KEYS:
        return f"{quoted(name)} is not a key of a profile."
    if keys == ["extends"]:
        return "What a profile extends is written in its file, not on the command line."
    return None


def _join(below: Node, above: Node) -> Node:
    """Merge without the rules for layers: the order in which keys are typed means nothing."""
    if not isinstance(below.value, Mapping) or not isinstance(above.value, Mapping):
        return above
    entries = dict(below.value)
    for key, child in above.value.items():
        entries[key] = _join(entries[key], child) if key in entries else child
    return Node(entries, below.origin, below.key)
