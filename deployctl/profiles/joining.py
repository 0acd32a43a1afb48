"""Layers of a profile → one: maps are joined key by key, everything else is replaced. Pure.

Four rules keep facts about one thing from describing another: a layer that changes ``engine.kind``
replaces the whole engine, one that changes ``model.use`` drops what was said of the other model,
a source after ``--model`` drops all of it, the format too, and one that changes ``model.source``
drops the inherited checksum and sizes.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployctl.profiles.document import Node, Path
from deployctl.profiles.excerpt import MODEL
from deployctl.profiles.keys import Keys

#: Keys of ``model`` that say what the operator wants of any model, not what the model is.
WISHES = frozenset({"context", "max_tokens"})

#: The same of a model of the catalog.
INTENT = WISHES | {"use", "format"}

#: What is said of one model file and not of another.
_ABOUT_THE_FILE = ("sha256", "size", "size_about")


def merge(below: Node, above: Node, path: Path = ()) -> Node:
    """``above`` laid over ``below``; ``path`` is where the two stand in the profile."""
    if isinstance(above.value, Mapping) and not isinstance(below.value, Mapping | None):
        # Where a block belongs, what is none is refused at its own place, whatever lies over it.
        return below if Keys().holds_keys(path) else above
    if not isinstance(below.value, Mapping) or not isinstance(above.value, Mapping):
        return above
    if path == ("engine",) and _differs(below, above, "kind"):
        return above
    entries = dict(below.value)
    if path == ("model",):
        entries = _still_true(below, above)
    for key, child in above.value.items():
        entries[key] = merge(entries[key], child, (*path, key)) if key in entries else child
    return Node(entries, above.origin, above.key)


def child(node: Node | None, key: str) -> Node | None:
    """The value below a key; ``None`` where there is none, or null is written."""
    found = _written(node, key)
    return found if found is None or found.value is not None else None


def put(root: Node, path: tuple[str, ...], leaf: Node) -> Node:
    """The same tree with another value at ``path``."""
    if not path:
        return leaf
    assert isinstance(root.value, Mapping)
    below = root.value.get(path[0], leaf)
    return Node({**root.value, path[0]: put(below, path[1:], leaf)}, root.origin, root.key)


def _still_true(below: Node, above: Node) -> dict[str, Node]:
    """What of the block ``model`` holds for the model that ``above`` makes of it."""
    assert isinstance(below.value, Mapping)
    dropped: set[str] = set()
    if _differs(below, above, "source"):
        dropped |= set(_ABOUT_THE_FILE)
    use = _written(above, "use")  # what is no name of a model is refused, and drops nothing
    another = _differs(below, above, "use") or not _written(below, "use")
    if use is not None and isinstance(use.value, str | None) and another:
        dropped |= set(below.value) - INTENT
    source = child(above, "source")
    if source is not None and source.origin.file == MODEL:
        dropped |= set(below.value) - WISHES
    return {key: node for key, node in below.value.items() if key not in dropped}


def _differs(below: Node, above: Node, key: str) -> bool:
    """Whether ``above`` gives ``key`` another value than ``below`` has."""
    lower, upper = _written(below, key), _written(above, key)
    return lower is not None and upper is not None and lower.value != upper.value


def _written(node: Node | None, key: str) -> Node | None:
    if node is None or not isinstance(node.value, Mapping):
        return None
    return node.value.get(key)
