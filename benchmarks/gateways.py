"""LiteLLM with Redis or nginx with Lua: which gateway keeps the engine's answers better?

Two parts. Times: the same real engine asked directly and through each gateway, in turn, each
question a new one (a miss), then known ones (a hit). Facts: each gateway before a responder that
counts what reaches it; what it makes of streams, tool calls, reasoning, sampling, keys, parameters
that only an engine knows, broken answers, and of what is down.

With ``--stack`` the times of the add-on in a stack that runs, its port against the engine's; ends
with 1 where a hit is not at least 20 times as fast as a miss.

    python -m benchmarks.gateways [--rounds N] [--write]
    python -m benchmarks.gateways --stack NAME [--home FOLDER] [--rounds N] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks import fit
from benchmarks.bench_agrees import tool
from benchmarks.gatewayasks import Endpoint, ask, question
from benchmarks.gatewayfacts import KEYS, Case, engine_gone, lost, observations
from benchmarks.gatewaykinds import LITELLM, Running, Upstream, litellm, nginx
from benchmarks.gatewaytimes import TOKENS, ratio, refusals, times, times_table
from benchmarks.lifecycle import machine
from benchmarks.processes import memory
from benchmarks.responder import MODEL, Seen, responder
from deployctl.folders import home_folder

RESULTS = Path(__file__).parent / "results"
HIT_GOAL = 20
MIB = 1024**2

NAMES = {
    "litellm": f"LiteLLM {LITELLM} + Redis 7.0.15",
    "careful": "the same, with settings and a hook",
    "nginx": "nginx 1.22.1 + Lua",
}


def real_fidelity(direct: Endpoint, through: Endpoint, *, stream: bool) -> str:
    """What of the real engine's answer arrives: fields the gateway has no use for."""
    options: dict[str, object] = {"stream_options": {"include_usage": True}} if stream else {}
    text = f"Who are you, {through.name}?"
    body = question(through, text, stream=stream, max_tokens=8, logprobs=True, **options)
    own, miss, hit = ask(direct, body), ask(through, body), ask(through, body)
    words = ["the hit has the miss's bytes" if miss.body == hit.body else "the hit has other bytes"]
    if len(miss.events) != len(hit.events):
        words.append(f"{len(miss.events)} pieces become {len(hit.events)}")
    for word, before, after in (("a miss", own, miss), ("a hit", miss, hit)):
        if gone := lost(before, after):
            words.append(f"lost on {word}: {gone}")
    return "; ".join(words)


# ── the gateways ──────────────────────────────────────────────────────────────────────────────


@contextmanager
def gateway(kind: str, upstream: Upstream, keys: tuple[str, ...]) -> Iterator[Running]:
    """One of NAMES; its folder is gone afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if kind == "nginx":
            with nginx(upstream, keys, folder) as running:
                yield running
        else:
            with litellm(upstream, keys, folder, careful=kind == "careful") as running:
                yield running


@contextmanager
def both(direct: Endpoint) -> Iterator[tuple[tuple[Running, ...], tuple[Endpoint, ...]]]:
    """LiteLLM and nginx before one engine."""
    upstream = Upstream(url=direct.url, key=direct.key, models=(direct.model,))
    kinds = ("litellm", "nginx")
    with ExitStack() as stack:
        running = [stack.enter_context(gateway(kind, upstream, (direct.key,))) for kind in kinds]
        through = [
            replace(direct, name=NAMES[kind], url=each.url)
            for kind, each in zip(kinds, running, strict=True)
        ]
        yield tuple(running), tuple(through)


def measured(rounds: int, model: Path) -> list[str]:
    """The part about times, with the real engine in its container."""
    case = fit.Case(model="", form="", context=2048, concurrency=2, kv_type="f16")
    with fit.engine(case, model, 1024 * MIB) as (url, _):
        direct = Endpoint(name="llama-server itself", url=url, key=fit.KEY, model="smollm2")
        with both(direct) as (running, through):
            lines = times_table(times(direct, through, rounds))
            lines += ["", "| | " + " | ".join(each.name for each in through) + " |"]
            lines += ["|---|" + "---|" * len(through)]
            rows: dict[str, list[str]] = {
                f"llama-server's answer with log probabilities, {how}": [
                    real_fidelity(direct, each, stream=stream) for each in through
                ]
                for how, stream in (("in one piece", False), ("streamed", True))
            }
            rows |= _sizes(running)
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())]


def measured_alone(rounds: int) -> list[str]:
    """Before an engine that takes no time: what is left is the gateway's own."""
    with responder() as seen:
        direct = Endpoint(name="the responder itself", url=seen.url, key=KEYS[0], model=MODEL)
        with both(direct) as (_, through):
            return times_table(times(direct, through, rounds))


def _sizes(running: tuple[Running, ...]) -> dict[str, list[str]]:
    kept = [memory(each.pids) for each in running]
    return {
        "memory after that (PSS)": [
            " + ".join(f"{name} {size / MIB:.0f} MiB" for name, size in each.items())
            for each in kept
        ],
        "from start to the first answer": [f"{each.starting_s:.1f} s" for each in running],
        "on disk": [f"{each.disk / 1e6:.0f} MB" for each in running],
    }


