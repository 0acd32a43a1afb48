"""The command line over fakes: one test per exit code, and the keys of the JSON."""

import json
import shlex
from pathlib import Path

import pytest

from deployctl.cli import run
from deployctl.errors import DeployctlError
from tests.cli.commandline import deployctl
from tests.fakes import FakeFacts, facts
from tests.world import Box

ENVELOPE = ["version", "command", "status", "exit_code", "data", "errors"]
FAULT = ["code", "message", "hint", "where", "details"]


def as_json(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    code = deployctl(box, *arguments, "--output", "json")
    seen = capsys.readouterr()
    found: dict[str, object] = json.loads(seen.out)
    assert seen.err == ""
    assert list(found) == ENVELOPE
    assert found["exit_code"] == code
    return found


def test_up_says_where_and_what(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "up", "--profile", "smoke") == 0
    out = capsys.readouterr().out
    for part in ("http://127.0.0.1:7860", "credentials", ":8000/v1", "Hello there."):
        assert part in out
    assert "password" not in out.lower()


def test_up_as_json(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(box, capsys, "up", "--profile", "smoke")
    assert (found["status"], found["exit_code"], found["errors"]) == ("ok", 0, [])
    data = found["data"]
    assert isinstance(data, dict)
    keys = {"stack", "profile", "webui_url", "engine_url", "answer", "phases", "changed"}
    assert keys <= set(data)


def test_status_as_json(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke")
    assert as_json(box, capsys, "status")["status"] == "ok"


def test_exit_2_for_the_command_line(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "up", "--nope") == 2
    assert "next:  deployctl up --help" in capsys.readouterr().err
    assert deployctl(box, "status", "--stack", "No Good") == 2
    found = as_json(box, capsys, "up", "--nope")
    assert found["status"] == "failed"


def test_exit_3_for_a_profile(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(box, capsys, "up", "--profile", "smok")
    assert found["exit_code"] == 3
    errors = found["errors"]
    assert isinstance(errors, list)
    (fault,) = errors
    assert list(fault) == FAULT
    assert "smoke" in fault["hint"] + fault["message"]


def test_exit_4_for_the_host(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.facts = FakeFacts(facts(busy_ports={7860: "process nginx (pid 812)"}))
    assert deployctl(box, "up", "--profile", "smoke") == 4
    err = capsys.readouterr().err
    assert "process nginx (pid 812)" in err
    assert "next:  deployctl up --profile smoke --set ports.webui=7861" in err


def test_exit_5_for_applying(box: Box) -> None:
    box.weights.error = DeployctlError("gone", code="weights-unreachable", hint="x")
    assert deployctl(box, "up", "--profile", "smoke") == 5


def test_exit_6_for_not_ready(box: Box) -> None:
    box.http.engine_ready = False
    assert deployctl(box, "up", "--profile", "smoke") == 6
    assert deployctl(box, "status") == 6


@pytest.mark.parametrize(
    ("words", "ci", "did"),
    [((), "", "kept"), ((), "true", "taken-down"), (("--on-failure", "keep"), "true", "kept")],
)
def test_what_was_done_about_a_failure_is_said(
    box: Box,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    ci: str,
    did: str,
) -> None:
    monkeypatch.setenv("CI", ci)
    box.http.engine_ready = False
    found = as_json(box, capsys, "up", "--profile", "smoke", *words)
    assert (found["exit_code"], found["status"]) == (6, "failed")
    data = found["data"]
    assert isinstance(data, dict)
    assert list(data["after_failure"]) == ["did", "text", "hint", "profile", "faults"]
    assert data["after_failure"]["did"] == did
    assert deployctl(box, "up", "--profile", "smoke", *words) == 6
    assert f"then: {data['after_failure']['text']}" in capsys.readouterr().err


def test_why_a_rollback_failed_is_said_too(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke")
    box.runner.fail["start the stack"] = "out of cheese"
    sets = ("--set", "concurrency=3", "--on-failure", "rollback")
    assert deployctl(box, "up", "--profile", "smoke", *sets) == 5
    err = capsys.readouterr().err
    assert "then: Going back to the last stack that answered failed too" in err
    assert "because: `docker compose` failed to start the stack. [compose-failed]" in err
    assert deployctl(box, "up", "--on-failure", "explode") == 2


def test_exit_130_for_an_interruption(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.runner.interrupt_at = "start the stack"
    assert deployctl(box, "up", "--profile", "smoke") == 130
    assert "next:  deployctl up --profile smoke" in capsys.readouterr().err


def test_exit_1_for_a_bug_without_a_traceback(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.http.answer = None  # type: ignore[assignment]
    assert deployctl(box, "up", "--profile", "smoke") == 1
    err = capsys.readouterr().err
    assert "--debug" in err
    assert "Traceback" not in err
    with pytest.raises(AttributeError):
        deployctl(box, "up", "--profile", "smoke", "--debug")


def test_logs_are_data(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke")
    capsys.readouterr()
    assert deployctl(box, "logs", "engine") == 0
    assert capsys.readouterr().out == "engine-1  | listening\n"
    assert deployctl(box, "logs", "nope") == 2


def test_logs_of_a_container_that_was_removed(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke", "--stack", "s2")
    del box.docker.states["engine"]
    capsys.readouterr()
    assert deployctl(box, "logs", "engine", "--stack", "s2") == 6
    err = capsys.readouterr().err
    assert "error: Stack s2 has no container of engine: it was removed" in err
    assert err.endswith(
        "[stack-not-running]\n  where: engine\n  next:  deployctl up --profile smoke --stack s2\n"
    )


def test_files_are_kept_by_their_whole_paths(
    box: Box,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/p.yaml").write_text("extends: smoke\n")
    (tmp_path / "a b/o.yaml").write_text("concurrency: 3\n")
    monkeypatch.chdir(tmp_path / "a b")
    assert deployctl(box, "up", "--profile", "./p.yaml", "--overlay", "o.yaml") == 0
    monkeypatch.chdir(tmp_path)
    box.docker.states.clear()
    capsys.readouterr()
    assert deployctl(box, "logs") == 6
    line = f"deployctl up --profile '{tmp_path}/a b/p.yaml' --overlay '{tmp_path}/a b/o.yaml'"
    assert f"next:  {line}\n" in capsys.readouterr().err
    assert deployctl(box, *shlex.split(line)[1:]) == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--set model.context=abc", "--set model.context=4096"),
        ("--set model.contxt=4096 --stack s2", "--stack s2 --set model.context=4096"),
        ("--set concurrency=3 --set=ports=3", "--set concurrency=3 --set ports.webui=7860"),
        ("--set concurrency=0 --fit --set model.context=2048",
         "--fit --set model.context=2048 --set concurrency=2"),
    ],
)  # fmt: skip
def test_a_setting_is_mended_in_the_whole_line(
    box: Box, capsys: pytest.CaptureFixture[str], typed: str, meant: str
) -> None:
    for command in ("up", "plan"):
        assert deployctl(box, command, "--profile", "smoke", *typed.split()) == 3
        wanted = f"next:  deployctl {command} --profile smoke {meant}\n"
        assert wanted in capsys.readouterr().err


def test_a_setting_of_a_smoke_test_is_mended_too(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "smoke", "--profile", "smoke", "--set", "concurrency=0", "--fit") == 3
    wanted = "next:  deployctl smoke --profile smoke --fit --set concurrency=2\n"
    assert wanted in capsys.readouterr().err


def test_a_setting_that_another_one_needs_stays(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "plan", "--profile", "smoke", "--set", "exposure=lan") == 3
    wanted = "next:  deployctl plan --profile smoke --set exposure=lan --set ports.address="
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("down oper", "down --stack oper"),
        ("status oper --output text", "status --output text --stack oper"),
        ("verify oper", "verify --stack oper"),
        ("up smoke --fit", "up --fit --profile smoke"),
        ("up oper --profile smoke", "up --profile smoke --stack oper"),
        ("status a b", "status --help"),
        ("profile list a", "profile list --help"),
    ],
)
def test_what_goes_nowhere_is_shown_its_option(
    box: Box, capsys: pytest.CaptureFixture[str], typed: str, hint: str
) -> None:
    assert deployctl(box, *typed.split()) == 2
    assert capsys.readouterr().err.endswith(f"[usage]\n  next:  deployctl {hint}\n")


def test_help_has_a_short_name(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-h"], ["plan", "-h"], ["profile", "list", "-h"]):
        assert run(words) == 0
        assert "-h, --help" in capsys.readouterr().out


def test_down_says_what_it_kept(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke")
    capsys.readouterr()
    assert deployctl(box, "down") == 0
    assert "Kept: deployctl_webui-data (the chats)." in capsys.readouterr().out
    assert deployctl(box, "down", "--volumes") == 0
    assert "nothing of it is left" in capsys.readouterr().out


def test_version_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("deployctl 0.")


def test_nothing_typed_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_hints_keep_the_stack(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.runner.interrupt_at = "start the stack"
    assert deployctl(box, "up", "--profile", "smoke", "--stack", "s2") == 130
    assert "next:  deployctl up --profile smoke --stack s2" in capsys.readouterr().err


def test_an_unknown_command_hints_at_the_help_that_exists(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "upp") == 2
    assert "next:  deployctl --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("-o json status", "status"),
        ("--output json profile list --debug", "profile list"),
        ("status --output json --stack up --no-such-option", "status"),
        ("-o json", "json"),  # which is no command, and nothing else was typed
    ],
)
def test_an_option_before_the_command_is_not_taken_for_it(
    box: Box, capsys: pytest.CaptureFixture[str], typed: str, command: str
) -> None:
    assert deployctl(box, *typed.split()) == 2
    assert json.loads(capsys.readouterr().out)["command"] == command


def test_a_tail_that_is_no_number_is_refused(box: Box) -> None:
    assert deployctl(box, "logs", "--tail", "foo") == 2


def test_ctrl_c_leaves_logs_without_a_word(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    deployctl(box, "up", "--profile", "smoke")
    capsys.readouterr()
    box.runner.interrupt_at = "logs"
    assert deployctl(box, "logs", "-f") == 130
    assert capsys.readouterr().err == ""
