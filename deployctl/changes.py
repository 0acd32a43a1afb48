"""What an ``up`` would change, and why: the last applied stack against the new one. Pure.

Both are compared as Compose reads them, so that what is not different there is no change. Each
cause names the value that moved and the line of the profile it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["create", "recreate", "keep", "remove"]

#: What a value that moved is called → the file:line it comes from, '' where that is not known.
Cause = Callable[[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One service: what would happen to its container, and why. Empty causes: nothing to do."""

    service: str
    action: Action
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = f": {'; '.join(self.causes)}" if self.causes else ""
        return f"{self.service} {self.action}{why}"


def changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], cause: Cause
) -> tuple[Change, ...]:
    """Compare two Compose files (parsed); ``before`` is ``None`` when nothing was ever applied.

    ``cause(service, what)`` names the place of what moved: a flag, a variable, ``image``, ….
    """
    old: Mapping[str, Any] = (before or {}).get("services") or {}
    new: Mapping[str, Any] = after["services"]
    found = []
    for name, service in new.items():
        if name not in old:
            found.append(Change(service=name, action="create"))
            continue
        causes = tuple(_sentence(name, *moved, cause) for moved in _moved(old[name], service))
        found.append(Change(service=name, action="recreate" if causes else "keep", causes=causes))
    gone = (name for name in old if name not in new)
    return (*found, *(Change(service=name, action="remove") for name in gone))


def _sentence(service: str, what: str, old: str, new: str, cause: Cause) -> str:
    place = cause(service, what)
    return f"{what} {old} → {new}" + (f" ({place})" if place else "")


#: What a flag without a value, and a thing that is not there, are shown as.
_ABSENT = "absent"
_LONGEST = 60


def _moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what, old value, new value) of everything that is not the same, in the file's order."""
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "command":
            yield from _differences(_flags(before or ()), _flags(after or ()))
        elif key == "environment":
            yield from _differences(dict(before or {}), dict(after or {}))
        else:
            yield key, _shown(before), _shown(after)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys((*new, *old)):
        if old.get(name) != new.get(name):
            yield name, _shown(old.get(name)), _shown(new.get(name))


def _flags(command: Any) -> dict[str, str]:  # noqa: ANN401  # a list of words, or one line
    """An argv as flag → value; words before the first flag are called by their position."""
    words = command.split() if isinstance(command, str) else [str(word) for word in command]
    found: dict[str, str] = {}
    flag = ""
    for position, word in enumerate(words):
        if word.startswith("-") and not _is_number(word):
            flag = word
            found[flag] = ""
        elif flag:
            found[flag] = f"{found[flag]} {word}".strip()
        else:
            found[f"argument {position + 1}"] = word
    return found


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def _shown(value: Any) -> str:  # noqa: ANN401  # YAML
    if value is None:
        return _ABSENT
    if value == "":
        return "given"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("$$", "$")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
