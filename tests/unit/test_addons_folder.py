"""The stack's folder with add-ons: what the operator keeps there, and what is only ours."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons import NAMES
from deployctl.deploy.down import down
from deployctl.deploy.render import render
from deployctl.deploy.up import up
from deployctl.deploy.watch import Watcher
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.profiles.selection import Selection
from deployctl.proved import last_proved
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp
from tests.panel import FakePanel
from tests.unit.test_addons import planned, services
from tests.world import Box

RULES = "groups: []\n"
CHECK, START, LOST = "check your files", "start the stack", "remove what lost its network"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def bring_up(box: Box, *addons: str, sets: tuple[str, ...] = ()) -> UpReport:
    box.runner.services = tuple(services(planned(*addons, sets=sets)))
    selection = Selection(profile="smoke", addons=addons, sets=sets)
    return up(box.world(), UpRequest(stack="deployctl", selection=selection))


def folder_of(box: Box) -> Path:
    return Workspace(box.home, "deployctl").folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(box: Box) -> tuple[str, str, str | None, str]:
    with pytest.raises(DeployctlError) as error:
        bring_up(box, "monitoring")
    (fault,) = error.value.faults
    return fault.code, fault.message, fault.where, fault.hint


# ── what is the operator's stays ──────────────────────────────────────────────────────────────


def test_down_with_volumes_keeps_the_operators_files(box: Box) -> None:
    bring_up(box, "monitoring")
    folder = folder_of(box)
    (folder / "rules/mine.yaml").write_text(RULES)
    (folder / "compose.override.yaml").write_text("services: {}\n")
    down(box.world("down"), "deployctl", volumes=True)
    assert names(folder) == {"rules", "compose.override.yaml", "lock"}
    assert (folder / "rules/mine.yaml").read_text() == RULES


def test_down_with_volumes_follows_no_link_and_takes_empty_folders(box: Box) -> None:
    bring_up(box, "monitoring")
    folder, elsewhere = folder_of(box), box.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (folder / "link").symlink_to(elsewhere)
    down(box.world("down"), "deployctl", volumes=True)
    assert names(folder) == {"lock"}
    assert (elsewhere / "file").exists()


def test_what_an_addon_had_goes_with_it_and_no_file_of_the_operators(box: Box) -> None:
    bring_up(box)
    bare = names(folder_of(box))
    bring_up(box, *NAMES)
    folder = folder_of(box)
    assert {"prometheus.yaml", "gateway.conf", "rules", "exported"} <= names(folder)
    (folder / "rules/mine.yaml").write_text(RULES)
    (folder / "mine.conf").write_text("x")
    bring_up(box, "cache")
    left = names(folder) - bare
    cache = {file.name for s in planned("cache").services for file in s.files}
    assert left == {*cache, "rules", "mine.conf"}
    (folder / "rules/mine.yaml").unlink()
    bring_up(box)
    assert names(folder) - bare == {"mine.conf"}


def test_files_of_an_up_that_was_broken_off_go_too(box: Box) -> None:
    bring_up(box)
    bare = names(folder_of(box))
    box.runner.interrupt_at = START
    with pytest.raises(KeyboardInterrupt):
        bring_up(box, "monitoring")
    assert (folder_of(box) / "prometheus.yaml").exists()
    box.runner.interrupt_at = None
    bring_up(box)
    assert names(folder_of(box)) == bare


def test_an_addon_that_an_up_began_to_take_out_goes_with_the_next(box: Box) -> None:
    bring_up(box)
    bare = names(folder_of(box))
    bring_up(box, "monitoring")
    box.runner.interrupt_at = START
    with pytest.raises(KeyboardInterrupt):
        bring_up(box)
    box.runner.interrupt_at = None
    bring_up(box)
    assert names(folder_of(box)) == bare


def test_files_stay_while_what_mounts_them_may_still_run(box: Box) -> None:
    bring_up(box, "monitoring")
    box.runner.fail[START] = "no"
    with pytest.raises(DeployctlError):
        bring_up(box)
    assert (folder_of(box) / "prometheus.yaml").exists()
    assert (folder_of(box) / "exported/containers.json").exists()


# ── what containers can read ──────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("strict_umask")
def test_containers_can_enter_their_folders_whatever_the_umask(box: Box) -> None:
    bring_up(box, "monitoring")
    folder = folder_of(box)
    assert mode(folder) == 0o700
    assert (mode(folder / "rules"), mode(folder / "exported")) == (0o755, 0o755)
    (folder / "rules").chmod(0o700)
    (folder / "exported").chmod(0o770)  # more than it needs: the operator's choice
    assert not bring_up(box, "monitoring").changed
    assert (mode(folder / "rules"), mode(folder / "exported")) == (0o755, 0o775)


@pytest.mark.usefixtures("strict_umask")
def test_the_folder_can_be_entered_before_its_files_are_checked(box: Box) -> None:
    folder = folder_of(box)
    (folder / "rules").mkdir(parents=True)
    (folder / "rules/mine.yaml").write_text(RULES)
    (folder / "rules/mine.yaml").chmod(0o644)
    box.runner.fail[CHECK] = "no"
    assert refused(box)[0] == "own-file-invalid"
    assert mode(folder / "rules") == 0o755


@pytest.mark.parametrize("before", [False, True])
def test_a_file_that_only_its_owner_reads_is_refused(box: Box, *, before: bool) -> None:
    bring_up(box, "monitoring")
    file = folder_of(box) / "rules/mine.yaml"
    file.write_text(RULES)
    if before:  # nothing but its mode changed since
        bring_up(box, "monitoring")
    file.chmod(0o600)
    box.runner.commands.clear()
    code, message, where, hint = refused(box)
    assert (code, where) == ("own-file-invalid", str(file))
    assert "mine.yaml cannot be read inside the container of prometheus: its mode 0600" in message
    assert hint.startswith(f"chmod a+r {file}  # then: deployctl up ")
    assert box.runner.labels == []
    file.chmod(0o644)
    assert bring_up(box, "monitoring").changed != before


@pytest.mark.parametrize("target", ["../mine.yaml", "gone.yaml", "absolute"])
def test_a_link_that_leads_out_is_refused(box: Box, target: str) -> None:
    bring_up(box, "monitoring")
    rules = folder_of(box) / "rules"
    (rules.parent / "mine.yaml").write_text(RULES)
    (rules / "real").write_text(RULES)
    (rules / "link.yaml").symlink_to(rules / "real" if target == "absolute" else target)
    code, message, where, hint = refused(box)
    assert (code, where) == ("own-file-invalid", str(rules / "link.yaml"))
    assert message.endswith("it is a link that leads nowhere there.")
    gone = target == "gone.yaml"
    assert hint.startswith("rm " if gone else "cp --remove-destination ")
    os.system(hint.partition("  #")[0])  # the hint is to work as it is
    assert bring_up(box, "monitoring").changed != gone
    assert (rules / "link.yaml").is_file() != gone
    assert not (rules / "link.yaml").is_symlink()


def test_a_link_within_the_folder_is_good(box: Box) -> None:
    bring_up(box, "monitoring")
    rules = folder_of(box) / "rules"
    (rules / "real").write_text(RULES)
    (rules / "link.yaml").symlink_to("real")
    assert bring_up(box, "monitoring").changed


def test_a_folder_under_a_files_name_is_refused(box: Box) -> None:
    bring_up(box, "monitoring")
    (folder_of(box) / "rules/mine.yaml").mkdir()
    code, message, *_ = refused(box)
    assert (code, message.rpartition(": ")[2]) == ("own-file-invalid", "it is no file.")


def test_a_file_that_nobody_reads_for_its_name_is_told(box: Box) -> None:
    bring_up(box, "monitoring")
    file = folder_of(box) / "rules/mine.yml"
    file.write_text(RULES)
    for _ in range(2):
        box.talk.warned.clear()
        bring_up(box, "monitoring")
        (told,) = box.talk.warned
        assert f"{file} is not read" in told
        assert f"\nnext: mv -n {file} {file.with_suffix('.yaml')}  # then: deployctl up" in told
    bring_up(box)
    assert box.talk.warned == [told]


def test_files_that_were_checked_are_not_checked_again(box: Box) -> None:
    bring_up(box, "monitoring")
    (folder_of(box) / "compose.override.yaml").write_text("services: {}\n")
    (folder_of(box) / "rules/mine.yaml").write_text(RULES)
    bring_up(box, "monitoring")
    assert box.runner.labels.count(CHECK) == 1
    assert not bring_up(box, "monitoring").changed
    assert box.runner.labels.count(CHECK) == 1


# ── which container is which ──────────────────────────────────────────────────────────────────


def exported(box: Box) -> dict[str, Any]:
    text = (folder_of(box) / "exported/containers.json").read_text()
    found: dict[str, Any] = json.loads(text)["containers"]
    return found


def test_an_up_that_changes_nothing_tells_of_containers_made_by_others(box: Box) -> None:
    bring_up(box, "monitoring")
    box.docker.states["webui"] = replace(box.docker.states["webui"], id="other")
    assert not bring_up(box, "monitoring").changed
    assert exported(box)["other"] == {"service": "webui"}


def test_nobody_is_told_where_nobody_measures(box: Box) -> None:
    bring_up(box)
    assert not bring_up(box).changed
    assert not (folder_of(box) / "exported").exists()


def test_a_container_that_was_healed_is_told(box: Box) -> None:
    box.http = FakePanel()
    bring_up(box, "monitoring")
    (folder_of(box) / "exported/containers.json").write_text("{}")
    state = box.docker.states.pop("engine")
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    watch = Watcher(world=box.world("watch"), stack="deployctl", now=lambda: noon, heal=True)
    assert [event.kind for event in watch.look()][-1] == "healed"
    assert exported(box)[state.id] == {"service": "engine"}


# ── back to what an older deployctl proved ────────────────────────────────────────────────────


class Picky(FakeHttp):
    """An engine that answers nothing once the stack's file says something else."""

    def __init__(self, file: Path) -> None:
        super().__init__("smollm2-135m")
        self.file, self.good = file, file.read_text()

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.engine_ready = self.file.read_text() == self.good
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_a_record_that_has_files_among_the_mounts_is_gone_back_to(box: Box) -> None:
    good = UpRequest(stack="deployctl", selection=Selection(profile="smoke-vllm"))
    up(box.world(), good)
    folder = folder_of(box)
    record = json.loads((folder / "proved.json").read_text())
    for service in record["plan"]["services"]:
        for file in service.pop("files"):
            mount = {"kind": "bind", "source": f"./{file['name']}", "read_only": True}
            service["mounts"].append({**mount, "target": file["target"]})
    (folder / "proved.json").write_text(json.dumps(record))
    proved = last_proved(Workspace(box.home, "deployctl"))
    assert proved is not None
    assert "./vllm_gate.py" in [mount.source for mount in proved.plan.service("engine").mounts]
    box.http = Picky(folder / "compose.yaml")
    selection = replace(good.selection, sets=("concurrency=3", "deadlines.engine=5s"))
    bad = replace(good, selection=selection, on_failure="rollback")
    with pytest.raises(DeployctlError) as failed:
        up(box.world(), bad)
    assert failed.value.after is not None
    assert failed.value.after.did == "rolled-back", failed.value.after.faults
    assert (folder / "vllm_gate.py").is_file()


