"""The edits that several rules make: to variables, keys of a service, addresses. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from deployctl.lint.nouns import Service, Stack, Variable
from deployctl.lint.tree import Entry, Listing, Mapping, Scalar
from deployctl.lint.writing import Edit, scalar


def add_key(stack: Stack, service: Service, key: str, value: Any) -> Edit | None:  # noqa: ANN401  # data
    """Write a key into a service that has none of this name."""
    return stack.pen.add(service.entry, key, value)


def drop_key(stack: Stack, service: Service, key: str) -> Edit | None:
    """Take a key out of a service; one that an anchor brings, out of there."""
    entry = service.keys[key]
    holder = holder_of(service, entry)
    return stack.pen.drop(entry, holder) if holder else None


def holder_of(service: Service, entry: Entry) -> Mapping | None:
    """The map that an entry of a service is written in: its own, or one merged into it."""
    todo, seen = [service.entry.value], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Listing):
            todo += [item.value for item in node.items]
        if isinstance(node, Mapping):
            if any(one is entry for one in node.entries):
                return node
            todo += [one.value for one in node.entries if one.key.text == "<<"]
    return None


def add_variable(stack: Stack, service: Service, name: str, value: str) -> Edit | None:
    """Set a variable that is not set."""
    return add_variables(stack, service, {name: value})


def add_variables(stack: Stack, service: Service, values: dict[str, str]) -> Edit | None:
    """Set variables that are not set, in the way the others are written."""
    entry = service.keys.get("environment")
    if entry is None:
        return stack.pen.add(service.entry, "environment", values)
    node = entry.value
    if isinstance(node, Listing):
        items = [item(name, value) for name, value in values.items()]
        if node.flow:
            return stack.pen.append(entry, ", ".join(items))
        return _as_one([stack.pen.append(entry, one) for one in items])
    if isinstance(node, Mapping):
        if node.flow:
            return stack.pen.into(entry, values)
        return _as_one([stack.pen.add(entry, name, value) for name, value in values.items()])
    return None


def _as_one(made: list[Edit | None]) -> Edit | None:
    """Edits that each add lines behind the same line, as one."""
    edits = [edit for edit in made if edit is not None]
    if len(edits) < len(made) or not edits:
        return None
    added = tuple(line for edit in edits for line in edit.lines[1:])
    first = edits[0]
    return Edit(first=first.first, last=first.last, lines=(*first.lines[:1], *added))


def item(name: str, value: str) -> str:
    """A variable as an item of a list."""
    return scalar(f"{name}={value}") if value else scalar(f"{name}=")


def set_variable(
    stack: Stack, variable: Variable, value: str, *, name: str | None = None
) -> Edit | None:
    """Write another value for a variable, and another name."""
    part, name = variable.part, name or variable.name
    if isinstance(part, Entry):
        if part.alias or not isinstance(part.value, Scalar):
            return None
        if name == variable.name:
            return stack.pen.put(part.value, quoted(value))
        if not part.key.single or not part.value.single or part.key.start.line != part.last:
            return None
        line = stack.text.lines[part.last - 1]
        head, tail = line[: part.key.start.column - 1], line[part.value.end.column - 1 :]
        made = f"{head}{name}: {quoted(value)}{tail}"
        return Edit(first=part.last, last=part.last, lines=(made,))
    if part.alias or not isinstance(part.value, Scalar):
        return None
    return stack.pen.put(part.value, item(name, value))


def quoted(value: str) -> str:
    """A value of a map of variables: always in quotes, so that it is text for everybody."""
    return json.dumps(value, ensure_ascii=False)


def drop_variable(stack: Stack, service: Service, variable: Variable) -> Edit | None:
    """Take a variable out; the last one with the key that holds it."""
    within = variable.within
    count = len(within.items if isinstance(within, Listing) else within.entries)
    entry = service.keys.get("environment")
    if count == 1 and entry is not None and entry.value is within:
        return drop_key(stack, service, "environment")
    return stack.pen.drop(variable.part, within)


def variable_named(*parts: str) -> str:
    """A name for a variable of a service, such as Compose takes whatever the service is called."""
    plain = re.sub(r"\W+", "_", "_".join(parts), flags=re.ASCII).upper()
    return plain if re.match(r"[A-Z_]", plain) else f"_{plain}"


def required(name: str) -> str:
    """A value that is asked for outside the file: nothing starts without it."""
    return f"${{{name}:?put it into .env}}"
