"""The argv of every ``docker compose`` command we run. Pure: builds commands, runs none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployctl.model import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A Compose project on disk: its name, its folder, and the variables its files are read with.

    ``variables`` are passed in the environment as well as kept in ``.env``: a variable of the same
    name in the operator's shell would otherwise win over the file.
    """

    name: str
    folder: Path
    variables: tuple[tuple[str, str], ...]
    override: bool

    def _command(self, *words: str, label: str, timeout_s: float) -> Command:
        files = ["--file", str(self.folder / "compose.yaml")]
        if self.override:
            files += ["--file", str(self.folder / "compose.override.yaml")]
        argv: tuple[str, ...] = ("docker", "compose", "--project-name", self.name)
        argv += ("--project-directory", str(self.folder), *files, *words)
        return Command(
            argv=argv,
            label=label,
            timeout_s=timeout_s,
            cwd=self.folder,
            env=(*self.variables, ("COMPOSE_PROFILES", ""), ("COMPOSE_ANSI", "never")),
        )

    def check(self) -> Command:
        """Validate the files, the operator's override included; needs no daemon."""
        return self._command("config", "--quiet", label="check the stack's files", timeout_s=60)

    def hashes(self) -> Command:
        """Print ``service hash`` per line: the hash Compose labels its containers with."""
        return self._command("config", "--hash", "*", label="hash the stack", timeout_s=60)

    def up(self) -> Command:
        """Create or change containers until they are as the files say; returns once started."""
        return self._command(
            "up",
            "--detach",
            "--no-build",
            "--remove-orphans",
            label="start the stack",
            timeout_s=600,
        )

    def down(self, *, volumes: bool) -> Command:
        """Stop and remove containers and networks, with ``volumes`` the data too."""
        words = ("down", "--remove-orphans", *(("--volumes",) if volumes else ()))
        return self._command(*words, label="stop the stack", timeout_s=300)

    def logs(self, *services: str, follow: bool, tail: str) -> Command:
        """The containers' logs; with ``follow`` until interrupted."""
        words = ("logs", "--tail", tail, *(("--follow",) if follow else ()), *services)
        return self._command(*words, label="logs", timeout_s=10**9 if follow else 60)
