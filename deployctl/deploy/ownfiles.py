"""Files of the operator's that add-ons read: checked before anything starts, and told by content.

They lie in folders of the stack's own folder, are read and never written. What checks them is the
program that will read them, in its own image, in a container that reaches nothing.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployctl import stackfolders
from deployctl.addons import ADDONS
from deployctl.atomic import usable
from deployctl.errors import DeployctlError, Fault
from deployctl.outcomes import Command
from deployctl.render import CONTAINER_USER
from deployctl.runner import NOT_FOUND

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.addons.nouns import OwnFiles
    from deployctl.deploy.start import Wanted
    from deployctl.deploy.world import World
    from deployctl.model import Plan
    from deployctl.outcomes import CommandResult
    from deployctl.workspace import Workspace

#: Seconds for a check, and lines of it that are shown where it says nothing that is understood.
_CHECK_S, _TAIL = 60.0, 10


def variables(space: Workspace, plan: Plan) -> tuple[tuple[str, str], ...]:
    """What is in these files, as values for the variables that carry it."""
    return tuple((own.variable, _digest(_contents(space, own))) for own in _own(plan))


def look(world: World, space: Workspace, plan: Plan, again: str) -> None:
    """Warn of files that nobody reads; ``own-file-invalid`` for each that cannot be read.

    Changes nothing but that containers may enter the folder.
    """
    faults: list[Fault] = []
    for own in _own(plan):
        folder = space.folder / own.folder
        if not folder.is_dir():
            continue
        with usable(folder):
            stackfolders.have_folder(folder)
        for path in stackfolders.named(folder, ".yml"):
            there, to = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".yaml")))
            world.talk.warn(
                f"{path} is not read: your own {own.title} are what ends in .yaml.\n"
                f"next: mv -n {there} {to}  # then: {again}"
            )
        for path in stackfolders.named(folder, ".yaml"):
            if (why := stackfolders.unreadable(path)) is not None:
                faults.append(_unread(own, path, why, again))
    if faults:
        raise DeployctlError.of(tuple(faults))


def _unread(own: OwnFiles, path: Path, why: str, again: str) -> Fault:
    place = shlex.quote(str(path))
    if path.is_symlink():
        of = f'"$(readlink -f {place})"'
        hint = f"cp --remove-destination {of} {place}" if path.is_file() else f"rm {place}"
    else:
        hint = f"chmod a+r {place}" if path.is_file() else f"ls -ld {place}"
    return Fault(
        code="own-file-invalid",
        message=f"Your own {own.title} in {path.name} cannot be read inside the container of "
        f"{own.service}: {why}.",
        where=str(path),
        hint=f"{hint}  # then: {again}",
    )


def check(world: World, space: Workspace, wanted: Wanted, again: str) -> None:
    """Have every file checked; ``own-file-invalid`` for each that is refused. Changes nothing."""
    faults: list[Fault] = []
    for own in _own(wanted.plan):
        names = tuple(name for name, _ in _contents(space, own))
        if not names:
            continue
        image = next(i.reference for i in wanted.images if i.service == own.service)
        argv = own.check(image, str(space.folder / own.folder), names, CONTAINER_USER)
        result = world.runner.run(Command(argv=argv, label="check your files", timeout_s=_CHECK_S))
        if not result.ok and result.exit_code != NOT_FOUND:
            faults += _faults(space, own, result, again)
    if faults:
        raise DeployctlError.of(tuple(faults))


def _contents(space: Workspace, own: OwnFiles) -> tuple[tuple[str, bytes], ...]:
    return stackfolders.contents(space.folder / own.folder)


def _own(plan: Plan) -> Iterator[OwnFiles]:
    for addon in ADDONS:
        if addon.name in plan.addons:
            yield from addon.own_files()


def _digest(files: tuple[tuple[str, bytes], ...]) -> str:
    """What all of them hold; ``none`` where there are none, as in the rendered file."""
    if not files:
        return "none"
    whole = hashlib.sha256()
    for name, content in files:
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]


def _faults(space: Workspace, own: OwnFiles, result: CommandResult, again: str) -> Iterator[Fault]:
    folder = space.folder / own.folder
    found = own.refusals(result.output)
    for refusal in found:
        place = folder / refusal.file
        at = str(place) if refusal.line is None else f"{place}:{refusal.line}"
        yield Fault(
            code="own-file-invalid",
            message=f"Your own {own.title} cannot be used: {refusal.message}",
            where=at,
            hint=f'"${{EDITOR:-vi}}" {shlex.quote(str(place))}  # then: {again}',
        )
    if not found:
        yield Fault(
            code="own-file-invalid",
            message=f"Your own {own.title} cannot be used.",
            where=str(folder),
            hint=f"ls -l {shlex.quote(str(folder))}  # then: {again}",
            details=result.tail(_TAIL),
        )
