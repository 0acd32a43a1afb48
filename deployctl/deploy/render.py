"""The recipe of ``render``: Compose files for people who want only those."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy.select import select
from deployctl.errors import DeployctlError, Fault
from deployctl.files import text_of
from deployctl.model import BundleFile
from deployctl.planner import build_plan
from deployctl.profiles.selection import AUTO, Selection
from deployctl.render import folders
from deployctl.render import render as render_plan
from deployctl.stackfolders import have_folder

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.profiles.resolve import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """The rendered files, and the folder they are in; ``None``: nowhere yet."""

    files: tuple[BundleFile, ...]
    beside: tuple[BundleFile, ...]  # files of ours that those mount
    folder: Path | None
    checked: bool


def render(
    world: World, selection: Selection, *, every: bool, to: Path | None, check: bool
) -> RenderReport:
    """Render one profile, or every shipped one. ``check`` only compares; ``render-drift``."""
    if check and to is None:
        raise DeployctlError(
            "With --check, say where the files are that should be compared.",
            code="usage",
            hint="deployctl render --all --check --to compose",
        )
    if every and selection.profile != AUTO:
        raise DeployctlError(
            "--all is every shipped profile and --profile is one: say only one of them.",
            code="usage",
            hint=_again(selection, to),
        )
    names = world.catalog.shipped_names() if every else (selection.profile,)
    selections = tuple(selection.of(name) for name in names)
    made = tuple(_rendered(world, chosen) for chosen in selections)
    files = tuple(each.stack for each in made)
    beside = tuple({file.name: file for each in made for file in each.beside}.values())
    if to is not None and check:
        pairs = zip(made, selections, strict=True)
        _compare([(file, chosen) for each, chosen in pairs for file in each.files], to)
    elif to is not None:
        _write(made, to)
    elif beside:
        mounted = ", ".join(dict.fromkeys(Path(file.name).name for file in beside))
        world.talk.warn(f"It mounts {mounted}, which belongs beside it: --to DIR writes both.")
    return RenderReport(files=files, beside=beside, folder=to, checked=check)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """A profile's file, and what it mounts, by the names that these have in the folder."""

    stack: BundleFile
    beside: tuple[BundleFile, ...]
    folders: tuple[str, ...]

    @property
    def files(self) -> tuple[BundleFile, ...]:
        return (self.stack, *self.beside)


def _rendered(world: World, selection: Selection) -> _Rendered:
    """Render a profile: as PROFILE.yaml, or with add-ons as PROFILE/compose.yaml.

    Their files differ from profile to profile, and have the same names.
    """
    if selection.profile == AUTO:
        plan = select(world, selection, stack="deployctl", again=_again).plan
    else:
        plan = build_plan(_resolved(world, selection))
    bundle = render_plan(plan, world.catalog.templates_dir)
    stem = Path(plan.profile).stem if "/" in plan.profile else plan.profile
    at = f"{stem}/" if plan.addons else ""
    stack = "compose.yaml" if plan.addons else f"{stem}.yaml"
    return _Rendered(
        stack=BundleFile(name=f"{at}{stack}", text=bundle.text("compose.yaml")),
        beside=tuple(
            replace(file, name=f"{at}{file.name}")
            for file in bundle.files
            if file.name != "compose.yaml"
        ),
        folders=tuple(f"{at}{name}" for name in folders(plan, bundle)),
    )


def _resolved(world: World, selection: Selection) -> Profile:
    """Resolve the profile; the way on from an unknown one is the command that was typed."""
    try:
        return world.resolve(selection)
    except DeployctlError as refused:
        raise DeployctlError.of(
            tuple(
                replace(fault, hint=fault.hint.replace("deployctl up ", "deployctl render ", 1))
                if fault.code == "profile-unknown"
                else fault
                for fault in refused.faults
            )
        ) from None


def _again(selection: Selection, to: Path | None = None) -> str:
    """The command line that renders this selection."""
    folder = () if to is None else ("--to", str(to))
    return shlex.join(("deployctl", "render", *selection.words, *folder))


def _compare(files: list[tuple[BundleFile, Selection]], folder: Path) -> None:
    faults = dict.fromkeys(
        Fault(
            code="render-drift",
            message=f"{folder / file.name} is not what the profile says.",
            where=f"{folder / file.name}:{_first_difference(file, folder)}",
            hint=_again(selection, folder),
        )
        for file, selection in files
        if text_of(folder / file.name) != file.text
    )
    if faults:
        raise DeployctlError.of(tuple(faults))


def _first_difference(file: BundleFile, folder: Path) -> int:
    """The first line that differs, from 1."""
    wanted = file.text.splitlines()
    found = text_of(folder / file.name).splitlines()
    pairs = enumerate(zip(wanted, found, strict=False), 1)
    different = next((number for number, (a, b) in pairs if a != b), None)
    return different or min(len(wanted), len(found)) + 1


def _write(made: tuple[_Rendered, ...], folder: Path) -> None:
    """Write them, and make the folders that they mount: Docker would not.

    What is mounted can be read by containers, whatever the umask.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in made:
            for file in each.files:
                (folder / file.name).parent.mkdir(exist_ok=True)
                (folder / file.name).write_text(file.text, encoding="utf-8")
            for file in each.beside:
                (folder / file.name).chmod(file.mode)
            for name in each.folders:
                have_folder(folder / name)
    except OSError as problem:
        raise DeployctlError(
            f"The files cannot be written to {folder}: {problem.strerror}.",
            code="render-unwritable",
            where=str(folder),
            hint=shlex.join(("ls", "-ld", str(folder))),
        ) from None
