"""``deployctl profile``: see, explain, check and begin profiles."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    ModelOption,
    Output,
    OutputOption,
    OverlayOption,
    SetOption,
    WithOption,
    chosen,
)

if TYPE_CHECKING:
    from deployctl.cli.session import Session
    from deployctl.deploy.world import World
    from deployctl.profiles.compare import Difference
    from deployctl.profiles.explain import Explanation, Written
    from deployctl.profiles.listing import Listed
    from deployctl.profiles.resolve import Profile
    from deployctl.profiles.selection import Selection

group = typer.Typer(
    name="profile",
    help="See, explain, check and begin profiles.",
    epilog="Start here: deployctl profile list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class SchemaKind(StrEnum):
    """The kinds of file that have a schema."""

    PROFILE = "profile"
    MODEL = "model"


NameArgument = Annotated[str, typer.Argument(metavar="NAME|FILE", help="The profile.")]


@group.command("list")
def list_(
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """List the profiles, shipped and yours, and what each needs."""
    from deployctl.profiles.listing import listed

    session, world = _opened("list", output)
    rows = [listed(name, world.catalog.read_profile(name), world.resolve) for name in _names(world)]
    folder = world.catalog.operator_folder
    data = {"profiles": rows, "folder": folder}
    text = "\n".join([*(line for row in rows for line in _row(row)), "", f"Yours: {folder}"])
    return session.emit(data, text)


@group.command()
def show(
    name: NameArgument,
    overlays: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Print the final profile, with all that it inherits; it can be saved as a profile."""
    from deployctl.profiles.document import plain
    from deployctl.profiles.explain import complete, shown

    session, world = _opened("show", output)
    profile = _resolved(world, chosen(name, overlays, model, set_, with_), "show")
    data = {"name": name, "files": profile.files, "profile": plain(complete(profile))}
    return session.emit(data, shown(profile).rstrip("\n"))


