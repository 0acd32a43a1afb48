"""Python packages that only some commands need: installed by name, as extras of deployctl."""

from __future__ import annotations

import importlib.util
import sys

from deployctl.errors import DeployctlError

#: Extra → the modules that it brings, as they are imported.
MODULES = {"chart": ("matplotlib",), "eval": ("jsonschema", "math_verify")}


def need(extra: str) -> None:
    """Make sure that an extra's packages are here; ``extra-missing`` says how to get them."""
    missing = [name for name in MODULES[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise DeployctlError(
            f"This needs Python packages that are not here: {', '.join(missing)}.",
            code="extra-missing",
            where=sys.executable,
            hint=f"{sys.executable} -m pip install 'deployctl[{extra}]'",
        )
