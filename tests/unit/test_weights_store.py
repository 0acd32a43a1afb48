"""The store on disk: the operator's own files, files that are here already, modes, waiting."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.model import WeightsSpec
from tests.ggufs import gguf
from tests.hubserver import HubFile, HubServer
from tests.unit.conftest import Shelf, spec

CONTENT = gguf()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my model.gguf"
    path.write_bytes(CONTENT)
    path.chmod(0o644)
    return path


def fails(shelf: Shelf, what: WeightsSpec) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(what, progress=shelf.heard)
    return caught.value.faults[0]


# ── the operator's own file ───────────────────────────────────────────────────────────────────


def test_the_operators_file_is_used_where_it_lies(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}", sha256=SHA256.upper(), size_bytes=len(CONTENT))
    assert shelf.store.locate(model) is None  # not looked at yet
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert (got.path, got.size_bytes, got.how) == (own, len(CONTENT), "local")
    assert shelf.store.locate(model) == got
    assert sorted(p.name for p in own.parent.iterdir()) == ["models", "my model.gguf"]


def test_the_tilde_is_the_operators_home(shelf: Shelf, own: Path) -> None:
    assert shelf.store.fetch(spec(f"file:~/{own.name}"), progress=shelf.heard).path == own


def test_a_changed_file_is_looked_at_again(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}")
    shelf.store.fetch(model, progress=shelf.heard)
    own.write_bytes(CONTENT[:-10])
    assert shelf.store.locate(model) is None
    fault = fails(shelf, model)
    assert fault.code == "weights-corrupt"
    assert "10 more than there are" in fault.message
    assert own.exists()


def test_missing_folder_unreadable_and_foreign_files_are_told_apart(
    shelf: Shelf, own: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>not found</html>")
    page.chmod(0o644)
    (tmp_path / "folder").mkdir()
    found = {
        name: (fault.code, fault.message)
        for name, fault in {
            "missing": fails(shelf, spec(f"file:{tmp_path}/none.gguf")),
            "folder": fails(shelf, spec(f"file:{tmp_path}/folder")),
            "page": fails(shelf, spec(f"file:{page}")),
            "sum": fails(shelf, spec(f"file:{own}", sha256="0" * 64)),
        }.items()
    }
    own.chmod(0o600)
    private = fails(shelf, spec(f"file:{own}"))
    assert found == {
        "missing": ("weights-not-found", f"There is no file {tmp_path}/none.gguf."),
        "folder": (
            "weights-not-found",
            f"{tmp_path}/folder has no config.json and no *.safetensors, so it is not the folder "
            "of a model.",
        ),
        "page": (
            "weights-corrupt",
            "page.gguf is not a GGUF model: it begins with `<htm`, not with `GGUF`.",
        ),
        "sum": ("weights-corrupt", "my model.gguf has the wrong checksum."),
    }
    assert private.code == "weights-denied"
    assert private.hint == f"chmod a+r '{own}' && deployctl up --profile cpu-only"


def test_a_file_that_was_closed_after_its_check_is_noticed(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}")
    shelf.store.fetch(model, progress=shelf.heard)
    assert shelf.store.locate(model) is not None
    own.chmod(0o600)
    assert shelf.store.locate(model) is None
    assert fails(shelf, model).code == "weights-denied"


def test_a_local_file_is_reachable_when_it_is_there(shelf: Shelf, own: Path) -> None:
    assert shelf.store.reachable(spec(f"file:{own}").source, timeout_s=1)
    assert not shelf.store.reachable(spec(f"file:{own}.x").source, timeout_s=1)


# ── what is here already ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def model(hub: HubServer, shelf: Shelf) -> WeightsSpec:
    shelf.environment["HF_ENDPOINT"] = hub.url
    hub.files["org/repo/m.gguf"] = HubFile(CONTENT)
    return spec("hf:org/repo:m.gguf")


def test_what_was_verified_is_not_read_again_to_be_found(shelf: Shelf, model: WeightsSpec) -> None:
    got = shelf.store.fetch(model, progress=shelf.heard)
    seen = got.path.stat()
    got.path.write_bytes(b"\0" * seen.st_size)
    os.utime(got.path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert shelf.store.locate(model) is not None


def test_a_file_put_there_by_hand_is_verified_and_kept(
    shelf: Shelf, hub: HubServer, model: WeightsSpec
) -> None:
    path = shelf.store.path_of(model.source)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    hub.seen.clear()
    assert shelf.store.fetch(model, progress=shelf.heard).how == "cached"
    assert shelf.store.locate(model) is not None
    assert hub.seen == []


def test_a_damaged_file_in_the_store_is_replaced(shelf: Shelf, model: WeightsSpec) -> None:
    path = shelf.store.fetch(model, progress=shelf.heard).path
    path.write_bytes(CONTENT[:-4] + b"\xff\xff\xff\xff")  # same size, still a GGUF
    assert shelf.store.locate(model) is None
    assert shelf.store.fetch(model, progress=shelf.heard).how == "downloaded"
    assert path.read_bytes() == CONTENT


def test_a_file_that_was_only_touched_stays(
    shelf: Shelf, hub: HubServer, model: WeightsSpec
) -> None:
    path = shelf.store.fetch(model, progress=shelf.heard).path
    os.utime(path, (1, 1))
    hub.seen.clear()
    assert shelf.store.fetch(model, progress=shelf.heard).how == "cached"
    assert hub.seen == []


def test_a_broken_note_means_looking_again(shelf: Shelf, model: WeightsSpec) -> None:
    path = shelf.store.fetch(model, progress=shelf.heard).path
    path.with_name("m.gguf.verified").write_text("[1, 2")
    assert shelf.store.locate(model) is None
    assert shelf.store.fetch(model, progress=shelf.heard).how == "cached"


def test_modes_do_not_depend_on_the_umask(shelf: Shelf, model: WeightsSpec) -> None:
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            path = shelf.store.fetch(model, progress=shelf.heard).path
        finally:
            os.umask(before)
        modes = {
            p.relative_to(shelf.root).as_posix(): stat.S_IMODE(p.stat().st_mode)
            for p in [shelf.root, *shelf.root.rglob("*")]
        }
        assert modes.pop("hf/org/repo/main/m.gguf") == 0o644
        assert {mode for mode in modes.values() if mode & 0o022} == set()
        assert modes["hf/org/repo/main"] == 0o755
        path.unlink()


def test_a_store_that_cannot_be_made_says_so(
    shelf: Shelf, model: WeightsSpec, tmp_path: Path
) -> None:
    shelf.root = tmp_path / "file" / "models"
    (tmp_path / "file").write_text("in the way")
    fault = fails(shelf, model)
    assert fault.code == "workspace-unwritable"


# ── one at a time ─────────────────────────────────────────────────────────────────────────────


def test_the_second_waits_and_says_for_whom(
    shelf: Shelf, hub: HubServer, model: WeightsSpec
) -> None:
    gate = threading.Event()
    hub.files["org/repo/m.gguf"].gate = gate
    results: list[str] = []
    first = threading.Thread(
        target=lambda: results.append(shelf.store.fetch(model, progress=lambda *_, **__: None).how)
    )
    first.start()
    owner = shelf.root / "hf/org/repo/main/m.gguf.lock.pid"
    for _ in range(500):
        if owner.exists() and owner.read_text():
            break
        time.sleep(0.01)

    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        gate.set()  # the first download goes on
        first.join(5)

    shelf.sleep = wait
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert results == ["downloaded"]
    assert got.how == "cached"
    assert shelf.heard.texts == [f"waiting for process {os.getpid()}, which downloads m.gguf"]
    assert waited == [0.2]
    assert len(hub.bodies()) == 1


def test_a_full_disk_is_no_fault_of_a_file_that_is_only_read(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "full.gguf"
    own.write_bytes(gguf())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("deployctl.weights.store.save", full)
    fault = fails(shelf, spec(f"file:{own}"))
    assert (fault.code, fault.message) == (
        "weights-no-space",
        "The disk ran full while the result of checking full.gguf was written.",
    )
    folder = fault.details[-1].removeprefix("folder: ")
    assert fault.hint == (
        f"df -h {folder}  # make room there; then: deployctl up --profile cpu-only"
    )