@group.command()
def explain(
    name: NameArgument,
    path: Annotated[
        str | None, typer.Argument(metavar="KEY.KEY", help="One value, like ports.webui.")
    ] = None,
    overlays: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say of each value where it is written; of one value also why, and what it overrides."""
    from deployctl.profiles.explain import annotated
    from deployctl.profiles.explain import explain as explained
    from deployctl.profiles.listing import placed

    session, world = _opened("explain", output)
    profile = _resolved(world, chosen(name, overlays, model, set_, with_), "explain")
    if path is None:
        data = {"name": name, "files": profile.files, "values": placed(profile)}
        return session.emit(data, annotated(profile).rstrip("\n"))
    found = explained(profile, path)
    return session.emit(found, _explained(profile, found))


@group.command()
def check(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Profiles, parts, or models' files.")
    ],
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Check files without using them; all errors of all of them at once. Exit 0 or 3."""
    from deployctl.errors import DeployctlError
    from deployctl.profiles.checking import check_file

    session, world = _opened("check", output)
    found = [check_file(file, world.catalog.readers(), world.resolve) for file in files]
    faults = {
        (fault.where, fault.message, fault.details): fault for one in found for fault in one.faults
    }
    if faults:
        raise DeployctlError.of(tuple(faults.values()))
    data = {"checked": [{"file": one.file, "kind": one.kind} for one in found]}
    width = max(len(one.file) for one in found)
    return session.emit(data, "\n".join(f"✓ {one.file:<{width}}  {one.kind}" for one in found))


@group.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Of which kind of file.")] = SchemaKind.PROFILE,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Print the JSON Schema by which editors complete and check."""
    import json

    from deployctl.cli.session import Session
    from deployctl.profiles.schema import json_schema, model_json_schema

    session = Session.open("profile schema", output, quiet=True)
    text = model_json_schema() if kind is SchemaKind.MODEL else json_schema()
    return session.emit({"schema": json.loads(text)}, text.rstrip("\n"))


@group.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    from_: Annotated[
        str, typer.Option("--from", metavar="PROFILE", help="The profile to start from.")
    ],
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Begin a profile of your own that extends another; nothing is overwritten."""
    from pathlib import Path

    from deployctl.authoring import write_profile
    from deployctl.profiles.fresh import SCHEMA_NAME, fresh
    from deployctl.profiles.schema import json_schema

    session, world = _opened("new", output)
    name = name.removesuffix(".yaml")
    _check_name(name)
    parent = _resolved(world, chosen(from_, None, None, None), f"new {shlex.quote(name)} --from")
    extends = from_ if from_ in world.catalog.profile_names() else str(Path(from_).absolute())
    text = fresh(name, parent, extends)
    folder = world.catalog.operator_folder
    path = write_profile(folder, name, text, (SCHEMA_NAME, json_schema()))
    again = f"deployctl profile check {name} && deployctl up --profile {name}"
    said = [f"Wrote {path}; it extends {extends} and changes nothing yet."]
    if name in world.catalog.shipped_names():
        shipped = "; the shipped one is still what it extends."
        if extends != name:
            shipped = ", and no longer the shipped profile: a stack of that one becomes this one "
            shipped += "at its next `up`, unless you give the file another name."
        said.append(f"From now on {name} means this file{shipped}")
    said += ["", f"Next: edit it, then: {again}"]
    data = {"name": name, "file": path, "extends": extends, "next": again}
    return session.emit(data, "\n".join(said))


@group.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A profile.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Print the values in which two profiles differ, and where each is written."""
    from deployctl.profiles.compare import differences

    session, world = _opened("diff", output)
    left, right = (_resolved(world, chosen(name, None, None, None), "show") for name in (a, b))
    found = differences(left, right)
    data = {"a": a, "b": b, "differences": found}
    text = "\n".join(map(_difference, found)) or f"{a} and {b} say the same."
    return session.emit(data, text)


# ── what they share ───────────────────────────────────────────────────────────────────────────


def _opened(verb: str, output: Output) -> tuple[Session, World]:
    from deployctl.cli.session import Session

    session = Session.open(f"profile {verb}", output, quiet=True)
    return session, session.world(DEFAULT_STACK_NAME)


def _names(world: World) -> tuple[str, ...]:
    return world.catalog.profile_names()


def _resolved(world: World, selection: Selection, verb: str) -> Profile:
    """Resolve; a name that is none is told with the command that was meant."""
    from deployctl.errors import DeployctlError

    try:
        return world.resolve(selection)
    except DeployctlError as error:
        raise DeployctlError.of(tuple(_own_words(fault, verb) for fault in error.faults)) from None


def _own_words(fault: Any, verb: str) -> Any:  # noqa: ANN401  # Fault
    if not (fault.where or "").startswith("--profile "):
        return fault
    hint = fault.hint.replace("deployctl up --profile", f"deployctl profile {verb}")
    if hint.endswith(" auto"):
        hint = "deployctl profile list"
    return replace(fault, where=fault.where.removeprefix("--profile "), hint=hint)


def _check_name(name: str) -> None:
    import re

    from deployctl.errors import DeployctlError

    if name == "auto" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", name, re.ASCII):
        reason = "`auto` chooses among the others" if name == "auto" else (
            "letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
        )  # fmt: skip
        raise DeployctlError(
            f"{name!r} cannot be the name of a profile: {reason}.",
            code="usage",
            hint="deployctl profile new my-box --from smoke",
        )


# ── words ─────────────────────────────────────────────────────────────────────────────────────


def _row(row: Listed) -> list[str]:
    where = row.where if row.shadows is None else f"{row.where}, in front of {row.shadows}"
    if row.error is not None:
        return [
            f"{row.name:<15} {where} · cannot be used: {row.error.message}",
            f"{'':<15} {row.error.where} · next: deployctl profile check {shlex.quote(row.name)}",
        ]
    return [
        f"{row.name:<15} {where} · {row.engine} on {row.device} · {row.model}",
        f"{'':<15} needs {row.needs} (predicted)",
        *textwrap.wrap(row.description, 96, initial_indent=" " * 16, subsequent_indent=" " * 16),
    ]


def _explained(profile: Profile, found: Explanation) -> str:
    from deployctl.profiles.explain import annotated
    from deployctl.profiles.keys import Keys
    from deployctl.profiles.writing import steps

    if found.value is None:
        default = "" if found.default is None else f": {found.default}"
        lines = [f"{found.path}: not written, so its default holds{default}"]
    elif Keys().is_block(steps(found.path)):
        lines = [annotated(profile, steps(found.path)).strip("\n")]
    else:
        lines = [f"{found.path}: {found.value}", f"  written    {found.where}"]
    lines += [f"  overrides  {_at(below)}" for below in found.overrides]
    if found.reason:
        of = "" if found.reason_of == found.path else f" (of {found.reason_of})"
        lines.append(f"  reason     {found.reason}{of}")
    return "\n".join([*lines, f"  meaning    {found.description}"])


def _at(written: Written) -> str:
    return f"{written.value}  {written.where}"


def _difference(one: Difference) -> str:
    left, right = ("absent" if side is None else f"{side.value} ({side.where})"
                   for side in (one.a, one.b))  # fmt: skip
    return f"{one.path}: {left} → {right}"
