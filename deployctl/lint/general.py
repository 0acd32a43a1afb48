"""Rules about the file itself, whatever runs in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import add_key
from deployctl.lint.flags import joined_words
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.services import nodes
from deployctl.lint.tree import Entry, Item, Listing, Mapping, Scalar, text_of
from deployctl.lint.writing import Edit, scalar


def _version(stack: Stack) -> Iterator[Found]:
    for entry in stack.root.entries:
        if entry.key.text == "version":
            yield Found(
                at=entry.key.start,
                message="`version:` is obsolete: Compose ignores it, and says so at every command.",
                edits=(stack.pen.drop(entry, stack.root),),
            )


def _twice(stack: Stack) -> Iterator[Found]:
    for node in nodes(stack.root):
        first: dict[str, Entry] = {}
        for entry in node.entries if isinstance(node, Mapping) else ():
            known = first.setdefault(entry.key.text, entry)
            if known is not entry and entry.key.text != "<<":
                assert isinstance(node, Mapping)
                yield Found(
                    at=entry.key.start,
                    message=f"`{entry.key.text}` is written twice; the first is on line "
                    f"{known.key.start.line}, and Compose refuses the file.",
                    edits=(stack.pen.drop(entry, node),),
                )


def _numbers(stack: Stack, service: Service) -> Iterator[Found]:
    for key, entry in service.keys.items():
        value = entry.value
        if key == "healthcheck":
            test = stack.key(value, "test")
            value = test.value if test else value
        if key not in ("command", "entrypoint", "healthcheck") or not isinstance(value, Listing):
            continue
        for item in value.items:
            if isinstance(item.value, Scalar) and item.value.number:
                yield _number(stack, service, item)


def _number(stack: Stack, service: Service, item: Item) -> Found:
    value = item.value
    assert isinstance(value, Scalar)
    return Found(
        at=item.at,
        message=f"`{value.text}` is no text to YAML, and Compose refuses the file: `must be a "
        "string`.",
        edits=(None if item.alias else stack.pen.put(value, f'"{value.text}"'),),
        service=service,
    )


def _joined(stack: Stack, service: Service) -> Iterator[Found]:
    argv = service.argv
    if argv is None or service.kind not in ("vllm", "llama.cpp"):
        return
    for word in joined_words(argv):
        flag, _, value = word.raw.partition(" ")
        item = word.item
        assert item is not None
        edit: Edit | None = None
        line = stack.text.lines[item.at.line - 1]
        head = line[: item.at.column - 1]
        values = value.strip().split() if "{" not in value else [value.strip().strip("'\"")]
        if head.strip() == "-" and item.last == item.at.line and not item.alias:
            lines = tuple(head + scalar(part.strip("'\"")) for part in (flag, *values))
            edit = Edit(first=item.at.line, last=item.at.line, lines=lines)
        yield Found(
            at=word.at,
            message=f"`{word.text}` is one word to {service.name}, which has no flag of that name.",
            edits=(edit,),
            service=service,
        )


_QUOTED = re.compile(r"(?P<sign>[\"']).*(?P=sign)", re.DOTALL)


def _quotes(stack: Stack, service: Service) -> Iterator[Found]:
    for variable in service.environment.values():
        part = variable.part
        if not isinstance(part, Item) or not isinstance(part.value, Scalar) or part.value.style:
            continue
        if not _QUOTED.fullmatch(variable.raw) or len(variable.raw) < 2:
            continue
        text = f"{variable.name}={variable.raw[1:-1]}"
        yield Found(
            at=variable.at,
            message=f"The quotes are part of the value of `{variable.name}`: a list takes them as "
            "they are.",
            edits=(None if part.alias else stack.pen.put(part.value, scalar(text)),),
            service=service,
        )


def _restart(stack: Stack, service: Service) -> Iterator[Found]:
    policy = stack.key(service.entry.value, "deploy", "restart_policy")
    if not service.missing("restart") or policy is not None or service.built or not service.image:
        return
    if _waited_for_end(stack, service) or "profiles" in service.keys:
        return
    yield Found(
        at=service.at,
        message=f"{service.name} stays down after a crash or a reboot.",
        edits=(add_key(stack, service, "restart", "unless-stopped"),),
        service=service,
    )


def _waited_for_end(stack: Stack, service: Service) -> bool:
    return any(
        text_of(stack.key(one.entry.value, "depends_on", service.name, "condition"))
        == "service_completed_successfully"
        for one in stack.services
    )


RULES = (
    Rule(
        id="version-obsolete",
        about="The file",
        severity="warning",
        what="`version:` at the top",
        why="Compose has ignored it since its second version, and warns at every command.",
        fix="leave it out",
        basis="run",
        check=_version,
    ),
    Rule(
        id="key-twice",
        about="The file",
        severity="error",
        what="a key that its map has already",
        why="Compose refuses the whole file: `mapping key … already defined`.",
        fix="one of the two",
        basis="run",
        check=_twice,
    ),
    Rule(
        id="command-number",
        about="The file",
        severity="error",
        what="a number, `true` or nothing in a list of `command:`, `entrypoint:` or a healthcheck",
        why="Compose refuses the whole file: `must be a string`.",
        fix="quotes around it",
        basis="run",
        check=each(_numbers),
    ),
    Rule(
        id="flag-with-value",
        about="The file",
        severity="error",
        what="a flag and its value in one item of the command's list",
        why="An item is one word: the engine looks for a flag with a space in its name.",
        fix="an item each, or `--flag=value`",
        basis="run",
        check=each(_joined, "vllm", "llama.cpp"),
    ),
    Rule(
        id="quotes-in-value",
        about="The file",
        severity="error",
        what='`- NAME="value"` in a list of variables',
        why="In a list the quotes are part of the value: an address with quotes is none.",
        fix="`- NAME=value`, or the whole item in quotes",
        basis="run",
        check=each(_quotes),
    ),
    Rule(
        id="no-restart",
        about="The file",
        severity="warning",
        what="an engine or a chat window without `restart:`",
        why="After a crash, or a reboot of the machine, it stays down.",
        fix="`restart: unless-stopped`",
        basis="docs",
        check=each(_restart, "vllm", "llama.cpp", "webui", "ollama"),
    ),
)
