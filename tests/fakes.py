"""Fakes of the ports: small, stateful, honest. Each keeps the contract its real adapter keeps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployctl.deploy.names import ImageMode
from deployctl.deploy.world import ResolvedImage
from deployctl.errors import DeployctlError
from deployctl.logfeed import LogFeed
from deployctl.loopback import Reply
from deployctl.model import (
    DockerFacts,
    HostFacts,
    Image,
    Source,
    Weights,
    WeightsSpec,
)
from deployctl.outcomes import (
    Command,
    CommandResult,
    ContainerState,
    Progress,
    Reach,
    Usage,
)
from deployctl.secret import Secret
from deployctl.talk import PhaseTalk
from deployctl.vitals import moment
from tests.scripted import result

GIB = 1024**3


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class FakeTalk:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps: list[str] = []  # each once, while it lasts
        self.said: list[str] = []
        self.warned: list[str] = []

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        self.phases.append(name)
        yield _Phase(self.steps)

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


class _Phase:
    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        if self._steps[-1:] != [name]:
            self._steps.append(name)

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def finish(self, summary: str, *, ok: bool = True) -> None:
        pass


def ok(command: Command, stdout: str = "") -> CommandResult:
    return result(command, 0, stdout)


def failed(command: Command, output: str, exit_code: int = 1) -> CommandResult:
    return result(command, exit_code, "", output)


@dataclass
class FakeDocker:
    """A daemon whose containers are what the fake Compose made of them."""

    states: dict[str, ContainerState] = field(default_factory=dict)
    kept_volumes: tuple[str, ...] = ()
    tails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said_at: Mapping[str, str] = field(default_factory=dict)  # when: by container id, RFC 3339
    used: Mapping[str, int] = field(default_factory=dict)
    inspected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nets: tuple[Mapping[str, Any], ...] = ()
    other_nets: tuple[Mapping[str, Any], ...] = ()  # not the stack's
    down: bool = False
    image_suffix: str = ""
    absent: frozenset[str] = frozenset()  # images that are not here

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        if self.down:
            raise DeployctlError(
                "The Docker daemon does not answer.", code="docker-unreachable", hint="x"
            )
        return tuple(self.states[name] for name in sorted(self.states))

    def log_tail(
        self, container_id: str, lines: int, *, since: str | None = None
    ) -> tuple[str, ...]:
        said = moment(self.said_at.get(container_id))
        first = moment(since)
        if said is not None and first is not None and said < first:
            return ()
        return self.tails.get(container_id, ())[-lines:]

    def log_within(
        self, container_id: str, seconds: int, *, since: str
    ) -> tuple[tuple[str, str], ...]:
        at = self.said_at.get(container_id, since)
        return tuple((at, line) for line in self.tails.get(container_id, ()))

    def follow(self, container_id: str, *, since: str | None = None, new: bool = False) -> LogFeed:
        feed = FakeFeed(self, container_id)
        if new:
            feed.drain()
        return feed

    def usage(self, container_id: str) -> Usage | None:
        used = self.used.get(container_id)
        return None if used is None else Usage(memory_bytes=used, cpu_seconds=1.5)

    def inspect(self, container_id: str) -> Mapping[str, Any] | None:
        if container_id in self.inspected:
            return self.inspected[container_id]
        known = any(state.id == container_id for state in self.states.values())
        return {"Id": container_id} if known else None

    def networks(self, stack: str) -> tuple[Mapping[str, Any], ...]:
        return self.nets

    def network(self, network_id: str) -> Mapping[str, Any] | None:
        known = (*self.nets, *self.other_nets)
        return next((row for row in known if row["Id"] == network_id), None)

    def image_id(self, reference: str) -> str | None:
        return None if reference in self.absent else f"sha256:{reference}{self.image_suffix}"

    def volumes(self, stack: str) -> tuple[str, ...]:
        return self.kept_volumes


class FakeFeed:
    """What the fake's container has said by now, each line once."""

    def __init__(self, docker: FakeDocker, container_id: str) -> None:
        self._docker, self._id, self._taken = docker, container_id, 0
        self.closed = False

    def drain(self) -> tuple[str, ...]:
        lines = () if self.closed else self._docker.tails.get(self._id, ())[self._taken :]
        self._taken += len(lines)
        return lines

    def close(self) -> None:
        self.closed = True


def container(service: str, config_hash: str | None = None, **changes: Any) -> ContainerState:
    state = ContainerState(
        service=service,
        id=f"id-{service}",
        status="running",
        health="healthy",
        exit_code=0,
        oom_killed=False,
        restarts=0,
        config_hash=config_hash,
        image="image",
        image_id="sha256:image",
        working_dir=None,
    )
    return replace(state, **changes)


class FakeRunner:
    """Plays ``docker compose`` on a :class:`FakeDocker`; remembers every command."""

    def __init__(self, docker: FakeDocker, services: tuple[str, ...] = ("engine", "webui")) -> None:
        self.docker = docker
        self.services = services
        self.commands: list[Command] = []
        self.fail: dict[str, str] = {}  # label → output
        self.fail_once = ""  # a label
        self.interrupt_at: str | None = None
        self.sticky_volumes = False  # somebody else uses them

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        self.commands.append(command)
        if command.label == self.interrupt_at:
            raise KeyboardInterrupt
        if command.label == self.fail_once:
            self.fail_once = ""
            return failed(command, "yaml: line 2")
        if command.label in self.fail:
            return failed(command, self.fail[command.label])
        words = command.argv
        if "--hash" in words:
            return ok(command, "\n".join(f"{name} hash-{name}" for name in self.services))
        if "up" in words:
            for name in self.services:
                self.docker.states.setdefault(name, container(name, f"hash-{name}"))
            self.docker.kept_volumes = tuple(dict.fromkeys(self._volumes(command)))
        if "down" in words:
            self.docker.states.clear()
            if "--volumes" in words and not self.sticky_volumes:
                self.docker.kept_volumes = ()
        if "stop" in words:
            for name in words[words.index("stop") + 1 :]:
                self.docker.states.pop(name)
        if "logs" in words and on_line is not None:
            on_line("engine-1  | listening")
        return ok(command)

    def _volumes(self, command: Command) -> Iterator[str]:
        """What Docker has afterwards: the volumes of before, and those of the stack's file."""
        yield from self.docker.kept_volumes
        yield "deployctl_webui-data"
        if command.cwd is not None and "engine-cache" in (command.cwd / "compose.yaml").read_text():
            yield "deployctl_engine-cache"

    @property
    def labels(self) -> list[str]:
        return [command.label for command in self.commands]


