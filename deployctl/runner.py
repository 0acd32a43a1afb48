"""The only place that starts a subprocess.

Every command has a label and a timeout, streams its output line by line, is logged, and dies with
its whole process group when it times out or the operator ends us (Ctrl-C, SIGTERM, SIGHUP). After
SIGKILL nobody ends it: PR_SET_PDEATHSIG would, but it counts the death of the thread that started
the command, and would have to be set between fork and exec, where threads make that unsafe.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol

from deployctl.outcomes import Command, CommandResult

#: What a shell reports for a command that does not exist, that timed out, that was interrupted.
NOT_FOUND, TIMED_OUT, STOPPED = 127, 124, 130

#: How often a command under way asks whether it should stop, seconds.
_ASK_EVERY_S = 0.2

#: The longest single wait for output: what the kernel takes ends at 2**31 ms, seconds.
_LOOK_EVERY_S = 3600.0

#: How long a process group may take to obey SIGTERM before SIGKILL, seconds.
_GRACE_S = 5.0


class Runner(Protocol):
    """Runs commands; the tests have a fake that keeps the same contract."""

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        """Run to the end. Never raises for a failing, missing or slow program: see exit_code."""


class StoppableRunner(Protocol):
    """A runner whose commands another thread can end: Ctrl-C reaches the main thread only."""

    def run(
        self,
        command: Command,
        *,
        on_line: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """See :class:`Runner`. ``stop`` is asked often; once true, the exit code is STOPPED."""


class _StopError(Exception):
    """The command was told to stop."""


class _HeldBack:
    """Ctrl-C and its like wait until the program that is being started can be ended."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._kept: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return  # signals reach the main thread only
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(before := signal.getsignal(number)):
                self._kept[number] = before
                signal.signal(number, lambda came, _frame: self._came.append(came))

    def release(self) -> None:
        """Let come what has come meanwhile."""
        for number, before in self._kept.items():
            signal.signal(number, before)
        for number in self._came:
            signal.raise_signal(number)


class SubprocessRunner:
    """Runs real programs. ``log`` receives one line per command and per output line."""

    def __init__(self, log: Callable[[str], None] = lambda _line: None) -> None:
        self._log = log

    def run(
        self,
        command: Command,
        *,
        on_line: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """Run ``command`` in a process group of its own; see :class:`StoppableRunner`."""
        started = time.monotonic()
        self._log(f"$ {' '.join(command.argv)}  # {command.label}")
        held = _HeldBack()
        try:
            process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env={**os.environ, **dict(command.env)},
                stdin=subprocess.PIPE if command.stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as problem:
            held.release()
            text = f"{command.argv[0]}: {problem.strerror or problem}"
            self._log(text)
            return CommandResult(
                command=command, exit_code=NOT_FOUND, stdout="", output=text, seconds=0.0
            )
        except BaseException:
            held.release()
            raise
        stdout: list[str] = []
        output: list[str] = []
        try:
            held.release()
            _feed(process, command.stdin)
            for is_stdout, line in _lines(process, started + command.timeout_s, stop):
                output.append(line)
                if is_stdout:
                    stdout.append(line)
                if not command.private:
                    self._log(line)
                if on_line is not None:
                    on_line(line)
            code = process.wait(max(0.1, started + command.timeout_s - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            _end_group(process)
            code = TIMED_OUT
            output.append(f"{command.label}: no end after {command.timeout_s:.0f} s, stopped")
        except _StopError:
            _end_group(process)
            code = STOPPED
            output.append(f"{command.label}: stopped")
        except BaseException:
            _end_group(process)
            raise
        finally:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        seconds = time.monotonic() - started
        self._log(f"= {code} after {seconds:.2f} s")
        return CommandResult(
            command=command,
            exit_code=code,
            stdout="\n".join(stdout),
            output="\n".join(output),
            seconds=seconds,
        )


def _feed(process: subprocess.Popen[bytes], text: str | None) -> None:
    """Give the program its stdin. One that leaves unread what it is given ends as it likes."""
    if text is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(text.encode())


def _lines(
    process: subprocess.Popen[bytes], deadline: float, stop: Callable[[], bool] | None
) -> Iterator[tuple[bool, str]]:
    """Yield (is stdout, line) from both pipes as they come; ``TimeoutError`` past ``deadline``."""
    assert process.stdout is not None
    assert process.stderr is not None
    rest: dict[IO[bytes], bytes] = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in rest:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if stop is not None and stop():
                raise _StopError
            wait_s = min(left, _LOOK_EVERY_S if stop is None else _ASK_EVERY_S)
            for key, _ in selector.select(wait_s):
                pipe = key.fileobj  # type: ignore[assignment]  # what we registered
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    selector.unregister(pipe)
                *whole, rest[pipe] = (rest[pipe] + chunk).replace(b"\r", b"\n").split(b"\n")
                if not chunk and rest[pipe]:
                    whole.append(rest.pop(pipe))
                for line in whole:
                    yield pipe is process.stdout, line.decode("utf-8", "replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the process group, SIGKILL to what is left of it when the program has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE_S)
        except (ProcessLookupError, PermissionError):
            return  # gone already; or under sudo, where it is not ours to signal and ends by itself
        except subprocess.TimeoutExpired:
            continue
