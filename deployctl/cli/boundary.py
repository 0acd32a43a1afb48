"""The one error boundary: what ends a command becomes words or an envelope, and an exit code."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import typer

from deployctl.cli import console
from deployctl.cli.commandlist import COMMANDS, GROUPS
from deployctl.cli.envelope import envelope
from deployctl.cli.retyped import in_our_words, mended
from deployctl.errors import AfterFailure, DeployctlError, ExitCode, Fault
from deployctl.folders import config_folder, home_folder


def guarded(body: Callable[[], object], arguments: list[str]) -> int:
    """Run ``body``; returns the exit code of design: 0 to 6, or 130."""
    debug = "--debug" in arguments
    console.prepare()
    try:
        with _ended_like_ctrl_c():
            result = _outcome(body)
    except DeployctlError as error:
        faults = tuple(mended(fault, arguments) for fault in error.faults)
        return _report(faults, error.exit_code, arguments, error.after)
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(arguments)
    except typer.Exit as leave:
        result = leave.exit_code
    except typer.TyperException as wrong:
        return _report((_usage(wrong, arguments),), ExitCode.USAGE, arguments)
    except Exception as bug:  # the boundary: nothing may pass it
        if console.interrupted(bug):
            return _stopped(arguments)
        if (
            isinstance(bug, BrokenPipeError)
            and _only_prints(arguments)
            and console.stdout_is_gone()
        ):
            return int(ExitCode.OK)
        if (refused := _in_our_folders(bug)) is not None:
            return _report(refused.faults, refused.exit_code, arguments)
        if (why := console.stdout_refuses(bug)) is not None:
            console.err(words(_unprinted(why)))
            return int(ExitCode.APPLY)
        if debug:
            raise
        return _report((_bug(bug, arguments),), ExitCode.BUG, arguments)
    # A bare number is what Typer makes of Ctrl-C; a command that has handed out what it had when
    # it was interrupted says so in our own word for it.
    if result == ExitCode.INTERRUPTED and not isinstance(result, ExitCode):
        return _stopped(arguments)
    return int(result) if isinstance(result, int) else int(ExitCode.OK)


def _stopped(arguments: list[str]) -> int:
    """End an interrupted command. Ctrl-C is how one leaves ``logs -f``: nothing to say there."""
    if _command(arguments) in ("logs", "status", "watch"):
        return int(ExitCode.INTERRUPTED)
    if _command(arguments) == "chat" and not _wants_json(arguments):
        return int(ExitCode.INTERRUPTED)
    return _report((_interrupted(arguments),), ExitCode.INTERRUPTED, arguments)


def _interrupted(arguments: list[str]) -> Fault:
    kept = "What was done so far is kept; the same command goes on from here."
    anew = "The same command begins anew."
    goes_on = _command(arguments) in ("up", "down", "setup", "compare", "tune", "eval")
    return Fault(
        code="interrupted",
        message=f"Interrupted. {kept if goes_on else anew}",
        hint=shlex.join(["deployctl", *arguments]),
    )


def _unprinted(why: str) -> Fault:
    """Stdout leads to a full disk: the work is done, what came of it cannot be handed out."""
    return Fault(
        code="output-unwritable",
        message=f"What came of it cannot be written to stdout: {why}.",
        where="stdout",
        hint="df -h  # shows which disk is full",
    )


def _only_prints(arguments: list[str]) -> bool:
    """Whether this is a command that prints, or help: done, when nobody reads it any more."""
    printing = ("", "logs", "profile", "chat", "status", "metrics", "watch")
    return bool({"-h", "--help"} & {*arguments}) or _command(arguments) in printing


def _outcome(body: Callable[[], object]) -> object:
    """Run ``body``. A broken pipe comes out as one, of which Typer makes a SystemExit."""
    streams = sys.stdout, sys.stderr
    try:
        return body()
    except SystemExit as end:
        sys.stdout, sys.stderr = streams  # it wraps them
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise


#: How a service manager and a closing terminal end us.
_ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Make the signals that would just kill us clean up first, as Ctrl-C does.

    Commands run in sessions of their own, where the signal does not reach them. A signal that our
    caller has set to be ignored (``nohup``) stays so, and only the main thread can ask for one.
    """
    here = threading.current_thread() is threading.main_thread()
    ours = [n for n in _ENDS if here and signal.getsignal(n) is signal.SIG_DFL]
    typed = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in ours:  # they come in pairs; the second must not end the cleaning up
            signal.signal(number, lambda _number, _frame: None)
        if typed:  # who presses Ctrl-C twice means it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt

    before = {n: signal.signal(n, end) for n in (*ours, *((signal.SIGINT,) if typed else ()))}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _usage(wrong: Exception, arguments: list[str]) -> Fault:
    message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
    command = _command(arguments)
    if not message.startswith("No such command"):
        command = _full_command(arguments)
    known = command.partition(" ")[0] in (*COMMANDS, *GROUPS)
    help_of = f"deployctl {command} --help" if known else "deployctl --help"
    said, meant = in_our_words(message, arguments, (*COMMANDS, *GROUPS))
    return Fault(code="usage", message=said, hint=meant or help_of)


