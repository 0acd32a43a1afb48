"""Rules about models' names: such as nobody published, such as not everybody gets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import add_variable, required, set_variable
from deployctl.lint.flags import place, replace
from deployctl.lint.models import model_of, model_word
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.tree import Place
from deployctl.lint.writing import Edit

_NO_SUCH = re.compile(
    r"(?i)(?<![\w.-])(?:(?P<org>meta-llama)/)?(?:meta-)?llama-?3-?_?1b(?P<tuned>-(?:instruct|chat))?(?![\w])"
)
LLAMA = "meta-llama/Llama-3.2-1B-Instruct"


def _unknown_name(stack: Stack) -> Iterator[Found]:
    for service in stack.of("vllm", "llama.cpp", "webui", "other"):
        found = model_word(service) if service.kind in ("vllm", "llama.cpp") else None
        argv = found[0].argv if found else service.argv
        if argv is not None:
            named = [
                w for w in argv.words if _NO_SUCH.fullmatch(w.text.partition("=")[2] or w.text)
            ]
            for word in named:
                yield _no_such(service, place(stack, argv, word), word.text, (
                    replace(stack, argv, word, _NO_SUCH.sub(LLAMA, word.text)),
                ))  # fmt: skip
        for variable in service.environment.values():
            value = variable.value or ""
            if variable.known and _NO_SUCH.fullmatch(value):
                edit = set_variable(stack, variable, LLAMA)
                yield _no_such(service, variable.at, value, (edit,))
    for comment in stack.comments:
        match = _NO_SUCH.search(comment.text)
        if match:
            line = stack.text.lines[comment.at.line - 1]
            made = line[: comment.at.column] + _NO_SUCH.sub(LLAMA, line[comment.at.column :])
            edit = Edit(first=comment.at.line, last=comment.at.line, lines=(made,))
            yield Found(
                at=comment.at,
                message=f"There is no model {match[0]}: it is Llama 3.2 that has 1B.",
                edits=(edit,),
                severity="warning",
            )


def _no_such(service: Service, at: Place, name: str, edits: tuple[Edit | None, ...]) -> Found:
    return Found(
        at=at,
        message=f"There is no model {name}: it is Llama 3.2 that has 1B.",
        edits=edits,
        service=service,
    )


def _gated(stack: Stack, service: Service) -> Iterator[Found]:
    model = model_of(service) or ""
    if not re.match(r"(?i)meta-llama/", model) or service.kind != "vllm":
        return
    if not service.lacks("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        return
    if "secrets" in service.keys or any(
        "huggingface" in m.target for m in service.mounts if m.kind == "bind"
    ):
        return
    found = model_word(service)
    assert found is not None
    flags, word, _ = found
    at = place(stack, flags.argv, word) if flags.argv and word else service.at
    yield Found(
        at=at,
        message=f"{model} is gated: without a token of somebody who accepted its licence the hub "
        "gives it to nobody.",
        edits=(add_variable(stack, service, "HF_TOKEN", required("HF_TOKEN")),),
        service=service,
    )


RULES = (
    Rule(
        id="model-unknown",
        about="Models",
        severity="error",
        what="`Llama3-1B`, `meta-llama/Llama-3-1B` and spellings of them",
        why="Llama 3 has no model of 1B; Llama 3.2 has.",
        fix=f"`{LLAMA}`, whose licence has to be accepted on its page first",
        basis="docs",
        check=_unknown_name,
    ),
    Rule(
        id="model-gated",
        about="Models",
        severity="warning",
        what="a model of `meta-llama/` and no token",
        why="The hub gives its files only to accounts that accepted the licence; the engine stops "
        "with `Cannot access gated repo`.",
        fix='`HF_TOKEN: "${HF_TOKEN:?put it into .env}"`',
        basis="docs",
        check=each(_gated, "vllm"),
    ),
)
