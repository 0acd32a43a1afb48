"""The flags that a profile derives for 16 people at once against llama-server's own defaults.

Two engines (three with ``--overlay``) from the same image and the same file run side by side, as
hardened as ``deployctl up`` runs them; only one of them is asked at a time, in turn, and one that
is not asked takes nothing. "Defaults" are what ``llama-server --model FILE --host … --port …``
does: a start without one word about speed. The profile's words are those that
``deployctl render`` writes. Questions are drawn by chance, answers have an exact length.

    python -m benchmarks.defaults [--overlay FILE] [--turns N] [--write]
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import yaml

from benchmarks.containers import docker, refuse_ended, wait_for
from benchmarks.fit import SMOL, image
from benchmarks.lifecycle import machine
from deployctl.bench.questions import question
from deployctl.reply import Reader

RESULTS = Path(__file__).parent / "results" / "defaults.md"
KEY = "benchmark"
MODEL = "/models/model.gguf"
STREAMS = (1, 16)
WORDS, TOKENS = 1, 128  # of a question, beside its sentence; tokens of an answer
DEFAULTS, PROFILE = "llama-server's defaults", "profile smoke, concurrency 16"
#: What is promised of the profile against the defaults; see ``missed``.
FASTER, SOONER, ALONE = 1.4, 0.2, 1.0
#: Alone, both do the same: what runs differ by anyway is no difference.
NOISE = 0.05
_HARDENED = (
    *("--user", "10001:10001", "--read-only", "--cap-drop", "ALL", "--init"),
    *("--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp:size=67108864,mode=1777"),
    *("--pids-limit", "512", "--sysctl", "net.ipv4.ip_default_ttl=1", "--dns", "127.0.0.1"),
)


# ── engines ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How an engine is started. ``options`` are Docker's, of processors alone."""

    words: tuple[str, ...]
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((*self.options, "llama-server", *self.words))


PLAIN = Start(words=("--model", MODEL, "--host", "0.0.0.0", "--port", "8080"))


def deployctl(*words: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "deployctl", *words), capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"deployctl {words[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def derived(overlay: Path | None) -> Start:
    """The engine as ``deployctl render`` writes it, for another name of the file."""
    with tempfile.TemporaryDirectory() as folder:
        # An overlay too, and the first: what a later one says of concurrency counts.
        sixteen = Path(folder) / "concurrency"
        sixteen.write_text(f"concurrency: {max(STREAMS)}\n", encoding="utf-8")
        overlays = (sixteen, overlay) if overlay else (sixteen,)
        options = (word for each in overlays for word in ("--overlay", str(each)))
        deployctl("render", "--profile", "smoke", "--to", folder, *options)
        (written,) = Path(folder).glob("*.yaml")
        service = yaml.safe_load(written.read_text(encoding="utf-8"))["services"]["engine"]
    command = service["command"]
    processors: tuple[str, ...] = ()
    where = command.index("--model") + 1
    if "LLAMA_ARG_THREADS" in service["environment"]:  # what `up` says of this machine
        cpu = json.loads(deployctl("detect", "--output", "json"))["data"]
        threads = cpu["physical_cores"] or cpu["cores"]
        processors = ("--env", f"LLAMA_ARG_THREADS={threads}")
    elif "cpus" in service:
        processors = ("--cpus", str(service["cpus"]))
    return Start(words=(*command[:where], MODEL, *command[where + 1 :]), options=processors)


@contextmanager
def engine(number: int, model: Path, start: Start) -> Iterator[str]:
    """A running engine's address. Gone afterwards, whatever happens."""
    container = docker(
        *("run", "--detach", "--name", f"deployctl-bench-defaults-{os.getpid()}-{number}"),
        *(*_HARDENED, "--env", f"LLAMA_API_KEY={KEY}", "--publish", "127.0.0.1::8080"),
        *("--mount", f"type=bind,source={model},target={MODEL},readonly"),
        *(*start.options, image(), *start.words),
    )
    try:
        published = docker("port", container, "8080").splitlines()[0]
        wait_for(f"http://{published}/health", container, patience_s=120)
        yield f"http://{published}"
        refuse_ended(container)
    finally:
        docker("rm", "--force", container)


# ── the load ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    first_s: float  # until its first piece
    tokens: int