def _bug(bug: Exception, arguments: list[str]) -> Fault:
    import os

    last = traceback.extract_tb(bug.__traceback__)[-1]
    return Fault(
        code="bug",
        message=f"deployctl itself is wrong here: {type(bug).__name__}: {bug}",
        where=f"{last.filename}:{last.lineno}",
        hint=f"{shlex.join(['deployctl', *arguments, '--debug'])}  # and report what it prints; "
        f"logs are under {home_folder(os.environ)}/stacks",
    )


def _in_our_folders(bug: Exception) -> DeployctlError | None:
    """What the system has against our use of the state or configuration folder: no bug of ours.

    A file that is not there, or there already, would be one.
    """
    import os

    from deployctl.atomic import usable

    named = getattr(bug, "filename", None)
    if not isinstance(bug, OSError) or not isinstance(named, str | os.PathLike):
        return None
    path, ours = Path(named), (home_folder(os.environ), config_folder(os.environ))
    if isinstance(bug, FileNotFoundError | FileExistsError) or not any(
        path.is_relative_to(folder) for folder in ours
    ):
        return None
    try:
        with usable(path):
            raise bug
    except DeployctlError as refused:
        return refused


def _command(arguments: list[str]) -> str:
    """What was typed where the command stands; behind an option it may be that one's value."""
    words = [word for word in arguments if not word.startswith("-")]
    misplaced = bool(words) and words[0] != arguments[0]
    known = (word for word in words if misplaced and word in (*COMMANDS, *GROUPS))
    return next(known, next(iter(words), ""))


#: Groups that do something without a command of their own, and those that they have.
_ALONE = {"bench": ("history",)}


def _full_command(arguments: list[str]) -> str:
    """The command and, of a group, its own: ``profile list``, as its envelopes name it."""
    command = _command(arguments)
    if command not in GROUPS:
        return command
    at = arguments.index(command)
    own = [word for word in arguments[at + 1 :] if not word.startswith("-")][:1]
    if own and own[0] not in _ALONE.get(command, own):
        return command
    return " ".join((command, *own))


def _wants_json(arguments: list[str]) -> bool:
    return _option(arguments, "--output", "-o") == "json"


def _option(arguments: list[str], *names: str) -> str:
    """The value of an option that could not be, or is no longer, read properly; else ''."""
    for word, following in itertools.pairwise((*arguments, "")):
        for name in names:
            if word == name:
                return following
            if word.startswith(f"{name}="):
                return word.removeprefix(f"{name}=")
    return "json" if "-ojson" in arguments and "-o" in names else ""


def _report(
    faults: tuple[Fault, ...],
    exit_code: ExitCode,
    arguments: list[str],
    after: AfterFailure | None = None,
) -> int:
    if _wants_json(arguments) and _handed_out(
        envelope(
            command=_full_command(arguments),
            status="failed",
            exit_code=exit_code,
            data=None if after is None else {"after_failure": after},
            faults=faults,
        )
    ):
        return int(exit_code)
    done = () if after is None else (afterwards(after),)
    console.err("\n\n".join((*map(words, faults), *done)))
    return int(exit_code)


def _handed_out(text: str) -> bool:
    """Print data; ``False`` where stdout takes none, and it is to be said on stderr instead."""
    try:
        console.out(text)
    except OSError as problem:
        if console.stdout_refuses(problem) is None:
            raise
        return False
    return True


def afterwards(after: AfterFailure) -> str:
    """Write for people what was done about a stack whose start failed."""
    causes = "".join(
        f"\n  because: {fault.message} [{fault.code}]"
        + "".join(f"\n  | {line}" for line in fault.details)
        for fault in after.faults
    )
    return f"then: {after.text}{causes}\n  next:  {after.hint}"


def words(fault: Fault) -> str:
    """Write a fault for people: what, where, the evidence, and what to type next."""
    where = f"\n  where: {fault.where}" if fault.where else ""
    details = "".join(f"\n  | {line}" for line in fault.details)
    return f"error: {fault.message} [{fault.code}]{where}{details}\n  next:  {fault.hint}"
