"""The scripted runner keeps the contract of the real one."""

from __future__ import annotations

import pytest

from deployctl.outcomes import Command
from deployctl.runner import NOT_FOUND, Runner, SubprocessRunner
from tests.scripted import ScriptedRunner

RUNNERS = [
    SubprocessRunner(),
    ScriptedRunner({"sh -c": (3, "out\n", "err\n"), "echo": "hello\n", "false": (1, "", "")}),
]


def command(*argv: str) -> Command:
    return Command(argv=argv, label=argv[0], timeout_s=10)


@pytest.mark.parametrize("runner", RUNNERS, ids=["real", "scripted"])
def test_both_runners_say_the_same(runner: Runner) -> None:
    assert (runner.run(command("echo", "hello")).stdout) == "hello"
    assert runner.run(command("false")).exit_code == 1
    both = runner.run(command("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (both.exit_code, both.stdout) == (3, "out")
    assert sorted(both.output.splitlines()) == ["err", "out"]
    missing = runner.run(command("no-such-program-here"))
    assert missing.exit_code == NOT_FOUND
    assert missing.output.startswith("no-such-program-here: ")
