"""Whether the chat window has no model, or no answer, by a setting that was changed in its panel.

Asks the chat window as its administrator; changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deploy import drift as drifting
from deployctl.deploy import stack
from deployctl.deploy.admin import Admin
from deployctl.deploy.checks import failed, skipped
from deployctl.drift import because_of
from deployctl.errors import DeployctlError, Fault
from deployctl.outcomes import CheckResult
from deployctl.readiness import model_ids, not_listed
from deployctl.vitals import environment_of

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.drift import Drift
    from deployctl.model import Plan
    from deployctl.readiness import Endpoints
    from deployctl.workspace import Workspace

#: The check of ``status``.
_NAME = "model listed"


def blame_settings(world: World, space: Workspace, plan: Plan, fault: Fault) -> Fault:
    """A failed proof, told with the setting that is why; every other fault as it is.

    What cannot be looked at blames nothing.
    """
    if fault.code != "proof-failed":
        return fault
    try:
        frontend = next(s for s in world.docker.containers(space.stack) if s.service == "webui")
        at = stack.endpoints(space, plan.served_name, *stack.host_ports(plan))
        environment = environment_of(world.docker.inspect(frontend.id))
        admin = Admin(world.http, space, at)
        found = drifting.of_webui(admin, environment, plan.served_name, space.stack)
    except (DeployctlError, StopIteration):
        return fault
    return because_of(fault, found)


def listed(admin: Admin, at: Endpoints, drift: tuple[Drift, ...]) -> CheckResult:
    """Whether the chat window offers the model; for ``status``, of an engine that answers."""
    try:
        names = model_ids(admin.get("/api/models"))
    except DeployctlError as problem:
        first = problem.faults[0]
        if because_of(first, drift) == first:
            return skipped(_NAME, f"not looked at: {first.message}", first.hint)
        names = ()
    if at.served_name in names:
        return CheckResult(
            name=_NAME, status="ok", summary=f"offers {at.served_name}", where="webui"
        )
    fault = not_listed(at, names).faults[0]
    return failed(_NAME, because_of(fault, drift))
