"""Checks of what the engine computes on: the card where one is asked for, else the processor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.amounts import rough
from deployctl.fitting import own_card
from deployctl.oncard import shown
from deployctl.verify.ask import chat, dig, good, question, told
from deployctl.verify.nouns import Seen, failed, ok, skipped
from deployctl.vitals import has_card, nvidia_access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployctl.model import CardAccess
    from deployctl.verify.nouns import Container, Subject

#: Tokens that are counted to measure a speed.
_TOKENS = 24

#: A card is slower than its ceiling, a processor in its place far slower than this share of it.
_FLOOR = 0.15

#: Weights that lie in the card's memory fill at least this share of what was predicted for them.
_FILLED = 0.8

#: Lines of the engine's log in which it says where it put the model.
_LINES = 4000

#: Way to the card → words about it.
_BY: Mapping[CardAccess, str] = {
    "reservation": "a reservation",
    "cdi": "CDI",
    "runtime": "NVIDIA's runtime",
}

_THREADS = re.compile(r"n_threads = (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one answer came, and how many processors that took; both measured."""

    tokens_per_s: float
    processors: float | None


def model_on_gpu(subject: Subject) -> Seen:
    """``model-on-gpu``: memory taken on the card, the engine's word for it, and speed."""
    if subject.wanted.device == "cpu":
        return skipped("the profile asks for no card; see processor-threads")
    engine = subject.container("engine")
    if engine is None:
        return failed("has no container", subject.up)
    on_it, faults = _on_it(subject, engine)
    filled, empty = _filled(subject)
    said = [each for each in (on_it, filled) if each]
    wrong = [*faults, *((empty,) if empty else ())]
    speed = _measured(subject, engine)
    if isinstance(speed, str):
        return failed(speed, subject.logs)
    floor = _floor(subject)
    said.append(f"{speed.tokens_per_s:.0f} tokens/s measured")
    if floor is not None and speed.tokens_per_s < floor:
        wrong.append(
            f"{speed.tokens_per_s:.1f} tokens/s measured, at least {floor:.0f} predicted for "
            "this card: it computes on the processor"
        )
    if wrong:
        return failed(
            "the model is not on the card, or not whole",
            f"docker restart {engine.state.name or engine.state.id}  # then: {subject.logs}",
            details=tuple(wrong),
        )
    return ok("; ".join(said))


def _on_it(subject: Subject, engine: Container) -> tuple[str, tuple[str, ...]]:
    """(what the engine said of the card, what is wrong with it): judged as ``status`` judges.

    A long log has forgotten it, and a container can lose its card after hours.
    """
    if not has_card(engine.seen):
        return "", ("the container was given no card (Docker)",)
    if (fault := subject.card()) is not None:
        return "", (fault.message, *fault.details)
    given = nvidia_access(engine.seen)
    said = shown(subject.ports.docker.log_tail(engine.state.id, _LINES))
    return "; ".join(part for part in (given and f"given by {_BY[given]}", said) if part), ()


def _filled(subject: Subject) -> tuple[str, str]:
    """(memory in use on the card, what is wrong): the weights must be in there."""
    facts = subject.ports.local()
    here = own_card(subject.plan, facts) if subject.plan is not None else None
    if here is None or here.memory_bytes is None or here.memory_free_bytes is None:
        return "", "" if here is None else (here.problem or "")
    used = here.memory_bytes - here.memory_free_bytes
    parts = subject.fitting.parts if subject.fitting else ()
    weights = sum(p.bytes for p in parts if p.place == "gpu" and p.name == "weights")
    if used < _FILLED * weights:
        return "", (
            f"{rough(used)} of {here.name} are in use (measured), the weights alone need "
            f"{rough(weights)} (predicted)"
        )
    return f"{rough(used)} of {here.name} in use (measured)", ""


def _floor(subject: Subject) -> float | None:
    """Tokens per second that a card surely gives; ``None`` where its bandwidth is not known."""
    speed = subject.fitting.speed if subject.fitting else None
    return None if speed is None else _FLOOR * speed.tokens_per_s


def processor_threads(subject: Subject) -> Seen:
    """``processor-threads``: without a card, the engine uses the threads that were planned."""
    if subject.wanted.device != "cpu":
        return skipped("the profile asks for a card; see model-on-gpu")
    engine = subject.container("engine")
    if engine is None:
        return failed("has no container", subject.up)
    told_to = _told_threads(engine)
    logged = _THREADS.findall("\n".join(subject.ports.docker.log_tail(engine.state.id, _LINES)))
    uses = int(logged[-1]) if logged else told_to
    speed = _measured(subject, engine)
    if isinstance(speed, str):
        return failed(speed, subject.logs)
    busy = "" if speed.processors is None else f", {speed.processors:.1f} processors busy"
    fast = f"{speed.tokens_per_s:.0f} tokens/s{busy} (measured)"
    planned = subject.wanted.threads
    if planned is not None and uses != planned:
        whose = "its log" if logged else "its environment"
        how = "does not say how many threads it uses" if uses is None else f"uses {uses} threads"
        return failed(f"{how} ({whose}), planned are {planned}; {fast}", subject.up)
    as_planned = f"{planned} threads as planned" if planned else "as many threads as it likes"
    return ok(f"no card asked for; {as_planned}; {fast}")


def _told_threads(engine: Container) -> int | None:
    """What the engine was told, by Docker's word; the log may have forgotten it."""
    words = [str(word) for word in engine.seen.get("Args") or ()]
    if "--threads" in words:
        return _number(words[words.index("--threads") + 1])
    environment = dict(
        str(entry).split("=", 1) for entry in engine.get("Config", "Env") or () if "=" in entry
    )
    return _number(environment.get("OMP_NUM_THREADS") or environment.get("LLAMA_ARG_THREADS"))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _measured(subject: Subject, engine: Container) -> Speed | str:
    """Have a fixed number of tokens written, and measure; a clause when that did not work."""
    docker, clock = subject.ports.docker, subject.ports.clock
    before, started = docker.usage(engine.state.id), clock.now()
    body = question(subject, "Tell a long story.", max_tokens=_TOKENS, ignore_eos=True)
    reply = chat(subject, body)
    seconds, after = clock.now() - started, docker.usage(engine.state.id)
    tokens = dig(reply.data, "usage", "completion_tokens")
    if not good(reply) or not isinstance(tokens, int):
        return f"was not answered: {told(reply)}"
    by_engine = dig(reply.data, "timings", "predicted_per_second")
    known = isinstance(by_engine, int | float) and by_engine > 0
    spent = max(seconds, 1e-3)
    return Speed(
        tokens_per_s=float(by_engine) if known else tokens / spent,
        processors=(after.cpu_seconds - before.cpu_seconds) / spent if before and after else None,
    )
