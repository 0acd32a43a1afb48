"""Sizes and durations as operators write them, and as numbers.

Pure. A size is bytes, a duration is seconds; each is written as a whole number and its unit,
``12GiB`` or ``15m``, so that no reader has to know what a bare ``12`` was meant to be.
"""

from __future__ import annotations

import re

#: Unit → factor, smallest first.
SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
DURATION_UNITS = {"s": 1, "m": 60, "h": 3600}

#: The written forms, for the JSON Schema.
SIZE_PATTERN = r"^[1-9][0-9]{0,15}(B|KiB|MiB|GiB|TiB)$"
DURATION_PATTERN = r"^[1-9][0-9]{0,7}(s|m|h)$"

#: One pebibyte and one year: beyond them a value is a slip of the finger.
MAX_SIZE, MAX_DURATION = 1 << 50, 365 * 24 * 3600

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]{1,16}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)
_HOURS_MINUTES = re.compile(r"(?:(\d{1,5})h)?\s*(?:(\d{1,5})m)?\s*(?:(\d{1,5})s)?", re.ASCII)

#: What people write instead of our units, in lower case.
_SIZE_SLIPS = {
    "": "GiB",
    "b": "B",
    "byte": "B",
    "bytes": "B",
    **{short + tail: f"{short.upper()}iB" for short in "kmgt" for tail in ("", "b", "ib", "i")},
}
_DURATION_SLIPS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
}
#: Longer ones, in hours: there is no unit for them.
_HOURS = {
    **dict.fromkeys(("d", "day", "days"), 24),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 24),
}


class UnitError(ValueError):
    """A size or duration that is not written as it should be; ``suggestion`` is how to write it."""

    def __init__(self, sentence: str, suggestion: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.suggestion = suggestion


def parse_size(written: object) -> int:
    """Return the bytes of ``12GiB``, ``512MiB`` or ``98362432B``.

    Raises :class:`UnitError` for everything else, bare numbers above all.
    """
    match written:
        case str() if re.match(SIZE_PATTERN, written) and not written.endswith("\n"):
            digits = written.rstrip("BKMGTi")
            size = int(digits) * SIZE_UNITS[written[len(digits) :]]
            if size <= MAX_SIZE:
                return size
            raise UnitError("This size is larger than any machine.", "12GiB")
        case bool():
            raise UnitError("A size is a whole number and its unit.", "12GiB")
        case int() | float():
            suggestion = _size_of_bare(written)
            raise UnitError("A size needs its unit.", suggestion)
        case str():
            suggestion = _size_slip(written)
            raise UnitError(
                "A size is a whole number and one of B, KiB, MiB, GiB or TiB, without a space.",
                suggestion,
            )
    raise UnitError("A size is a whole number and its unit.", "12GiB")


def parse_duration(written: object) -> int:
    """Return the seconds of ``90s``, ``15m`` or ``2h``.

    Raises :class:`UnitError` for everything else, bare numbers above all.
    """
    match written:
        case str() if re.match(DURATION_PATTERN, written) and not written.endswith("\n"):
            seconds = int(written[:-1]) * DURATION_UNITS[written[-1]]
            if seconds <= MAX_DURATION:
                return seconds
            raise UnitError("This is longer than a year.", "15m")
        case bool():
            raise UnitError("A duration is a whole number and its unit.", "15m")
        case int() | float():
            raise UnitError("A duration needs its unit.", _duration_of_bare(written))
        case str():
            raise UnitError(
                "A duration is a whole number and one of s, m or h, without a space.",
                _duration_slip(written),
            )
    raise UnitError("A duration is a whole number and its unit.", "15m")


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


def _size_of_bare(number: float) -> str:
    """Guess the unit of a bare number: few are GiB, hundreds and thousands MiB, more are bytes."""
    if not 0.001 <= number <= MAX_SIZE:  # so that it catches NaN too
        return "12GiB"
    if number < 128:
        return format_size(round(number * 1024) << 20)
    if number < 1 << 20:
        return format_size(round(number) << 20)
    return format_size(round(number))


def _size_slip(written: str) -> str:
    found = _NUMBER_AND_UNIT.fullmatch(written)
    if not found or not float(found[1]):
        return "12GiB"
    if not found[2]:
        return _size_of_bare(float(found[1]))
    unit = _SIZE_SLIPS.get(found[2].lower())
    if unit is None:
        return "12GiB"
    size = round(float(found[1]) * SIZE_UNITS[unit])
    return format_size(size) if 0 < size <= MAX_SIZE else "12GiB"


def _duration_of_bare(number: float) -> str:
    """Read a bare number as seconds, the unit most other tools mean by it."""
    return format_duration(round(number)) if 1 <= number <= MAX_DURATION else "15m"


def _duration_slip(written: str) -> str:
    parts = _HOURS_MINUTES.fullmatch(written.strip())
    if parts and any(parts.groups()):
        hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        total = hours * 3600 + minutes * 60 + seconds
        return format_duration(total) if 0 < total <= MAX_DURATION else "15m"
    found = _NUMBER_AND_UNIT.fullmatch(written)
    if not found:
        return "15m"
    if not found[2]:
        return _duration_of_bare(float(found[1]))
    word = found[2].lower()
    times = _HOURS.get(word)
    unit = "h" if times else _DURATION_SLIPS.get(word)
    if unit is None:
        return "15m"
    return _duration_of_bare(float(found[1]) * (times or 1) * DURATION_UNITS[unit])
