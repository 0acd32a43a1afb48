"""``chat`` and ``open`` on the command line: what goes to stdout, what to stderr, exit codes."""

from __future__ import annotations

import io
import json
import pwd
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deployctl.cli import console
from deployctl.visible import harmless
from tests.cli.commandline import deployctl
from tests.world import Box

THOUGHT = {"reasoning_content": "Let me see."}


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def up(box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Box:
    """A stack that is up, whose engine thinks, answers and counts; and no desktop."""
    assert deployctl(box, "up", "--profile", "smoke") == 0
    capsys.readouterr()
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    answering(box, THOUGHT, {"content": "\nIt is "}, {"content": "blue."})
    return box


def answering(box: Box, *deltas: dict[str, str], finish: str = "stop") -> list[Any]:
    bodies: list[Any] = []

    def stream(url: str, *, body: Any, **_: Any) -> Iterator[str]:
        bodies.append(body)
        for delta in deltas:
            yield json.dumps({"choices": [{"delta": delta}]})
        yield json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]})
        usage = {"prompt_tokens": 9, "completion_tokens": 5}
        timings = {"predicted_per_second": 41.25}
        yield json.dumps({"choices": [], "usage": usage, "timings": timings})

    box.http.stream = stream  # type: ignore[method-assign]
    return bodies


def test_stdout_holds_the_answer_and_nothing_else(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "chat", "Which colour?") == 0
    seen = capsys.readouterr()
    assert seen.out == "It is blue.\n"
    for part in ("Let me see.", "5 tokens", "41.2 tokens/s", "first after", "question of 9 tokens"):
        assert part in seen.err


