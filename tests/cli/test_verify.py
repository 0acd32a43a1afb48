"""``deployctl verify``: exit codes, the envelope, JUnit, and words for people."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deployctl.verify.registry import CORE
from tests.cli.commandline import deployctl
from tests.fakes import container
from tests.verifyworld import VerifyBox, verify_box


@pytest.fixture
def well(tmp_path: Path) -> VerifyBox:
    return verify_box(tmp_path)


def test_exit_0_and_a_line_for_each_check(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(well, "verify") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Stack deployctl: {len(CORE) - 3} of {len(CORE)} checks passed")
    marked = [line.split()[1] for line in lines[1:] if line[2:3] in tuple("✓–!✗")]
    assert marked == list(CORE)
    assert max(map(len, lines[1:])) <= 100


def test_exit_6_with_evidence_and_the_next_command(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    well.inside.way_out = dict(well.inside.way_out or {}) | {"ttl": 64}
    assert deployctl(well, "verify", "--quiet") == 6
    out = capsys.readouterr().out
    assert "✗ no-egress" in out
    assert "    | engine: its packets survive 64 hops, not 1 (measured)" in out
    assert "    next: remove what opens it from compose.override.yaml" in out


def test_json_has_an_error_for_each_failed_check(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    well.stack.keyless = True
    assert deployctl(well, "verify", "--output", "json") == 6
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["exit_code"], found["status"]) == ("verify", 6, "degraded")
    assert [error["code"] for error in found["errors"]] == ["check-failed"] * 2
    assert found["errors"][0]["message"].startswith("Check key-required: ")
    data = found["data"]
    assert [check["name"] for check in data["checks"]] == list(CORE)
    assert data["failed"] == 2
    assert {"name", "status", "summary", "hint", "seconds"} <= set(data["checks"][0])


def test_a_sentence_is_not_ended_twice(well: VerifyBox, capsys: pytest.CaptureFixture[str]) -> None:
    well.stack.answer = ""
    assert deployctl(well, "verify", "--only", "ui-answer", "--output", "json") == 6
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error["message"] == "Check ui-answer: The model gave an empty answer."


def test_junit_is_all_that_is_on_stdout(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    well.stack.keyless = True
    assert deployctl(well, "verify", "-o", "junit") == 6
    (suite,) = ET.fromstring(capsys.readouterr().out)
    assert (suite.get("tests"), suite.get("failures")) == (str(len(CORE)), "2")
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert properties["stack"] == "deployctl"
    assert (properties["profile"], properties["engine"]) == ("smoke", "llama.cpp")
    assert properties["model"]


def test_junit_of_a_stack_that_does_not_run_is_a_failure_of_its_own(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    well.docker.states["engine"] = container("engine", status="exited")
    assert deployctl(well, "verify", "-o", "junit") == 6
    seen = capsys.readouterr()
    (suite,) = ET.fromstring(seen.out)
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "stack-not-running"
    assert "[stack-not-running]" in seen.err


def test_only_takes_commas_and_refuses_what_is_no_check(
    well: VerifyBox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(well, "verify", "--only", "chat,memory", "--only", "metrics") == 0
    assert "3 of 3 checks passed" in capsys.readouterr().out
    assert deployctl(well, "verify", "--only", "chatt") == 2
    err = capsys.readouterr().err
    assert "did you mean chat?" in err
    assert "served-model" in err


def test_a_key_is_in_no_output(well: VerifyBox, capsys: pytest.CaptureFixture[str]) -> None:
    log = well.home / "stacks/deployctl/deployctl.log"
    log.write_text(well.stack.key.reveal())
    for output in ("text", "json", "junit"):
        assert deployctl(well, "verify", "-o", output) == 6
        seen = capsys.readouterr()
        assert well.stack.key.reveal() not in seen.out + seen.err
