"""Rules about who waits for whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployctl.lint.checks import brings_none, check_for, proposed
from deployctl.lint.health import disabled, waiting_for
from deployctl.lint.interpolation import UNKNOWN, resolved
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.tree import Entry, Listing, Mapping, Scalar, text_of
from deployctl.lint.writing import Edit, block


def _waits(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("depends_on")
    if entry is None:
        return
    if isinstance(entry.value, Listing):
        names = [resolved(i.value.text) for i in entry.value.items if isinstance(i.value, Scalar)]
        if names:
            checked = [name for name in names if _checkable(stack, _called(stack, name))]
            rest = [name for name in names if name not in checked]
            yield Found(
                at=entry.key.start,
                message=_only_started(service, names) + _first(stack, rest),
                edits=_apart(_by_name(stack, entry, names, checked), _checks(stack, checked)),
                service=service,
                last=entry.last,
            )
        return
    for name, one in stack.pairs.of(entry.value).items():
        yield from _condition(stack, service, name, one)


def _called(stack: Stack, name: str) -> Service | None:
    return next((one for one in stack.services if one.name == name), None)


def _checkable(stack: Stack, target: Service | None) -> bool:
    """Whether others can wait for its health, once it has the healthcheck that is proposed."""
    if target is None:
        return False
    entry = target.keys.get("healthcheck")
    if entry is not None:
        return not disabled(stack, entry)
    return not target.open and proposed(target) is not None


def _checks(stack: Stack, names: Iterable[str]) -> list[Edit | None]:
    """The healthchecks that are missing: Compose starts nobody who waits for one that is not."""
    found = (_called(stack, name) for name in names)
    return [check_for(stack, one) for one in found if one and "healthcheck" not in one.keys]


def _apart(edit: Edit | None, more: Iterable[Edit | None]) -> tuple[Edit | None, ...]:
    """Edits that go together; none where two of them are of the same line."""
    edits = (edit, *more)
    lines = [n for one in edits if one for n in range(one.first, one.last + 1)]
    return edits if len(lines) == len(set(lines)) else (None,)


def _only_started(service: Service, names: list[str]) -> str:
    several = len(names) > 1
    return (
        f"{service.name} waits only until {' and '.join(names)} {'are' if several else 'is'} "
        f"started, not until {'they answer' if several else 'it answers'}."
    )


def _condition(stack: Stack, service: Service, name: str, one: Entry) -> Iterator[Found]:
    target = _called(stack, name)
    condition = stack.key(one.value, "condition")
    told = resolved(text_of(condition))
    if target is None or target.kind == "other" or told not in ("", "service_started"):
        return
    if not _checkable(stack, target):
        edits: tuple[Edit | None, ...] = ()
    else:
        edits = _apart(_changed(stack, name, one, condition), _checks(stack, [name]))
    yield Found(
        at=(condition.at if condition else one.key.start),
        message=_only_started(service, [name])
        + _first(stack, [] if _checkable(stack, target) else [name]),
        edits=edits,
        service=service,
    )


def _changed(stack: Stack, name: str, one: Entry, condition: Entry | None) -> Edit | None:
    if condition is not None and isinstance(condition.value, Scalar):
        return stack.pen.put(condition.value, "service_healthy")
    if isinstance(one.value, Mapping):
        return stack.pen.add(one, "condition", "service_healthy")
    lines = block(name, {"condition": "service_healthy"}, one.key.start.column - 1)
    return stack.pen.key(one, lines)


def _by_name(stack: Stack, entry: Entry, names: list[str], checked: list[str]) -> Edit | None:
    """The list as a map; for whom nobody can wait longer, as it was."""
    if entry.alias or not checked:
        return None
    conditions = {
        name: {"condition": "service_healthy" if name in checked else "service_started"}
        for name in names
    }
    return stack.pen.key(entry, block("depends_on", conditions, entry.key.start.column - 1))


def _first(stack: Stack, names: list[str]) -> str:
    """What has to be there first."""
    without = [name for name in names if _called(stack, name)]
    if not without:
        return ""
    own = "its image has one" if len(without) == 1 else "their images have one"
    named = " and ".join(without)
    return f" `service_healthy` needs a healthcheck: give {named} one first, unless {own}."


def _unchecked(stack: Stack, service: Service) -> Iterator[Found]:
    """Services that others wait for in vain; the kinds that ``no-healthcheck`` tells are not."""
    waiting = waiting_for(stack, service) if service.kind in ("ollama", "other") else ()
    entry = service.keys.get("healthcheck")
    off = entry is not None and disabled(stack, entry)
    missing = service.missing("healthcheck") and brings_none(service)
    if not waiting or not (off or missing):
        return
    why = "is switched off" if off else "is neither in the file nor in the image"
    edit = check_for(stack, service)
    if off and entry is not None:
        check = proposed(service)
        lines = block("healthcheck", check, entry.key.start.column - 1) if check else ()
        edit = stack.pen.key(entry, lines) if check and not entry.alias else None
    yield Found(
        at=entry.key.start if entry is not None else service.at,
        message=f"{' and '.join(waiting)} {'wait' if len(waiting) > 1 else 'waits'} for "
        f"{service.name} to be healthy, and its healthcheck {why}: nobody who waits is started.",
        edits=(edit,),
        service=service,
    )


def _nobody(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("depends_on")
    if entry is None or stack.including or (service.open and "extends" in service.keys):
        return
    names = {one.name for one in stack.services} | stack.others
    holder = entry.value
    if isinstance(holder, Listing):
        for item in holder.items:
            text = resolved(item.value.text) if isinstance(item.value, Scalar) else ""
            if text and UNKNOWN not in text and text not in names and len(names) > 1:
                edit = stack.pen.drop(item, holder) if len(holder.items) > 1 else None
                message = f"{service.name} depends on {text}, and there is no such service."
                yield Found(at=item.at, message=message, edits=(edit,), service=service)
    elif isinstance(holder, Mapping):
        for name, one in stack.pairs.of(holder).items():
            optional = text_of(stack.key(one.value, "required")).lower() == "false"
            if name not in names and not optional and len(names) > 1:
                message = f"{service.name} depends on {name}, and there is no such service."
                edit = stack.pen.drop(one, holder) if len(holder.entries) > 1 else None
                yield Found(at=one.key.start, message=message, edits=(edit,), service=service)


RULES = (
    Rule(
        id="depends-on-started",
        about="Health",
        severity="warning",
        what="`depends_on` without `condition: service_healthy`",
        why="A started container is not one that answers: an engine loads for minutes.",
        fix="`condition: service_healthy`, and a healthcheck on the other side: without one "
        "Compose starts nobody who waits",
        basis="docs",
        check=each(_waits),
    ),
    Rule(
        id="depends-on-unchecked",
        about="Health",
        severity="error",
        what="`condition: service_healthy` on a service whose healthcheck is switched off, or that "
        "has none and whose image (Ollama, PostgreSQL, Redis, Valkey) brings none; of engines and "
        "chat windows `no-healthcheck` tells it",
        why="Compose stops: `dependency failed to start: container … has no healthcheck "
        "configured`.",
        fix="a healthcheck there",
        basis="run",
        check=each(_unchecked),
    ),
    Rule(
        id="depends-on-nobody",
        about="Health",
        severity="error",
        what="`depends_on` a service that the file does not have",
        why="Compose refuses the whole file: `depends on undefined service`.",
        fix="the name of a service, or nothing",
        basis="run",
        check=each(_nobody),
    ),
)
