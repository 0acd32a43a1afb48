"""Rules about what a file tells people: speeds and licences in its comments and labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil

from deployctl.lint.flags import flags_of
from deployctl.lint.gpu import cards_in, other_cards, said
from deployctl.lint.models import model_of
from deployctl.lint.nouns import Comment, Found, Rule, Stack
from deployctl.lint.tree import Place
from deployctl.lint.writing import Edit

#: Bytes that one token reads in 16 bit: all weights but the table of embeddings where it is one of
#: its own (computed from the models' config.json).
BYTES_PER_TOKEN = (
    (re.compile(r"(?i)deepseek-r1-distill-qwen-1\.5b|qwen2\.5-(?:math-)?1\.5b"), 3_087_428_608),
    (re.compile(r"(?i)llama-3\.2-1b"), 2_471_628_800),
    (re.compile(r"(?i)smollm2-135m"), 269_030_016),
)

_RATE = re.compile(
    r"(?i)(?P<number>\d{2,5}(?:\.\d+)?)\s*\+?\s*(?:tok(?:en)?s?|t)\s*(?:/|\s+per\s+|\s*p)\s*s(?:ec(?:ond)?)?\b"
)

#: What makes more possible than one stream in 16 bit.
_OTHERWISE = re.compile(
    r"(?i)\bq[2-8]_|\bq[48]\b|gguf|awq|gptq|int[48]|fp8|4-?bit|8-?bit|quant|batch|aggregate|total"
    r"|concurren|parallel|streams|users|requests|throughput|speculative|draft|prompt|prefill"
)


def _bytes_per_token(stack: Stack) -> tuple[str, int] | None:
    for engine in stack.of("vllm"):
        flags = flags_of(engine, dashes=True)
        model = model_of(engine) or next(
            (v.value for n, v in engine.environment.items() if "MODEL" in n and v.value), ""
        )
        if (
            flags is None
            or flags.get("--quantization", "-q")
            or "float32" in str(flags.get("--dtype"))
        ):
            continue
        if re.search(r"(?i)awq|gptq|fp8|int[48]|w[48]a", model or ""):
            continue
        for pattern, size in BYTES_PER_TOKEN:
            if pattern.search(model or ""):
                return (model or "").rpartition("/")[2], size
    return None


def _speed(stack: Stack) -> Iterator[Found]:
    known = _bytes_per_token(stack)
    if known is None:
        return
    texts = list(said(stack))
    named = [card for text, _, _ in texts for card in cards_in(text)]
    for text, at, comment in texts:
        rate = _RATE.search(text)
        card = next(iter([*cards_in(text), *named]), None)
        if rate is None or card is None or _OTHERWISE.search(text):
            continue
        if not cards_in(text) and other_cards(text):
            continue  # of a card whose bandwidth is not known here
        most = card.bandwidth_bytes_per_s / known[1]
        if float(rate["number"]) <= ceil(most):
            continue
        yield Found(
            at=at,
            message=f"{rate['number']} tokens/s of {known[0]} in 16 bit is more than "
            f"{_a(card.name)} can do for one answer: it reads {known[1] / 1e9:.2f} GB a token at "
            f"{card.bandwidth_bytes_per_s / 1e9:.0f} GB/s, at most {most:.1f}.",
            edits=_rewritten(stack, at, comment, rate, f"{int(most)} tokens/s at most"),
        )


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'RALH' else 'a'} {name}"


def _rewritten(
    stack: Stack, at: Place, comment: Comment | None, found: re.Match[str], text: str
) -> tuple[Edit, ...]:
    """The comment with other words in place of the ones found, wherever it repeats them."""
    if comment is None:
        return ()
    line = stack.text.lines[at.line - 1]
    made = line[: at.column - 1] + found.re.sub(text, line[at.column - 1 :])
    return (Edit(first=at.line, last=at.line, lines=(made,)),)


_APACHE = re.compile(r"(?i)apache(?:[- ]?license)?[-, ]*(?:v(?:ersion)?\s*)?2(?:\.0)?")
_THE_MODEL = re.compile(r"(?i)deepseek-r1-distill-qwen-1\.5b")
_OF_THE_MODEL = re.compile(r"(?i)deepseek|\br1\b|\bmodel|weights|checkpoint")
_OF_OTHERS = re.compile(r"(?i)spdx|vllm (?:is|:)|qwen2\.5-math|base model|derived|compose file")


def _licence(stack: Stack) -> Iterator[Found]:
    served = [model_of(e) or "" for e in stack.of("vllm", "llama.cpp")]
    served += [v.value or "" for e in stack.of("vllm") for v in e.environment.values()]
    if not any(_THE_MODEL.search(text) for text in served):
        return
    for text, at, comment in said(stack):
        found = _APACHE.search(text)
        if found is None or "MIT" in text or _OF_OTHERS.search(text):
            continue
        if not _OF_THE_MODEL.search(text) and not (comment and _beside_the_model(stack, at)):
            continue
        yield Found(
            at=at,
            message="DeepSeek-R1-Distill-Qwen-1.5B is under the MIT licence; Apache-2.0 is that of "
            "Qwen2.5-Math-1.5B, which it was made from.",
            edits=_rewritten(stack, at, comment, found, "MIT")
            if comment
            else _label(stack, at, found),
        )


def _beside_the_model(stack: Stack, at: Place) -> bool:
    """Whether the model itself is named before a comment on its line, or on the line above."""
    lines = stack.text.lines
    above = lines[at.line - 2] if at.line > 1 and not lines[at.line - 1][: at.column - 1] else ""
    return bool(_THE_MODEL.search(f"{lines[at.line - 1][: at.column - 1]} {above}"))


def _label(stack: Stack, at: Place, found: re.Match[str]) -> tuple[Edit, ...]:
    line = stack.text.lines[at.line - 1]
    if found[0] not in line:
        return ()
    return (Edit(first=at.line, last=at.line, lines=(line.replace(found[0], "MIT", 1),)),)


_CUDA_11 = re.compile(
    r"(?i)\bcuda(?:\s*toolkit)?\s*(?:version\s*)?[:>=≥]*\s*(?:v)?11(?:\.\d+)*(?:\.x)?\+?(?!\w)"
)


def _cuda_said(stack: Stack) -> Iterator[Found]:
    for comment in stack.comments:
        found = _CUDA_11.search(comment.text)
        if found is None or re.search(r"(?i)\bnot?\b|n't|never|old|instead", comment.text):
            continue
        if not stack.of("vllm", "llama.cpp"):
            continue
        yield Found(
            at=comment.at,
            message="The images of today are built with CUDA 12.8 to 13; the host needs a driver "
            "for that and the container toolkit, and no CUDA.",
            edits=_rewritten(stack, comment.at, comment, found, "NVIDIA driver 580 or newer"),
        )


RULES = (
    Rule(
        id="speed-impossible",
        about="Claims",
        severity="warning",
        what="tokens per second in a comment that the named card cannot reach with the served "
        "model in 16 bit, one answer at a time",
        why="Each token reads all weights once, so the card's memory bandwidth divided by their "
        "size is the ceiling: 116.6 for DeepSeek-R1-Distill-Qwen-1.5B on an RTX 3060.",
        fix="what was measured, and how many answers at a time",
        basis="computed",
        check=_speed,
    ),
    Rule(
        id="licence-wrong",
        about="Claims",
        severity="warning",
        what="Apache-2.0 said of DeepSeek-R1-Distill-Qwen-1.5B in a comment or label",
        why="Its authors publish it under the MIT licence; the base model's is Apache-2.0.",
        fix="MIT",
        basis="docs",
        check=_licence,
    ),
    Rule(
        id="cuda-claimed",
        about="Claims",
        severity="warning",
        what="CUDA 11 asked for in a comment",
        why="No CUDA is needed on the host at all: only the driver that the image's CUDA needs, "
        "and the NVIDIA Container Toolkit.",
        fix="driver 580 or newer for images of CUDA 13, 525 for those of CUDA 12",
        basis="docs",
        check=_cuda_said,
    ),
)
