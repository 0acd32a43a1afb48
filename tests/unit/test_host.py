"""What is found out about the machine, from recorded answers and from this one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deployctl import host
from deployctl.dockerinfo import gather_docker
from deployctl.model import DockerFacts
from deployctl.runner import TIMED_OUT, SubprocessRunner
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, parse, too_old, written
from tests.scripted import ScriptedRunner

RECORDS = Path(__file__).parent / "records"
INFO = (RECORDS / "docker-info.json").read_text()
NO_DAEMON = (RECORDS / "docker-info-no-daemon.json").read_text()
GIB = 1024**3


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def path(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has a docker client and nothing else."""
    put(tmp_path / "bin/docker", "#!/bin/sh\n").chmod(0o755)
    return {"PATH": str(tmp_path / "bin")}


def docker(path: dict[str, str], answer: str | tuple[int, str, str]) -> DockerFacts:
    return gather_docker(ScriptedRunner({"docker info": answer}), path)


def info(**changes: object) -> str:
    return json.dumps({**json.loads(INFO), **changes})


# ── Docker ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("vmstat", "kills"),
    [("nr_free_pages 7\noom_kill 76\nnuma_hit 1\n", 76), ("nr_free_pages 7\n", None), ("", None)],
)
def test_what_the_kernel_killed_for_memory_is_counted(
    tmp_path: Path, vmstat: str, kills: int | None
) -> None:
    put(tmp_path / "proc/vmstat", vmstat)
    assert host.oom_kills(tmp_path) == kills


def test_a_working_docker_has_no_problem(path: dict[str, str]) -> None:
    facts = docker(path, INFO)
    assert facts.problem is None
    assert facts.evidence == ()
    assert (facts.server_version, facts.compose_version) == ("26.1.5+dfsg1", "2.26.1-4")
    assert facts.buildx_version == "0.13.1+ds1"
    assert facts.client is not None
    assert facts.client.endswith("bin/docker")


def test_no_client_on_the_path(tmp_path: Path) -> None:
    runner = ScriptedRunner({})
    facts = gather_docker(runner, {"PATH": str(tmp_path)})
    assert (facts.problem, facts.client, runner.lines) == ("docker-missing", None, [])


def test_a_dead_daemon(path: dict[str, str]) -> None:
    said = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
    facts = docker(path, (1, NO_DAEMON, said))
    assert (facts.problem, facts.evidence) == ("docker-unreachable", (said,))
    assert facts.server_version is None
    assert facts.running_containers is None


def test_an_older_client_says_it_inside_the_json_and_exits_0(path: dict[str, str]) -> None:
    said = "Cannot connect to the Docker daemon at unix:///x."
    answer = json.dumps({**json.loads(NO_DAEMON), "ServerErrors": [said]})
    facts = docker(path, (0, answer, ""))
    assert (facts.problem, facts.evidence) == ("docker-unreachable", (said,))


def test_a_user_outside_the_docker_group(path: dict[str, str]) -> None:
    said = "permission denied while trying to connect to the Docker daemon socket at unix:///x"
    warning = "WARNING: Error loading config file: open /root/.docker/config.json: denied"
    facts = docker(path, (1, NO_DAEMON, f"{warning}\n{said}"))
    assert (facts.problem, facts.evidence) == ("docker-denied", (said,))


def test_an_unreadable_client_configuration_is_not_a_denied_daemon(path: dict[str, str]) -> None:
    warning = "WARNING: Error loading config file: open /x/config.json: permission denied"
    facts = docker(path, (1, NO_DAEMON, f"{warning}\nCannot connect to the Docker daemon"))
    assert facts.problem == "docker-unreachable"


def test_a_daemon_that_says_nothing(path: dict[str, str]) -> None:
    facts = docker(path, (TIMED_OUT, "", ""))
    assert facts.problem == "docker-unreachable"
    assert "10 s" in facts.evidence[0]


def test_a_client_without_the_compose_plugin(path: dict[str, str]) -> None:
    facts = docker(path, info(ClientInfo={"Plugins": [{"Name": "buildx", "Version": "0.13"}]}))
    assert facts.problem == "docker-missing"
    assert "compose" in facts.evidence[0]


