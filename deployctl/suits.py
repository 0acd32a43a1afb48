"""Whether a machine is of the kind that a plan is made for: its processor, and its card. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from deployctl.fitting import own_card
from deployctl.outcomes import CheckResult

if TYPE_CHECKING:
    from deployctl.model import CardAccess, Gpu, HostFacts, Plan


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


#: (key, value) → the command line that led here, with this value set.
WithSet = Callable[[str, object], str]


def _added(key: str, value: object) -> str:
    return f"deployctl up --set {key}={value}"


def card(plan: Plan, facts: HostFacts, with_set: WithSet = _added) -> tuple[CheckResult, ...]:
    """Whether the card that the plan computes on is here, and able; Docker able to hand it out."""
    if plan.requirements.card is None:
        return ()
    here = own_card(plan, facts)
    if here is None:
        return (_no_card(plan, facts),)
    wrong = (*_unable(plan, here), *_out_of_reach(plan, here, facts, with_set))
    return wrong or (CheckResult(name="card", status="ok", summary=_able(plan, here)),)


def _able(plan: Plan, here: Gpu) -> str:
    """The card; of NVIDIA's also the driver, and which one the image needs."""
    wanted = plan.requirements.card
    if not _nvidia(plan) or wanted is None or wanted.driver is None:
        return here.name
    return f"{here.name}, driver {here.driver} (the image needs {wanted.driver})"


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


def _unable(plan: Plan, here: Gpu) -> Iterator[CheckResult]:
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
            f"The driver of {here.name} is {here.driver}; {plan.service('engine').image.reference} "
            f"of profile {plan.profile} needs {wanted.driver} or newer.",
            "deployctl recommend  # which profiles this driver can run",
        )


#: Way to the card → what has to be there for it.
_NEEDED: Mapping[CardAccess, str] = {
    "reservation": "hook of NVIDIA's that a reservation needs",
    "cdi": "CDI specification of NVIDIA's that Docker reads",
    "runtime": "container runtime of NVIDIA's registered with Docker",
}


def _out_of_reach(
    plan: Plan, here: Gpu, facts: HostFacts, with_set: WithSet
) -> Iterator[CheckResult]:
    """Whether Docker has the way to an NVIDIA card that the plan takes."""
    if not _nvidia(plan) or here.driver is None:
        return
    if facts.container_toolkit is False:
        yield _failed(
            "gpu-toolkit-missing",
            f"Docker cannot hand {here.name} to a container: the NVIDIA Container Toolkit is not "
            "installed, or Docker does not know of it.",
            "deployctl setup  # says how to get it",
        )
        return
    access, ways = plan.service("engine").gpu_access, facts.card_access
    # Without Docker's word, files alone do not refuse: a daemon may know more than they tell.
    if facts.container_toolkit is None or not ways or access in ways:
        return
    yield _failed(
        "gpu-toolkit-missing",
        f"Docker cannot hand {here.name} to a container as engine.gpu_access asks: there is no "
        f"{_NEEDED[access]}.",
        f"{with_set('engine.gpu_access', ways[0])}  # what this machine has",
    )


def _failed(code: str, summary: str, hint: str) -> CheckResult:
    return CheckResult(name="card", status="failed", summary=summary, code=code, hint=hint)


def _nvidia(plan: Plan) -> bool:
    return plan.service("engine").gpu


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))