def test_thoughts_and_figures_can_be_left_out(up: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(up, "chat", "Which colour?", "--no-reasoning")
    seen = capsys.readouterr()
    assert "Let me see." not in seen.err
    assert "tokens/s" in seen.err
    deployctl(up, "chat", "Which colour?", "--raw")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("\nIt is blue.\n", "")


def test_what_a_poor_locale_made_of_a_question_is_made_good(up: Box) -> None:
    bodies = answering(up, {"content": "Yes."})
    half = "Grüße \U0001f389".encode().decode("ascii", "surrogateescape")
    assert deployctl(up, "chat", half, "--system", half) == 0
    assert [m["content"] for m in bodies[0]["messages"]] == ["Grüße \U0001f389"] * 2


@pytest.mark.parametrize("words", [["chat"], ["chat", "-"]])
def test_a_question_may_be_piped_in(
    up: Box, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = answering(up, {"content": "Yes."})
    monkeypatch.setattr(sys, "stdin", io.StringIO("Is it\nso?\n"))
    assert deployctl(up, *words, "--system", "Be brief.", "--max-tokens", "9") == 0
    (body,) = bodies
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == "Is it\nso?\n"
    assert body["max_tokens"] == 9


def test_nothing_asked_is_a_wrong_command_line(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    assert deployctl(up, "chat") == 2
    assert "Nothing was asked." in capsys.readouterr().err


def test_json_has_it_all(up: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(up, "chat", "Which colour?", "--output", "json") == 0
    seen = capsys.readouterr()
    assert seen.err == ""
    data = json.loads(seen.out)["data"]
    assert (data["answer"], data["reasoning"]) == ("It is blue.", "Let me see.")
    assert data["usage"]["completion_tokens"] == 5
    assert data["timings"]["tokens_per_second"] == 41.25


def test_a_terminal_is_not_obeyed_to(up: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(up, {"reasoning": "\x1b]0;x\x07"}, {"content": "a\x1b[2J\x1b"}, {"content": "[1mb"})
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert deployctl(up, "chat", "x") == 0
    assert "\x1b" not in out.getvalue()
    assert "\x1b]" not in err.getvalue()
    assert err.getvalue().startswith("\x1b[2m")  # thoughts are dimmed


@pytest.mark.parametrize(
    ("deltas", "said"),
    [
        ([{"content": "It is"}], "The answer was cut off after 5 tokens"),
        ([THOUGHT], "! The model thought for 5 tokens and gave no answer. Next: --max-tokens 2048"),
    ],
)
def test_an_answer_that_was_cut_off_says_so(
    up: Box, deltas: list[dict[str, str]], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(up, *deltas, finish="length")
    assert deployctl(up, "chat", "x") == 0
    assert said in capsys.readouterr().err


def test_no_answer_is_said_even_where_only_the_answer_was_wanted(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(up, THOUGHT, finish="length")
    assert deployctl(up, "chat", "x", "--raw") == 0
    seen = capsys.readouterr()
    assert (seen.out, "gave no answer" in seen.err, "tokens/s" in seen.err) == ("", True, False)


def test_a_terminal_shows_what_people_write(up: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    persian, family, heart = (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👨\u200d👩",
        "❤\ufe0f",
    )
    words = f"a\tb\n{persian} {family} {heart}"
    answering(up, {"content": words})
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    assert deployctl(up, "chat", "x") == 0
    assert out.getvalue() == f"{words}\n"


@pytest.mark.parametrize(
    "trick", ["\u202e", "\u2066", "\u200b", "\x08", "\r", "\x9b2J", "\x07", "\x7f"]
)
def test_a_terminal_is_not_fooled(trick: str) -> None:
    assert trick not in harmless(f"a{trick}b\t\u200d")


def test_a_conversation_remembers_and_begins_anew(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["Hi", "", "And?", "/new", "Again", "/quit"])
    bodies = answering(up, {"content": "Yes."})
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(console, "ask", lambda _prompt: next(typed))
    assert deployctl(up, "chat") == 0
    assert [len(body["messages"]) for body in bodies] == [1, 3, 1]
    assert bodies[1]["messages"][1] == {"role": "assistant", "content": "Yes."}


def test_ctrl_c_stops_an_answer_and_ctrl_d_the_conversation(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[Any] = []

    def stream(url: str, *, body: Any, **_: Any) -> Iterator[str]:
        bodies.append(body)
        yield json.dumps({"choices": [{"delta": {"content": "It "}}]})
        raise KeyboardInterrupt

    up.http.stream = stream  # type: ignore[method-assign]
    typed = iter(["Hi", "Go on"])

    def ask(_prompt: str) -> str:
        for text in typed:
            return text
        raise EOFError

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(console, "ask", ask)
    assert deployctl(up, "chat") == 0
    assert bodies[1]["messages"][1] == {"role": "assistant", "content": "It "}
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert deployctl(up, "chat", "Hi") == 130
    seen = capsys.readouterr()
    assert seen.out == "It \n"
    assert seen.err == ""


def test_what_does_not_run_is_exit_6(up: Box, capsys: pytest.CaptureFixture[str]) -> None:
    up.docker.states.clear()
    for words in (("chat", "Hi"), ("open",)):
        assert deployctl(up, *words) == 6
        err = capsys.readouterr().err
        assert "[stack-not-running]" in err
        assert "next:  deployctl up" in err


# ── open ──────────────────────────────────────────────────────────────────────────────────────


def test_open_says_where_and_how_to_sign_in(up: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(up, "open") == 0
    out = capsys.readouterr().out
    assert "http://127.0.0.1:7860" in out
    assert str(up.home / "stacks/deployctl/credentials") in out
    assert "ssh" not in out


def test_open_over_ssh_says_what_to_type_at_home(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 51000 192.0.2.9 22")
    assert deployctl(up, "open") == 0
    assert "  ssh -L 7860:127.0.0.1:7860 " in capsys.readouterr().out


def test_open_uses_the_browser_that_is_named(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "browse --at=%s")
    assert deployctl(up, "open", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["opened_with"] == "browse"
    assert up.runner.commands[-1].argv[-2:] == ("browse", "--at=http://127.0.0.1:7860")


def test_open_needs_no_name_and_no_right_quotes(
    up: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user of a container has a number only; an old profile has a stray quote."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("BROWSER", "it's %s")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 51000 192.0.2.9 22")
    assert deployctl(up, "open", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["opened_with"] == "it's"
    assert up.runner.commands[-1].argv[-2:] == ("it's", "http://127.0.0.1:7860")
    monkeypatch.setenv("BROWSER", "")
    assert deployctl(up, "open") == 0
    assert "USER@192.0.2.9" in capsys.readouterr().out


def test_open_does_not_open_what_does_not_answer(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    up.http.frontend_ready = False
    assert deployctl(up, "open") == 6
    assert "[frontend-not-ready]" in capsys.readouterr().err
