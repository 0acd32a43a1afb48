"""Puts a load on a running engine: rounds of streamed answers, all begun at the same moment.

Every answer has a connection of its own, as every browser and most clients do, so that no idle one
is closed under it. Times are taken here, where a user's program would take them.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployctl.bench.nouns import Timed
from deployctl.errors import DeployctlError
from deployctl.reply import Reader, ReplyError
from deployctl.sidebyside import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployctl.deploy.world import World
    from deployctl.readiness import Endpoints

#: One answer may take this long in all, seconds; who waits for it ends it earlier with Ctrl-C.
_PATIENCE_S = 3600.0

#: Seconds without a piece of any answer after which the engine is asked whether it still works.
_SILENCE_S = 30.0

#: An engine that writes nothing for so long hangs, seconds: sixteen questions take a small board
#: seven minutes to read.
_HUNG_S = 900.0

#: Real seconds between two looks at a round under way.
_LOOK_S = 0.5


class BrokenError(Exception):
    """An answer did not come whole; the text is what was seen."""


@dataclass(slots=True, kw_only=True)
class Load:
    """What asks. ``alive`` is called after some silence, and raises where the engine is lost."""

    world: World
    at: Endpoints
    alive: Callable[[], None]
    pieces: int = 0  # that have come in this round
    _heard: float = 0.0
    _stopped: bool = False
    _under_way: list[Future[Timed]] = field(default_factory=list)

    def round(
        self,
        questions: Sequence[str],
        tokens: int,
        *,
        on_look: Callable[[int], None] = lambda _pieces: None,
    ) -> tuple[Timed, ...]:
        """Ask all questions at once; answers of exactly so many tokens, in their order.

        ``on_look`` hears how many pieces have come so far. :class:`BrokenError` when one of the
        answers did not come whole; whatever ``alive`` raises.
        """
        self.pieces, self._heard = 0, self.world.clock.now()
        begun = self._heard
        try:
            answers = [apart(lambda q=q: self.ask(q, tokens), name="load") for q in questions]  # type: ignore[misc]
        except RuntimeError as problem:  # as many threads as this user may have
            raise BrokenError(str(problem)) from None
        looked = begun
        while not self._stopped:
            if not wait(answers, timeout=_LOOK_S).not_done:
                break
            on_look(self.pieces)
            now = self.world.clock.now()
            if now - max(self._heard, looked) > _SILENCE_S:
                self.alive()
                looked = now
            if now - self._heard > _HUNG_S:
                raise _hung(self.at.stack)
        if self._stopped:
            raise KeyboardInterrupt  # ends this thread as it ended the one that stopped it
        problems = [found for each in answers if each.done() and (found := each.exception())]
        if problems:
            raise problems[0]
        return tuple(answer.result() for answer in answers)

    def stop(self) -> None:
        """Let what is under way end by itself, and wait for none of it."""
        self._stopped = True

    def ask(self, question: str, tokens: int) -> Timed:
        """One answer, timed; :class:`BrokenError` when it does not come whole."""
        clock, reader = self.world.clock, Reader(raw=True)
        sent, moments = clock.now(), list[float]()
        ended = sent
        try:
            for payload in self._stream(question, tokens):
                now = clock.now()
                before = reader.finish_reason
                if any(True for _ in reader.event(payload)):
                    moments.append(now)
                    self.pieces += 1
                    self._heard = ended = now
                elif reader.finish_reason != before:
                    ended = now  # tokens that are no text came until now
                if self._stopped:
                    break
        except ReplyError as problem:
            raise BrokenError(str(problem)) from None
        except OSError as problem:
            raise BrokenError(str(problem)) from None
        written = reader.usage.get("completion_tokens")
        if not isinstance(written, int) or not written:
            raise BrokenError("the stream ended in the middle of an answer")
        return Timed(
            sent=sent,
            first=moments[0] if moments else ended,  # no token of it was text
            last=ended,
            tokens=written,
            prompt_tokens=_whole(reader.usage.get("prompt_tokens")) or 0,
            cached_tokens=_cached(reader),
            gaps=tuple(b - a for a, b in itertools.pairwise(moments)),
        )

    def _stream(self, question: str, tokens: int) -> Any:  # noqa: ANN401  # an iterator of text
        return self.world.http.stream(
            f"{self.at.engine}/v1/chat/completions",
            token=self.at.engine_key,
            body={
                "model": self.at.served_name,
                "messages": [{"role": "user", "content": question}],
                "max_tokens": tokens,
                "min_tokens": tokens,  # vLLM's; llama.cpp does not need it
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
            timeout_s=_PATIENCE_S,
        )


def _hung(stack: str) -> DeployctlError:
    return DeployctlError(
        f"The engine has written nothing for {_HUNG_S / 60:.0f} minutes, and says it is well.",
        code="engine-hung",
        where="engine",
        hint=f"deployctl logs engine --stack {stack}",
    )


def _cached(reader: Reader) -> int | None:
    """Tokens of the question out of the cache: llama.cpp tells, vLLM only where it was told to."""
    details = reader.usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, dict) else None
    return _whole(told if told is not None else reader.timings.get("cache_n"))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
