"""Why a profile is as it is: each value with its place, its reason and what it overrides. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deployctl.errors import DeployctlError
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.document import Node, Path, dotted, walk
from deployctl.profiles.excerpt import quoted
from deployctl.profiles.keys import Keys
from deployctl.profiles.resolve import Profile
from deployctl.profiles.writing import find, flow, steps, written

#: Stands for a file where nobody wrote the value.
DEFAULT = "default"

_NOWHERE = Origin(file=DEFAULT, line=0)
_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*\"""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A value, and where it was written."""

    value: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One value explained; ``value`` and ``where`` are ``None`` where nothing is written.

    ``overrides`` are the values of lower layers, the nearest first; ``reason`` is the comment at
    the value, in the words of who wrote it; ``reason_of`` is the block whose comment that is.
    """

    path: str
    value: str | None
    where: str | None
    overrides: tuple[Written, ...]
    reason: str
    reason_of: str
    description: str
    default: str | None = None  # where it has one


def complete(profile: Profile) -> Node:
    """The joined profile without ``extends`` and with the defaults it relies on."""
    root = _with_defaults(profile.root, profile.spec)
    assert isinstance(root.value, Mapping)
    kept = {key: node for key, node in root.value.items() if key != "extends"}
    return Node(kept, root.origin, root.key)


def shown(profile: Profile) -> str:
    """The final YAML: a profile that stands alone and means the same."""
    return written(complete(profile))


def annotated(profile: Profile, path: Path = ()) -> str:
    """The final YAML, or a block of it, with the place of each value behind it."""
    root = complete(profile)
    return written(_only(root, path), lambda _path, node: place(profile, node))


def explain(profile: Profile, name: str) -> Explanation:
    """Explain the value or block at ``name``, like ``ports.webui``.

    Raises ``profile-key-unknown`` for a path that no profile has.
    """
    path, keys = steps(name), Keys()
    node = find(complete(profile), path)
    fields = tuple(step for step in path if isinstance(step, str))
    field = keys.field(fields) if fields else None
    if field is None or (node is None and len(fields) < len(path)):
        raise _unknown(profile, name, path)
    reason, reason_of = _reason(profile, path, node)
    return Explanation(
        path=name,
        value=None if node is None else flow(node),
        where=None if node is None else place(profile, node),
        overrides=() if node is None else _overridden(profile, path, node),
        reason=reason,
        reason_of=reason_of,
        description=field.description or "",
        default=_default(field),
    )


def place(profile: Profile, node: Node) -> str:
    """``file:line``, or what was typed, or that it is a default."""
    at = _at(node)
    return DEFAULT if at == _NOWHERE else excerpt.where(at, profile.sources.get(at.file, ()))


def _default(field: FieldInfo) -> str | None:
    """What holds where nothing is written, as it would be; ``None`` for nothing, and for blocks."""
    value = field.default
    return None if value is None or value is PydanticUndefined else flow(Node(value, _NOWHERE))


# ── the parts ─────────────────────────────────────────────────────────────────────────────────


def _at(node: Node) -> Origin:
    return (node.key or node.origin) if isinstance(node.value, Mapping) else node.origin


def _with_defaults(node: Node, block: BaseModel) -> Node:
    assert isinstance(node.value, Mapping)
    entries = dict(node.value)
    for key, field in type(block).model_fields.items():
        value, inner = getattr(block, key), entries.get(key)
        if inner is None and field.validate_default:  # as it is written, with its unit
            entries[key] = Node(field.default, _NOWHERE)
        elif inner is None and value is not None and value == field.default:
            entries[key] = Node(value, _NOWHERE)
        elif inner is not None and isinstance(value, BaseModel):
            entries[key] = _with_defaults(inner, value)
    return Node(entries, node.origin, node.key)


def _only(root: Node, path: Path) -> Node:
    """The same tree with nothing but what lies at ``path``."""
    if not path:
        return root
    assert isinstance(root.value, Mapping)
    step = str(path[0])
    return Node({step: _only(root.value[step], path[1:])}, root.origin, root.key)


def _overridden(profile: Profile, path: Path, winner: Node) -> tuple[Written, ...]:
    if isinstance(winner.value, Mapping):
        return ()  # blocks are joined
    below = [node for layer in reversed(profile.layers) if (node := find(layer, path))]
    return tuple(
        Written(value=flow(node), where=place(profile, node))
        for node in below
        if node.origin != winner.origin
    )


def _reason(profile: Profile, path: Path, node: Node | None) -> tuple[str, str]:
    """The comment at the value, else that of the nearest block around it, and its path."""
    root = complete(profile)
    while path:
        node = find(root, path)
        if node is not None and (said := comment(profile, node)):
            return said, dotted(path)
        path = path[:-1]
    return "", ""


def comment(profile: Profile, node: Node) -> str:
    """The comment in the lines right above a value's key, and behind it."""
    at = node.key or node.origin
    lines = profile.sources.get(at.file, ())
    if at.file.startswith("--") or not 0 < at.line <= len(lines):
        return ""
    above: list[str] = []
    for line in reversed(lines[: at.line - 1]):
        if not line.lstrip().startswith("#") or "yaml-language-server:" in line:
            break
        above.insert(0, line.strip().lstrip("#").strip())
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), lines[at.line - 1])
    _, sign, _ = bare.partition(" #")
    behind = lines[at.line - 1][bare.index(" #") + 2 :].strip() if sign else ""
    return " ".join(filter(None, (*above, behind)))


def _unknown(profile: Profile, name: str, path: Path) -> DeployctlError:
    keys = Keys()
    known = [dotted((*block, key)) for block in keys.blocks() for key in keys.names(block)]
    known += [dotted(way) for way, _ in walk(complete(profile)) if way and dotted(way) not in known]
    last = [way for way in known if way.rpartition(".")[2] == str(path[-1])]
    close = last[:1] or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f" Did you mean {quoted(close[0])}?" if close else ""
    example = close[0] if close else "ports.webui"
    return DeployctlError(
        f"{quoted(name)} is not a key of a profile.{meant}",
        code="profile-key-unknown",
        hint=f"deployctl profile explain {profile.name} {example}",
        where=profile.file,
    )
