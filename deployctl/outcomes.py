"""The nouns of doing: commands, and what came of them; containers and answers as they were seen.

Frozen values only, as in ``model``; apart from it because looking at a stack needs no plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One subprocess to run. ``label`` is what the operator sees; ``env`` is added to ours.

    The output of a ``private`` one may hold passwords (of indexes, proxies), or be about what is
    none of the stack's: it is not logged.
    """

    argv: tuple[str, ...]
    label: str
    timeout_s: float
    cwd: Path | None = None
    env: tuple[tuple[str, str], ...] = ()
    stdin: str | None = None
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a subprocess left behind. ``output`` is stdout and stderr in order of arrival."""

    command: Command
    exit_code: int
    stdout: str
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it exited 0."""
        return self.exit_code == 0

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last non-empty lines of the output."""
        return tuple(line for line in self.output.splitlines() if line.strip())[-lines:]


Status = Literal["ok", "degraded", "failed"]
CheckStatus = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One named thing that was looked at. ``code`` is set when it failed.

    ``skipped`` means that there is nothing to look at, and ``summary`` says why.
    """

    name: str
    status: CheckStatus
    summary: str
    hint: str = ""
    code: str | None = None
    where: str | None = None
    details: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertResult(CheckResult):
    """An alert of the stack's own Prometheus that fires: a warning, never a failed check.

    ``summary`` and ``details`` are the rule's words, made harmless; ``where`` is the service.
    """

    alert: str  # the rule's name
    severity: str = ""  # as the rule says: critical, warning, …
    about: str = ""  # what it is about: a service, or another label's value
    since: str | None = None  # RFC 3339, in UTC: from then on its condition was true
    active_s: float | None = None  # seconds since then
    same_as: str | None = None  # the failed check that says the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """One container of the stack as Docker sees it now."""

    service: str
    id: str
    status: str  # created, running, restarting, exited, dead, paused
    health: str | None  # starting, healthy, unhealthy; None without a healthcheck
    exit_code: int
    oom_killed: bool
    restarts: int
    config_hash: str | None
    image: str  # the reference the container was made from
    image_id: str  # the image itself, whatever the reference names by now
    working_dir: str | None  # the folder Compose ran in; None when it did not make it
    error: str = ""
    name: str = ""
    started_at: str | None = None  # RFC 3339, in UTC; None when it never ran
    finished_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a container uses: memory now, without what the kernel would give back; CPU so far."""

    memory_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResult:
    """One phase of a recipe, done."""

    name: str
    seconds: float
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back through the UI."""

    text: str
    reasoning: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """Short requests sent to the engine before anybody uses it; all of it measured.

    Seconds are those of the slowest answer of a round. ``tokens_per_s`` is what the engine says of
    one answer of the last round, or what its tokens took in all.
    """

    requests: int
    first_s: float
    last_s: float
    tokens_per_s: float | None


class Progress(Protocol):
    """Something that likes to hear how far a long step has come."""

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Say what is happening; ``done``/``total`` in bytes or steps when known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whether something outside answers now. ``asked`` is who stands in for ``name``, a mirror."""

    kind: Literal["registry", "hub"]
    name: str  # docker.io, huggingface.co
    asked: str  # the host that was asked
    answers: bool
    reason: str = ""  # why not, where it is known
