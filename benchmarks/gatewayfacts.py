"""What gateways make of answers: each function asks a few questions and says what was seen.

Against benchmarks/responder.py, which counts what reaches it: a hit is a question that did not.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.gatewayasks import Endpoint, Reply, ask, question
from benchmarks.gatewaykinds import Running, redis_says
from benchmarks.responder import Seen

#: Words that are looked for in what a gateway keeps.
SECRET, ANSWER = "Liechtenstein", "answer is four"
KEYS = ("sk-first-client", "plain-second-client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A gateway before a responder. ``endpoint`` asks with the first of the KEYS."""

    gateway: Running
    endpoint: Endpoint
    seen: Seen

    def body(self, text: str, **more: object) -> dict[str, Any]:
        return question(self.endpoint, text, **more)

    def twice(
        self, first: Mapping[str, Any], second: Mapping[str, Any], *, key: str = ""
    ) -> tuple[Reply, Reply, bool]:
        """Two answers, and whether the second one did not come from upstream."""
        one = ask(self.endpoint, first)
        time.sleep(0.3)  # LiteLLM keeps an answer after it gave it
        count = len(self.seen.bodies)
        two = ask(replace(self.endpoint, key=key or self.endpoint.key), second)
        return one, two, len(self.seen.bodies) == count and two.status == 200


def lost(before: Reply, after: Reply) -> str:
    """Fields that one answer has and the other has not; of those with parts, only the whole."""
    parts = ("timings", "logprobs", "prompt_tokens_details")
    names = set()
    for path in before.fields - after.fields:
        whole = next((each for each in parts if each in path.split(".")), "")
        names.add(whole or path.removeprefix("choices.delta."))
    return ", ".join(f"`{each}`" for each in sorted(names))


def fidelity(case: Case, word: str, *, stream: bool) -> str:
    """Ask twice for what ``word`` makes upstream say: which bytes and fields arrive."""
    body = case.body(f"Say {time.time_ns()} {word}", stream=stream)
    miss = ask(case.endpoint, body)
    said = case.seen.answer
    time.sleep(0.3)
    count = len(case.seen.bodies)
    hit = ask(case.endpoint, body)
    if len(case.seen.bodies) != count:
        return "asked upstream again"
    words = ["miss: the engine's bytes" if miss.body == said else "miss: rewritten"]
    words.append("hit: the miss's bytes" if hit.body == miss.body else "hit: other bytes")
    if len(hit.events) != len(miss.events):
        words.append(f"{len(miss.events)} pieces become {len(hit.events)}")
    if gone := lost(miss, hit):
        words.append(f"lost on a hit: {gone}")
    return "; ".join(words)


def _kept(hit: bool) -> str:
    return "yes" if hit else "no"


def sampled(case: Case) -> str:
    body = case.body("Draw lots", temperature=0.8)
    return _kept(case.twice(body, body)[2])


def unsaid(case: Case) -> str:
    """No temperature at all: the engine's own, which is above 0 as a rule."""
    body = case.body("Draw straws")
    del body["temperature"]
    return _kept(case.twice(body, body)[2])


def other_key(case: Case) -> str:
    body = case.body("What did my neighbour ask")
    return _kept(case.twice(body, body, key=KEYS[1])[2])


def wrong_key(case: Case) -> str:
    """A key that is nobody's: the responder itself would let it in."""
    body = case.body("What did anybody ask")
    count = len(case.seen.bodies)
    _, two, hit = case.twice(body, body, key="sk-nobody")
    if hit:
        return "ANSWERED"
    refused = len(case.seen.bodies) == count + 1 and two.status >= 400
    return "refused" if refused else "passed on to the engine, which refuses it"


def other_parameter(case: Case, name: str, values: tuple[object, object]) -> str:
    first, second = (case.body(f"Mind {name}", **{name: each}) for each in values)
    return _kept(case.twice(first, second)[2])


def cut(case: Case, word: str, *, stream: bool) -> str:
    """An answer that upstream does not finish; ``word`` says how."""
    body = case.body(f"Break {time.time_ns()} {word}", stream=stream)
    one, _, hit = case.twice(body, body)
    again = "kept and given again" if hit else "not kept"
    return f"{one.status}, {_ending(one)}; {again}"


def _ending(reply: Reply) -> str:
    if reply.broken:
        return "broken off"
    if b'"error"' in reply.body:
        return "with an error"
    return "as if whole: `stop` and `[DONE]` added" if b"[DONE]" in reply.body else "as it came"


