"""A schema, asked: which keys a block has, which blocks there are, an example of a value. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployctl.profiles.document import Path
from deployctl.profiles.schema import ProfileSpec
from deployctl.visible import visible


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one kind of file; ``what`` is that kind, in a sentence."""

    root: type[BaseModel] = ProfileSpec
    what: str = "profile"

    def fields(self, path: Path) -> Mapping[str, FieldInfo]:
        """The fields of the block at ``path``; none where there is no block."""
        block: type[BaseModel] | None = self.root
        named = False  # the step is a name of the operator's own, as in a table
        for step in path:
            if named:
                named = False
                continue
            field = block.model_fields.get(str(step)) if block else None
            block = _block(field) if field else None
            named = field is not None and get_origin(field.annotation) is dict
        return block.model_fields if block and not named else {}

    def field(self, path: Path) -> FieldInfo | None:
        """The field that ``path`` names."""
        return self.fields(path[:-1]).get(str(path[-1]))

    def is_block(self, path: Path) -> bool:
        """Whether keys stand below ``path``."""
        return bool(self.fields(path))

    def holds_keys(self, path: Path) -> bool:
        """Whether ``path`` is a block, or a table whose keys are the operator's own."""
        field = self.field(path) if path else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        return any(get_origin(kind) is dict for kind in kinds) or self.is_block(path)

    def names(self, path: Path) -> tuple[str, ...]:
        """The keys below ``path``."""
        return tuple(self.fields(path))

    def blocks(self, path: Path = ()) -> tuple[Path, ...]:
        """All blocks, the whole first."""
        below = [(*path, key) for key in self.names(path)]
        inner = [self.blocks(way) for way in below if self.is_block(way)]
        return (path, *(block for blocks in inner for block in blocks))

    def example(self, path: Path, about: str = "") -> str:
        """An example of the value, as it stands in YAML; if there is one, one about ``about``."""
        if path and isinstance(path[-1], int):
            return "TEXT"
        field = self.field(path)
        examples: list[Any] = (field.examples if field else None) or ["VALUE"]
        fitting = [example for example in examples if about and about in str(example)]
        return visible(written((fitting or examples)[0]))


def written(value: object) -> str:
    """A value as it stands in YAML."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _block(field: FieldInfo) -> type[BaseModel] | None:
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
