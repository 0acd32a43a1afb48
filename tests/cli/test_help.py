"""What ``deployctl --help`` says in one line of each command is said whole."""

from __future__ import annotations

import pytest

from deployctl.cli.commandlist import COMMANDS
from tests.cli.commandline import deployctl
from tests.world import Box


def test_no_one_line_help_is_cut(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "--help") == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.split()[:1] and line.split()[0] in COMMANDS]
    assert {line.split()[0] for line in lines} == set(COMMANDS)
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []
