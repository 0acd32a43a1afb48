"""Whole repositories and the operator's own folders: complete or not at all."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.model import WeightsSpec
from deployctl.weights.contents import wanted
from deployctl.weights.safetensors import problem_with
from tests.hubserver import COMMIT, HubFile, HubServer
from tests.repositories import PARTS, as_json, repository, safetensors
from tests.unit.conftest import Shelf, spec

FILES = repository()
MODEL = spec("hf:org/repo")
PLACE = "hf-whole/org/repo/main"
FOLDER = f"{PLACE}/repo"
SHARDS = [name for name in PARTS if name.endswith(".safetensors")]
TENSOR_BYTES = sum(len(FILES[name]) for name in SHARDS)
ALL_BYTES = sum(len(FILES[name]) for name in PARTS)
WHOLE = [f"{PLACE}/manifest.json", *(f"{FOLDER}/{name}" for name in PARTS)]


@pytest.fixture
def files(hub: HubServer) -> dict[str, HubFile]:
    return hub.add("org/repo", FILES)


@pytest.fixture
def shelf(shelf: Shelf, hub: HubServer) -> Shelf:
    shelf.environment["HF_ENDPOINT"] = hub.url
    return shelf


def fails(shelf: Shelf, what: WeightsSpec = MODEL) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(what, progress=shelf.heard)
    assert shelf.store.locate(what) is None
    return caught.value.faults[0]


def fetched(hub: HubServer) -> list[str]:
    """The files of which a body was asked for."""
    names = (seen.path.rpartition("/")[2] for seen in hub.seen if seen.method == "GET")
    return sorted({name for name in names if name != "main"})


# ── from the hub ──────────────────────────────────────────────────────────────────────────────


def test_the_local_hub_speaks_the_protocol_of_the_real_client(
    hub: HubServer, files: dict[str, HubFile], tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    place = tmp_path / "snapshot"
    snapshot_download(
        "org/repo", endpoint=hub.url, local_dir=place, token=False, allow_patterns=PARTS
    )
    assert {name: (place / name).read_bytes() for name in PARTS} == {n: FILES[n] for n in PARTS}


def test_a_repository_becomes_one_folder_with_what_the_engine_reads(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (got.path, got.how) == (shelf.root / FOLDER, "downloaded")
    assert got.size_bytes == TENSOR_BYTES
    assert shelf.files() == sorted(WHOLE)
    assert {name: (got.path / name).read_bytes() for name in PARTS} == {n: FILES[n] for n in PARTS}


def test_the_second_fetch_asks_nobody_and_needs_no_network(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    asked = len(hub.seen)
    again = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (again.how, again.identity, len(hub.seen)) == ("cached", got.identity, asked)
    hub.stop()
    assert shelf.store.locate(MODEL) == again


def test_progress_counts_all_files_together(shelf: Shelf, files: dict[str, HubFile]) -> None:
    shelf.store.fetch(MODEL, progress=shelf.heard)
    steps = [(done, total) for text, done, total in shelf.heard.lines if "downloading" in text]
    assert {total for _, total in steps} == {ALL_BYTES}
    assert [done for done, _ in steps] == sorted(done for done, _ in steps if done is not None)
    assert steps[-1] == (ALL_BYTES, ALL_BYTES)


def test_every_file_is_of_the_one_commit_that_the_branch_meant(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    shelf.store.fetch(MODEL, progress=shelf.heard)
    revisions = {seen.path.split("/")[4] for seen in hub.seen if "/resolve/" in seen.path}
    assert revisions == {COMMIT}
    assert f'"commit": "{COMMIT}"' in (shelf.root / PLACE / "manifest.json").read_text()


def test_a_revision_has_a_folder_of_its_own(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    got = shelf.store.fetch(spec(f"hf:org/repo@{COMMIT}"), progress=shelf.heard)
    assert got.path == shelf.root / f"hf-whole/org/repo/{COMMIT}/repo"
    assert fails(shelf, spec("hf:org/repo@v9")).message.endswith("has no revision v9 of org/repo.")


def test_a_cut_connection_is_continued_within_the_call(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    files[SHARDS[0]].cuts = [20_000]
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (got.path / SHARDS[0]).read_bytes() == FILES[SHARDS[0]]
    assert "bytes=16384-" in {seen.headers.get("range") for seen in hub.bodies()}


def test_the_next_call_continues_with_the_missing_rest(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    files[SHARDS[1]].cuts = [20_000, 0, 0, 0, 0]
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert fault.message == (
        f"The model repo cannot be downloaded: 127.0.0.1:{hub.port} stopped answering during the "
        f"download of {SHARDS[1]}."
    )
    hub.seen.clear()
    shelf.store.fetch(MODEL, progress=shelf.heard)
    assert fetched(hub) == sorted(PARTS[PARTS.index(SHARDS[1]) :])
    assert [s.headers.get("range") for s in hub.bodies()] == ["bytes=16384-"]
    assert shelf.files() == sorted(WHOLE)


def test_a_list_without_sizes_is_completed_by_asking_for_each_file(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    hub.says_sizes = False
    assert shelf.store.fetch(MODEL, progress=shelf.heard).size_bytes == TENSOR_BYTES


def test_a_file_that_disappeared_is_fetched_again_and_no_other(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    (got.path / SHARDS[1]).unlink()
    assert shelf.store.locate(MODEL) is None
    hub.seen.clear()
    again = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (again.how, fetched(hub)) == ("downloaded", [SHARDS[1]])


@pytest.mark.parametrize("name", ["config.json", SHARDS[0]])
def test_a_damaged_file_is_replaced_and_the_identity_changes(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile], name: str
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    path = got.path / name
    path.write_bytes(path.read_bytes()[:-2] + b"!!")  # the same size
    os.utime(path, (1, 1))
    hub.seen.clear()
    again = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert fetched(hub) == [name]
    assert path.read_bytes() == FILES[name]
    assert again.identity != got.identity


def test_files_that_were_only_touched_stay(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    os.utime(got.path / SHARDS[0], (1, 1))
    hub.stop()
    assert shelf.store.locate(MODEL) is None
    assert shelf.store.fetch(MODEL, progress=shelf.heard).how == "cached"
    assert shelf.store.locate(MODEL) is not None


def test_a_branch_that_moved_during_the_download_leaves_no_mixture(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    files[SHARDS[1]].cuts = [20_000, 0, 0, 0, 0]
    fails(shelf)
    moved = {**repository(seed=7), "config.json": FILES["config.json"].replace(b"28", b"29")}
    one = {n: c for n, c in moved.items() if n not in SHARDS and "index" not in n}
    hub.files.clear()
    hub.commit = "f" * 40
    hub.add("org/repo", {**one, "model.safetensors": safetensors(seed=9)})
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    here = {path.name: path.read_bytes() for path in got.path.iterdir()}
    assert here["config.json"] == moved["config.json"]
    assert [name for name in here if name.endswith(".safetensors")] == ["model.safetensors"]


# ── refusals ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_is_refused_before_anything_is_downloaded(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile], status: int
) -> None:
    for file in files.values():
        file.token, file.forbidden = ("hf_right", False) if status == 401 else (None, True)
    fault = fails(shelf)
    assert fault.code == "weights-denied"
    assert "gated or private" in fault.message
    assert fault.hint == (
        f"Accept the model's licence on {hub.url}/org/repo if it asks for one, then `HF_TOKEN=hf_… "
        "deployctl up --profile cpu-only`; or bring the files: `deployctl up --profile cpu-only "
        "--set model.source=file:/path/to/repo`"
    )
    assert fetched(hub) == []
    assert shelf.files() == []

    shelf.environment["HF_TOKEN"] = "hf_right"
    if status == 401:
        assert shelf.store.fetch(MODEL, progress=shelf.heard).how == "downloaded"


def test_a_repository_that_does_not_exist_is_said_to_be_that_or_private(
    shelf: Shelf, hub: HubServer
) -> None:
    fault = fails(shelf, spec("hf:org/none"))
    assert fault.code == "weights-denied"
    assert "to give org/none: it is gated or private, or there is no such" in fault.message


def test_a_repository_of_gguf_files_is_answered_with_one_of_them(
    shelf: Shelf, hub: HubServer
) -> None:
    hub.add("org/repo", {"config.json": b"{}", "m-Q4_K_M.gguf": b"GGUF", "m-Q8_0.gguf": b"GGUF"})
    fault = fails(shelf)
    assert (fault.code, fault.message) == (
        "weights-not-found",
        "org/repo@main has no *.safetensors, so it is not the folder of a model.",
    )
    assert fault.details == ("it has: m-Q4_K_M.gguf", "it has: m-Q8_0.gguf")
    assert fault.hint == (
        "deployctl up --profile cpu-only --set model.source=hf:org/repo:m-Q4_K_M.gguf"
        "  # or another of its files"
    )


def test_a_repository_that_lacks_a_shard_is_not_whole(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", {n: c for n, c in FILES.items() if n != SHARDS[1]})
    fault = fails(shelf)
    assert fault.code == "weights-corrupt"
    assert fault.message == (
        f"repo lacks {SHARDS[1]}, which its model.safetensors.index.json names."
    )


def test_a_truncated_file_is_kept_aside(shelf: Shelf, hub: HubServer) -> None:
    hub.add("org/repo", {**FILES, SHARDS[0]: FILES[SHARDS[0]][:-100]})
    fault = fails(shelf)
    assert fault.code == "weights-corrupt"
    assert "is cut off: its own header asks for" in fault.message
    assert fault.details[-1].startswith("kept for inspection: ")


def test_a_full_disk_is_noticed_before_the_download(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    shelf.free_bytes = ALL_BYTES - 1
    fault = fails(shelf)
    assert fault.code == "weights-no-space"
    assert "repo needs 64.71 KiB" in fault.message
    assert fault.details[0] == "short of: 1 bytes"
    assert hub.bodies() == []


def test_another_size_than_the_profiles_is_noticed_before_the_download(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    fault = fails(shelf, spec("hf:org/repo", size_bytes=7))
    assert (fault.code, fault.details[1]) == (
        "weights-corrupt",
        f"found:    {TENSOR_BYTES:,} bytes",
    )
    assert hub.bodies() == []
    pinned = spec("hf:org/repo", size_bytes=TENSOR_BYTES)
    assert shelf.store.fetch(pinned, progress=shelf.heard).how == "downloaded"


def test_a_checksum_cannot_be_compared_with_a_folder(
    shelf: Shelf, files: dict[str, HubFile]
) -> None:
    fault = fails(shelf, spec("hf:org/repo", sha256="a" * 64))
    assert fault.code == "weights-corrupt"
    assert fault.details == ("a commit pins it: hf:ORG/REPO@COMMIT",)


def test_a_portal_is_not_taken_for_the_hub(shelf: Shelf, hub: HubServer) -> None:
    hub.portal = True
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert "not like a model hub" in fault.details[0]


def test_a_silent_hub_is_named_with_both_ways_out(shelf: Shelf, hub: HubServer) -> None:
    hub.stop()
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert fault.message == (
        f"The model repo cannot be downloaded: the model hub 127.0.0.1:{hub.port} does not answer."
    )
    assert fault.hint == (
        "Bring the files from a machine that has them: `deployctl up --profile cpu-only "
        "--set model.source=file:/path/to/repo`; or use a mirror of the hub: "
        "`HF_ENDPOINT=https://MIRROR deployctl up --profile cpu-only`"
    )


def test_a_second_process_waits_for_the_whole_folder(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    gate = files[SHARDS[0]].gate = threading.Event()
    results: list[str] = []
    first = threading.Thread(
        target=lambda: results.append(shelf.store.fetch(MODEL, progress=lambda *_, **__: None).how)
    )
    first.start()
    owner = shelf.root / f"{FOLDER}.lock.pid"
    for _ in range(500):
        if owner.exists() and owner.read_text():
            break
        time.sleep(0.01)

    def wait(seconds: float) -> None:
        gate.set()  # the first download goes on
        first.join(5)

    shelf.sleep = wait
    assert shelf.store.fetch(MODEL, progress=shelf.heard).how == "cached"
    assert results == ["downloaded"]
    assert shelf.heard.texts == [f"waiting for process {os.getpid()}, which downloads repo"]


def test_reachable_means_that_the_files_could_be_had(
    shelf: Shelf, hub: HubServer, files: dict[str, HubFile]
) -> None:
    assert shelf.store.reachable(MODEL.source, timeout_s=5)
    files["config.json"].forbidden = True
    assert not shelf.store.reachable(MODEL.source, timeout_s=5)


# ── the operator's own folder ─────────────────────────────────────────────────────────────────


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "my model"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for name in PARTS:
        (folder / name).write_bytes(FILES[name])
        (folder / name).chmod(0o644)
    return folder


def test_the_operators_folder_is_used_where_it_lies(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}/")
    assert shelf.store.locate(model) is None
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert (got.path, got.size_bytes, got.how) == (own, TENSOR_BYTES, "local")
    assert shelf.store.locate(model) == got
    assert sorted(path.name for path in own.iterdir()) == PARTS
    assert shelf.store.reachable(model.source, timeout_s=1)


def test_a_changed_folder_is_looked_at_again(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}")
    got = shelf.store.fetch(model, progress=shelf.heard)
    (own / "added_tokens.json").write_bytes(b"{}")
    (own / "added_tokens.json").chmod(0o644)
    assert shelf.store.locate(model) is None
    shelf.heard.lines.clear()
    assert shelf.store.fetch(model, progress=shelf.heard).identity != got.identity
    assert set(shelf.heard.texts) == {"checking added_tokens.json"}


def test_what_is_wrong_with_a_folder_is_said(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}")
    (own / SHARDS[0]).write_bytes(FILES[SHARDS[0]][:-10])
    assert "10 more than there are" in fails(shelf, model).message
    (own / SHARDS[0]).unlink()
    assert f"lacks {SHARDS[0]}" in fails(shelf, model).message
    (own / "config.json").chmod(0o600)
    assert fails(shelf, model).hint == (
        f"chmod a+r '{own}/config.json' && deployctl up --profile cpu-only"
    )
    (own / "config.json").unlink()
    assert fails(shelf, model).message == (
        f"{own} has no config.json, so it is not the folder of a model."
    )
    own.chmod(0o700)
    assert fails(shelf, model).code == "weights-denied"


def test_a_folder_that_was_closed_after_its_check_is_noticed(shelf: Shelf, own: Path) -> None:
    model = spec(f"file:{own}")
    shelf.store.fetch(model, progress=shelf.heard)
    assert shelf.store.locate(model) is not None
    (own / "config.json").chmod(0o600)
    assert shelf.store.locate(model) is None
    assert fails(shelf, model).code == "weights-denied"


def test_a_link_out_of_the_folder_is_refused(shelf: Shelf, own: Path, tmp_path: Path) -> None:
    (own / SHARDS[0]).rename(tmp_path / "blob")
    (own / SHARDS[0]).symlink_to(tmp_path / "blob")
    fault = fails(shelf, spec(f"file:{own}"))
    assert fault.code == "weights-not-found"
    assert "is a link to a file outside of it" in fault.message
    assert fault.hint == (
        f"cp -rL '{own}' /path/to/copy && deployctl up --profile cpu-only --set "
        "model.source=file:/path/to/copy"
    )


def test_a_folder_of_gguf_files_is_answered_with_one_of_them(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "ggufs").mkdir()
    (tmp_path / "ggufs/m.gguf").write_bytes(b"GGUF")
    fault = fails(shelf, spec(f"file:{tmp_path}/ggufs"))
    assert fault.code == "weights-not-found"
    assert f"--set model.source=file:{tmp_path}/ggufs/m.gguf" in fault.hint


# ── pure ──────────────────────────────────────────────────────────────────────────────────────


def test_what_belongs_into_the_folder_of_a_model() -> None:
    assert list(wanted(FILES)) == PARTS
    assert wanted(["params.json", "consolidated.safetensors"]) == (
        "consolidated.safetensors",
        "params.json",
    )
    assert wanted(["consolidated.safetensors", "model.safetensors"]) == ("model.safetensors",)
    assert wanted(["../x.json", "a/b.json", "-r.json", ".json", "x\n.json", "merges.txt"]) == (
        "merges.txt",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (safetensors(), None),
        (b"", "is empty"),
        (safetensors()[:7], "its header does not fit"),
        (b"<!doctype html><title>", "its header does not fit"),
        (safetensors()[:-1], "1 more than there are"),
        ((20).to_bytes(8, "little") + b"x" * 40, "its header cannot be read"),
        ((9).to_bytes(8, "little") + b'{"w": {}}' + b"x" * 40, "its header cannot be read"),
        ((4).to_bytes(8, "little") + as_json([12]) + b"x" * 40, "its header cannot be read"),
    ],
)
def test_a_whole_safetensors_file_is_told_from_the_rest(
    tmp_path: Path, content: bytes, problem: str | None
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with path.open("rb") as stream:
        found = problem_with(stream, len(content))
    assert found is None if problem is None else problem in (found or "")
