"""A stack that is healthy, has a chat, and is broken and healed again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

#: What was said in the chat, before anything was broken.
QUESTION = "Which colour has the sky?"

#: Open WebUI 0.12.4 lets an account sign in 15 times in 3 minutes; an `up` that changed something
#: does it once, and a test has a few of those.
SIGN_INS = 8


@dataclass(kw_only=True)
class Patient:
    """The stack, and the chat that must outlive every fault."""

    stack: Stack
    marker: str = field(default_factory=lambda: f"Blue, as ever ({uuid.uuid4()}).")
    chat: str | None = None
    _session: tuple[str, str] = ("", "")  # when the frontend was started, a token of it
    _sign_ins: int = 0  # since then, about

    @property
    def name(self) -> str:
        return self.stack.name

    # ── healthy ──────────────────────────────────────────────────────────────────────────────

    def admit(self) -> None:
        """Make it healthy before a test, with a chat; from nothing where it cannot be mended."""
        self.stack.override.unlink(missing_ok=True)
        well = self.chat is not None and self.stack.status().exit_code == 0
        if not well and self.stack.up().exit_code != 0:
            self.stack.clear()
            self.chat = None
            outcome = self.stack.up()
            assert outcome.exit_code == 0, str(outcome)
        if self.chat is None:
            self.chat = self.write_chat()
        self.token()
        self._sign_ins += 1  # of a hint that is typed
        if self._sign_ins > SIGN_INS:  # a new one does not remember
            machine.docker("restart", self.container("webui"))
            machine.eventually(self.stack.frontend_ready, within_s=180, what="the frontend")
            self.token()

    def write_chat(self) -> str:
        said = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": self.marker},
        ]
        turns = [
            {"id": str(number), "parentId": str(number - 1) if number else None, **turn}
            for number, turn in enumerate(said)
        ]
        messages = {turn["id"]: turn for turn in turns}
        chat = {
            "title": "before the fault",
            "models": ["smollm2-135m"],
            "messages": turns,
            "history": {"messages": messages, "currentId": turns[-1]["id"]},
        }
        answer = machine.http(
            "POST",
            f"{self.stack.webui}/api/v1/chats/new",
            token=self.token(),
            body={"chat": chat},
        )
        assert answer.status_code == 200, answer.text
        identity: str = answer.json()["id"]
        return identity

    def token(self) -> str:
        """Sign in with the stored credentials, once for each start of the frontend."""
        started = self.stack.container("webui")["State"]["StartedAt"]
        if self._session[0] != started:
            self._session = (started, self.stack.sign_in())
            self._sign_ins = 1
        return self._session[1]

    def intact(self) -> None:
        """The credentials still sign in, and the chat that was made before is there."""
        # After an `up` that failed for the engine's sake the frontend may still be starting.
        machine.eventually(self.stack.frontend_ready, within_s=180, what="the frontend")
        url = f"{self.stack.webui}/api/v1/chats/{self.chat}"
        answer = machine.http("GET", url, token=self.token())
        assert answer.status_code == 200, answer.text
        assert self.marker in answer.text

    def heals(self, *more: str) -> Outcome:
        """``up``, which asks for what it was before, arrives; nothing of the data is lost."""
        self.stack.override.unlink(missing_ok=True)
        outcome = self.up(*more)
        assert outcome.data["answer"]["text"].strip()
        self.well()
        return outcome

    def well(self) -> None:
        """``status`` has nothing to complain about, and the data is whole."""
        status = self.stack.status()
        assert status.exit_code == 0, str(status)
        self.intact()

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever happens in the body, no container is touched and nothing of the data is lost."""
        before = self.stack.identity()
        yield
        assert self.stack.identity() == before
        self.intact()

    # ── broken ───────────────────────────────────────────────────────────────────────────────

    def up(self, *more: str, env: Mapping[str, str] | None = None) -> Outcome:
        outcome = self.stack.up(*more, env=env)
        self._sign_ins += outcome.exit_code == 0 and outcome.data["changed"]
        return outcome

    def container(self, service: str) -> str:
        """The id of the service's container."""
        identity: str = self.stack.container(service)["Id"]
        return identity

    def overridden(self, text: str) -> None:
        """Put a compose.override.yaml in its folder; taken away before the next test."""
        self.stack.override.write_text(text, encoding="utf-8")

    def stop_frontend(self) -> None:
        machine.docker("stop", "--time", "10", self.container("webui"))

    def data(self) -> Path:
        """Where its data volume lies on this machine."""
        (volume,) = machine.volume_names(self.name)
        return Path(machine.inspect(volume)["Mountpoint"])

    def processes(self, service: str) -> list[int]:
        """The ids, as this machine counts, of what runs in the container but its init."""
        rows = machine.docker("top", self.container(service), "-eo", "pid,comm").splitlines()[1:]
        pairs = [row.split(None, 1) for row in rows]
        return [int(pid) for pid, program in pairs if program not in ("tini", "docker-init")]

    @contextlib.contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """The processes of a service stand still in the body; those that are left then go on."""
        pids = self.processes(service)
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in filter(exists, pids):
                os.kill(pid, signal.SIGCONT)


def checks(status: Outcome) -> dict[str, dict[str, Any]]:
    """The checks of a ``status`` by name."""
    return {check["name"]: check for check in status.envelope["data"]["checks"]}


def failed(status: Outcome) -> list[dict[str, Any]]:
    """The checks of a ``status`` that failed."""
    return [check for check in checks(status).values() if check["status"] == "failed"]


def exists(pid: int) -> bool:
    """Whether a process is there and not only its exit code, which nobody has asked for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
