"""The argv of every ``docker compose`` command we run. Pure: builds commands, runs none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deployctl.outcomes import Command

#: What the operator's shell may hold for other projects of theirs. An empty value is as good as
#: none, except that COMPOSE_DISABLE_ENV_FILE must be a truth value.
_QUIET = (
    *(("COMPOSE_PROFILES", ""), ("COMPOSE_FILE", ""), ("COMPOSE_ENV_FILES", "")),
    *(("COMPOSE_PROJECT_NAME", ""), ("COMPOSE_DISABLE_ENV_FILE", "false")),
    # With it Compose refuses --remove-orphans.
    ("COMPOSE_IGNORE_ORPHANS", "false"),
    ("COMPOSE_ANSI", "never"),
)


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
    rendered: bool = True  # whether the files are there; without them Compose goes by its labels

    def _command(
        self, *words: str, label: str, timeout_s: float, file: str = "compose.yaml"
    ) -> Command:
        files = ["--project-directory", str(self.folder), "--file", str(self.folder / file)]
        if self.override:
            files += ["--file", str(self.folder / "compose.override.yaml")]
        argv: tuple[str, ...] = ("docker", "compose", "--project-name", self.name)
        # Without --file Compose looks for one in the working folder and above: there is none in /.
        argv += (*files, *words) if self.rendered else words
        return Command(
            argv=argv,
            label=label,
            timeout_s=timeout_s,
            cwd=self.folder if self.rendered else Path("/"),
            env=(*self.variables, *_QUIET),
        )

    def check(self, file: str) -> Command:
        """Validate a file of the folder together with the operator's override; needs no daemon.

        Prints ``service hash`` per line: the hash Compose labels its containers with.
        """
        words = ("config", "--hash", "*")
        return self._command(*words, label="check the stack's files", timeout_s=60, file=file)

    def own(self, service: str, path: str, *, user: str) -> Command:
        """Give everything below ``path`` of a service to ``user``, by one short-lived container.

        It is root with the right to change owners and with no other: it may write where it is
        the owner, so it takes the folder first, then hands all of it over. What is that user's
        already is left alone. It leaves a file behind: Docker fills an empty volume from the
        image, owners included, at every new container.
        """
        mine = '[ "$(stat -c %u:%g "$1")" = "$0" ]'
        hand = 'chown 0:0 "$1" && touch "$1/.deployctl" && chown -R "$0" "$1"'
        script = f"{mine} || {{ {hand}; }}"
        rights = ("--user", "0:0", "--cap-add", "CHOWN", "--entrypoint", "sh")
        words = ("run", "--rm", "--no-deps", "--no-TTY", *rights, service, "-c", script, user, path)
        return self._command(*words, label=f"hand over {service}'s volume", timeout_s=120)

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

    def up_alone(self, service: str) -> Command:
        """Create and start one service as the files say; every other one stays as it is."""
        words = ("up", "--detach", "--no-build", "--no-deps", service)
        return self._command(*words, label=f"start {service}", timeout_s=600)

    def unpause(self, *services: str) -> Command:
        """Let paused containers go on."""
        return self._command("unpause", *services, label="unpause", timeout_s=60)

    def stop(self, *services: str) -> Command:
        """Stop containers and keep them."""
        return self._command("stop", *services, label="stop what hangs", timeout_s=120)

    def restart(self, *services: str) -> Command:
        """Stop containers, by force where they do not listen, and start them again."""
        return self._command("restart", *services, label="restart what hangs", timeout_s=120)

    def remove(self, *services: str) -> Command:
        """Stop and remove the containers of these services; volumes stay."""
        words = ("rm", "--stop", "--force", *services)
        return self._command(*words, label="remove what lost its network", timeout_s=120)

    def read(self, file: str = "compose.yaml") -> Command:
        """What Compose makes of the files, the operator's too, as JSON; private: it has secrets."""
        words = ("config", "--format", "json")
        command = self._command(*words, label="read the files", timeout_s=60, file=file)
        return replace(command, private=True)

    def down(self, *, volumes: bool) -> Command:
        """Stop and remove containers and networks, with ``volumes`` the data too."""
        words = ("down", "--remove-orphans", *(("--volumes",) if volumes else ()))
        return self._command(*words, label="stop the stack", timeout_s=300)

    def logs(self, *services: str, follow: bool, tail: str) -> Command:
        """The containers' logs; with ``follow`` until interrupted."""
        words = ("logs", "--tail", tail, *(("--follow",) if follow else ()), *services)
        return self._command(*words, label="logs", timeout_s=10**9 if follow else 60)


# ── one container ─────────────────────────────────────────────────────────────────────────────

#: Seconds for a look into a container.
_LOOK_S = 60.0


def inside(container_id: str, script: str, *, label: str) -> Command:
    """Run a line of shell in a running container, as its own user."""
    argv = ("docker", "exec", container_id, "sh", "-c", script)
    return Command(argv=argv, label=label, timeout_s=_LOOK_S)


def beside(container_id: str, image: str, program: str, *, label: str) -> Command:
    """Run a Python program in a container of its own that joins the network of another.

    The same interfaces, routes, limits and resolver as there; it is gone when the program ends.
    """
    rights = ("--user", "10001:10001", "--read-only", "--cap-drop", "ALL")
    limits = ("--security-opt", "no-new-privileges", "--memory", "128m", "--pids-limit", "64")
    where = ("--network", f"container:{container_id}", "--pull", "never", "--entrypoint", "python3")
    argv = ("docker", "run", "--rm", "--interactive", *rights, *limits, *where, image, "-")
    return Command(argv=argv, label=label, timeout_s=_LOOK_S, stdin=program)
