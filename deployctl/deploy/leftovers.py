"""What an `up` leaves behind of the stack before it, once nothing mounts that any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl import stackfolders
from deployctl.render import folders

if TYPE_CHECKING:
    from deployctl.deploy.start import Wanted
    from deployctl.model import Bundle
    from deployctl.workspace import Manifest, Workspace


def beside(bundle: Bundle) -> tuple[str, ...]:
    """The names of our files beside the stack's own."""
    return tuple(file.name for file in bundle.files if file.name != "compose.yaml")


def on_record(bundle: Bundle, kept: Manifest | None) -> tuple[str, ...]:
    """Those that there may be from now on: what is written, and what was and is not removed yet."""
    before = () if kept is None else kept.files
    return tuple(dict.fromkeys((*before, *beside(bundle))))


def tidy(space: Workspace, wanted: Wanted, kept: Manifest | None) -> None:
    """Remove what only containers that are gone now had mounted; the operator's files stay.

    Only files that the manifest says we wrote: whatever else lies there is not ours.
    """
    files = set(() if kept is None else kept.files) - set(beside(wanted.bundle))
    mounted = folders(wanted.plan, wanted.bundle)
    ours = {stackfolders.EXPORTED: (stackfolders.NAMES,)}
    every = {name: ours.get(name, ()) for name in (*ours, *stackfolders.own_folders())}
    stackfolders.tidy(space.folder, files, {n: of for n, of in every.items() if n not in mounted})
