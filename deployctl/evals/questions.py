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
_AROUND = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How all questions of one evaluation are asked.

    ``sampling`` is in the engine's words. ``context``: tokens of one conversation. ``alone``: the
    request is to leave the engine's prompt cache out (llama.cpp).
    """

    engine: str
    sampling: Mapping[str, float]
    max_tokens: int
    context: int
    seed: int

    def body(self, id_: str, text: str, **more: object) -> dict[str, Any]:
        """The body of one request, but for the model's name."""
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": text}],
            **self.sampling,
            "max_tokens": self.room(text, **more),
            "seed": seed_of(self.seed, id_),
            **more,
        }
        if self.engine == "llama.cpp":
            # What lies in the cache was computed with other questions beside it.
            body["cache_prompt"] = False
        return body

    def room(self, text: str, **more: object) -> int:
        """How long the answer may be: never more than the context leaves beside the question.

        The question's tokens are not known here; mathematics and JSON have two bytes in one at
        the least.
        """
        asked = text + (json.dumps(more) if more else "")
        return max(1, min(self.max_tokens, self.context - len(asked.encode()) // 2 - _AROUND))


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
