"""What of a file may be shown: every line is freed of its secrets before anybody sees it. Pure.

Unlike reports, which go to others, what is shown here stays with whoever wrote the file: folders
and addresses are left as they are, so that corrected lines can be pasted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from deployctl.secretshapes import MASK, by_shape, without_users

#: Tokens that say whose they are, whatever name they stand behind.
TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{12,}|sk-[\w-]{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abprs]-[\w-]{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|npm_\w{20,}|nvapi-[\w-]{16,}"
    r"|dckr_pat_[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)

#: A shorter value would be found in every word: it is masked only on its own lines.
_LONG = 8


def bare(line: str) -> str:
    """A line of a file that could not be read, without what looks like a secret."""
    return by_shape(line)


class Masker:
    """Takes a file's secrets out of its lines, and out of what is said about them."""

    def __init__(self, values: Mapping[int, Iterable[str]]) -> None:
        """``values``: line → the secrets that are written on it."""
        self._on = {line: tuple(filter(None, found)) for line, found in values.items()}
        everywhere = {v for found in self._on.values() for v in found if len(v) >= _LONG}
        self._everywhere = _pattern(everywhere)

    def line(self, text: str, first: int, last: int | None = None) -> str:
        """A text that comes from the lines ``first`` to ``last``."""
        here = {
            value
            for number in range(first, (last or first) + 1)
            for value in self._on.get(number, ())
        }
        found = _pattern(here)
        return self.text(found.sub(MASK, text) if found else text)

    def text(self, text: str) -> str:
        """A text that comes from anywhere in the file."""
        if self._everywhere:
            text = self._everywhere.sub(MASK, text)
        return without_users(TOKEN.sub(MASK, text))


def _pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    """Any of the values, also with quotes escaped or dollars doubled; not inside longer words."""
    spellings = {s for v in values for s in (v, v.replace("$", "$$"), v.replace('"', '\\"'))}
    if not spellings:
        return None
    words = "|".join(re.escape(text) for text in sorted(spellings, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{words})(?![A-Za-z0-9_])")
