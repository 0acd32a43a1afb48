"""Load generators of others: vLLM's own and guidellm, each one's figures by their definitions.

``vllm bench serve`` runs from the image that ``deployctl up --profile smoke-vllm`` builds;
guidellm from a virtual environment in the cache folder, made at its first use. Both ask for
answers of an exact length to questions drawn by chance, over a number of streams that are always
full. Both need the model's tokenizer in a folder; it is made of the GGUF file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import vllmcpu
from deployctl.gguf import llama
from deployctl.gguf.reader import Reader

GUIDELLM = "0.8.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The engine that is measured; ``tokenizer`` is a folder."""

    url: str  # without /v1
    key: str
    model: str
    tokenizer: Path


class UnansweredError(Exception):
    """A generator did not get all its answers: seen where it keeps connections that were closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One level of a load. ``input_tokens``: of the text alone, without the model's template."""

    streams: int
    requests: int
    input_tokens: int
    output_tokens: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one generator says of one level; of how each defines it, see the module."""

    total_rate: float  # tokens/s of all answers together
    first_token_s: float  # median: from sending to the first piece
    gap_s: float  # median of the seconds between two pieces; of guidellm: ``answer_gap_s``
    answer_gap_s: float  # median over answers of (last - first) / (tokens - 1)
    prompt_tokens: float  # of a question, as the engine counted
    output_tokens: float


def tokenizer(model: Path, folder: Path) -> Path:
    """Write what the model's file says of its tokens, as transformers reads it."""
    with model.open("rb") as stream:
        reader = Reader(stream, model.stat().st_size, keep=llama.LISTS)
        reader.read()
        for name, content in llama.recipe(reader).files.items():
            (folder / name).write_bytes(content)
    return folder


def _finished(argv: tuple[str, ...], env: dict[str, str], *, patience_s: float = 300) -> None:
    done = subprocess.run(
        argv,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience_s,
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-4000:]}\n{argv[0]} … ended with {done.returncode}")


# ── vLLM's ────────────────────────────────────────────────────────────────────────────────────


