"""``deployctl report`` over fakes: the screen, the JSON's keys, a file that cannot be written."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.cli.doctor import looking_at
from deployctl.deploy.doctor import Surroundings
from tests.cli.commandline import deployctl
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
    assert "compose.override.yaml" in out
    with tarfile.open(file) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"index.txt", "doctor.json", "plan.txt", "status.json", "bundle/compose.yaml"} <= names


def test_the_keys(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "r.tar.gz")
    assert deployctl(box, "report", "--file", path, "--output", "json") == 0
    data = json.loads(capsys.readouterr().out)["data"]
    keys = {"stack", "path", "size_bytes", "files", "missing", "secrets_looked_for", "seconds"}
    assert set(data) == keys
    assert data["path"] == path


def test_exit_5_when_it_cannot_be_written(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "report", "--file", "/nonexistent/r.tar.gz") == 5
    assert "next:  deployctl report --file" in capsys.readouterr().err
