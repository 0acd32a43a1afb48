import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from deployctl.outcomes import Command
from deployctl.runner import NOT_FOUND, STOPPED, TIMED_OUT, SubprocessRunner


def python(code: str, timeout_s: float = 20.0, **more: object) -> Command:
    return Command(argv=(sys.executable, "-c", code), label="python", timeout_s=timeout_s, **more)  # type: ignore[arg-type]


def test_streams_both_pipes_line_by_line() -> None:
    seen: list[str] = []
    code = "import sys;print('a');print('b',file=sys.stderr,flush=True);print('c',end='')"
    result = SubprocessRunner().run(python(code), on_line=seen.append)
    assert result.ok
    assert result.stdout.splitlines() == ["a", "c"]
    assert sorted(seen) == sorted(result.output.splitlines()) == ["a", "b", "c"]


def test_passes_stdin_and_environment() -> None:
    code = "import os,sys;print(sys.stdin.read()+os.environ['X'])"
    result = SubprocessRunner().run(python(code, stdin="in", env=(("X", "out"),)))
    assert result.stdout == "inout"


def test_a_missing_program_is_a_result() -> None:
    command = Command(argv=("/no/such/program",), label="nothing", timeout_s=1)
    result = SubprocessRunner().run(command)
    assert (result.exit_code, result.output) == (
        NOT_FOUND,
        "/no/such/program: No such file or directory",
    )


def test_a_slow_program_is_stopped_with_its_children() -> None:
    code = (
        "import subprocess,sys,time\n"
        "p=subprocess.Popen([sys.executable,'-c','import time;time.sleep(60)'])\n"
        "print(p.pid,flush=True);time.sleep(60)"
    )
    result = SubprocessRunner().run(python(code, timeout_s=1.0))
    assert result.exit_code == TIMED_OUT
    assert result.tail(1) == ("python: no end after 1 s, stopped",)
    with pytest.raises(ProcessLookupError):
        _gone(int(result.stdout))


def test_a_child_that_heeds_no_signal_does_not_outlive_the_program() -> None:
    code = (
        "import subprocess,sys,time\n"
        "deaf='import signal,time;signal.signal(15,signal.SIG_IGN);print(1,flush=True)'\n"
        "p=subprocess.Popen([sys.executable,'-c',deaf+';time.sleep(60)'],stdout=subprocess.PIPE)\n"
        "p.stdout.readline();print(p.pid,flush=True);time.sleep(60)"
    )
    seen = threading.Event()
    result = SubprocessRunner().run(
        python(code), on_line=lambda _line: seen.set(), stop=seen.is_set
    )
    assert result.exit_code == STOPPED
    with pytest.raises(ProcessLookupError):
        _gone(int(result.stdout))


def _gone(pid: int) -> None:
    """Raise ProcessLookupError once ``pid`` is gone or a zombie waiting for init."""
    for _ in range(100):
        os.kill(pid, 0)
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                if ") Z " in stat.read():
                    raise ProcessLookupError
        except FileNotFoundError:
            raise ProcessLookupError from None
        threading.Event().wait(0.02)


def test_ctrl_c_ends_the_child_and_goes_on_up() -> None:
    code = "import time;print('up',flush=True);time.sleep(60)"

    def interrupt(_line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        SubprocessRunner().run(python(code), on_line=interrupt)


def test_ctrl_c_in_the_moment_of_the_start_leaves_no_program_behind(tmp_path: Path) -> None:
    own = tmp_path / "pid"
    script = f"echo $$ >'{own}'; kill -INT $PPID; exec sleep 60"
    command = Command(argv=("sh", "-c", script), label="sh", timeout_s=30)
    for _ in range(20):  # it comes before Popen is back in about every third
        with pytest.raises(KeyboardInterrupt):
            SubprocessRunner().run(command)
        with pytest.raises(ProcessLookupError):
            _gone(int(own.read_text()))


def test_another_thread_can_end_a_silent_command() -> None:
    stop = threading.Event()
    code = "import time;print('up',flush=True);time.sleep(60)"
    result = SubprocessRunner().run(
        python(code), on_line=lambda _line: stop.set(), stop=stop.is_set
    )
    assert (result.exit_code, result.stdout) == (STOPPED, "up")
    assert result.tail(1) == ("python: stopped",)


def test_a_command_without_an_end_may_be_waited_for() -> None:
    result = SubprocessRunner().run(python("print('a line')", timeout_s=10**9))
    assert (result.exit_code, result.stdout) == (0, "a line")


def test_a_program_that_does_not_read_its_stdin_tells_its_own_end() -> None:
    big = "x" * 2_000_000  # more than a pipe holds
    result = SubprocessRunner().run(python("print('no');raise SystemExit(3)", stdin=big))
    assert (result.exit_code, result.stdout) == (3, "no")


def test_the_output_of_a_private_command_is_not_logged() -> None:
    log: list[str] = []
    result = SubprocessRunner(log.append).run(python("print('a' + 'b')", private=True))
    assert result.stdout == "ab"
    assert len(log) == 2
    assert "ab" not in "".join(log)


def test_every_command_and_line_is_logged() -> None:
    log: list[str] = []
    SubprocessRunner(log.append).run(python("print('hello')"))
    assert log[0].endswith("# python")
    assert log[1] == "hello"
    assert log[2].startswith("= 0 after")
