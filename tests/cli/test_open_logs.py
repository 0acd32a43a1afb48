"""``open`` and ``logs`` on the command line, of a stack with add-ons."""

from __future__ import annotations

import json

import pytest

from deployctl.workspace import Workspace
from tests.cli.commandline import deployctl
from tests.unit.test_open_pages import Pages
from tests.world import Box


@pytest.fixture
def up(box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Box:
    """A stack with a notebook and the cache, on a machine without a desktop."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    box.http = Pages()
    box.runner.services = ("engine", "webui", "jupyter", "cache")
    assert deployctl(box, "up", "--profile", "smoke", "--with", "jupyter,cache") == 0
    capsys.readouterr()
    return box


def test_open_says_where_a_page_is_and_what_it_asks_for(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "open", "jupyter") == 0
    space = Workspace(up.home, "deployctl")
    assert capsys.readouterr().out == (
        "Jupyter       http://localhost:8888/lab/tree/start.ipynb\n"
        f"Sign in with  {space.credentials_file}\n"
    )
    assert deployctl(up, "open", "jupyter", "--output", "json") == 0
    out = capsys.readouterr().out
    data = json.loads(out)["data"]
    assert list(data) == [
        *("stack", "page", "addon", "url", "lan_url", "credentials_file", "opened_with", "tried"),
        "ssh_command",
    ]
    assert (data["page"], data["addon"]) == ("Jupyter", "jupyter")
    assert json.loads(space.secrets_file.read_text())["jupyter_token"] not in out


def test_an_unknown_page_or_service_is_exit_2_with_what_there_is(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "open", "jupiter") == 2
    assert capsys.readouterr().err.endswith(
        "error: Stack deployctl has no page 'jupiter'; did you mean jupyter? [usage]\n"
        "  | its pages: webui, jupyter\n"
        "  next:  deployctl open jupyter --stack deployctl\n"
    )
    assert deployctl(up, "open", "monitoring", "--output", "json") == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error["hint"] == ("deployctl up --profile smoke --with jupyter,monitoring,cache")
    assert deployctl(up, "logs", "casche") == 2
    assert "next:  deployctl logs cache --stack deployctl\n" in capsys.readouterr().err
