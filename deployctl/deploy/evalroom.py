"""How many tokens a question has, as the engine itself counts, so that its answer has room."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.evals.questions import LEAST, fitted, most_tokens
from deployctl.verify.ask import dig

if TYPE_CHECKING:
    from deployctl.deploy.chat import Line
    from deployctl.deploy.world import World
    from deployctl.evals.nouns import Question

#: No tokenizer packs so many bytes of text into a token on average.
_SURELY = 100

#: Counting takes milliseconds; an engine that is writing answers may take some more.
_TIMEOUT_S = 60.0


def with_room(
    world: World, line: Line, question: Question, *, engine: str, context: int
) -> tuple[Question | None, str]:
    """Limit the answer to what the context leaves; ``None``, and why, where that is too little.

    The engine is asked only where it matters: where even a token for every byte would leave room,
    nothing has to be counted.
    """
    most = most_tokens(question)
    if most is not None and most > _SURELY * context:  # nothing to bother an engine with
        return None, f"it has {most} characters, far more than the context of {context} tokens"
    if most is not None and most + question.body["max_tokens"] <= context:
        return question, ""
    counted = _counted(world, line, question, engine)
    if counted is None:  # asked in any case: the engine has the last word
        counted = min(most or 0, context - LEAST)
    why = f"it has {counted} tokens, and the context of {context} leaves no room for an answer"
    return fitted(question, counted, context), why


def _counted(world: World, line: Line, question: Question, engine: str) -> int | None:
    """The tokens of the whole request, template and tools included; ``None``: it does not tell."""
    asked = {key: question.body[key] for key in ("messages", "tools") if key in question.body}
    if engine == "vllm":
        count = dig(
            _told(world, line, "tokenize", {"model": line.at.served_name, **asked}), "count"
        )
        return count if type(count) is int else None
    prompt = dig(_told(world, line, "apply-template", asked), "prompt")
    if not isinstance(prompt, str):
        return None
    body = {"content": prompt, "add_special": True, "parse_special": True}
    tokens = dig(_told(world, line, "tokenize", body), "tokens")
    return len(tokens) if isinstance(tokens, list) else None


def _told(world: World, line: Line, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
    reply = world.http.call(
        f"{line.at.engine}/{path}", token=line.at.engine_key, body=body, timeout_s=_TIMEOUT_S
    )
    return reply.data if reply.status == HTTPStatus.OK else None
