"""A person at the chat window, and one at the terminal, with vLLM behind both."""

from __future__ import annotations

import pytest

from tests.e2e import wire
from tests.e2e.browser import Conversation
from tests.e2e.product import Stack
from tests.e2e.test_chat import asked


def test_a_browser_signs_in_asks_and_reads_an_answer(vllm_conversation: Conversation) -> None:
    assert vllm_conversation.answer
    assert 0 < vllm_conversation.prompt_tokens < 1000


def test_vllm_is_sent_one_request_with_the_question_and_no_tools(
    vllm_conversation: Conversation,
) -> None:
    """It would answer 400 to the 28 tools that the chat window adds by itself."""
    if vllm_conversation.requests is None:
        pytest.skip(f"{wire.problem()}")
    (request,) = vllm_conversation.requests
    assert "tools" not in request
    assert request["messages"] == [{"role": "user", "content": vllm_conversation.question}]


def test_the_figures_of_chat_are_what_vllm_counted(vllm: Stack) -> None:
    before = vllm.engine_counter(vllm.kind.answer_tokens)
    data = vllm.product.run(
        *("chat", "Write about the sea.", "--stack", vllm.name),
        *("--max-tokens", "24", "--output", "json"),
    ).data
    counted = vllm.engine_counter(vllm.kind.answer_tokens) - before
    assert data["usage"]["completion_tokens"] == counted <= 24
    assert data["answer"].strip()
    assert 0 < data["timings"]["first_token_s"] <= data["timings"]["seconds"]


def test_a_question_that_is_too_long_says_what_to_do(vllm: Stack) -> None:
    done = asked(vllm, "-", text="word " * 6000)
    assert done.returncode == 2
    assert (done.stdout, "[chat-too-long]" in done.stderr) == ("", True)
    assert "--set model.context=" in done.stderr
