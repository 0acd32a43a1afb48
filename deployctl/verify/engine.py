"""Checks of the engine itself: it answers, serves one model, counts, and serves several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deployctl.verify.ask import chat, dig, get, good, metrics, question, told
from deployctl.verify.nouns import Seen, failed, ok

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

#: What dashboards and `status` read; names of llama-server b11434 and vLLM 0.32.
METRICS = {
    "llama.cpp": (
        "llamacpp:prompt_tokens_total",
        "llamacpp:tokens_predicted_total",
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:predicted_tokens_seconds",
    ),
    "vllm": (
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
    ),
}

_RUNNING = {"llama.cpp": "llamacpp:requests_processing", "vllm": "vllm:num_requests_running"}

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
    """``metrics``: every name that is read elsewhere is there, with a number."""
    reply = get(subject, "/metrics")
    if not good(reply):
        return failed(f"/metrics says {told(reply)}", subject.up)
    found = metrics(reply.text)
    names = METRICS[subject.wanted.engine]
    if missing := [name for name in names if name not in found]:
        return failed(f"/metrics lacks {', '.join(missing)}", subject.up)
    read = found[names[0]]
    return ok(f"{len(found)} figures, {len(names)} of {len(names)} needed; {read:.0f} tokens read")


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
            f"answered {planned} requests, but at most {most:.0f} at the same time (measured)",
            subject.up,
        )
    return ok(f"{planned} at the same time (measured), all answered in {seconds:.1f} s")


def _at_once(subject: Subject, number: int, tokens: int) -> tuple[list[Reply], float]:
    """Ask so many questions together; (the answers, how many were under way at most)."""
    most = 0.0
    with ThreadPoolExecutor(max_workers=number) as pool:
        asked = [pool.submit(_one, subject, each, tokens) for each in range(number)]
        while not all(one.done() for one in asked):
            most = max(most, _running(subject))
            subject.ports.clock.sleep(_LOOK_EVERY_S)
        return [one.result() for one in asked], most


def _one(subject: Subject, number: int, tokens: int) -> Reply:
    text = f"Question {number}: tell a story about a river."
    return chat(subject, question(subject, text, max_tokens=tokens, ignore_eos=True))


def _running(subject: Subject) -> float:
    reply = get(subject, "/metrics")
    return metrics(reply.text).get(_RUNNING[subject.wanted.engine], 0.0) if good(reply) else 0.0
