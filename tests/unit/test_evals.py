"""Evaluations without an engine: reading answers, marking them, shares, datasets, questions."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.asking import Reading
from deployctl.deploy.chat import Line
from deployctl.deploy.evalroom import with_room
from deployctl.deploy.judging import MathVerify
from deployctl.deploy.kept import kept_request, way_of
from deployctl.deploy.stack import endpoints
from deployctl.errors import DeployctlError
from deployctl.evals import dataset, judge, questions
from deployctl.evals.figures import rate, tokens
from deployctl.evals.judge import same
from deployctl.evals.marking import marked, marked_call, marked_form
from deployctl.evals.nouns import Call, FormCase, Problem, Row, ToolCase
from deployctl.evals.questions import Way
from deployctl.evals.reading import chain_of, last_box, restates
from deployctl.evals.sets import MathSet, ToolSet
from deployctl.loopback import Reply
from deployctl.outcomes import Command
from deployctl.runner import SubprocessRunner
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp
from tests.world import Box


def row(answer: str = "", *, reasoning: str = "", finish: str | None = "stop", **more: Any) -> Row:
    return Row(id="p", answer=answer, reasoning=reasoning, finish_reason=finish, tokens=9, **more)


def judged(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    return [same(gold, answer) for gold, answer in pairs]


# ── chains ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("found", "reasons", "complete"),
    [
        (row(r"So \boxed{4}"), False, True),
        (row(r"So \boxed{4}"), True, False),  # a model that thinks did not
        (row(r"So \boxed{4}", reasoning="Hm."), True, True),
        (row(r"<think>Hm.</think> \boxed{4}"), True, True),
        (row(r"Hm.</think> \boxed{4}"), True, True),  # the template opened it
        (row(r"<think>Hm. \boxed{4}"), True, False),  # never closed
        (row(r"<think>Hm. \boxed{4}"), False, False),
        (row(reasoning=r"Hm. \boxed{4}"), True, False),  # the box is among the thoughts
        (row(r"<think>\boxed{4}</think> It is four."), True, False),
        (row(r"So \boxed{4}", finish="length"), False, False),
        (row(r"So \boxed{4}", finish=None), False, False),
        (row(r"So \boxed{4"), False, False),
        (row(r"So \boxed{ }"), False, False),
        (row("So 4"), False, False),
        (row(""), False, False),
    ],
)
def test_a_chain_is_complete_when_nothing_of_it_is_missing(
    found: Row, reasons: bool, complete: bool
) -> None:
    assert chain_of(found).complete(reasons=reasons) is complete


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{1} or rather \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {3}", "3"),
        (r"\fbox{3}", "3"),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{5\\}", r"5\\"),
        ("boxed{5}", None),
        (r"So \boxed 5.", "5"),
        (r"\boxed -1.5 m", "-1.5"),
        (r"\boxed x", "x"),
        (r"\boxed is empty", None),
        (r"\boxed{5} \fbox{checked}", "5"),
        (r"\boxed{4} or \boxed 5", "5"),
    ],
)
def test_the_last_whole_box_counts(text: str, box: str | None) -> None:
    assert last_box(text) == box


# ── right and wrong ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        (r"\frac12", "0.5", True),
        (r"\frac12", "1/2", True),
        (r"\frac12", r"\dfrac{2}{4}", True),
        (r"\frac12", "0.51", False),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        ("x^2+2x+1", "(x+1)^2", True),
        ("(1,2)", "(1, 2)", True),
        ("(1,2)", "(2,1)", False),
        ("[1,2)", "(1,2)", False),
        (r"\{1,2\}", r"\{2,1\}", True),
        (r"\text{Evelyn}", "evelyn", True),
        (r"\text{Evelyn}", r"\text{Bob}", False),
        (r"\text{(C)}", "C", True),
        ("12", r"12\text{ cm}", True),
        ("3", "x=3", True),
        ("xy", "yx", True),
        ("-2", "2", False),
        ("5", "}{", False),
        ("5", "5" * 3000, False),
        # Brackets of lists are not told apart; a set has no order.
        (r"\{2,3\}", "(2,3)", True),
        (r"\{2,3\}", "3, 2", True),
        ("(3,1)", "[3,1]", True),
        ("(3,1)", "[1,3]", False),
        ("[-3,3]", "(-3,3)", False),
    ],
)
def test_the_same_mathematics_is_right_however_it_is_written(
    gold: str, answer: str, right: bool
) -> None:
    assert same(gold, answer) is right


def test_a_wrong_answer_key_is_noticed() -> None:
    answers = {"a": "1/2", "b": "7", "c": "x+1"}
    rows = {name: Row(id=name, answer=rf"\boxed{{{a}}}") for name, a in answers.items()}
    keys = {"a": r"\frac{1}{2}", "b": "7", "c": "1+x"}

    def hits(**flipped: str) -> int:
        found = (Problem(id=i, question="?", answer=a) for i, a in {**keys, **flipped}.items())
        return MathSet(problems=tuple(found)).marks(rows, judged, reasons=False).rates["right"].hits

    assert hits() == 3
    assert [hits(a=r"\frac{1}{3}"), hits(b="-7"), hits(c="x-1")] == [2, 2, 2]


HANGS = ("7", "9^{9^{9^9}}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pairs", "verdicts"),
    [
        ([("1", "1"), HANGS, ("2", "3"), (r"\frac12", "0.5")], [True, None, False, True]),
        ([HANGS, HANGS, ("1", "1")], [None, None, True]),  # nothing was told before the first
    ],
)
def test_one_answer_over_which_the_checker_hangs_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
    pairs: list[tuple[str, str]],
    verdicts: list[bool | None],
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # it would flush for the checker
    assert MathVerify(SubprocessRunner())(pairs) == verdicts


@pytest.mark.parametrize("first", [1, 2])
def test_a_checker_that_is_ended_by_its_first_pairs_was_ready_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: int
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    package = tmp_path / "math_verify"
    package.mkdir()
    (package / "errors.py").write_text("class TimeoutException(BaseException): pass\n")
    (package / "__init__.py").write_text(
        "import os\n"
        "class ExprExtractionConfig: pass\n"
        "class LatexExtractionConfig:\n    def __init__(self, **_): pass\n"
        "def parse(text, *_, **__):\n    '666' in text and os._exit(1)\n    return [text]\n"
        "def verify(gold, given, **_):\n    return gold == given\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pairs = [*[("1", "666")] * first, ("1", "1"), ("1", "666"), ("1", "2")]
    assert MathVerify(SubprocessRunner())(pairs) == [*[None] * first, True, None, False]


def test_a_checker_that_may_have_less_memory_than_it_asks_for_works() -> None:
    argv = (sys.executable, "-P", judge.__file__)
    command = Command(
        argv=("sh", "-c", 'ulimit -v 3000000 && exec "$@"', "sh", *argv),
        label="math-verify",
        timeout_s=60,
        stdin='{"gold": "2", "answer": "2"}\n',
        private=True,
    )
    assert SubprocessRunner().run(command).stdout.split() == [judge.READY, "true"]


def test_a_checker_that_dies_over_a_pair_goes_on_behind_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    program = tmp_path / "judge.py"
    program.write_text(
        "import json, os, sys\nprint('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    if json.loads(line)['answer'] == 'die':\n        os._exit(9)\n"
        "    print('true', flush=True)\n"
    )
    monkeypatch.setattr("deployctl.deploy.judging.judge.__file__", str(program))
    pairs = [("1", "die"), ("1", "1"), ("1", "die"), ("1", "die"), ("1", "1")]
    assert MathVerify(SubprocessRunner())(pairs) == [None, True, None, None, True]
    program.write_text("raise SystemExit('no module named math_verify')")
    with pytest.raises(DeployctlError) as caught:
        MathVerify(SubprocessRunner())([("1", "1")])
    fault = caught.value.faults[0]
    assert (fault.code, "no module named" in fault.details[0]) == ("bug", True)
    assert fault.hint.startswith(sys.executable)


def test_an_answer_without_a_box_is_not_right_and_one_refused_is_not_marked() -> None:
    problems = [Problem(id=name, question="?", answer="4") for name in ("a", "b", "c", "d")]
    rows = {
        "a": Row(id="a", answer="It is 4.", finish_reason="stop"),
        "b": Row(id="b", refused=True, said="HTTP 400: too long"),
        "c": Row(id="c", answer=r"\boxed{4}", finish_reason="length"),
    }
    found = marked(problems, rows, judged, reasons=False)
    assert [(one.id, one.right, one.complete, one.truncated) for one in found] == [
        ("a", False, False, False),
        ("c", True, False, True),
    ]


@pytest.mark.parametrize(
    ("question", "box", "key", "found"),
    [
        ("What is $17 + 26$?", "17+26", "43", True),
        ("What is 17 + 26?", "17+26", "43", True),
        ("What is $17 + 26$?", "43", "43", False),
        ("What is $17 + 261$?", "17+26", "43", False),
        ("Expand $(x+3)(x-5)$.", r"\left(x + 3\right)\,(x-5)", "x^2-2x-15", True),
        (r"Simplify $\sqrt{72}$.", r"\sqrt72", r"6\sqrt{2}", True),
        (r"What is $\frac{1}{2} + \frac13$?", r"\dfrac12+\tfrac{1}{3}", r"\frac{5}{6}", True),
        (r"What is $2^5 - 3^3$?", "2^5-3^3", "5", True),
        (r"What is $3 \cdot 4$?", r"3 \times 4", "12", True),
        (r"Half of $\frac12 + 0$ cakes, $\frac{1}{2}$ each?", r"\frac12", "0.5", False),
        (r"The angles are $65^\circ$ and $50^\circ$.", r"65^\circ", "65", False),
        ("Is it odd or even?", "odd", r"\text{odd}", False),
        ("Is it (A) 2 or (B) 3?", "(A)", "A", False),
        (r"Which is larger, $\sqrt{2}$ or $2^{1/4}$?", r"\sqrt 2", r"\sqrt{2}", False),
    ],
)
def test_a_box_that_repeats_what_is_to_be_worked_out_is_told(
    question: str, box: str, key: str, found: bool
) -> None:
    assert restates(box, question, key) is found


def test_a_box_that_repeats_the_question_is_not_right() -> None:
    problem = Problem(id="p", question="What is $17 + 26$?", answer="43")
    (one,) = marked([problem], {"p": row(r"\boxed{17 + 26}")}, judged, reasons=False)
    assert (one.complete, one.right, one.restated) == (True, False, True)
    (one,) = marked([problem], {"p": row(r"\boxed{26 + 17}")}, judged, reasons=False)
    assert (one.right, one.restated) == (True, False)  # as documented: notation only


def test_an_answer_that_the_engine_could_not_read_is_not_right_where_silence_would_be() -> None:
    broken = row(finish=None, broken=True, said="HTTP 500: Failed to parse input")
    nothing_fits = ToolCase(id="t", question="?", tools=(TOOL,), tool=None, arguments={})
    for case in (CASE, nothing_fits):
        found = marked_call(case, broken)
        assert (found.valid, found.right, found.fault) == (False, False, broken.said)
    form = marked_form(FormCase(id="j", question="?", schema={}), broken, "words")
    assert (form.valid, form.fault) == (False, broken.said)
    marks = ToolSet(cases=(nothing_fits,)).marks({"t": broken}, judged, reasons=False)
    assert (marks.rates["right"].hits, marks.rates["right"].of) == (0, 1)


# ── figures ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # Wilson's interval, as statsmodels' proportion_confint(method="wilson") has it.
    [
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
        (5, 20, 0.1119, 0.4687),
        (400, 500, 0.7627, 0.8327),
    ],
)
def test_shares_come_with_wilsons_interval(hits: int, of: int, low: float, high: float) -> None:
    found = rate(n < hits for n in range(of))
    assert (found.hits, found.of, found.share) == (hits, of, hits / of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_of_nothing_there_is_no_share() -> None:
    found = rate([])
    assert (found.share, found.low, found.high) == (None, 0.0, 1.0)
    assert tokens([None]) is None
    counted = tokens([1, None, 2, 9])
    assert counted is not None
    assert (counted.mean, counted.median, counted.total) == (4.0, 2.0, 12)


# ── datasets ──────────────────────────────────────────────────────────────────────────────────


def test_lines_like_those_of_math_500_are_read() -> None:
    line = {
        "problem": "What is $1+1$?",
        "solution": r"It is $\boxed{2}$.",
        "answer": "2",
        "subject": "Algebra",
        "level": 2,
        "unique_id": "test/algebra/1.json",
    }
    content = ("﻿" + json.dumps(line) + "\r\n\n" + '{"problem": "?", "answer": 3}').encode()
    assert dataset.problems(content, "f") == (
        Problem(
            id="test/algebra/1.json",
            question="What is $1+1$?",
            answer="2",
            subject="Algebra",
            level="2",
        ),
        Problem(id="line-3", question="?", answer="3"),
    )


def test_every_bad_line_is_told_at_once_with_its_place() -> None:
    lines = [
        b'{"problem": "?", "answer": "1"}',
        b'{"problem": "?"',
        b"[1]",
        b'{"question": "?", "answer": "1"}',
        b'{"problem": " ", "answer": "1"}',
        b'{"problem": "\xff", "answer": "1"}',
        b'{"problem": "?", "answer": true}',
        b'{"problem": "?", "answer": "1", "unique_id": "line-1"}',
    ]
    with pytest.raises(DeployctlError) as caught:
        dataset.problems(b"\n".join(lines), "my set.jsonl")
    faults = caught.value.faults
    assert [fault.where for fault in faults] == [f"my set.jsonl:{n}" for n in range(2, 9)]
    assert {fault.code for fault in faults} == {"dataset-invalid"}
    assert int(caught.value.exit_code) == 3
    said = [fault.message for fault in faults]
    for part, message in zip(
        ("no JSON", "no object", "has 'question'", "empty", "UTF-8", "no text", "line 1"),
        said,
        strict=True,
    ):
        assert part in message
    assert faults[0].hint.startswith("sed -n 2p 'my set.jsonl'")


def test_many_bad_lines_are_counted_and_no_line_at_all_is_said() -> None:
    with pytest.raises(DeployctlError) as caught:
        dataset.problems(b"x\n" * 100, "f")
    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1].message.startswith("80 more lines")
    with pytest.raises(DeployctlError, match="has no problem in it"):
        dataset.problems(b"\n \n", "f")


# ── questions ─────────────────────────────────────────────────────────────────────────────────


def way(engine: str = "llama.cpp", **changes: Any) -> Way:
    values: dict[str, Any] = {
        "engine": engine,
        "sampling": {"temperature": 0.6, "top_p": 0.95},
        "max_tokens": 500,
        "seed": 1,
    }
    return Way(**{**values, **changes})


def test_a_problem_is_asked_in_the_users_turn_and_nowhere_else() -> None:
    problem = Problem(id="a", question=" What is 1+1? ", answer="2")
    body = questions.of_problem(problem, way()).body
    (message,) = body["messages"]
    assert message["role"] == "user"
    assert message["content"].startswith("What is 1+1?\n")
    assert r"\boxed{}" in message["content"]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.6, 0.95, 500)
    assert body["cache_prompt"] is False
    assert "cache_prompt" not in questions.of_problem(problem, way("vllm")).body


def test_each_problem_has_a_seed_of_its_own_which_stays() -> None:
    seeds = {questions.seed_of(seed, name) for seed in (1, 2) for name in ("a", "b")}
    assert len(seeds) == 4
    assert questions.seed_of(1, "a") == questions.seed_of(1, "a") < 2**31


def test_an_answer_never_gets_more_than_the_context_leaves() -> None:
    asked = questions.of_problem(Problem(id="a", question="x" * 200, answer="1"), way())

    def limit(tokens: int, context: int) -> int | None:
        found = questions.fitted(asked, tokens, context)
        return None if found is None else found.body["max_tokens"]

    assert (limit(100, 2048), limit(100, 400), limit(272, 400)) == (500, 300, 128)
    assert limit(273, 400) is None
    assert questions.fitted(
        questions.of_problem(Problem(id="a", question="x", answer="1"), way(max_tokens=10)),
        390,
        400,
    )
    most = questions.most_tokens(asked)
    assert most is not None
    assert most >= 200 + len(questions.MATH_WORDS)
    tools = ToolCase(id="t", question="?", tools=(TOOL,), tool=None, arguments={})
    assert questions.most_tokens(questions.of_tools(tools, way())) is None


class Counting(FakeHttp):
    """A vLLM that counts the tokens of a whole request."""

    def call(self, url: str, *, token: Any = None, body: Any = None, timeout_s: float) -> Reply:
        self.body = body
        found = {"count": 300, "max_model_len": 512, "tokens": [1] * 300}
        return (
            Reply(status=200, text=json.dumps(found))
            if url.endswith("/tokenize")
            else Reply(status=404, text="")
        )


def test_vllm_counts_tools_with_the_question(tmp_path: Path) -> None:
    http = Counting()
    world = Box(tmp_path, http=http).world()
    space = Workspace(tmp_path, "deployctl")
    space.ensure()
    space.make_secrets("deployctl up")
    line = Line(
        at=endpoints(space, "m", 1, 2), max_tokens=None, way=way_of(kept_request("m", None))
    )
    case = ToolCase(id="t", question="?", tools=(TOOL,), tool=None, arguments={})
    asked = questions.of_tools(case, way("vllm"))
    found, _ = with_room(world, line, asked, engine="vllm", context=512)
    assert found is not None
    assert found.body["max_tokens"] == 212
    assert http.body == {
        "model": "m",
        "messages": asked.body["messages"],
        "tools": asked.body["tools"],
    }
    found, why = with_room(world, line, asked, engine="vllm", context=400)
    assert (found, "300 tokens" in why) == (None, True)
    # What is surely too long is not even counted: 50 MB of text have killed an engine.
    http.body = None
    huge = {**asked.body, "messages": [{"role": "user", "content": "9" * 50_000}]}
    del huge["tools"]
    found, why = with_room(world, line, replace(asked, body=huge), engine="vllm", context=400)
    assert (found, "far more than the context" in why) == (None, True)
    assert http.body is None


def test_an_object_is_asked_for_twice_and_only_once_held_to_its_schema() -> None:
    case = FormCase(id="j", question="Name a cat.", schema={"type": "object"})
    words, held = questions.of_form(case, way())
    assert words.body["messages"] == held.body["messages"]
    assert "response_format" not in words.body
    assert held.body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert words.body["seed"] != held.body["seed"]


# ── tools and objects ─────────────────────────────────────────────────────────────────────────

TOOL = {
    "name": "set_timer",
    "parameters": {
        "type": "object",
        "properties": {
            "minutes": {"type": "integer"},
            "label": {"type": "string"},
            "sound": {"type": "string"},
        },
        "required": ["minutes"],
        "additionalProperties": False,
    },
}
CASE = ToolCase(
    id="t",
    question="?",
    tools=(TOOL,),
    tool="set_timer",
    arguments={"minutes": (5,), "label": (None, "Eggs")},
    others=({"minutes": (7,), "label": ("tea",)},),
)


@pytest.mark.parametrize(
    ("calls", "valid", "right"),
    [
        ([("set_timer", '{"minutes": 5}')], True, True),
        ([("set_timer", '{"minutes": 5, "label": " eggs"}')], True, True),
        ([("set_timer", '{"minutes": 5, "label": "tea"}')], True, False),
        ([("set_timer", '{"minutes": 5, "sound": "bell"}')], True, True),
        ([("set_timer", '{"minutes": 6}')], True, False),
        ([("set_timer", '{"minutes": 7, "label": "tea"}')], True, True),
        ([("set_timer", '{"minutes": 5}')] * 2, True, False),
        ([("set_timer", '{"minutes": "5"}')], False, False),
        ([("set_timer", '{"minutes": 5, "loud": true}')], False, False),
        ([("set_timer", '{"minutes": 5')], False, False),
        ([("set_timer", "[]")], False, False),
        ([("ring", '{"minutes": 5}')], False, False),
        ([], False, False),
    ],
)
def test_a_call_is_valid_by_its_schema_and_right_by_its_values(
    calls: list[tuple[str, str]], valid: bool, right: bool
) -> None:
    made = tuple(Call(name=name, arguments=arguments) for name, arguments in calls)
    found = marked_call(CASE, row(calls=made))
    assert (found.valid, found.right, bool(found.fault)) == (valid, right, not right)


def test_where_no_call_is_wanted_none_is_right() -> None:
    case = ToolCase(id="t", question="?", tools=(TOOL,), tool=None, arguments={})
    assert marked_call(case, row("Rain is water.")).right
    called = row(calls=(Call(name="set_timer", arguments='{"minutes": 1}'),))
    assert (marked_call(case, called).valid, marked_call(case, called).right) == (True, False)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"a": 1}', True),
        ('\n```json\n{"a": 1}\n```\n', True),
        ('<think>Hm.</think>{"a": 1}', True),
        ('Here it is: {"a": 1}', False),
        ('{"a": "1"}', False),
        ('{"a": 1', False),
        ("", False),
    ],
)
def test_an_object_is_valid_by_its_schema(answer: str, valid: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    found = marked_form(FormCase(id="j", question="?", schema=schema), row(answer), "words")
    assert (found.valid, bool(found.fault)) == (valid, not valid)


def events(*deltas: dict[str, Any], finish: str = "stop") -> list[str]:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return [
        *(json.dumps({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas),
        json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}),
        json.dumps({"choices": [], "usage": usage}),
        "[DONE]",
    ]


@pytest.mark.parametrize("thoughts", ["reasoning_content", "reasoning"])
def test_answers_of_both_engines_are_read_as_they_come(thoughts: str) -> None:
    first = {"index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}
    deltas = (
        {"role": "assistant", "content": None},
        {thoughts: "H"},
        {thoughts: "m."},
        {"content": " So"},
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 1, "function": {"name": "g", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    )
    reading = Reading()
    for payload in events(*deltas, finish="tool_calls"):
        reading.event(payload)
    assert reading.row("x", 1.5) == Row(
        id="x",
        answer=" So",
        reasoning="Hm.",
        calls=(Call(name="f", arguments='{"a": 1}'), Call(name="g", arguments="{}")),
        finish_reason="tool_calls",
        tokens=3,
        prompt_tokens=7,
        seconds=1.5,
    )


def test_tags_of_thoughts_stay_in_an_answer_until_it_is_marked() -> None:
    reading = Reading()
    for payload in events({"content": "<think>Hm.</th"}, {"content": r"ink> \boxed{4}"}):
        reading.event(payload)
    found = reading.row("x", 0.0)
    assert found.answer == r"<think>Hm.</think> \boxed{4}"
    assert chain_of(found).complete(reasons=True)
