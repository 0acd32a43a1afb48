"""What can go wrong between a source and the disk, before it is put into the operator's words.

The transfers raise these; ``faults`` turns them into ``DeployctlError``. Imports nothing of ours.
``evidence`` is what the other side or the system said, line by line.
"""

from __future__ import annotations


class SourceError(Exception):
    """A model file could not be had. The text is a whole sentence without advice.

    ``mend`` is the command that mends it, ``instead`` the source that was probably meant,
    ``page`` where the model's licence is accepted.
    """

    def __init__(
        self,
        text: str,
        *,
        evidence: tuple[str, ...] = (),
        mend: str = "",
        instead: str = "",
        page: str = "",
    ) -> None:
        super().__init__(text)
        self.evidence = evidence
        self.mend = mend
        self.instead = instead
        self.page = page


class UnreachableError(SourceError):
    """The source does not answer, or stopped answering."""


class OfflineError(UnreachableError):
    """The operator asked for no network."""


class MissingError(SourceError):
    """The source answers and does not have the file."""


class DeniedError(SourceError):
    """The source answers and does not give the file to this caller."""


class CorruptError(SourceError):
    """What came (or what lies there) is not the file that was asked for."""


class OtherSizeError(CorruptError):
    """It is whole, and of another size than the profile says: ``found`` bytes."""

    def __init__(self, text: str, *, evidence: tuple[str, ...], found: int) -> None:
        super().__init__(text, evidence=evidence)
        self.found = found


class UnfitError(SourceError):
    """The file is whole, and what was asked for cannot be made of it."""


class NoSpaceError(SourceError):
    """The disk has no room; ``folder`` lies on it, where that is known."""

    def __init__(self, text: str, *, evidence: tuple[str, ...] = (), folder: str = "") -> None:
        super().__init__(text, evidence=evidence)
        self.folder = folder


class NoPipError(SourceError):
    """The running interpreter has no pip."""


class CutError(Exception):
    """A transfer ended early in a way that a new try may mend.

    ``answered``: the other side had answered before. ``pause_s``: how long it asks to wait.
    """

    def __init__(self, why: str, *, answered: bool, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.answered = answered
        self.pause_s = pause_s
