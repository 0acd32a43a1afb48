"""What programs ask of vLLM's OpenAI API: forms, tools, pieces, keys, limits, several at once."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import requests

from tests.e2e import machine
from tests.e2e.product import Stack
from tests.e2e.vllm.test_vllm_first_up import chat

#: A form with everything that a careless decoder gets wrong: names, kinds, and nothing more.
SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": ["red", "green", "blue"]},
        "cans": {"type": "integer", "minimum": 1, "maximum": 9},
        "urgent": {"type": "boolean"},
    },
    "required": ["colour", "cans", "urgent"],
    "additionalProperties": False,
}

#: vLLM 0.32 holds arguments to their form only where the tool asks for it.
TOOL = {
    "type": "function",
    "function": {"name": "record_paint", "strict": True, "parameters": SCHEMA},
}


def conforms(text: str) -> bool:
    """Whether a text is JSON of the form, and nothing else."""
    value = json.loads(text)
    return (
        list(value) == ["colour", "cans", "urgent"]
        and value["colour"] in ("red", "green", "blue")
        and type(value["cans"]) is int
        and 1 <= value["cans"] <= 9
        and type(value["urgent"]) is bool
    )


def test_a_json_schema_is_kept_to_exactly(vllm: Stack) -> None:
    form = {"name": "paint", "strict": True, "schema": SCHEMA}
    answer = chat(
        vllm,
        "Tell me a story about paint.",
        max_tokens=96,
        response_format={"type": "json_schema", "json_schema": form},
    )
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["finish_reason"] == "stop"
    assert conforms(choice["message"]["content"])


def test_without_a_parser_tools_are_refused_in_words(vllm: Stack) -> None:
    """The profile asks for none, and the reason why the chat window must not send any."""
    for choice in ("auto", {"type": "function", "function": {"name": "record_paint"}}):
        answer = chat(vllm, "Three cans of blue.", max_tokens=64, tools=[TOOL], tool_choice=choice)
        assert answer.status_code == 400
        assert "--tool-call-parser" in answer.json()["error"]["message"]


def test_an_answer_comes_in_pieces_and_ends_with_what_it_cost(vllm: Stack) -> None:
    body = {
        "model": "smollm2-135m",
        "messages": [{"role": "user", "content": "Write about the sea."}],
        "max_tokens": 12,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with requests.Session() as session:
        session.trust_env = False
        with session.post(
            f"{vllm.engine}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {vllm.credentials()['API key']}"},
            stream=True,
            timeout=120,
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            said = [line[6:] for line in answer.iter_lines(decode_unicode=True) if line]
    assert said[-1] == "[DONE]"
    events = [json.loads(line) for line in said[:-1]]
    pieces = [
        text
        for event in events
        for choice in event["choices"]
        if (text := choice["delta"].get("content"))
    ]
    assert len(pieces) > 3
    assert events[-1]["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize("token", [None, "wrong", ""], ids=["no key", "wrong key", "empty key"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/responses"),
    ],
)
def test_who_has_not_the_key_is_refused(
    vllm: Stack, method: str, path: str, token: str | None
) -> None:
    body = {"model": "smollm2-135m", "prompt": "Hi", "input": "Hi", "messages": []}
    answer = machine.http(
        method, f"{vllm.engine}{path}", token=token, body=body if method == "POST" else None
    )
    assert answer.status_code == 401


def test_too_long_a_question_is_refused_in_words_and_the_next_one_answered(vllm: Stack) -> None:
    answer = chat(vllm, "word " * 4000)
    assert answer.status_code == 400
    assert "maximum context length is 2048 tokens" in answer.json()["error"]["message"]
    assert chat(vllm, "Hello", max_tokens=2).status_code == 200


def test_an_answer_is_as_long_as_asked_and_never_longer_than_the_context(vllm: Stack) -> None:
    answer = chat(vllm, "Write about the sea.", max_tokens=7, ignore_eos=True).json()
    assert answer["usage"]["completion_tokens"] == 7
    assert answer["choices"][0]["finish_reason"] == "length"
    refused = chat(vllm, "Hi", max_tokens=5000)
    assert refused.status_code == 400
    assert "max_tokens" in refused.json()["error"]["message"]


def test_as_many_as_planned_are_answered_at_the_same_time_and_one_more_waits(vllm: Stack) -> None:
    planned = 2
    answers: list[Any] = []

    def one(number: int) -> None:
        text = f"Story number {number}, of a river."
        answers.append(chat(vllm, text, max_tokens=64, ignore_eos=True))

    askers = [threading.Thread(target=one, args=(number,)) for number in range(planned + 1)]
    for asker in askers:
        asker.start()
    seen = []
    while any(asker.is_alive() for asker in askers):
        seen.append(vllm.engine_counter(vllm.kind.running))
    assert max(seen) == planned
    assert [answer.status_code for answer in answers] == [200] * (planned + 1)
    assert {answer.json()["usage"]["completion_tokens"] for answer in answers} == {64}