def vllm(target: Target, ask: Ask, scratch: Path) -> Figures:
    """``vllm bench serve`` of vLLM 0.32 in its container, on the host's network.

    ``output_throughput``: all tokens by the seconds from the first question to the last answer.
    ``ttft``: to the first piece, ``itl``: between pieces, both pooled over all answers; ``tpot``:
    of each answer.
    """
    result = scratch / "vllm.json"
    result.unlink(missing_ok=True)
    user = f"{os.getuid()}:{os.getgid()}"
    quiet = ("HOME=/tmp", "HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "VLLM_LOGGING_LEVEL=ERROR")
    _finished(
        (
            *("docker", "run", "--rm", "--network", "host", "--user", user),
            *("--name", f"deployctl-bench-outside-{os.getpid()}", "--cap-drop", "ALL"),
            *("--mount", f"type=bind,source={target.tokenizer},target=/tokenizer,readonly"),
            *("--mount", f"type=bind,source={scratch},target=/results"),
            *(f"--env={each}" for each in ("OPENAI_API_KEY", *quiet)),
            *("--entrypoint", "vllm", vllmcpu.image(), "bench", "serve"),
            *("--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
            *("--base-url", target.url, "--model", target.model, "--tokenizer", "/tokenizer"),
            *("--dataset-name", "random", "--random-input-len", str(ask.input_tokens)),
            *("--random-output-len", str(ask.output_tokens), "--ignore-eos"),
            *("--num-prompts", str(ask.requests), "--max-concurrency", str(ask.streams)),
            # It keeps connections, which llama-server closes: a third of the answers got lost.
            *("--header", "Connection=close"),
            # Its warm-up asks the first question of those that count, which is cached then.
            *("--num-warmups", "0", "--seed", str(ask.seed), "--disable-tqdm"),
            *("--percentile-metrics", "ttft,tpot,itl", "--metric-percentiles", "50"),
            *("--save-result", "--result-dir", "/results", "--result-filename", result.name),
        ),
        {"OPENAI_API_KEY": target.key},
    )
    found = json.loads(result.read_text(encoding="utf-8"))
    if found["failed"] or found["completed"] != ask.requests:
        raise UnansweredError(f"{found['failed']} of {ask.requests} questions failed")
    return Figures(
        total_rate=found["output_throughput"],
        first_token_s=found["median_ttft_ms"] / 1000,
        gap_s=found["median_itl_ms"] / 1000,
        answer_gap_s=found["median_tpot_ms"] / 1000,
        prompt_tokens=found["total_input_tokens"] / found["completed"],
        output_tokens=found["total_output_tokens"] / found["completed"],
    )


# ── guidellm ──────────────────────────────────────────────────────────────────────────────────


def guidellm_program() -> Path:
    """Its command; installed where it is not yet: minutes, and 2 to 6 GB in the cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "deployctl-benchmarks" / f"guidellm-{GUIDELLM}"
    stamp = folder / ".installed"
    if not stamp.exists():
        print(f"installing guidellm {GUIDELLM} into {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = (str(folder / "bin/pip"), "install", "--quiet", f"guidellm=={GUIDELLM}")
        # Without NVIDIA's libraries where the index has such a torch: a quarter of the room.
        small = subprocess.run((*pip, "torch==2.13.0+cpu"), capture_output=True, timeout=1200)
        if small.returncode:
            _finished(pip, {}, patience_s=1200)
        stamp.touch()
    return folder / "bin/guidellm"


def guidellm(target: Target, ask: Ask, scratch: Path) -> Figures:
    """``guidellm run``, profile ``concurrent``.

    ``output_tokens_per_second``: as vLLM's. ``time_to_first_token_ms``: to the first piece.
    ``inter_token_latency_ms`` is of whole answers: (last - first) / (tokens - 1).
    """
    result, config = scratch / "guidellm.json", scratch / "guidellm-config.json"
    result.unlink(missing_ok=True)
    # In a file because of the key: a command line can be read by everyone on the machine.
    spec = {
        "backend": {
            "kind": "openai_http",
            "target": target.url,
            "model": target.model,
            "api_key": target.key,
        },
        "profile": {"kind": "concurrent", "streams": [ask.streams]},
        "constraints": [{"kind": "max_requests", "count": ask.requests}],
        "tokenizer": {"kind": "hf_auto", "model": str(target.tokenizer)},
        "data": [
            {
                "kind": "synthetic_text",
                "prompt_tokens": ask.input_tokens,
                "output_tokens": ask.output_tokens,
            }
        ],
        "seed": {"kind": "static", "value": ask.seed},
        "outputs": [{"kind": "json", "path": str(result)}],
    }
    config.touch(mode=0o600)
    config.write_text(json.dumps({"spec": spec}), encoding="utf-8")
    _finished(
        (str(guidellm_program()), "run", "--config", str(config), "--disable-console"),
        {"HF_HUB_OFFLINE": "1"},
    )
    (found,) = json.loads(result.read_text(encoding="utf-8"))["benchmarks"]
    metrics: dict[str, Any] = found["metrics"]
    totals = metrics["request_totals"]
    if totals["successful"] != ask.requests:
        raise UnansweredError(f"{totals['successful']} of {ask.requests} questions were answered")

    def of(metric: str, which: str) -> float:
        value: float = metrics[metric]["successful"][which]
        return value

    gap = of("inter_token_latency_ms", "median") / 1000
    return Figures(
        total_rate=of("output_tokens_per_second", "mean"),
        first_token_s=of("time_to_first_token_ms", "median") / 1000,
        gap_s=gap,
        answer_gap_s=gap,
        prompt_tokens=of("prompt_token_count", "mean"),
        output_tokens=of("output_token_count", "mean"),
    )


Generator = Callable[[Target, Ask, Path], Figures]
GENERATORS: dict[str, Generator] = {"vllm": vllm, "guidellm": guidellm}
