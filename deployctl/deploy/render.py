"""The recipe of ``render``: Compose files for people who want only those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy.select import select
from deployctl.errors import DeployctlError, Fault
from deployctl.files import text_of
from deployctl.model import BundleFile
from deployctl.planner import build_plan
from deployctl.profiles.selection import AUTO, Selection
from deployctl.render import render as render_plan

if TYPE_CHECKING:
    from deployctl.deploy.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReport:
    """The rendered files, and the folder they are in; ``None``: nowhere yet."""

    files: tuple[BundleFile, ...]
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
    names = world.catalog.shipped_names() if every else (selection.profile,)
    files = tuple(_file(world, selection.of(name)) for name in names)
    if to is not None and check:
        _compare(files, to)
    elif to is not None:
        _write(files, to)
    return RenderReport(files=files, folder=to, checked=check)


def _file(world: World, selection: Selection) -> BundleFile:
    if selection.profile == AUTO:
        plan = select(world, selection, stack="deployctl", again=_again).plan
    else:
        plan = build_plan(world.resolve(selection))
    bundle = render_plan(plan, world.catalog.templates_dir)
    stem = Path(plan.profile).stem if "/" in plan.profile else plan.profile
    return BundleFile(name=f"{stem}.yaml", text=bundle.text("compose.yaml"))


def _again(selection: Selection) -> str:
    return " ".join(("deployctl render", *selection.words))


def _compare(files: tuple[BundleFile, ...], folder: Path) -> None:
    faults = tuple(
        Fault(
            code="render-drift",
            message=f"{folder / file.name} is not what the profile says.",
            where=f"{folder / file.name}:{_first_difference(file, folder)}",
            hint=f"deployctl render --profile {file.name.removesuffix('.yaml')} --to {folder}",
        )
        for file in files
        if text_of(folder / file.name) != file.text
    )
    if faults:
        raise DeployctlError.of(faults)


def _first_difference(file: BundleFile, folder: Path) -> int:
    """The first line that differs, from 1."""
    wanted = file.text.splitlines()
    found = text_of(folder / file.name).splitlines()
    pairs = enumerate(zip(wanted, found, strict=False), 1)
    different = next((number for number, (a, b) in pairs if a != b), None)
    return different or min(len(wanted), len(found)) + 1


def _write(files: tuple[BundleFile, ...], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file.name).write_text(file.text, encoding="utf-8")
    except OSError as problem:
        raise DeployctlError(
            f"The files cannot be written to {folder}: {problem.strerror}.",
            code="render-unwritable",
            where=str(folder),
            hint=f"ls -ld {folder}",
        ) from None
