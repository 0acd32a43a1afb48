"""What to type where an extra's packages are missing."""

from __future__ import annotations

import pytest

from deployctl.errors import DeployctlError
from deployctl.extras import need


def hint(python: str, *here: str) -> str:
    with pytest.raises(DeployctlError) as problem:
        need("eval", here=lambda module: module in here, python=python)
    (fault,) = problem.value.faults
    assert fault.code == "extra-missing"
    return fault.hint


def test_what_is_there_is_not_asked_for() -> None:
    need("eval", here=lambda _: True)


def test_only_what_is_missing_is_named() -> None:
    with pytest.raises(DeployctlError, match=r"not here: math_verify\."):
        need("eval", here=lambda module: module != "math_verify")


def test_pip_is_that_of_the_python_that_runs_us() -> None:
    assert hint("/v/bin/python", "pip") == "/v/bin/python -m pip install 'deployctl[eval]'"


def test_a_path_with_a_space_can_be_typed() -> None:
    assert hint("/my v/python", "pip") == "'/my v/python' -m pip install 'deployctl[eval]'"


def test_an_environment_without_pip_is_uvs() -> None:
    assert hint("/my v/python") == ("uv pip install --python '/my v/python' 'deployctl[eval]'")
