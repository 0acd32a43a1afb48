from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.deploy.down import down
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.model import DockerFacts
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, FakeFacts, FakeHttp, FakeWeights, container, facts
from tests.world import Box

SMOKE = UpRequest(stack="deployctl", selection=Selection(profile="smoke"))
R1 = "deepseek-r1-1.5b"
CHECK = "check the stack's files"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def bring_up(box: Box, request: UpRequest = SMOKE) -> UpReport:
    return up(box.world(), request)


def request(profile: str, *sets: str) -> UpRequest:
    return replace(SMOKE, selection=Selection(profile=profile, sets=sets))


def code_of(box: Box, request: UpRequest = SMOKE) -> str:
    with pytest.raises(DeployctlError) as refused:
        bring_up(box, request)
    return refused.value.faults[0].code


def test_the_phases_are_told_and_timed(box: Box) -> None:
    report = bring_up(box)
    assert {p.name for p in report.phases} == set(box.talk.phases)
    assert [name for name in box.talk.phases if name not in ("images", "weights")] == [
        "preflight",
        "start",
        "engine ready",
        "frontend ready",
        "proof",
    ]
    assert report.answer.text == "Hello there."
    assert (report.webui_url, report.engine_url) == (
        "http://127.0.0.1:7860",
        "http://127.0.0.1:8000/v1",
    )


def test_the_files_are_checked_before_anything_starts(box: Box) -> None:
    bring_up(box)
    assert box.runner.labels == ["check the stack's files", "start the stack"]


def test_again_changes_nothing_but_asks_again(box: Box) -> None:
    assert bring_up(box).changed
    commands, calls = len(box.runner.commands), len(box.http.calls)
    report = bring_up(box)
    assert not report.changed
    assert len(box.runner.commands) == commands
    assert any("chat/completions" in call for call in box.http.calls[calls:])


def test_secrets_that_were_opened_to_others_are_closed_and_that_is_said(box: Box) -> None:
    folder = Workspace(box.home, "deployctl").folder
    folder.mkdir(parents=True, mode=0o755)
    bring_up(box)
    assert box.talk.warned == [], "nothing was to be hidden yet"
    (folder / "secrets.json").chmod(0o644)
    folder.chmod(0o755)
    bring_up(box)
    assert box.talk.warned == [
        f"{folder} was open to others (mode 755), and is closed now.",
        f"{folder}/secrets.json was open to others (mode 644), and is closed now.",
    ]
    modes = [path.stat().st_mode & 0o777 for path in (folder, folder / "secrets.json")]
    assert modes == [0o700, 0o600]
    bring_up(box)
    assert len(box.talk.warned) == 2


def test_the_way_from_down_is_not_what_failed_last(box: Box) -> None:
    bring_up(box)
    down(box.world("down"), "deployctl", volumes=False)
    assert status(box.world(), "deployctl", NOW).checks[0].hint == "deployctl up --profile smoke"
    box.http.engine_ready = False
    bad = replace(request("smoke", "concurrency=3", "deadlines.engine=5s"), on_failure="down")
    assert code_of(box, bad) == "engine-not-ready"
    (check,) = status(box.world(), "deployctl", NOW).checks
    assert check.hint == "deployctl up --profile smoke  # the last that answered"
    (Workspace(box.home, "deployctl").folder / "proved.json").unlink()
    (check,) = status(box.world(), "deployctl", NOW).checks
    assert check.hint.endswith("--on-failure keep  # leaves it to be looked at")


def test_a_stopped_container_is_started_again(box: Box) -> None:
    bring_up(box)
    box.docker.states["engine"] = container("engine", "hash-engine", status="exited")
    box.docker.states.pop("webui")

    def revive() -> None:
        box.docker.states["engine"] = container("engine", "hash-engine")

    box.http = Reviving(revive)
    assert bring_up(box).changed


class Reviving(FakeHttp):
    def __init__(self, revive: object) -> None:
        super().__init__()
        assert callable(revive)
        revive()


