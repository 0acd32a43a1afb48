"""``deployctl lint-compose``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import DebugOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deployctl.cli.session import Session
    from deployctl.errors import Fault
    from deployctl.lint.nouns import Excerpt, Finding, Linted

_WIDTH = 96


def lintcompose(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE…", help="Compose files of anybody; - for stdin."),
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="List what is looked for, and read no file.")
    ] = False,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Point out what is wrong in a Compose file, line by line.

    Knows vLLM, llama.cpp and Open WebUI, and what goes wrong with any service. Needs no Docker,
    changes nothing, and shows no key of the file. Exit 0 when nothing is found, 3 when anything is.
    """
    from deployctl.cli.session import Session
    from deployctl.errors import ExitCode

    session = Session.open("lint-compose", output, quiet=True)
    if rules:
        return _rules(session)
    linted, faults = _linted(files or [])
    failed = bool(faults) or any(one.findings for one in linted)
    code = ExitCode.PROFILE if failed else ExitCode.OK
    if output is Output.TEXT:
        _say(faults)
        if all(one.fault for one in linted):
            return int(code)
    return session.emit(
        _data(linted),
        text(linted),
        status="failed" if failed else "ok",
        exit_code=code,
        faults=faults,
    )


def _data(linted: Sequence[Linted]) -> dict[str, object]:
    """The result for programs: the files that could be read, and all findings in their order."""
    findings = [finding for one in linted for finding in one.findings]
    return {
        "files": [{"file": one.file, "services": one.services} for one in linted if not one.fault],
        "findings": findings,
        "errors": sum(one.severity == "error" for one in findings),
        "warnings": sum(one.severity == "warning" for one in findings),
        "next": _NEXT,
    }


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def _linted(files: list[str]) -> tuple[tuple[Linted, ...], tuple[Fault, ...]]:
    """Every file that can be had, linted together, and what is wrong with the others."""
    from deployctl.errors import DeployctlError
    from deployctl.lint.lint import lint_all
    from deployctl.lint.opening import content_of

    if not files:
        raise DeployctlError(
            "No file is named.",
            code="usage",
            hint="deployctl lint-compose docker-compose.yml",
        )
    read: list[tuple[str, bytes]] = []
    faults: list[Fault] = []
    for name in dict.fromkeys(files):
        content = content_of(name)
        if isinstance(content, bytes):
            read.append(("<stdin>" if name == "-" else name, content))
        else:
            faults.append(content)
    linted = lint_all(read)
    faults += [one.fault for one in linted if one.fault is not None]
    return linted, tuple(faults)


def _say(faults: Iterable[Fault]) -> None:
    from deployctl.cli import console
    from deployctl.cli.boundary import words

    said = "\n\n".join(map(words, faults))
    if said:
        console.err(said)


# ── words ─────────────────────────────────────────────────────────────────────────────────────

_NEXT = "deployctl recommend"


def text(linted: Sequence[Linted]) -> str:
    """Write what was found for people."""
    lines: list[str] = []
    explained: set[str] = set()
    for one in linted:
        for finding in one.findings:
            lines += [*_finding(finding, why=finding.rule not in explained), ""]
            explained.add(finding.rule)
        if not one.findings and not one.fault:
            lines += [f"✓ {one.file}  {_counted(len(one.services), 'service')}, nothing found"]
    return "\n".join([*lines, *_summary(linted)])


def _finding(finding: Finding, *, why: bool) -> list[str]:
    mark = "✗" if finding.severity == "error" else "!"
    services = ", ".join(filter(None, (finding.service, *finding.also)))
    where = f"{finding.file}:{finding.line}:{finding.column}"
    of = f" · {services}" if services else ""
    return [
        f"{mark} {where}{of} · {finding.severity} [{finding.rule}]",
        *_wrapped(finding.message),
        *(_wrapped(f"Why: {finding.why}") if why else ()),
        *(_numbered(finding.line, finding.shown) if not finding.corrected else ()),
        *_corrected(finding),
    ]


def _corrected(finding: Finding) -> list[str]:
    if finding.corrected is None:
        return _wrapped(f"Write: {finding.fix}.")
    return [line for excerpt in finding.corrected for line in _excerpt(excerpt)]


def _excerpt(excerpt: Excerpt) -> list[str]:
    """Lines that go and lines that come, as a diff has them; those that stay only once."""
    width = len(str(excerpt.last))
    kept = 0
    for old, new in zip(excerpt.shown, excerpt.corrected, strict=False):
        if old != new:
            break
        kept += 1
    numbers = range(excerpt.first, excerpt.last + 1)
    lines = [f"    {n:>{width}}   {old}" for n, old in zip(numbers, excerpt.shown, strict=True)]
    gone = [f"    {n:>{width}} - {old}" for n, old in zip(numbers, excerpt.shown, strict=True)]
    come = [f"    {'':>{width}} + {new}" for new in excerpt.corrected[kept:]]
    return [line.rstrip() for line in (*lines[:kept], *gone[kept:], *come)]


def _numbered(first: int, lines: Sequence[str]) -> list[str]:
    width = len(str(first + len(lines)))
    return [f"    {n:>{width}}   {line}".rstrip() for n, line in enumerate(lines, start=first)]


def _summary(linted: Sequence[Linted]) -> list[str]:
    found = [finding for one in linted for finding in one.findings]
    if not found:
        return []
    errors = sum(finding.severity == "error" for finding in found)
    counts = [_counted(errors, "error")] if errors else []
    counts += [_counted(len(found) - errors, "warning")] if errors < len(found) else []
    files = len({finding.file for finding in found})
    return [
        f"{' and '.join(counts)} in {_counted(files, 'file')}. Each rule: docs/lint-compose.md",
        f"Next: correct it, or let deployctl write one for this machine: {_NEXT}",
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


# ── the rules ─────────────────────────────────────────────────────────────────────────────────


def _rules(session: Session) -> int:
    from deployctl.lint.rules import RULES

    keys = ("id", "about", "severity", "what", "why", "fix", "basis")
    data = {"rules": [{key: getattr(rule, key) for key in keys} for rule in RULES]}
    lines: list[str] = []
    for rule in RULES:
        lines += [f"{rule.id}  {rule.severity}", *_wrapped(rule.what)]
    return session.emit(data, "\n".join(lines))
