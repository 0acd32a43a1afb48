"""The containers' exporter over control groups laid out in a folder, of both versions."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "templates/monitoring/containers.py"
CODE = runpy.run_path(str(SCRIPT), run_name="containers")
page: Callable[..., str] = CODE["page"]
wanted: Callable[[Path], dict[str, str]] = CODE["wanted"]
Starts: Any = CODE["Starts"]

ENGINE, OTHER = "a" * 64, "b" * 64
LISTED = {ENGINE: "engine"}


def version_1(root: Path, identity: str, place: str = "docker/{}") -> None:
    memory = root / "memory" / place.format(identity)
    cpu = root / "cpuacct" / place.format(identity)
    for folder in (memory, cpu):
        folder.mkdir(parents=True)
    (memory / "memory.usage_in_bytes").write_text("1000\n")
    (memory / "memory.limit_in_bytes").write_text("4000\n")
    (memory / "memory.stat").write_text("inactive_file 7\ntotal_inactive_file 300\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (cpu / "cpuacct.usage").write_text("1500000000\n")


def version_2(root: Path, identity: str, place: str = "docker/{}") -> None:
    folder = root / place.format(identity)
    folder.mkdir(parents=True)
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.max").write_text("4000\n")
    (folder / "memory.stat").write_text("anon 9\ninactive_file 300\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 5\noom 2\noom_kill 2\n")
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 9\n")


def told(root: Path, listed: dict[str, str], starts: Any = None) -> dict[str, float]:
    """Sample → value, the engine's without its label."""
    if starts is None:
        starts = Starts(root, lambda: listed)
        starts.look()
    found = re.findall(r"^(\w+)(\{.*\})? (\S+)$", page(root, listed, starts), re.MULTILINE)
    return {name + label.removeprefix('{service="engine"}'): float(v) for name, label, v in found}


PLACES = {
    "Docker's driver": "docker/{}",
    "systemd's driver": "system.slice/docker-{}.scope",
    "for one user": "user.slice/user-1000.slice/user@1000.service/app.slice/docker-{}.scope",
    "within another group": "outer/docker/{}",
    "below a group of the daemon's own": "mine/{}",
    "below a slice of the daemon's own": "mine.slice/docker-{}.scope",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("lay", [version_1, version_2])
def test_the_kernels_accounts_become_figures(
    lay: Callable[[Path, str, str], None], place: str, tmp_path: Path
) -> None:
    lay(tmp_path, ENGINE, place)
    lay(tmp_path, OTHER, place)  # of another stack: not in the list, so nobody's business
    found = told(tmp_path, LISTED)
    began = found.pop("container_start_time_seconds")
    assert began > 1e9
    assert found == {
        "containers_listed": 1,
        "container_running": 1,
        "container_starts_total": 0,
        "container_memory_working_set_bytes": 700,
        "container_spec_memory_limit_bytes": 4000,
        "container_oom_events_total": 2,
        "container_cpu_usage_seconds_total": 1.5,
    }


def test_no_limit_is_none(tmp_path: Path) -> None:
    version_1(tmp_path / "1", ENGINE)
    (tmp_path / "1/memory/docker" / ENGINE / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
    version_2(tmp_path / "2", ENGINE)
    (tmp_path / "2/docker" / ENGINE / "memory.max").write_text("max\n")
    for root in (tmp_path / "1", tmp_path / "2"):
        assert "container_spec_memory_limit_bytes" not in told(root, LISTED)


def test_a_stopped_container_is_told_as_that(tmp_path: Path) -> None:
    assert told(tmp_path, LISTED) == {"containers_listed": 1, "container_running": 0}


def test_every_start_counts_and_a_stop_does_not(tmp_path: Path) -> None:
    starts = Starts(tmp_path, lambda: LISTED)
    version_2(tmp_path, ENGINE)
    starts.look()
    starts.look()
    assert starts.counts == {ENGINE: 0}
    for _ in range(2):
        # Kept beside: else the next one may get its number back, which the kernel's groups do not.
        (tmp_path / "docker" / ENGINE).rename(tmp_path / f"gone-{starts.counts[ENGINE]}")
        starts.look()
        version_2(tmp_path, ENGINE)
        starts.look()
    assert told(tmp_path, LISTED, starts)["container_starts_total"] == 2
    shutil.rmtree(tmp_path / "docker")
    starts.look()
    assert told(tmp_path, LISTED, starts)["container_starts_total"] == 2


def test_what_left_the_list_is_forgotten(tmp_path: Path) -> None:
    listed = {ENGINE: "engine"}
    starts = Starts(tmp_path, lambda: listed)
    version_2(tmp_path, ENGINE)
    starts.look()
    listed.clear()
    starts.look()
    assert (starts.counts, starts.began) == ({}, {})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        '{"containers": []}',
        '{"containers": {"../../etc": {"service": "x"}}}',
        json.dumps({"containers": {ENGINE: {}}}),
    ],
)
def test_a_list_that_is_not_there_or_broken_names_none(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "containers.json"
    if text is not None:
        file.write_text(text)
    assert wanted(file) == {}
    assert page(tmp_path, {}, Starts(tmp_path, dict)).endswith("containers_listed 0\n")


def test_the_list_is_as_deployctl_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "containers.json"
    file.write_text(json.dumps({"containers": {ENGINE: {"service": "engine"}}}))
    assert wanted(file) == LISTED
