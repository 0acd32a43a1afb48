"""What an ``up`` would change, and why: the last applied stack against the new one. Pure.

Both are compared as Compose reads them, so that what is not different there is no change. Each
cause names the value that moved and the line of the profile it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deployctl.moved import Moved, below, moved
from deployctl.services.common import FILES_LABEL

#: ``unknown``: only Docker can tell, and the cause says why.
Action = Literal["create", "recreate", "keep", "remove", "unknown"]

#: What a value that moved is called → the file:line it comes from, '' where that is not known.
Cause = Callable[[str, str], str]

#: Names of what is no line of the stack's file but decides its containers too.
WEIGHTS, OVERRIDE = "model file", "compose.override.yaml"

_NOT_FINISHED = (
    "the last command on this stack did not finish, and what it left running only Docker knows"
)
_NO_RECORD = "there is no record of what was last applied whole"
_OVERRIDE_UNKNOWN = "whether that changes this service only Docker Compose knows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was last applied: the parsed file, and what went with it that is no line of it.

    ``weights`` is where the model file lies and what identifies it (the path alone: it is not there
    as it should be), ``override`` identifies the operator's own file (see
    :func:`deployctl.deploy.changed.identities`; empty: there was none). ``doubt`` says why the
    containers may be others, '' when they are these.
    """

    compose: Mapping[str, Any] | None = None
    weights: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    override: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One service: what would happen to its container, and why. Empty causes: nothing to do."""

    service: str
    action: Action
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self._with(self.causes)

    def brief(self, most: int = 5) -> str:
        """The same with as many causes; of more it says how many, since then all is another one."""
        if len(self.causes) <= most + 1:
            return str(self)
        rest = len(self.causes) - most
        return self._with((*self.causes[:most], f"and {rest} more that differ"))

    def _with(self, causes: tuple[str, ...]) -> str:
        why = f": {'; '.join(causes)}" if causes else ""
        return f"{self.service} {self.action}{why}"


def doubt_of(standing: str) -> str:
    """Why the containers may be others than the record says; '' when it was carried out whole."""
    return {"applied": "", "down": "", "unfinished": _NOT_FINISHED}.get(standing, _NO_RECORD)


def changes(before: Applied, after: Applied, cause: Cause) -> tuple[Change, ...]:
    """Compare what was applied with what would be; ``before.compose`` is ``None``: nothing was.

    ``cause(service, what)`` names the place of what moved: a flag, a variable, ``image``, ….
    """
    old, new = services_of(before.compose), services_of(after.compose)
    edit = _Edit(old=before.override, new=after.override)
    found = []
    for name, service in new.items():
        if name not in old:
            found.append(_created(name, before))
            continue
        differences = (*moved(old[name], service), *_around(before, after, old[name], service))
        causes = [_sentence(name, one, cause) for one in differences]
        if name == "engine":
            causes += _beside(before, after, service, cause)
        found.append(_judged(name, causes, before, edit))
    gone = (name for name in old if name not in new)
    removed = (Change(service=name, action="remove") for name in gone)
    return (*found, *removed, *(edit.more({*old, *new}) if old else ()))


def _created(name: str, before: Applied) -> Change:
    return Change(service=name, action="create", causes=(before.doubt,) if before.doubt else ())


def _judged(name: str, causes: list[str], before: Applied, edit: _Edit) -> Change:
    if name in edit.keys:
        causes.append(edit.sentence)
    if causes:
        return Change(service=name, action="recreate", causes=tuple(causes))
    if before.doubt:
        return Change(service=name, action="unknown", causes=(before.doubt,))
    if edit.may_be_any:
        causes.append(f"{edit.sentence}; {_OVERRIDE_UNKNOWN}")
        return Change(service=name, action="unknown", causes=tuple(causes))
    return Change(service=name, action="keep")


def services_of(compose: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The services of a parsed file; none in one that is damaged."""
    found = (compose or {}).get("services")
    return found if isinstance(found, Mapping) else {}


