"""Python packages that only some commands need: installed by name, as extras of deployctl."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable

from deployctl.errors import DeployctlError

#: Extra → the modules that it brings, as they are imported.
MODULES = {"chart": ("matplotlib",), "eval": ("jsonschema", "math_verify")}


def _here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def need(extra: str, *, here: Callable[[str], bool] = _here, python: str = sys.executable) -> None:
    """Make sure that an extra's packages are here; ``extra-missing`` says how to get them.

    ``here`` tells of a module whether ``python`` can import it.
    """
    missing = [name for name in MODULES[extra] if not here(name)]
    if missing:
        raise DeployctlError(
            f"This needs Python packages that are not here: {', '.join(missing)}.",
            code="extra-missing",
            where=python,
            hint=_install(extra, python, pip=here("pip")),
        )


def _install(extra: str, python: str, *, pip: bool) -> str:
    """The command that adds an extra to the deployctl that is here, also to that of a checkout.

    An environment that uv made has no pip; uv itself installs into it.
    """
    words = (
        (python, "-m", "pip", "install") if pip else ("uv", "pip", "install", "--python", python)
    )
    return f"{shlex.join(words)} 'deployctl[{extra}]'"