def facts() -> list[str]:
    """The part about what they make of answers: a row for each observation."""
    columns = {kind: _column(kind) for kind in NAMES}
    lines = ["| | " + " | ".join(NAMES.values()) + " |", "|---|" + "---|" * len(NAMES)]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | {' | '.join(each[name] for each in columns.values())} |")
    return lines


def _column(kind: str) -> dict[str, str]:
    with responder() as seen, _before(kind, seen) as case:
        found = {name: _said(kind, name, observe(case)) for name, observe in observations()}
    with ExitStack() as upstream:
        seen = upstream.enter_context(responder())
        with _before(kind, seen) as case:
            name = "the engine is gone"
            found[name] = _said(kind, name, engine_gone(case, upstream.close))
    return found


@contextmanager
def _before(kind: str, seen: Seen) -> Iterator[Case]:
    """A gateway of a kind, fresh, before a responder."""
    upstream = Upstream(url=seen.url, key="key-of-the-engine", models=(MODEL,))
    with gateway(kind, upstream, KEYS) as running:
        endpoint = Endpoint(name=kind, url=running.url, key=KEYS[0], model=MODEL)
        yield Case(gateway=running, endpoint=endpoint, seen=seen)


def _said(kind: str, name: str, found: str) -> str:
    print(f"{kind}: {name}: {found}", file=sys.stderr, flush=True)
    return found


# ── the add-on in a stack ─────────────────────────────────────────────────────────────────────


def of_stack(name: str, home: Path) -> tuple[Endpoint, Endpoint]:
    """The engine's port and the cache's, of a stack that runs."""
    folder = home / "stacks" / name
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    if "cache" not in compose["services"]:
        sys.exit(f"Stack {name} has no cache: deployctl up --stack {name} --with cache")
    key = json.loads((folder / "secrets.json").read_text(encoding="utf-8"))["engine_key"]
    status = tool(home, "status", "--stack", name)
    address, port, _ = compose["services"]["cache"]["ports"][0].rsplit(":", 2)
    served, engine = status["served_name"], status["engine_url"].removesuffix("/v1")
    direct = Endpoint(name="the engine's port", url=engine, key=key, model=served)
    cache = Endpoint(name="the cache's port", url=f"http://{address}:{port}", key=key, model=served)
    return direct, cache


# ── reports ───────────────────────────────────────────────────────────────────────────────────


def _report(title: str, command: str, lines: list[str]) -> str:
    how = f"Made by `python -m benchmarks.gateways {command} --write`. Machine: {machine()}."
    return "\n".join((f"# {title}", "", how, "", *lines, ""))


def compared(rounds: int, model: Path) -> str:
    timed, alone = measured(rounds, model), measured_alone(rounds)
    return _report(
        "Gateways that keep answers: LiteLLM with Redis, nginx with Lua",
        f"--rounds {rounds}",
        [
            "Measured, as processes of one machine. Only ratios and differences within one run mean"
            " anything.",
            *("", "## Times", ""),
            f"SmolLM2-135M in llama-server, streamed answers of {TOKENS} tokens, medians of"
            f" {rounds} rounds in turn;",
            "what is over the engine's is the median of each round's difference.",
            *("", *timed, "", "The same before a responder that answers at once:"),
            *("", *alone, "", "## What they make of answers", ""),
            "Each before a responder that answers at once and counts what reaches it (no model that"
            " reasons, and none that",
            "calls tools reliably, is small enough). Each question at temperature 0 where nothing"
            " else is said.",
            *("", *facts()),
        ],
    )


def stack_report(name: str, home: Path, rounds: int) -> tuple[str, float]:
    """The text, and how many times as fast as a miss a hit is."""
    direct, cache = of_stack(name, home)
    found = times(direct, (cache,), rounds)
    text = _report(
        "The response cache in its stack: a miss and a hit",
        f"--stack {name} --rounds {rounds}",
        [
            f"Measured: streamed answers of {TOKENS} tokens, medians of {rounds} rounds in turn;",
            "what is over the engine's is the median of each round's difference.",
            *("", *times_table(found), ""),
            refusals(direct, cache, 10 * rounds),
        ],
    )
    return text, ratio(found.misses[cache.name], found.hits[cache.name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--stack", help="the add-on of this stack, and nothing else")
    parser.add_argument("--home", type=Path, default=None, help="the DEPLOYCTL_HOME")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then, too
    home = arguments.home or home_folder(os.environ)
    faster = float("inf")
    if arguments.stack:
        text, faster = stack_report(arguments.stack, home, arguments.rounds)
    else:
        text = compared(arguments.rounds, home / "models" / fit.SMOL)
    print(text)
    if arguments.write:
        name = "cache.md" if arguments.stack else "gateways.md"
        (RESULTS / name).write_text(text, encoding="utf-8")
    if faster < HIT_GOAL:
        sys.exit(f"A hit is {faster:.1f} times as fast as a miss; the goal is {HIT_GOAL}.")


if __name__ == "__main__":
    main()
