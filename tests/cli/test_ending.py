"""How a command ends when its reader leaves, its terminal closes, or it is told to stop."""

import errno
import io
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from deployctl.cli import console, run
from deployctl.cli.boundary import guarded
from deployctl.errors import DeployctlError
from deployctl.outcomes import Command
from deployctl.runner import SubprocessRunner
from tests.cli.commandline import deployctl
from tests.world import Box


def unread() -> io.TextIOWrapper:
    """A pipe whose reader has left, as ``| head`` leaves one behind."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


# ── nobody reads any more ─────────────────────────────────────────────────────────────────────


def test_up_goes_on_when_nobody_listens(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    with unread() as stderr, unread() as stdout:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(sys, "stdout", stdout)
        box.talk = console.talk_for(  # type: ignore[assignment]
            quiet=False, json=False, environment={}, stream=sys.stderr
        )
        assert deployctl(box, "up", "--profile", "smoke") == 0
        assert "start the stack" in box.runner.labels
        box.weights.error = DeployctlError("gone", code="weights-unreachable", hint="x")
        assert deployctl(box, "up", "--profile", "smoke") == 5
        assert deployctl(box, "up", "--profile", "smoke", "--output", "json") == 5


def test_logs_end_quietly_when_nobody_reads(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    deployctl(box, "up", "--profile", "smoke")
    with unread() as stdout:  # closing it would fail, had it anything left to say
        monkeypatch.setattr(sys, "stdout", stdout)
        assert deployctl(box, "logs") == 0
    with unread() as stdout:
        stdout.reconfigure(write_through=True)  # PYTHONUNBUFFERED
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run(["--help"]) == 0


def test_a_pipe_that_breaks_elsewhere_is_not_success(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box.weights.error = BrokenPipeError("elsewhere")  # type: ignore[assignment]
    with unread() as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert deployctl(box, "up", "--profile", "smoke") == 1
    assert "BrokenPipeError" in capsys.readouterr().err


# ── stdout takes nothing ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("command", ["status", "logs", "plan", "plan -o json", "plan --help"])
def test_a_full_disk_is_no_bug(
    box: Box,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    *,
    unbuffered: bool,
) -> None:
    deployctl(box, "up", "--profile", "smoke")
    capsys.readouterr()
    with Path("/dev/full").open("w", encoding="utf-8") as stdout:
        stdout.reconfigure(write_through=unbuffered)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert deployctl(box, *command.split()) == 5
        monkeypatch.undo()  # and closing it has nothing left to write
    assert "to stdout: No space left on device. [output-unwritable]" in capsys.readouterr().err


def test_on_a_full_disk_the_error_itself_is_still_seen(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert deployctl(box, "up", "--profile", "smok", "--output", "json") == 3
        monkeypatch.undo()
    assert "[profile-unknown]" in capsys.readouterr().err


def test_another_full_disk_is_not_taken_for_that_of_stdout(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.weights.error = OSError(errno.ENOSPC, "full")  # type: ignore[assignment]
    assert deployctl(box, "up", "--profile", "smoke") == 1
    assert "output-unwritable" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_as_good_as_any(
    box: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, name, None)
    assert deployctl(box, "up", "--profile", "smoke") == 0
    with getattr(sys, name):
        assert deployctl(box, "status") == 0
        assert deployctl(box, "up", "--profile", "smok") == 3


# ── told to stop ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_children_too(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    pids: list[int] = []

    def told(line: str) -> None:
        pids.append(int(line))
        os.kill(os.getpid(), number)

    code = "import os,time;print(os.getpid(),flush=True);time.sleep(60)"
    child = Command(argv=(sys.executable, "-c", code), label="child", timeout_s=30)
    before = signal.getsignal(number)
    assert guarded(lambda: SubprocessRunner().run(child, on_line=told), ["up"]) == 130
    assert "next:  deployctl up" in capsys.readouterr().err
    assert signal.getsignal(number) is before
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("up --profile smoke", "What was done so far is kept; the same command goes on from here."),
        ("verify --stack s2", "The same command begins anew."),
        ("plan --profile smoke", "The same command begins anew."),
    ],
)
def test_only_what_goes_on_is_said_to(
    capsys: pytest.CaptureFixture[str], typed: str, said: str
) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    assert guarded(body, typed.split()) == 130
    told = f"error: Interrupted. {said} [interrupted]\n  next:  deployctl {typed}\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
def test_the_second_signal_does_not_end_the_cleaning_up(first: signal.Signals) -> None:
    cleaned: list[bool] = []

    def body() -> None:
        try:
            os.kill(os.getpid(), first)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)

    assert guarded(body, ["up"]) == 130
    assert cleaned == [True]


def test_ctrl_c_that_python_made_something_else_of_is_still_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()  # as its own locks fail when it comes at a wrong moment

    assert guarded(broken, ["up"]) == 130
    assert "[interrupted]" in capsys.readouterr().err


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert guarded(lambda: os.kill(os.getpid(), signal.SIGHUP), ["up"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(guarded(lambda: 0, ["up"])))
    thread.start()
    thread.join()
    assert codes == [0]


# ── what is printed ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("output", ["text", "json"])
def test_any_encoding_will_do(box: Box, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    box.http.answer = "Grüße \U0001f600"
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert deployctl(box, "up", "--profile", "smoke", "--output", output) == 0
    seen = stdout.buffer.getvalue()
    assert (b"Gr\\xfc" if output == "text" else b"Gr\\u00fc") in seen


def test_what_others_wrote_cannot_drive_the_terminal(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.http.answer = "\x1b]0;t\x07 \x1b[31mred\x1b[0m\u3000a\tb \x9b2J"
    assert deployctl(box, "up", "--profile", "smoke") == 0
    assert "\\x1b]0;t\\x07 red a\tb \\x9b2J" in capsys.readouterr().out
    bad = ("\x1b[2Kfine", "\x1bc")
    box.weights.error = DeployctlError("a\rb", code="weights-corrupt", hint="x", details=bad)
    assert deployctl(box, "up", "--profile", "smoke") == 5
    err = capsys.readouterr().err
    assert "error: a b [" in err
    assert "  | fine\n  | \\x1bc\n" in err


def test_lines_of_talk_are_harmless() -> None:
    stream = io.StringIO()
    talk = console.talk_for(quiet=False, json=False, environment={}, stream=stream)
    with talk.phase("start") as phase:
        phase.finish("\x1b[2K \x1b]2;x")
    talk.warn("one\ntwo\x07")
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().endswith("! one\n  two\\x07\n")


# ── a state folder that cannot be used ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "command",
    [
        *("up --profile smoke", "plan --profile smoke", "smoke --profile smoke", "status", "down"),
        *("watch", "logs", "verify", "reconcile webui", "chat hi", "open", "recommend", "doctor"),
        *("render --profile smoke", "profile list", "profile show smoke"),
        "profile new mine --from smoke",
    ],
)
def test_a_folder_that_cannot_be_looked_into_is_no_bug(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / ("n" * 300)  # refused to root too, as a folder of others is to everybody else
    monkeypatch.setenv("DEPLOYCTL_HOME", str(home))
    code = deployctl(Box(home=home), *command.split())
    said = capsys.readouterr()
    if command == "doctor":  # has all the other checks to tell
        assert "state folder" in said.out
        return
    assert (code, "[workspace-unwritable]" in said.err) == (5, True), said.err
    assert str(home) in said.err
