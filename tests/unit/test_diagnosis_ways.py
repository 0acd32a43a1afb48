"""Ways out that change something of this machine: exactly the right thing, or nothing."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.deploy.kept import stored_weights, way_of
from deployctl.deploy.select import select
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.diagnosis import Evidence
from deployctl.diagnosis.diagnose import diagnose, refused
from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.engines.vllm import KIND as VLLM
from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.model import CardAccess
from deployctl.profiles.resolve import Profile
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.workspace import Manifest
from tests.fakes import FakeDocker, FakeHttp, container
from tests.unit.test_diagnosis import lines, seen, state, way
from tests.world import Box

RECORDS = Path(__file__).parent / "records"


# ── ports and addresses ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["port28", "port28b"])
def test_a_taken_port_is_moved_in_the_words_of_newer_docker_too(name: str) -> None:
    fault = refused(lines(f"docker-{name}"), way(stack=f"dctl-diag-{name}"))
    assert fault is not None
    assert fault.message == "Port 7860 is held by something else by now."
    assert "--set ports.webui=7861" in fault.hint


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "0.0.0.0:8000", "[::1]:8000", "[::]:8000", ":8000"]
)
def test_the_port_of_the_engine_is_read_from_any_address(address: str) -> None:
    said = f"failed to bind host port for {address}:172.20.0.2:8080/tcp: address already in use"
    fault = refused((said,), way(stack="s"))
    assert fault is not None
    assert "--set ports.engine=8001" in fault.hint


@pytest.mark.parametrize(
    "said",
    [
        "Bind for 127.0.0.1:9090 failed: port is already allocated",
        "failed to bind host port for 127.0.0.1:9090:172.20.0.4:80/tcp: address already in use",
        "failed to bind host port 127.0.0.1:9090/tcp: address already in use",
    ],
)
def test_a_port_of_the_overrides_is_not_ours_to_move(said: str) -> None:
    named = f"driver failed programming external connectivity on endpoint s-proxy-1 (0f2c): {said}"
    fault = refused((named,), way(stack="s"))
    assert fault is not None
    assert "`proxy`" in fault.message
    assert "--set ports" not in fault.hint
    assert fault.hint.startswith("grep -n -A9 proxy ")
    assert fault.hint.endswith("then: deployctl up --profile smoke --stack s")
    unnamed = refused((said,), way(stack="s"))
    assert unnamed is not None
    assert "--set ports" not in unnamed.hint
    assert "compose.override.yaml" in unnamed.hint


def test_an_address_of_the_overrides_is_not_ours_to_change() -> None:
    said = (
        "driver failed programming external connectivity on endpoint s-proxy-1 (0f2c): failed to "
        "bind host port for 203.0.113.9:9090:172.20.0.4:80/tcp: cannot assign requested address"
    )
    fault = refused((said,), way(stack="s"))
    assert fault is not None
    assert fault.code == "start-address-missing"
    assert fault.hint.startswith("grep -n -A9 proxy ")


def test_an_address_that_is_gone_is_given_where_it_belongs() -> None:
    said = "Error starting userland proxy: listen tcp4 203.0.113.9:7860: bind: cannot assign "
    fault = refused((f"{said}requested address",), way())
    assert fault is not None
    assert fault.hint == (
        "hostname -I  # with one of them: deployctl up --profile smoke --set ports.address=ADDRESS"
    )


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (VLLM, "OSError: [Errno 98] Address already in use"),
        (LLAMA_CPP, "couldn't bind HTTP server socket, hostname: 0.0.0.0, port: 8080"),
    ],
)
def test_a_port_taken_inside_the_container_is_looked_for_in_the_override(
    engine: str, said: str
) -> None:
    profile = "smoke-vllm" if engine == VLLM else "smoke"
    evidence = Evidence(service="engine", engine=engine, state=state(), log=(said,))
    fault = diagnose(evidence, way(profile, stack="s"))
    assert fault.code == "engine-port-taken"
    assert fault.hint.startswith("grep -n network ")
    assert fault.hint.endswith(f"then: deployctl up --profile {profile} --stack s")


def test_beside_chats_of_a_newer_frontend_the_ports_are_free_again() -> None:
    fault = seen("open-webui-newer", way(stack="s"), service="webui")
    assert fault.hint.startswith(
        "deployctl down --stack s && deployctl up --profile smoke --stack s2  #"
    )


def test_an_image_without_the_program_is_looked_into_where_another_is_asked_for() -> None:
    """A container that never began has no log to read."""
    said = 'exec: "/app/llama-server": stat /app/llama-server: no such file or directory: unknown'
    fault = refused((said,), way(stack="s"))
    assert fault is not None
    assert fault.hint.startswith("grep -n -e image -e entrypoint ")
    assert fault.hint.endswith("then: deployctl up --profile smoke --stack s")
    named = refused((said,), way("smoke", "engine.image=other:1"))
    assert named is not None
    assert named.hint == "deployctl up --profile smoke"


@pytest.mark.parametrize(
    ("said", "access", "ways", "instead"),
    [
        ('could not select device driver "nvidia" with', "reservation", ("cdi",), "cdi"),
        ('could not select device driver "cdi" with', "cdi", ("runtime",), "runtime"),
        ("unknown or invalid runtime name: nvidia", "runtime", ("reservation",), "reservation"),
        ("unknown or invalid runtime name: nvidia", "runtime", (), None),
        ('could not select device driver "nvidia" with', "reservation", ("reservation",), None),
    ],
)
def test_a_way_to_the_card_that_docker_lacks_gives_way_to_one_that_it_has(
    said: str, access: str, ways: tuple[CardAccess, ...], instead: str | None
) -> None:
    asked = way("gpu-4gb", f"engine.gpu_access={access}", stack="s")
    fault = refused((f"Error response from daemon: {said}",), replace(asked, card_access=ways))
    assert fault is not None
    assert fault.code == "start-gpu-toolkit-missing"
    if instead is None:
        assert fault.hint.startswith("deployctl setup")
    else:
        again = f"deployctl up --profile gpu-4gb --set engine.gpu_access={instead} --stack s  #"
        assert fault.hint.startswith(again)


def test_a_card_that_no_specification_names_is_named_anew() -> None:
    said = "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all"
    fault = refused((said,), way("gpu-4gb", "engine.gpu_access=cdi", stack="s"))
    assert fault is not None
    assert fault.hint.startswith("sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml && ")


def test_an_image_that_was_named_and_is_too_new_gives_way_to_the_one_for_this_driver() -> None:
    said = "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please"
    named = refused((said,), way("gpu-6gb", "engine.image=example.org/vllm:1", stack="s"))
    assert named is not None
    assert named.hint.startswith("deployctl up --profile gpu-6gb --stack s  # takes the image")
    plain = refused((said,), way("gpu-6gb", stack="s"))
    assert plain is not None
    assert plain.hint.startswith("deployctl recommend")


def test_what_the_client_lacks_is_not_laid_to_the_image() -> None:
    said = 'error getting credentials - err: exec: "docker-credential-desktop": executable file '
    assert refused((f"{said}not found in $PATH, out: ``",), way()) is None


# ── the model file ────────────────────────────────────────────────────────────────────────────


def test_only_the_very_file_is_deleted() -> None:
    path = "/srv/store/models/hf/a/b/main/my [model] *.gguf"
    fault = seen("llama-server-cut-0", replace(way(), weights=path))
    assert fault.hint == f"rm -r -- {shlex.quote(path)} && deployctl up --profile smoke"


def test_where_the_file_is_not_known_nothing_is_deleted() -> None:
    assert seen("llama-server-cut-0").hint == "deployctl up --profile smoke"
    assert seen("llama-server-cut-0", replace(way(), plan=None)).hint.startswith("deployctl up")


def test_of_a_stack_that_stands_the_file_is_known_from_its_record(tmp_path: Path) -> None:
    path = tmp_path / "models/hf/a/b/main/m.gguf"
    kept = Manifest(
        profile="smoke",
        model="m",
        served_name="m",
        fingerprint="",
        automatic=False,
        webui_port=1,
        engine_port=2,
        images={},
        hashes={},
        data_owned=True,
        weights=f"{path} 1-2-3",
    )
    assert stored_weights(tmp_path, kept) == str(path)
    assert way_of(UpRequest(stack="s"), weights=str(path)).weights == str(path)
    own = replace(kept, weights="/srv/own.gguf 1-2-3")
    assert stored_weights(tmp_path, own) is None
    assert stored_weights(tmp_path, replace(kept, weights=None)) is None
    assert stored_weights(tmp_path, None) is None


class Broken(FakeHttp):
    """An engine that stops at the first look, over its model file."""

    def __init__(self, docker: FakeDocker) -> None:
        super().__init__()
        self.docker, self.engine_ready = docker, False

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.docker.states["engine"] = container("engine", status="exited", exit_code=1)
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_up_and_status_know_which_file_it_was(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    box.docker.tails = {"id-engine": lines("llama-server-page")}
    box.http = Broken(box.docker)
    request = UpRequest(stack="deployctl", selection=Selection(profile="smoke"))
    with pytest.raises(DeployctlError) as caught:
        up(box.world(), request)
    (fault,) = caught.value.faults
    assert fault.code == "engine-weights-invalid"
    assert re.match(r"rm -r -- /models/\S+\.gguf && deployctl up ", fault.hint)
    report = status(box.world(), "deployctl", datetime(2026, 1, 1, tzinfo=UTC))
    hints = [check.hint for check in report.checks if check.code == "engine-weights-invalid"]
    assert len(hints) == 1
    assert "rm " not in hints[0]  # of a file outside of the store nobody knows whose it is


def test_auto_does_not_look_for_a_profile_that_needs_no_such_file(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    gone = DeployctlError("There is no file /x.gguf.", code="weights-not-found", hint="ls -l /")
    shipped = box.world().resolve

    def resolve(selection: Selection) -> Profile:
        profile = shipped(selection)
        return (
            replace(
                profile,
                spec=profile.spec.model_copy(
                    update={
                        "model": profile.spec.model.model_copy(update={"shape": None}),
                        "engine": profile.spec.engine.model_copy(update={"memory": None}),
                    }
                ),
                unread=gone.faults,
            )
            if profile.spec.engine.kind == LLAMA_CPP
            else profile
        )

    world = replace(box.world(), resolve=resolve)
    with pytest.raises(DeployctlError) as caught:
        select(world, Selection(), stack="s", again=UpRequest(stack="s").again_with)
    assert [fault.code for fault in caught.value.faults] == ["weights-not-found"]


# ── the card ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("engine", [LLAMA_CPP, VLLM])
def test_a_driver_that_was_updated_is_told_from_a_card_that_was_lost(engine: str) -> None:
    log = tuple((RECORDS / "nvidia-smi-mismatch.txt").read_text().splitlines())
    fault = diagnose(Evidence(service="engine", engine=engine, state=state(), log=log), way())
    assert fault.code == "engine-gpu-driver-changed"
    assert fault.hint.startswith("sudo modprobe -r ")
    assert fault.hint.endswith("sudo reboot")


def test_a_driver_that_is_not_whole_wants_a_reboot() -> None:
    fault = refused(lines("docker-nvlibrary"), way(stack="dctl-diag-nvlibrary"))
    assert fault is not None
    assert fault.hint.startswith("sudo reboot")


# ── the chats ─────────────────────────────────────────────────────────────────────────────────


def test_the_chats_are_given_up_only_after_they_were_copied() -> None:
    fault = seen("open-webui-notdb", way(stack="s"), service="webui")
    copy, down, again = fault.hint.partition("  #")[0].split(" && ")
    assert copy.startswith("docker cp s-webui-1:")
    assert down == "deployctl down --volumes --stack s"
    assert again == "deployctl up --profile smoke --stack s"


@pytest.mark.parametrize("said", ["disk I/O error", "database or disk is full"])
def test_a_full_disk_never_costs_the_chats(said: str) -> None:
    log = (f"sqlite3.OperationalError: {said}",)
    fault = diagnose(Evidence(service="webui", engine="", state=state("webui"), log=log), way())
    assert fault.code == "frontend-disk-full"
    assert "volume" not in fault.hint


# ── the processor ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [
        # An arm64 image on amd64, Docker 26.1: without and with an init, and asked for by name.
        "exec /app/llama-server: exec format error",
        "[FATAL tini (7)] exec /app/llama-server failed: Exec format error",
    ],
)
def test_an_image_for_another_processor_is_told_by_its_log(said: str) -> None:
    evidence = Evidence(service="engine", engine=LLAMA_CPP, state=state(), log=(said,))
    assert diagnose(evidence, way()).code == "start-platform"


def test_an_image_for_another_processor_that_is_emulated_is_no_failure() -> None:
    warned = (
        "The requested image's platform (linux/arm64) does not match the detected host platform "
        "(linux/amd64/v4) and no specific platform was requested"
    )
    assert refused((warned,), way()) is None
    said = (
        "Error response from daemon: image with reference localhost/x:1 was found but does not "
        "match the specified platform: wanted linux/amd64, actual: linux/arm64"
    )
    fault = refused((warned, said), way())
    assert fault is not None
    assert fault.code == "start-platform"


def test_a_limit_that_an_override_sets_is_told_as_it_is_and_changed_there() -> None:
    path = "/srv/a b/compose.override.yaml"
    killed = Evidence(
        service="engine",
        engine=LLAMA_CPP,
        state=state(oom_killed=True, exit_code=137),
        limit_bytes=20 * 1024**2,
        override=path,
    )
    fault = diagnose(killed, way())
    assert fault.code == "engine-oom-killed"
    assert fault.message.endswith("more memory than its limit, 20 MiB.")
    assert f"'{path}'" in fault.hint
    assert "engine.memory=" not in fault.hint
    planned = way().plan
    assert planned is not None
    limit = planned.service("engine").memory_bytes
    assert "engine.memory=" in diagnose(replace(killed, limit_bytes=limit), way()).hint
    assert "engine.memory=" in diagnose(replace(killed, override=None), way()).hint