def test_an_override_counts_as_a_change_and_is_passed(box: Box) -> None:
    bring_up(box)
    override = Workspace(box.home, "deployctl").folder / "compose.override.yaml"
    override.write_text("services: {}\n")
    assert bring_up(box).changed
    assert str(override) in box.runner.commands[-1].argv
    assert override.read_text() == "services: {}\n"


def test_secrets_are_variables_never_words(box: Box) -> None:
    bring_up(box)
    secrets = Workspace(box.home, "deployctl").secrets()
    hidden = [secrets.engine_key, secrets.webui_secret, secrets.admin_password]
    words = " ".join(word for command in box.runner.commands for word in command.argv)
    text = (box.home / "stacks/deployctl/compose.yaml").read_text()
    for secret in hidden:
        assert secret.reveal() not in words + text


def test_every_failed_check_is_reported_at_once(box: Box) -> None:
    box.facts = FakeFacts(facts(architecture="riscv64", busy_ports={7860: "nginx", 8000: "x"}))
    with pytest.raises(DeployctlError) as refused:
        bring_up(box)
    assert [fault.code for fault in refused.value.faults] == [
        "arch-unsupported",
        "port-taken",
        "port-taken",
    ]
    assert "--set ports.webui=7861" in refused.value.faults[2].hint
    assert box.runner.commands == []


def test_no_docker_is_preflight(box: Box) -> None:
    box.facts = FakeFacts(facts(docker=DockerFacts(problem="docker-missing")))
    assert code_of(box) == "docker-missing"


def test_a_dead_engine_is_known_at_once(box: Box) -> None:
    box.http.engine_ready = False
    box.docker.states["engine"] = container("engine", status="exited", exit_code=1)
    box.docker.tails = {"id-engine": ("exiting due to model loading error",)}
    with pytest.raises(DeployctlError) as refused:
        bring_up(box)
    (fault,) = refused.value.faults
    assert (fault.code, fault.where) == ("engine-exited", "engine")
    assert fault.details == ("exiting due to model loading error",)
    assert box.clock.now() < 2


def test_a_restart_of_long_ago_is_not_held_against_it(box: Box) -> None:
    bring_up(box)
    box.docker.states["engine"] = replace(box.docker.states["engine"], restarts=3)
    assert not bring_up(box).changed


def test_a_slow_engine_ends_at_its_deadline(box: Box) -> None:
    box.http.engine_ready = False
    assert code_of(box) == "engine-not-ready"
    assert box.clock.now() > 60


def test_what_docker_refuses_is_said_with_its_cause(box: Box) -> None:
    box.runner.fail["start the stack"] = "Error response from daemon: no space left on device"
    assert code_of(box) == "start-no-space"


def test_compose_failing_shows_its_words(box: Box) -> None:
    box.runner.fail["start the stack"] = "Error response from daemon: out of cheese"
    with pytest.raises(DeployctlError) as refused:
        bring_up(box)
    (fault,) = refused.value.faults
    assert fault.code == "compose-failed"
    assert fault.details == ("Error response from daemon: out of cheese",)


def test_a_broken_override_stops_before_anything_starts(box: Box) -> None:
    box.runner.fail["check the stack's files"] = "yaml: line 2"
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), request("smoke", "concurrency=3"))
    (fault,) = refused.value.faults
    assert fault.code == "render-invalid"
    assert fault.hint.startswith("deployctl up --profile smoke --set concurrency=3")
    assert fault.hint.endswith(" --debug")
    assert "start the stack" not in box.runner.labels


def test_a_broken_override_is_named_with_its_line_and_the_whole_command(box: Box) -> None:
    bring_up(box)
    file = box.home / "stacks" / request("smoke").stack / "compose.override.yaml"
    file.write_text("services: {}\n", encoding="utf-8")
    box.runner.fail_once = "check the stack's files"  # ours alone is fine
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), replace(request("smoke", "concurrency=3"), images="local"))
    (fault,) = refused.value.faults
    assert (fault.code, fault.where) == ("render-invalid", f"{file}:2")
    assert str(file) in fault.message
    assert fault.hint.startswith(f"look at {file}, then: deployctl up --profile smoke ")
    assert "--set concurrency=3" in fault.hint
    assert fault.hint.endswith("--images local")


