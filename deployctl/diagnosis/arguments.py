"""The operator's ``engine.extra_args``: what is in it, and the same list changed. Pure."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from deployctl.diagnosis.remedies import HOME
from deployctl.engines import engine
from deployctl.engines.llama_cpp import KIND as LLAMA_CPP

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Way
    from deployctl.diagnosis.signs import Found

KEY = "engine.extra_args"

_FLAG = re.compile(r"--?[A-Za-z]")


def extra_args(way: Way, kind: str) -> tuple[str, ...] | None:
    """The list as it was asked for: what was typed, else the end of the plan's command line.

    ``None`` where neither tells.
    """
    for text in reversed(way.selection.sets):
        key, _, value = text.partition("=")
        if key == KEY and (words := _list(value)) is not None:
            return words
    if way.plan is None:
        return None
    command = way.plan.service("engine").command
    owns = engine(kind).owns
    for index, word in enumerate(command):
        # The plan's own words come first, and no flag of the operator's is one of the plan's.
        if _FLAG.match(word) and not owns(word.partition("=")[0]):
            return command[index:]
    return ()


def _list(written: str) -> tuple[str, ...] | None:
    """A list as JSON, or as YAML writes plain words: ``[--a, b]``."""
    try:
        words = json.loads(written)
    except ValueError:
        inner = written.strip()
        if not (inner.startswith("[") and inner.endswith("]")) or set(inner[1:-1]) & set("'\"[]{}"):
            return None
        words = [word.strip() for word in inner[1:-1].split(",") if word.strip()]
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return None


def without(words: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """The list without a flag and its values."""
    kept: list[str] = []
    dropping = False
    for word in words:
        if _FLAG.match(word) or word == flag:
            dropping = _names(word, flag)
        if not dropping:
            kept.append(word)
        if word == flag and not _FLAG.match(word):  # a stray word has no values
            dropping = False
    return tuple(kept)


def renamed(words: tuple[str, ...], flag: str, new: str) -> tuple[str, ...]:
    """The list with a flag under its new name, its values kept."""
    return tuple(new + word[len(flag) :] if _names(word, flag) else word for word in words)


def _names(word: str, flag: str) -> bool:
    return word.partition("=")[0] == flag.partition("=")[0]


def has(found: Found, flag: str) -> bool:
    """Whether the operator's list names this flag."""
    words = extra_args(found.way, _kind(found)) or ()
    return any(_names(word, flag) for word in words)


def drop(found: Found, *flags: str) -> str:
    """The same command without these flags; what else the list has stays.

    Where the operator's list has none of them, they come from elsewhere: from another image than
    the one the plan was made for, or from ``compose.override.yaml``.
    """
    words = extra_args(found.way, _kind(found))
    if words is None:
        return found.way.with_set((KEY, "[]"))
    kept = words
    for flag in flags:
        kept = without(kept, flag)
    if kept == words:
        return _elsewhere(found.way, flags)
    return _again(found.way, kept)


def rename(found: Found, flag: str, new: str) -> str:
    """The same command with a flag under its new name."""
    words = extra_args(found.way, _kind(found)) or ()
    if not has(found, flag) or engine(_kind(found)).owns(new):
        return drop(found, flag)
    return _again(found.way, renamed(words, flag, new))


def _again(way: Way, words: tuple[str, ...]) -> str:
    return way.with_set((KEY, json.dumps(list(words), separators=(",", ":"), ensure_ascii=False)))


def _elsewhere(way: Way, flags: tuple[str, ...]) -> str:
    """Nothing of the list is wrong: the image is another one, or somebody wrote an override."""
    if way.sets("engine.image"):
        return way.without_set("engine.image")
    named = " ".join(f"-e {shlex.quote(flag)}" for flag in flags)
    files = f"{HOME}/stacks/{way.stack}/compose*.yaml"
    return f"grep -n {named} {files}  # take it out of your override; then: {way.same()}"


def _kind(found: Found) -> str:
    return found.evidence.engine or LLAMA_CPP
