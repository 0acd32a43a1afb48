"""Do the figures of ``deployctl bench`` agree with those of a load generator of others?

One stack of profile smoke, four conversations at once. In turn, level by level, ours and each
other generator put the same load on it: as many streams, questions of as many tokens as the
engine counts, drawn by chance, answers of exactly as many tokens. What is compared is the ratio of
the medians over all turns, figure by figure, by the same definition (benchmarks/outside.py); it
ends with 1 where one of them is more than 5 % apart.

``deployctl bench`` asks in rounds, the others keep every stream full; with answers of one length
that is the same load, but for the moment between two rounds.

vLLM's generator runs from the image that ``deployctl up --profile smoke-vllm`` builds; where it
is not here that is done first, which takes minutes.

    python -m benchmarks.bench_agrees [--turns N] [--against vllm guidellm] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks import vllmcpu
from benchmarks.lifecycle import machine
from benchmarks.outside import (
    GENERATORS,
    GUIDELLM,
    Ask,
    Figures,
    Target,
    UnansweredError,
    tokenizer,
)

TOOL = (sys.executable, "-m", "deployctl")
STACK = "deployctl-agrees"
PORTS = ("--set", "ports.webui=17863", "--set", "ports.engine=18003")
RESULTS = Path(__file__).parent / "results" / "bench_agrees.md"
LEVELS = (1, 4)
PROMPT, OUTPUT = 128, 128
TOLERANCE = 0.05
TRIES = 3
OURS = "deployctl bench"
NAMES = {"vllm": "vllm bench serve 0.32", "guidellm": f"guidellm {GUIDELLM}"}

#: Which of a generator's figures are compared, and how they are shown: word, factor, unit.
SHOWN = {
    "total_rate": ("tokens/s of all", 1.0),
    "first_token_s": ("first token p50, ms", 1000.0),
    "gap_s": ("between tokens p50, ms", 1000.0),
    "answer_gap_s": ("between tokens, by answer, ms", 1000.0),
}


# ── the stack, and ours ───────────────────────────────────────────────────────────────────────


def tool(home: Path, *words: str) -> dict[str, Any]:
    """Run deployctl; the data of its envelope. A failure ends the benchmark."""
    done = subprocess.run(
        (*TOOL, *words, "--output", "json"),
        env={**os.environ, "DEPLOYCTL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    if done.returncode:
        sys.exit(f"deployctl {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    data: dict[str, Any] = json.loads(done.stdout)["data"]
    return data


@contextmanager
def gone_afterwards(home: Path, name: str) -> Iterator[None]:
    """Take the stack down at the end; what ended it before that is what is said."""
    down = ("down", "--stack", name, "--volumes")
    try:
        yield
    except BaseException:
        with suppress(SystemExit):
            tool(home, *down)
        raise
    tool(home, *down)


def refuse_other_stack(folder: Path) -> None:
    """End where the engine that runs answers more or fewer at once than are asked."""
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    command = compose["services"]["engine"]["command"]
    at_once = command[command.index("--parallel") + 1] if "--parallel" in command else "?"
    if at_once != str(max(LEVELS)):
        sys.exit(f"Stack {STACK} runs with concurrency {at_once}, not {max(LEVELS)}: take it down.")


@contextmanager
def stack(home: Path) -> Iterator[Path]:
    """The stack's folder; a stack that was not running before is gone afterwards."""
    folder = home / "stacks" / STACK
    names = ("ps", "--quiet", "--filter", f"label=com.docker.compose.project={STACK}")
    running = subprocess.run(("docker", *names), capture_output=True, text=True).stdout.strip()
    if running and not (folder / "secrets.json").exists():
        sys.exit(f"Stack {STACK} runs, but is not of {home}: give its home with --home.")
    if running:
        refuse_other_stack(folder)
        yield folder
        return
    say("bringing the stack up")
    up = ("up", "--profile", "smoke", "--stack", STACK)
    with gone_afterwards(home, STACK):
        tool(home, *up, "--set", f"concurrency={max(LEVELS)}", *PORTS)
        yield folder


def obtain_image(home: Path) -> None:
    """Have vLLM's image built where it is not here."""
    try:
        vllmcpu.image()
    except SystemExit:
        say("building the image that vLLM's generator is in")
        with gone_afterwards(home, f"{STACK}-image"):
            tool(home, "up", "--profile", "smoke-vllm", "--stack", f"{STACK}-image", *PORTS)


