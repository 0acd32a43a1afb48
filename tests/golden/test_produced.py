"""What is checked in is what the code makes. After a wanted change: ``make golden``."""

from pathlib import Path

import pytest

from tests.golden.produced import ROOT, SCREENS, produced, screen

PRODUCED = produced()


@pytest.mark.parametrize("path", PRODUCED, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PRODUCED[path]


@pytest.mark.parametrize("name", SCREENS)
def test_screen_is_current(name: str) -> None:
    kept = ROOT / f"tests/golden/screens/{name}.txt"
    assert kept.read_text(encoding="utf-8") == screen(SCREENS[name])


def test_no_stack_of_a_profile_that_is_gone() -> None:
    kept = set((ROOT / "compose").glob("*.yaml"))
    assert kept <= set(PRODUCED)
