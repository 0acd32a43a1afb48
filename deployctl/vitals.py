"""How each part of a running stack is doing: the nouns of ``status`` and their rules. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from deployctl.model import CardAccess, Gpu
    from deployctl.outcomes import ContainerState

#: How the tokens per second were found: between two looks, of the last answer as the engine's log
#: says, over all answers since its start.
RateBasis = Literal["now", "last answer", "since its start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVitals:
    """One service's container now; what Docker does not say is ``None``."""

    service: str
    state: str  # Docker's: running, exited, restarting, paused, …
    health: str | None
    restarts: int
    uptime_s: float | None  # of a running one
    image: str
    image_moved: bool | None  # the name leads to another image by now, or to none
    memory_bytes: int | None
    memory_limit_bytes: int | None
    cpus: float | None  # processors in use, measured over cpus_window_s
    cpus_window_s: float | None
    cpus_basis: RateBasis | None
    cpus_limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVitals:
    """What the engine does now; what it does not tell is ``None``."""

    kind: str
    served_name: str
    context: int | None  # tokens per conversation
    conversations: int | None  # at the same time
    tokens_per_s: float | None  # measured
    rate_basis: RateBasis | None
    running: int | None
    waiting: int | None
    kv_share: float | None  # 0 to 1
    cards: tuple[Gpu, ...] = ()


def uptime_s(state: ContainerState, now: datetime) -> float | None:
    """Seconds that a container has been running; ``None`` when it does not run."""
    since = moment(state.started_at)
    if state.status not in ("running", "paused") or since is None:
        return None
    return max(0.0, (now - since).total_seconds())


def moment(text: str | None) -> datetime | None:
    """A time as Docker gives it: RFC 3339, with up to nine decimals, of which Python takes six."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


#: As many restarts are no accident any more.
_STORM = 3

#: A container that has run this long since its last restart has recovered; sooner where its own
#: healthcheck sees it work.
_CALM_S, _CALM_HEALTHY_S = 120.0, 15.0


def storms(state: ContainerState, now: datetime, *, restarts_before: int | None = None) -> bool:
    """Whether a container keeps restarting, though it may run at this very moment.

    Docker counts its restarts for as long as the container is there: an old number is history.
    """
    if state.restarts < _STORM:
        return False
    if restarts_before is not None and state.restarts > restarts_before:
        return True
    up = uptime_s(state, now)
    calm_s = _CALM_HEALTHY_S if state.health == "healthy" else _CALM_S
    return state.status == "restarting" or (up is not None and up < calm_s)


def relapsed(state: ContainerState, now: datetime) -> bool:
    """Whether Docker has started a container again a moment ago, because it had ended."""
    if state.restarts == 0:
        return False
    up = uptime_s(state, now)
    return state.status == "restarting" or (up is not None and up < _CALM_S)


def environment_of(details: Mapping[str, Any] | None) -> dict[str, str]:
    """The environment a container was made with, from ``docker inspect``; holds secrets."""
    words = ((details or {}).get("Config") or {}).get("Env") or ()
    pairs = (str(word).partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def argv_of(details: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The arguments a container was made with."""
    return tuple(map(str, ((details or {}).get("Config") or {}).get("Cmd") or ()))


def has_card(details: Mapping[str, Any] | None) -> bool:
    """Whether a container was given a card, by NVIDIA's means or by device files."""
    host = (details or {}).get("HostConfig") or {}
    devices = (str(device.get("PathOnHost", "")) for device in host.get("Devices") or ())
    return nvidia_access(details) is not None or any(
        path.startswith(("/dev/dri", "/dev/kfd", "/dev/nvidia", "nvidia.com/")) for path in devices
    )


def nvidia_access(details: Mapping[str, Any] | None) -> CardAccess | None:
    """How a container was given an NVIDIA card; ``None`` where it was not, or by device files.

    A request to the driver or to CDI stands in ``DeviceRequests``; NVIDIA's runtime gives cards to
    a container that names some in its environment.
    """
    host = (details or {}).get("HostConfig") or {}
    requests = host.get("DeviceRequests") or ()
    if any(request.get("Driver") == "cdi" for request in requests):
        return "cdi"
    if requests:
        return "reservation"
    named = environment_of(details).get("NVIDIA_VISIBLE_DEVICES", "")
    given = host.get("Runtime") == "nvidia" and named not in ("", "none", "void")
    return "runtime" if given else None


def card_memory_used(card: Gpu) -> int | None:
    """Bytes of a card that are in use, by whomever; ``None`` where nobody tells."""
    if card.memory_bytes is None or card.memory_free_bytes is None:
        return None
    return card.memory_bytes - card.memory_free_bytes


def limits_of(details: Mapping[str, Any] | None) -> tuple[int | None, float | None]:
    """(bytes of memory, processors) a container may use; ``None`` without a limit."""
    host = (details or {}).get("HostConfig") or {}
    cpus = (host.get("NanoCpus") or 0) / 1e9
    return host.get("Memory") or None, cpus or None


def capacity(kind: str, argv: Sequence[str]) -> tuple[int | None, int | None]:
    """(tokens per conversation, conversations) an engine was started with."""
    if kind == "vllm":
        return _number(argv, "--max-model-len"), _number(argv, "--max-num-seqs")
    whole, places = _number(argv, "--ctx-size"), _number(argv, "--parallel")
    # llama.cpp's figure is that of all conversations together.
    return (whole // places if whole and places else whole), places


def _number(argv: Sequence[str], flag: str) -> int | None:
    for word, following in itertools.pairwise(argv):
        if word == flag and following.isdecimal():
            return int(following)
    return None
