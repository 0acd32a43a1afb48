"""YAML's parser and writer: libyaml's where PyYAML has it, far faster than those in Python."""

from __future__ import annotations

from typing import Any

import yaml

#: A safe loader, for ``yaml.load`` and friends. PyYAML's loaders share no public type.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: A safe writer, to derive others from.
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