class FakeHttp:
    """A stack as seen from outside: an engine and a frontend, each ready or not."""

    def __init__(self, served_name: str = "smollm2-135m", answer: str = "Hello there.") -> None:
        self.served_name = served_name
        self.answer = answer
        self.engine_ready = self.frontend_ready = True
        self.listed = self.saves = True
        self.calls: list[str] = []

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.calls.append(url)
        if url.endswith("/v1/models"):
            if not self.engine_ready:
                return Reply(status=503, text='{"error":{"message":"Loading model","code":503}}')
            return _json({"data": [{"id": self.served_name}]})
        if url.endswith("/ready"):
            return _json({"status": True}) if self.frontend_ready else Reply(status=503, text="")
        if url.endswith("/signin"):
            return _json({"token": "t0ken"})
        if url.endswith("/api/v1/chats/new"):
            return _json({"id": "c4at"}) if self.saves else Reply(status=500, text="")
        if url.endswith("/api/v1/chats/c4at"):
            return _json(True)  # what it says of a chat that was deleted
        if url.endswith("/api/models"):
            if token != Secret("t0ken"):
                return Reply(status=401, text='{"detail":"Not authenticated"}')
            return _json({"data": [{"id": self.served_name}] if self.listed else []})
        return Reply(status=404, text='{"detail":"Not Found"}')

    def request(
        self, method: str, url: str, *, token: Secret, body: object = None, timeout_s: float
    ) -> Reply:
        return self.call(url, token=token, body=body, timeout_s=timeout_s)

    def listens(self, address: str, port: int, *, timeout_s: float) -> bool:
        return address.startswith("127.")

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        self.calls.append(url)
        for word in self.answer.split(" "):
            yield json.dumps({"choices": [{"delta": {"content": word + " "}}]})
        yield "[DONE]"


def _json(value: object) -> Reply:
    return Reply(status=200, text=json.dumps(value))


@dataclass
class FakeImages:
    """Has every image, unless told to fail."""

    error: DeployctlError | None = None
    built: bool = True
    silent: frozenset[str] = frozenset()  # registries
    patience_s: float | None = None  # how long they were last given to answer

    def reach(
        self, references: tuple[str, ...], *, timeout_s: float | None = None
    ) -> tuple[Reach, ...]:
        self.patience_s = timeout_s
        names = sorted({reference.partition("/")[0] for reference in references})
        return tuple(
            Reach(kind="registry", name=name, asked=name, answers=name not in self.silent)
            for name in names
        )

    def obtain(
        self, images: tuple[Image, ...], *, mode: ImageMode, progress: Progress
    ) -> tuple[ResolvedImage, ...]:
        if self.error:
            raise self.error
        return tuple(
            ResolvedImage(
                service=image.service,
                reference=image.reference,
                source="local",
                built=self.built,
            )
            for image in images
        )


@dataclass
class FakeWeights:
    """Has every file; sources answer unless listed as silent."""

    here: bool = True
    silent: frozenset[str] = frozenset()
    error: DeployctlError | None = None
    stopped: bool = False
    identity: str = "1-1"
    fetched: set[str] = field(default_factory=set)
    patience_s: float | None = None  # how long the source was last given to answer

    def locate(self, spec: WeightsSpec) -> Weights | None:
        return self._file(spec) if self.here or spec.source.text in self.fetched else None

    def path_of(self, source: Source) -> Path:
        return Path("/models") / source.filename

    def fetch(self, spec: WeightsSpec, *, progress: Progress) -> Weights:
        if self.error:
            raise self.error
        self.fetched.add(spec.source.text)
        return self._file(spec)

    def stop(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False

    def reachable(self, source: Source, *, timeout_s: float) -> bool:
        self.patience_s = timeout_s
        return source.kind not in self.silent

    def _file(self, spec: WeightsSpec) -> Weights:
        path = self.path_of(spec.source)
        return Weights(path=path, size_bytes=98_362_432, how="cached", identity=self.identity)


def facts(**changes: Any) -> HostFacts:
    """A small box on which everything is fine."""
    docker = DockerFacts(
        client="/usr/bin/docker", server_version="26.1.5", compose_version="2.26.1"
    )
    base = HostFacts(
        architecture="amd64",
        cores=2,
        memory_total_bytes=24 * GIB,
        memory_available_bytes=22 * GIB,
        disk_free_bytes=80 * GIB,
        docker=docker,
    )
    return replace(base, **changes)


@dataclass
class FakeFacts:
    """Hands out the same facts; the stack's own ports do not count as busy."""

    facts: HostFacts = field(default_factory=facts)

    def __call__(
        self,
        ports: tuple[int, ...],
        *,
        own_project: str | None,
        cards: bool = False,
        thorough: bool = False,
    ) -> HostFacts:
        return self.facts
