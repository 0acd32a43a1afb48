"""The pieces that reports and evidence are made of: gathered side by side, and cleaned.

Decides what leaves this machine, and touches nothing: ``private.py`` knows what is secret here,
``archive.py`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.private import known_secrets, private_hosts, private_names
from deployctl.redact import Redactor, redacted
from deployctl.sidebyside import apart

if TYPE_CHECKING:
    from deployctl.runner import Runner

#: Characters of each text: enough to see a start, little enough to mail.
_MOST = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file: what it is about in a few words, and data or text.

    ``log`` is text in which people's and models' own words may stand. ``secrets`` are those that
    what it was made of names itself: a container's variables, an operator's override.
    """

    name: str
    about: str
    content: object
    log: bool = False
    secrets: frozenset[str] = frozenset()


#: What a job is to find, in a few words, and the job.
Job = tuple[str, Callable[[], Piece | tuple[Piece, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What could be had, and in sentences what could not."""

    pieces: tuple[Piece, ...]
    missing: tuple[str, ...]


def gathered(jobs: Iterable[Job]) -> Gathered:
    """Do every job, side by side. Never raises: half of it is worth more than none."""
    pieces: list[Piece] = []
    missing: list[str] = []
    futures = [(about, apart(job, name=f"gather {about}")) for about, job in jobs]
    for about, future in futures:
        try:
            found = future.result()
        except DeployctlError as problem:
            fault = problem.faults[0]
            missing.append(f"{about}: {fault.message} [{fault.code}]")
        except Exception as problem:  # it is most wanted where we are wrong
            missing.append(f"{about}: {type(problem).__name__}: {problem}")
        else:
            pieces += found if isinstance(found, tuple) else (found,)
    return Gathered(pieces=tuple(pieces), missing=tuple(missing))


def redactor_for(
    pieces: Iterable[Piece],
    *,
    home: Path,
    environment: Mapping[str, str],
    root: Path,
    runner: Runner,
) -> Redactor:
    """What takes out every secret that this machine, or one of the pieces, knows; and names."""
    pieces = tuple(pieces)
    secrets = known_secrets(home, environment, root)
    secrets |= {text for piece in pieces for text in piece.secrets}
    hosts = {host: "<host>" for piece in pieces for host in private_hosts(_plain(piece))}
    return Redactor(secrets, hosts | private_names(runner, environment, root))


def _plain(piece: Piece) -> str:
    """All that a piece says, as one text."""
    if isinstance(piece.content, str):
        return piece.content
    return json.dumps(piece.content, default=str)


def cleaned(piece: Piece, redactor: Redactor) -> str:
    """The piece as text without secrets; data is cleaned as data first, then as text."""
    if isinstance(piece.content, str):
        return redactor.text(_end(piece.content), log=piece.log)
    text = json.dumps(redacted(piece.content, redactor), indent=1, default=str)
    return redactor.text(text, log=piece.log)


def _end(text: str) -> str:
    """The end of a text, in whole lines: nobody knows half a secret for one."""
    if len(text) <= _MOST:
        return text
    return text[-_MOST - 1 :].partition("\n")[2] or f"(one line of {len(text)} characters)\n"
