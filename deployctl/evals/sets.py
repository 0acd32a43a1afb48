"""The three kinds of evaluation: what each asks, and the rates that come of the answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from deployctl.evals import dataset, questions
from deployctl.evals.figures import rate
from deployctl.evals.marking import Judge, marked, marked_call, marked_form
from deployctl.evals.nouns import (
    FormCase,
    Kind,
    Marked,
    MarkedCall,
    MarkedForm,
    Problem,
    Question,
    Rate,
    Row,
    ToolCase,
)
from deployctl.evals.questions import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What all answers are worth. ``unjudged``: of how many the checker could not tell."""

    results: tuple[Marked, ...] | tuple[MarkedCall, ...] | tuple[MarkedForm, ...]
    rates: Mapping[str, Rate]
    unjudged: int = 0


class Set(Protocol):
    """Questions of one kind, and how their answers are marked."""

    @property
    def size(self) -> int:
        """How many problems there are."""

    @property
    def words(self) -> str:
        """What is said beside each problem: answers depend on it."""

    def first(self, count: int | None) -> Set:
        """Only so many, from the beginning; ``None``: all."""

    def questions(self, way: Way) -> tuple[Question, ...]:
        """One request for each, or several."""

    def marks(self, rows: Mapping[str, Row], judge: Judge, *, reasons: bool) -> Marks:
        """Mark those that were answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MathSet:
    """Problems of mathematics; rates: the chain is complete, the answer is right."""

    problems: tuple[Problem, ...]
    words: str = questions.MATH_WORDS

    @property
    def size(self) -> int:
        """See :class:`Set`."""
        return len(self.problems)

    def first(self, count: int | None) -> MathSet:
        """See :class:`Set`."""
        return MathSet(problems=self.problems[:count])

    def questions(self, way: Way) -> tuple[Question, ...]:
        """See :class:`Set`."""
        return tuple(questions.of_problem(problem, way) for problem in self.problems)

    def marks(self, rows: Mapping[str, Row], judge: Judge, *, reasons: bool) -> Marks:
        """See :class:`Set`."""
        results = marked(self.problems, rows, judge, reasons=reasons)
        return Marks(
            results=results,
            rates={
                "complete": rate(one.complete for one in results),
                "right": rate(one.right is True for one in results),
            },
            unjudged=sum(one.right is None for one in results),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSet:
    """Questions with tools; rates: a valid call where one is wanted, the right thing done."""

    cases: tuple[ToolCase, ...]
    words: str = ""

    @property
    def size(self) -> int:
        """See :class:`Set`."""
        return len(self.cases)

    def first(self, count: int | None) -> ToolSet:
        """See :class:`Set`."""
        return ToolSet(cases=self.cases[:count])

    def questions(self, way: Way) -> tuple[Question, ...]:
        """See :class:`Set`."""
        return tuple(questions.of_tools(case, way) for case in self.cases)

    def marks(self, rows: Mapping[str, Row], judge: Judge, *, reasons: bool) -> Marks:  # noqa: ARG002  # the protocol's
        """See :class:`Set`."""
        results = tuple(
            marked_call(case, rows[case.id]) for case in self.cases if _answered(rows, case.id)
        )
        return Marks(
            results=results,
            rates={
                "valid": rate(one.valid for one in results if one.wanted),
                "right": rate(one.right for one in results),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FormSet:
    """Questions for objects; rates: valid when asked in words, and when held to the schema."""

    cases: tuple[FormCase, ...]
    words: str = questions.JSON_WORDS

    @property
    def size(self) -> int:
        """See :class:`Set`."""
        return len(self.cases)

    def first(self, count: int | None) -> FormSet:
        """See :class:`Set`."""
        return FormSet(cases=self.cases[:count])

    def questions(self, way: Way) -> tuple[Question, ...]:
        """See :class:`Set`."""
        return tuple(each for case in self.cases for each in questions.of_form(case, way))

    def marks(self, rows: Mapping[str, Row], judge: Judge, *, reasons: bool) -> Marks:  # noqa: ARG002  # the protocol's
        """See :class:`Set`."""
        ways: tuple[Literal["words", "schema"], ...] = ("words", "schema")
        results = tuple(
            marked_form(case, rows[f"{case.id}/{way}"], way)
            for case in self.cases
            for way in ways
            if _answered(rows, f"{case.id}/{way}")
        )
        return Marks(
            results=results,
            rates={way: rate(one.valid for one in results if one.way == way) for way in ways},
        )


def _answered(rows: Mapping[str, Row], id_: str) -> bool:
    return id_ in rows and rows[id_].answered


#: Kind → bytes of a dataset, and where they lie → its set; ``dataset-invalid``.
READ: Mapping[Kind, Callable[[bytes, str], Set]] = {
    "math": lambda content, file: MathSet(problems=dataset.problems(content, file)),
    "tools": lambda content, file: ToolSet(cases=dataset.tool_cases(content, file)),
    "json": lambda content, file: FormSet(cases=dataset.form_cases(content, file)),
}


def grouped(
    results: Sequence[Marked], by: Callable[[Marked], str | None]
) -> tuple[tuple[str, int, dict[str, int]], ...]:
    """(name, answered, rate → how many) of each subject or level, by name."""
    found: dict[str, list[Marked]] = {}
    for one in results:
        if (name := by(one)) is not None:
            found.setdefault(name, []).append(one)
    return tuple(
        (
            name,
            len(ones),
            {
                "complete": sum(one.complete for one in ones),
                "right": sum(one.right is True for one in ones),
            },
        )
        for name, ones in sorted(found.items())
    )
