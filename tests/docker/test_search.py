"""The image that is built here searches the web, where a profile lets its chat window reach out.

The search engine is played inside the container, which has no other network: its name leads to
loopback, and its certificate is the only one that is trusted.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.dockerd import DockerDaemon
from deployctl.images import ImageStore
from deployctl.model import Service, Text, Variable
from deployctl.runner import SubprocessRunner
from deployctl.services import webui
from tests.docker import searchengine
from tests.imageworld import Said
from tests.profilefiles import CATALOG, shipped

NAME = f"dctl-test-search-{os.getpid()}"
WORDS = "colours of the rainbow"
CERTIFICATE = "/tmp/searchengine.pem"

#: What `up` generates.
GENERATED = {
    "DEPLOYCTL_ADMIN_EMAIL": "admin@example.invalid",
    "DEPLOYCTL_ADMIN_PASSWORD": "made-up-password",
}

#: Asks the chat window; prints the status and the body.
ASK = """
import json, sys, urllib.error, urllib.request
path, body, token = json.loads(sys.argv[1])
headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
data = None if body is None else json.dumps(body).encode()
request = urllib.request.Request("http://127.0.0.1:8080" + path, data, headers)
try:
    answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
except OSError:
    sys.exit(1)
print(json.dumps([answer.status, json.load(answer)]))
"""  # noqa: E501


def given(value: Text) -> str:
    return GENERATED.get(value.name, "made-up") if isinstance(value, Variable) else value


def image_of(service: Service) -> str:
    """The image that is built here; a build, where it is not."""
    store = ImageStore(
        runner=SubprocessRunner(),
        catalog=CATALOG,
        docker=DockerDaemon(),
        environment=os.environ,
    )
    (found,) = store.obtain((service.image,), mode="build", progress=Said())
    return found.reference


@pytest.fixture(scope="module")
def chat_window() -> Iterator[str]:
    """A chat window as the smoke profile starts it with a way out, ready; gives its container."""
    service = webui.service(shipped("smoke", "egress=frontend").spec)
    variables = {name: given(value) for name, value in service.environment}
    variables["SSL_CERT_FILE"] = CERTIFICATE
    words = (
        *("run", "--detach", "--name", NAME, "--network", "none", "--read-only"),
        *("--add-host", f"{searchengine.NAME}:127.0.0.1", "--tmpfs", "/tmp:uid=10001"),
        *("--volume", webui.DATA),
        *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
        image_of(service),
    )
    try:
        subprocess.run(("docker", *words), check=True, capture_output=True)
        deadline = time.monotonic() + 120
        while asked("/ready") is None:
            assert time.monotonic() < deadline, log()
        yield NAME
    finally:
        removed = ("docker", "rm", "--force", "--volumes", NAME)
        subprocess.run(removed, check=True, capture_output=True)


@pytest.fixture(scope="module")
def search_engine(chat_window: str) -> Iterator[subprocess.Popen[str]]:
    """The search engine, inside the chat window's container, listening."""
    program = Path(searchengine.__file__).read_text(encoding="utf-8")
    inside = ("docker", "exec", chat_window, "python3", "-c", program, "127.0.0.1", CERTIFICATE)
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == '"open"\n'
        yield process
        process.kill()  # the client; the server goes with its container


def asked(path: str, body: object = None, token: str | None = None) -> tuple[int, Any] | None:
    """What the chat window answers: the status and the JSON; none while it does not."""
    words = ("docker", "exec", NAME, "python3", "-c", ASK, json.dumps((path, body, token)))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return None
    status, answer = json.loads(done.stdout)
    return status, answer


def log() -> str:
    words = ("docker", "logs", "--tail", "40", NAME)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_a_search_reaches_the_search_engine_and_what_it_found_comes_back(
    search_engine: subprocess.Popen[str],
) -> None:
    email, password = GENERATED.values()
    signed_in = asked("/api/v1/auths/signin", {"email": email, "password": password})
    assert signed_in is not None
    token = signed_in[1]["token"]
    found = asked("/api/v1/retrieval/process/web/search", {"queries": [WORDS]}, token)
    assert found is not None
    status, answer = found
    assert status == 200, log()
    assert [(item["link"], item["snippet"]) for item in answer["items"]] == [
        ("https://example.com/found", f"What a made-up page says of {WORDS}.")
    ]
    assert search_engine.stdout is not None
    asked_for = {"host": searchengine.NAME, "path": "/html/", "words": WORDS}
    assert json.loads(search_engine.stdout.readline()) == asked_for
