"""What an unquoted word in YAML means: exactly one thing, or it is refused. Pure.

YAML 1.1, YAML 1.2 and the tools around them disagree about ``yes``, ``010``, ``12:30`` and
``2026-01-02``. A profile uses only what all of them agree on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Surprise:
    """A word that different readers read differently; ``instead`` is what to write."""

    sentence: str
    instead: tuple[str, ...]


_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}

_TRUE = frozenset({"y", "yes", "on", "true"})
_FALSE = frozenset({"n", "no", "off", "false"})

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", re.ASCII | re.DOTALL)
_OTHER_NUMBER = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-9_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?"
    r"|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|\.(inf|nan))",
    re.ASCII | re.IGNORECASE,
)

#: Digits a number may have; every value of a profile has fewer.
_MAX_DIGITS = 15


def resolve(text: str) -> Scalar | Surprise:
    """Return the one meaning of an unquoted word, or say why it has more than one."""
    if text in _WORDS:
        return _WORDS[text]
    if not text:
        return Surprise("There is no value here.", ("null", '""'))
    low = text.lower()
    if low in _TRUE or low in _FALSE:
        word = "true" if low in _TRUE else "false"
        return _surprise(text, "a truth value to some readers of YAML and text to others", word)
    if low in ("~", "null"):
        return _surprise(text, "one of several ways to write null", "null")
    if text[0] in "0123456789+-.":
        return _number(text)
    return text


def _number(text: str) -> Scalar | Surprise:
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            shown = text if len(text) <= 40 else text[:39] + "…"
            return _surprise(shown, "a number with too many digits")
        return float(text) if "." in text else int(text)
    if _SEXAGESIMAL.fullmatch(text):
        return _surprise(text, "a number in base 60 to some readers of YAML")
    if _DATE.fullmatch(text):
        return _surprise(text, "a date to some readers of YAML and text to others")
    if _OTHER_NUMBER.fullmatch(text):
        sentence = "a number that not every reader of YAML reads alike"
        return _surprise(text, sentence, *_usual_form(text))
    return text


def _usual_form(text: str) -> tuple[str, ...]:
    """The same number in the one form that we read, where that is beyond doubt."""
    bare = text.replace("_", "").lstrip("+")
    if _INTEGER.fullmatch(bare) or _DECIMAL.fullmatch(bare):
        return (bare,) if len(bare) <= _MAX_DIGITS else ()
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,12}", bare):
        return (str(int(bare, 16)),)
    if re.fullmatch(r"-?0[0-9]{1,14}", bare):
        return (str(int(bare, 10)),)
    if re.fullmatch(r"-?[0-9.]{1,9}([eE][-+]?[0-9])?", bare) and bare.count(".") <= 1:
        value = float(bare)
        if value.is_integer() and "." not in bare:
            return (str(int(value)),)
        return (f"{value:.6f}".rstrip("0") + ("0" if value.is_integer() else ""),)
    return ()


def _surprise(text: str, what: str, *instead: str) -> Surprise:
    return Surprise(f"`{text}` is {what}.", (*instead, f'"{text}"'))
