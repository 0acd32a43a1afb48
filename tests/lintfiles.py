"""Compose files for the tests of the linter: read, linted, corrected with what it says."""

from __future__ import annotations

from pathlib import Path

from deployctl.lint.lint import lint
from deployctl.lint.nouns import Finding, Linted

CORPUS = Path(__file__).parent / "unit/records/compose"
FILES = sorted(path.name for path in CORPUS.iterdir() if path.suffix in (".yml", ".yaml"))


def content(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


def linted(text: str | bytes, file: str = "compose.yaml") -> Linted:
    return lint(text if isinstance(text, bytes) else text.encode(), file)


def found(text: str | bytes) -> list[tuple[int, str]]:
    """Line and rule of everything that is found."""
    result = linted(text)
    assert result.fault is None, result.fault
    return [(finding.line, finding.rule) for finding in result.findings]


def corrected(text: bytes, finding: Finding) -> bytes:
    """The file with the lines that a finding gives written in place of those it shows."""
    assert finding.corrected
    lines = text.decode().replace("\r\n", "\n").split("\n")
    for part in reversed(finding.corrected):
        lines[part.first - 1 : part.last] = part.corrected
    return "\n".join(lines).encode()


def mended(text: bytes, most: int = 100) -> bytes:
    """The file after one finding after the other has been corrected, until none is left."""
    for _ in range(most):
        left = [finding for finding in linted(text).findings if finding.corrected]
        if not left:
            return text
        text = corrected(text, left[0])
    raise AssertionError([f.rule for f in linted(text).findings])
