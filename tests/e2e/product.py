"""deployctl as a user runs it: a console command in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.e2e import machine
from tests.e2e.engines import LLAMA_CPP, Engine

#: No command on warm images may take so long, seconds.
PATIENCE_S = 150.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished command left behind."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def envelope(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def data(self) -> dict[str, Any]:
        """The envelope's data; fails the test with everything that was said when there is none."""
        assert self.exit_code == 0, str(self)
        found: dict[str, Any] = self.envelope["data"]
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The first error of the envelope."""
        assert self.exit_code != 0, str(self)
        found: dict[str, Any] = self.envelope["errors"][0]
        return found

    def __str__(self) -> str:
        return f"exit code {self.exit_code} after {self.seconds:.1f} s\n{self.stdout}{self.stderr}"


class Running:
    """A command under way."""

    def __init__(self, process: subprocess.Popen[str], patience_s: float) -> None:
        self._process = process
        self._said: list[str] = []
        self._started = time.monotonic()
        self._watchdog = threading.Timer(patience_s, process.kill)
        self._watchdog.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever became of the test, the command it started is not left running."""
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
        with self._process:  # closes the pipes, waits
            pass

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, *texts: str) -> None:
        """Read what it says until each of ``texts`` was in a line, in whatever order."""
        assert self._process.stderr is not None
        missing = set(texts)
        for line in self._process.stderr:
            self._said.append(line)
            missing = {text for text in missing if text not in line}
            if not missing:
                return
        raise AssertionError(f"it ended before it said {missing}: {self.finish()}")

    def line(self) -> str:
        """Read the next line of its data, waiting for it; '' at the end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it with no chance to clean up."""
        self._process.kill()

    def finish(self, on_line: Callable[[str], None] = lambda _line: None) -> Outcome:
        """Wait for its end. Only little may be left on stdout: it is read last."""
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        for line in self._process.stderr:
            self._said.append(line)
            on_line(line)
        stdout = self._process.stdout.read()
        return Outcome(
            exit_code=self._process.wait(),
            stdout=stdout,
            stderr="".join(self._said),
            seconds=time.monotonic() - self._started,
        )


