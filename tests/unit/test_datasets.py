"""Where datasets come from: the wheel, a file, the hub by its own client over a local server."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.catalog import Catalog
from deployctl.datasets import Datasets
from deployctl.errors import DeployctlError, Fault
from tests.fakes import FakeClock
from tests.hubserver import COMMIT, HubFile, HubServer
from tests.unit.conftest import Heard

CONTENT = b'{"problem": "What is 1+1?", "answer": "2"}\n' * 1000
AGAIN = "deployctl eval math --dataset hf:org/set --n 20"


def sources(root: Path, environment: dict[str, str] | None = None) -> Datasets:
    clock = FakeClock()
    return Datasets(
        root,
        Catalog({}).evals_dir,
        environment=environment or {},
        again=AGAIN,
        clock=clock.now,
        sleep=clock.sleep,
    )


def fails(of: Datasets, written: str) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        of.get("math", written, progress=Heard())
    return caught.value.faults[0]


@pytest.mark.parametrize("large", [True, False])
def test_a_file_of_the_hub_comes_once_and_stays(
    hub: HubServer, tmp_path: Path, large: bool
) -> None:
    hub.files["datasets/org/set/test.jsonl"] = HubFile(CONTENT, large=large)
    found = sources(tmp_path, {"HF_ENDPOINT": hub.url}).get("math", "hf:org/set", progress=Heard())
    place = tmp_path / "org/set/main/test.jsonl"
    assert (found.content, found.file, found.name) == (CONTENT, str(place), "hf:org/set")
    asked = len(hub.seen)
    assert hub.seen[0].path == "/datasets/org/set/resolve/main/test.jsonl"
    assert f"/datasets/org/set/resolve/{COMMIT}/test.jsonl" in [s.path for s in hub.seen]
    again = sources(tmp_path, {"HF_ENDPOINT": hub.url}).get("math", "hf:org/set", progress=Heard())
    assert (again, len(hub.seen)) == (found, asked)
    assert [p.name for p in place.parent.iterdir() if ".lock" not in p.name] == ["test.jsonl"]


def test_a_download_that_is_cut_goes_on(hub: HubServer, tmp_path: Path) -> None:
    file = hub.files["datasets/org/set/d/all.jsonl"] = HubFile(CONTENT, cuts=[20_000])
    found = sources(tmp_path, {"HF_ENDPOINT": hub.url}).get(
        "math", f"hf:org/set@{COMMIT}:d/all.jsonl", progress=Heard()
    )
    assert (found.content, file.cuts) == (CONTENT, [])
    ranges = [seen.headers.get("range") for seen in hub.bodies()]
    assert ranges == [None, "bytes=16384-"]


def test_the_token_goes_along(hub: HubServer, tmp_path: Path) -> None:
    hub.files["datasets/org/set/test.jsonl"] = HubFile(CONTENT, token="hf_x", large=False)
    fault = fails(sources(tmp_path, {"HF_ENDPOINT": hub.url}), "hf:org/set")
    assert fault.code == "dataset-unavailable"
    assert fault.hint.startswith(f"HF_TOKEN=hf_… {AGAIN}")
    assert "--dataset /path/to/test.jsonl" in fault.hint
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_x"}
    found = sources(tmp_path, environment).get("math", "hf:org/set", progress=Heard())
    assert found.content == CONTENT


@pytest.mark.parametrize("written", ["hf:org/other", "hf:org/set:no.jsonl", "hf:org/set@v9"])
def test_what_the_hub_has_not_is_said(hub: HubServer, tmp_path: Path, written: str) -> None:
    hub.files["datasets/org/set/test.jsonl"] = HubFile(CONTENT)
    fault = fails(sources(tmp_path, {"HF_ENDPOINT": hub.url}), written)
    assert (fault.code, fault.where) == ("dataset-unavailable", written)
    assert "--dataset hf:org/" in fault.hint


def test_a_hub_that_does_not_answer_is_said(tmp_path: Path) -> None:
    fault = fails(sources(tmp_path, {"HF_ENDPOINT": "http://127.0.0.1:1"}), "hf:org/set")
    assert fault.code == "dataset-unavailable"
    assert "does not answer" in fault.message
    assert fault.hint.startswith("HF_ENDPOINT=https://MIRROR deployctl eval math")


@pytest.mark.parametrize("written", ["hf:org", "hf:org/set@", "hf:", "hf:org/set:../x"])
def test_what_is_no_place_on_the_hub_is_refused(tmp_path: Path, written: str) -> None:
    fault = fails(sources(tmp_path), written)
    assert (fault.code, fault.where) == ("dataset-invalid", "--dataset")
    assert "model" not in fault.message


@pytest.mark.parametrize("name", ["missing.jsonl", "", "a\0b"])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    fault = fails(sources(tmp_path), f"{tmp_path}/{name}")
    assert fault.code == "dataset-invalid"
    assert fault.hint.startswith("ls -l ")


def test_a_file_and_the_shipped_sets_are_read_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(CONTENT)
    found = sources(tmp_path).get("math", str(tmp_path / "own.jsonl"), progress=Heard())
    assert found.content == CONTENT
    for kind in ("math", "tools", "json"):
        shipped = sources(tmp_path).get(kind, None, progress=Heard())
        assert shipped.content.startswith(b"{")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own.jsonl"]