def test_a_broken_plugin_is_none(path: dict[str, str]) -> None:
    broken = {"Name": "compose", "Version": "2.30.0", "Err": "exec format error"}
    assert docker(path, info(ClientInfo={"Plugins": [broken]})).problem == "docker-missing"


def test_podman_behind_the_name_docker(path: dict[str, str]) -> None:
    assert docker(path, '{"host": {"os": "linux"}, "version": {}}').problem == "docker-missing"


@pytest.mark.parametrize(
    ("engine", "compose", "line"),
    [
        ("24.0.7", "2.26.1", "Docker Engine 24.0.7; needed: 25 or newer"),
        ("26.1.5", "v2.19.1", "Docker Compose v2.19.1; needed: 2.20.2 or newer"),
    ],
)
def test_too_old(path: dict[str, str], engine: str, compose: str, line: str) -> None:
    plugins = {"Plugins": [{"Name": "compose", "Version": compose}]}
    facts = docker(path, info(ServerVersion=engine, ClientInfo=plugins))
    assert (facts.problem, facts.evidence) == ("docker-too-old", (line,))


def test_client_and_daemon_too_far_apart(path: dict[str, str]) -> None:
    said = "client version 1.52 is too new. Maximum supported API version is 1.41"
    assert docker(path, (1, NO_DAEMON, said)).problem == "docker-too-old"


def test_images_of_a_daemon_elsewhere_are_not_on_this_disk(path: dict[str, str]) -> None:
    assert docker(path, info(DockerRootDir="/")).root_dir == Path("/")
    assert docker(path, info(DockerRootDir="/nonexistent")).root_dir is None


def test_a_daemon_on_another_machine_is_not_even_asked(path: dict[str, str]) -> None:
    runner = ScriptedRunner({})
    facts = gather_docker(runner, {**path, "DOCKER_HOST": "ssh://box"})
    assert (facts.problem, facts.evidence, runner.lines) == ("docker-remote", ("ssh://box",), [])


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("v2.27.0-desktop.2", (2, 27, 0)),
        ("2.26.1-4", (2, 26, 1)),
        ("5:27.1.1-1~debian.12~bookworm", (27, 1, 1)),
        ("28.0.0-rc.1", (28, 0, 0)),
        ("dev", None),
        (None, None),
    ],
)
def test_versions_are_read(text: str | None, version: tuple[int, ...] | None) -> None:
    assert parse(text) == version


def test_the_oldest_that_will_do() -> None:
    assert [too_old(text, MIN_ENGINE) for text in ("24.0.9", "25.0.0", "dev")] == [
        True,
        False,
        False,
    ]
    assert [too_old(text, MIN_COMPOSE) for text in ("2.20.1", "2.20.2")] == [True, False]
    assert (written(MIN_ENGINE), written(MIN_COMPOSE)) == ("25", "2.20.2")


# ── memory, disk ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    put(
        tmp_path / "proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n"
    )
    return tmp_path


def test_memory_of_the_machine(machine: Path) -> None:
    assert host.memory(machine) == (8 * GIB, 6 * GIB)


def test_a_machine_that_is_a_container_has_what_its_cgroup_allows(machine: Path) -> None:
    put(machine / "sys/fs/cgroup/memory.max", f"{4 * GIB}\n")
    put(machine / "sys/fs/cgroup/memory.current", f"{GIB}\n")
    assert host.memory(machine) == (4 * GIB, 3 * GIB)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sys/fs/cgroup/memory.max", "max\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ],
)
def test_no_limit_is_no_limit(machine: Path, name: str, text: str) -> None:
    put(machine / name, text)
    assert host.memory(machine) == (8 * GIB, 6 * GIB)


def test_a_daemon_in_a_smaller_virtual_machine(machine: Path) -> None:
    assert host.memory(machine, docker_total=2 * GIB) == (2 * GIB, 2 * GIB)


def test_memory_without_proc_is_the_daemons_or_unknown(tmp_path: Path) -> None:
    assert host.memory(tmp_path, docker_total=2 * GIB) == (2 * GIB, None)
    assert host.memory(tmp_path) == (None, None)


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free = host.disk_free(tmp_path / "models/of/mine")
    assert free is not None
    assert abs(free - status.f_bavail * status.f_frsize) < GIB


