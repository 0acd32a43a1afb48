"""Model files from plain web servers: resume by entity tag, refusals, pages in disguise."""

from __future__ import annotations

import socket

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.model import WeightsSpec
from tests.ggufs import gguf
from tests.hubserver import HubFile, HubServer
from tests.unit.conftest import Shelf, spec

CONTENT = gguf(64 * 1024)


@pytest.fixture
def file(hub: HubServer) -> HubFile:
    hub.files["m.gguf"] = HubFile(CONTENT)
    return hub.files["m.gguf"]


@pytest.fixture
def model(hub: HubServer) -> WeightsSpec:
    return spec(f"{hub.url}/web/m.gguf")


def fails(shelf: Shelf, what: WeightsSpec) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(what, progress=shelf.heard)
    assert not shelf.store.path_of(what.source).exists()
    return caught.value.faults[0]


def test_a_file_lands_below_its_host(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert got.path == shelf.root / f"https/127.0.0.1_{hub.port}/web/m.gguf"
    assert got.path.read_bytes() == CONTENT


def test_another_query_is_another_file(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    one = shelf.store.path_of(spec(f"{hub.url}/web/m.gguf?v=1").source)
    two = shelf.store.path_of(spec(f"{hub.url}/web/m.gguf?v=2").source)
    assert len({one, two, shelf.store.path_of(model.source)}) == 3
    assert one.name == two.name == "m.gguf"


def test_it_is_continued_only_while_the_entity_tag_is_the_same(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    file.cuts = [20_000, 0, 0, 0, 0]
    assert fails(shelf, model).code == "weights-unreachable"
    hub.seen.clear()
    changed = gguf(64 * 1024, seed=9)
    hub.files["m.gguf"] = HubFile(changed)
    assert shelf.store.fetch(model, progress=shelf.heard).path.read_bytes() == changed
    (request,) = hub.bodies()
    assert request.headers["range"] == "bytes=16384-"
    assert request.headers["if-range"].startswith('"')


def test_a_file_that_became_shorter_is_begun_again(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    pinned = WeightsSpec(source=model.source, sha256=HubFile(gguf(512)).sha256)
    file.cuts = [60_000, 0, 0, 0, 0]
    fails(shelf, pinned)
    hub.files["m.gguf"] = HubFile(gguf(512))
    assert shelf.store.fetch(pinned, progress=shelf.heard).path.read_bytes() == gguf(512)


def test_without_a_length_a_cut_file_is_still_noticed(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    file.says_length, file.cuts = False, [40_000]
    fault = fails(shelf, model)
    assert fault.code == "weights-corrupt"
    assert "is cut off: its own header asks for 65,856 bytes" in fault.message


def test_a_sign_in_page_never_becomes_a_model(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    file.html = True
    fault = fails(shelf, model)
    assert fault.code == "weights-corrupt"
    assert fault.message == f"127.0.0.1:{hub.port} answered with a web page instead of m.gguf."
    assert "content type: text/html; charset=utf-8" in fault.details
    assert shelf.files() == []


def test_a_page_that_does_not_say_it_is_one_is_noticed_by_its_first_bytes(
    shelf: Shelf, hub: HubServer, model: WeightsSpec
) -> None:
    hub.files["m.gguf"] = HubFile(b"<!doctype html><title>Sign in to the network</title>")
    fault = fails(shelf, model)
    assert fault.message == ("m.gguf is not a GGUF model: it begins with `<!do`, not with `GGUF`.")
    assert fault.details[0] == (
        "the file begins: <!doctype html><title>Sign in to the network</title>"
    )
    assert fault.details[1].startswith("kept for inspection: ")


def test_another_size_than_the_pinned_one_is_noticed_before_the_download(
    shelf: Shelf, file: HubFile, model: WeightsSpec
) -> None:
    fault = fails(shelf, WeightsSpec(source=model.source, size_bytes=7))
    assert fault.code == "weights-corrupt"
    assert fault.details == ("expected: 7 bytes", "offered:  64.31 KiB (65,856 bytes)")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "weights-denied"), (403, "weights-denied"), (404, "weights-not-found")],
)
def test_a_refusal_is_not_tried_again(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec, status: int, code: str
) -> None:
    file.statuses = [status]
    fault = fails(shelf, model)
    assert (fault.code, len(hub.bodies())) == (code, 1)
    assert str(status) in fault.details[0]


def test_a_name_nobody_knows_fails_at_once(shelf: Shelf) -> None:
    fault = fails(shelf, spec("https://models.invalid/m.gguf"))
    assert fault.code == "weights-unreachable"
    assert fault.message == (
        "The model file m.gguf cannot be downloaded: models.invalid does not answer."
    )
    assert "models.invalid" in fault.details[0]
    assert shelf.clock.seconds < 1


def test_reachable_is_about_this_file_and_keeps_its_time(
    shelf: Shelf, hub: HubServer, file: HubFile, model: WeightsSpec
) -> None:
    assert shelf.store.reachable(model.source, timeout_s=5)
    assert not shelf.store.reachable(spec(f"{hub.url}/web/n.gguf").source, timeout_s=5)
    file.html = True
    assert not shelf.store.reachable(model.source, timeout_s=5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts, never answers
        source = spec(f"http://127.0.0.1:{deaf.getsockname()[1]}/m.gguf").source
        assert not shelf.store.reachable(source, timeout_s=0.2)
