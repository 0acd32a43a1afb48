"""How long answers take: the engine itself and what stands before it, in turn."""

from __future__ import annotations

import os
import secrets
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.gatewayasks import Endpoint, Reply, ask, question

TOKENS = 32

#: What a cache keeps outlives a run: the next one asks for something else.
_RUN = secrets.token_hex(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Of the endpoints, the engine's own first: replies by name, one for each round."""

    misses: Mapping[str, list[Reply]]
    hits: Mapping[str, list[Reply]]


def _asked(endpoint: Endpoint, text: str) -> Reply:
    """A streamed answer of exactly so many tokens, or the end of the benchmark."""
    body = question(endpoint, text, stream=True, max_tokens=TOKENS, ignore_eos=True)
    reply = ask(endpoint, body)
    if reply.status != 200 or reply.broken:
        sys.exit(f"{endpoint.name} answered {reply.status}: {reply.body[:500]!r}")
    return reply


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _text(turn: int, who: int) -> str:
    """A question that nobody else asks, as long as all others; nothing of it is known before."""
    return f"{_RUN} {1000 + turn}{who}: tell me about this number, and what is to be known of it."


def times(direct: Endpoint, through: tuple[Endpoint, ...], rounds: int) -> Times:
    """In turn, each round beginning with another; the first round warms up and does not count."""
    everyone = (direct, *through)
    misses: dict[str, list[Reply]] = {each.name: [] for each in everyone}
    hits: dict[str, list[Reply]] = {each.name: [] for each in through}
    for turn in range(rounds + 1):
        first = turn % len(everyone)
        for each in everyone[first:] + everyone[:first]:
            text = _text(turn, everyone.index(each))
            misses[each.name].append(_asked(each, text))
        _say(f"round {turn} of {rounds}")
    for turn in range(rounds + 1):
        for number, each in enumerate(through, 1):
            hits[each.name].append(_asked(each, _text(turn, number)))
    return Times(
        misses={name: found[1:] for name, found in misses.items()},
        hits={name: found[1:] for name, found in hits.items()},
    )


def refusals(direct: Endpoint, through: Endpoint, rounds: int) -> str:
    """Questions that an engine refuses without asking its model: all of the way but the keeping."""
    found: tuple[list[Reply], list[Reply]] = ([], [])
    for turn in range(rounds + 1):
        for which in ((0, 1), (1, 0))[turn % 2]:
            endpoint = (direct, through)[which]
            body = {**question(endpoint, _text(turn, which)), "max_tokens": "many"}
            reply = ask(endpoint, body)
            if not 400 <= reply.status < 600:
                sys.exit(f"{endpoint.name} answered {reply.status} to what is no question.")
            found[which].append(reply)
    mine, its = found[1][1:], found[0][1:]
    return (
        f"Questions that the engine refuses without its model ({its[0].status}), {rounds} rounds:"
        f" {_ms(its, whole_s):.2f} ms from {direct.name}, {_ms(mine, whole_s):.2f} ms from"
        f" {through.name}; {_more_ms(mine, its, whole_s):+.2f} ms in the median round."
    )


def _ms(replies: list[Reply], figure: Callable[[Reply], float]) -> float:
    return 1000 * statistics.median(figure(each) for each in replies)


def _more_ms(replies: list[Reply], direct: list[Reply], figure: Callable[[Reply], float]) -> float:
    """The median of what each round took more than the engine itself in the same round."""
    pairs = zip(replies, direct, strict=True)
    return 1000 * statistics.median(figure(mine) - figure(its) for mine, its in pairs)


def first_s(reply: Reply) -> float:
    return reply.first_s


def whole_s(reply: Reply) -> float:
    return reply.whole_s


TIMES_HEAD = (
    "| asked | first piece, ms | over the engine's | whole answer, ms | over the engine's |"
    " a hit, whole, ms | miss / hit |\n|---|---|---|---|---|---|---|"
)


def times_table(found: Times) -> list[str]:
    (name, direct), *others = found.misses.items()
    lines = [
        TIMES_HEAD,
        f"| {name} | {_ms(direct, first_s):.1f} | | {_ms(direct, whole_s):.1f} | | | |",
    ]
    for name, misses in others:
        hits = found.hits[name]
        lines.append(
            f"| {name} | {_ms(misses, first_s):.1f} | {_more_ms(misses, direct, first_s):+.1f} |"
            f" {_ms(misses, whole_s):.1f} | {_more_ms(misses, direct, whole_s):+.1f} |"
            f" {_ms(hits, whole_s):.2f} | {ratio(misses, hits):.0f} |"
        )
    return [*lines, "", _spread(direct)]


def _spread(direct: list[Reply]) -> str:
    """What a difference has to be larger than, to mean anything."""
    words = []
    for what, figure in (("first pieces", first_s), ("whole answers", whole_s)):
        low, _, high = statistics.quantiles((1000 * figure(each) for each in direct), n=4)
        words.append(f"of its {what} took {low:.1f} to {high:.1f} ms")
    load = os.getloadavg()[1]
    return f"Asked directly, half {', half '.join(words)}; load of the machine: {load:.0f}."


def ratio(misses: list[Reply], hits: list[Reply]) -> float:
    return _ms(misses, whole_s) / _ms(hits, whole_s)
