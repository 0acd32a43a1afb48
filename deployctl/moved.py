"""What is not the same in two definitions of one Compose service, in words. Pure.

The older one may have been edited by hand: whatever YAML can hold is read as Compose would, or
taken as it is, and nothing of it is a reason to fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployctl.amounts import exact

#: What a flag without a value, and a thing that is not there, are shown as.
_GIVEN, _ABSENT = "given", "absent"
_LONGEST = 60
#: How much of what is equal is shown before the place where two long values part.
_LEAD = 20

#: A variable that must have a value, with what stands in where it has none (``yamlsafe``).
_REQUIRED = re.compile(r"\$\{(\w+):-\0[^}]*\}")

#: What is given in bytes, and read as amounts.
_SIZES = ("mem_limit", "memswap_limit", "shm_size", "--kv-cache-memory-bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One value that is not the same: ``what`` is a flag, a variable, or a key below the service.

    ``old`` and ``new`` are made to be shown and never equal.
    """

    what: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.what} {self.old} → {self.new}"


def moved(old: object, new: Mapping[str, Any]) -> tuple[Moved, ...]:
    """Everything that is not the same, in the new definition's order; empty only for equal ones."""
    if not isinstance(old, Mapping):
        return (Moved(what="the definition", old=_shown(old), new="a map of keys"),)
    found: list[Moved] = []
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key), new.get(key)
        if before == after and (key in old) == (key in new):
            continue
        found += _of_key(str(key), before, after)
    return tuple(found)


def below(name: str, old: object, new: object) -> Iterator[Moved]:
    """The same for a part of the file: maps key by key, called ``name.key``; all else whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*new, *old)):
            if old.get(key) != new.get(key):
                yield from below(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield _moved(name, old, new)


def _of_key(key: str, before: object, after: object) -> Iterator[Moved]:
    found: tuple[Moved, ...] = ()
    if key == "command":
        found = tuple(_each(_flags(before), _flags(after)))
    elif key == "environment":
        found = tuple(_each(_variables(before), _variables(after)))
    else:
        found = tuple(below(key, before, after))
    # Named or not, it is another definition: `--a 1 --b 2` in another order, `[]` for nothing.
    yield from found or (_moved(key, before, after),)


def _each(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Moved]:
    for name in dict.fromkeys((*new, *old)):
        if old.get(name) != new.get(name):
            yield _moved(name, old.get(name), new.get(name))


# ── as Compose reads them ─────────────────────────────────────────────────────────────────────


def _flags(command: object) -> dict[str, Any]:
    """An argv as flag → value, or all its values; words before flags are called by their place."""
    found: dict[str, list[str]] = {}
    flag = ""
    for position, word in enumerate(_words(command), 1):
        if word.startswith("-") and not _is_number(word):
            flag = word
            found.setdefault(flag, []).append("")
        elif flag:
            found[flag][-1] = f"{found[flag][-1]} {word}".strip()
        else:
            found[f"argument {position}"] = [word]
    return {flag: values[0] if len(values) == 1 else values for flag, values in found.items()}


def _words(command: object) -> list[str]:
    if command is None:
        return []
    if isinstance(command, Sequence) and not isinstance(command, str):
        return [str(word) for word in command]
    return str(command).split()


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def _variables(environment: object) -> dict[str, Any]:
    """``environment`` may be a map or a list of ``NAME=value``; ``NAME`` alone is the shell's."""
    if isinstance(environment, Mapping):
        return {str(name): value for name, value in environment.items()}
    if not isinstance(environment, Sequence) or isinstance(environment, str):
        return {} if environment is None else {"environment": environment}
    pairs = (str(entry).partition("=") for entry in environment)
    return {name: value if equals else None for name, equals, value in pairs}


# ── as they are shown ─────────────────────────────────────────────────────────────────────────


def _moved(what: str, old: object, new: object) -> Moved:
    if what in _SIZES and _size(old) != _size(new):
        return Moved(what=what, old=_short(_size(old)), new=_short(_size(new)))
    before, after = _shown(old), _shown(new)
    if before == after:  # 5 and "5": the same to read, not the same to Compose
        return Moved(what=what, old=_short(repr(old)), new=_short(repr(new)))
    if _is_reordered(old, new):
        return Moved(what=what, old="as it was", new="the same in another order")
    start = 0
    if len(before) > _LONGEST or len(after) > _LONGEST:
        start = max(0, _parting(before, after) - _LEAD)
    return Moved(what=what, old=_short(before, start), new=_short(after, start))


def _is_reordered(old: object, new: object) -> bool:
    if not isinstance(old, list) or not isinstance(new, list):
        return False
    return sorted(map(repr, old)) == sorted(map(repr, new))


def _parting(one: str, other: str) -> int:
    """How many characters two texts share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _short(text: str, start: int = 0) -> str:
    if start >= len(text):  # all of it is the beginning of the other
        start = max(0, len(text) - _LEAD)
    cut = text[start:]
    cut = cut if len(cut) <= _LONGEST else f"{cut[: _LONGEST - 1]}…"
    return f"…{cut}" if start else cut


def _size(value: object) -> str:
    text = str(value)
    return exact(int(text)) if text.isdecimal() else _shown(value)


def _shown(value: object) -> str:
    if value is None:
        return _ABSENT
    if value == "":
        return _GIVEN
    if isinstance(value, str):
        return _REQUIRED.sub(r"${\1}", value).replace("$$", "$")
    try:
        return json.dumps(value, ensure_ascii=False, default=str).replace("$$", "$")
    except (TypeError, ValueError):  # a key that is a date, an anchor inside itself
        return repr(value)
