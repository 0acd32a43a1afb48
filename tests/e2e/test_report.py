"""``report`` and ``doctor`` beside a real stack: nothing secret leaves, nothing is changed."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

OVERRIDE = """
services:
  webui:
    environment:
      MY_OWN_PASSWORD: "Pl4nted'Pass$$word/x+y"
      SMTP_URL: "smtp://mailer:Sm7pSecret%21@mail.example.com:587"
    labels:
      operator.api-token: "LabelTok3nValue"
      operator.mail: "bob.builder@example.com"
"""

ENVIRONMENT = {"HF_TOKEN": "hf_EnvTok3nAbcdefghijkl", "MY_DB_PASSWORD": "env p@ss'word"}

#: What was said to the engine, and what somebody gave away in an address.
SAID, IN_A_LOG = "zebrafish in my own words", "QueryTok3nInTheAccessLog"


@pytest.fixture(scope="module")
def planted(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack that knows secrets, was asked something, and has logged a token."""
    stack = new_stack("report")
    stack.folder.mkdir(parents=True)
    stack.override.write_text(OVERRIDE, encoding="utf-8")
    outcome = stack.up()
    assert outcome.exit_code == 0, str(outcome)
    body = {"messages": [{"role": "user", "content": SAID}], "max_tokens": 4}
    key = stack.secrets()["engine_key"]
    url = f"{stack.engine}/v1/chat/completions"
    assert machine.http("POST", url, token=key, body=body).status_code == 200
    machine.http("GET", f"{stack.webui}/ready?token={IN_A_LOG}&to=carol@example.org")
    return stack


@pytest.fixture(scope="module")
def packed(planted: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    path = tmp_path_factory.mktemp("report") / "r.tar.gz"
    words = ("report", "--stack", planted.name, "--file", str(path), "--output", "json")
    return path, planted.product.run(*words, env=ENVIRONMENT)


def texts(path: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            yield member.name.partition("/")[2], file.read().decode()


def spellings(secret: str) -> set[str]:
    raw = secret.encode()
    coded = {base64.b64encode(b"x" * k + raw).decode()[4:-4] for k in range(3)}
    plain = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("$", "$$")}
    return plain | {text for text in coded if len(text) > 6}


def test_what_was_planted_is_really_there(planted: Stack) -> None:
    """Else its absence from the report would prove nothing."""
    config = json.dumps(planted.container("webui")["Config"])
    assert "Pl4nted" in config
    assert "LabelTok3nValue" in config
    _, said = machine.attempt("docker", "logs", planted.container("webui")["Id"])
    assert IN_A_LOG in said


def test_no_secret_survives(planted: Stack, packed: tuple[Path, Outcome]) -> None:
    path, outcome = packed
    assert outcome.exit_code == 0, str(outcome)
    session = (planted.folder / "session").read_text(encoding="ascii")
    secrets = [
        *planted.secrets().values(),
        *(session, *session.split(".")[1:]),
        *ENVIRONMENT.values(),
        *("Pl4nted'Pass$word/x+y", "Pl4nted", "Sm7pSecret", "Sm7pSecret%21", "LabelTok3nValue"),
        *("bob.builder", "carol@", IN_A_LOG, SAID, "zebrafish"),
    ]
    for name, text in texts(path):
        found = [s[:6] for s in secrets for spelled in spellings(s) if spelled in text]
        assert found == [], name


def test_the_report_explains_the_stack(planted: Stack, packed: tuple[Path, Outcome]) -> None:
    path, outcome = packed
    files = dict(texts(path))
    assert outcome.data["missing"] == []
    assert "listening" in files["logs/engine.log"]
    assert json.loads(files["status.json"])["status"] == "ok"
    assert json.loads(files["containers/engine.json"])["State"]["Status"] == "running"
    assert "MY_OWN_PASSWORD" in files["bundle/compose.override.yaml"]
    assert "MY_OWN_PASSWORD=***" in files["containers/webui.json"]
    # The daemon remembers its last 256 events, of everybody: perhaps none of the stack's.
    assert all(planted.name in line for line in files["events.txt"].splitlines())
    assert json.loads(files["doctor.json"])["counts"]["failed"] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_stack_without_its_containers_is_packed_too(planted: Stack, tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    env = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    words = ("report", "--stack", planted.name, "--file", str(path))
    outcome = planted.product.run(*words, env=env)
    assert outcome.exit_code == 0, str(outcome)
    assert "docker-unreachable" in outcome.stdout
    assert "bundle/compose.yaml" in dict(texts(path))


def test_the_doctor_sees_the_stack_and_changes_nothing(planted: Stack) -> None:
    before = planted.identity()
    words = ("doctor", "--stack", planted.name, "--profile", planted.profile, "--output", "json")
    outcome = planted.product.run(*words)
    groups = {group["name"]: group["checks"] for group in outcome.envelope["data"]["groups"]}
    (own,) = (c for c in groups["Stacks"] if c["name"] == f"stack {planted.name}")
    assert own["summary"].startswith("2 of 2 services run")
    (daemon,) = (c for c in groups["Docker"] if c["name"] == "daemon")
    assert daemon["status"] == "ok"
    assert planted.identity() == before


def test_the_doctor_works_without_docker(planted: Stack) -> None:
    env = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    outcome = planted.product.run("doctor", env=env)
    assert outcome.exit_code == 4
    assert "✗ daemon" in outcome.stdout
    assert "next: deployctl setup" in outcome.stdout
    assert "State\n" in outcome.stdout


def test_the_doctor_names_what_a_removed_stack_left(
    planted: Stack, new_stack: Callable[[str], Stack]
) -> None:
    orphan = new_stack("orphan")
    labels = (
        *("--label", f"com.docker.compose.project={orphan.name}"),
        *("--label", "com.docker.compose.volume=webui-data"),
    )
    machine.docker("volume", "create", *labels, f"{orphan.name}_webui-data")
    outcome = planted.product.run("doctor", "--problems")
    assert f"stack {orphan.name}" in outcome.stdout
    assert f"next: docker volume inspect {orphan.name}_webui-data" in outcome.stdout
    refused = orphan.down("--volumes")
    assert (refused.exit_code, refused.error["code"]) == (5, "stack-foreign")
    assert orphan.leftovers()["volumes"] == [f"{orphan.name}_webui-data"]
