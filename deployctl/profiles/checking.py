"""Checks one file, whatever kind of profile file it is. Pure: readers are given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Literal

from deployctl.errors import DeployctlError, Fault
from deployctl.planner import build_plan
from deployctl.profiles.chain import auto_is_none
from deployctl.profiles.document import NotFound, ProfileText, Reader, Readers
from deployctl.profiles.excerpt import quoted
from deployctl.profiles.models import Entry
from deployctl.profiles.resolve import part_faults
from deployctl.profiles.selection import AUTO, Resolver, Selection
from deployctl.profiles.source import load
from deployctl.visible import visible

Kind = Literal["profile", "part", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A file as named, what it is, and all that is wrong with it, in file order."""

    file: str
    kind: Kind
    faults: tuple[Fault, ...]


def check_file(file: str, readers: Readers, resolve: Resolver) -> Checked:
    """Check a profile, a part of one or a file of the model catalog; profiles are also planned."""
    if file.startswith("base/") and not file.endswith((".yaml", ".yml")):
        readers = replace(readers, profile=_naming_parts(readers.profile))
    found = readers.profile(file)
    if isinstance(found, NotFound):
        return Checked(file=file, kind="profile", faults=(_missing(file, found),))
    kind = _kind(found)
    if kind == "model":
        faults = Entry(found).faults
    elif kind == "part":
        faults = part_faults(file, readers)
    else:
        faults = _of_profile(file, resolve)
    return Checked(file=file, kind=kind, faults=faults)


def _missing(file: str, found: NotFound) -> Fault:
    if file == AUTO:
        return auto_is_none(AUTO)
    close = difflib.get_close_matches(file, found.names, n=1, cutoff=0.5)
    meant = f" Did you mean {quoted(close[0])}?" if close else ""
    hint = f"deployctl profile check {close[0]}" if close else "deployctl profile list"
    return Fault(
        code="profile-unknown",
        message=found.message + meant,
        hint=found.hint or hint,
        where=visible(file),
    )


def _naming_parts(read: Reader) -> Reader:
    """A reader that gives parts by their names, as it gives them to profiles that extend them."""
    nobody = ProfileText(name="", file="", content=b"", identity="")

    def with_parts(name: str, *, asker: ProfileText | None = None) -> ProfileText | NotFound:
        return read(name, asker=asker or nobody)

    return with_parts


def _kind(text: ProfileText) -> Kind:
    folder = PurePath(text.identity).parent.name
    if folder == "base":
        return "part"
    root = load(text.content, text.file).root
    keys = root.value if root is not None and isinstance(root.value, Mapping) else {}
    return "model" if folder == "models" or {"formats", "summary"} & set(keys) else "profile"


def _of_profile(name: str, resolve: Resolver) -> tuple[Fault, ...]:
    try:
        build_plan(resolve(Selection(profile=name)))
    except DeployctlError as error:
        return error.faults
    return ()