# ── secrets of add-ons that are off, in a damaged file ────────────────────────────────────────


def damage(box: Box, old: str, new: str) -> dict[str, str]:
    """Bring up without any add-on after all of them, spoil the file; what it held before."""
    bring_up(box, *NAMES)
    bring_up(box)
    file = folder_of(box) / "secrets.json"
    made: dict[str, str] = json.loads(file.read_text())
    text = file.read_text().replace(old, new.format(**made), 1)
    assert text != file.read_text()
    file.write_text(text)
    box.talk.warned.clear()
    return made


@pytest.mark.parametrize(
    ("old", "new"),
    [("}", ""), ("{", "{,"), (",\n", "\n"), ('"engine_key": ', '"engine_key" '), ("{", "{\ufffd")],
)
def test_they_are_read_where_they_can_be(box: Box, old: str, new: str) -> None:
    made = damage(box, old, new.replace("{", "{{"))
    bring_up(box)
    assert json.loads((folder_of(box) / "secrets.json").read_text()) == made
    (told,) = box.talk.warned
    assert "put back as it was" in told
    assert "is lost" not in told


@pytest.mark.parametrize(
    ("new", "wrong"),
    [
        ('"grafana_password": 5', '"grafana_password" is no text in quotes'),
        ('"grafana_password": ""', '"grafana_password" is no text in quotes'),
        ('"grafana_password": "{grafana_password}', "Invalid control character"),
        ('"grafana_password": {grafana_password}"', "Expecting "),
        ('"grafana_password": "{grafana_password} "x"', "Expecting "),
        ('"grafana_password": "{grafana_password}\ufffd",', "line "),
    ],
)
def test_one_that_is_lost_is_told_and_made_anew(box: Box, new: str, wrong: str) -> None:
    bring_up(box, *NAMES)
    value = json.loads((folder_of(box) / "secrets.json").read_text())["grafana_password"]
    made = damage(box, f'"grafana_password": "{value}"', new)
    with pytest.raises(DeployctlError) as error:
        Workspace(box.home, "deployctl").secrets()
    assert error.value.faults[0].code == "secrets-damaged"
    assert wrong in error.value.faults[0].message
    bring_up(box, "monitoring")
    (told,) = box.talk.warned
    assert "Its grafana_password is lost, and will be a new one." in told
    found = json.loads((folder_of(box) / "secrets.json").read_text())
    assert found.pop("grafana_password") not in ("", made.pop("grafana_password"))
    assert found == made


