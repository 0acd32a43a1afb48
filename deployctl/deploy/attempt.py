"""One ``up`` under way, and how far it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import UpRequest
    from deployctl.errors import DeployctlError
    from deployctl.workspace import Workspace


@dataclass(slots=True)
class Attempt:
    """One ``up``, and how far it came: what it leaves behind when it fails depends on that."""

    run: Run
    space: Workspace
    request: UpRequest
    held: bool = False  # the stack is ours to change
    stands: bool = False  # all of it was started, or was found as wanted

    def say(self, error: DeployctlError) -> None:
        """Say why it failed before something that takes long, and may be interrupted, is done."""
        faults = (f"{fault.message} [{fault.code}]" for fault in error.faults)
        self.run.world.talk.warn("\n".join(faults))
