"""Writes the report of a smoke test for people. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.deploy.smoketest import SmokeReport
    from deployctl.outcomes import CheckResult

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}


def text(report: SmokeReport) -> str:
    """Write the report for people: every check in a line, what stays, and how long it took.

    The phases of ``up`` and ``down`` were told when they ended. Nothing of a test that was refused:
    its error says it all.
    """
    from deployctl.cli.console import duration

    if _refused(report):
        return ""
    checks = _checks(report)
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        took = duration(check.seconds) if check.status != "skipped" else ""
        first = check.summary.splitlines()[0] if check.summary else ""
        lines.append(f"{_MARKS[check.status]} {check.name:<{width}} {took:>12}  {first}".rstrip())
        if check.status == "warning" and check.hint:  # those of failures are in the errors
            lines.append(f"  next: {check.hint}")
    of = "" if report.profile is None else f" of profile {report.profile} ({report.model})"
    how = "passed" if report.status == "ok" else "failed"
    lines += [*([""] if lines else []), f"Smoke test{of}: {how} after {duration(report.seconds)}"]
    if report.kept:
        lines.append(f"Stack {report.stack} is kept; the next smoke test removes it.")
    if report.artifacts:
        lines.append(f"Evidence: {report.artifacts}")
    lines.append(f"A cache for the next run: {report.models}")
    lines += [f"                          image {reference}" for reference in report.images]
    return "\n".join(lines)


def _refused(report: SmokeReport) -> bool:
    """Whether it ended before anything of a stack was made, so that there was nothing to end."""
    downed = [check for step in report.steps if step.name == "down" for check in step.checks]
    return bool(report.faults) and not report.kept and all(c.status == "skipped" for c in downed)


def _checks(report: SmokeReport) -> list[CheckResult]:
    """What no phase has told: the checks of ``verify`` one by one, and that nothing is left."""
    return [
        check
        for step in report.steps
        for check in step.checks
        if (step.name == "verify" and check.name != "checks") or check.name == "nothing left"
    ]
