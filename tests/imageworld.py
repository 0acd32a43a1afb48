"""A Docker that has images, registries and builds, as seen through its command line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from deployctl.model import Image
from deployctl.outcomes import Command, CommandResult
from deployctl.runner import STOPPED
from tests.fakes import FakeDocker
from tests.scripted import result

NO_SUCH = (
    "Error response from daemon: manifest for {0} not found: manifest unknown: manifest unknown"
)

INFO = (
    '{{"ServerVersion":"26.1.5","DockerRootDir":"{root}","HttpsProxy":"{proxy}","ClientInfo":'
    '{{"Plugins":[{{"Name":"buildx","Version":"{buildx}"}},{{"Name":"compose","Version":"2.26.1"}}]}}}}'
)


class ImageDocker(FakeDocker):
    """A daemon that has some images."""

    def __init__(self, here: set[str]) -> None:
        super().__init__()
        self.here = here
        self.looked: list[str] = []

    def image_id(self, reference: str) -> str | None:
        self.looked.append(reference)
        return f"sha256:{reference}" if reference in self.here else None


class ImageRunner:
    """Plays ``docker pull|tag|import|buildx build`` on an :class:`ImageDocker`.

    ``offered`` is what registries have. ``output`` replaces what a command with this label prints
    and makes it fail. A label in ``held`` runs until it is told to stop.
    """

    def __init__(self, docker: ImageDocker, offered: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.docker = docker
        self.offered = set(offered)
        self.output: dict[str, str] = {}
        self.lines: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()
        self.meet: Mapping[str, threading.Barrier] = {}
        self.buildx = "0.13.1"
        self.proxy = ""
        self.commands: list[Command] = []
        self.secrets: dict[str, dict[str, str]] = {}  # label → what was mounted
        self._lock = threading.Lock()

    def run(
        self,
        command: Command,
        *,
        on_line: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> CommandResult:
        with self._lock:
            self.commands.append(command)
        if barrier := self.meet.get(command.label):
            barrier.wait(10)
        for line in self.lines.get(command.label, ()):
            if on_line is not None:
                on_line(line)
        if command.label in self.held:
            assert stop is not None
            while not stop():
                threading.Event().wait(0.001)
            return result(command, STOPPED, "", "stopped")
        if command.label in self.output:
            return result(command, 1, "", self.output[command.label])
        return self._play(command, stop)

    def _play(self, command: Command, stop: Callable[[], bool] | None) -> CommandResult:
        words = command.argv
        if words[:2] == ("docker", "pull"):
            if words[2] not in self.offered:
                return result(command, 1, "", NO_SUCH.format(words[2]))
            self.docker.here.add(words[2])
        elif words[:2] == ("docker", "tag"):
            self.docker.here.add(words[3])
        elif words[:2] == ("docker", "import"):
            self.docker.here.add(words[-1])
        elif words[:3] == ("docker", "buildx", "build"):
            self.docker.here.add(value(words, "--tag"))
            mounted = {}
            for word in words:
                if word.startswith("--secret=id="):
                    name, _, path = word.removeprefix("--secret=id=").partition(",src=")
                    mounted[name] = Path(path).read_text(encoding="utf-8")
            self.secrets[command.label] = mounted
        elif words[1:] == ("info", "--format", "{{json .}}"):
            return result(command, 0, INFO.format(root="/", proxy=self.proxy, buildx=self.buildx))
        elif words[0] == "dpkg-query":
            return result(command, 0, "ii mmdebstrap 1\nii debian-archive-keyring 1")
        elif command.label == "rootfs.sh":
            Path(words[-1]).write_text("a tar")
        elif command.label in ("pip config list", "apt-config dump"):
            return result(command, 0, "")
        else:
            raise AssertionError(f"nobody plays {words}")
        return result(command, 0, "")

    @property
    def labels(self) -> list[str]:
        """What was run, looking left out."""
        looks = ("docker info", "pip config list", "apt-config dump")
        return [c.label for c in self.commands if c.label not in (*looks, "dpkg-query")]


def value(words: tuple[str, ...], option: str) -> str:
    """The value of ``--option=value``."""
    return next(w.partition("=")[2] for w in words if w.startswith(f"{option}="))


class Recipes:
    """A folder of recipes: a base, an engine compiled for this processor, a frontend."""

    def __init__(self, folder: Path) -> None:
        self.images_dir = folder
        self.write(
            "base/Dockerfile", 'ARG DEBIAN_IMAGE=debian:bookworm-slim\nENV A=b\nCMD ["bash"]\n'
        )
        self.write("base/rootfs.sh", "exec mmdebstrap\n")
        self.write(
            "engine/Dockerfile",
            "# disk: 3.5 GB\nARG BASE=localhost/deployctl/base:bookworm\nARG GGML_NATIVE=ON\n",
        )
        self.write("webui/Dockerfile", "ARG BASE=localhost/deployctl/base:bookworm\n")

    def write(self, name: str, text: str) -> None:
        path = self.images_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


ENGINE = Image(service="engine", reference="ghcr.io/org/engine:1", recipe="engine")
WEBUI = Image(service="webui", reference="ghcr.io/org/webui:2", recipe="webui")
NO_RECIPE = Image(service="extra", reference="quay.io/org/extra:3", recipe=None)


class Said:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self.texts.append(text)
