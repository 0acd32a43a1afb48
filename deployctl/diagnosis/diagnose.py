"""From evidence to one fault with a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.errors import Fault

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Evidence, Way


def diagnose(evidence: Evidence, way: Way) -> Fault:
    """Say why; what is not recognised shows its last lines and says that the cause is unknown."""
    role = "engine" if evidence.service == "engine" else "frontend"
    return Fault(
        code=f"{role}-exited",
        message=f"The {role} stopped; the cause is unknown.",
        where=evidence.service,
        hint=way.logs(evidence.service),
        details=evidence.log[-30:],
    )
