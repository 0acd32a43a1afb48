"""A person signs in at the printed address and chats."""

from __future__ import annotations

from tests.e2e.browser import Conversation


def test_a_browser_signs_in_asks_and_reads_an_answer(conversation: Conversation) -> None:
    assert conversation.answer


def test_the_engine_reads_little_more_than_what_was_typed(conversation: Conversation) -> None:
    """The chat window would otherwise add 28 tools, about 5000 tokens, to every message."""
    assert 0 < conversation.prompt_tokens < 1000
