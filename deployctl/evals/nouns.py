"""The nouns of an evaluation: what is asked, what came back, and what that is worth. Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["math", "tools", "json"]

#: The seed of everybody who asks for no other.
DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of mathematics and its right answer, in LaTeX."""

    id: str
    question: str
    answer: str
    subject: str | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCase:
    """A question, the tools that are offered, and the call that it asks for.

    ``arguments``: name → the values that are right; one that may be left out has ``None`` among
    them, and one that is not named here may be anything that its schema allows. ``others``: other
    arguments that are right as well. ``tool`` is ``None`` where no call is right.
    """

    id: str
    question: str
    tools: tuple[Mapping[str, Any], ...]  # functions: name, description, parameters
    tool: str | None
    arguments: Mapping[str, tuple[Any, ...]]
    others: tuple[Mapping[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormCase:
    """A question whose answer is to be an object of this JSON Schema."""

    id: str
    question: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: its row's name, and its body but for the model's name."""

    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool, as the model wrote it; ``arguments`` is JSON text, or should be."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one question, as it is kept.

    ``refused``: the engine did not take the question; ``too_long``: it was not even asked, since
    the context leaves no room for an answer. ``broken``: the engine took it and could not hand
    over what its model wrote. ``said``: why, of each of them.
    """

    id: str
    refused: bool = False
    too_long: bool = False
    broken: bool = False
    said: str = ""
    answer: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str | None = None
    tokens: int | None = None  # of the answer, thoughts included, as the engine counts
    prompt_tokens: int | None = None
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether it counts: the question was asked, and taken."""
        return not (self.refused or self.too_long)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many, and where the true share lies with 95 % confidence (Wilson)."""

    hits: int
    of: int
    share: float | None  # None: of nothing
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """How long the answers were, thoughts included, in tokens as the engine counts."""

    mean: float
    median: float
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One problem and what its answer is worth.

    ``right``: ``None`` where the checker came to no result. ``boxed`` is the last box of the
    answer; ``None`` where there is none. ``restated``: it repeats an expression of the question.
    """

    id: str
    complete: bool
    right: bool | None
    truncated: bool
    boxed: str | None
    restated: bool
    expected: str
    tokens: int | None
    seconds: float
    subject: str | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedCall:
    """One question with tools, and what the call is worth. ``fault``: what is wrong, in words."""

    id: str
    wanted: bool  # whether a call is right at all
    valid: bool
    right: bool
    truncated: bool
    fault: str
    tokens: int | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedForm:
    """One object, and whether it follows its schema. ``fault``: what is wrong, in words."""

    id: str
    way: Literal["words", "schema"]
    valid: bool
    truncated: bool
    fault: str
    tokens: int | None
    seconds: float
