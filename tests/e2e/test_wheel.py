"""The package as it is installed: works from any folder, with no checkout near."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.product import Product, Stack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, product: Product, images: None) -> Product:
    """``pip install .`` in a new environment, with the home that has model and images already."""
    folder = tmp_path_factory.mktemp("environment")
    machine.run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin/python"), "-m", "pip", "install", "--quiet")
    machine.run(*pip, "--disable-pip-version-check", str(ROOT), timeout_s=300)
    return Product(
        argv=(str(folder / "bin/deployctl"),),
        home=product.home,
        cwd=Path("/"),
        environment={"PYTHONPATH": ""},
    )


def test_the_installed_command_runs_its_own_code(installed: Product) -> None:
    python = str(Path(installed.argv[0]).parent / "python")
    where = machine.run(
        "env", "-C", "/", python, "-c", "import deployctl; print(deployctl.__file__)"
    )
    assert where.startswith(str(Path(installed.argv[0]).parents[1]))


def test_the_installed_command_brings_a_stack_up_from_the_root_folder(
    installed: Product, new_stack: Callable[..., Stack]
) -> None:
    stack = new_stack("wheel", installed)
    outcome = stack.up()
    assert outcome.data["answer"]["text"].strip()
    assert {image["source"] for image in outcome.data["images"]} == {"local"}
    assert stack.status().exit_code == 0
    stack.down("--volumes")


def test_the_install_leaves_the_checkout_as_it_was() -> None:
    assert not (ROOT / "build").exists()
    assert not list(ROOT.glob("*.egg-info"))
