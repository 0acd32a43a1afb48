import json
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.catalog import Catalog
from deployctl.deploy.learn import learn, named
from deployctl.engines.figures import Figures
from deployctl.fitting import fitting
from deployctl.learned import FILE, Learned
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.sizing import Part
from tests.fakes import container, facts
from tests.world import Box

CATALOG = Catalog({"HOME": "/nonexistent"})


def plan(*sets: str) -> Plan:
    selection = Selection(profile="smoke", sets=sets)
    return build_plan(resolve(selection, CATALOG.readers()))


def test_what_was_measured_is_what_the_next_plan_says(tmp_path: Path) -> None:
    Learned(tmp_path).keep(plan(), {"conversations": 90 << 20})
    learned = Learned(tmp_path).of(plan())
    fitted = fitting(plan(), facts(), learned=learned)
    assert fitted is not None
    (part,) = (part for part in fitted.parts if part.name == "conversations")
    assert (part.bytes, part.basis) == (90 << 20, "measured")


def test_another_load_is_another_measurement(tmp_path: Path) -> None:
    Learned(tmp_path).keep(plan(), {"conversations": 1})
    assert Learned(tmp_path).of(plan("concurrency=3")) == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\x00", b'{"a": 3}'])
def test_a_damaged_file_only_forgets(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert Learned(tmp_path).of(plan()) == {}
    Learned(tmp_path).keep(plan(), {"weights": 2})
    assert Learned(tmp_path).of(plan()) == {"weights": 2}


def test_it_never_grows_without_end(tmp_path: Path) -> None:
    known = {str(number): {"weights": 1} for number in range(500)}
    (tmp_path / FILE).write_text(json.dumps(known))
    Learned(tmp_path).keep(plan(), {"weights": 2})
    kept = json.loads((tmp_path / FILE).read_text())
    assert len(kept) == 200
    assert Learned(tmp_path).of(plan()) == {"weights": 2}


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    Learned(tmp_path / "gone").keep(plan(), {"weights": 2})
    assert Learned(tmp_path / "gone").of(plan()) == {}


def test_an_engine_that_says_nothing_teaches_nothing(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    learn(box.world(), "deployctl", plan())  # no container at all
    box.docker.states["engine"] = container("engine")
    box.docker.tails = {"id-engine": ("hello",)}
    learn(box.world(), "deployctl", plan())
    assert not (tmp_path / FILE).exists()


def test_with_a_card_only_the_conversations_are_in_one_memory() -> None:
    figures = Figures(weights_bytes=1, kv_bytes=2, compute_bytes=3, kv_tokens=4)
    on_cpu = plan()
    assert on_cpu.load is not None
    on_card = replace(on_cpu, load=replace(on_cpu.load, device="cuda"))
    assert named(figures, on_cpu, 10) == {
        "weights": 1,
        "conversations": 2,
        "working space": 3,
        "in all": 10,
    }
    assert named(figures, on_card, 10) == {"conversations": 2, "in all": 10}


def test_of_vllm_the_tokens_are_exact_and_the_bytes_are_rounded() -> None:
    figures = Figures(kv_bytes=round(0.09 * 1024**3), kv_tokens=4224)
    on_vllm = build_plan(resolve(Selection(profile="smoke-vllm"), CATALOG.readers()))
    assert named(figures, on_vllm, None) == {"conversations": 4224 * 23040}
    assert named(Figures(kv_bytes=5), on_vllm, None) == {"conversations": 5}


def test_what_services_took_here_is_what_the_next_plan_reckons_with(tmp_path: Path) -> None:
    known = Learned(tmp_path)

    def window() -> Part:
        fitted = fitting(plan(), facts(), learned=known.of(plan()))
        assert fitted is not None
        return next(part for part in fitted.parts if part.name == "chat window")

    assert window().bytes == plan().service("webui").need.bytes  # type: ignore[union-attr]
    known.keep_taken(plan(), {"webui": ("sha256:one", 300), "stranger": ("sha256:two", 7)})
    assert (window().bytes, window().basis, window().why) == (
        300,
        "measured",
        "the most it took here",
    )
    known.keep_taken(plan(), {"webui": ("sha256:one", 200)})  # it has taken more
    assert window().bytes == 300
    known.keep_taken(plan(), {"webui": ("sha256:other", 200)})
    assert window().bytes == 200


def test_what_was_measured_at_work_is_not_less_because_one_has_only_started(
    tmp_path: Path,
) -> None:
    with_cache = build_plan(
        resolve(Selection(profile="smoke", addons=("cache",)), CATALOG.readers())
    )
    shipped = with_cache.service("cache").need
    assert shipped is not None
    known = Learned(tmp_path)

    def cache() -> int:
        fitted = fitting(with_cache, facts(), learned=known.of(with_cache))
        assert fitted is not None
        return next(part.bytes for part in fitted.parts if part.name == shipped.name)

    known.keep_taken(with_cache, {"cache": ("sha256:one", 300)})
    assert cache() == shipped.bytes
    known.keep_taken(with_cache, {"cache": ("sha256:one", 10 * shipped.bytes)})
    assert cache() == 10 * shipped.bytes
