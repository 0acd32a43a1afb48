"""The base image made from Debian packages alone, where the published Debian cannot be pulled.

Runs the base recipe's own ``rootfs.sh`` (mmdebstrap) on the mirrors that this machine's apt uses
and imports the result. Needs root or sudo for the time of one command.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployctl.clock import SystemClock
from deployctl.errors import DeployctlError
from deployctl.images.again import with_images
from deployctl.images.board import Say
from deployctl.images.inputs import Inputs
from deployctl.images.recipes import Recipe
from deployctl.outcomes import Command, CommandResult
from deployctl.provision.apply import ensure_packages
from deployctl.runner import StoppableRunner

SCRIPT = "rootfs.sh"

#: The tool, and Debian's keys, which other distributions do not have.
_PACKAGES = ("mmdebstrap", "debian-archive-keyring")

#: 25 s on two cores with nothing else to do; a slow mirror is not an error.
_MAKE_TIMEOUT_S = 1800.0

#: Instructions of a Dockerfile that `docker import` takes as well.
_CHANGE = re.compile(r"^(?:ENV|CMD|LABEL|USER|WORKDIR) .+", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMaker:
    """Makes the base image of ``recipe`` for the Debian release ``suite``."""

    runner: StoppableRunner
    environment: Mapping[str, str]
    recipe: Recipe
    suite: str
    again: str  # what to type to try again

    @property
    def possible(self) -> bool:
        """Whether the recipe can be made without a registry at all."""
        return (self.recipe.folder / SCRIPT).is_file()

    def make(self, inputs: Inputs, *, say: Say, stop: Callable[[], bool]) -> None:
        """Install the tool, make the root, import it as the recipe's tag.

        ``image-build-failed`` with the last lines of what failed; the set-up's own errors when the
        tool cannot be installed.
        """
        say(f"no registry: making Debian {self.suite} from packages")
        ensure_packages(
            self.runner,
            _PACKAGES,
            lambda text, **_: say(text),
            environment=self.environment,
            clock=SystemClock(),
        )
        with tempfile.TemporaryDirectory(prefix="deployctl-root-") as folder:
            archive = Path(folder) / "root.tar"
            say(f"making Debian {self.suite} from packages")
            made = self.runner.run(self._make_command(archive, inputs), stop=stop)
            _check(made, f"making Debian {self.suite} from packages", self.again)
            say("importing")
            imported = self.runner.run(self._import_command(archive), stop=stop)
            _check(imported, "`docker import`", self.again)

    def _make_command(self, archive: Path, inputs: Inputs) -> Command:
        # On stdin, because a mirror's address may hold a password. Outside of Debian there are no
        # sources to hand on: mmdebstrap knows the public ones.
        sources = inputs.secrets.get("apt_sources")
        sudo = ("sudo", "-n", "--preserve-env=http_proxy,https_proxy,no_proxy")
        prefix = () if os.geteuid() == 0 else sudo
        mirror = "-" if sources else ""
        script = (str(self.recipe.folder / SCRIPT), mirror, self.suite, str(archive))
        return Command(
            argv=(*prefix, "sh", "-c", 'sh "$1" "$2" "$3" >"$4"', "sh", *script),
            label=SCRIPT,
            timeout_s=_MAKE_TIMEOUT_S,
            env=(*inputs.apt_proxies, *inputs.proxies),
            stdin=sources.read_text(encoding="utf-8") if sources else None,
        )

    def _import_command(self, archive: Path) -> Command:
        dockerfile = (self.recipe.folder / "Dockerfile").read_text(encoding="utf-8")
        changes = _CHANGE.findall(dockerfile.replace("\\\n", " "))
        changes.append(f"LABEL deployctl.recipe={self.recipe.digest}")
        words = (f"--change={change}" for change in changes)
        return Command(
            argv=("docker", "import", *words, str(archive), self.recipe.tag),
            label="docker import",
            timeout_s=300.0,
        )


def _check(result: CommandResult, doing: str, again: str) -> None:
    if not result.ok:
        raise DeployctlError(
            f"The image base could not be built: {doing} failed.",
            code="image-build-failed",
            where="base",
            hint=f"{with_images(again, 'build')}  # tries again",
            details=result.tail(20),
        )
