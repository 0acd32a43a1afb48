"""Two profiles, value by value: what differs and who wrote it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployctl.profiles.document import Node, Path, dotted, walk
from deployctl.profiles.explain import Written, complete, place
from deployctl.profiles.keys import Keys
from deployctl.profiles.resolve import Profile
from deployctl.profiles.writing import flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A value that two profiles do not share; ``None`` where one of them has none."""

    path: str
    a: Written | None
    b: Written | None


def differences(a: Profile, b: Profile) -> tuple[Difference, ...]:
    """All values that differ, in the documented order of their keys.

    Values are compared, not spellings: ``1GiB`` and ``1024MiB`` are the same.
    """
    left, right = _leaves(complete(a)), _leaves(complete(b))
    paths = sorted({*left, *right}, key=_order)
    return tuple(
        Difference(
            path=dotted(path),
            a=_written(a, left.get(path)),
            b=_written(b, right.get(path)),
        )
        for path in paths
        if _value(a, path) != _value(b, path)
    )


def _leaves(root: Node) -> dict[Path, Node]:
    """Everything but blocks and null; a list is one value, because it is replaced as one."""
    return {
        path: node
        for path, node in walk(root)
        if node.value is not None
        and not isinstance(node.value, Mapping)
        and all(isinstance(step, str) for step in path)
    }


def _value(profile: Profile, path: Path) -> Any:  # noqa: ANN401  # whatever the schema makes of it
    value: Any = profile.spec
    for step in path:
        value = getattr(value, str(step), None)
    return value


def _written(profile: Profile, node: Node | None) -> Written | None:
    return None if node is None else Written(value=flow(node), where=place(profile, node))


def _order(path: Path) -> tuple[int, ...]:
    keys = Keys()
    return tuple(
        names.index(str(step)) if step in (names := keys.names(path[:depth])) else len(names)
        for depth, step in enumerate(path)
    )
