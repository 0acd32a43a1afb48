"""What was found as an overlay: some keys of a profile, each with what was measured of it. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.profiles.writing import scalar
from deployctl.tuning.figures import answers, change, gained, load, said
from deployctl.tuning.knobs import CONCURRENCY, KV_CACHE
from deployctl.visible import visible

if TYPE_CHECKING:
    from deployctl.bench.nouns import Shape
    from deployctl.tuning.nouns import Found, Knob, Step, Target, Value

#: Characters in a line of a comment.
_WIDTH = 98


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where the figures come from. ``command`` is what was typed."""

    profile: str
    command: str
    date: str  # 2026-11-22
    machine: str
    image: str
    weights: str
    shape: Shape


def overlay(
    found: Found,
    settings: Sequence[tuple[str, Value]],
    knobs: Sequence[Knob],
    target: Target,
    about: About,
) -> str:
    """The file: ``settings`` are the changes with what has to follow them."""
    assert found.confirmed is not None
    lines = [*_head(found, target, about), ""]
    top = [(key, value) for key, value in settings if "." not in key]
    for key, value in top:
        lines += [*_comment(_reason(key, found, knobs, target)), f"{key}: {scalar(value)}"]
    blocks = dict.fromkeys(key.partition(".")[0] for key, _ in settings if "." in key)
    for block in blocks:
        lines += [*([""] if top else []), f"{block}:"]
        for key, value in settings:
            if key.startswith(f"{block}."):
                lines += _comment(_reason(key, found, knobs, target), indent="  ")
                lines.append(f"  {key.partition('.')[2]}: {scalar(value)}")
    return "\n".join(lines) + "\n"


def _head(found: Found, target: Target, about: About) -> Iterator[str]:
    assert found.confirmed is not None
    yield from _comment(f"Laid over the profile {about.profile}; found by measuring:")
    yield f"#   {visible(about.command)}"
    rows = {
        "Date": about.date,
        "Machine": about.machine,
        "Image": about.image,
        "Weights": about.weights,
        "Load": load(about.shape, found.streams, target.slo),
    }
    for name, text in rows.items():
        yield from _comment(f"{name + ':':<9}{text}", hanging=" " * 9)
    yield from _comment(
        f"Measured in turns with the profile as it is: {gained(found.confirmed, target)}."
    )


def _reason(key: str, found: Found, knobs: Sequence[Knob], target: Target) -> str:
    """Why this value: what was measured of it, from what to what."""
    if key == KV_CACHE:
        return f"It follows from {CONCURRENCY}: each conversation has the whole model.context."
    steps = [step for step in found.steps if step.key == key]
    about = next((knob.about for knob in knobs if knob.key == key), "")
    parts = [f"{about[:1].upper()}{about[1:]}."] if about else []
    parts += [_step(step, target) for step in steps]
    if key == CONCURRENCY and not steps and found.confirmed is not None:
        parts.append(f"Measured: with so many at once {answers(found.confirmed.winner, target)}.")
    if any(step.after in knob.lossy for knob in knobs if knob.key == key for step in steps):
        parts.append("It is lossy: answers may differ a little from those without it.")
    return " ".join(parts)


def _step(step: Step, target: Target) -> str:
    return f"Measured, {said(step.before)} → {said(step.after)}: {change(step, target)}."


def _comment(text: str, *, indent: str = "", hanging: str = "") -> list[str]:
    lines = textwrap.wrap(
        visible(text),
        _WIDTH - len(indent),
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{indent}# {line}" for line in lines]
