"""The gateway as a stack runs it, alone with an engine that is played, and questions to it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployctl.addons import cache
from deployctl.model import Service
from deployctl.planner import build_plan
from deployctl.render import render
from tests.e2e import machine
from tests.profilefiles import CATALOG, shipped

CHAT = "/v1/chat/completions"
ONE, TWO = "key-one", "key-two"
_ENGINE = Path(__file__).with_name("answering.py")


def unique() -> dict[str, Any]:
    """A question that nobody asked before, at temperature 0."""
    return {"temperature": 0, "messages": [{"role": "user", "content": str(uuid.uuid4())}]}


def play(**what: Any) -> dict[str, Any]:
    """What the engine is to do with this question; see ``answering.py``."""
    return {"metadata": what}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; ``cut`` says that its end did not."""

    status: int
    cache: str | None
    body: bytes
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Gateway:
    """One gateway and one engine, in a network of their own."""

    image: str
    folder: Path  # for the rendered files
    settings: tuple[str, ...] = ()  # --set of the profile
    volume_words: str = ""  # options of its volume
    environment: dict[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"dctl-gw-{os.getpid()}-{uuid.uuid4().hex[:6]}")
    port: int = 0

    # ── its life ─────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        machine.docker("network", "create", self.name)
        self.start_engine()
        self.start_gateway()

    def start_engine(self) -> None:
        machine.docker(
            *("run", "--detach", "--init", "--name", f"{self.name}-engine", "--read-only"),
            *("--network", self.name, "--network-alias", "engine", "--user", "10001:10001"),
            *("--volume", f"{_ENGINE}:/engine.py:ro", self.image, "python3", "/engine.py"),
        )
        look = "import socket; socket.create_connection(('127.0.0.1', 8080)).close()"
        words = ("exec", f"{self.name}-engine", "python3", "-c", look)
        machine.eventually(
            lambda: machine.attempt("docker", *words)[0] == 0, within_s=30, what="engine listens"
        )

    def stop_engine(self) -> None:
        machine.docker("rm", "--force", f"{self.name}-engine")

    def engine_address(self) -> str:
        networks = machine.inspect(f"{self.name}-engine")["NetworkSettings"]["Networks"]
        found: str = networks[self.name]["IPAddress"]
        return found

    def move_engine(self) -> None:
        """Start the engine anew where it was not: another container has its address now."""
        machine.docker(
            *("run", "--detach", "--init", "--name", f"{self.name}-other"),
            *("--network", self.name, self.image, "sleep", "600"),
        )
        self.start_engine()

    def start_gateway(self) -> None:
        profile = shipped("smoke", "addons.cache.enabled=true", *self.settings)
        plan = build_plan(profile)
        texts = render(plan, CATALOG.templates_dir)
        service = plan.service("cache")
        volume = f"type=volume,src={self.name},dst={cache.STORE}{self.volume_words}"
        machine.docker(
            *("run", "--detach", "--init", "--name", self.name, "--network", self.name),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--user", "10001:10001", "--mount", volume, "--memory", str(service.memory_bytes)),
            *(f"--tmpfs={each.target}:size={each.size_bytes},uid=10001" for each in service.tmpfs),
            *self._files(service, texts),
            *self._variables(service),
            *("--publish", f"127.0.0.1::{cache.PORT}", self.image, *service.command),
        )
        self.ready()

    def ready(self) -> None:
        published = machine.docker("port", self.name, str(cache.PORT)).split()[0]
        self.port = int(published.rpartition(":")[2])
        machine.eventually(self._healthy, within_s=30, what="gateway healthy")

    def _healthy(self) -> bool:
        return machine.attempt("docker", "exec", self.name, *healthcheck())[0] == 0

    def _files(self, service: Service, texts: Any) -> Iterator[str]:
        self.folder.mkdir(exist_ok=True)
        for file in service.files:
            path = self.folder / file.name
            path.write_text(texts.text(file.name), encoding="utf-8")
            yield f"--volume={path}:{file.target}:ro"

    def _variables(self, service: Service) -> Iterator[str]:
        made = {"ENGINE_KEYS": f"{ONE},{TWO}", "ENGINE_WEIGHTS": "these", **self.environment}
        given = {n: v for n, v in service.environment if isinstance(v, str)} | made
        yield from (f"--env={name}={value}" for name, value in given.items())

    def restart(self) -> None:
        machine.docker("restart", "--time", "5", self.name)
        self.ready()

    def recreate(self) -> None:
        machine.docker("rm", "--force", self.name)
        self.start_gateway()

    def remove(self) -> None:
        for words in (
            ("rm", "--force", self.name, f"{self.name}-engine", f"{self.name}-other"),
            ("network", "rm", self.name),
            ("volume", "rm", "--force", self.name),
        ):
            machine.attempt("docker", *words)

    def inside(self, script: str) -> str:
        return machine.docker("exec", self.name, "sh", "-c", script)

    # ── questions ────────────────────────────────────────────────────────────────────────────

    def ask(
        self,
        body: Any = None,
        *,
        path: str = CHAT,
        key: str | None = ONE,
        **headers: str,
    ) -> Answer:
        """One request: a POST if there is a body. ``cache_control`` is ``Cache-Control``."""
        with self.connection() as connection:
            connection.request(
                "GET" if body is None else "POST",
                path,
                body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
                self._headers(key, headers),
            )
            return read(connection.getresponse())

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def _headers(self, key: str | None, more: dict[str, str]) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return headers if key is None else {**headers, "Authorization": f"Bearer {key}"}

    def said(self, *bodies: Any, **more: Any) -> list[str | None]:
        """What the gateway says of each of these questions, asked one after another."""
        return [self.ask(body, **more).cache for body in bodies]

    def figure(self, name: str) -> int:
        text = self.ask(path="/metrics").body.decode()
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
        return int(line.rpartition(" ")[2])

    def counted(self, result: str) -> int:
        return self.figure(f'deployctl_cache_requests_total{{result="{result}"}}')

    def files(self) -> str:
        """Everything in the volume, as text; what is no text is shown as it is found."""
        script = f"cd {cache.STORE} && find . && find . -type f -exec cat {{}} +"
        return self._exec(script)

    def logs(self) -> str:
        done = subprocess.run(
            ("docker", "logs", self.name), capture_output=True, check=True, timeout=30
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    def _exec(self, script: str) -> str:
        words = ("docker", "exec", self.name, "sh", "-c", script)
        done = subprocess.run(words, capture_output=True, check=True, timeout=30)
        return done.stdout.decode("utf-8", "replace")


def read(response: http.client.HTTPResponse) -> Answer:
    """Read an answer to its end, or to where it was cut."""
    cut = False
    try:
        body = response.read()
    except http.client.IncompleteRead as partly:
        body, cut = partly.partial, True
    headers = {name.lower(): value for name, value in response.getheaders()}
    cache = headers.get("x-cache")
    return Answer(status=response.status, cache=cache, body=body, cut=cut, headers=headers)


Make = Callable[..., Gateway]


def healthcheck() -> tuple[str, ...]:
    """Docker's own check of the service."""
    plan = build_plan(shipped("smoke", "addons.cache.enabled=true"))
    return plan.service("cache").healthcheck.test