def ask(url: str, number: int, words: int) -> Answer:
    """One streamed answer of exactly so many tokens; no connection is used twice."""
    body = {
        "messages": [{"role": "user", "content": question(words, seed=os.getpid(), number=number)}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    begun = time.monotonic()
    with urllib.request.urlopen(request, timeout=300) as reply:
        answer = read(reply, lambda: time.monotonic() - begun)
    if answer.tokens != TOKENS:
        sys.exit(f"An answer had {answer.tokens} tokens, not {TOKENS}.")
    return answer


def read(lines: Iterable[bytes], now_s: Callable[[], float]) -> Answer:
    """Read a stream to its end; what has no text, as the first event, is no piece of an answer."""
    reader, first_s = Reader(raw=True), None
    for line in lines:
        if line.startswith(b"data: "):
            pieces = list(reader.event(line[6:].decode()))
            first_s = now_s() if pieces and first_s is None else first_s
    return Answer(first_s=first_s or 0.0, tokens=reader.usage.get("completion_tokens", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    rate: float  # tokens/s of all answers, from the first question to the last token
    first_s: tuple[float, ...]


def together(url: str, streams: int, numbers: Iterator[int], words: int) -> Round:
    """So many questions at once, until all are answered."""
    begun = time.monotonic()
    with ThreadPoolExecutor(streams) as people:
        mine = [next(numbers) for _ in range(streams)]
        answers = list(people.map(lambda number: ask(url, number, words), mine))
    seconds = time.monotonic() - begun
    return Round(
        rate=sum(answer.tokens for answer in answers) / seconds,
        first_s=tuple(answer.first_s for answer in answers),
    )


# ── in turn ───────────────────────────────────────────────────────────────────────────────────

Found = dict[tuple[str, int], list[Round]]


def measured(urls: Mapping[str, str], turns: int, words: int) -> Found:
    """Rounds of every engine at every level; each turn begins with another engine."""
    found: Found = defaultdict(list)
    numbers, names = count(), tuple(urls)
    for url in urls.values():
        together(
            url, max(STREAMS), numbers, words
        )  # not counted: memory is touched for the first time
    for turn in range(turns):
        for streams in STREAMS:
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                for _ in range(3 if streams == 1 else 1):
                    found[name, streams].append(together(urls[name], streams, numbers, words))
                last = found[name, streams][-1]
                print(
                    f"turn {turn + 1}, {streams} streams, {name}: {last.rate:.0f} tokens/s, "
                    f"{statistics.median(last.first_s):.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def rate(found: Found, name: str, streams: int) -> float:
    return statistics.median(one.rate for one in found[name, streams])


def first(found: Found, name: str, streams: int) -> float:
    return statistics.median(each for one in found[name, streams] for each in one.first_s)


HEAD = (
    "| streams | engine | tokens/s | spread | × defaults | first token p50, s | × defaults |\n"
    "|---|---|---|---|---|---|---|"
)


def table(found: Found, names: tuple[str, ...]) -> list[str]:
    lines = [HEAD]
    for streams in STREAMS:
        for name in names:
            rates = [one.rate for one in found[name, streams]]
            wide = (max(rates) - min(rates)) / statistics.median(rates)
            speed = rate(found, name, streams), rate(found, DEFAULTS, streams)
            wait = first(found, name, streams), first(found, DEFAULTS, streams)
            lines.append(
                f"| {streams} | {name} | {speed[0]:.0f} | {wide:.0%} | "
                f"{speed[0] / speed[1]:.2f} | {wait[0]:.2f} | {wait[0] / wait[1]:.2f} |"
            )
    return lines


def missed(found: Found, name: str) -> list[str]:
    """What was promised of an engine and is not so."""
    most = max(STREAMS)
    faster = rate(found, name, most) / rate(found, DEFAULTS, most)
    sooner = first(found, name, most) / first(found, DEFAULTS, most)
    alone = rate(found, name, 1) / rate(found, DEFAULTS, 1)
    return [
        f"{name}: {text}"
        for text, kept in (
            (f"{faster:.2f} × the tokens/s at {most}, not {FASTER}", faster >= FASTER),
            (f"{sooner:.2f} of the first-token time at {most}, not {SOONER}", sooner <= SOONER),
            (f"{alone:.2f} × the tokens/s alone, not {ALONE}", alone >= ALONE - NOISE),
        )
        if not kept
    ]


def report(lines: list[str], turns: int, words: int, starts: Mapping[str, Start]) -> str:
    return "\n".join(
        (
            "# The flags a profile derives against llama-server's defaults",
            "",
            "Made by `make bench-defaults ARGS=--write`: llama-server b11434 on the processor,",
            f"SmolLM2-135M Q4_1, questions of {words} words by chance and a sentence, answers of",
            f"{TOKENS} tokens; medians of {turns} turns, in turn. Promised at 16 streams: at least",
            f"{FASTER} × the tokens/s and at most 1/5 of the wait for the first token; alone: at",
            f"least {ALONE} ×.",
            f"Machine: {machine()}.",
            "",
            *lines,
            "",
            *(f"- {name}: `{start}`" for name, start in starts.items()),
            "",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--words", type=int, default=WORDS, help="of each question")
    parser.add_argument("--overlay", type=Path, help="a third engine: the profile and this")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    home = os.environ.get("DEPLOYCTL_HOME") or Path.home() / ".local/share/deployctl"
    parser.add_argument("--store", type=Path, default=Path(home) / "models")
    arguments = parser.parse_args()
    model = (arguments.store / SMOL).resolve()
    if not model.exists():
        sys.exit(f"{model} is not here. Bring it up once: deployctl up --profile smoke")
    starts = {DEFAULTS: PLAIN, PROFILE: derived(None)}
    if arguments.overlay:
        starts[f"{PROFILE}, {arguments.overlay.name}"] = derived(arguments.overlay)
    with ExitStack() as running:
        urls = {
            name: running.enter_context(engine(number, model, start))
            for number, (name, start) in enumerate(starts.items())
        }
        found = measured(urls, arguments.turns, arguments.words)
    text = report(table(found, tuple(starts)), arguments.turns, arguments.words, starts)
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")
    wrong = [each for name in starts if name != DEFAULTS for each in missed(found, name)]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
