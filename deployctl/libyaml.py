"""The YAML parser: libyaml's where PyYAML has it, many times as fast as the one in Python."""

from __future__ import annotations

from typing import Any

import yaml

#: A safe loader, for ``yaml.load`` and friends. PyYAML's loaders share no public type.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
