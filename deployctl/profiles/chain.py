"""The file of a profile and the files it extends. Pure: a reader finds them."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.document import Document, Node, NotFound, ProfileText, Reader
from deployctl.profiles.excerpt import quoted
from deployctl.profiles.selection import AUTO
from deployctl.profiles.source import load
from deployctl.visible import visible

#: How many files may stand behind a profile, one extending the other.
MAX_PARENTS = 3

_STOPPING = frozenset({"profile-unknown", "profile-cycle"})


def auto_is_none(where: str) -> Fault:
    """The fault of asking for ``auto`` where one profile is meant."""
    return Fault(
        code="profile-unknown",
        message="`auto` is not a profile itself: it chooses among the others for this machine, and "
        "`deployctl plan` shows its choice.",
        hint="deployctl plan",
        where=where,
    )


class Chain:
    """The profile's file and its parents, read one after the other."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self.texts: list[ProfileText] = []
        self.documents: list[Document] = []
        self.overlays: list[Document] = []
        self.entrances: dict[str, Origin] = {}
        self.faults: list[Fault] = []

    def follow(self, name: str) -> None:
        """Read ``name`` and everything it extends, as far as that can be read."""
        at: Origin | None = None
        while True:
            text = self._found(name, at)
            if text is None or not self._goes_on(text, at):
                return
            document = load(text.content, text.file)
            self.texts.append(text)
            self.documents.append(document)
            self.faults += document.faults
            if at is not None:
                self.entrances[text.file] = at
            parent = _parent(document.root)
            if parent is None:
                return
            name, at = parent

    def lay_over(self, files: Sequence[str]) -> None:
        """Read the files that are laid over the profile; they extend nothing."""
        for file in files:
            path = file if "/" in file else f"./{file}"  # a file, never a profile's name
            found = self._read(path)
            if isinstance(found, NotFound):
                hint = found.hint or f"ls {shlex.quote(visible(path))}"
                where = f"--overlay {visible(file)}"
                self.faults.append(
                    Fault(code="profile-unknown", message=found.message, hint=hint, where=where)
                )
                continue
            document = load(found.content, found.file)
            self.overlays.append(document)
            self.faults += document.faults
            if parent := _parent(document.root):
                message = "An overlay extends nothing: it is laid over the profile that is chosen."
                hint = "delete this line, or make it a profile of its own"
                self.faults.append(excerpt.fault(parent[1], document.lines, message, hint))

    @property
    def complete(self) -> bool:
        """Whether every file was found and could be read."""
        stopped = any(fault.code in _STOPPING for fault in self.faults)
        return not stopped and all(file.root for file in (*self.documents, *self.overlays))

    def _found(self, name: str, at: Origin | None) -> ProfileText | None:
        asker = self.texts[-1] if self.texts else None
        found = self._read(name, asker=asker)
        if isinstance(found, ProfileText):
            return found
        if name == AUTO and at is None:
            self.faults.append(auto_is_none(f"--profile {AUTO}"))
            return None
        # What stands in the way here already, or was just not found, is nothing to suggest.
        here = {name, *(text.name for text in self.texts)}
        others = [known for known in found.names if known not in here]
        close = difflib.get_close_matches(name, others, n=1, cutoff=0.5)
        message = found.message
        if close:
            message += f" Did you mean {quoted(close[0])}?"
        details = (f"profiles: {', '.join(others)}",) if others else ()
        best = (close or ["auto" if at is None else "smoke"])[0]
        if at is None:
            hint = found.hint or f"deployctl up --profile {best}"
            fault = Fault(
                code="profile-unknown",
                message=message,
                hint=hint,
                where=f"--profile {visible(name)}",
                details=details,
            )
        else:
            hint = found.hint or f"write `extends: {best}`"
            fault = excerpt.fault(
                at, self._lines(at), message, hint, code="profile-unknown", more=details
            )
        self.faults.append(fault)
        return None

    def _goes_on(self, text: ProfileText, at: Origin | None) -> bool:
        """Whether ``text`` may be the next file: not one that was there, and not one too many."""
        if at is None:
            return True
        way = " → ".join([*(seen.file for seen in self.texts), text.file])
        if any(seen.identity == text.identity for seen in self.texts):
            message = f"`extends:` leads in a circle: {way}."
        elif len(self.texts) > MAX_PARENTS:
            message = f"`extends:` leads through more than {MAX_PARENTS} files: {way}."
        else:
            return True
        hint = "extend a profile further up, or delete this line"
        self.faults.append(excerpt.fault(at, self._lines(at), message, hint, code="profile-cycle"))
        return False

    def _lines(self, at: Origin) -> tuple[str, ...]:
        return next((d.lines for d in self.documents if d.file == at.file), ())


def _parent(root: Node | None) -> tuple[str, Origin] | None:
    """The name after ``extends:`` and where it stands; wrong types are the schema's to refuse."""
    if root is None or not isinstance(root.value, Mapping):
        return None
    node = root.value.get("extends")
    if node is None or node.refused or not isinstance(node.value, str) or not node.value:
        return None
    return node.value, node.origin
