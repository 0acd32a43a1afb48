"""Every scenario has its place in the order, and its line in the document."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import ORDER

ROOT = Path(__file__).parents[2]


def test_every_scenario_has_its_place_in_the_order() -> None:
    files = {path.stem for path in (ROOT / "tests/e2e").rglob("test_*.py")}
    assert sorted(ORDER) == sorted(files)


def test_the_document_lists_the_scenarios_in_their_order() -> None:
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `test_")]
    assert rows == list(ORDER)
