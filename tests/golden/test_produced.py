"""What is checked in is what the code makes. After a wanted change: ``make golden``."""

from pathlib import Path

import pytest

from deployctl.catalog import Catalog
from tests.golden.produced import ROOT, SCREENS, produced, screen
from tests.yamltext import parsed

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
    kept |= {path for path in (ROOT / "compose/addons").rglob("*") if path.is_file()}
    assert kept <= set(PRODUCED)


def test_each_stack_mounts_the_model_it_names() -> None:
    for path, text in PRODUCED.items():
        if path.parent.name == "compose" and path.suffix == ".yaml":
            mounts = parsed(text)["services"]["engine"]["volumes"]
            (mount,) = (mount for mount in mounts if "DEPLOYCTL_MODEL" in mount["source"])
            assert mount["source"].rstrip("}").endswith(mount["target"].rsplit("/", 1)[-1])


def test_no_document_has_a_gap_left_to_fill() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        assert "@@" not in path.read_text(encoding="utf-8"), path


def test_the_readme_has_a_row_for_each_profile() -> None:
    rows = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    for name in Catalog({"HOME": "/nonexistent"}).shipped_names():
        assert sum(row.startswith(f"| `{name}` |") for row in rows) == 1, name
