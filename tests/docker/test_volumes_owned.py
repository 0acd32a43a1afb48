"""A volume that an image fills is handed to the user who writes there, whoever has it now."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployctl.commands import Project
from deployctl.outcomes import Command
from deployctl.render import CONTAINER_USER
from tests.docker.tiny import Folder, import_image

#: `prom/prometheus` gives its folder to 65534, who shares it with a group, and `grafana/grafana`
#: has one of 472; a program's maker may be stricter than both.
FOLDERS = {
    "of nobody, as Prometheus' is": Folder(path="/data", owner=65534, mode=0o775),
    "of nobody alone": Folder(path="/data", owner=65534, mode=0o700),
    "of root": Folder(path="/data", owner=0, mode=0o755),
    "open to all": Folder(path="/data", owner=472, mode=0o777),
    "of the right one already": Folder(path="/data", owner=10001, mode=0o750),
}


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A stack whose one service is hardened as ours are, and has a volume at /data."""

    project: Project

    def own(self) -> subprocess.CompletedProcess[str]:
        return run(self.project.own("one", "/data", user=CONTAINER_USER))

    def inside(self, script: str) -> subprocess.CompletedProcess[str]:
        """What the service itself may do: a container of its own, as the file says."""
        argv = [
            *("docker", "compose", "--project-name", self.project.name),
            *("--file", str(self.project.folder / "compose.yaml")),
            *("run", "--rm", "--no-TTY", "--entrypoint", "/bin/sh", "one", "-c", script),
        ]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def run(command: Command) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command.argv,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=command.cwd,
        env={**os.environ, **dict(command.env)},
    )


@pytest.fixture(params=FOLDERS.values(), ids=tuple(FOLDERS))
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owned]:
    name = f"dctl-owned-{uuid.uuid4().hex[:8]}"
    tag = f"localhost/{name}:1"
    programs = ("/bin/chown", "/usr/bin/touch", "/usr/bin/stat", "/bin/chmod", "/bin/mkdir")
    import_image(tag, *programs, folders=(request.param,))
    service = {
        "image": tag,
        "user": CONTAINER_USER,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": "none",
        "volumes": ["data:/data"],
    }
    whole = {"services": {"one": service}, "volumes": {"data": {}}}
    (tmp_path / "compose.yaml").write_text(json.dumps(whole), encoding="utf-8")
    project = Project(name=name, folder=tmp_path, variables=(), override=False)
    yield Owned(project=project)
    run(project.down(volumes=True))
    subprocess.run(["docker", "image", "rm", "--force", tag], capture_output=True, check=True)


def test_a_volume_is_handed_over_whoever_had_it(owned: Owned) -> None:
    done = owned.own()
    assert done.returncode == 0, done.stderr
    wrote = owned.inside("touch /data/mine && stat -c %u:%g /data /data/mine")
    assert (wrote.returncode, wrote.stdout.split()) == (0, [CONTAINER_USER] * 2), wrote.stderr


def test_what_was_handed_over_is_left_alone(owned: Owned) -> None:
    assert owned.own().returncode == 0
    assert owned.inside("mkdir /data/kept && chmod 0700 /data/kept").returncode == 0
    again = owned.own()
    assert again.returncode == 0, again.stderr
    kept = owned.inside("stat -c %u:%g:%a /data/kept")
    assert kept.stdout.strip() == f"{CONTAINER_USER}:700"