def test_what_the_stack_runs_with_wins_over_the_damaged_file(box: Box) -> None:
    bring_up(box, "jupyter")
    file = folder_of(box) / "secrets.json"
    made = json.loads(file.read_text())
    file.write_text('{"jupyter_token": "typed by hand", }')
    bring_up(box, "jupyter")
    assert json.loads(file.read_text()) == made


# ── rendered for plain Compose ────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("strict_umask")
def test_render_makes_what_docker_would_not(box: Box) -> None:
    to = box.home / "out"
    selection = Selection(profile="smoke", addons=("monitoring",))
    report = render(box.world("render"), selection, every=False, to=to, check=False)
    assert [file.name for file in report.files] == ["smoke/compose.yaml"]
    assert names(to) == {"smoke"}
    assert (mode(to / "smoke/rules"), mode(to / "smoke/exported")) == (0o755, 0o755)
    assert mode(to / "smoke/prometheus.yaml") == 0o644
    render(box.world("render"), selection, every=False, to=to, check=True)
    shutil.rmtree(to / "smoke")
    plain = Selection(profile="smoke-vllm")
    render(box.world("render"), plain, every=False, to=to, check=False)
    assert {path.name for path in to.rglob("*")} == {"smoke-vllm.yaml", "vllm_gate.py"}


