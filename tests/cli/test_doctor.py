"""``deployctl doctor`` over fakes: the screen, the exit codes, the JSON's keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.cli.doctor import looking_at, text
from deployctl.deploy.doctor import DoctorReport, Surroundings
from deployctl.doctor.judge import judge
from deployctl.doctor.look_outside import PATIENCE_S
from deployctl.doctor.nouns import Group
from deployctl.doctor.results import failed, ok, skipped, warning
from deployctl.model import DockerFacts
from deployctl.planner import build_plan
from deployctl.profiles.selection import Selection
from tests.cli.commandline import deployctl
from tests.fakes import FakeFacts, FakeWeights, facts
from tests.machines import machine
from tests.world import Box

GROUPS = (
    Group(name="Docker", checks=(ok("daemon", "Docker Engine 26.1"), skipped("selinux", "unused"))),
    Group(
        name="Network",
        checks=(
            failed(
                "port 7860", "held by x", "Webui is there.", "deployctl up …", code="port-taken"
            ),
            warning("names", "unknown", "It matters.", "getent hosts x", "evidence"),
        ),
    ),
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """An empty file tree, and nobody who answers."""

    def surroundings(_environment: Mapping[str, str]) -> Surroundings:
        return Surroundings(
            environment={"PATH": "", "HOME": str(tmp_path)},
            hub="hub.example",
            now=lambda: datetime(2026, 11, 22, tzinfo=UTC),
            root=tmp_path / "root",
            ask=lambda _url, _seconds, _proxies: "no answer",
        )

    with looking_at(surroundings):
        yield


def test_nobody_outside_is_waited_for_longer_than_the_doctor_may_take(box: Box) -> None:
    deployctl(box, "doctor")
    assert box.images.patience_s == PATIENCE_S
    assert box.weights.patience_s == PATIENCE_S
    assert PATIENCE_S + 0.5 + 0.5 + 0.5 <= 3.0  # the slowest, its name server, the time


def report(*groups: Group) -> DoctorReport:
    return DoctorReport(stack="deployctl", profile=None, groups=groups, seconds=1.25)


def test_the_screen() -> None:
    assert text(report(*GROUPS)).splitlines() == [
        "Docker",
        "  ✓ daemon            Docker Engine 26.1",
        "  · selinux           unused",
        "Network",
        "  ✗ port 7860         held by x",
        "      Webui is there.",
        "      next: deployctl up …",
        "  ! names             unknown",
        "      It matters.",
        "      evidence",
        "      next: getent hosts x",
        "1 ok, 1 to look at, 1 in the way, 1 not here or not to be seen (1.2 s, measured)",
        "A stack cannot come up here yet: mend what is marked ✗.",
    ]


def test_only_problems() -> None:
    shown = text(report(*GROUPS), problems=True)
    assert shown.startswith("Network\n")
    assert "daemon" not in shown


def test_a_good_machine_is_told_to_go_on() -> None:
    assert text(report(*judge(machine()))).endswith("Next: deployctl up")


def test_exit_0_and_the_keys(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "doctor", "--output", "json") == 0
    found = json.loads(capsys.readouterr().out)
    data = found["data"]
    assert list(data) == ["stack", "profile", "counts", "groups", "seconds"]
    names = [group["name"] for group in data["groups"]]
    assert names == [
        *("System", "Docker", "Room", "Graphics"),
        *("Network", "Outside", "State", "Stacks"),
    ]
    assert data["counts"]["failed"] == 0


def test_exit_4_where_no_stack_can_come_up(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.facts = FakeFacts(facts(busy_ports={7860: "process nginx (pid 812)"}))
    assert deployctl(box, "doctor") == 4
    out = capsys.readouterr().out
    assert "✗ port 7860" in out
    assert "next: deployctl up --set ports.webui=7861" in out


def test_exit_4_without_docker_and_everything_else_is_said(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = DockerFacts(problem="docker-missing", evidence=("No `docker`.",))
    box.facts = FakeFacts(facts(docker=docker))
    assert deployctl(box, "doctor") == 4
    out = capsys.readouterr().out
    assert "next: deployctl setup" in out
    assert "State\n" in out


def test_a_profile_is_judged_too(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "doctor", "--profile", "rtx3060") == 4
    out = capsys.readouterr().out
    assert "Profile rtx3060\n" in out
    assert "needs an NVIDIA card" in out
    assert deployctl(box, "doctor", "--profile", "smoke") == 0
    assert deployctl(box, "doctor", "--profile", "smok") == 3


def test_a_profile_that_cannot_run_is_told_so_with_the_way_to_one_that_can(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    deployctl(box, "doctor", "--profile", "rtx3060")
    out = capsys.readouterr().out
    assert out.endswith("Profile rtx3060 cannot run here.\nNext: deployctl recommend\n")


def test_a_profile_that_is_none_leads_to_another_doctor(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "doctor", "--profile", "smok", "--stack", "s1") == 3
    assert "next:  deployctl doctor --profile smoke --stack s1\n" in capsys.readouterr().err


def test_with_a_profile_only_what_it_needs(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.weights = FakeWeights(silent=frozenset({"hf"}), here=False)
    deployctl(box, "doctor", "--problems")
    assert "! hub hub.example" in capsys.readouterr().out
    deployctl(box, "doctor", "--profile", "smoke", "--problems")  # its model is of a package
    assert "hub.example" not in capsys.readouterr().out
    deployctl(box, "doctor", "--profile", "cpu-only", "--problems")
    own = build_plan(box.world().resolve(Selection(profile="cpu-only"))).weights.source.filename
    assert f"{own} cannot be had there now" in capsys.readouterr().out
    box.weights = FakeWeights(silent=frozenset({"hf"}))
    deployctl(box, "doctor", "--profile", "cpu-only", "--problems")
    assert "hub.example" not in capsys.readouterr().out


def test_what_is_found_about_a_stack_is_mended_by_its_own_command(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--profile smoke --set ports.webui=27860 --set ports.engine=28000 --stack oper"
    assert deployctl(box, "up", *words.split()) == 0
    box.facts = FakeFacts(facts(busy_ports={27860: "nginx", 28000: "x"}))
    box.images.silent = frozenset({"docker.io", "ghcr.io"})
    capsys.readouterr()
    assert deployctl(box, "doctor", "--stack", "oper", "--problems") == 4
    out = capsys.readouterr().out
    moved = "--set ports.webui=27861 --set ports.engine=28001"  # both ports by one command
    assert out.count(f"next: deployctl up {words} {moved}\n") == 2
    assert f"next: deployctl up {words} --images build  # " in out


def test_a_stack_needs_its_own_model_only(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "up", "--profile", "smoke", "--stack", "oper") == 0
    box.weights = FakeWeights(silent=frozenset({"hf"}), here=False)
    capsys.readouterr()
    assert deployctl(box, "doctor", "--stack", "oper", "--problems") == 0
    assert "hub.example" not in capsys.readouterr().out


def test_what_failed_is_an_error_for_programs(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "doctor", "--profile", "rtx3060", "--output", "json") == 4
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["code"], error["hint"] != "") == ("gpu-missing", True)
    assert "needs an NVIDIA card" in error["message"]


def test_a_profile_file_is_named_as_any_folder_has_it(
    box: Box,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "p.yaml").write_text("extends: smoke\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert deployctl(box, "doctor", "--profile", "../p.yaml") == 0
    assert capsys.readouterr().out.endswith(f"Next: deployctl up --profile {tmp_path}/p.yaml\n")


def test_a_stack_that_stands_is_examined_as_it_was_asked_for(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--profile", "smoke", "--set", "ports.webui=27860", "--set", "ports.engine=28000")
    assert deployctl(box, "up", *words, "--stack", "oper") == 0
    capsys.readouterr()
    assert deployctl(box, "doctor", "--stack", "oper") == 0
    out = capsys.readouterr().out
    assert [f"port {n} " in out for n in (27860, 28000, 7860, 8000)] == [True, True, False, False]
    assert "Profile smoke\n" in out
    assert out.endswith(f"Next: deployctl up {' '.join(words)} --stack oper\n")
    (box.home / "stacks/oper/manifest.json").write_text("[1]")
    assert deployctl(box, "doctor", "--stack", "oper") == 0
    assert capsys.readouterr().out.endswith("Next: deployctl up --stack oper\n")


def test_nothing_is_changed(box: Box) -> None:
    deployctl(box, "doctor", "--profile", "smoke")
    changing = {"up", "run", "down", "pull", "rm", "create", "build", "stop"}
    assert [c.argv for c in box.runner.commands if changing & set(c.argv)] == []
    assert not (box.home / "stacks").exists()
