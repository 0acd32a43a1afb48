"""YAML as tests read it: with the fast parser where there is one."""

from __future__ import annotations

from typing import Any

import yaml

from deployctl.libyaml import LOADER


def parsed(text: str | bytes) -> Any:  # whatever stands there
    """What stands in a text of one document."""
    return yaml.load(text, Loader=LOADER)  # a safe loader
