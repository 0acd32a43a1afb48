"""Checks of what the engine answers: whole, streamed, as long as asked, thoughts apart."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from deployctl.reply import Reader, ReplyError
from deployctl.verify.ask import (
    SHORT,
    chat,
    content,
    dig,
    good,
    question,
    quoted,
    reasoning,
    stream,
    told,
)
from deployctl.verify.nouns import Seen, failed, ok

if TYPE_CHECKING:
    from deployctl.verify.nouns import Subject

#: Tokens asked for where the length itself is what is looked at.
_LIMIT = 16

#: A word that every tokenizer has as one token, and how many of them exceed a context surely.
_WORD, _SURELY = "word ", 1.5

#: Characters of an answer after thoughts that show that it has begun.
_BEGUN = 20


def budget(subject: Subject, short: int = SHORT) -> int:
    """Tokens for an answer that must come: a model that thinks first needs room for that."""
    plan = subject.plan
    return plan.max_tokens if plan is not None and plan.reasoning else short


def whole(subject: Subject) -> Seen:
    """``chat``: one question, one answer."""
    reply = chat(subject, question(subject, max_tokens=budget(subject)))
    message = dig(reply.data, "choices", 0, "message")
    said = content(message) or reasoning(message)
    if not good(reply) or not said.strip():
        return failed(
            f"gave no answer: {told(reply) if not good(reply) else 'it is empty'}", subject.logs
        )
    tokens = dig(reply.data, "usage", "completion_tokens")
    return ok(f"{quoted(said)}, {tokens} tokens")


def streaming(subject: Subject) -> Seen:
    """``streaming``: in pieces, with the reason for its end, the count of tokens and a last word.

    Open WebUI and most clients stream, and fail in ways of their own where one of these is missing.
    """
    pieces, done, reader = 0, False, Reader(raw=True)
    try:
        for payload in stream(subject, question(subject, max_tokens=SHORT)):
            done = payload == "[DONE]"
            pieces += bool(list(reader.event(payload)))
    except (OSError, ReplyError) as problem:
        return failed(f"the stream broke: {problem}", subject.logs)
    reason, usage = reader.finish_reason, reader.usage.get("completion_tokens")
    missing = [
        what
        for what, there in (
            (f"more than {pieces} pieces", pieces > 1),
            ("a reason for its end", reason in ("stop", "length")),
            ("a count of its tokens", isinstance(usage, int) and usage > 0),
            ("the closing [DONE]", done),
        )
        if not there
    ]
    if missing:
        return failed(f"a streamed answer lacks {', '.join(missing)}", subject.logs)
    return ok(f"{pieces} pieces, {usage} tokens, ended by {reason}")


def max_tokens(subject: Subject) -> Seen:
    """``max-tokens``: an answer is exactly as long as allowed, and says why it ends there."""
    body = question(subject, "Count to one hundred.", max_tokens=_LIMIT, ignore_eos=True)
    reply = chat(subject, body)
    if not good(reply):
        return failed(f"was not answered: {told(reply)}", subject.logs)
    tokens = dig(reply.data, "usage", "completion_tokens")
    reason = dig(reply.data, "choices", 0, "finish_reason")
    if not isinstance(tokens, int) or tokens > _LIMIT:
        return failed(f"{tokens} tokens came (measured) where {_LIMIT} were asked for", subject.up)
    if reason != "length" or tokens < _LIMIT:
        return failed(
            f"the answer ended after {tokens} of {_LIMIT} tokens (measured) with reason {reason}",
            subject.up,
        )
    window, context = subject.wanted.max_tokens, subject.wanted.context
    if window is not None and window >= context:
        return failed(
            f"the chat window asks for {window} tokens of a context of {context}: every reply "
            "would be refused or cut short",
            subject.way.with_set(("model.max_tokens", str(context // 2))),
            where="webui",
        )
    asks = f"; the chat window asks for up to {window} of {context}" if window else ""
    return ok(f"{tokens} of {_LIMIT} tokens (measured), ended by length{asks}")


def context_limit(subject: Subject) -> Seen:
    """``context-limit``: what is too long is refused in words, and the engine goes on answering."""
    context = subject.wanted.context
    words = _WORD * int(context * _SURELY + 64)
    reply = chat(subject, question(subject, words, max_tokens=1))
    if reply.status != HTTPStatus.BAD_REQUEST:
        return failed(
            f"{int(context * _SURELY + 64)} words into a context of {context} tokens gave "
            f"{told(reply)}, not a clear refusal",
            subject.logs,
        )
    said = str(dig(reply.data, "error", "message") or reply.text)
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", said)]
    if context not in numbers:
        seen = quoted(said, 120)
        return failed(f"the refusal does not name {context} tokens: {seen}", subject.up)
    after = chat(subject, question(subject, max_tokens=1))
    if not good(after):
        return failed(f"after a refusal the engine said {told(after)}", subject.logs)
    return ok(f"refused with HTTP 400: {quoted(said, 80)}; then it answered again")


_TAGS = ("<think>", "</think>")


def reasoning_split(subject: Subject) -> Seen:
    """``reasoning-split``: thoughts come in a field of their own, and never in the answer."""
    thinks = subject.plan.reasoning if subject.plan is not None else None
    reader = Reader(raw=True)
    try:
        for payload in stream(subject, question(subject, max_tokens=budget(subject))):
            list(reader.event(payload))
            if reader.reasoning and len(reader.answer.strip()) >= _BEGUN:
                break
    except (OSError, ReplyError) as problem:
        return failed(f"the stream broke: {problem}", subject.logs)
    answer, thought = reader.answer, reader.reasoning
    if tag := next((tag for tag in _TAGS if tag in answer), None):
        return failed(
            f"the answer contains {tag}: thoughts are not told apart",
            subject.way.with_set(("model.reasoning", "true")),
            details=(quoted(answer, 200),),
        )
    if thinks and not thought:
        return failed("the model is to think, and no thoughts came", subject.logs)
    if thinks is False and thought:
        return failed(
            f"the profile says that the model does not think, and {len(thought)} characters of "
            "thoughts came",
            subject.way.with_set(("model.reasoning", "true")),
        )
    if not thought:
        return ok(f"no thoughts and no tag in {len(answer)} characters of answer")
    begun = "and the answer apart" if answer.strip() else "and the answer had not begun yet"
    return ok(f"{len(thought)} characters of thoughts in a field of their own, {begun}")
