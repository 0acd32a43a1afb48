"""A real vLLM for processors in a container, as ``deployctl up`` runs it: what benchmarks share.

Its image and its model are those that ``deployctl up --profile smoke-vllm`` left on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.containers import docker, wait_for
from benchmarks.lifecycle import machine
from deployctl.images.recipes import load_recipe

KEY = "benchmark"
_HARDENED = (
    *("--user", "10001:10001", "--read-only", "--cap-drop", "ALL", "--init"),
    *("--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp:size=1g,mode=1777,exec"),
    *("--shm-size", "512m", "--sysctl", "net.ipv4.ip_default_ttl=1", "--dns", "127.0.0.1"),
)


def image() -> str:
    """The image that the recipe as it is now makes."""
    tag = load_recipe(Path(__file__).parents[1] / "compose/images", "vllm-cpu").tag
    if not docker("images", "--quiet", tag):
        sys.exit("Its image is not here. Bring it up once: deployctl up --profile smoke-vllm")
    return tag


@contextmanager
def cache_volume() -> Iterator[str]:
    """A fresh volume for caches, by name."""
    name = f"deployctl-bench-cache-{os.getpid()}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running engine: its address, its container, and the seconds until it answered."""

    url: str
    container: str
    seconds: float


SERVED = "benchmark"


def words(model: Path, *, concurrency: int, eager: bool, context: int = 2048) -> tuple[str, ...]:
    """The argv of a server for so many conversations at once."""
    return (
        *(f"/models/{model.name}", "--served-model-name", SERVED),
        *("--host", "0.0.0.0", "--port", "8000", "--dtype", "bfloat16"),
        *("--max-model-len", str(context), "--max-num-seqs", str(concurrency)),
        *("--max-num-batched-tokens", "2048", "--kv-cache-memory-bytes", "768M"),
        *(("--enforce-eager",) if eager else ()),
    )


#: What has nothing to do with speed.
PLAIN = {
    "VLLM_API_KEY": KEY,
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HOME": "/tmp",
    "USER": "engine",
    "VLLM_HOST_IP": "127.0.0.1",
}


@contextmanager
def engine(
    model: Path,
    *,
    words: tuple[str, ...],
    environment: Mapping[str, str],
    cache: str | None = None,
) -> Iterator[Started]:
    """Run vLLM on ``model``, with the volume ``cache`` at /cache; gone afterwards in any case."""
    begun = time.monotonic()
    container = docker(
        *("run", "--detach", "--name", f"deployctl-bench-vllm-{os.getpid()}", *_HARDENED),
        *(f"--env={name}={value}" for name, value in environment.items()),
        *("--publish", "127.0.0.1::8000"),
        *("--mount", f"type=bind,source={model},target=/models/{model.name},readonly"),
        *(("--mount", f"type=volume,source={cache},target=/cache") if cache else ()),
        image(),
        *words,
    )
    try:
        published = docker("port", container, "8000").splitlines()[0]
        wait_for(f"http://{published}/health", container, patience_s=600)
        yield Started(
            url=f"http://{published}", container=container, seconds=time.monotonic() - begun
        )
    finally:
        docker("rm", "--force", container)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    tokens: int
    first_s: float  # until the first piece of it


def ask(url: str, who: int, tokens: int) -> Answer:
    """One streamed answer of exactly so many tokens; no connection is used twice."""
    body = {
        "model": SERVED,
        "messages": [{"role": "user", "content": f"Tell a long story about the number {who}."}],
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    begun, first, written = time.monotonic(), 0.0, 0
    with urllib.request.urlopen(request, timeout=900) as reply:
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            piece = json.loads(line[6:])
            if piece["choices"] and not first:
                first = time.monotonic() - begun
            if piece.get("usage"):
                written = piece["usage"]["completion_tokens"]
    return Answer(tokens=written, first_s=first)


def rate(url: str, streams: int, *, tokens: int = 128, best_of: int = 3) -> float:
    """Tokens a second of so many answers at once; the best of some tries."""
    best = 0.0
    for _ in range(best_of):
        begun = time.monotonic()
        with ThreadPoolExecutor(streams) as people:
            answers = list(people.map(lambda who: ask(url, who, tokens), range(streams)))
        best = max(best, sum(a.tokens for a in answers) / (time.monotonic() - begun))
    return best


# ── tables ────────────────────────────────────────────────────────────────────────────────────


_Row = TypeVar("_Row")


def asked(about: str | None) -> argparse.Namespace:
    """The command line: ``model``, ``only``, ``write``."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("model", type=Path, help="a folder of safetensors")
    parser.add_argument("--only", nargs="*", type=int, help="these rows, counted from 0")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    return parser.parse_args()


def numbered(rows: Iterable[_Row], arguments: argparse.Namespace) -> Iterator[tuple[int, _Row]]:
    """The rows that were asked for, with their numbers."""
    return (each for each in enumerate(rows) if not arguments.only or each[0] in arguments.only)


def keep(results: Path, title: str, how: str, table: Iterable[str], model: Path) -> None:
    """Write a table with what is to be known of it; ``how`` follows the model's name."""
    text = (
        *(f"# vLLM on processors: {title}", ""),
        f"Made by `python -m benchmarks.{results.stem} MODEL --write`: the real vLLM 0.32 for",
        f"processors in its container, {model.name}, {how}",
        *(f"Machine: {machine()}.", "", *table, ""),
    )
    results.write_text("\n".join(text), encoding="utf-8")
