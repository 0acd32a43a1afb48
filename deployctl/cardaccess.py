"""The ways in which Docker can hand NVIDIA cards to containers, as the machine's own files tell.

Reads a few files under a given root and looks for one program; runs and changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.model import CardAccess

#: What dockerd looks for on its PATH when it starts, to carry out reservations.
_HOOK = "nvidia-container-runtime-hook"

#: Where toolkits put CDI specifications, and Docker looks for them unless it is told otherwise.
_CDI_FOLDERS = ("etc/cdi", "var/run/cdi")

_DAEMON_JSON = "etc/docker/daemon.json"


def card_access(
    info: Mapping[str, Any], environment: Mapping[str, str], root: Path
) -> tuple[CardAccess, ...]:
    """The ways in which Docker can hand an NVIDIA card to a container; empty: in none.

    A reservation: NVIDIA's hook is installed, or its runtime registered, which comes with it. CDI:
    the daemon knows the cards by it. The runtime: it is registered.
    """
    return _ways(
        runtime="nvidia" in (info.get("Runtimes") or {}),
        hook=_has_hook(environment),
        named=bool(cdi(info, root)),
    )


def card_access_by_files(
    environment: Mapping[str, str], root: Path
) -> tuple[CardAccess, ...] | None:
    """The same as far as this machine's own files tell, no daemon asked; ``None``: they do not.

    Whether a daemon of 25 to 28.2 was told to use CDI at all only it knows.
    """
    try:
        said = json.loads(text_of(root / _DAEMON_JSON) or "{}")
    except ValueError:
        said = {}
    runtimes = said.get("runtimes") if isinstance(said, dict) else None
    found = _ways(
        runtime=isinstance(runtimes, dict) and "nvidia" in runtimes,
        hook=_has_hook(environment),
        named=_names_cards(_CDI_FOLDERS, root),
    )
    return found or None


def _ways(*, runtime: bool, hook: bool, named: bool) -> tuple[CardAccess, ...]:
    ways: tuple[tuple[CardAccess, bool], ...] = (
        ("reservation", hook or runtime),
        ("cdi", named),
        ("runtime", runtime),
    )
    return tuple(way for way, there in ways if there)


def _has_hook(environment: Mapping[str, str]) -> bool:
    return shutil.which(_HOOK, path=environment.get("PATH", os.defpath)) is not None


def _names_cards(folders: Iterable[str], root: Path) -> bool:
    """Whether a CDI specification in one of these folders names NVIDIA cards."""
    return any(
        "nvidia.com/gpu" in text_of(spec)
        for folder in folders
        for spec in (root / folder.lstrip("/")).glob("*")
    )


def cdi(info: Mapping[str, Any], root: Path) -> bool | None:
    """Whether the daemon finds NVIDIA's CDI specification; ``None`` when it said nothing.

    A newer one lists the devices it found, an older one only the folders it looks into.
    """
    if not info.get("ServerVersion"):  # the client answers for itself when there is no daemon
        return None
    found = (str(device.get("ID")) for device in info.get("DiscoveredDevices") or ())
    if any(name.startswith("nvidia.com/gpu") for name in found):
        return True
    return _names_cards(info.get("CDISpecDirs") or (), root)
