"""What can go wrong between a source and the disk, before it is put into the operator's words.

The transfers raise these; ``faults`` turns them into ``DeployctlError``. Imports nothing of ours.
``evidence`` is what the other side or the system said, line by line.
"""

from __future__ import annotations


class SourceProblem(Exception):
    """A model file could not be had. The text is a whole sentence without advice."""

    def __init__(self, text: str, *, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.evidence = evidence


class Unreachable(SourceProblem):
    """The source does not answer, or stopped answering."""


class Missing(SourceProblem):
    """The source answers and does not have the file."""


class Denied(SourceProblem):
    """The source answers and does not give the file to this caller."""


class Corrupt(SourceProblem):
    """What came (or what lies there) is not the file that was asked for."""


class NoSpace(SourceProblem):
    """The disk has no room."""


class NoPip(SourceProblem):
    """The running interpreter has no pip."""
