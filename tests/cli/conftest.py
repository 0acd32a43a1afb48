from pathlib import Path

import pytest

from tests.world import Box


@pytest.fixture(autouse=True)
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands behave differently where CI=true; the tests of that say so themselves."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)
