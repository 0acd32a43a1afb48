"""The text of a new profile: what it extends, and the values one usually edits. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from deployctl.profiles.document import Node, Path
from deployctl.profiles.explain import comment, complete
from deployctl.profiles.keys import Keys
from deployctl.profiles.resolve import Profile
from deployctl.profiles.writing import find, flow, scalar

#: The schema file that lies beside operators' profiles.
SCHEMA_NAME = "profile.schema.json"

#: What people change, block by block.
_EDITED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("concurrency",)),
    ("model", ("use", "format", "context", "max_tokens")),
    ("engine", ("memory", "kv_cache", "reasoning_budget", "extra_args")),
    ("frontend", ("memory", "background_tasks")),
    ("ports", ("webui", "engine")),
    ("", ("exposure", "egress")),
)

_WIDTH = 96


def fresh(name: str, parent: Profile, extends: str) -> str:
    """A profile called ``name`` that changes nothing yet of ``parent``, which it calls ``extends``.

    Taking the ``# `` from in front of the commented lines changes nothing either: they hold the
    parent's present values.
    """
    root = complete(parent)
    head = (
        f"# yaml-language-server: $schema={SCHEMA_NAME}",
        "#",
        *_prose(
            "The commented lines hold what is inherited now. To change a value, take the `# ` away "
            "from its line and from that of the block it stands in.",
            "# ",
        ),
        "",
        f"extends: {scalar(extends)}",
        f"description: {scalar(f'My own {name}.')}",
    )
    blocks = [_block(parent, root, block, keys) for block, keys in _EDITED]
    return "\n".join([*head, *(line for block in blocks for line in ("", *block) if block)]) + "\n"


def _block(parent: Profile, root: Node, block: str, keys: tuple[str, ...]) -> list[str]:
    way: Path = (block,) if block else ()
    lines = [line for key in keys for line in _value(parent, root, (*way, key))]
    return [f"# {block}:", *lines] if block and lines else lines


def _value(parent: Profile, root: Node, path: Path) -> list[str]:
    node = find(root, path)
    if node is None or isinstance(node.value, Mapping):
        return []
    indent = "  " * (len(path) - 1)
    field = Keys().field(path)
    why = comment(parent, node) or (field.description if field else "") or ""
    return [*_prose(why, f"# {indent}# "), f"# {indent}{path[-1]}: {flow(node)}"]


def _prose(text: str, before: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=before,
        subsequent_indent=before,
        break_long_words=False,
        break_on_hyphens=False,
    )
