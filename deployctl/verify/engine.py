"""Checks of the engine itself: it answers, serves one model, counts, and serves several at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deployctl.metrics import missing, read_metrics
from deployctl.sidebyside import apart
from deployctl.verify.ask import chat, dig, get, good, question, told
from deployctl.verify.nouns import Seen, failed, ok

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

#: Tokens of each answer while several are given at once: soon done, and, where they were not seen
#: together because the engine is faster than looking, once more and longer.
_AT_ONCE_TOKENS = (16, 160)

#: Seconds between two looks at what is under way.
_LOOK_EVERY_S = 0.02


def answers(subject: Subject) -> Seen:
    """``engine-answers``: its API lists models at all."""
    reply = get(subject, "/v1/models")
    if good(reply) and isinstance(dig(reply.data, "data"), list):
        return ok(f"answers at {subject.at.engine}/v1")
    return failed(f"does not answer at {subject.at.engine}/v1: {told(reply)}", subject.logs)


def served_model(subject: Subject) -> Seen:
    """``served-model``: ours, under its name, and no other."""
    rows = dig(get(subject, "/v1/models").data, "data")
    names = [name for row in rows or () if isinstance(name := dig(row, "id"), str)]
    asked = subject.at.served_name
    if names == [asked]:
        return ok(f"serves {asked} and nothing else")
    listed = ", ".join(names) or "no model"
    return failed(f"serves {listed}, where only {asked} was asked for", subject.up)


def metrics_present(subject: Subject) -> Seen:
    """``metrics``: every figure that is read elsewhere is there, with a number."""
    reply = get(subject, "/metrics")
    if not good(reply):
        return failed(f"/metrics says {told(reply)}", subject.up)
    if lacks := missing(subject.wanted.engine, reply.text):
        return failed(f"/metrics lacks {', '.join(lacks)}", subject.up)
    found = read_metrics(reply.text)
    written = found.generated_tokens if found is not None else None
    return ok(f"all that `status` and `verify` read is there; {written or 0:.0f} tokens written")


def concurrency(subject: Subject) -> Seen:
    """``concurrency``: as many answers at once as planned, and really at the same time."""
    planned = subject.wanted.concurrency
    if subject.wanted.engine == "llama.cpp":
        slots = dig(get(subject, "/props").data, "total_slots")
        if slots != planned:
            return failed(
                f"has room for {slots} conversations at once (measured), where {planned} were "
                "planned",
                subject.up,
            )
    started = subject.ports.clock.now()
    for tokens in _AT_ONCE_TOKENS:
        replies, most = _at_once(subject, planned, tokens)
        if most >= planned or not all(map(good, replies)):
            break
    seconds = subject.ports.clock.now() - started
    refused = [told(reply) for reply in replies if not good(reply)]
    if refused:
        return failed(
            f"{len(refused)} of {planned} requests at once were not answered",
            subject.logs,
            details=tuple(refused),
        )
    if most < planned:
        return failed(
            f"answered {planned} requests, but at most {most} at the same time (measured)",
            subject.up,
        )
    return ok(f"{planned} at the same time (measured), all answered in {seconds:.1f} s")


def _at_once(subject: Subject, number: int, tokens: int) -> tuple[list[Reply], int]:
    """Ask so many questions together; (the answers, how many were under way at most)."""
    most = 0
    asked = [
        apart(partial(_one, subject, each, tokens), name="verify concurrency")
        for each in range(number)
    ]
    while not all(one.done() for one in asked):
        most = max(most, _running(subject))
        subject.ports.clock.sleep(_LOOK_EVERY_S)
    return [one.result() for one in asked], most


def _one(subject: Subject, number: int, tokens: int) -> Reply:
    text = f"Question {number}: tell a story about a river."
    return chat(subject, question(subject, text, max_tokens=tokens, ignore_eos=True))


def _running(subject: Subject) -> int:
    reply = get(subject, "/metrics")
    found = read_metrics(reply.text) if good(reply) else None
    return (found.running or 0) if found is not None else 0
