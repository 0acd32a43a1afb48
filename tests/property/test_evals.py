"""For any answer and any dataset: a verdict, a share within its interval, or a fault."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from deployctl.errors import DeployctlError
from deployctl.evals import dataset
from deployctl.evals.figures import rate
from deployctl.evals.marking import marked_call, marked_form
from deployctl.evals.nouns import Call, FormCase, Problem, Row, ToolCase
from deployctl.evals.questions import LEAST, Way, fitted, of_problem
from deployctl.evals.reading import chain_of, last_box, restates

PIECES = st.lists(
    st.sampled_from(
        [r"\boxed{", r"\fbox{", "{", "}", r"\{", r"\}", "\\", "<think>", "</think>", "4", " ", "\n"]
    ),
    max_size=12,
).map("".join)
INSIDE = st.text(alphabet="ab1+^_ ", min_size=1).filter(str.strip)


@given(PIECES | st.text(), PIECES, st.sampled_from(["stop", "length", "tool_calls", None]))
def test_any_answer_is_read(answer: str, reasoning: str, finish: str | None) -> None:
    row = Row(id="x", answer=answer, reasoning=reasoning, finish_reason=finish)
    chain = chain_of(row)
    assert chain.answer in answer
    if chain.complete(reasons=True):
        assert finish == "stop"
        assert chain.boxed
        assert chain.boxed in chain.answer
        assert chain.complete(reasons=False)


@given(st.text(), INSIDE, st.text(alphabet="abc .\n"))
def test_a_box_at_the_end_is_found_whatever_is_before_it(
    before: str, inside: str, behind: str
) -> None:
    assert last_box(rf"{before} \boxed{{{inside}}}{behind}") == inside.strip()


@given(st.integers(0, 300), st.integers(1, 300))
def test_a_share_lies_within_its_interval_which_is_within_0_and_1(hits: int, of: int) -> None:
    found = rate(n < hits for n in range(of))
    assert found.share is not None
    assert 0 <= found.low <= found.share <= found.high <= 1
    more = rate(n < hits * 4 for n in range(of * 4))
    assert more.high - more.low < found.high - found.low


LINES = st.lists(
    st.binary(max_size=20)
    | st.dictionaries(
        st.sampled_from(["problem", "answer", "unique_id", "level", "x"]),
        st.text(max_size=5) | st.integers() | st.none() | st.booleans() | st.floats(),
    ).map(lambda row: json.dumps(row).encode()),
    max_size=6,
)


@given(LINES)
def test_any_dataset_gives_problems_or_says_where_it_is_wrong(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    try:
        found = dataset.problems(content, "set.jsonl")
    except DeployctlError as problem:
        told = problem.faults
        assert {(fault.code, (fault.where or "")[:9]) for fault in told} == {
            ("dataset-invalid", "set.jsonl")
        }
        return
    assert len({problem.id for problem in found}) == len(found)
    assert all(problem.question.strip() and problem.answer.strip() for problem in found)
    json.dumps([problem.question for problem in found]).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@given(st.text() | JSON.map(json.dumps), st.sampled_from(["f", "g", ""]))
def test_any_call_and_any_object_is_marked(text: str, name: str) -> None:
    tool = {"name": "f", "parameters": SCHEMA}
    case = ToolCase(id="t", question="?", tools=(tool,), tool="f", arguments={"a": (1,)})
    found = marked_call(case, Row(id="t", calls=(Call(name=name, arguments=text),)))
    assert found.valid or found.fault
    assert not (found.right and not found.valid)
    form = marked_form(
        FormCase(id="j", question="?", schema=SCHEMA), Row(id="j", answer=text), "words"
    )
    assert form.valid is not bool(form.fault)


@given(st.text(max_size=4000), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_question_and_answer_never_have_more_than_the_context(
    text: str, max_tokens: int, tokens: int, context: int
) -> None:
    way = Way(engine="vllm", sampling={}, max_tokens=max_tokens, seed=0)
    asked = of_problem(Problem(id="a", question=text, answer="1"), way)
    found = fitted(asked, tokens, context)
    if found is None:
        assert context - tokens < min(max_tokens, LEAST)
    else:
        assert 1 <= found.body["max_tokens"] <= min(max_tokens, context - tokens)


@given(st.text(), st.text(), st.text())
def test_any_box_repeats_its_question_or_does_not_and_never_is_the_key(
    box: str, question: str, key: str
) -> None:
    assert restates(box, question, key) in (True, False)
    assert not restates(key, question, key)
