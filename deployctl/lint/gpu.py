"""Rules about graphics cards: reserved or not, and what they can compute. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from deployctl.cards import CARDS, Card
from deployctl.lint.flags import flags_of, place, replace
from deployctl.lint.interpolation import known
from deployctl.lint.nouns import Comment, Found, Rule, Service, Stack, each
from deployctl.lint.tree import Entry, Listing, Mapping, Place, text_of
from deployctl.lint.writing import Edit

_DEVICES = [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def wants_card(service: Service) -> bool:
    """Whether an image is built for NVIDIA's cards."""
    if service.kind == "vllm":
        return service.repository == "docker.io/vllm/vllm-openai" and "rocm" not in service.tag
    if service.kind == "llama.cpp":
        return bool(re.match(r"server-cuda", service.tag))
    return service.kind == "webui" and bool(re.search(r"(?:^|-)cuda", service.tag))


def _reserved(stack: Stack, service: Service) -> bool:
    if any(
        key in service.keys
        for key in ("gpus", "runtime", "devices", "device_requests", "privileged")
    ):
        return True
    path = ("deploy", "resources", "reservations")
    found = stack.key(service.entry.value, *path)
    inside = stack.pairs.of(found.value) if found else {}
    return "devices" in inside or "generic_resources" in inside


def _unreserved(stack: Stack, service: Service) -> Iterator[Found]:
    if not wants_card(service) or service.open or service.built or _reserved(stack, service):
        return
    then = {
        "vllm": "vLLM stops with `Failed to infer device type`",
        "llama.cpp": "llama.cpp computes on the processor, with one line in its log about it",
    }.get(service.kind, "it computes on the processor")
    yield Found(
        at=service.at,
        message=f"{service.name} has an image for NVIDIA's cards and is given none: {then}.",
        edits=(_reserve(stack, service),),
        service=service,
    )


def _reserve(stack: Stack, service: Service) -> Edit | None:
    """The reservation, below as much of its path as is written."""
    steps = ("deploy", "resources", "reservations", "devices")
    value: object = _DEVICES
    below: Entry = service.entry
    missing = list(steps)
    for step in steps:
        found = stack.pairs.of(below.value).get(step)
        if found is None or not isinstance(found.value, Mapping):
            break
        below = found
        missing.pop(0)
    for step in reversed(missing[1:]):
        value = {step: value}
    return stack.pen.add(below, missing[0], value) if missing else None


def _reservation(stack: Stack, service: Service) -> Iterator[Found]:
    found = stack.key(service.entry.value, "deploy", "resources", "reservations", "devices")
    if found is None or not isinstance(found.value, Listing):
        return
    for item in found.value.items:
        inside = stack.pairs.of(item.value)
        if not inside or ("capabilities" in inside and not {"count", "device_ids"} <= set(inside)):
            continue
        first = next(iter(inside.values()))
        if "capabilities" not in inside:
            said = "has no `capabilities`, and Compose refuses the file."
            edit = _beside(stack, item.value, first, "capabilities", ["gpu"])
        else:
            said = "has both `count` and `device_ids`, and Compose refuses the file."
            holder = item.value
            edit = stack.pen.drop(inside["count"], holder) if isinstance(holder, Mapping) else None
        yield Found(
            at=item.at,
            message=f"The reservation of a card for {service.name} {said}",
            edits=(edit,),
            service=service,
            last=item.last,
        )


def _beside(stack: Stack, node: object, first: Entry, key: str, value: list[str]) -> Edit | None:
    if not isinstance(node, Mapping):
        return None
    text = f"{key}: [{', '.join(value)}]"
    line = stack.text.lines[first.key.start.line - 1]
    if node.flow:
        at = line.find("{", node.start.column - 1) + 1
        made = f"{line[:at]}{text}, {line[at:]}"
        return Edit(first=first.key.start.line, last=first.key.start.line, lines=(made,))
    added = " " * (first.key.start.column - 1) + text
    return Edit(first=first.last, last=first.last, lines=(stack.text.lines[first.last - 1], added))


# ── what a card can do ────────────────────────────────────────────────────────────────────────


@cache
def _named() -> re.Pattern[str]:
    names = sorted({card.name for card in CARDS if len(card.name) > 4}, key=len, reverse=True)
    words = "|".join(re.escape(name).replace(r"\ ", r"[\s_-]*") for name in names)
    return re.compile(rf"(?i)(?<![A-Za-z0-9])(?:{words})(?![0-9])")


def cards_in(text: str) -> list[Card]:
    """The cards that a text names."""
    found = []
    for match in _named().finditer(text):
        plain = re.sub(r"[\s_-]+", "", match[0]).lower()
        found += [c for c in CARDS if c.name.replace(" ", "").replace("-", "").lower() == plain][:1]
    return found


def said(stack: Stack) -> Iterator[tuple[str, Place, Comment | None]]:
    """What the file says to people: its comments, labels and variables' values."""
    for comment in stack.comments:
        yield comment.text, comment.at, comment
    for service in stack.services:
        for variable in service.environment.values():
            yield variable.value or "", variable.at, None
        labels = service.keys.get("labels")
        if labels is not None:
            for name, entry in stack.pairs.of(labels.value).items():
                yield f"{name}: {text_of(entry)}", entry.key.start, None


