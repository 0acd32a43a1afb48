"""The numbers behind the profiles for 6 GB cards, for docs/fit.md, by our own sizing."""

from __future__ import annotations

from dataclasses import replace

from deployctl.amounts import exact
from deployctl.cards import card
from deployctl.catalog import Catalog
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.sizing import Load, Room, ceiling, judge, kv_bytes_per_token, need

_GIB = 1024**3

BEGIN = "<!-- made from deployctl/sizing by `make golden`: -->\n"
END = "<!-- until here -->\n"

#: What a card of 6 GB shows, and what a desktop takes of it, GiB.
_SHOWN, _DESKTOPS = (6.0, 5.8, 5.6), (0.0, 0.5, 1.0, 1.5)

_WORDS = {"fits": "fits", "tight": "tight", "no": "does not fit"}


def with_numbers(text: str) -> str:
    """Put the tables between their marks in the guide."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    return before + BEGIN + "\n".join(tables()) + "\n" + END + after


def tables() -> list[str]:
    """What `gpu-6gb` takes and why, what remains beside a desktop, and the two side by side."""
    vllm, gguf = _plan("gpu-6gb"), _plan("gpu-6gb-gguf")
    return ["", *_parts(vllm), "", *_left(vllm, gguf), "", *_side_by_side(vllm, gguf), ""]


def _plan(name: str) -> Plan:
    return build_plan(resolve(Selection(profile=name), Catalog({"HOME": "/nonexistent"}).readers()))


def _load(plan: Plan) -> Load:
    assert plan.load is not None
    return plan.load


def _on_card(load: Load) -> dict[str, int]:
    return {part.name: part.bytes for part in need(load) if part.place == "gpu"}


def _total(load: Load) -> int:
    return sum(_on_card(load).values())


def _parts(plan: Plan) -> list[str]:
    load = _load(plan)
    now = _on_card(load)
    one = kv_bytes_per_token(load.shape, load.kv_type) * load.context

    def other(part: str, **changes: object) -> str:
        return exact(_on_card(replace(load, **changes))[part])  # type: ignore[arg-type]

    rows = [
        (
            "weights",
            "`dtype: float16`, two bytes each",
            f"{other('weights', format='f32', weights_bytes=None)} in 32 bit; cards before the RTX "
            "3000 have no bfloat16, which would take the same",
        ),
        (
            "conversations",
            f"{load.concurrency} × {exact(one)}: {load.context} tokens of "
            f"{one // load.context // 1024} KiB, and one block of vLLM's own",
            f"{other('conversations', context=2 * load.context)} with `model.context` "
            f"{2 * load.context}; {other('conversations', concurrency=2 * load.concurrency)} for "
            f"{2 * load.concurrency} at once",
        ),
        (
            "working space",
            f"`batch: {load.batch}`: activations of one step and the scores of "
            f"{load.concurrency} answers",
            f"{other('working space', batch=2 * load.batch)} with vLLM's own {2 * load.batch}",
        ),
        (
            "engine",
            "`eager: true`: the driver's context and torch",
            f"{other('engine', eager=False)} with CUDA graphs",
        ),
    ]
    return [
        "| `gpu-6gb` takes | of the card | by | otherwise |",
        "|---|---|---|---|",
        *(f"| {name} | {exact(now[name])} | {by} | {else_} |" for name, by, else_ in rows),
        f"| all | **{exact(_total(load))}** | | |",
    ]


def _left(vllm: Plan, gguf: Plan) -> list[str]:
    head = " | ".join(
        "nothing else on it" if not used else f"a desktop with {used:g} GiB" for used in _DESKTOPS
    )
    rows = [
        f"| `{plan.profile}` | {shown:.1f} GiB | "
        + " | ".join(_verdict(plan, shown, used) for used in _DESKTOPS)
        + " |"
        for plan in (vllm, gguf)
        for shown in _SHOWN
    ]
    return [
        f"| what remains for | the card shows | {head} |",
        "|---|---|" + "---|" * len(_DESKTOPS),
        *rows,
    ]


def _verdict(plan: Plan, shown: float, used: float) -> str:
    total, free = int(shown * _GIB), int((shown - used) * _GIB)
    room = Room(place="gpu", name="the card", total_bytes=total, free_bytes=free)
    parts = tuple(part for part in need(_load(plan)) if part.place == "gpu")
    (fit,) = judge(parts, (room,))
    assert fit.left_bytes is not None
    missing = fit.left_bytes < 0
    left = f"{exact(-fit.left_bytes)} too little" if missing else exact(fit.left_bytes)
    return f"{left}: {_WORDS[fit.verdict]}"


def _side_by_side(vllm: Plan, gguf: Plan) -> list[str]:
    both = (vllm, gguf)
    known = card("NVIDIA GeForce RTX 2060", 6 * _GIB)
    assert known is not None
    speeds = [ceiling(known.bandwidth_bytes_per_s, _load(p).shape, _load(p).format) for p in both]

    def row(what: str, *cells: str) -> str:
        return f"| {what} | {' | '.join(cells)} |"

    return [
        "| | `gpu-6gb` | `gpu-6gb-gguf` |",
        "|---|---|---|",
        row(
            "weights",
            *(f"{p.model.split()[-1]}, {exact(_on_card(_load(p))['weights'])}" for p in both),
        ),
        row("of the card", *(exact(_total(_load(p))) for p in both)),
        row("conversations", *(f"{p.concurrency} × {p.context} tokens" for p in both)),
        row(
            "one answer on an RTX 2060, at most (predicted)",
            *(f"{speed:.0f} tokens/s" for speed in speeds),
        ),
    ]
