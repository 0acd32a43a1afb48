"""What a running stack says of how its model is to be asked, and what its answers depend on. Pure.

From the file that was applied: the profile may have been edited since, or be gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from deployctl.libyaml import LOADER
from deployctl.verify.wanted import Wanted, wanted_of

#: How both engines call what chooses the next word.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``sampling``: as the profile has it, in the engines' words. ``command``: the engine's."""

    wanted: Wanted
    sampling: Mapping[str, float]
    command: tuple[str, ...]
    reasoning_parser: bool


def settings_of(compose: str, variables: Mapping[str, str]) -> Settings:
    """Read a stack's ``compose.yaml``; ``ValueError`` when it is not one of ours."""
    wanted = wanted_of(compose, variables)
    services = yaml.load(compose, Loader=LOADER)["services"]  # noqa: S506  # a safe one
    params = json.loads(services["webui"]["environment"]["DEFAULT_MODEL_PARAMS"])
    command = tuple(str(word) for word in services["engine"]["command"])
    return Settings(
        wanted=wanted,
        sampling={name: params[name] for name in _SAMPLING if name in params},
        command=command,
        reasoning_parser="--reasoning-parser" in command,
    )


def key_of(parts: Mapping[str, Any]) -> str:
    """One name for all that answers depend on: 16 digits of its SHA-256."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(texts: Sequence[str]) -> str:
    """The SHA-256 of some texts, in order."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
