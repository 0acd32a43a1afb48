"""``deployctl detect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployctl.cli.options import DEFAULT_STACK_NAME, DebugOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deployctl.deploy.detect import DetectReport
    from deployctl.model import DockerFacts, Gpu, HostFacts
    from deployctl.outcomes import Reach

_UNKNOWN = "unknown"

#: Columns for what a line is about.
_WIDTH = 18


def detect(
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say what this machine has.

    Processor, memory, cards, disk, Docker, network.

    Nothing is changed. What cannot be found out is called unknown.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.detect import detect as recipe

    session = Session.open("detect", output, quiet=True)
    report = recipe(session.world(DEFAULT_STACK_NAME), hub=hub_host(session.environment))
    return session.emit(_data(report), text(report))


def hub_host(environment: Mapping[str, str]) -> str:
    """The host of the model hub in use, without a password."""
    from urllib.parse import urlsplit

    from deployctl.weights.hub import endpoint

    place = endpoint(environment)
    return urlsplit(place).netloc.rpartition("@")[2] or place


def _data(report: DetectReport) -> dict[str, Any]:
    """The facts for programs, without those that are asked for a stack only."""
    from deployctl.cli.envelope import plain

    facts: dict[str, Any] = plain(report.facts)
    del facts["busy_ports"], facts["reachable"]
    return {**facts, "network": report.network}


def text(report: DetectReport) -> str:
    """Write the report for people."""
    facts = report.facts
    lines = ["This machine", *_processor(facts), *_memory(facts)]
    lines += [line for gpu in facts.gpus for line in _gpu(gpu)] or [_line("GPU", "none found")]
    lines += _containers(facts)
    lines.append(_line("Disk", _of(facts.disk_free_bytes, "free for models")))
    lines.append(_line("Docker", _docker(facts.docker)))
    lines += [_network(reach) for reach in report.network]
    return "\n".join([*lines, "Next: deployctl recommend"])


def _line(what: str, value: str | None) -> str:
    return f"  {what:<{_WIDTH}} {value or _UNKNOWN}"


def _size(size_bytes: int | None) -> str:
    from deployctl.amounts import gib

    return _UNKNOWN if size_bytes is None else gib(size_bytes)


def _of(size_bytes: int | None, what: str) -> str | None:
    return None if size_bytes is None else f"{_size(size_bytes)} {what}"


# ── the parts ─────────────────────────────────────────────────────────────────────────────────


def _processor(facts: HostFacts) -> Iterator[str]:
    yield _line("Processor", facts.cpu_model)
    cores = f"{facts.physical_cores} physical"
    if facts.physical_cores is None:
        cores = f"{facts.cores}, physical ones {_UNKNOWN}"
    elif facts.physical_cores != facts.cores:
        cores += f", {facts.cores} with hyper-threads"
    if facts.cpu_limit is not None:
        cores += f"; limited to {facts.cpu_limit:g}"
    yield _line("Cores", cores)
    yield _line("Architecture", facts.architecture)
    yield _line("Instruction sets", " ".join(facts.isa))
    if facts.board is not None or facts.architecture == "arm64":
        yield _line("Board", facts.board)
    wsl = {None: None, 0: "no"}.get(facts.wsl, f"version {facts.wsl}")
    yield _line("WSL", wsl)


def _memory(facts: HostFacts) -> Iterator[str]:
    total, free = facts.memory_total_bytes, facts.memory_available_bytes
    yield _line("Memory", f"{_size(total)}, {_size(free)} available" if total else None)
    swap = "none" if facts.swap_total_bytes == 0 else _of(facts.swap_total_bytes, "")
    yield _line("Swap", swap and swap.strip())
    speed = facts.bandwidth_bytes_per_s
    measured = None if speed is None else f"{speed / 1e9:.1f} GB/s (measured, reading)"
    yield _line("Memory bandwidth", measured)


def _gpu(gpu: Gpu) -> Iterator[str]:
    yield _line("GPU", gpu.name)
    total, free = gpu.memory_bytes, gpu.memory_free_bytes
    yield _line("  memory", f"{_size(total)}, {_size(free)} free" if total else None)
    if gpu.vendor == "nvidia":
        yield _line("  compute", gpu.compute_capability)
    yield _line("  driver", f"does not answer: {gpu.problem}" if gpu.problem else gpu.driver)
    if gpu.vendor == "nvidia":
        yield _line("  CUDA", gpu.cuda and f"up to {gpu.cuda}")


def _containers(facts: HostFacts) -> Iterator[str]:
    """Whether containers can use NVIDIA cards; nothing where there is none."""
    if any(gpu.vendor == "nvidia" for gpu in facts.gpus):
        words = {None: None, True: "yes", False: "no"}
        yield _line("Container toolkit", words[facts.container_toolkit])
        yield _line("CDI", words[facts.cdi])


def _docker(docker: DockerFacts) -> str | None:
    from deployctl.errors import DOCKER_PROBLEMS

    if docker.problem is not None:
        return DOCKER_PROBLEMS[docker.problem]
    if docker.server_version is None:
        return None
    return f"{docker.server_version}, Compose {docker.compose_version}"


def _network(reach: Reach) -> str:
    what = "Image registry" if reach.kind == "registry" else "Model hub"
    through = "" if reach.asked == reach.name else f" through {reach.asked}"
    if reach.answers:
        return _line(what, f"{reach.name}{through}: answers")
    reason = f" ({reach.reason})" if reach.reason else ""
    return _line(what, f"{reach.name}{through}: not reachable{reason}")