def test_after_an_interruption_the_next_up_converges(box: Box) -> None:
    box.runner.interrupt_at = "start the stack"
    with pytest.raises(KeyboardInterrupt):
        bring_up(box)
    box.runner.interrupt_at = None
    assert bring_up(box).changed


def test_auto_takes_the_best_that_answers(box: Box) -> None:
    box.weights = FakeWeights(here=False)
    box.http.served_name = R1
    report = bring_up(box, request("auto"))
    assert report.profile == "cpu-only"
    assert report.chosen_because is not None
    assert box.talk.warned == []


def test_auto_falls_back_loudly(box: Box) -> None:
    box.weights = FakeWeights(here=False, silent=frozenset({"hf"}))
    report = bring_up(box, request("auto"))
    assert report.profile == "smoke"
    (warning,) = box.talk.warned
    assert "cpu-only" in warning
    assert "--set model.source=file:" in warning


def test_an_explicit_profile_never_falls_back(box: Box) -> None:
    gone = DeployctlError("gone", code="weights-unreachable", hint="x")
    box.weights = FakeWeights(error=gone)
    assert code_of(box, request("cpu-only")) == "weights-unreachable"


def test_only_weights_larger_than_the_memory_are_refused(box: Box) -> None:
    box.facts = FakeFacts(facts(memory_total_bytes=64 << 20))
    assert code_of(box) == "memory-short"
    bring_up(box, replace(SMOKE, force=True))
    assert "are needed" in box.talk.warned[0]


def test_an_estimate_only_warns_and_proposes(box: Box) -> None:
    box.facts = FakeFacts(facts(memory_total_bytes=1000 << 20))
    report = bring_up(box)
    (warning,) = box.talk.warned
    assert "are needed" in warning
    assert "are needed" not in report.phases[0].summary  # once is enough
    box.facts = FakeFacts(facts(memory_available_bytes=1 << 30))
    bring_up(Box(home=box.home / "other", talk=box.talk, facts=box.facts))
    assert "are free now" in box.talk.warned[-1]


def test_fit_takes_the_nearest_values_that_do(box: Box) -> None:
    box.facts = FakeFacts(facts(memory_total_bytes=2 << 30))
    asked = request("smoke", "model.context=8192", "concurrency=16")
    report = bring_up(box, replace(asked, fit=True))
    assert any(said.startswith("made to fit: --set ") for said in box.talk.said)
    assert report.changed


def test_what_changes_is_said_with_its_line_before_it_happens(box: Box) -> None:
    bring_up(box)
    report = bring_up(box, request("smoke", "concurrency=3"))
    (engine, webui) = report.changes
    assert (engine.action, webui.action) == ("recreate", "keep")
    assert "--parallel 2 → 3 (--set concurrency)" in engine.causes
    assert any(said.startswith("change: engine recreate") for said in box.talk.said)


def test_profile_can_change_under_the_same_data(box: Box) -> None:
    bring_up(box)
    before = Workspace(box.home, "deployctl").secrets()
    box.http.served_name = R1
    assert bring_up(box, request("cpu-only")).changed
    assert Workspace(box.home, "deployctl").secrets() == before


def test_status_is_ok_then_failed(box: Box) -> None:
    bring_up(box)
    assert status(box.world(), "deployctl", NOW).status == "ok"
    box.docker.states["engine"] = container("engine", status="exited", exit_code=137)
    box.http.engine_ready = False
    report = status(box.world(), "deployctl", NOW)
    assert report.status == "degraded"
    assert [c.name for c in report.checks if c.status == "failed"] == ["container engine"]
    box.docker.states.clear()
    assert status(box.world(), "deployctl", NOW).status == "failed"


def test_status_of_nothing_is_an_error(box: Box) -> None:
    with pytest.raises(DeployctlError) as refused:
        status(box.world(), "deployctl", NOW)
    assert refused.value.faults[0].code == "stack-unknown"


