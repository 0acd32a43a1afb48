"""Takes secrets out of text that goes to others: values that are known, and what looks like one.

Pure. Known values are found in every way programs write them: as they are, percent-encoded, as
JSON, Python, YAML or HTML escape them, with Compose's doubled ``$``, in hexadecimal, and inside
base64 at any offset. A value that is broken over two lines is not found.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from deployctl.secretshapes import MASK, REFERENCE, TALK, by_shape, counts, harmless, secret_name

#: A shorter value would be found in every word: it is not looked for by itself, only by its name.
_LEAST = 4

#: In base64 a value of fewer bytes leaves too few letters to be told from other text.
_LEAST_BASE64 = 6

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")

# ── known values ──────────────────────────────────────────────────────────────────────────────


def harvest(value: object, *, named: bool = False) -> Iterator[str]:
    """Every text in data (of YAML, JSON, labels) that its key, or an address in it, calls secret.

    ``NAME=value`` in lists counts as a key; ``named`` says that the data itself is under one.
    """
    match value:
        case Mapping():
            for key, inside in value.items():
                yield from harvest(inside, named=named or _is_secret(str(key), inside))
        case list() | tuple():
            flag = False
            for inside in value:
                yield from harvest(inside, named=named or flag)
                flag = isinstance(inside, str) and inside.startswith("-") and secret_name(inside)
        case str():
            yield from _in_text(value, named=named)
        case bool() | None:
            return
        case int() | float() if named:
            yield str(value)


def _is_secret(name: str, value: object) -> bool:
    return secret_name(name) and not counts(name, value)


def _in_text(text: str, *, named: bool) -> Iterator[str]:
    if named and not REFERENCE.fullmatch(text):
        yield text
    name, equals, rest = text.partition("=")
    # A name is one line: of a whole file the part before its first `=` is none.
    single = "\n" not in name
    if equals and rest and single and secret_name(name) and not REFERENCE.fullmatch(rest):
        yield rest
    yield from users(text)


def users(text: str) -> Iterator[str]:
    """The passwords in the addresses of a text, as they are and decoded."""
    for address in _ADDRESS.findall(text):
        try:
            password = urlsplit(address).password
        except ValueError:
            continue
        if password:
            yield password
            yield unquote(password)


_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)


def _pattern(value: str) -> str:
    """A pattern for a value in whichever mixture of escapes a program wrote it."""
    parts = re.findall(r"\\{1,8}|[^\\]", value)
    return "".join(_backslashes(len(p)) if p[0] == "\\" else _character(p) for p in parts)


def _backslashes(count: int) -> str:
    """So many in a row: each is two when escaped, four when twice; or percent-encoded."""
    return rf"(?:\\{{{count},{8 * count}}}|(?:%(?:25)*5[cC]){{{count},{4 * count}}})"


@cache
def _character(char: str) -> str:
    """One character, but no backslash, in every spelling."""
    if char.isascii() and char.isalnum():  # nothing escapes these
        return char
    code = ord(char)
    percent = "".join(rf"%(?:25)*{_hex(byte)}" for byte in char.encode("utf-8", "surrogatepass"))
    units = char.encode("utf-16-be", "surrogatepass").hex()
    unicode = "".join(rf"\\{{1,8}}u{_cased(units[i : i + 4])}" for i in range(0, len(units), 4))
    forms = [percent, unicode, rf"\\{{1,8}}U{_cased(f'{code:08x}')}", rf"&\#0*{code};"]
    forms += [
        rf"&\#[xX]0*{_cased(f'{code:x}')};",
        rf"\\{{1,8}}(?:x{_hex(code)})" if code < 256 else "",
    ]
    if code < 128:
        forms.append(rf"\\{{1,8}}0?{code:03o}")
    forms.append(_NAMED.get(char, ""))
    itself = rf"\\{{0,8}}{re.escape(char)}" if not char.isalnum() else re.escape(char)
    if char in "$'\"":
        itself = rf"\\{{0,8}}{re.escape(char)}{{1,4}}"
    forms.append(itself)
    return f"(?:{'|'.join(form for form in forms if form)})"


_NAMED = {
    "\n": r"\\{1,8}n|\s+",
    "\t": r"\\{1,8}t",
    "\r": r"\\{1,8}r",
    " ": r"\+|\s",
    "&": r"&amp;",
    "<": r"&lt;",
    ">": r"&gt;",
    '"': r"&quot;",
    "'": r"&apos;|'\"'\"'|'\\''",
}


def _hex(byte: int) -> str:
    return _cased(f"{byte:02x}")


def _cased(digits: str) -> str:
    """Hexadecimal digits in either case."""
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)


def _cores(value: str) -> Iterator[str]:
    """What base64 makes of a value wherever it begins in a group of three, without the edges."""
    raw = value.encode("utf-8", "surrogatepass")
    if len(raw) < _LEAST_BASE64:
        return
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        core = text[first:last]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))


class Redactor:
    """Takes secrets out of text. ``secrets`` are known values; ``names`` is what stands for others.

    ``names`` maps what is private but no secret (this machine's name, a mirror's host, the home
    folder) to what is written in its stead.
    """

    def __init__(self, secrets: Iterable[str], names: Mapping[str, str] | None = None) -> None:
        known = {text for value in secrets for text in (value, value.strip())}
        values = sorted(
            (v for v in known if len(v) >= _LEAST and not harmless(v)), key=len, reverse=True
        )
        self._count = len(values)
        # In hexadecimal first: a value of digits is found inside its own.
        hexes = [_cased(value.encode("utf-8", "surrogatepass").hex()) for value in values]
        patterns = (*hexes, *map(_pattern, values))
        self._known = re.compile("|".join(patterns)) if values else None
        self._cores = tuple(dict.fromkeys(core for value in values for core in _cores(value)))
        self._names = tuple(
            (re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])"), stand_in)
            for name, stand_in in sorted((names or {}).items(), key=lambda item: -len(item[0]))
            if len(name) > 1
        )

    @property
    def count(self) -> int:
        """How many known values are looked for."""
        return self._count

    def known(self, text: str) -> str:
        """The text without the known values: what only looks like a secret stays."""
        for core in self._cores:
            text = _without_run(text, core)
        return text if self._known is None else self._known.sub(MASK, text)

    def text(self, text: str, *, log: bool = False) -> str:
        """The text without secrets. Of a ``log`` what people and models wrote is left out too."""
        text = by_shape(self.known(text))
        if log:
            text = TALK.sub(rf"\g<1>{MASK}\g<2>", text)
        for pattern, stand_in in self._names:
            text = pattern.sub(stand_in.replace("\\", r"\\"), text)
        return text


def _without_run(text: str, core: str) -> str:
    """Mask every run of base64 letters that contains ``core``: its ends hold parts of it too."""
    at = text.find(core)
    if at < 0:
        return text
    kept, done = [], 0
    while at >= 0:
        first, last = at, at + len(core)
        while first > done and text[first - 1] in _BASE64:
            first -= 1
        while last < len(text) and text[last] in _BASE64:
            last += 1
        kept += [text[done:first], MASK]
        done = last
        at = text.find(core, done)
    return "".join((*kept, text[done:]))


def redacted(value: Any, redactor: Redactor, *, named: bool = False) -> Any:  # noqa: ANN401  # JSON
    """JSON data with every text redacted, keys too; all text below a secret's name is masked.

    ``named`` says that the data itself is below one.
    """
    match value:
        case Mapping():
            return {
                redactor.text(str(key)): redacted(
                    inside, redactor, named=named or _is_secret(str(key), inside)
                )
                for key, inside in value.items()
            }
        case list() | tuple():
            return [redacted(inside, redactor, named=named) for inside in value]
        case str():
            return MASK if named and value and not harmless(value) else redactor.text(value)
    return value
