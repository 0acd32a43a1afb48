"""The end of a command that has a report: where it goes, and the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from deployctl.cli.handing import hand_out
from deployctl.errors import ExitCode, Fault

ENDED = Fault(code="interrupted", message="Ended.", hint="x")
GONE = Fault(code="compose-failed", message="Not taken down.", hint="y")


@dataclass(frozen=True)
class Report:
    count: int
    faults: tuple[Fault, ...] = ()


@pytest.mark.parametrize(
    ("faults", "code"),
    [((), ExitCode.OK), ((ENDED, GONE), ExitCode.INTERRUPTED), ((GONE, ENDED), ExitCode.APPLY)],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_the_first_fault_decides(
    faults: tuple[Fault, ...],
    code: ExitCode,
    as_json: bool,  # pytest gives it by name
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = hand_out(
        "tune",
        as_json=as_json,
        status="ok",
        data=Report(count=3, faults=faults),
        text="three\x1b[2J",
        faults=faults,
    )
    assert (ended, type(ended)) == (code, ExitCode)  # what Typer makes of Ctrl-C is a bare number
    seen = capsys.readouterr()
    if as_json:
        found = json.loads(seen.out)
        assert (found["data"], found["exit_code"]) == ({"count": 3}, code)
        assert [error["code"] for error in found["errors"]] == [fault.code for fault in faults]
        assert seen.err == ""
    else:
        assert seen.out == "three\n"
        assert [fault.message in seen.err for fault in faults] == [True] * len(faults)
