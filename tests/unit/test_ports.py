"""Who holds a port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployctl import host
from deployctl.ports import holder, listeners, published
from tests.scripted import ScriptedRunner
from tests.unit.test_host import INFO, NO_DAEMON, path, put

__all__ = ["path"]

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1215 1
   1: 0100007F:1EB4 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3001 1
   2: 0500A8C0:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3002 1
   3: 0100007F:1F41 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 3003 1
"""
TCP6 = """\
  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 00000000000000000000000000000000:2328 0:0 0A 0:0 00:0 00000000 0 0 4001 1
   1: 00000000000000000000000001000000:2329 0:0 0A 0:0 00:0 00000000 0 0 4002 1
"""


def test_what_keeps_loopback_from_being_bound(tmp_path: Path) -> None:
    put(tmp_path / "proc/net/tcp", TCP)
    put(tmp_path / "proc/net/tcp6", TCP6)
    every = (2024, 7860, 8000, 8001, 9000, 9001)
    assert listeners(tmp_path, every) == {2024: 1215, 7860: 3001, 9000: 4001}


def test_ports_that_docker_publishes() -> None:
    text = (
        "web-1\tshop\t127.0.0.1:7860->8080/tcp, [::]:9000-9001->9000-9001/tcp\n"
        "plain\t\t0.0.0.0:53->53/udp, 5432/tcp\n"
    )
    assert published(text) == {
        7860: ("web-1", "shop"),
        9000: ("web-1", "shop"),
        9001: ("web-1", "shop"),
    }


LAN = "192.168.0.5"


@pytest.mark.parametrize(
    ("who", "docker", "says"),
    [
        ("nginx", "", "process nginx (pid 812)"),
        ("docker-proxy", "", None),
        # The process is another user's: then Docker's own word for what it publishes there counts.
        (None, f"web\tdeployctl\t{LAN}:8000->8080/tcp", None),
        (None, "web\tdeployctl\t0.0.0.0:7999-8001->7999-8001/tcp", None),
        (None, "web\tdeployctl\t127.0.0.1:8000->8080/tcp", "an unknown process"),
    ],
)
def test_who_listens_at_an_address_of_this_machine_is_told_unless_it_is_docker(
    tmp_path: Path,
    path: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    who: str | None,
    docker: str,
    says: str | None,
) -> None:
    monkeypatch.setenv("PATH", path["PATH"])
    put(tmp_path / "proc/net/tcp", TCP)
    if who is not None:
        put(tmp_path / "proc/812/comm", f"{who}\n")
        (tmp_path / "proc/812/fd").mkdir()
        (tmp_path / "proc/812/fd/3").symlink_to("socket:[3002]")
    runner = ScriptedRunner({"docker ps": (0, docker, "")})
    assert holder(runner, LAN, 8000, root=tmp_path) == says


def test_nobody_listens_where_packets_are_passed_on_or_at_another_address(tmp_path: Path) -> None:
    put(tmp_path / "proc/net/tcp", TCP)
    runner = ScriptedRunner({})
    assert holder(runner, LAN, 7860, root=tmp_path) is None  # that one is loopback's
    assert holder(runner, "192.168.0.6", 8000, root=tmp_path) is None
    assert holder(runner, LAN, 2024, root=tmp_path) == "an unknown process"  # at every address


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def look(
    runner: ScriptedRunner, path: dict[str, str], port: int, root: Path = Path("/")
) -> dict[int, str]:
    facts = host.gather_host(
        runner,
        models_dir=Path("/"),
        ports=(port,),
        environment=path,
        root=root,
        own_project="deployctl",
    )
    return dict(facts.busy_ports)


def test_the_process_behind_a_port_is_named(listening: int, path: dict[str, str]) -> None:
    runner = ScriptedRunner({"docker info": (1, NO_DAEMON, "Cannot connect")})
    name = Path("/proc/self/comm").read_text().strip()
    assert look(runner, path, listening) == {listening: f"process {name} (pid {os.getpid()})"}


def test_a_container_behind_a_port_is_named(tmp_path: Path, path: dict[str, str]) -> None:
    put(tmp_path / "proc/net/tcp", TCP)
    runner = ScriptedRunner(
        {"docker info": INFO, "docker ps": "shop-1\tshop\t0.0.0.0:7860->80/tcp"}
    )
    assert look(runner, path, 7860, tmp_path) == {7860: "container shop-1"}


def test_our_own_stack_does_not_count(tmp_path: Path, path: dict[str, str]) -> None:
    put(tmp_path / "proc/net/tcp", TCP)
    line = "deployctl-webui-1\tdeployctl\t127.0.0.1:7860->8080/tcp"
    runner = ScriptedRunner({"docker info": INFO, "docker ps": line})
    assert look(runner, path, 7860, tmp_path) == {}


def test_somebody_elses_process_stays_unknown(tmp_path: Path, path: dict[str, str]) -> None:
    put(tmp_path / "proc/net/tcp", TCP)
    runner = ScriptedRunner({"docker info": INFO, "docker ps": ""})
    assert look(runner, path, 7860, tmp_path) == {7860: "an unknown process"}


def test_free_ports_cost_no_docker_ps(tmp_path: Path, path: dict[str, str]) -> None:
    runner = ScriptedRunner({"docker info": INFO})
    assert look(runner, path, 7860, tmp_path) == {}
    assert len(runner.lines) == 1