def test_down_keeps_the_chats_unless_told(box: Box) -> None:
    bring_up(box)
    secrets = Workspace(box.home, "deployctl").secrets()
    report = down(box.world("down"), "deployctl", volumes=False)
    assert (report.removed, report.kept_volumes) == (
        ("engine", "webui"),
        ("deployctl_webui-data",),
    )
    assert Workspace(box.home, "deployctl").secrets() == secrets
    bring_up(box)
    down(box.world("down"), "deployctl", volumes=True)
    assert not (box.home / "stacks/deployctl/secrets.json").exists()


def test_down_of_nothing_is_fine(box: Box) -> None:
    report = down(box.world("down"), "deployctl", volumes=False)
    assert (report.known, report.removed) == (False, ())
    assert not (box.home / "stacks").exists()


def test_a_failing_image_stops_the_download(box: Box) -> None:
    box.images.error = DeployctlError("no", code="image-build-failed", hint="x")
    assert code_of(box) == "image-build-failed"
    assert box.weights.stopped


def test_little_disk_is_warned_about_once(box: Box) -> None:
    box.facts = FakeFacts(facts(disk_free_bytes=1 << 30))
    bring_up(box)
    assert "are free on the disk of the state folder" in box.talk.warned[0]
    box.talk.warned.clear()
    bring_up(box)
    assert box.talk.warned == []


def test_a_new_volume_of_a_registry_image_is_handed_over_once(box: Box) -> None:
    box.images.built = False
    bring_up(box)
    hand_over = "hand over webui's volume"
    assert box.runner.labels == [CHECK, hand_over, "start the stack"]
    down(box.world("down"), "deployctl", volumes=False)
    bring_up(box)
    assert box.runner.labels.count(hand_over) == 1


def test_the_live_file_stays_when_the_new_one_is_refused(box: Box) -> None:
    bring_up(box)
    folder = box.home / "stacks/deployctl"
    live = (folder / "compose.yaml").read_text()
    box.runner.fail["check the stack's files"] = "yaml: line 2"
    assert code_of(box, request("smoke", "concurrency=3")) == "render-invalid"
    assert (folder / "compose.yaml").read_text() == live
    assert not list(folder.glob("*.next.*"))


def test_a_cache_is_handed_over_too_and_again_when_it_was_removed(box: Box) -> None:
    box.images.built = False
    box.http.served_name = "smollm2-135m"
    bring_up(box, request("smoke-vllm"))
    both = ["hand over webui's volume", "hand over engine's volume"]
    assert box.runner.labels[:4] == [CHECK, *both, "start the stack"]
    down(box.world("down"), "deployctl", volumes=False)
    box.docker.kept_volumes = ("deployctl_webui-data",)
    bring_up(box, request("smoke-vllm"))
    assert [box.runner.labels.count(label) for label in both] == [1, 2]


def test_what_is_wrong_with_a_card_is_said_of_a_hand_over_as_well(box: Box) -> None:
    box.images.built = False
    box.runner.fail["hand over engine's volume"] = (
        'Error response from daemon: could not select device driver "nvidia" with capabilities: '
        "[[gpu]]"
    )
    assert code_of(box, request("smoke-vllm")) == "start-gpu-toolkit-missing"


def test_an_interrupted_hand_over_is_repeated(box: Box) -> None:
    box.images.built = False
    box.runner.interrupt_at = "hand over webui's volume"
    with pytest.raises(KeyboardInterrupt):
        bring_up(box)
    box.runner.interrupt_at = None
    box.docker.kept_volumes = ("deployctl_webui-data",)
    bring_up(box)
    assert box.runner.labels.count("hand over webui's volume") == 2


def test_a_stack_of_another_folder_is_not_touched(box: Box) -> None:
    box.docker.states["engine"] = container("engine", working_dir="/home/a/deployctl/stacks/x")
    assert code_of(box) == "stack-foreign"
    with pytest.raises(DeployctlError, match="was brought up from"):
        down(box.world("down"), "deployctl", volumes=True)
    assert box.runner.commands == []


def test_no_new_secrets_for_old_data(box: Box) -> None:
    box.docker.kept_volumes = ("deployctl_webui-data",)
    assert code_of(box) == "secrets-lost"
    assert not Workspace(box.home, "deployctl").has_secrets