def _take_interrupts() -> None:
    """A shell may have switched Ctrl-C off for what runs in its background; a user's has not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True, kw_only=True)
class Product:
    """One installation, with the folder it keeps everything in."""

    argv: tuple[str, ...]
    home: Path
    cwd: Path
    environment: Mapping[str, str]

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What its processes find in their environment: nothing of the settings of the caller's."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DEPLOYCTL_", "CI"))}
        own = {"DEPLOYCTL_HOME": str(self.home), "NO_COLOR": "1"}
        return {**inherited, **self.environment, **own, **(more or {})}

    def start(
        self, *words: str, env: Mapping[str, str] | None = None, patience_s: float = PATIENCE_S
    ) -> Running:
        process = subprocess.Popen(
            [*self.argv, *words],
            cwd=self.cwd,
            env=self.env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            preexec_fn=_take_interrupts,
        )
        return Running(process, patience_s)

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, patience_s: float = PATIENCE_S
    ) -> Outcome:
        with self.start(*words, env=env, patience_s=patience_s) as running:
            return running.finish()


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack of a product, on ports of its own."""

    product: Product
    name: str
    webui_port: int
    engine_port: int
    profile: str = "smoke"
    kind: Engine = LLAMA_CPP
    patience_s: float = PATIENCE_S

    @classmethod
    def on_free_ports(cls, product: Product, name: str) -> Stack:
        return cls(
            product=product,
            name=name,
            webui_port=machine.free_port(),
            engine_port=machine.free_port(),
        )

    @property
    def up_words(self) -> tuple[str, ...]:
        return (
            *("up", "--profile", self.profile, "--stack", self.name, "--images", "auto"),
            *("--set", f"ports.webui={self.webui_port}"),
            *("--set", f"ports.engine={self.engine_port}"),
        )

    def up(self, *more: str, env: Mapping[str, str] | None = None) -> Outcome:
        words = (*self.up_words, "--output", "json", *more)
        return self.product.run(*words, env=env, patience_s=self.patience_s)

    def start_up(self) -> Running:
        """Begin an ``up`` that says in plain lines how far it is."""
        return self.product.start(*self.up_words)

    def down(self, *more: str) -> Outcome:
        return self.product.run("down", "--stack", self.name, "--output", "json", *more)

    def status(self) -> Outcome:
        return self.product.run("status", "--stack", self.name, "--output", "json")

    # ── what is there, looked at without deployctl ───────────────────────────────────────────

    @property
    def folder(self) -> Path:
        return self.product.home / "stacks" / self.name

    @property
    def override(self) -> Path:
        return self.folder / "compose.override.yaml"

    @property
    def webui(self) -> str:
        return f"http://127.0.0.1:{self.webui_port}"

    @property
    def engine(self) -> str:
        return f"http://127.0.0.1:{self.engine_port}"

    def container(self, service: str) -> dict[str, Any]:
        """What Docker says of the service's container."""
        of_service = f"label=com.docker.compose.service={service}"
        found = machine.of_project("container", self.name, "--all", "--filter", of_service)
        assert len(found) == 1, f"{service}: {found}"
        return machine.inspect(found[0])

    def identity(self) -> dict[str, tuple[str, str]]:
        """Service → (container id, when it was started): the same only if nobody touched it."""
        states = {name: self.container(name) for name in ("engine", "webui")}
        return {name: (state["Id"], state["State"]["StartedAt"]) for name, state in states.items()}

    def credentials(self) -> dict[str, str]:
        """What the sign-in sheet says, line by line: ``email``, ``password``, ``API key``, …"""
        lines = (self.folder / "credentials").read_text(encoding="utf-8").splitlines()
        pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
        return {name: value.strip() for name, _, value in pairs}

    def secrets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "secrets.json").read_text("utf-8"))
        return found

    def sign_in(self) -> str:
        """Sign in to the frontend with the stored credentials; returns the token."""
        sheet = self.credentials()
        answer = machine.http(
            "POST",
            f"{self.webui}/api/v1/auths/signin",
            body={"email": sheet["email"], "password": sheet["password"]},
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def frontend_ready(self) -> bool:
        try:
            return machine.http("GET", f"{self.webui}/ready").status_code == 200
        except requests.ConnectionError:
            return False

    def settled(self) -> Stack:
        """Wait until it is healthy by Docker's own checks as well."""
        for service in ("engine", "webui"):
            machine.eventually(
                lambda service=service: (  # type: ignore[misc]
                    self.container(service)["State"]["Health"]["Status"] == "healthy"
                ),
                within_s=120,
                what=f"{service} healthy",
            )
        return self

    def ask(self, path: str, body: object = None, **more: Any) -> requests.Response:
        """One request to the engine, with the key of the sign-in sheet; a POST if it has a body."""
        method = "GET" if body is None else "POST"
        key = self.credentials()["API key"]
        return machine.http(
            method, f"{self.engine}{path}", token=key, body=body, **{"timeout_s": 120, **more}
        )

    def engine_counter(self, name: str) -> float:
        """One of the engine's own counters, e.g. ``llamacpp:prompt_tokens_total``."""
        sample = re.compile(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", re.MULTILINE)
        (value,) = sample.findall(self.ask("/metrics").text)
        return float(value)

    def leftovers(self) -> dict[str, list[str]]:
        """Everything on Docker that bears the stack's name."""
        return {
            "containers": machine.container_ids(self.name),
            "networks": machine.network_ids(self.name),
            "volumes": machine.volume_names(self.name),
        }

    def clear(self) -> None:
        """Remove everything of this stack, with the tool or, when it cannot, without."""
        self.override.unlink(missing_ok=True)
        self.down("--volumes", "--quiet")
        left = self.leftovers()
        for words, names in (
            (("container", "rm", "--force", "--volumes"), left["containers"]),
            (("network", "rm"), left["networks"]),
            (("volume", "rm"), left["volumes"]),
        ):
            if names:
                machine.docker(*words, *names)
