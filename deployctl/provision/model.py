"""The nouns of the set-up: what is known of the system, and what will be run on it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deployctl.outcomes import Command

Rights = Literal["root", "sudo", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One configured package source, whichever of apt's two formats it was written in.

    ``options`` are deb822 fields beyond the usual four, in order: Signed-By, Trusted, ….
    """

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OsFacts:
    """The operating system, as far as setting up Docker is concerned. Looked at once."""

    id: str = ""  # ID of os-release: debian, ubuntu, fedora, …; empty when unknown
    id_like: tuple[str, ...] = ()
    version: str = ""  # VERSION_ID
    codename: str = ""  # of the release whose packages it takes: noble on Linux Mint 22
    pretty: str = "this system"
    systemd: bool = False
    wsl: bool = False
    user: str = "root"  # who deployctl is for: the one behind sudo, when there is one
    rights: Rights = "root"
    keep_env: tuple[str, ...] = ()  # names of the proxy variables that are set
    apt: bool = False
    apt_has_lists: bool = False
    apt_sources: tuple[AptSource, ...] = ()
    candidates: Mapping[str, str] = field(default_factory=dict)  # package → version apt would take
    installed: Mapping[str, str] = field(default_factory=dict)  # package → installed version
    dpkg_interrupted: bool = False
    docker_repo: bool | None = None  # Docker's own repository answers; None: nobody asked
    engine_version: str | None = None  # of the dockerd program here, running or not
    endpoint: str | None = None  # where the client is told to look, when not the usual socket
    stale_pid_files: tuple[Path, ...] = ()
    needs_apparmor: bool = False  # the kernel enforces AppArmor and the loader is not installed
    needs_ca: bool = False  # no certificate bundle: nothing could be pulled over TLS

    @property
    def debian_like(self) -> bool:
        """Whether its packages are Debian's or made from them."""
        return self.apt and not {"debian", "ubuntu"}.isdisjoint((self.id, *self.id_like))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A few commands under one title. A failing ``optional`` step does not end the set-up.

    With ``until`` the step ends when that command succeeds, or fails after ``wait_s`` seconds and
    then shows the end of ``log``.
    """

    title: str
    commands: tuple[Command, ...] = ()
    optional: bool = False
    until: Command | None = None
    wait_s: float = 0.0
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What the set-up will do, and why. ``str()`` is stable text for people and tests."""

    reasons: tuple[str, ...] = ()
    source: str = ""  # where the packages come from; empty when none are needed
    steps: tuple[Step, ...] = ()
    cleanup: tuple[Command, ...] = ()  # run in any case, after the steps
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)

    @property
    def commands(self) -> tuple[Command, ...]:
        """Every command, in order."""
        return (*(command for step in self.steps for command in step.commands), *self.cleanup)

    @property
    def script(self) -> tuple[str, ...]:
        """Every command as one could type it, in order."""
        return tuple(typed(command) for command in self.commands)

    def __str__(self) -> str:
        lines = [*self.reasons]
        if self.source:
            lines.append(f"Packages come from {self.source}.")
        for number, step in enumerate(self.steps, 1):
            lines.append(f"{number}. {step.title}")
            lines += [f"   {line}" for c in step.commands for line in typed(c).splitlines()]
        if self.cleanup:
            lines.append(f"{len(self.steps) + 1}. Clean up")
            lines += [f"   {line}" for c in self.cleanup for line in typed(c).splitlines()]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def typed(command: Command) -> str:
    """The command as one would type it in a shell; its input as a here-document."""
    if command.argv[-3:-1] == ("sh", "-c"):
        words = shlex.join(command.argv[:-1]) + " " + _quoted(command.argv[-1])
    else:
        words = shlex.join(command.argv)
    if command.stdin is None:
        return words
    return f"{words} >/dev/null <<'EOF'\n{command.stdin.rstrip()}\nEOF"


def _quoted(script: str) -> str:
    """A script for ``sh -c`` in the quotes that are easier to read."""
    return f"'{script}'" if "'" not in script else shlex.quote(script)
