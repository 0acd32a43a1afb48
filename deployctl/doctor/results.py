"""How a check of the doctor is written: what was found, why it matters, what to type. Pure."""

from __future__ import annotations

from deployctl.outcomes import CheckResult

#: Why nothing is known of what only the daemon could tell.
SILENT = "the daemon does not say: it does not answer"


def ok(name: str, found: str) -> CheckResult:
    """Nothing to do about it."""
    return CheckResult(name=name, status="ok", summary=found)


def skipped(name: str, why: str) -> CheckResult:
    """There is nothing to look at, or it cannot be seen."""
    return CheckResult(name=name, status="skipped", summary=why)


def warning(name: str, found: str, why: str, fix: str, *evidence: str) -> CheckResult:
    """A stack can come up, and something of it will be worse than it could be."""
    return CheckResult(
        name=name, status="warning", summary=found, details=(why, *evidence), hint=fix
    )


def failed(name: str, found: str, why: str, fix: str, *evidence: str, code: str) -> CheckResult:
    """No stack can come up here before this is mended. ``code`` is one of ``errors.CODES``."""
    return CheckResult(
        name=name,
        status="failed",
        summary=found,
        details=(why, *evidence),
        hint=fix,
        code=code,
    )