def _sentence(service: str, change: Moved, cause: Cause) -> str:
    place = cause(service, change.what)
    if change.what == f"labels.{FILES_LABEL}":
        return "a file that it reads is another" + (f" ({place})" if place else "")
    return f"{change}" + (f" ({place})" if place else "")


# ── networks and volumes beside the services ──────────────────────────────────────────────────


def _around(before: Applied, after: Applied, old: object, new: Mapping[str, Any]) -> list[Moved]:
    """What moved in the networks and volumes that a service had and goes on to have.

    Docker cannot change either: Compose makes them anew, and every container that uses them.
    """
    found: list[Moved] = []
    for kind in ("networks", "volumes"):
        was, now = _block(before.compose, kind), _block(after.compose, kind)
        kept = [name for name in used(kind, new) if name in used(kind, old)]
        for name in kept:
            if name in was or name in now:
                found += below(f"{kind}.{name}", was.get(name), now.get(name))
    return found


def _block(compose: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    found = (compose or {}).get(kind)
    return found if isinstance(found, Mapping) else {}


def used(kind: str, service: object) -> tuple[str, ...]:
    """The names of the ``networks`` or ``volumes`` that a service is in or mounts."""
    entries = service.get(kind) if isinstance(service, Mapping) else None
    if kind == "networks" and entries is None:
        return ("default",)
    if not isinstance(entries, list | tuple | Mapping):
        return ()
    if kind == "networks":
        return tuple(str(entry) for entry in entries)
    sources = (
        e.get("source") if isinstance(e, Mapping) else e.split(":")[0] for e in _plain(entries)
    )
    return tuple(str(source) for source in sources)


def _plain(entries: Any) -> Iterator[Any]:  # noqa: ANN401  # YAML
    return (entry for entry in entries if isinstance(entry, str | Mapping))


# ── what is no line of the file ───────────────────────────────────────────────────────────────


def _beside(
    before: Applied, after: Applied, service: Mapping[str, Any], cause: Cause
) -> Iterator[str]:
    """The model file, and what the file leaves to this machine."""
    if before.weights is not None and after.weights != before.weights:
        place = cause("engine", WEIGHTS)
        path, now = before.weights.rpartition(" ")[0], after.weights or ""
        what = "was replaced" if now.rpartition(" ")[0] == path else "is another one"
        what = "is gone, or was replaced" if now == path else what
        yield f"the {WEIGHTS} {what}" + (f" ({place})" if place else "")
    environment = service.get("environment")
    if not isinstance(environment, Mapping):
        return
    for name, text in environment.items():
        for variable, now in after.variables.items():
            was = before.variables.get(variable)
            if was is not None and was != now and f"${{{variable}:-" in str(text):
                yield f"{name} {was} → {now} (this machine)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """What became of the operator's own file, by what identifies its parts.

    ``''`` is the whole file, ``*`` all of it that is not a service, else a service's name.
    """

    old: Mapping[str, str]
    new: Mapping[str, str]

    @property
    def sentence(self) -> str:
        if not self.old:
            return f"{OVERRIDE} is new"
        return f"{OVERRIDE} was edited" if self.new else f"{OVERRIDE} is gone"

    @property
    def keys(self) -> frozenset[str]:
        """The parts that are not the same."""
        every = {*self.old, *self.new} - {""}
        return frozenset(key for key in every if self.old.get(key) != self.new.get(key))

    @property
    def may_be_any(self) -> bool:
        """Whether it moved, and not only in what it says of certain services."""
        if self.old.get("") == self.new.get(""):
            return False
        return "*" in self.keys or not self.keys

    def more(self, known: set[str]) -> Iterator[Change]:
        """Services that only that file has, where they moved."""
        for name in sorted(self.keys - known - {"*"}):
            action: Action = "recreate" if name in self.old and name in self.new else "create"
            if name not in self.new:
                action = "remove"
            yield Change(service=name, action=action, causes=(self.sentence,))
