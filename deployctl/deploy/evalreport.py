"""What is asked of an evaluation, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.evals.nouns import DEFAULT_SEED, Kind, Marked, MarkedCall, MarkedForm, Rate, Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.errors import Fault
    from deployctl.outcomes import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRequest:
    """What the operator asked. ``typed`` is the command line that goes on from where it ended.

    ``first``: only so many, from the beginning; ``anew``: put aside what is there.
    """

    kind: Kind
    stack: str
    typed: str
    dataset: str | None = None
    first: int | None = None
    max_tokens: int | None = None  # None: as the profile has it
    at_once: int = 1
    seed: int = DEFAULT_SEED
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A question without an answer that was read, and why, in the engine's words or ours."""

    id: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Problems of one subject, or of one level: how many were answered, and each rate."""

    name: str
    of: int
    hits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """How good the answers are, of all questions or of as many as were answered.

    ``rates`` and ``truncated`` are over the questions that were answered. ``refused``, which the
    engine did not take, and ``too_long``, which were not asked since the context has no room, are
    not among them. ``broken`` are: the engine could not hand over what its model wrote, and they
    count as not valid and not right. ``seconds`` is this run's; ``answer_seconds`` those of all
    answers, kept ones too.
    ``unjudged``: answers of which the checker could not tell; they count as not right.
    """

    kind: Kind
    stack: str
    status: Status
    model: str
    served_name: str
    engine: str
    dataset: str
    dataset_sha256: str
    problems: int  # in the dataset
    asked: int  # of them
    answered: int
    kept: int  # of those, by an earlier run
    complete: bool  # nothing is missing
    rates: Mapping[str, Rate]
    truncated: Rate
    tokens: Tokens | None
    unjudged: int
    refused: tuple[Refusal, ...]
    too_long: tuple[Refusal, ...]
    broken: tuple[Refusal, ...]
    subjects: tuple[Group, ...]
    levels: tuple[Group, ...]
    sampling: Mapping[str, float]
    max_tokens: int
    seed: int
    at_once: int
    reasons: bool
    seconds: float
    answer_seconds: float
    rows_file: Path
    warnings: tuple[str, ...]
    again: str
    results: tuple[Marked, ...] | tuple[MarkedCall, ...] | tuple[MarkedForm, ...]
    faults: tuple[Fault, ...] = ()
