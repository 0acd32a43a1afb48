import re
from pathlib import Path

import pytest

from deployctl.errors import CODES, DeployctlError, ExitCode, Fault


def test_every_code_is_kebab_case_and_a_sentence() -> None:
    for code, (_, meaning) in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert meaning.endswith(".")


def test_an_unknown_code_or_missing_hint_is_refused() -> None:
    with pytest.raises(ValueError, match="undocumented"):
        Fault(code="nope", message="m", hint="h")
    with pytest.raises(ValueError, match="hint"):
        Fault(code="usage", message="m", hint="")


def test_the_first_fault_decides() -> None:
    first = Fault(code="port-taken", message="a", hint="b")
    second = Fault(code="usage", message="c", hint="d")
    error = DeployctlError.of((first, second))
    assert error.exit_code is ExitCode.PREFLIGHT
    assert error.faults == (first, second)


def test_every_code_used_is_known_and_every_known_code_used() -> None:
    package = Path(__file__).parents[2] / "deployctl"
    text = "\n".join(path.read_text() for path in package.rglob("*.py") if path.name != "errors.py")
    unused = [code for code in CODES if f'"{code}"' not in text]
    composed = {"engine-exited", "frontend-exited", "engine-not-ready", "frontend-not-ready"}
    assert set(unused) <= composed
