"""The Debian that every built image starts from: here already, pulled, or made from packages.

Made by ``mmdebstrap`` from the mirrors that this machine's own apt uses, and imported into Docker
under a name of ours: nothing here pretends to be the published image.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployctl.clock import SystemClock
from deployctl.errors import DeployctlError
from deployctl.images.board import Say
from deployctl.images.inputs import Inputs
from deployctl.model import Command, CommandResult
from deployctl.provision.apply import ensure_packages
from deployctl.provision.system import rights
from deployctl.runner import StoppableRunner

#: The tool, and Debian's keys, which other distributions do not have.
_PACKAGES = ("mmdebstrap", "debian-archive-keyring")

#: 25 s on two cores with nothing else to do; a slow mirror is not an error.
_MAKE_TIMEOUT_S = 1800.0

#: As in Debian's own slim images; licences stay.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
_KEPT = ("/usr/share/doc/*/copyright",)

#: What of this machine must not stay in the image: its name, its name servers, its apt settings.
_HOST_TRACES = ("etc/hostname", "etc/resolv.conf", "etc/apt/apt.conf.d/99mmdebstrap")
_HOST_SOURCES = ("etc/apt/sources.list", "etc/apt/sources.list.d/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMaker:
    """Makes a Debian root for the release ``suite``."""

    runner: StoppableRunner
    environment: Mapping[str, str]
    suite: str

    @property
    def tag(self) -> str:
        """The name of what is made; another one when it would be made differently."""
        decided = repr((self.suite, _LEFT_OUT, _KEPT, _HOST_TRACES, _HOST_SOURCES))
        return f"deployctl/debian:{self.suite}-{hashlib.sha256(decided.encode()).hexdigest()[:8]}"

    def make(self, inputs: Inputs, *, say: Say, stop: Callable[[], bool]) -> str:
        """Install the tool, make the root, import it; returns its tag.

        ``image-build-failed`` with the last lines of the step that failed; the set-up's own errors
        when the tool cannot be installed.
        """
        say(f"making a Debian {self.suite} from packages")
        ensure_packages(
            self.runner,
            _PACKAGES,
            lambda text, **_: say(text),
            environment=self.environment,
            clock=SystemClock(),
        )
        with tempfile.TemporaryDirectory(prefix="deployctl-root-") as folder:
            archive = Path(folder) / "root.tar"
            made = self.runner.run(
                self._make_command(archive, inputs),
                on_line=lambda line: say(f"Debian {self.suite}: {line.removeprefix('I: ')}"),
                stop=stop,
            )
            _check(made, "making its Debian")
            _check(
                self.runner.run(self._import_command(archive), stop=stop), "importing its Debian"
            )
        return self.tag

    def _make_command(self, archive: Path, inputs: Inputs) -> Command:
        sources = inputs.secrets.get("apt-sources")
        traces = _HOST_TRACES + (_HOST_SOURCES if sources else ())
        hook = "rm -f " + " ".join(f'"$1"/{path}' for path in traces)
        words = [
            *("mmdebstrap", "--variant=minbase", "--format=tar", f"--customize-hook={hook}"),
            *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
            *(f"--dpkgopt=path-include={path}" for path in _KEPT),
        ]
        if conf := inputs.secrets.get("apt-conf"):
            words.append(f"--aptopt={conf}")
        # Without sources of this machine's own (it is no Debian) the tool knows the public ones.
        words += [self.suite, str(archive), *((str(sources),) if sources else ())]
        sudo = rights(self.runner, self.environment, os.geteuid()) == "sudo"
        prefix = ("sudo", "-n", "--preserve-env=http_proxy,https_proxy,no_proxy") if sudo else ()
        return Command(
            argv=(*prefix, *words),
            label="mmdebstrap",
            timeout_s=_MAKE_TIMEOUT_S,
            env=inputs.proxies,
        )

    def _import_command(self, archive: Path) -> Command:
        words = ("docker", "import", '--change=CMD ["bash"]', str(archive), self.tag)
        return Command(argv=words, label="docker import", timeout_s=300.0)


def _check(result: CommandResult, doing: str) -> None:
    if not result.ok:
        raise DeployctlError(
            f"The image base could not be built: {doing} failed.",
            code="image-build-failed",
            where="base",
            hint="deployctl up --images build  # tries again",
            details=result.tail(20),
        )
