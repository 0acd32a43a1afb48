"""``deployctl plan``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployctl.amounts import exact
from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    FitOption,
    ModelOption,
    Output,
    OutputOption,
    OverlayOption,
    ProfileOption,
    SetOption,
    StackOption,
    WithOption,
    chosen,
)
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.deploy.plan import PlanReport
    from deployctl.fitting import Fitting, Speed
    from deployctl.model import Service
    from deployctl.profiles.selection import Adaptation
    from deployctl.sizing import Fit, Room

_WIDTH = 96

#: Way to the card → words about it.
_CARD = {
    "reservation": ", one NVIDIA card",
    "cdi": ", one NVIDIA card by CDI",
    "runtime": ", one NVIDIA card by NVIDIA's runtime",
}

#: What this machine decides → what that is called.
_ADAPTED = {"engine.image": "image", "engine.gpu_access": "way to the card"}


def plan(
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    fit: FitOption = False,
    force: Annotated[bool, typer.Option("--force", help="Say what `up --force` would do.")] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say what `up` would do, and whether it fits.

    Services, changes with their causes, memory, speed, ports, downloads. Changes nothing and needs
    no Docker.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.plan import plan as recipe
    from deployctl.deploy.world import UpRequest

    request = UpRequest(
        stack=stack, selection=chosen(profile, overlay, model, set_, with_), fit=fit, force=force
    )
    again = request.again.replace("deployctl up", "deployctl plan", 1)
    session = Session.open("plan", output, quiet=True, again=again)
    report = recipe(
        session.world(stack),
        request.selection,
        stack=stack,
        make_fit=fit,
        force=force,
        again=request.again_with,
    )
    return session.emit(data(report), text(report))


def data(report: PlanReport) -> dict[str, Any]:
    """The plan for programs: these keys stay, whatever becomes of our own nouns."""
    plan = report.plan
    return {
        "stack": report.stack,
        "profile": report.profile,
        "files": report.files,
        "description": report.description,
        "chosen_because": report.choice.reason if report.choice else None,
        "given_up": report.choice.given_up if report.choice else (),
        "model": {
            "name": plan.model,
            "served_name": plan.served_name,
            "source": str(plan.weights.source),
            "license": plan.license,
            "gated": plan.gated,
            "token": plan.token,
        },
        "intent": {
            "concurrency": plan.concurrency,
            "context": plan.context,
            "max_tokens": plan.max_tokens,
        },
        "services": [_service(service) for service in plan.services],
        "changes": report.changes,
        "fitting": report.fitting,
        "applied": dict(report.applied),
        "adapted": report.adapted,
        "reach": plan.reach,
        "fetches": report.fetches,
        "checks": report.checks,
        "command": report.command,
    }


def _service(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "image": service.image.reference,
        "command": service.command,
        "ports": service.ports,
        "memory_bytes": service.memory_bytes,
        "cpus": service.cpus,
        "gpu": service.gpu,
        "gpu_access": service.gpu_access if service.gpu else None,
    }


def text(report: PlanReport) -> str:
    """Write the report for people; the same for the same profile, machine and stack."""
    return "\n".join(
        line
        for part in (_head, _services, _changes, _memory, _speed, _reach, _to_get, _way)
        for line in part(report)
    )


def _head(report: PlanReport) -> Iterator[str]:
    plan = report.plan
    yield f"Profile {report.profile} ({report.files[0]})"
    yield from _wrapped(report.description)
    if report.choice is not None:
        yield from _wrapped(f"Chosen: {report.choice.reason}")
        for text in report.choice.given_up:
            yield from _wrapped(f"! {text}", more="  ")
    yield ""
    yield f"Model     {plan.model} · licence {plan.license}"
    if plan.token:
        yield "          gated: the hub asks for HF_TOKEN and an accepted licence"
    elif plan.gated:
        yield "          gated by its authors; this copy asks for no token (claimed)"
    asked = "" if plan.context == plan.asked_context else f" ({plan.asked_context} asked)"
    yield (
        f"Intent    {plan.concurrency} at once, {plan.context} tokens each{asked}, "
        f"answers of up to {plan.max_tokens}"
    )
    if report.applied:
        sets = " ".join(f"--set {key}={value}" for key, value in report.applied)
        yield f"Made to fit with {sets}"


def _services(report: PlanReport) -> Iterator[str]:
    yield ""
    yield "Services"
    width = _column(service.name for service in report.plan.services)
    for service in report.plan.services:
        limit = f"at most {exact(service.memory_bytes)} of memory"
        card = _CARD[service.gpu_access] if service.gpu else ""
        yield f"  {service.name:<{width}}{service.image.reference} ({limit}{card})"
        if service.command:
            lines = textwrap.wrap(
                " ".join(_quoted(word) for word in service.command),
                _WIDTH - 10,
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield from (f"          {line}" for line in lines)
        if service.name == "engine":
            for each in _decided(report, "engine."):
                about = f"{_ADAPTED.get(each.key, each.key)} by this machine: {each.reason}"
                yield from _wrapped(about, indent="          ")

    titles = {part.key: part.title for part in report.plan.optional}
    for each in _decided(report, "addons."):
        yield from _wrapped(f"Without {titles[each.key]}: {each.reason}.", indent="  ")


def _decided(report: PlanReport, start: str) -> Iterator[Adaptation]:
    """What the profile leaves to the machine, of the keys that begin like this."""
    return (each for each in report.adapted if each.key.startswith(start))


def _column(names: Iterable[str]) -> int:
    """Characters for a column of names of services."""
    return max(8, *(len(name) + 1 for name in names))


def _changes(report: PlanReport) -> Iterator[str]:
    yield ""
    yield f"Changes to stack {report.stack}"
    width = _column(change.service for change in report.changes)
    for change in report.changes:
        words = {"keep": "as last applied", "unknown": "cannot be told"}.get(
            change.action, change.action
        )
        if not change.causes:
            yield f"  {change.service:<{width}}{words}"
        for number, cause in enumerate(change.causes):
            yield f"  {change.service if not number else '':<{width}}{words}: {cause}"


def _memory(report: PlanReport) -> Iterator[str]:
    from deployctl.cli.table import columns

    fitted = report.fitting
    yield ""
    if fitted is None:
        yield "Fit       unknown: nothing tells the model's dimensions"
        return
    words = {"fits": "fits", "tight": "tight", "no": "does not fit"}
    yield f"Fit       {words[fitted.verdict]}"
    for fit in fitted.fits:
        yield from _room(fit)
        rows = [
            (part.name, exact(part.bytes), part.basis, part.why)
            for part in fitted.parts
            if part.place == fit.place
        ]
        yield from columns(rows, indent=4, right=frozenset({1}))
    if fitted.seen_bytes is not None:
        seen = exact(fitted.seen_bytes)
        yield f"  With these values the engine took {seen} after its first answer here (measured)."
    yield from _proposals(fitted)


def _room(fit: Fit) -> Iterator[str]:
    from deployctl.cli.table import bar

    yield f"  {_title(fit.room)}"
    if fit.room.total_bytes:
        yield f"    {bar(fit.need_bytes, fit.room.total_bytes)} {exact(fit.need_bytes)} needed"
    yield f"    {fit.reason}"


def _title(room: Room) -> str:
    free = "" if room.free_bytes is None else f", {exact(room.free_bytes)} free now"
    total = "size unknown" if room.total_bytes is None else exact(room.total_bytes)
    return f"{room.name}: {total}{free}"


def _proposals(fitted: Fitting) -> Iterator[str]:
    if not fitted.short:
        return
    yield "  It would fit with:" if fitted.proposals else "  No smaller values would make it fit."
    for proposal in fitted.proposals:
        sets = " ".join(f"--set {key}={value}" for key, value in proposal.sets)
        keeps = f"  # keeps {proposal.keeps}" if proposal.keeps else ""
        yield f"    {sets}{keeps}"
    if fitted.proposals:
        yield "  --fit takes the first."


def _speed(report: PlanReport) -> Iterator[str]:
    speed = report.fitting.speed if report.fitting else None
    yield ""
    if speed is None:
        yield "Speed     ceiling unknown: nothing tells how fast the memory is"
        return
    yield f"Speed     {ceiling(speed)}"


def ceiling(speed: Speed) -> str:
    """The sentence about a ceiling."""
    return (
        f"at most {speed.tokens_per_s:.1f} tokens/s for one answer at a time (predicted: "
        f"{speed.bytes_per_s / 1e9:.0f} GB/s of {speed.of} ÷ "
        f"{speed.bytes_per_token / 1e9:.2f} GB read for each token)"
    )


def _reach(report: PlanReport) -> Iterator[str]:
    yield ""
    yield "Reach"
    width = _column(service.name for service in report.plan.services if service.ports)
    for service in report.plan.services:
        for port in service.ports:
            yield f"  {service.name:<{width}}{port.address}:{port.host_port}"
    for sentence in report.plan.reach:
        yield from _wrapped(sentence, indent="  ")


def _to_get(report: PlanReport) -> Iterator[str]:
    yield ""
    yield "To get"
    width = _column(fetch.what for fetch in report.fetches)
    for fetch in report.fetches:
        yield f"  {fetch.what:<{width}}{fetch}"


def _way(report: PlanReport) -> Iterator[str]:
    wrong = [check for check in report.checks if check.status != "ok"]
    if wrong:
        yield ""
        yield "This machine"
    for check in wrong:
        mark = "✗" if check.status == "failed" else "!"
        yield from _wrapped(f"{mark} {check.summary}", indent="  ", more="    ")
        yield f"    next: {check.hint}"
    failed = next((check for check in wrong if check.status == "failed"), None)
    yield ""
    yield f"Next: {failed.hint if failed else report.command}"


def _wrapped(text: str, *, indent: str = "", more: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if more is None else more,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
