"""The same model, told on purpose to call tools: what a profile with `model.tools` gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.product import Outcome, Stack
from tests.e2e.vllm.test_vllm_api import TOOL, conforms
from tests.e2e.vllm.test_vllm_first_up import chat

#: The model's template has no place for tools, which the catalog knows; the grammar needs none.
#: Another size as well: shorter conversations, and more of them.
ASKED = (
    *("--set", "model.tools=true", "--set", "model.tool_template=true"),
    *("--set", "model.tool_parser=hermes"),
    *("--set", "model.context=1024", "--set", "concurrency=4"),
)


@pytest.fixture(scope="module")
def changed(vllm: Stack) -> tuple[Stack, Outcome, dict[str, tuple[str, str]]]:
    before = vllm.identity()
    return vllm, vllm.up(*ASKED), before


@pytest.fixture(scope="module")
def with_tools(changed: tuple[Stack, Outcome, dict[str, tuple[str, str]]]) -> Stack:
    stack, outcome, _ = changed
    assert outcome.exit_code == 0, str(outcome)
    return stack


def test_the_same_stack_goes_on_with_another_engine_and_the_same_frontend(
    changed: tuple[Stack, Outcome, dict[str, tuple[str, str]]],
) -> None:
    stack, outcome, before = changed
    assert outcome.data["changed"] is True
    after = stack.identity()
    assert after["engine"] != before["engine"]
    command = stack.container("engine")["Config"]["Cmd"]
    assert command[command.index("--tool-call-parser") + 1] == "hermes"


def called(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
    function: dict[str, Any] = call["function"]
    return function


def test_a_tool_that_is_named_is_called_with_arguments_of_exactly_its_form(
    with_tools: Stack,
) -> None:
    named = {"type": "function", "function": {"name": "record_paint"}}
    answer = chat(with_tools, "Three cans of blue.", max_tokens=96, tools=[TOOL], tool_choice=named)
    function = called(answer)
    assert function["name"] == "record_paint"
    assert conforms(function["arguments"]), function


def test_a_tool_that_is_required_is_called_with_arguments_of_exactly_its_form(
    with_tools: Stack,
) -> None:
    answer = chat(
        with_tools, "Three cans of blue.", max_tokens=128, tools=[TOOL], tool_choice="required"
    )
    function = called(answer)
    assert function["name"] == "record_paint"
    assert conforms(function["arguments"]), function


def test_offered_tools_are_no_error_any_more(with_tools: Stack) -> None:
    answer = chat(with_tools, "Hello", max_tokens=8, tools=[TOOL], tool_choice="auto")
    assert answer.status_code == 200, answer.text


def test_verify_forces_a_call_and_finds_four_at_once(with_tools: Stack) -> None:
    only = "tool-call-forced,concurrency,context-limit,ui-answer,key-required"
    outcome = with_tools.product.run(
        *("verify", "--stack", with_tools.name, "--only", only, "--output", "json", "--quiet"),
        patience_s=with_tools.patience_s,
    )
    found = {check["name"]: check for check in outcome.data["checks"]}
    assert {check["status"] for check in found.values()} == {"ok"}
    assert json.dumps(found["tool-call-forced"]["summary"]).startswith('"called record_paint with')
    assert "4 at the same time" in found["concurrency"]["summary"]
