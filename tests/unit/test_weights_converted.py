"""The folder made of a GGUF file: once, whole or not at all, and of the file that is meant."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.gguf import llama
from deployctl.model import Weights, WeightsSpec
from tests.hubserver import HubServer
from tests.llamas import Llama, original
from tests.unit.conftest import Heard, Shelf, spec

FILES = [
    *("config.json", "generation_config.json", "model.safetensors"),
    *("tokenizer.json", "tokenizer_config.json"),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Llama().write(tmp_path / "tiny.Q8_0.gguf")


@pytest.fixture
def model(own: Path) -> WeightsSpec:
    return spec(f"bf16:file:{own}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(shelf: Shelf, model: WeightsSpec) -> Weights:
    shelf.heard.lines.clear()
    return shelf.store.fetch(model, progress=shelf.heard)


def fails(shelf: Shelf, model: WeightsSpec) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        fetch(shelf, model)
    assert shelf.store.locate(model) is None
    return caught.value.faults[0]


def converts(heard: Heard) -> bool:
    return any(text.startswith("converting") for text in heard.texts)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# ── once ──────────────────────────────────────────────────────────────────────────────────────


def test_a_file_of_the_operator_becomes_a_folder_of_ours(
    shelf: Shelf, model: WeightsSpec, own: Path
) -> None:
    assert shelf.store.locate(model) is None
    before = own.read_bytes()
    got = fetch(shelf, model)
    place = shelf.root / f"bf16-{llama.VERSION}/file"
    assert (got.how, got.path.name) == ("converted", "tiny.Q8_0-bf16")
    assert got.path.is_relative_to(place)
    assert sorted(path.name for path in got.path.iterdir()) == FILES
    assert got.size_bytes == (got.path / "model.safetensors").stat().st_size
    assert own.read_bytes() == before
    assert shelf.files() == sorted(
        [
            *(str((got.path / name).relative_to(shelf.root)) for name in FILES),
            str((got.path.parent / "manifest.json").relative_to(shelf.root)),
            str(shelf.store.note_of(model.source.fetched).relative_to(shelf.root)),
        ]
    )


def test_the_second_time_it_is_found(shelf: Shelf, model: WeightsSpec) -> None:
    first = fetch(shelf, model)
    again = fetch(shelf, model)
    assert (again.how, again.path, again.identity) == ("cached", first.path, first.identity)
    assert shelf.heard.lines == []


def test_progress_counts_what_is_written(shelf: Shelf, model: WeightsSpec) -> None:
    got = fetch(shelf, model)
    steps = [(d, t) for text, d, t in shelf.heard.lines if text == "converting tiny.Q8_0.gguf"]
    assert {total for _, total in steps} == {got.size_bytes}
    assert steps[-1][0] == got.size_bytes


def test_everybody_may_read_it_whatever_the_umask(shelf: Shelf, model: WeightsSpec) -> None:
    before = os.umask(0o077)
    try:
        got = fetch(shelf, model)
    finally:
        os.umask(before)
    assert got.path.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in got.path.iterdir()} == {0o644}
    got.path.chmod(0o700)
    assert shelf.store.locate(model) is None
    assert fetch(shelf, model).path.stat().st_mode & 0o777 == 0o755
    assert not converts(shelf.heard)


def test_the_same_file_gives_the_same_folder_elsewhere(
    shelf: Shelf, model: WeightsSpec, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / own.name
    copy.write_bytes(own.read_bytes())
    there = Shelf(root=tmp_path / "elsewhere", environment={"HOME": "/nowhere"})
    one, other = fetch(shelf, model), fetch(there, spec(f"bf16:file:{copy}"))
    assert contents(one.path) == contents(other.path)


def test_a_file_of_the_hub_is_fetched_first_and_stays(
    shelf: Shelf, hub: HubServer, own: Path
) -> None:
    hub.add("org/repo", {"tiny.gguf": own.read_bytes()})
    shelf.environment["HF_ENDPOINT"] = hub.url
    model = spec("bf16:hf:org/repo:tiny.gguf", sha256=sha256(own))
    assert shelf.store.reachable(model.source, timeout_s=5)
    got = fetch(shelf, model)
    assert got.path == shelf.root / (f"bf16-{llama.VERSION}/hf/org/repo/main/tiny.gguf/tiny-bf16")
    assert (shelf.root / "hf/org/repo/main/tiny.gguf").read_bytes() == own.read_bytes()
    hub.stop()
    assert shelf.store.locate(model) is not None
    assert shelf.store.reachable(model.source, timeout_s=5)  # the file is here
    shutil.rmtree(got.path.parent)
    assert fetch(shelf, model).how == "converted"


@dataclass
class _Held(Heard):
    """Holds up the conversion until somebody waits for it."""

    begun: threading.Event = field(default_factory=threading.Event)
    waited_for: threading.Event = field(default_factory=threading.Event)

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        super().__call__(text, done=done, total=total)
        if text.startswith("converting"):
            self.begun.set()
            assert self.waited_for.wait(20)


def test_two_at_once_convert_once(shelf: Shelf, model: WeightsSpec) -> None:
    held, found = _Held(), list[Weights]()
    first = threading.Thread(target=lambda: found.append(shelf.store.fetch(model, progress=held)))
    first.start()
    assert held.begun.wait(20)

    def wait(seconds: float) -> None:
        held.waited_for.set()
        first.join(20)

    shelf.sleep = wait
    second = fetch(shelf, model)
    assert shelf.heard.texts == [
        f"waiting for process {os.getpid()}, which downloads tiny.Q8_0-bf16"
    ]
    assert [(each.how, each.identity) for each in (*found, second)] == [
        ("converted", second.identity),
        ("cached", second.identity),
    ]


# ── whole or not at all ───────────────────────────────────────────────────────────────────────


def test_a_stop_at_any_moment_leaves_nothing_half(shelf: Shelf, model: WeightsSpec) -> None:
    shelf.now = iter(range(10**9)).__next__  # every step reports
    got = fetch(shelf, model)
    steps = len(shelf.heard.lines)
    assert steps > 20
    kept = contents(got.path)
    stops = 0
    for moment in range(steps):
        shutil.rmtree(shelf.root)
        store = shelf.store
        with pytest.raises(KeyboardInterrupt):
            store.fetch(model, progress=_Interrupted(after=moment))
        stops += 1
        left = {name.rpartition("/")[2] for name in shelf.files()}
        assert left <= {"manifest.json", shelf.store.note_of(model.source.fetched).name}
        assert shelf.store.locate(model) is None
    assert stops == steps
    assert contents(fetch(shelf, model).path) == kept


@dataclass
class _Interrupted:
    """A Progress in which Ctrl-C arrives at a certain report."""

    after: int
    heard: int = 0

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self.heard += 1
        if self.heard > self.after:
            raise KeyboardInterrupt


def test_stop_ends_the_conversion_from_another_thread(shelf: Shelf, model: WeightsSpec) -> None:
    shelf.now = iter(range(10**9)).__next__  # every step reports
    store = shelf.store

    def progress(text: str, *, done: int | None = None, total: int | None = None) -> None:
        if text.startswith("converting"):
            thread = threading.Thread(target=store.stop)
            thread.start()
            thread.join()

    with pytest.raises(KeyboardInterrupt):
        store.fetch(model, progress=progress)
    assert [name for name in shelf.files() if "bf16" in name] == []


def test_what_a_killed_process_left_is_removed(shelf: Shelf, model: WeightsSpec) -> None:
    got = fetch(shelf, model)
    making = got.path.with_name(f"{got.path.name}.making")
    got.path.rename(making)
    (making / "stranger.json").write_text("{}")
    assert shelf.store.locate(model) is None
    assert fetch(shelf, model).how == "converted"
    assert sorted(path.name for path in got.path.iterdir()) == FILES
    assert not making.exists()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_folder_is_made_again(shelf: Shelf, model: WeightsSpec, name: str) -> None:
    got = fetch(shelf, model)
    whole = contents(got.path)
    damaged = bytearray(whole[name])
    damaged[-2] ^= 1
    (got.path / name).write_bytes(damaged)
    assert shelf.store.locate(model) is None
    assert fetch(shelf, model).how == "converted"
    assert contents(got.path) == whole


@pytest.mark.parametrize("change", ["missing", "stranger"])
def test_a_folder_with_other_files_is_made_again(
    shelf: Shelf, model: WeightsSpec, change: str
) -> None:
    got = fetch(shelf, model)
    if change == "missing":
        (got.path / "config.json").unlink()
    else:
        (got.path / "chat_template.jinja").write_text("another one")
    assert shelf.store.locate(model) is None
    assert fetch(shelf, model).how == "converted"
    assert sorted(path.name for path in got.path.iterdir()) == FILES


def test_a_folder_that_was_only_touched_is_checked_and_kept(
    shelf: Shelf, model: WeightsSpec
) -> None:
    got = fetch(shelf, model)
    os.utime(got.path / "config.json", ns=(1, 1))
    assert shelf.store.locate(model) is None
    assert fetch(shelf, model).how == "cached"
    assert not converts(shelf.heard)
    assert shelf.store.locate(model) is not None


def test_a_disk_without_room_is_noticed_before(
    shelf: Shelf, hub: HubServer, own: Path, model: WeightsSpec
) -> None:
    shelf.free_bytes = 1000
    fault = fails(shelf, model)
    assert fault.code == "weights-no-space"
    assert fault.message.startswith("tiny.Q8_0-bf16 needs ")
    hub.add("org/repo", {"tiny.gguf": own.read_bytes()})
    shelf.environment["HF_ENDPOINT"] = hub.url
    fault = fails(shelf, spec("bf16:hf:org/repo:tiny.gguf", size_bytes=1001))
    assert (fault.code, hub.bodies()) == ("weights-no-space", [])


# ── of the file that is meant ─────────────────────────────────────────────────────────────────


def test_the_checksum_is_that_of_the_file(shelf: Shelf, model: WeightsSpec, own: Path) -> None:
    right = spec(model.source.text, sha256=sha256(own).upper())
    got = fetch(shelf, right)
    assert shelf.store.locate(right) == shelf.store.locate(model)
    wrong = spec(model.source.text, sha256="0" * 64, size_bytes=got.size_bytes)
    fault = fails(shelf, wrong)
    assert fault.code == "weights-corrupt"
    assert f"found sha256:    {sha256(own)}" in fault.details
    assert fault.hint.startswith(f"Copy the file again and compare: `sha256sum {own}`.")


def test_the_size_is_that_of_the_tensors(shelf: Shelf, model: WeightsSpec) -> None:
    fault = fails(shelf, spec(model.source.text, size_bytes=7))
    assert fault.code == "weights-corrupt"
    assert fault.details[0] == "expected: 7 bytes"
    found = int(fault.details[1].split()[1].replace(",", ""))
    assert fault.hint.startswith(f"{shelf.store.again} --set model.size_bytes={found} ")
    size = fetch(shelf, model).size_bytes
    assert shelf.store.locate(spec(model.source.text, size_bytes=size)) is not None


def test_a_damaged_file_of_the_hub_is_named_to_be_removed(
    shelf: Shelf, hub: HubServer, tmp_path: Path
) -> None:
    damaged = Llama(tensors={k: v for k, v in original().items() if "down" not in k})
    hub.add("org/repo", {"my.gguf": damaged.write(tmp_path / "d.gguf").read_bytes()})
    shelf.environment["HF_ENDPOINT"] = hub.url
    source = spec("bf16:hf:org/repo:my.gguf").source
    assert source.inner is not None
    fault = fails(shelf, spec(source.text))
    file = shelf.store.path_of(source.inner)
    assert (fault.code, fault.hint) == ("weights-corrupt", f"rm {file} && {shelf.store.again}")
    file.unlink()
    hub.add("org/repo", {"my.gguf": Llama().write(tmp_path / "d.gguf").read_bytes()})
    assert fetch(shelf, spec(source.text)).how == "converted"


def test_another_file_in_its_place_becomes_another_folder(
    shelf: Shelf, model: WeightsSpec, own: Path
) -> None:
    got = fetch(shelf, model)
    before = contents(got.path)
    Llama(tensors=original(seed=2)).write(own)
    assert shelf.store.locate(model) is None
    again = fetch(shelf, model)
    assert (again.how, again.path) == ("converted", got.path)
    after = contents(got.path)
    assert {name for name in FILES if before[name] != after[name]} == {"model.safetensors"}


def test_the_folder_outlives_its_file(shelf: Shelf, model: WeightsSpec, own: Path) -> None:
    got = fetch(shelf, model)
    own.unlink()
    again = shelf.store.locate(model)
    assert again is not None
    assert again.identity == got.identity


def test_another_version_of_the_conversion_shares_nothing(
    shelf: Shelf, model: WeightsSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = fetch(shelf, model)
    monkeypatch.setattr(llama, "VERSION", llama.VERSION + 1)
    assert shelf.store.locate(model) is None
    newer = fetch(shelf, model)
    assert (newer.how, newer.path == got.path) == ("converted", False)
    assert sorted(path.name for path in got.path.iterdir()) == FILES  # an engine may read it


# ── what goes wrong before ────────────────────────────────────────────────────────────────────


def test_a_file_that_is_not_there(shelf: Shelf, tmp_path: Path) -> None:
    fault = fails(shelf, spec(f"bf16:file:{tmp_path}/none.gguf"))
    assert fault.code == "weights-not-found"
    assert fault.hint == f"ls -l {tmp_path}  # shows what is there; then correct model.source"


def test_a_folder_that_is_called_like_a_file(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "tiny.gguf"
    folder.mkdir(mode=0o755)
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert fails(shelf, spec(f"bf16:file:{folder}")).code == "weights-not-found"


def test_a_source_that_is_away_says_how_to_bring_the_file(shelf: Shelf, hub: HubServer) -> None:
    shelf.environment["HF_ENDPOINT"] = hub.url
    hub.stop()
    model = spec("bf16:hf:org/repo:tiny.gguf", sha256="0" * 64, size_bytes=1001)
    assert not shelf.store.reachable(model.source, timeout_s=5)
    fault = fails(shelf, model)
    assert fault.code == "weights-unreachable"
    assert fault.message.startswith("The model file tiny.gguf cannot be downloaded: ")
    assert "source: bf16:hf:org/repo:tiny.gguf" in fault.details
    assert not any(line.startswith("size: ") for line in fault.details)  # it is not the file's
    assert "--set model.source=bf16:file:/path/to/tiny.gguf`" in fault.hint