def test_architectures_are_called_as_images_call_them() -> None:
    names = [host.architecture(name) for name in ("x86_64", "aarch64", "riscv64")]
    assert names == ["amd64", "arm64", "riscv64"]


# ── the whole, here ───────────────────────────────────────────────────────────────────────────


def test_cards_are_looked_for_only_when_asked(path: dict[str, str], tmp_path: Path) -> None:
    put(tmp_path / "bin/nvidia-smi", "#!/bin/sh\n").chmod(0o755)
    runner = ScriptedRunner({"docker info": INFO, "nvidia-smi": "NVIDIA L4, 23034, 1, 550.54\n"})

    def cards(*, gpus: bool) -> int:
        facts = host.gather_host(
            runner, models_dir=tmp_path, ports=(), environment=path, root=tmp_path, gpus=gpus
        )
        return len(facts.gpus)

    assert cards(gpus=False) == 0
    assert [line for line in runner.lines if "nvidia-smi" in line] == []
    assert cards(gpus=True) == 1


def test_what_files_say_needs_no_docker_and_no_command(tmp_path: Path) -> None:
    for record, place in (
        ("cpuinfo-rk3588.txt", "proc/cpuinfo"),
        ("proc-version-linux.txt", "proc/version"),
    ):
        put(tmp_path / place, (RECORDS / record).read_text())
    put(tmp_path / "proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 1 kB\nSwapTotal: 0 kB\n")
    put(tmp_path / "proc/device-tree/model", "Radxa ROCK 5B\0")
    put(tmp_path / "proc/device-tree/compatible", "radxa,rock-5b\0rockchip,rk3588\0")
    for number in range(8):
        cpu = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        put(cpu, f"{number}\n")
    runner = ScriptedRunner({})
    facts = host.gather_local(
        runner, models_dir=tmp_path, environment={"PATH": str(tmp_path)}, root=tmp_path
    )
    assert runner.lines == []
    assert (facts.cpu_model, facts.physical_cores) == ("4 × Cortex-A76 + 4 × Cortex-A55", 8)
    assert (facts.board, facts.wsl, facts.swap_total_bytes) == ("Radxa ROCK 5B (RK3588)", 0, 0)
    assert facts.isa == ("neon", "fp16", "dotprod")
    assert facts.docker == DockerFacts()


def test_nothing_is_made_up_where_no_file_says_anything(tmp_path: Path) -> None:
    facts = host.gather_local(
        ScriptedRunner({}), models_dir=tmp_path, environment={"PATH": "/nowhere"}, root=tmp_path
    )
    unknown = (facts.cpu_model, facts.physical_cores, facts.cpu_limit, facts.swap_total_bytes)
    assert unknown == (None, None, None, None)
    assert (facts.wsl, facts.board, facts.isa, facts.gpus) == (None, None, (), ())
    assert (facts.memory_total_bytes, facts.bandwidth_bytes_per_s, facts.cdi) == (None, None, None)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpuset.cpus.effective": "0-1\n"}, 2.0),
        ({"cpuset/cpuset.cpus": "0-3,6\n"}, 5.0),
        ({"cpuset.cpus.effective": "0-7\n", "cpu.max": "900000 100000\n"}, None),
        ({}, None),
    ],
)
def test_the_cores_a_machine_that_is_a_container_may_use(
    tmp_path: Path, files: dict[str, str], limit: float | None
) -> None:
    for name, text in files.items():
        put(tmp_path / "sys/fs/cgroup" / name, text)
    assert host.cpu_limit(tmp_path, shown=8) == limit


def test_a_bandwidth_measured_by_the_caller_is_kept(path: dict[str, str], tmp_path: Path) -> None:
    facts = host.gather_host(
        ScriptedRunner({"docker info": INFO}),
        models_dir=tmp_path,
        ports=(),
        environment=path,
        root=tmp_path,
        bandwidth=51.2e9,
    )
    assert facts.bandwidth_bytes_per_s == 51.2e9


def test_this_machine() -> None:
    facts = host.gather_host(
        SubprocessRunner(), models_dir=Path("/"), ports=(), environment=os.environ
    )
    assert facts.cores >= 1
    assert facts.memory_total_bytes
    assert facts.disk_free_bytes
    assert facts.busy_ports == {}
