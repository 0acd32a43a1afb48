"""What answers are worth: chains and boxes, calls of tools, objects of a schema. Pure.

Whether two answers of mathematics are the same is another program's to say: ``judge.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from deployctl.evals.nouns import (
    Call,
    FormCase,
    Marked,
    MarkedCall,
    MarkedForm,
    Problem,
    Row,
    ToolCase,
)
from deployctl.evals.reading import chain_of, restates

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL | re.IGNORECASE)

#: A fault is a few words, not the whole of what a model wrote.
_SHOWN = 120


class Judge(Protocol):
    """Says of pairs (right answer, given answer) whether they are the same mathematics."""

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Sequence[bool | None]:
        """One for each pair, in order; ``None`` where there is no result."""


def marked(
    problems: Sequence[Problem], rows: Mapping[str, Row], judge: Judge, *, reasons: bool
) -> tuple[Marked, ...]:
    """Mark every problem that was answered. Without a box an answer is not right.

    Nor is a box that repeats an expression of the question: it is the same mathematics, unsolved.
    ``reasons``: the model thinks before it answers, so thoughts belong to a whole chain.
    """
    answered = [
        (problem, rows[problem.id])
        for problem in problems
        if problem.id in rows and rows[problem.id].answered
    ]
    chains = [chain_of(row) for _, row in answered]
    boxes = [(p, c.boxed) for (p, _), c in zip(answered, chains, strict=True)]
    restated = [box is not None and restates(box, p.question, p.answer) for p, box in boxes]
    told = zip(boxes, restated, strict=True)
    judged = iter(judge([(p.answer, box) for (p, box), again in told if box and not again]))
    return tuple(
        Marked(
            id=problem.id,
            complete=chain.complete(reasons=reasons),
            right=next(judged) if chain.boxed and not again else False,
            truncated=chain.truncated,
            boxed=chain.boxed,
            restated=again,
            expected=problem.answer,
            tokens=row.tokens,
            seconds=row.seconds,
            subject=problem.subject,
            level=problem.level,
        )
        for (problem, row), chain, again in zip(answered, chains, restated, strict=True)
    )


# ── tools ─────────────────────────────────────────────────────────────────────────────────────


def marked_call(case: ToolCase, row: Row) -> MarkedCall:
    """Mark what was called. More than one call is valid if all are, and not right."""
    faults = [fault for call in row.calls if (fault := _wrong_call(case, call))]
    valid = bool(row.calls) and not faults
    fault = faults[0] if faults else _not_right(case, row)
    fault = row.said if row.broken else fault
    return MarkedCall(
        id=case.id,
        wanted=case.tool is not None,
        valid=valid,
        right=not fault,
        truncated=row.finish_reason == "length",
        fault=fault,
        tokens=row.tokens,
        seconds=row.seconds,
    )


def _wrong_call(case: ToolCase, call: Call) -> str:
    """What makes a call no valid one; '' where it is valid."""
    tool = next((t for t in case.tools if t.get("name") == call.name), None)
    if tool is None:
        return f"there is no tool {_short(call.name)}"
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return f"its arguments are no JSON: {_short(call.arguments)}"
    return _unlike(arguments, tool.get("parameters") or {})


def _not_right(case: ToolCase, row: Row) -> str:
    """What makes valid calls, or none, not the right thing; '' where it is right."""
    if case.tool is None:
        return f"called {row.calls[0].name}, and no tool fits" if row.calls else ""
    if not row.calls:
        return f"called no tool and said {_short(row.answer)}"
    if len(row.calls) > 1:
        return f"called {len(row.calls)} times instead of once"
    call = row.calls[0]
    if call.name != case.tool:
        return f"called {call.name} instead of {case.tool}"
    given = json.loads(call.arguments)
    found = [_other_arguments(wanted, given) for wanted in (case.arguments, *case.others)]
    return found[0] if all(found) else ""


def _other_arguments(wanted: Mapping[str, Sequence[Any]], given: Mapping[str, Any]) -> str:
    """Which argument is not as it has to be; what nobody asked for may be anything."""
    for name, accepted in wanted.items():
        value = given.get(name)
        if not any(_equal(value, one) for one in accepted):
            return f"{name} is {_short(json.dumps(value))}"
    return ""


def _equal(value: object, accepted: object) -> bool:
    """Whether two values mean the same: text without case and spaces, numbers by their size."""
    if isinstance(value, str) and isinstance(accepted, str):
        return " ".join(value.casefold().split()) == " ".join(accepted.casefold().split())
    if isinstance(value, bool) or isinstance(accepted, bool):
        return value is accepted
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(map(_equal, value, accepted))
    return value == accepted


# ── objects ───────────────────────────────────────────────────────────────────────────────────


def marked_form(case: FormCase, row: Row, way: Literal["words", "schema"]) -> MarkedForm:
    """Mark an object: the whole answer has to be it, but for a fence of Markdown around it."""
    text = chain_of(row).answer
    fenced = _FENCE.fullmatch(text)
    try:
        fault = _unlike(json.loads(fenced[1] if fenced else text), case.schema)
    except (ValueError, RecursionError):
        fault = row.said if row.broken else f"it is no JSON: {_short(text)}"
    return MarkedForm(
        id=case.id,
        way=way,
        valid=not fault,
        truncated=row.finish_reason == "length",
        fault=fault,
        tokens=row.tokens,
        seconds=row.seconds,
    )


def _unlike(value: object, schema: Mapping[str, Any]) -> str:
    """Where a value is not as its schema has it; '' where it is."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    wrong = best_match(Draft202012Validator(schema).iter_errors(value))
    return "" if wrong is None else f"{wrong.json_path}: {_short(wrong.message)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line[:_SHOWN]}…”" if len(line) > _SHOWN else f"“{line}”"
