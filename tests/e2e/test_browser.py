"""A person signs in at the printed address and chats."""

from __future__ import annotations

import pytest

from tests.e2e import wire
from tests.e2e.browser import Conversation


def test_a_browser_signs_in_asks_and_reads_an_answer(conversation: Conversation) -> None:
    assert conversation.answer


def test_the_engine_reads_little_more_than_what_was_typed(conversation: Conversation) -> None:
    assert 0 < conversation.prompt_tokens < 1000


def test_the_engine_is_sent_one_request_with_the_question_and_no_tools(
    conversation: Conversation,
) -> None:
    """The chat window would otherwise add 28 tools, some 20 kB, to every message.

    The count of tokens does not show it: this model's template has no place for tools.
    """
    if conversation.requests is None:
        pytest.skip(f"{wire.problem()}")
    (request,) = conversation.requests
    assert "tools" not in request
    assert request["messages"] == [{"role": "user", "content": conversation.question}]
