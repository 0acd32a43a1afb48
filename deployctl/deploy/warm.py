"""A few short requests to the engine while the frontend still starts: later answers are as fast.

The first request of an engine pays for what is made when it is first needed (kernels, graphs,
pages of memory). The proof's own question is asked, so that its beginning is known to the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from deployctl.aside import Aside
from deployctl.outcomes import WarmUp
from deployctl.readiness import QUESTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.loopback import Http, Reply
    from deployctl.readiness import Clock, Endpoints

#: Requests at once, rounds, and tokens of each answer: enough to use every part once. A model that
#: thinks first begins to think, and is stopped there.
_MOST_AT_ONCE, _ROUNDS, _TOKENS = 4, 2, 8

#: Seconds for one answer; the slowest machines read the question for so long.
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Answered:
    seconds: float
    tokens_per_s: float | None


def warm_up(
    http: Http, at: Endpoints, *, clock: Clock, concurrency: int, enough: Callable[[], bool]
) -> WarmUp | None:
    """Ask in rounds until they are done or it is ``enough``; ``None`` when a round went wrong.

    An engine that refuses is no reason to fail here: the proof will say what is wrong.
    """

    def ask() -> _Answered | None:
        began = clock.now()
        body = {
            "model": at.served_name,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": _TOKENS,
        }
        url = f"{at.engine}/v1/chat/completions"
        reply = http.call(url, token=at.engine_key, body=body, timeout_s=_TIMEOUT_S)
        took = clock.now() - began
        if reply.status != HTTPStatus.OK:
            return None
        return _Answered(took, _speed(reply, took))

    people = min(_MOST_AT_ONCE, concurrency)
    rounds: list[list[_Answered]] = []
    while len(rounds) < _ROUNDS and not (rounds and enough()):
        asking = [Aside(ask) for _ in range(people)]  # an executor's would hold the process
        answers = [answer for each in asking if (answer := each.result()) is not None]
        if len(answers) < people:
            return None
        rounds.append(answers)
    return WarmUp(
        requests=people * len(rounds),
        first_s=max(answer.seconds for answer in rounds[0]),
        last_s=max(answer.seconds for answer in rounds[-1]),
        tokens_per_s=rounds[-1][-1].tokens_per_s,
    )


def _speed(reply: Reply, took: float) -> float | None:
    """Tokens a second: llama-server says it, for the others it is tokens by time."""
    data = reply.data if isinstance(reply.data, dict) else {}
    timings, usage = data.get("timings"), data.get("usage")
    said = timings.get("predicted_per_second") if isinstance(timings, dict) else None
    if isinstance(said, int | float):
        return float(said)
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return tokens / took if isinstance(tokens, int) and took > 0 else None
