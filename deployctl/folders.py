"""Where the tool's own folders are: state and configuration. Reads nothing but the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_folder(environment: Mapping[str, str]) -> Path:
    """Where everything of ours lives: ``DEPLOYCTL_HOME``, else the XDG data folder."""
    return _own(environment) or _base(environment, "XDG_DATA_HOME", ".local/share")


def config_folder(environment: Mapping[str, str]) -> Path:
    """What the operator writes for us: ``DEPLOYCTL_HOME``, else the XDG configuration folder."""
    return _own(environment) or _base(environment, "XDG_CONFIG_HOME", ".config")


def _own(environment: Mapping[str, str]) -> Path | None:
    own = environment.get("DEPLOYCTL_HOME")
    return Path(own).expanduser().absolute() if own else None


def _base(environment: Mapping[str, str], variable: str, usual: str) -> Path:
    # The base directory specification: a relative path there counts as absent.
    base = environment.get(variable, "")
    if not base.startswith("/"):
        base = str(Path(environment.get("HOME") or "~").expanduser() / usual)
    return Path(base) / "deployctl"
