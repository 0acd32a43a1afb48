"""Model files from the hub: the real huggingface_hub client against a hub on loopback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.model import WeightsSpec
from tests.ggufs import gguf
from tests.hubserver import COMMIT, HubFile, HubServer
from tests.unit.conftest import Shelf, spec

MIB = 1024 * 1024
CONTENT = gguf(64 * 1024)
MODEL = spec("hf:org/repo:m.gguf")
PLACE = "hf/org/repo/main/m.gguf"


@pytest.fixture
def file(hub: HubServer) -> HubFile:
    hub.files["org/repo/m.gguf"] = HubFile(CONTENT)
    return hub.files["org/repo/m.gguf"]


@pytest.fixture
def shelf(shelf: Shelf, hub: HubServer) -> Shelf:
    shelf.environment["HF_ENDPOINT"] = hub.url
    return shelf


def fails(shelf: Shelf, what: WeightsSpec = MODEL) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(what, progress=shelf.heard)
    assert not shelf.store.path_of(what.source).exists()
    return caught.value.faults[0]


def test_the_local_hub_speaks_the_protocol_of_the_real_client(
    hub: HubServer, file: HubFile, tmp_path: Path
) -> None:
    from huggingface_hub import hf_hub_download

    got = hf_hub_download("org/repo", "m.gguf", endpoint=hub.url, local_dir=tmp_path, token=False)
    assert Path(got).read_bytes() == CONTENT


def test_a_file_is_downloaded_verified_and_found_again(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (got.path, got.size_bytes, got.how) == (shelf.root / PLACE, len(CONTENT), "downloaded")
    assert got.path.read_bytes() == CONTENT
    assert shelf.files() == [PLACE, f"{PLACE}.verified"]

    asked = len(hub.seen)
    again = shelf.store.locate(MODEL)
    assert again is not None
    assert (again.path, again.how) == (got.path, "cached")
    assert shelf.store.fetch(MODEL, progress=shelf.heard) == again
    assert len(hub.seen) == asked


def test_progress_counts_bytes_up_to_the_end(shelf: Shelf, file: HubFile) -> None:
    shelf.store.fetch(MODEL, progress=shelf.heard)
    steps = [(done, total) for text, done, total in shelf.heard.lines if "downloading" in text]
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)


def test_a_file_kept_outside_the_large_file_storage_works_too(shelf: Shelf, file: HubFile) -> None:
    file.large = False
    assert shelf.store.fetch(MODEL, progress=shelf.heard).size_bytes == len(CONTENT)


def test_a_cut_connection_is_continued_within_the_call(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    file.cuts = [20_000, 40_000]
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert got.path.read_bytes() == CONTENT
    ranges = [seen.headers.get("range") for seen in hub.bodies()]
    assert ranges == [None, "bytes=16384-", "bytes=49152-"]
    assert shelf.clock.seconds == 0.5 + 1.0
    assert any("trying again in 0.5 s" in text for text in shelf.heard.texts)


def test_tries_that_get_far_do_not_use_up_the_patience(shelf: Shelf, hub: HubServer) -> None:
    content = gguf(8 * MIB)
    hub.files["org/repo/m.gguf"] = HubFile(content, cuts=[MIB + 1] * 7)
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert hashlib.sha256(got.path.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert len(hub.bodies()) == 8


def test_a_download_that_keeps_breaking_is_continued_by_the_next_call(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    file.cuts = [20_000, 0, 0, 0, 0]
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert fault.message == (
        f"127.0.0.1:{hub.port} stopped answering during the download of m.gguf."
    )
    part = shelf.root / f"{PLACE}.part"
    assert f"kept for the next time: {part}, 16.00 KiB (16,384 bytes)" in fault.details
    assert shelf.files() == [f"{PLACE}.part", f"{PLACE}.part.json"]

    hub.seen.clear()
    shelf.store.fetch(MODEL, progress=shelf.heard)
    assert [seen.headers.get("range") for seen in hub.bodies()] == ["bytes=16384-"]
    assert shelf.files() == [PLACE, f"{PLACE}.verified"]


def test_an_interruption_keeps_the_part(shelf: Shelf, hub: HubServer, file: HubFile) -> None:
    class Interrupt:
        def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
            if "downloading" in text and done:
                raise KeyboardInterrupt

    hub.files["org/repo/m.gguf"] = HubFile(gguf(2 * MIB))
    clock = iter(range(10**6))
    shelf.now = lambda: float(next(clock))  # every report is due
    with pytest.raises(KeyboardInterrupt):
        shelf.store.fetch(MODEL, progress=Interrupt())
    assert shelf.files() == [f"{PLACE}.part", f"{PLACE}.part.json"]
    hub.seen.clear()
    assert shelf.store.fetch(MODEL, progress=shelf.heard).how == "downloaded"
    (request,) = hub.bodies()
    assert int(request.headers["range"].removeprefix("bytes=").rstrip("-")) > 0


def test_a_download_in_another_thread_is_stopped(shelf: Shelf, file: HubFile) -> None:
    store = shelf.store
    file.cuts = [20_000]

    def during(text: str, *, done: int | None = None, total: int | None = None) -> None:
        if done:
            store.stop()

    with pytest.raises(KeyboardInterrupt):
        store.fetch(MODEL, progress=during)
    assert shelf.files() == [f"{PLACE}.part", f"{PLACE}.part.json"]
    with pytest.raises(KeyboardInterrupt):
        store.fetch(MODEL, progress=shelf.heard)
    store.resume()
    assert store.fetch(MODEL, progress=shelf.heard).how == "downloaded"


def test_a_part_of_another_version_of_the_file_is_not_continued(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    file.cuts = [20_000, 0, 0, 0, 0]
    fails(shelf)
    changed = gguf(64 * 1024, seed=9)
    hub.files["org/repo/m.gguf"] = HubFile(changed)
    assert shelf.store.fetch(MODEL, progress=shelf.heard).path.read_bytes() == changed


def test_a_server_without_ranges_starts_again(shelf: Shelf, hub: HubServer, file: HubFile) -> None:
    file.cuts, file.ranges = [10_000], False
    assert shelf.store.fetch(MODEL, progress=shelf.heard).path.read_bytes() == CONTENT


def test_a_busy_server_is_given_the_time_it_asks_for(shelf: Shelf, file: HubFile) -> None:
    file.statuses = [503]
    shelf.store.fetch(MODEL, progress=shelf.heard)
    assert shelf.clock.seconds == 7.0  # Retry-After


def test_the_token_goes_to_the_hub_and_to_nobody_else(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    file.token = shelf.environment["HF_TOKEN"] = "hf_secret"
    shelf.store.fetch(MODEL, progress=shelf.heard)
    with_token = {seen.host.split(":")[0] for seen in hub.seen if "authorization" in seen.headers}
    assert with_token == {"127.0.0.1"}
    assert {seen.host.split(":")[0] for seen in hub.bodies()} == {"localhost"}


def test_the_commit_is_downloaded_not_the_branch(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    shelf.store.fetch(MODEL, progress=shelf.heard)
    asked = [(seen.method, seen.path.split("/")[4]) for seen in hub.seen if "resolve" in seen.path]
    assert asked == [("HEAD", "main"), ("GET", COMMIT)]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_is_refused_with_the_way_to_get_in(
    shelf: Shelf, hub: HubServer, file: HubFile, status: int
) -> None:
    file.token, file.forbidden = ("hf_right", False) if status == 401 else (None, True)
    shelf.environment["HF_TOKEN"] = "hf_wrong"
    fault = fails(shelf)
    assert fault.code == "weights-denied"
    assert "m.gguf of org/repo" in fault.message
    assert f"127.0.0.1:{hub.port} answered: {status} Client Error" in fault.details[0]
    assert fault.details[1] == "asked with HF_TOKEN"
    assert "HF_TOKEN=" in fault.hint
    assert "model.source=file:/path/to/m.gguf" in fault.hint
    assert "hf_wrong" not in str(fault)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:org/other:m.gguf", "no repository org/other"),
        ("hf:org/repo@v9:m.gguf", "no revision v9 of org/repo"),
        ("hf:org/repo:n.gguf", "no file n.gguf in org/repo@main"),
    ],
)
def test_what_does_not_exist_is_named(
    shelf: Shelf, hub: HubServer, file: HubFile, source: str, message: str
) -> None:
    fault = fails(shelf, spec(source))
    assert (fault.code, fault.message) == (
        "weights-not-found",
        f"127.0.0.1:{hub.port} has {message}.",
    )


def test_a_wrong_pin_is_noticed_before_the_download(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    fault = fails(shelf, spec("hf:org/repo:m.gguf", sha256="a" * 64))
    assert fault.code == "weights-corrupt"
    assert fault.details == (f"expected sha256: {'a' * 64}", f"offered sha256:  {file.sha256}")
    assert hub.bodies() == []


def test_a_download_with_the_wrong_checksum_is_kept_aside(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    file.large = False  # then the hub itself knows no checksum
    fault = fails(shelf, spec("hf:org/repo:m.gguf", sha256="a" * 64))
    assert fault.code == "weights-corrupt"
    assert fault.message == "m.gguf has the wrong checksum."
    assert fault.details == (
        f"expected sha256: {'a' * 64}",
        f"found sha256:    {file.sha256}",
        f"kept for inspection: {shelf.root / PLACE}.corrupt",
    )
    assert shelf.files() == [f"{PLACE}.corrupt"]
    shelf.store.fetch(MODEL, progress=shelf.heard)
    assert shelf.files() == [PLACE, f"{PLACE}.verified"]


def test_a_full_disk_is_noticed_before_the_download(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    shelf.free_bytes = 10_000
    fault = fails(shelf)
    assert fault.code == "weights-no-space"
    assert fault.message == (
        "m.gguf needs 64.31 KiB (65,856 bytes) more, "
        f"and the disk of {(shelf.root / PLACE).parent} has 9.77 KiB (10,000 bytes) left."
    )
    assert fault.details[0] == "short of: 54.55 KiB (55,856 bytes)"
    assert not (shelf.root / f"{PLACE}.part").exists()


def test_a_captive_portal_is_not_taken_for_the_hub(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    hub.portal = True
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert "not like a model hub" in fault.details[0]


def test_a_silent_hub_is_named_with_both_ways_out(shelf: Shelf, hub: HubServer) -> None:
    hub.stop()
    fault = fails(shelf)
    assert fault.code == "weights-unreachable"
    assert fault.message == (
        "The model file m.gguf cannot be downloaded: "
        f"the model hub 127.0.0.1:{hub.port} does not answer."
    )
    assert "refused" in fault.details[0]
    assert fault.hint == (
        "Bring the file from a machine that has it: `deployctl up --profile cpu-only "
        "--set model.source=file:/path/to/m.gguf`; or use a mirror of the hub: "
        "`HF_ENDPOINT=https://MIRROR deployctl up --profile cpu-only`"
    )


def test_reachable_means_that_this_file_could_be_had(
    shelf: Shelf, hub: HubServer, file: HubFile
) -> None:
    store = shelf.store
    assert store.reachable(MODEL.source, timeout_s=5)
    assert not store.reachable(spec("hf:org/repo:n.gguf").source, timeout_s=5)
    file.forbidden = True
    assert not store.reachable(MODEL.source, timeout_s=5)
    hub.stop()
    assert not store.reachable(MODEL.source, timeout_s=5)