def target_of(home: Path, folder: Path, words: Path) -> Target:
    """Where the engine answers, and the words of its model in a folder that others may read."""
    environment = dict(
        line.split("=", 1)
        for line in (folder / ".env").read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    model = Path(environment["DEPLOYCTL_MODEL"].strip("'\""))
    key = json.loads((folder / "secrets.json").read_text(encoding="utf-8"))["engine_key"]
    status = tool(home, "status", "--stack", STACK)
    words.mkdir(mode=0o755)
    return Target(
        url=status["engine_url"].removesuffix("/v1"),
        key=key,
        model=status["served_name"],
        tokenizer=tokenizer(model, words),
    )


def template_tokens(target: Target) -> int:
    """How many tokens the model's template puts around a question."""
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": "story"}],  # one token
        "max_tokens": 1,
    }
    request = urllib.request.Request(
        f"{target.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {target.key}"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        counted: int = json.load(answer)["usage"]["prompt_tokens"]
    return counted - 1


def ours(home: Path, streams: int, rounds: int) -> Figures:
    """``deployctl bench``: one level."""
    load = ("--prompt-tokens", str(PROMPT), "--output-tokens", str(OUTPUT))
    words = ("bench", "--stack", STACK, "--streams", str(streams), "--rounds", str(rounds), *load)
    (level,) = tool(home, *words)["measured"]["levels"]
    return Figures(
        total_rate=level["total_rate"]["median"],
        first_token_s=level["first_token_p50_s"],
        gap_s=level["inter_token_p50_s"],
        answer_gap_s=1 / level["stream_rate"]["median"],
        prompt_tokens=level["prompt_tokens"],
        output_tokens=level["output_tokens"],
    )


# ── in turn ───────────────────────────────────────────────────────────────────────────────────

Found = dict[tuple[str, int], list[Figures]]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measured(arguments: argparse.Namespace, home: Path, target: Target, scratch: Path) -> Found:
    """Every generator's figures by level, one for each turn; each turn begins with another."""
    found: Found = defaultdict(list)
    around = template_tokens(target)
    who = (OURS, *arguments.against)
    for turn in range(arguments.turns):
        for streams in LEVELS:
            for name in who[turn % len(who) :] + who[: turn % len(who)]:
                begun = time.monotonic()
                if name == OURS:
                    figures = ours(home, streams, arguments.rounds)
                else:
                    ask = Ask(
                        streams=streams,
                        requests=streams * arguments.rounds,
                        input_tokens=PROMPT - around,
                        output_tokens=OUTPUT,
                        seed=1000 * streams + turn,
                    )
                    figures = others(name, target, ask, scratch)
                found[name, streams].append(figures)
                say(
                    f"turn {turn + 1}, {streams} streams, {NAMES.get(name, name)}: "
                    f"{figures.total_rate:.1f} tokens/s, {1000 * figures.first_token_s:.0f} ms "
                    f"({time.monotonic() - begun:.0f} s)"
                )
    return found


def others(name: str, target: Target, ask: Ask, scratch: Path) -> Figures:
    """Measure with another generator; a run that lost answers is none, and is made again."""
    for left in reversed(range(TRIES)):
        try:
            return GENERATORS[name](target, ask, scratch)
        except UnansweredError as problem:
            say(f"{NAMES[name]}: {problem}; {'once more' if left else 'given up'}")
            ask = replace(ask, seed=ask.seed + 100_000)
    sys.exit(1)


def values(all_of: list[Figures], figure: str) -> list[float]:
    return [float(getattr(one, figure)) for one in all_of]


def median(all_of: list[Figures], figure: str) -> float:
    return statistics.median(values(all_of, figure))


def spread(all_of: list[Figures], figure: str) -> float:
    found = values(all_of, figure)
    return (max(found) - min(found)) / statistics.median(found)


HEAD = (
    "| streams | figure | ours | theirs | ratio | within 5 % | spread, ours · theirs |\n"
    "|---|---|---|---|---|---|---|"
)


def table(
    found: Mapping[tuple[str, int], list[Figures]], other: str
) -> tuple[list[str], list[str]]:
    """The lines of one comparison, and what is more than 5 % apart in it."""
    lines, apart = [HEAD], []
    for streams in LEVELS:
        mine, theirs = found[OURS, streams], found[other, streams]
        for figure, (word, factor) in SHOWN.items():
            if figure == "gap_s" and other == "guidellm":
                continue  # it has no such figure
            a, b = median(mine, figure), median(theirs, figure)
            within = abs(a / b - 1) <= TOLERANCE
            if not within:
                apart.append(f"{word} at {streams} streams: {a / b:.3f} of {NAMES[other]}")
            lines.append(
                f"| {streams} | {word} | {factor * a:.1f} | {factor * b:.1f} | {a / b:.3f} | "
                f"{'yes' if within else 'NO'} | "
                f"{spread(mine, figure):.0%} · {spread(theirs, figure):.0%} |"
            )
    return lines, apart


def refuse_other_load(found: Mapping[tuple[str, int], list[Figures]]) -> None:
    """End where the generators did not ask for the same: a ratio would mean nothing."""
    for (name, streams), all_of in found.items():
        for figure, wanted in (("prompt_tokens", PROMPT), ("output_tokens", OUTPUT)):
            for turn, got in enumerate(values(all_of, figure), 1):
                if abs(got / wanted - 1) > 0.03:
                    at = f"{name}, {streams} streams, turn {turn}"
                    sys.exit(f"{at}: {figure} were {got:.1f}, not {wanted}.")


def report(arguments: argparse.Namespace, parts: Mapping[str, list[str]]) -> str:
    lines = [
        "# `deployctl bench` against load generators of others",
        "",
        "Made by `make bench-agrees ARGS=--write`: one stack of profile smoke with concurrency "
        f"{max(LEVELS)},",
        f"questions of {PROMPT} tokens by chance, answers of {OUTPUT}; medians of "
        f"{arguments.turns} turns of {arguments.rounds} rounds each.",
        f"Machine: {machine()}.",
    ]
    for other, part in parts.items():
        lines += ["", f"## {NAMES[other]}", "", *part]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4, help="answers of each stream, each turn")
    parser.add_argument("--against", nargs="+", choices=tuple(GENERATORS), default=["vllm"])
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    parser.add_argument("--home", type=Path, help="a DEPLOYCTL_HOME that has the weights already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        home = arguments.home or scratch / "home"
        if "vllm" in arguments.against:
            obtain_image(home)
        with stack(home) as folder:
            target = target_of(home, folder, scratch / "tokenizer")
            found = measured(arguments, home, target, scratch)
    refuse_other_load(found)
    tables = {other: table(found, other) for other in arguments.against}
    text = report(arguments, {other: lines for other, (lines, _) in tables.items()})
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")
    apart = [each for _, wrong in tables.values() for each in wrong]
    if apart:
        sys.exit(f"More than {TOLERANCE:.0%} apart:\n" + "\n".join(apart))


if __name__ == "__main__":
    main()
