"""Sizes and durations as operators write them, and as numbers.

Pure. A size is bytes, a duration is seconds; each is written as a whole number and its unit,
``12GiB`` or ``15m``, so that no reader has to know what a bare ``12`` was meant to be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

#: Unit → factor, smallest first.
SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
DURATION_UNITS = {"s": 1, "m": 60, "h": 3600}

#: The written forms, for the JSON Schema.
SIZE_PATTERN = r"^[1-9][0-9]{0,15}(B|KiB|MiB|GiB|TiB)$"
DURATION_PATTERN = r"^[1-9][0-9]{0,7}(s|m|h)$"

#: One pebibyte and one year: beyond them a value is a slip of the finger.
MAX_SIZE, MAX_DURATION = 1 << 50, 365 * 24 * 3600

#: A guess below this part of what a key has by itself is a unit too small: s, m and h are 60 apart.
_UNIT_TOO_SMALL = 1 / 60

_NUMBER_AND_UNIT = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_HOURS_MINUTES = re.compile(r"(?:(\d{1,9})h)?\s*(?:(\d{1,9})m)?\s*(?:(\d{1,9})s)?", re.ASCII)

#: What people write instead of our units, in lower case.
_SIZE_SLIPS = {
    "b": "B",
    "byte": "B",
    "bytes": "B",
    **{short + tail: f"{short.upper()}iB" for short in "kmgt" for tail in ("", "b", "ib", "i")},
}
_HOUR, _DAY = 3600, 24 * 3600
#: The same of durations → seconds; for those longer than an hour there is no unit.
_DURATION_SLIPS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * _DAY),
    **dict.fromkeys(("mo", "month", "months"), 30 * _DAY),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365 * _DAY),
}


class UnitError(ValueError):
    """A size or duration that is not written as it should be; ``suggestion`` is how to write it."""

    def __init__(self, sentence: str, suggestion: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.suggestion = suggestion


def parse_size(written: object, example: str = "12GiB") -> int:
    """Return the bytes of ``12GiB``, ``512MiB`` or ``98362432B``.

    Raises :class:`UnitError` for everything else, bare numbers above all; it suggests ``example``
    where nothing tells what was meant.
    """
    if isinstance(written, str) and re.fullmatch(SIZE_PATTERN, written):
        digits = written.rstrip("BKMGTi")
        size = int(digits) * SIZE_UNITS[written[len(digits) :]]
        if size <= MAX_SIZE:
            return size
    meant = _size_meant(written)
    if meant is not None and meant <= 0:
        raise UnitError("It should be more than 0.", example)
    suggestion = _within(meant, MAX_SIZE, format_size) or example
    if is_bare(written):
        raise UnitError("A size needs its unit.", suggestion)
    if meant is not None and meant > MAX_SIZE:
        raise UnitError("This size is larger than any machine.", example)
    if isinstance(written, str):
        sentence = "A size is a whole number and one of B, KiB, MiB, GiB or TiB, without a space."
        raise UnitError(sentence, suggestion)
    raise UnitError("A size is a whole number and its unit.", suggestion)


def parse_duration(written: object, example: str = "15m") -> int:
    """Return the seconds of ``90s``, ``15m`` or ``2h``.

    Raises :class:`UnitError` for everything else, bare numbers above all; it suggests ``example``
    where nothing tells what was meant.
    """
    if isinstance(written, str) and re.fullmatch(DURATION_PATTERN, written):
        seconds = int(written[:-1]) * DURATION_UNITS[written[-1]]
        if seconds <= MAX_DURATION:
            return seconds
    meant = _duration_meant(written)
    if meant is not None and meant <= 0:
        raise UnitError("It should be more than 0.", example)
    suggestion = _within(meant, MAX_DURATION, format_duration) or example
    if is_bare(written):
        raise UnitError("A duration needs its unit.", suggestion)
    if meant is not None and meant > MAX_DURATION:
        # Not an example: who wants to keep something for years loses least by the longest.
        raise UnitError("This is longer than a year.", format_duration(MAX_DURATION))
    if isinstance(written, str):
        sentence = "A duration is a whole number and one of s, m or h, without a space."
        raise UnitError(sentence, suggestion)
    raise UnitError("A duration is a whole number and its unit.", suggestion)


def is_bare(written: object) -> bool:
    """Whether this is a number without a unit, so that a suggestion is a guess at one."""
    found = _number_and_unit(written)
    return found is not None and not found[1]


def far_below(suggestion: str, usual: str) -> bool:
    """Whether a guess is likely a unit too small, next to what a key has by itself."""
    for pattern, parse in ((SIZE_PATTERN, parse_size), (DURATION_PATTERN, parse_duration)):
        if re.fullmatch(pattern, suggestion) and re.fullmatch(pattern, usual):
            return parse(suggestion) < parse(usual) * _UNIT_TOO_SMALL
    return False


def format_size(size: int) -> str:
    """Write bytes in the largest unit that says them exactly: ``12GiB``, ``98362432B``."""
    return _largest_exact(size, SIZE_UNITS)


def format_duration(seconds: int) -> str:
    """Write seconds in the largest unit that says them exactly: ``15m``, ``90s``."""
    return _largest_exact(seconds, DURATION_UNITS)


def _largest_exact(number: int, units: dict[str, int]) -> str:
    for unit, factor in reversed(units.items()):
        if number % factor == 0 and number >= factor:
            return f"{number // factor}{unit}"
    return f"{number}{next(iter(units))}"


def _within(meant: float | None, most: int, write: Callable[[int], str]) -> str:
    """What was meant, written as it should be; empty where that is nothing or too much."""
    return write(round(meant)) if meant is not None and 1 <= meant <= most else ""


def _number_and_unit(written: object) -> tuple[float, str] | None:
    """The number, of any length, and the word after it in lower case; ``None``: no such thing."""
    if isinstance(written, bool):
        return None
    if isinstance(written, int | float):
        number = max(min(written, _BEYOND), -_BEYOND)  # a float holds no longer ones
        return None if math.isnan(number) else (float(number), "")
    found = _NUMBER_AND_UNIT.fullmatch(written) if isinstance(written, str) else None
    return (float(found[1]), found[2].lower()) if found else None


#: More than any size or duration.
_BEYOND = 1 << 100


def _size_meant(written: object) -> float | None:
    """The bytes that a slip means; of bare numbers a few are GiB, some MiB, more are bytes."""
    found = _number_and_unit(written)
    if found is None:
        return None
    number, word = found
    if word:
        unit = _SIZE_SLIPS.get(word)
        return number * SIZE_UNITS[unit] if unit else None
    if number < 128:
        return round(number * 1024) << 20
    return round(number) << 20 if number < 1 << 20 else number


def _duration_meant(written: object) -> float | None:
    """The seconds that a slip means; a bare number is of seconds, as most other tools mean it."""
    parts = _HOURS_MINUTES.fullmatch(written.strip()) if isinstance(written, str) else None
    if parts and any(parts.groups()):
        hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        return hours * _HOUR + minutes * 60 + seconds
    found = _number_and_unit(written)
    if found is None:
        return None
    number, word = found
    times = _DURATION_SLIPS.get(word) if word else 1
    return number * times if times else None