def test_a_hanging_container_is_started_anew(box: Box) -> None:
    bring_up(box)
    box.http = Hung(box.docker)
    box.docker.states["engine"] = container("engine", "hash-engine", health="unhealthy")
    assert bring_up(box).changed
    assert box.runner.labels[-2:] == ["stop what hangs", "start the stack"]


class Hung(FakeHttp):
    """Its engine answers nothing while Docker calls it unhealthy."""

    def __init__(self, docker: FakeDocker) -> None:
        super().__init__()
        self.docker = docker

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        engine = self.docker.states.get("engine")
        if url.endswith("/v1/models") and engine is not None and engine.health == "unhealthy":
            return Reply(status=0, text="")
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_a_container_that_answers_by_now_is_not_stopped_for_a_healthcheck_of_before(
    box: Box,
) -> None:
    bring_up(box)
    box.docker.states["engine"] = container("engine", "hash-engine", health="unhealthy")
    assert bring_up(box).changed
    assert "stop what hangs" not in box.runner.labels


def test_files_that_somebody_removed_come_back_without_a_start(box: Box) -> None:
    bring_up(box)
    folder = box.home / "stacks/deployctl"
    kept = {name: (folder / name).read_text() for name in ("compose.yaml", ".env", "credentials")}
    for name in kept:
        (folder / name).unlink()
    assert not bring_up(box).changed
    assert {name: (folder / name).read_text() for name in kept} == kept


def test_another_image_under_the_same_name_is_a_change(box: Box) -> None:
    bring_up(box)
    box.docker.image_suffix = "pulled again"
    assert bring_up(box).changed


def test_a_model_file_replaced_in_place_is_a_change(box: Box) -> None:
    bring_up(box)
    box.weights.identity = "another"
    assert bring_up(box).changed


def test_a_service_of_the_override_may_finish(box: Box) -> None:
    box.runner.services = ("engine", "webui", "once")
    bring_up(box)
    box.docker.states["once"] = container("once", "hash-once", status="exited")
    assert not bring_up(box).changed
    assert status(box.world(), "deployctl", NOW).status == "ok"


def test_auto_keeps_what_runs(box: Box) -> None:
    box.weights = FakeWeights(here=False, silent=frozenset({"hf"}))
    assert bring_up(box, request("auto")).profile == "smoke"
    box.weights.silent = frozenset()
    again = bring_up(box, request("auto"))
    assert (again.profile, again.changed) == ("smoke", False)
    assert "is kept" in box.talk.said[-1]


def test_down_goes_by_labels_whatever_the_files_say(box: Box) -> None:
    bring_up(box)
    assert down(box.world("down"), "deployctl", volumes=False).removed == ("engine", "webui")
    assert "--file" not in box.runner.commands[-1].argv


def test_a_volume_that_stays_keeps_its_credentials(box: Box) -> None:
    bring_up(box)
    box.runner.sticky_volumes = True
    with pytest.raises(DeployctlError, match="something else uses it"):
        down(box.world("down"), "deployctl", volumes=True)
    assert Workspace(box.home, "deployctl").has_secrets


def test_a_port_that_our_own_restarting_container_holds_is_ours(box: Box) -> None:
    bring_up(box)
    box.facts = FakeFacts(facts(busy_ports={8000: "process docker-proxy (pid 7)"}))
    assert code_of(box) == "port-taken"
    box.docker.states["engine"] = container("engine", status="restarting")
    assert bring_up(box).answer.text


def test_fit_also_shortens_what_the_model_was_not_made_for(box: Box) -> None:
    bring_up(box, replace(request("smoke", "model.context=9000"), fit=True))
    assert "made to fit: --set model.context=8192" in box.talk.said


def test_the_status_of_a_first_up_under_way_says_who_is_at_it(box: Box) -> None:
    space = Workspace(box.home, "deployctl")
    with space.lock("up"), pytest.raises(DeployctlError) as refused:
        status(box.world("status"), "deployctl", NOW)
    (fault,) = refused.value.faults
    assert fault.code == "stack-locked"
    assert "`deployctl up` (pid" in fault.message