def legible(case: Case) -> str:
    """Which of key, question and answer can be read in what is kept."""
    text = f"Is {SECRET} a country"
    for key in KEYS:
        ask(replace(case.endpoint, key=key), case.body(text))
    time.sleep(0.5)
    kept = everything_kept(case.gateway)
    named = {
        "a key that begins with sk-": KEYS[0],
        "another key": KEYS[1],
        "the question": SECRET,
        "the answer": ANSWER,
    }
    found = [name for name, value in named.items() if value.encode() in kept]
    return ", ".join(found) or "none of these"


def everything_kept(gateway: Running) -> bytes:
    """All names and values of Redis, or all names and files of a folder."""
    if gateway.redis_port:
        names = redis_says(gateway.redis_port, "--scan").splitlines()
        values = [redis_says(gateway.redis_port, "GET", each.decode()) for each in names]
        return b"\n".join((*names, *values))
    files = [each for each in gateway.kept.rglob("*") if each.is_file()]
    return b"\n".join(str(each).encode() + each.read_bytes() for each in files)


# ── something is down ─────────────────────────────────────────────────────────────────────────


def _median_ms(case: Case, what: str, times: int = 10) -> tuple[float, set[int]]:
    replies = [ask(case.endpoint, case.body(f"{what} {each}")) for each in range(times)]
    return 1000 * sorted(each.whole_s for each in replies)[times // 2], {r.status for r in replies}


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def store_hangs(case: Case) -> str:
    """The store takes connections and says nothing; only a store of its own process can."""
    if "Redis" not in case.gateway.pids:
        return "cannot be: there is no other process"
    with _stopped(case.gateway.pids["Redis"]):
        reply = ask(case.endpoint, case.body("Does it hang"), patience_s=90)
    return f"status {reply.status} after {reply.whole_s:.1f} s"


def store_gone(case: Case) -> str:
    """Redis ended, or the folder emptied: questions of before, and new ones."""
    before, _ = _median_ms(case, "Before")
    if "Redis" in case.gateway.pids:
        os.kill(case.gateway.pids["Redis"], signal.SIGKILL)
    else:
        for each in case.gateway.kept.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    time.sleep(0.5)
    known = ask(case.endpoint, case.body("Before 0"))
    after, statuses = _median_ms(case, "After")
    new = " and ".join(str(each) for each in sorted(statuses))
    return (
        f"known: {known.status}, {1000 * known.whole_s:.0f} ms; "
        f"new: {new}, {after:.1f} ms instead of {before:.1f}"
    )


def engine_gone(case: Case, stop: Callable[[], None]) -> str:
    known = case.body("What was said before")
    ask(case.endpoint, known)
    time.sleep(0.5)
    stop()
    hit, miss = ask(case.endpoint, known), ask(case.endpoint, case.body("Something new"))
    return (
        f"known: {hit.status}; new: {miss.status or 'connection broken'} after {miss.whole_s:.1f} s"
    )


Observation = tuple[str, Callable[[Case], str]]
_WORDS = {"text": "text", "reasoning": "reason", "a tool call": "tool"}


def observations() -> tuple[Observation, ...]:
    """All that do not end anything, in order."""
    fidelities = tuple(
        (f"{name}, {'streamed' if stream else 'in one piece'}", _fidelity(word, stream))
        for stream in (False, True)
        for name, word in _WORDS.items()
    )
    return (
        *fidelities,
        ("keeps an answer at temperature 0.8", sampled),
        ("keeps an answer to a question without a temperature", unsaid),
        ("gives one client's answer to another's key", other_key),
        ("a key that is nobody's, for a question that is kept", wrong_key),
        ("gives the answer of another `seed`", _parameter("seed", (1, 2))),
        ("gives the answer of another `min_p`", _parameter("min_p", (0.0, 0.9))),
        ("gives the answer of another `grammar`", _parameter("grammar", ('root ::= "a"', ""))),
        (
            "gives the answer of other `chat_template_kwargs`",
            _parameter("chat_template_kwargs", ({"enable_thinking": True}, {})),
        ),
        ("engine breaks off in one piece", _cut("cut", stream=False)),
        ("engine breaks off while it streams", _cut("cut", stream=True)),
        ("engine ends a stream early, in order", _cut("short", stream=True)),
        ("legible in what is kept", legible),
        ("the store hangs: a new question", store_hangs),
        ("the store is gone", store_gone),
    )


def _fidelity(word: str, stream: bool) -> Callable[[Case], str]:
    return lambda case: fidelity(case, word, stream=stream)


def _cut(word: str, *, stream: bool) -> Callable[[Case], str]:
    return lambda case: cut(case, word, stream=stream)


def _parameter(name: str, values: tuple[object, object]) -> Callable[[Case], str]:
    return lambda case: other_parameter(case, name, values)
