"""What is known of a stack before it is measured: what it is, what it took to start, its ceiling.

Only looks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.bench.nouns import Bound, Place, Shape, Subject
from deployctl.deploy.chat import Line, connect, still_there
from deployctl.deploy.known import known
from deployctl.deploy.subject import planned, wanted_by
from deployctl.deploy.why import why
from deployctl.engines.phases import FIRST, LISTENING, reader
from deployctl.errors import DeployctlError
from deployctl.fitting import fitting
from deployctl.sizing import kv_bytes_per_token
from deployctl.vitals import environment_of, moment, nvidia_access
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import HostFacts, Plan
    from deployctl.outcomes import ContainerState
    from deployctl.verify.wanted import Wanted
    from deployctl.workspace import Manifest

#: A start is looked for in so many seconds of the engine's log, then in more.
_STARTS_S = (60, 900, 7200)

#: Tokens that a chat template adds to a question at most, as far as ours are concerned.
_TEMPLATE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Benched:
    """A running stack that may be measured."""

    world: World
    line: Line
    engine: ContainerState
    subject: Subject
    at_once: int
    card: bool  # the engine has one of NVIDIA's
    load_s: float | None
    memory_bytes: int | None
    memory_place: Place
    bound: Bound | None
    unbound: str  # why there is no bound, as a clause

    @property
    def engine_id(self) -> str:
        """The engine's container."""
        return self.engine.id

    def alive(self) -> None:
        """Raise the cause where the engine does not work any more, or was started anew."""
        still_there(self.world, self.subject.stack)
        states = self.world.docker.containers(self.subject.stack)
        now = next((state for state in states if state.service == "engine"), None)
        if now is not None and now.started_at == self.engine.started_at:
            return
        kind = self.subject.engine
        state = self.engine if now is None else now
        raise DeployctlError.of(
            (why(self.world, self.line.way, "engine", engine=kind, state=state),)
        )


def benched(world: World, name: str, shape: Shape) -> Benched:
    """Look at the stack that is to be measured.

    ``stack-unknown``, ``stack-not-running`` or the cause where it does not answer; ``usage`` for a
    load that does not fit into a conversation.
    """
    line = connect(world, name)
    space = Workspace(world.home, name)
    manifest, states = known(world, space)
    engine = next(state for state in states if state.service == "engine")
    wanted = wanted_by(space, manifest)
    refuse_too_long(shape, wanted.context)
    details = world.docker.inspect(engine.id)
    plan, unplanned = planned(world, manifest, wanted)
    # The machine's memory is measured while the engine rests; of a card it is known.
    facts = world.local(measure=wanted.device == "cpu")
    bound = None if plan is None else _bound(plan, facts)
    card = nvidia_access(details) is not None  # of others nobody tells
    used, place = _memory(world, engine, card=card)
    return Benched(
        world=world,
        line=line,
        engine=engine,
        subject=_subject(name, manifest, engine, details, wanted, facts),
        at_once=wanted.concurrency,
        card=card,
        load_s=load_seconds(world, engine, wanted.engine),
        memory_bytes=used,
        memory_place=place,
        bound=bound,
        unbound=unplanned or "the speed of its memory is not known",
    )


def refuse_too_long(shape: Shape, context: int) -> None:
    """Refuse a load whose answers do not fit into one conversation; ``usage``."""
    room = context - shape.prompt_tokens - _TEMPLATE
    if shape.output_tokens <= room:
        return
    words = f"--output-tokens {room}" if room > 1 else f"--prompt-tokens {max(1, context // 4)}"
    raise DeployctlError(
        f"{shape.prompt_tokens} tokens of question and {shape.output_tokens} of answer are more "
        f"than a conversation here holds: {context} tokens, {_TEMPLATE} of them for the "
        "model's own template.",
        code="usage",
        where=words.partition(" ")[0],
        hint=words,
    )


def load_seconds(world: World, engine: ContainerState, kind: str) -> float | None:
    """From the start of the engine's process until it listened, by its own log's times."""
    started = moment(engine.started_at)
    if started is None or engine.started_at is None:
        return None
    read = reader(kind)
    for seconds in _STARTS_S:
        step = FIRST
        for at, text in world.docker.log_within(engine.id, seconds, since=engine.started_at):
            step = read(text, step)
            if step.name == LISTENING:
                ended = moment(at)
                return None if ended is None else (ended - started).total_seconds()
    return None


def host_name(facts: HostFacts) -> str:
    """This machine, as far as it matters for speed."""
    memory = facts.memory_total_bytes
    parts = [
        facts.cpu_model or facts.architecture,
        f"{facts.physical_cores or facts.cores} cores",
        *([] if memory is None else [f"{memory / 1024**3:.0f} GiB"]),
        *(gpu.name for gpu in facts.gpus),
    ]
    return " · ".join(parts)


def _bound(plan: Plan, facts: HostFacts) -> Bound | None:
    found = fitting(plan, facts, running=True)
    if found is None or found.speed is None or plan.load is None:
        return None
    return Bound(
        bytes_per_s=found.speed.bytes_per_s,
        weights_bytes=found.speed.bytes_per_token,
        kv_bytes_per_token=kv_bytes_per_token(plan.load.shape, plan.load.kv_type),
        of=found.speed.of,
    )


def _memory(world: World, engine: ContainerState, *, card: bool) -> tuple[int | None, Place]:
    """What is in use of the cards; where they do not tell, what the container holds."""
    seen = world.meters.cards() if card else None
    if seen is not None and seen.memory_bytes is not None:
        return seen.memory_bytes, "gpu"
    usage = world.docker.usage(engine.id)
    return None if usage is None else usage.memory_bytes, "ram"


def _subject(
    name: str,
    manifest: Manifest,
    engine: ContainerState,
    details: Mapping[str, Any] | None,
    wanted: Wanted,
    facts: HostFacts,
) -> Subject:
    return Subject(
        host=host_name(facts),
        stack=name,
        profile=manifest.profile,
        model=manifest.model,
        served_name=manifest.served_name,
        engine=wanted.engine,
        images={"engine": engine.image_id},
        weights=manifest.weights or "",
        settings=_settings(details),
        context=wanted.context,
        concurrency=wanted.concurrency,
    )


def _settings(details: Mapping[str, Any] | None) -> str:
    """A digest of all that decides how fast a container computes; keys are left out."""
    config, host = ((details or {}).get(part) or {} for part in ("Config", "HostConfig"))
    environment = environment_of(details)
    told = (
        config.get("Cmd"),
        {key: environment[key] for key in sorted(environment) if not key.endswith("_KEY")},
        [host.get(key) for key in ("NanoCpus", "Memory", "DeviceRequests", "Devices", "ShmSize")],
    )
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
