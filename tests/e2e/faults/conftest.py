"""What the faults share: a patient that is healthy before each, and its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.faults.patient import Patient
from tests.e2e.product import Product, Stack


@pytest.fixture(scope="session")
def _admitted(new_stack: Callable[[str], Stack], images: None) -> Patient:
    return Patient(stack=new_stack("patient"))


@pytest.fixture
def patient(_admitted: Patient) -> Iterator[Patient]:
    """A stack that is up and healthy, with a chat; its override is taken away afterwards."""
    _admitted.admit()
    yield _admitted
    _admitted.stack.override.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def model(product: Product, images: None) -> Path:
    """The whole model file that the stacks run."""
    (found,) = (product.home / "models/wheel").rglob("*.gguf")
    return found
