"""Carrying a plan out, on a runner that only says it did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.errors import DeployctlError
from deployctl.outcomes import Command
from deployctl.provision.apply import apply_setup, ensure_packages, prove
from deployctl.provision.model import SetupPlan, Step
from deployctl.provision.plan import DAEMON_LOG, plan_setup
from tests.fakes import FakeClock
from tests.scripted import ScriptedRunner
from tests.unit.conftest import Heard
from tests.unit.test_provision_plan import DEAD, DEBIAN_12, MISSING

INFO = (Path(__file__).parent / "records/docker-info.json").read_text()
NOT_YET = (1, "", "Cannot connect to the Docker daemon")


def command(line: str) -> Command:
    return Command(argv=tuple(line.split()), label=line, timeout_s=1)


def carry_out(plan: SetupPlan, script: dict[str, Any], root: Path) -> ScriptedRunner:
    runner = ScriptedRunner(script)
    apply_setup(plan, runner, Heard(), clock=FakeClock(), root=root)
    return runner


def failure(plan: SetupPlan, script: dict[str, Any], root: Path) -> Any:
    with pytest.raises(DeployctlError) as caught:
        carry_out(plan, script, root)
    return caught.value.faults[0]


def test_debian_12_from_nothing_to_an_answer(tmp_path: Path) -> None:
    plan = plan_setup(DEBIAN_12, MISSING)
    (tmp_path / "proc/77").mkdir(parents=True)
    (tmp_path / "proc/77/stat").write_text("77 (dockerd) S 1 77")
    heard, clock = Heard(), FakeClock()
    runner = ScriptedRunner(
        {
            "mkdir": "",
            "tee": "",
            "apt-get": "",
            "rm -rf": "",
            "dockerd": "77",
            "docker version": [NOT_YET, NOT_YET, "26.1.5"],
        }
    )
    apply_setup(plan, runner, heard, clock=clock, root=tmp_path)
    assert heard.lines == [
        *((step.title, number, 4) for number, step in enumerate(plan.steps)),
        ("done", 4, 4),
    ]
    assert [line.split()[0] for line in runner.lines][-6:] == [
        "env",
        "sh",
        "docker",
        "docker",
        "docker",
        "rm",
    ]
    written = [command.stdin for command in runner.commands if command.argv[0] == "tee"]
    assert all(written)
    assert 0 < clock.seconds < 2


def test_a_failing_step_ends_it_with_its_last_lines_and_cleans_up(tmp_path: Path) -> None:
    plan = plan_setup(DEBIAN_12, MISSING)
    script = {
        "mkdir": "",
        "tee": "",
        " update ": (100, "", "E: The repository trixie-security has no Release file."),
        " install ": (100, "", "E: Unable to locate package docker-cli"),
        "rm -rf": "",
    }
    fault = failure(plan, script, tmp_path)
    assert fault.code == "setup-failed"
    assert "“Install the packages”" in fault.message
    assert fault.details[0] == "E: The repository trixie-security has no Release file."
    assert fault.details[-1] == "E: Unable to locate package docker-cli"
    runner = ScriptedRunner(script)
    with pytest.raises(DeployctlError):
        apply_setup(plan, runner, Heard(), clock=FakeClock(), root=tmp_path)
    assert runner.lines[-1] == "rm -rf /var/cache/deployctl-setup"


def test_one_dead_package_source_of_the_operators_does_not_matter(tmp_path: Path) -> None:
    plan = SetupPlan(
        steps=(
            Step(title="lists", commands=(command("update"),), optional=True),
            Step(title="install", commands=(command("install"),)),
        )
    )
    runner = carry_out(plan, {"update": (100, "", "E: dead"), "install": ""}, tmp_path)
    assert runner.lines == ["update", "install"]


def test_ctrl_c_cleans_up_too(tmp_path: Path) -> None:
    plan = SetupPlan(
        steps=(Step(title="install", commands=(command("install"),)),),
        cleanup=(command("tidy"),),
    )
    runner = ScriptedRunner({"install": [KeyboardInterrupt()], "tidy": ""})
    with pytest.raises(KeyboardInterrupt):
        apply_setup(plan, runner, Heard(), clock=FakeClock(), root=tmp_path)
    assert runner.lines == ["install", "tidy"]


START = plan_setup(replace(DEBIAN_12, engine_version="26.1.5"), DEAD)


def test_a_daemon_that_ends_again_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    log = tmp_path / DAEMON_LOG.relative_to("/")
    log.parent.mkdir(parents=True)
    log.write_text("INFO starting\n\nfailed to start daemon: no iptables\n")
    fault = failure(START, {"dockerd": "77", "docker version": NOT_YET}, tmp_path)
    assert fault.code == "setup-failed"
    assert "the daemon ended again" in fault.message
    assert fault.details == ("INFO starting", "failed to start daemon: no iptables")
    assert fault.hint == f"less {DAEMON_LOG}"


def test_a_daemon_that_never_answers(tmp_path: Path) -> None:
    fault = failure(START, {"dockerd": "77", "docker version": NOT_YET}, tmp_path)
    assert "no answer within 60 s" in fault.message
    assert fault.details == ("Cannot connect to the Docker daemon",)


def test_systemd_is_asked_for_its_journal(tmp_path: Path) -> None:
    plan = plan_setup(replace(DEBIAN_12, engine_version="26.1.5", systemd=True), DEAD)
    fault = failure(plan, {"systemctl": "", "docker version": NOT_YET}, tmp_path)
    assert fault.hint.startswith("journalctl -u docker")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    plan = plan_setup(replace(DEBIAN_12, engine_version="26.1.5", systemd=True), DEAD)
    assert "`systemctl` cannot be run" in failure(plan, {}, tmp_path).message


# ── proof ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    client = tmp_path / "docker"
    client.write_text("")
    client.chmod(0o755)
    return {"PATH": str(tmp_path)}


def test_proof_needs_both_answers(environment: dict[str, str]) -> None:
    runner = ScriptedRunner({"docker info": INFO, "docker compose version": "2.26.1-4"})
    assert prove(runner, environment).server_version == "26.1.5+dfsg1"
    broken = {"docker info": INFO, "compose version": (1, "", "docker: 'compose' is not a command")}
    with pytest.raises(DeployctlError) as caught:
        prove(ScriptedRunner(broken), environment)
    assert caught.value.faults[0].code == "docker-missing"


def test_after_a_set_up_for_a_user_outside_the_group(environment: dict[str, str]) -> None:
    info = '{"ClientInfo": {"Plugins": [{"Name": "compose", "Version": "2.26.1"}]}}'
    denied = {"docker info": (1, info, "permission denied while trying to connect")}
    with pytest.raises(DeployctlError) as caught:
        prove(ScriptedRunner(denied), environment)
    fault = caught.value.faults[0]
    assert (fault.code, "newgrp docker" in fault.hint) == ("docker-denied", True)


# ── packages for building ─────────────────────────────────────────────────────────────────────


def ensure(script: dict[str, Any], root: Path) -> list[str]:
    """What of apt-get and dpkg was called, in order."""
    runner = ScriptedRunner(script)
    ensure_packages(
        runner,
        ("mmdebstrap",),
        Heard(),
        environment={"PATH": ""},
        clock=FakeClock(),
        root=root,
        uid=0,
    )
    words = ("dpkg-query", " update ", " install ")
    return [word.strip() for line in runner.lines for word in words if word in line]


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/apt-get").touch()
    (tmp_path / "var/lib/apt/lists").mkdir(parents=True)
    return tmp_path


def lists(root: Path) -> Path:
    (root / "var/lib/apt/lists/mirror_InRelease").touch()
    return root


def test_what_is_installed_costs_one_question(debian: Path) -> None:
    assert ensure({"dpkg-query": "ii \tmmdebstrap\t1.3.5"}, debian) == ["dpkg-query"]


def test_lists_are_read_once_when_there_are_none(debian: Path) -> None:
    assert ensure({"apt-get": ""}, debian) == ["dpkg-query", "update", "install"]


def test_lists_that_are_there_are_used(debian: Path) -> None:
    assert ensure({"apt-get": ""}, lists(debian)) == ["dpkg-query", "install"]


def test_lists_that_are_too_old_are_read_anew(debian: Path) -> None:
    script = {" install ": [(100, "", "404 Not Found"), ""], " update ": ""}
    assert ensure(script, lists(debian)) == ["dpkg-query", "install", "update", "install"]


def test_a_package_that_does_not_exist(debian: Path) -> None:
    with pytest.raises(DeployctlError) as caught:
        ensure({" install ": (100, "", "E: Unable to locate"), " update ": ""}, lists(debian))
    assert caught.value.faults[0].code == "setup-failed"


def test_packages_without_rights(debian: Path) -> None:
    with pytest.raises(DeployctlError) as caught:
        ensure_packages(
            ScriptedRunner({}),
            ("mmdebstrap",),
            Heard(),
            environment={"PATH": ""},
            clock=FakeClock(),
            root=debian,
            uid=1000,
        )
    fault = caught.value.faults[0]
    assert fault.code == "setup-denied"
    assert fault.details[-1].endswith("mmdebstrap")
