"""Rules about who waits for whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator

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
            yield Found(
                at=entry.key.start,
                message=_only_started(service, names) + _first(stack, names),
                edits=(_healthy(stack, entry, names),),
                service=service,
                last=entry.last,
            )
        return
    for name, one in stack.pairs.of(entry.value).items():
        yield from _condition(stack, service, name, one)


def _only_started(service: Service, names: list[str]) -> str:
    several = len(names) > 1
    return (
        f"{service.name} waits only until {' and '.join(names)} {'are' if several else 'is'} "
        f"started, not until {'they answer' if several else 'it answers'}."
    )


def _condition(stack: Stack, service: Service, name: str, one: Entry) -> Iterator[Found]:
    target = stack.named(name)
    condition = stack.key(one.value, "condition")
    told = resolved(text_of(condition))
    if target is None or target.kind == "other" or told not in ("", "service_started"):
        return
    if condition is not None and isinstance(condition.value, Scalar):
        edit = stack.pen.put(condition.value, "service_healthy")
    elif isinstance(one.value, Mapping):
        edit = stack.pen.add(one, "condition", "service_healthy")
    else:
        edit = stack.pen.key(
            one, block(name, {"condition": "service_healthy"}, one.key.start.column - 1)
        )
    yield Found(
        at=(condition.at if condition else one.key.start),
        message=f"{service.name} waits only until {name} is started, not until it answers.",
        edits=(edit,),
        service=service,
    )


def _healthy(stack: Stack, entry: Entry, names: list[str]) -> Edit | None:
    if entry.alias:
        return None
    lines = block(
        "depends_on",
        {name: {"condition": "service_healthy"} for name in names},
        entry.key.start.column - 1,
    )
    return stack.pen.key(entry, lines)


def _first(stack: Stack, names: list[str]) -> str:
    """What has to be there first: Compose starts nobody who waits for a check that is not."""
    without = [
        name
        for name in names
        if (one := stack.named(name))
        and one.kind in ("other", "ollama")
        and one.missing("healthcheck", "build")
    ]
    if not without:
        return ""
    return f" Give {' and '.join(without)} a healthcheck too, where the image brings none."


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
        fix="`condition: service_healthy`, and a healthcheck on the other side",
        basis="docs",
        check=each(_waits),
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
