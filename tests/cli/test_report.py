"""``deployctl report`` over fakes: the screen, the JSON's keys, a file that cannot be written."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.cli.doctor import looking_at
from deployctl.deploy.doctor import Surroundings
from tests.cli.commandline import deployctl
from tests.fakes import FakeFacts, facts
from tests.world import Box


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty file tree, nobody who answers, and a folder to write into."""

    def surroundings(_environment: Mapping[str, str]) -> Surroundings:
        return Surroundings(
            environment={"PATH": ""},
            hub="hub.example",
            now=lambda: datetime(2026, 11, 22, tzinfo=UTC),
            root=tmp_path / "root",
            ask=lambda _url, _seconds, _proxies: "no answer",
        )

    monkeypatch.chdir(tmp_path)
    with looking_at(surroundings):
        yield


def test_it_says_where_it_is_and_what_to_look_at(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployctl(box, "up", "--profile", "smoke", "--stack", "s1")
    capsys.readouterr()
    assert deployctl(box, "report", "--stack", "s1") == 0
    (file,) = tmp_path.glob("deployctl-report-s1-*.tar.gz")
    out = capsys.readouterr().out
    assert str(file) in out
    assert "compose.override.yaml" not in out
    with tarfile.open(file) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"index.txt", "doctor.json", "plan.txt", "status.json", "bundle/compose.yaml"} <= names


def test_only_what_is_in_it_is_to_be_looked_at(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "report", "--stack", "s1", "--file", "a.tar.gz") == 0
    assert "Before you send it" not in capsys.readouterr().out
    (box.home / "stacks/s1").mkdir(parents=True)
    (box.home / "stacks/s1/compose.override.yaml").write_text("services: {}\n")
    assert deployctl(box, "report", "--stack", "s1", "--file", "b.tar.gz") == 0
    assert "look at bundle/compose.override.yaml in it:" in capsys.readouterr().out


def test_other_stacks_are_not_in_it(box: Box) -> None:
    deployctl(box, "up", "--profile", "smoke", "--stack", "s1")
    shutil.copytree(box.home / "stacks/s1", box.home / "stacks/wages")
    (box.home / "stacks/wages/.env").chmod(0o644)
    box.facts = FakeFacts(facts(busy_ports={7860: "container wages-webui-1", 8000: "container hr"}))
    assert deployctl(box, "report", "--stack", "s1", "--file", "r.tar.gz") == 0
    with tarfile.open("r.tar.gz") as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        texts = {name: file.read().decode() for name, file in files.items() if file is not None}
    told = texts["r/doctor.json"]
    assert "stack s1" in told
    assert "held by container <other>" in told
    assert "/stacks/<other>/.env" in told
    assert [name for name, text in texts.items() if "wages" in text or "container hr" in text] == []


def test_the_keys(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "r.tar.gz")
    assert deployctl(box, "report", "--file", path, "--output", "json") == 0
    data = json.loads(capsys.readouterr().out)["data"]
    keys = {"stack", "path", "size_bytes", "files", "missing", "secrets_looked_for", "seconds"}
    assert set(data) == keys
    assert data["path"] == path


@pytest.mark.parametrize("place", ["there.tar.gz", "none/r.tar.gz", "there.tar.gz/r.tar.gz"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_looked_at(
    box: Box, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.tar.gz").write_text("another report")
    assert deployctl(box, "report", "--file", place) == 5
    assert "[report-unwritable]" in capsys.readouterr().err
    assert box.runner.commands == []
    assert (tmp_path / "there.tar.gz").read_text() == "another report"


def test_exit_5_when_it_cannot_be_written(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "report", "--file", "/nonexistent/r.tar.gz") == 5
    assert "next:  deployctl report --file" in capsys.readouterr().err
