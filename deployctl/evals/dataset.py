"""Datasets: JSON lines → problems and cases, or everything that is wrong with them. Pure.

Of mathematics in the form of MATH-500: ``problem``, ``answer``, and where they are there
``subject``, ``level`` and ``unique_id``; ``solution`` and others are passed over.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from deployctl.errors import DeployctlError, Fault
from deployctl.evals.nouns import FormCase, Problem, ToolCase
from deployctl.visible import visible

T = TypeVar("T", Problem, ToolCase, FormCase)

#: So many faults are told one by one.
_MOST = 20

#: Longer than any problem is, characters.
_LONGEST_NAME = 200


class _LineError(Exception):
    """One line is none of the dataset's; the text says why, as a clause."""


def problems(content: bytes, file: str) -> tuple[Problem, ...]:
    """Read problems of mathematics; ``dataset-invalid``, of every line that is none."""
    return _all(content, file, _problem)


def tool_cases(content: bytes, file: str) -> tuple[ToolCase, ...]:
    """Read questions with tools; ``dataset-invalid``."""
    return _all(content, file, _tool_case)


def form_cases(content: bytes, file: str) -> tuple[FormCase, ...]:
    """Read questions with a schema for the answer; ``dataset-invalid``."""
    return _all(content, file, _form_case)


def _all(content: bytes, file: str, read: Callable[[Mapping[str, Any], int], T]) -> tuple[T, ...]:
    found: dict[str, T] = {}
    lines: dict[str, int] = {}
    faults: list[Fault] = []
    for number, raw in _lines(content):
        try:
            one = read(_object(raw), number)
            if one.id in found:
                raise _LineError(f"its unique_id {one.id!r} is that of line {lines[one.id]}, too")  # noqa: TRY301
        except _LineError as problem:
            faults.append(_fault(file, number, str(problem), raw))
        else:
            found[one.id], lines[one.id] = one, number
    if faults:
        raise DeployctlError.of(_told(faults, file))
    if not found:
        raise empty(file)
    return tuple(found.values())


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if raw.strip():
            yield number, raw


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _LineError("it is not UTF-8") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        why = getattr(problem, "msg", None) or "it goes too deep"
        raise _LineError(f"it is no JSON ({why})") from None
    if not isinstance(value, dict):
        raise _LineError("it is JSON, and no object")
    return value


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value}"
    if isinstance(value, str) and value.strip():
        return value.encode("utf-8", "replace").decode()  # half of a pair of surrogates
    if key in row:
        raise _LineError(f"its {key!r} is no text, or an empty one")
    has = ", ".join(map(repr, list(row)[:8])) or "nothing"
    raise _LineError(f"it has no {key!r}; it has {visible(has)}")


def _optional(row: Mapping[str, Any], key: str) -> str | None:
    return None if row.get(key) in (None, "") else _text(row, key)[:_LONGEST_NAME]


def _problem(row: Mapping[str, Any], number: int) -> Problem:
    return Problem(
        id=_optional(row, "unique_id") or f"line-{number}",
        question=_text(row, "problem"),
        answer=_text(row, "answer"),
        subject=_optional(row, "subject"),
        level=_optional(row, "level"),
    )


def _tool_case(row: Mapping[str, Any], number: int) -> ToolCase:
    call = row.get("call")
    tools, arguments = row.get("tools"), {} if call is None else call.get("arguments")
    if not isinstance(tools, list) or not tools or not isinstance(arguments, dict):
        raise _LineError("it has no 'tools', or its 'call' has no 'arguments'")
    return ToolCase(
        id=_optional(row, "unique_id") or f"line-{number}",
        question=_text(row, "question"),
        tools=tuple(tools),
        tool=None if call is None else _text(call, "name"),
        arguments=_accepted(arguments),
        others=() if call is None else tuple(map(_accepted, call.get("or", ()))),
    )


def _accepted(arguments: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(values) for name, values in arguments.items()}


def _form_case(row: Mapping[str, Any], number: int) -> FormCase:
    schema = row.get("schema")
    if not isinstance(schema, dict):
        raise _LineError("it has no 'schema'")
    return FormCase(
        id=_optional(row, "unique_id") or f"line-{number}",
        question=_text(row, "question"),
        schema=schema,
    )


# ── what may be wrong ─────────────────────────────────────────────────────────────────────────


def _fault(file: str, number: int, why: str, raw: bytes) -> Fault:
    shown = visible(raw[:160].decode("utf-8", "replace").strip())
    return Fault(
        code="dataset-invalid",
        message=f"Line {number} of the dataset cannot be used: {why}.",
        where=f"{file}:{number}",
        hint=f"sed -n {number}p {shlex.quote(file)}  # shows the line; it should be like "
        '{"problem": "What is 1+1?", "answer": "2"}',
        details=(shown,),
    )


def _told(faults: list[Fault], file: str) -> tuple[Fault, ...]:
    more = len(faults) - _MOST
    if more <= 0:
        return tuple(faults)
    rest = Fault(
        code="dataset-invalid",
        message=f"{more} more lines of the dataset cannot be used.",
        where=file,
        hint=f"head -n 3 {shlex.quote(file)}  # one JSON object a line is a dataset",
    )
    return (*faults[:_MOST], rest)


def empty(file: str) -> DeployctlError:
    """Make ``dataset-invalid`` of a dataset without a problem in it."""
    return DeployctlError(
        "The dataset has no problem in it.",
        code="dataset-invalid",
        where=file,
        hint=f"wc -l {shlex.quote(file)}  # then give a dataset that has some: --dataset FILE",
    )
