"""The one error boundary: what ends a command becomes words or an envelope, and an exit code."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import typer

from deployctl.cli import console
from deployctl.cli.envelope import envelope
from deployctl.errors import DeployctlError, ExitCode, Fault
from deployctl.workspace import home_folder


def guarded(body: Callable[[], object], arguments: list[str]) -> int:
    """Run ``body``; returns the exit code of design: 0 to 6, or 130."""
    debug = "--debug" in arguments
    try:
        result = body()
    except DeployctlError as error:
        return _report(error.faults, error.exit_code, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _report((_INTERRUPTED,), ExitCode.INTERRUPTED, arguments)
    except typer.Exit as leave:
        result = leave.exit_code
    except typer.TyperException as wrong:
        return _report((_usage(wrong, arguments),), ExitCode.USAGE, arguments)
    except BrokenPipeError:
        _drop_stdout()
        return int(ExitCode.OK)
    except Exception as bug:  # the boundary: nothing may pass it
        if debug:
            raise
        return _report((_bug(bug),), ExitCode.BUG, arguments)
    if result == ExitCode.INTERRUPTED:  # what Typer makes of Ctrl-C
        return _report((_INTERRUPTED,), ExitCode.INTERRUPTED, arguments)
    return result if isinstance(result, int) else int(ExitCode.OK)


_INTERRUPTED = Fault(
    code="interrupted",
    message="Interrupted. What was done so far is kept; the next `deployctl up` goes on from here.",
    hint="deployctl status",
)


def _drop_stdout() -> None:
    """Point stdout at nothing: its reader went away, and Python would complain at exit."""
    import os
    import sys

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(wrong: Exception, arguments: list[str]) -> Fault:
    message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
    command = _command(arguments)
    help_of = f"deployctl {command} --help" if command else "deployctl --help"
    return Fault(code="usage", message=message, hint=help_of)


def _bug(bug: Exception) -> Fault:
    import os

    last = traceback.extract_tb(bug.__traceback__)[-1]
    return Fault(
        code="bug",
        message=f"deployctl itself is wrong here: {type(bug).__name__}: {bug}",
        where=f"{last.filename}:{last.lineno}",
        hint="the same command with --debug, and report what it prints; "
        f"logs are under {home_folder(os.environ)}/stacks",
    )


def _command(arguments: list[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")


def _wants_json(arguments: list[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        word in ("--output=json", "-ojson") or (word in ("--output", "-o") and following == "json")
        for word, following in pairs
    )


def _report(faults: tuple[Fault, ...], exit_code: ExitCode, arguments: list[str]) -> int:
    if _wants_json(arguments):
        console.out(
            envelope(
                command=_command(arguments), status="failed", exit_code=exit_code, faults=faults
            )
        )
    else:
        console.err("\n\n".join(words(fault) for fault in faults))
    return int(exit_code)


def words(fault: Fault) -> str:
    """Write a fault for people: what, where, the evidence, and what to type next."""
    where = f"\n  where: {fault.where}" if fault.where else ""
    details = "".join(f"\n  | {line}" for line in fault.details)
    return f"error: {fault.message} [{fault.code}]{where}{details}\n  next:  {fault.hint}"
