from pathlib import Path

import pytest

from tests.world import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)
