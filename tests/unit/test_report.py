"""What a report holds, and what it never holds: secrets planted everywhere, then looked for."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from deployctl.archive import lay_out
from deployctl.deploy.others import without_others
from deployctl.deploy.pieces import Piece, cleaned, gathered
from deployctl.deploy.report import Report, ReportRequest, Writers, report
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.doctor.look_docker import _rows
from deployctl.errors import DeployctlError
from deployctl.ports import _docker_ps
from deployctl.private import known_secrets, private_hosts, private_names
from deployctl.profiles.selection import Selection
from deployctl.redact import Redactor
from deployctl.runner import SubprocessRunner
from tests.fakes import FakeDocker, container
from tests.scripted import ScriptedRunner
from tests.world import Box

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

STACK = "s1"

#: Where each was planted → what must not be found anywhere.
PLANTED = {
    "engine key": "EngineKeyOfTheStack0123456789abcdefghij",
    "webui secret": "WebuiSecretOfTheStack012345678901234567",
    "admin password": "Adm1n/Pa$$'word+x",
    "session": "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEyMyJ9.s1gnature",
    "environment": "env p@ss'w\"ord %41",
    "hub token": "hf_abcdefghijklmnop",
    "proxy": "pr0xyPassw0rd",
    "override": "Overr1de;Pa55 word",
    "label": "LabelTok3n",
    "variable inside": "C0ntainerOnly!Secret",
    "docker login": "d0ckerLoginPassword",
    "netrc": "netrcPassw0rd",
    "log, by name": "OnlyInALog99",
    "log, bearer": "BearerOnlyInALog77",
    "log, said": "my very own question",
    "mail": "bob.builder@example.com",
    "mirror": "mirror.corp.internal",
}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path / "state")


@pytest.fixture
def planted(box: Box, tmp_path: Path) -> tuple[Box, Mapping[str, str]]:
    """A stack with a secret in every place that a report looks into."""
    p = PLANTED
    folder = box.home / "stacks" / STACK
    folder.mkdir(parents=True)
    names = ("engine_key", "webui_secret", "admin_password")
    secrets = dict(zip(names, list(p.values())[:3], strict=True))
    (folder / "secrets.json").write_text(json.dumps(secrets))
    (folder / "session").write_text(p["session"])
    (folder / ".env").write_text(f"DEPLOYCTL_ENGINE_KEY='{p['engine key']}'\n")
    (folder / "compose.yaml").write_text("services: {}\n")
    (folder / "compose.override.yaml").write_text(
        f'services:\n  webui:\n    environment:\n      MY_PASSWORD: "{p["override"]}"\n'
    )
    (folder / "manifest.json").write_text(json.dumps({"note": p["engine key"], "token": "x9x9x9"}))
    (folder / "deployctl.log").write_text(f"$ docker login -p {p['docker login']}\n")
    home = tmp_path / "root/home/bob"
    (home / ".docker").mkdir(parents=True)
    auth = base64.b64encode(f"bob:{p['docker login']}".encode()).decode()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {"r": {"auth": auth}}}))
    (home / ".netrc").write_text(f"machine x login bob password {p['netrc']}\n")
    box.docker.states = {"webui": container("webui", name="s1-webui-1")}
    box.docker.inspected = {
        "id-webui": {
            "Config": {
                "Env": [f"SMTP_PASSWORD={p['variable inside']}", f"KEY2={p['engine key']}"],
                "Labels": {"operator.api-token": p["label"], "mail": p["mail"]},
            }
        }
    }
    box.docker.tails = {"id-webui": tuple(_log())}
    environment = {
        "HOME": "/home/bob",
        "USER": "bob",
        "PATH": "",
        "HF_TOKEN": p["hub token"],
        "MY_DB_PASSWORD": p["environment"],
        "https_proxy": f"http://bob:{p['proxy']}@{p['mirror']}:3128",
        "DOCKER_HOST": f"tcp://{p['mirror']}",
    }
    return box, environment


def _log() -> list[str]:
    lines = [spelled for secret in PLANTED.values() for spelled in _spellings(secret)]
    p = PLANTED
    return [
        *lines,
        f"login token={p['log, by name']}",
        f"Authorization: Bearer {p['log, bearer']}",
        f'body: {{"messages": [{{"role": "user", "content": "{p["log, said"]}"}}]}}',
        f"mail to {p['mail']} in /home/bob/x from 8.8.8.8",
    ]


def _spellings(secret: str) -> tuple[str, ...]:
    """How a log writes what is known; what is known by its looks only, as it is."""
    if secret in _BY_LOOKS:
        return ()
    raw = secret.encode()
    return (
        secret,
        quote(secret, safe=""),
        json.dumps(secret),
        repr(secret),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"bob:" + raw).decode(),
    )


_BY_LOOKS = frozenset(
    PLANTED[name] for name in ("log, by name", "log, bearer", "log, said", "mail", "mirror")
)


def made(box: Box, environment: Mapping[str, str], folder: Path, **changes: Any) -> Report:
    writers = Writers(
        plain=lambda value: json.loads(json.dumps(value, default=str)), doctor=dict, plan=str
    )
    request = ReportRequest(
        stack=STACK,
        environment=environment,
        folder=folder,
        now=NOW,
        root=folder / "root",
        **changes,
    )
    return report(box.world("report"), request, writers)


def unpacked(path: Path) -> dict[str, str]:
    """File → text, without the folder they all are in."""
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert {member.mode for member in members} == {0o600}
        assert {(member.uname, member.gname, member.uid) for member in members} == {("", "", 0)}
        found = {}
        for member in members:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
        return found


@pytest.mark.parametrize("where", PLANTED)
def test_no_planted_secret_survives(
    planted: tuple[Box, Mapping[str, str]], tmp_path: Path, where: str
) -> None:
    box, environment = planted
    secret = PLANTED[where]
    files = unpacked(made(box, environment, tmp_path).path)
    for name, text in files.items():
        for spelling in (secret, *_spellings(secret)):
            assert spelling not in text, name


def test_what_is_in_it(planted: tuple[Box, Mapping[str, str]], tmp_path: Path) -> None:
    box, environment = planted
    result = made(box, environment, tmp_path)
    files = unpacked(result.path)
    assert set(files) == set(result.files)
    assert {
        *("index.txt", "versions.json", "facts.json", "doctor.json", "plan.txt", "status.json"),
        *("bundle/compose.yaml", "bundle/compose.override.yaml", "bundle/manifest.json"),
        *("bundle/env-names.txt", "containers/webui.json", "logs/webui.log"),
        *("logs/deployctl.log", "events.txt", "disk.txt"),
    } <= set(files) | {line.partition(":")[0] + ".json" for line in result.missing}
    assert "Redacted" in files["index.txt"]
    for name in files:
        assert name == "index.txt" or name in files["index.txt"]
    json.loads(files["containers/webui.json"])
    versions = json.loads(files["versions.json"])
    assert versions["variables_left_out"] == ["HF_TOKEN", "MY_DB_PASSWORD"]
    assert "SMTP_PASSWORD=***" in files["containers/webui.json"]
    assert files["bundle/env-names.txt"] == "DEPLOYCTL_ENGINE_KEY=***\n"
    assert "/home/bob" not in "".join(files.values())


def test_half_a_secret_is_not_left_where_a_long_text_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployctl.deploy.pieces._MOST", 400)
    redactor = Redactor(("Sup3rS3cretValue99",))
    for more in range(25):
        text = "Sup3rS3cretValue99\n" + "x" * (400 - more)
        piece = Piece(name="logs/webui.log", about="", content=text, log=True)
        assert cleaned(piece, redactor).strip("x\n") in ("", "***")
    one = Piece(name="logs/webui.log", about="", content="x" * 401, log=True)
    assert cleaned(one, redactor) == "(one line of 401 characters)\n"


def test_what_gathers_never_holds_the_process() -> None:
    def job() -> Piece:
        return Piece(name="x", about="", content=threading.current_thread().daemon)

    assert [piece.content for piece in gathered([("x", job)]).pieces] == [True]


def test_it_is_for_its_owner_alone_and_named_by_stack_and_time(
    planted: tuple[Box, Mapping[str, str]], tmp_path: Path
) -> None:
    box, environment = planted
    result = made(box, environment, tmp_path)
    assert result.path == tmp_path / "deployctl-report-s1-20261122-100000.tar.gz"
    assert stat.S_IMODE(result.path.stat().st_mode) == 0o600
    with pytest.raises(DeployctlError, match="cannot be written"):
        made(box, environment, tmp_path)  # another's is not overwritten
    assert made(box, environment, tmp_path, file=tmp_path / "x.tar.gz").path.name == "x.tar.gz"


def test_without_docker_and_without_a_stack_there_is_still_a_report(
    box: Box, tmp_path: Path
) -> None:
    box.docker = FakeDocker(down=True)
    result = made(box, {"PATH": ""}, tmp_path)
    files = unpacked(result.path)
    assert {"index.txt", "versions.json", "facts.json"} <= set(files)
    assert any(line.startswith("containers: ") for line in result.missing)
    assert "Could not be had:" in files["index.txt"]


def test_a_broken_stack_is_packed_as_it_is(box: Box, tmp_path: Path) -> None:
    folder = box.home / "stacks" / STACK
    folder.mkdir(parents=True)
    (folder / "secrets.json").write_text("{broken")
    (folder / "manifest.json").write_text("[1]")
    (folder / "compose.override.yaml").write_text("a: [\nMY_PASSWORD: brokenYaml77\n")
    files = unpacked(made(box, {"PATH": ""}, tmp_path).path)
    assert files["bundle/manifest.json"] == "[1]"
    assert "brokenYaml77" not in "".join(files.values())


def test_a_folder_that_cannot_be_written(box: Box, tmp_path: Path) -> None:
    with pytest.raises(DeployctlError) as caught:
        made(box, {"PATH": ""}, tmp_path, file=tmp_path / "none/x.tar.gz")
    assert caught.value.faults[0].code == "report-unwritable"


def test_a_variable_that_names_a_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/token").write_text("x")
    environment = {
        "AWS_TOKEN": "/run/token",
        "SSH_AUTH_SOCK": "/tmp/agent.1",
        "DB_PASSWORD_FILE": "/run/gone",
        "DOCKER_AUTH": "unix:///x",
        "A_TOKEN": "abcd",
    }
    assert known_secrets(tmp_path, environment, tmp_path) == {"abcd"}


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKENS", "GITHUB_PAT", "SLACK_HOOK"])
@pytest.mark.parametrize("secret", ["/J8sd/xyz+abc", "~/x9x9x9", "/" + "n" * 300, "/\0x"])
def test_a_secret_may_begin_like_a_path(tmp_path: Path, name: str, secret: str) -> None:
    assert known_secrets(tmp_path, {name: secret}, tmp_path) == {secret}


def test_the_plan_is_that_of_the_stack(box: Box, tmp_path: Path) -> None:
    selection = Selection(profile="smoke", sets=("model.max_tokens=77",))
    up(box.world("up"), UpRequest(stack=STACK, selection=selection))
    files = unpacked(made(box, {"PATH": ""}, tmp_path).path)
    assert "max_tokens=77" in files["plan.txt"]
    assert "--set model.max_tokens=77" in files["index.txt"]


def test_hosts_behind_passwords_and_private_ones_are_not_told() -> None:
    text = (
        "URL: http://bob:pw@shop.example.com/x\n"
        "B: smtp://a:p@ss/w@mail.example.net:587 C: https://wiki.corp.internal.example/x\n"
        "D: https://u:p@ghcr.io/v2 E: http://a:b@localhost:1 F: http://a:b@127.0.0.1:1\n"
        "G: https://huggingface.co/x H: http://engine:8000/v1 I: http://host.docker.internal:1\n"
        "J: http://nas.local K: https://example.org/local"
    )
    assert private_hosts(text) == {
        *("shop.example.com", "mail.example.net", "wiki.corp.internal.example", "nas.local"),
    }


def test_an_overrides_private_host_is_nowhere(box: Box, tmp_path: Path) -> None:
    folder = box.home / "stacks" / STACK
    folder.mkdir(parents=True)
    (folder / "compose.override.yaml").write_text(
        "services: {webui: {environment: {URL: 'http://bob:pw@corp.internal.example/x'}}}\n"
    )
    (folder / "deployctl.log").write_text("connecting to corp.internal.example\n")
    files = unpacked(made(box, {"PATH": ""}, tmp_path).path)
    assert "http://***@<host>/x" in files["bundle/compose.override.yaml"]
    assert [name for name, text in files.items() if "corp.internal" in text] == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("chmod 600 /h/stacks/pay/.env /h/stacks/s1/.env", "/stacks/<other>/.env /h/stacks/s1/"),
        ("deployctl status --stack pay", "--stack <other>"),
        ("deployctl status --stack s1", "--stack s1"),
        ("held by container s1-webui-1", "container s1-webui-1"),
        ("held by container s1-b-webui-1", "container <other>"),
        ("held by container db", "container <other>"),
        ("a container that ended", "a container that ended"),
        ("listening in the LAN: pay, s1; every", "LAN: <other>, s1; every"),
    ],
)
def test_names_of_other_stacks_are_masked(text: str, kept: str) -> None:
    assert kept in without_others(text, "s1")


def test_the_log_has_no_list_of_the_machines_containers(tmp_path: Path) -> None:
    said: list[str] = []
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'wages-webui-1\twages\t127.0.0.1:7860->8080/tcp'\n")
    docker.chmod(0o755)
    runner = SubprocessRunner(said.append)
    assert "wages-webui-1" in _docker_ps(runner, str(docker))
    assert _rows(runner, str(docker), "ps", "--format", "a\tb\tc")
    assert [line for line in said if "wages" in line] == []


def test_hosts_of_mirrors_are_nobodys_business(tmp_path: Path) -> None:
    runner = ScriptedRunner({"pip config list": "global.index-url='https://u:p@pip.corp/simple'\n"})
    names = private_names(runner, {"HF_ENDPOINT": "https://hub.corp", "HOME": "/home/x"}, tmp_path)
    assert names["pip.corp"] == names["hub.corp"] == "<mirror>"
    assert names["/home/x"] == "~"


def test_the_hub_s_token_is_looked_for_where_the_hub_keeps_it(tmp_path: Path) -> None:
    for place, variables in (
        (".cache/huggingface", {}),
        ("cache/huggingface", {"XDG_CACHE_HOME": str(tmp_path / "cache")}),
        ("hub", {"HF_HOME": str(tmp_path / "hub")}),
    ):
        token = tmp_path / place / "token"
        token.parent.mkdir(parents=True)
        token.write_text(f"of {place}\n")
        environment = {"HOME": "/", **variables}
        assert known_secrets(tmp_path, environment, tmp_path) == {f"of {place}"}


def test_evidence_that_cannot_be_written_says_what_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "found/log.txt").mkdir(parents=True)
    with pytest.raises(DeployctlError) as raised:
        lay_out(tmp_path / "found", [("log.txt", "x")])
    (fault,) = raised.value.faults
    assert fault.code == "workspace-unwritable"
    assert fault.hint == f"mkdir -p {tmp_path}/found && ls -ld {tmp_path}/found"
