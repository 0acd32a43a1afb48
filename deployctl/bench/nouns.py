"""The nouns of measuring: what is asked of an engine, and what came of it. Frozen values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deployctl.errors import Fault

Place = Literal["gpu", "ram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A load: answers of exactly ``output_tokens``, in rounds of one answer for each stream.

    ``streams``: how many ask at once, one level after another. ``fresh``: no two questions begin
    alike, so that nothing is answered out of the engine's prefix cache.
    """

    streams: tuple[int, ...] = (1, 4, 16)
    prompt_tokens: int = 128
    output_tokens: int = 128
    rounds: int = 3
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One answer, timed from outside. Moments are of one clock, in seconds."""

    sent: float
    first: float  # its first piece came
    last: float  # its last piece came
    tokens: int  # as the engine counted them
    prompt_tokens: int
    cached_tokens: int | None = None  # of the prompt, out of the cache; None: it does not say
    gaps: tuple[float, ...] = ()  # seconds between one piece and the next

    @property
    def first_token_s(self) -> float:
        """From the question to the first piece of the answer."""
        return self.first - self.sent

    @property
    def rate(self) -> float | None:
        """Tokens per second while it was being written; the first one took none."""
        seconds = self.last - self.first
        return (self.tokens - 1) / seconds if self.tokens > 1 and seconds > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle of several measurements, and how far they lie apart."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far, as a share of the middle."""
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a level took of the machine, on average over its time. ``None``: nobody tells."""

    seconds: float
    engine_cpus: float | None = None  # processors
    own_cpus: float | None = None  # of them, what measuring itself took
    memory_bytes: int | None = None  # of the engine, at the end of the level
    gpu_share: float | None = None  # 0 to 1
    watts: float | None = None
    watts_of: str = ""  # "card", "processor package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many streams at once, and how they were answered. Spreads are over the rounds."""

    streams: int
    requests: int  # answered
    prompt_tokens: float  # of a question, on average
    output_tokens: float  # of an answer, on average
    first_token_p50_s: float
    first_token_p95_s: float
    inter_token_p50_s: float | None
    inter_token_p95_s: float | None
    stream_rate: Spread | None  # tokens/s of one answer while it is written
    total_rate: Spread  # tokens/s of all, from the first question to the last token
    used: Used
    cached_share: float | None = None  # of the questions' tokens
    joules_per_1000: float | None = None  # energy for 1000 tokens of answers
    ceiling_share: float | None = None  # of the bytes/s that the memory really has
    answer_s: Spread | None = None  # from the question to the last piece, the middle answer's


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the memory allows: all weights are read once for every step of all answers."""

    bytes_per_s: float
    weights_bytes: int  # read for each step
    kv_bytes_per_token: int  # read for each step and each token of a conversation
    of: str  # whose memory, and how its speed is known

    @property
    def one_stream(self) -> float:
        """Tokens/s that one answer can have at most, its context aside."""
        return self.bytes_per_s / self.weights_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was measured: enough to tell whether two measurements are of the same thing."""

    host: str
    stack: str
    profile: str
    model: str
    served_name: str
    engine: str
    images: Mapping[str, str]  # service → the image itself (its id)
    weights: str  # which file
    settings: str  # digest of all that decides the containers
    context: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of a stack, whole or as far as it came.

    ``ended`` is empty when it is whole; ``time``: that was up. ``load_s``: from the start of the
    engine's process until it listened; ``memory_bytes`` is what it held then.
    """

    subject: Subject
    at: str  # RFC 3339, UTC
    shape: Shape
    seed: int
    load_s: float | None
    memory_bytes: int | None
    memory_place: Place
    levels: tuple[Level, ...]
    bound: Bound | None = None
    warnings: tuple[str, ...] = ()
    ended: Literal["", "interrupted", "failed", "time"] = ""
    faults: tuple[Fault, ...] = ()  # why, where it failed

    def level(self, streams: int) -> Level | None:
        """The level of so many streams, if it was measured."""
        return next((level for level in self.levels if level.streams == streams), None)
