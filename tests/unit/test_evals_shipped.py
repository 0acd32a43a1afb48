"""The sets that come with deployctl: their answers are recomputed here, their cases are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
import sympy  # type: ignore[import-untyped]  # it has none
from jsonschema import Draft202012Validator

from deployctl.catalog import Catalog
from deployctl.evals import dataset
from deployctl.evals.judge import same
from deployctl.evals.marking import marked, marked_call
from deployctl.evals.nouns import Call, Problem, Row

pytestmark = pytest.mark.slow

EVALS = Catalog({}).evals_dir
PROBLEMS = dataset.problems((EVALS / "math.jsonl").read_bytes(), "math.jsonl")
TOOLS = dataset.tool_cases((EVALS / "tools.jsonl").read_bytes(), "tools.jsonl")
FORMS = dataset.form_cases((EVALS / "json.jsonl").read_bytes(), "json.jsonl")

#: Number of the problem → its answer, computed. Written from the question, not from the answer.
COMPUTED = {
    1: "17 + 26",
    2: "solve(x + 9 - 21, x)[0]",
    3: "1 - Rational(1, 4) - Rational(1, 8)",
    4: "solve(3*x - 7 - 20, x)[0]",
    5: "pi * 3**2",
    6: "FiniteSet(*solve(x**2 - 5*x + 6, x))",
    7: "Rational(10 - 2, 5 - 1)",
    8: "2**10 % 7",
    9: "solveset(x**2 <= 9, x, Reals)",
    10: "Matrix([1, 4]) + Matrix([3, -2])",
    11: "12 * 9",
    12: "7 * 4",
    13: "2**5 - 3**3",
    14: "solve(5 - 2*x - 8, x)[0]",
    15: "gcd(84, 36)",
    16: "FiniteSet(*solve(x**2 - 7, x))",
    17: "Tuple(Rational(7 - 1, 2), 1)",
    18: "len(divisors(36))",
    19: "max(solve(3*x**2 - 1, x))",
    20: "100 - 37",
    21: "'odd' if 51 % 2 else 'even'",
    22: "Rational(14, 10) / 4",
    23: "expand((x - -3) * (x - 5))",
    24: "lcm(6, 8)",
    25: "cancel((x**2 + 4*x - 21) / (x - 3))",
    26: "sqrt((7 - 1)**2 + (7 - 1)**2)",
    27: "binomial(6, 2)",
    28: "Rational(1, 2)**2",
    29: "86 // 2",
    30: "40 - Rational(40, 4)",
    31: "Rational(4 + 6 + 9 + 13, 4)",
    32: "(x**2 - 3*x).subs(x, -2)",
    33: "Rational(2, 6)",
    34: "Tuple(*solve([x + y - 10, x - y - 4], [x, y]).values())",
    35: "sqrt(5**2 + 12**2)",
    36: "factorial(4)",
    37: "log(32, 2)",
    38: "Rational(1, 2) + Rational(1, 3)",
    39: "Rational(15, 100) * 60",
    40: "Rational(sum(sorted([6, 1, 12, 8])[1:3]), 2)",
    41: "180 - 50 - 60",
    42: "['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][10 % 7]",
    43: "solveset(2*x - 1 < 7, x, Reals)",
    44: "sqrt(4**2 + 4**2)",
    45: "sin(pi / 6)",
    46: "expand((2 + I) * (3 - I))",
}


def computed(number: int) -> Any:
    names: dict[str, Any] = {}
    exec("from sympy import *", names)
    names["x"], names["y"] = names["symbols"]("x y")
    return eval(COMPUTED[number], names)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_every_answer_is_what_comes_out(problem: Problem) -> None:
    value = computed(int(problem.id.rpartition("/")[2]))
    if isinstance(value, str):
        assert problem.answer == rf"\text{{{value}}}"
        return
    value = value if isinstance(value, sympy.MatrixBase) else sympy.sympify(value)
    assert same(sympy.latex(value), problem.answer) is True, value


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_the_checker_knows_every_answer_and_no_neighbours(problem: Problem) -> None:
    assert same(problem.answer, problem.answer) is True
    others = [other.answer for other in PROBLEMS if same(other.answer, problem.answer) is True]
    assert {*others} == {problem.answer}


def judged(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    return [same(gold, answer) for gold, answer in pairs]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_the_questions_own_expression_is_not_right(problem: Problem) -> None:
    for number, expression in enumerate(re.findall(r"\$([^$]+)\$", problem.question)):
        for box in (expression, expression.replace(" ", ""), rf"\left. {expression} \right."):
            row = Row(id=problem.id, answer=rf"\boxed{{{box}}}", finish_reason="stop")
            (one,) = marked([problem], {problem.id: row}, judged, reasons=False)
            assert one.right is not True, (number, box)


def test_they_are_about_what_the_documentation_says() -> None:
    assert (len(PROBLEMS), len(TOOLS), len(FORMS)) == (46, 20, 20)
    assert {problem.level for problem in PROBLEMS} == {"1", "2", "3", "4"}
    assert len({problem.subject for problem in PROBLEMS}) == 7


def test_every_tool_has_a_schema_and_every_wanted_call_follows_it() -> None:
    for case in TOOLS:
        tools = {tool["name"]: tool["parameters"] for tool in case.tools}
        for schema in tools.values():
            Draft202012Validator.check_schema(schema)
        if case.tool is not None:
            for arguments in (case.arguments, *case.others):
                wanted = {name: values[-1] for name, values in arguments.items()}
                given = {name: value for name, value in wanted.items() if value is not None}
                Draft202012Validator(tools[case.tool]).validate(given)
                call = Call(name=case.tool, arguments=json.dumps(given))
                assert marked_call(case, Row(id=case.id, calls=(call,))).right, case.id
    assert sum(case.tool is None for case in TOOLS) == 3


@pytest.mark.parametrize(
    ("number", "given", "right"),
    [
        (1, {"city": "Oslo", "unit": "fahrenheit"}, True),
        (3, {"minutes": 12, "label": "12 minute timer"}, True),
        (5, {"minutes": 120, "label": "Two hours are over"}, True),
        (17, {"minutes": 4}, True),
        (17, {"minutes": 4, "label": "boiled eggs"}, True),
        (11, {"a": 27, "b": 348}, True),
        (11, {"a": 27, "b": 27}, False),
        (2, {"city": "Madrid"}, False),  # Fahrenheit was asked for
        (3, {"minutes": 13}, False),
    ],
)
def test_what_nobody_asked_for_may_be_said_in_any_way(
    number: int, given: dict[str, Any], right: bool
) -> None:
    case = TOOLS[number - 1]
    call = Call(name=str(case.tool), arguments=json.dumps(given))
    assert marked_call(case, Row(id=case.id, calls=(call,))).right is right


def test_every_form_is_a_schema_that_a_blank_object_does_not_follow() -> None:
    for case in FORMS:
        Draft202012Validator.check_schema(case.schema)
        assert not Draft202012Validator(case.schema).is_valid({}), case.id
