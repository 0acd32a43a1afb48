"""Whether an engine that was given a card computes on it: what is asked of Docker, and the fault.

Runs `docker logs` for what the start said, and one nvidia-smi inside the engine's container.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from deployctl.errors import Fault
from deployctl.oncard import CardTrouble, card_trouble
from deployctl.outcomes import Command
from deployctl.vitals import has_card, moment, nvidia_access

if TYPE_CHECKING:
    from deployctl.deploy.world import UpRequest, World
    from deployctl.outcomes import ContainerState

#: Lines of the engine's log in which its start is told, and that tell how it goes lately.
_AT_START, _LATELY = 4000, 300

#: A start that has not said by then whether it found a card is no start any more.
_START = timedelta(minutes=15)

#: A look does not wait longer for an answer about the card, seconds.
_PATIENCE_S = 5.0

Details = Future[Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAsked:
    """The questions about the card that are under way."""

    given: Future[bool]  # whether the container has one
    start: Future[CardTrouble | None]  # what the start said
    inside: Future[str | None]  # what nvidia-smi says there, if it fails


def ask_card(
    pool: ThreadPoolExecutor,
    world: World,
    state: ContainerState,
    details: Details,
    known: Mapping[str, CardTrouble | None],
) -> CardAsked:
    """Ask as soon as ``details`` say that there is a card; ``known``: see :func:`start_key`."""
    return CardAsked(
        given=pool.submit(lambda: has_card(details.result())),
        start=pool.submit(_start, world, state, details, known),
        inside=pool.submit(_asked_inside, world, state, details),
    )


def lately(world: World, state: ContainerState) -> tuple[str, ...]:
    """The last lines since the container was started: what it died of before is over."""
    return world.docker.log_tail(state.id, _LATELY, since=state.started_at)


def look_at_card(
    world: World, request: UpRequest, state: ContainerState, details: Mapping[str, Any] | None
) -> Fault | None:
    """Ask all there is to ask about the card of one engine now; see :func:`card_fault`."""
    if not has_card(details):
        return None
    with ThreadPoolExecutor(max_workers=4) as pool:
        asked = ask_card(pool, world, state, pool.submit(lambda: details), {})
        return card_fault(request, state, asked, lately(world, state))


def start_key(state: ContainerState) -> str:
    """Which start of which container; what was said of one that is over does not change."""
    return f"{state.id} {state.started_at}"


def card_fault(
    request: UpRequest, state: ContainerState, asked: CardAsked, said: tuple[str, ...]
) -> Fault | None:
    """What is wrong with the engine's card; ``None`` without one, and when it is used.

    ``said``: see :func:`lately`.
    """
    if not asked.given.result():
        return None
    found = card_trouble((), said, asked.inside.result()) or asked.start.result()
    if found is None:
        return None
    return Fault(
        code=found.code,
        message=found.says,
        where=state.service,
        hint=f"docker kill {state.name}; {request.again}",
        details=found.evidence,
    )


def _start(
    world: World,
    state: ContainerState,
    details: Details,
    known: Mapping[str, CardTrouble | None],
) -> CardTrouble | None:
    """What the log's first lines, since the container last started, say against its card."""
    since = moment(state.started_at)
    if since is None or not has_card(details.result()):
        return None
    if (key := start_key(state)) in known:
        return known[key]
    span = ("--since", since.isoformat(), "--until", (since + _START).isoformat())
    result = world.runner.run(
        Command(
            argv=("docker", "logs", *span, state.id), label="engine's start", timeout_s=_PATIENCE_S
        )
    )
    return card_trouble(result.output.splitlines()[:_AT_START], (), None) if result.ok else None


def _asked_inside(world: World, state: ContainerState, details: Details) -> str | None:
    """What nvidia-smi says inside, if it fails there; an image without it says nothing."""
    if nvidia_access(details.result()) is None:
        return None
    result = world.runner.run(
        Command(
            argv=("docker", "exec", state.id, "nvidia-smi", "-L"),
            label="the card inside",
            timeout_s=_PATIENCE_S,
        )
    )
    return None if result.ok else result.output