def test_profiles_with_addons_do_not_write_over_each_other(box: Box) -> None:
    to = box.home / "out"
    selection = Selection(addons=("monitoring",))
    world = box.world("render")
    report = render(world, selection, every=True, to=to, check=False)
    shipped = world.catalog.shipped_names()
    assert [file.name for file in report.files] == [f"{name}/compose.yaml" for name in shipped]
    render(world, selection, every=True, to=to, check=True)
    for name in ("smoke", "smoke-vllm"):
        alone = render(world, selection.of(name), every=False, to=None, check=False)
        for file in (*alone.files, *alone.beside):
            assert (to / file.name).read_text() == file.text
    assert (to / "smoke/rules.yaml").read_text() != (to / "smoke-vllm/rules.yaml").read_text()
    assert box.talk.warned[-1].startswith("It mounts ")
    assert "smoke" not in box.talk.warned[-1]
    (to / "smoke/rules.yaml").write_text("")
    with pytest.raises(DeployctlError) as error:
        render(world, selection, every=True, to=to, check=True)
    (fault,) = error.value.faults
    assert (fault.code, fault.where) == ("render-drift", f"{to}/smoke/rules.yaml:1")
    assert fault.hint == f"deployctl render --profile smoke --with monitoring --to {to}"


# ── started ───────────────────────────────────────────────────────────────────────────────────


def test_volumes_of_a_registrys_images_are_handed_over_once(box: Box) -> None:
    box.images.built = False
    kept = {
        (service.name, str(mount.source), mount.target)
        for service in planned(*NAMES).services
        for mount in service.mounts
        if service.addon and mount.kind == "volume" and not mount.read_only
    }
    assert len(kept) >= 2
    bring_up(box, *NAMES)
    handed = {(c.label, c.argv[-1]) for c in box.runner.commands if c.label.startswith("hand ")}
    assert {(f"hand over {name}'s volume", path) for name, _, path in kept} <= handed
    manifest = Workspace(box.home, "deployctl").manifest()
    assert manifest is not None
    assert set(manifest.owned) == {volume for _, volume, _ in kept}
    box.docker.kept_volumes += tuple(f"deployctl_{volume}" for _, volume, _ in kept)
    box.runner.commands.clear()
    bring_up(box, *NAMES, sets=("concurrency=3",))
    assert START in box.runner.labels
    assert not [label for label in box.runner.labels if label.startswith("hand ")]


def test_a_container_that_is_taken_out_needs_no_network(box: Box) -> None:
    bring_up(box, "cache")
    state = box.docker.states["cache"]
    settings = {"HostConfig": {"NetworkMode": "x"}, "NetworkSettings": {"Networks": {}}}
    box.docker.inspected = {state.id: settings}
    box.runner.commands.clear()
    bring_up(box)
    assert LOST not in box.runner.labels
    assert not any("made anew" in said for said in box.talk.said)
    box.docker.states["cache"] = state
    bring_up(box, "cache")
    assert LOST in box.runner.labels
