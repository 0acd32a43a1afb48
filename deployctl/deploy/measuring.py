"""Measures a running stack: load after load, each warmed up first; what came of it is a value.

Only looks and asks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from deployctl.aside import Aside
from deployctl.bench.figures import Round, level_of
from deployctl.bench.nouns import Level, Measured, Shape, Timed, Used
from deployctl.bench.questions import question, words_for
from deployctl.bench.remarks import remarks
from deployctl.clock import utc_now
from deployctl.deploy.benched import Benched, benched
from deployctl.deploy.load import BrokenError, Load
from deployctl.deploy.metering import Metering
from deployctl.errors import DeployctlError, Fault

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.talk import PhaseTalk

#: Real seconds that a measurement gets to end once it is stopped.
_GRACE_S = 3.0

T = TypeVar("T")

#: Tokens of an answer that only warms up.
_WARM_UP = 16

#: Words of the short question that shows what the model's template adds.
_FEW_WORDS = 4

#: And of the longer one: no more are needed to know what a word takes.
_MANY_WORDS = 96

#: How often a round is tried again when an answer broke off and the engine is well.
_TRIES = 2


def measured(
    world: World,
    name: str,
    shape: Shape,
    *,
    seed: int,
    phase: PhaseTalk | None = None,
    seconds: float | None = None,
) -> Measured:
    """Put the load on stack ``name``; what Ctrl-C or a failure ends is given as far as it came.

    ``seed`` decides the questions. ``phase`` hears how far it has come; without one, each level
    opens its own. ``seconds`` (real ones): how long it may take. Raises what :func:`benched` does,
    and when the engine fails before anything was measured.
    """
    on = benched(world, name, shape)
    at = utc_now()
    work = _Work(world=world, on=on, shape=shape, seed=seed, told=phase)
    ended: Literal["", "interrupted", "failed", "time"] = ""
    faults: tuple[Fault, ...] = ()
    under_way = Aside(work.run)
    try:
        if seconds is None or under_way.done(seconds):
            under_way.result()
        else:
            ended = "time"
    except KeyboardInterrupt:
        ended = "interrupted"
    except DeployctlError as problem:
        if not work.so_far():
            raise
        ended, faults = "failed", problem.faults
    finally:
        work.stop()
        under_way.done(_GRACE_S)  # it has a phase to close, which may own the screen
    levels = work.so_far()
    return Measured(
        subject=on.subject,
        at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        shape=shape,
        seed=seed,
        load_s=on.load_s,
        memory_bytes=on.memory_bytes,
        memory_place=on.memory_place,
        levels=levels,
        bound=on.bound,
        warnings=remarks(levels, shape, on.bound, at_once=on.at_once, unbound=on.unbound),
        ended=ended,
        faults=faults,
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """One measurement under way, in a thread of its own; ``levels`` are those that are whole."""

    world: World
    on: Benched
    shape: Shape
    seed: int
    told: PhaseTalk | None
    load: Load = field(init=False)
    _asked: int = 0  # questions so far: each has a number of its own
    _words: int = 1
    # Levels that are whole, and the rounds of the one under way: replaced in one step.
    _done: tuple[tuple[Level, ...], tuple[Round, ...]] = ((), ())

    def __post_init__(self) -> None:
        self.load = Load(world=self.world, at=self.on.line.at, alive=self.on.alive)

    def stop(self) -> None:
        """Begin nothing any more."""
        self.load.stop()

    def so_far(self) -> tuple[Level, ...]:
        """The levels, and of the one that was ended in the middle the rounds that were whole."""
        levels, rounds = self._done
        streams = self.shape.streams[len(levels) :][:1]
        if not rounds or not streams:
            return levels
        on, nothing = self.on, Used(seconds=0.0)
        return (*levels, level_of(streams[0], rounds, nothing, on.bound, at_once=on.at_once))

    def run(self) -> None:
        """Measure level after level."""
        self._words = self._calibrated()
        for streams in self.shape.streams:
            with self._phase(streams) as say:
                level = self._level(streams, say)
                self._done = ((*self._done[0], level), ())

    def _calibrated(self) -> int:
        """How many words make a question as long as asked for, by what the engine counts."""
        many = max(_FEW_WORDS + 1, min(_MANY_WORDS, self.shape.prompt_tokens // 2))
        seen = []
        for words in (_FEW_WORDS, many):
            number = self._next(1)[0]
            text = question(words, seed=self.seed, number=number)
            (answer,) = self._tried(lambda text=text: self.load.round((text,), 1))  # type: ignore[misc]
            seen.append((words, answer.prompt_tokens))
        return words_for(self.shape.prompt_tokens, seen)

    def _level(self, streams: int, say: Callable[[str, int], None]) -> Level:
        warm = min(_WARM_UP, self.shape.output_tokens)
        say("warming up", 0)
        self._round(streams, warm, lambda _pieces: None)
        with Metering(self.world, self.on.engine_id, card=self.on.card) as meter:
            for number in range(self.shape.rounds):
                step = f"round {number + 1} of {self.shape.rounds}"
                say(step, 0)
                found = self._round(streams, self.shape.output_tokens, lambda n, s=step: say(s, n))  # type: ignore[misc]
                self._done = (self._done[0], (*self._done[1], found))
        rounds, on = self._done[1], self.on
        return level_of(streams, rounds, meter.used, on.bound, at_once=on.at_once)

    def _round(
        self, streams: int, tokens: int, on_look: Callable[[int], None]
    ) -> tuple[Timed, ...]:
        def asked() -> tuple[Timed, ...]:
            numbers = self._next(streams) if self.shape.fresh else [0] * streams
            texts = [question(self._words, seed=self.seed, number=number) for number in numbers]
            return self.load.round(texts, tokens, on_look=on_look)

        return self._tried(asked)

    def _next(self, count: int) -> range:
        self._asked += count
        return range(self._asked - count + 1, self._asked + 1)

    def _tried(self, ask: Callable[[], T]) -> T:
        """Ask, and once more where an answer broke off though the engine works."""
        said = ""
        for _ in range(_TRIES):
            try:
                return ask()
            except BrokenError as problem:
                said = str(problem)
                self.on.alive()
        raise DeployctlError(
            "The engine gave no whole answer under this load.",
            code="bench-broken",
            where="engine",
            hint=f"deployctl logs engine --stack {self.on.subject.stack}",
            details=(said,),
        )

    @contextmanager
    def _phase(self, streams: int) -> Iterator[Callable[[str, int], None]]:
        whole = streams * self.shape.output_tokens
        if (told := self.told) is not None:
            yield lambda step, pieces: told.step(step, done=min(pieces, whole), total=whole)
            return
        with self.world.talk.phase(f"{streams} at once") as talk:
            yield lambda step, pieces: talk.step(step, done=min(pieces, whole), total=whole)
            level = self._done[0][-1]
            talk.finish(
                f"{level.total_rate.median:.1f} tokens/s, "
                f"first token after {level.first_token_p50_s:.2f} s"
            )
