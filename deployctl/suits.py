"""Whether a machine is of the kind that a plan is made for: its processor, and its card. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployctl.fitting import own_card
from deployctl.outcomes import CheckResult

if TYPE_CHECKING:
    from deployctl.model import Gpu, HostFacts, Plan


def architecture(
    plan: Plan, facts: HostFacts, auto: str = "deployctl up --profile auto"
) -> CheckResult:
    """Whether the plan's images exist for this processor."""
    allowed = plan.requirements.architectures
    if facts.architecture in allowed:
        return CheckResult(name="architecture", status="ok", summary=facts.architecture)
    return CheckResult(
        name="architecture",
        status="failed",
        summary=f"Profile {plan.profile} runs on {', '.join(allowed)}; "
        f"this machine is {facts.architecture}.",
        code="arch-unsupported",
        hint=auto,
    )


def card(plan: Plan, facts: HostFacts) -> tuple[CheckResult, ...]:
    """Whether the card that the plan computes on is here, and able."""
    if plan.requirements.card is None:
        return ()
    here = own_card(plan, facts)
    if here is None:
        return (_no_card(plan, facts),)
    return tuple(_unable(plan, here, facts)) or (
        CheckResult(name="card", status="ok", summary=here.name),
    )


def _no_card(plan: Plan, facts: HostFacts) -> CheckResult:
    wanted = plan.requirements.card
    assert wanted is not None
    made_for = f"{wanted.name or 'a card'}, {wanted.memory_bytes / 1024**3:g} GiB"
    others = ", ".join(gpu.name for gpu in facts.gpus)
    seen = f"this machine shows {others}" if others else "this machine shows none"
    kind = "an NVIDIA card" if _nvidia(plan) else "a graphics card"
    return _failed(
        "gpu-missing",
        f"Profile {plan.profile} needs {kind} (made for {made_for}), and {seen}.",
        "deployctl recommend  # which profiles this machine can run",
    )


def _unable(plan: Plan, here: Gpu, facts: HostFacts) -> Iterator[CheckResult]:
    wanted = plan.requirements.card
    assert wanted is not None
    if not _nvidia(plan):
        return
    if here.driver is None:
        yield _failed(
            "gpu-driver-missing",
            f"{here.name} is in this machine, but NVIDIA's driver does not answer.",
            "nvidia-smi  # says what is wrong with it",
        )
        return
    least, has = wanted.compute_capability, here.compute_capability
    if least and has and _number(has) < _number(least):
        yield _failed(
            "gpu-too-old",
            f"{here.name} has compute capability {has}; profile {plan.profile} needs {least}.",
            "deployctl recommend  # which profiles this card can run",
        )
    if wanted.driver and _number(here.driver) < (wanted.driver,):
        yield _failed(
            "gpu-driver-old",
            f"The driver of {here.name} is {here.driver}; the image of profile {plan.profile} "
            f"needs {wanted.driver} or newer.",
            "deployctl recommend  # which profiles this driver can run",
        )
    if facts.container_toolkit is False:
        yield _failed(
            "gpu-toolkit-missing",
            f"Docker cannot hand {here.name} to a container: the NVIDIA Container Toolkit is not "
            "installed, or Docker does not know of it.",
            "deployctl setup  # says how to get it",
        )


def _failed(code: str, summary: str, hint: str) -> CheckResult:
    return CheckResult(name="card", status="failed", summary=summary, code=code, hint=hint)


def _nvidia(plan: Plan) -> bool:
    return plan.service("engine").gpu


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))
