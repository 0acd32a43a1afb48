r"""What the model is asked, in the words of one request each. Pure.

No system prompt: models that reason are made for none, and what is asked of the answer stands with
the question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployctl.evals.nouns import FormCase, Problem, Question, ToolCase

MATH_WORDS = (
    "Work this out step by step. Then give your final answer, and nothing else, within \\boxed{}."
)

JSON_WORDS = (
    "Answer with one JSON object and nothing else: no explanation, no Markdown. "
    "It must follow this JSON Schema:"
)

#: Tokens that a template puts around a question, at most, and a few more.
AROUND = 128

#: An answer that may not even have so many tokens is not asked for.
LEAST = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How all questions of one evaluation are asked.

    ``sampling`` is in the engine's words. ``max_tokens``: of one answer, the context permitting.
    """

    engine: str
    sampling: Mapping[str, float]
    max_tokens: int
    seed: int

    def body(self, id_: str, text: str, **more: object) -> dict[str, Any]:
        """The body of one request, but for the model's name."""
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": text}],
            **self.sampling,
            "max_tokens": self.max_tokens,
            "seed": seed_of(self.seed, id_),
            **more,
        }
        if self.engine == "llama.cpp":
            # What lies in the cache was computed with other questions beside it.
            body["cache_prompt"] = False
        return body


def most_tokens(question: Question) -> int | None:
    """No more tokens than this has the question, its template included; ``None``: not known.

    A token is a byte at the least. How tools are put into words, only the model's template knows.
    """
    if "tools" in question.body:
        return None
    return sum(len(one["content"].encode()) for one in question.body["messages"]) + AROUND


def fitted(question: Question, tokens: int, context: int) -> Question | None:
    """Ask for no more than the context leaves beside so many tokens; ``None``: too little."""
    wanted = question.body["max_tokens"]
    room = min(wanted, context - tokens)
    if room < min(wanted, LEAST):
        return None
    return Question(id=question.id, body={**question.body, "max_tokens": room})


def seed_of(seed: int, id_: str) -> int:
    """The seed of one question: its own, and always the same; 31 bits, as both engines take."""
    digest = hashlib.sha256(f"{seed}\n{id_}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def of_problem(problem: Problem, way: Way) -> Question:
    """Ask for a problem's answer."""
    text = f"{problem.question.strip()}\n\n{MATH_WORDS}"
    return Question(id=problem.id, body=way.body(problem.id, text))


def of_tools(case: ToolCase, way: Way) -> Question:
    """Ask something for which tools are offered."""
    tools = [{"type": "function", "function": dict(tool)} for tool in case.tools]
    return Question(id=case.id, body=way.body(case.id, case.question, tools=tools))


def of_form(case: FormCase, way: Way) -> tuple[Question, Question]:
    """Ask for an object twice: in words only, and held to the schema by the engine."""
    text = f"{case.question}\n\n{JSON_WORDS}\n{json.dumps(case.schema)}"
    form = {"name": "answer", "strict": True, "schema": case.schema}
    held = {"type": "json_schema", "json_schema": form}
    words, schema = f"{case.id}/words", f"{case.id}/schema"
    return (
        Question(id=words, body=way.body(words, text)),
        Question(id=schema, body=way.body(schema, text, response_format=held)),
    )
