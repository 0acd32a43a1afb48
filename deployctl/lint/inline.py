"""Secrets inside longer text: behind a flag, in a header, in an assignment of a shell. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from deployctl.lint.services import nodes
from deployctl.lint.tree import Listing, Node, Scalar
from deployctl.secretshapes import secret_name

_VALUE = r"[\"']?(?P<value>[^\s\"'\\$-][^\s\"'\\;&|]*)"

#: `-H 'Authorization: Bearer …'` and `X-API-Key: …`, in a shell's line or as an item of a list.
_HEADER = re.compile(
    r"(?i)(?:^|-[a-z]*H\s*\\?[\"']?|--header[=\s]\\?[\"']?)(?P<name>[a-z][\w-]*):\s*"
    rf"(?:(?:bearer|basic|token)\s+)?(?!(?:bearer|basic|token)\s){_VALUE}"
)

#: `--requirepass …` and `--password=…`.
_FLAG = re.compile(rf"(?<![\w-])--?(?P<name>[A-Za-z][\w-]*)(?:=|[ \t]+){_VALUE}")

#: `KEY=… program`.
_SET = re.compile(rf"(?<![\w.-])(?P<name>[A-Za-z_]\w*)={_VALUE}")

#: `KEY: …` of a comment.
_NOTED = re.compile(rf"(?<![\w.-])(?P<name>[A-Z]\w*_\w+): {_VALUE}")


def within(text: str, *, comment: bool = False) -> Iterator[tuple[str, str]]:
    """Name and value of what a text gives to a program as a secret."""
    for pattern in (_HEADER, _FLAG, _SET, *((_NOTED,) if comment else ())):
        for found in pattern.finditer(text):
            if secret_name(found["name"]):
                yield found["name"], found["value"]


def below(node: Node) -> Iterator[tuple[str, str, Scalar]]:
    """The same of every text below a node, and of items of a list behind a flag's."""
    for one in nodes(node):
        if isinstance(one, Scalar):
            for name, value in within(one.text):
                yield name, value, one
        elif isinstance(one, Listing):
            for flag, item in pairwise(item.value for item in one.items):
                if isinstance(flag, Scalar) and isinstance(item, Scalar) and _hands(flag, item):
                    yield flag.text.strip("-"), item.text, item


def _hands(flag: Scalar, item: Scalar) -> bool:
    named = re.fullmatch(r"--?[A-Za-z][\w-]*", flag.text) is not None and secret_name(flag.text)
    return named and not item.text.startswith(("-", "$"))