def told_cards(stack: Stack) -> list[tuple[Card, Place, Comment | None]]:
    """The cards that the file is written for, as far as it says."""
    return [
        (card, at, comment) for text, at, comment in said(stack) for card in cards_in(text)
        if not _AVOIDED.search(text)
    ]  # fmt: skip


_AVOIDED = re.compile(
    r"(?i)\b(?:not|no|avoid|never|without|unlike|instead|llama\.cpp|gguf|unsupported|fails?|above"
    r"|too (?:old|slow|small|weak)|(?:newer|better) than)\b|n't"
)

#: Cards and machines that people write speeds of; those of our table are looked for before.
_ANY_CARD = re.compile(
    r"(?i)\b(?:(?:RTX|GTX|Quadro|Radeon|RX|Arc|Tesla|Titan)[\s_-]*\w*\d\w*|[AHBVLTPM]\d{1,3}[SX]?"
    r"|GB?200|MI\d{2,3}X?|Jetson|Orin|Ryzen|Xeon|Epyc|CPU)\b"
)


def other_cards(text: str) -> bool:
    """Whether a text names a card or a processor, be it one that we know nothing of."""
    return _ANY_CARD.search(text) is not None


def _too_old(stack: Stack) -> Iterator[Found]:
    engines = [s for s in stack.of("vllm") if wants_card(s)]
    if not engines or stack.of("llama.cpp"):
        return
    for card, at, comment in told_cards(stack):
        if card.compute_capability is None or card.tensor_cores:
            continue
        if card.compute_capability != "7.5" and not card.compute_capability.startswith("6"):
            continue
        why = "vLLM's image for CUDA 13 was not built for it"
        if card.compute_capability == "7.5":
            why = (
                "it has no tensor cores and no bfloat16, and in 16 bit two answers at once are slow"
            )
        edits: tuple[Edit | None, ...] = ()
        if comment is not None:
            line = stack.text.lines[at.line - 1]
            made = f"{line[: at.column - 1]}# {card.name}: llama.cpp instead of vLLM"
            edits = (Edit(first=at.line, last=at.line, lines=(made,)),)
        yield Found(
            at=at,
            message=f"{card.name} with vLLM: {why}. llama.cpp serves the same model there.",
            edits=edits,
            service=engines[0],
        )


def _dtype(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service, dashes=True)
    flag = flags.get("--dtype") if flags else None
    if flags is None or flags.argv is None or flag is None or flag.value != "bfloat16":
        return
    old = [
        card
        for card, _, _ in told_cards(stack)
        if known(flag.value) and (card.compute_capability or "9") < "8"
    ]
    if not old:
        return
    text = "auto" if flag.joined is None else f"{flag.word.text.partition('=')[0]}=auto"
    yield Found(
        at=place(stack, flags.argv, flag.value_word),
        message=f"{old[0].name} has no bfloat16, and vLLM stops at it.",
        edits=(replace(stack, flags.argv, flag.value_word, text),),
        service=service,
    )


RULES = (
    Rule(
        id="gpu-not-reserved",
        about="Cards",
        severity="error",
        what="an image for CUDA (`vllm-openai`, `server-cuda`, `:cuda`) and no card reserved: no "
        "`devices`, `gpus:`, `runtime:`",
        why="A container sees no card that it is not given. vLLM stops; llama.cpp and Open WebUI "
        "compute on the processor, and hardly say so.",
        fix="`deploy.resources.reservations.devices`",
        basis="source",
        check=each(_unreserved, "vllm", "llama.cpp", "webui"),
    ),
    Rule(
        id="gpu-reservation-invalid",
        about="Cards",
        severity="error",
        what="a reservation without `capabilities`, or with both `count` and `device_ids`",
        why="Compose refuses the whole file.",
        fix="`capabilities: [gpu]`, and one of the two",
        basis="run",
        check=each(_reservation),
    ),
    Rule(
        id="gpu-too-old",
        about="Cards",
        severity="warning",
        what="a GTX 16xx or 10xx named beside vLLM in a comment, label or variable",
        why="The GTX 16 series has compute capability 7.5, but no tensor cores: vLLM's issue 54950 "
        "measured 13 tokens/s of two answers in 16 bit where one alone had 110. The 10 series is "
        "older than what vLLM's image for CUDA 13 is built for.",
        fix="llama.cpp with a Q4_K_M file on such a card",
        basis="docs",
        check=_too_old,
    ),
    Rule(
        id="dtype-unsupported",
        about="Cards",
        severity="error",
        what="`--dtype bfloat16` and a card below compute capability 8.0 named in the file",
        why="vLLM stops: `Bfloat16 is only supported on GPUs with compute capability of at least "
        "8.0`.",
        fix="`--dtype auto`, which takes float16 there",
        basis="source",
        check=each(_dtype, "vllm"),
    ),
)
