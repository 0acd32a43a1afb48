"""The recipe of ``report``: gather what a bug report needs, take the secrets out, pack it.

Whatever cannot be had becomes a line that says so: half a report is worth more than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deployctl import __version__, archive
from deployctl.deploy.evidence import Depth, stack_jobs
from deployctl.deploy.kept import kept_selection
from deployctl.deploy.machinepieces import machine_jobs
from deployctl.deploy.others import without_others
from deployctl.deploy.pieces import Gathered, Job, Piece, cleaned, gathered, redactor_for
from deployctl.deploy.plan import plan
from deployctl.deploy.status import status
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError
from deployctl.profiles.selection import Selection
from deployctl.workspace import Manifest, Workspace

#: A thousand lines of each log, and a day of events, which the daemon does not remember for longer.
_DEPTH = Depth(lines=1000, since_s=24 * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What to report on, and where to. ``file`` is written as named; else a name is made."""

    stack: str
    environment: Mapping[str, str]
    folder: Path
    now: datetime
    file: Path | None = None
    root: Path = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writers:
    """How the commands' own results are written, and the doctor, who knows its surroundings."""

    plain: Callable[[object], Any]
    doctor: Callable[[], object]
    plan: Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was packed, where it is, and what could not be had."""

    stack: str
    path: Path
    size_bytes: int
    files: tuple[str, ...]
    missing: tuple[str, ...]
    secrets_looked_for: int
    seconds: float


def report(world: World, request: ReportRequest, writers: Writers) -> Report:
    """Pack one report. Raises ``report-unwritable`` and nothing else."""
    started = world.clock.now()
    path = request.file or request.folder / _name(request)
    archive.refuse_unwritable(path)
    with world.talk.phase("gather") as phase:
        found = gathered(_jobs(world, request, writers))
        phase.finish(f"{len(found.pieces)} files")
    with world.talk.phase("redact") as phase:
        redactor = redactor_for(
            found.pieces,
            home=world.home,
            environment=request.environment,
            root=request.root,
            runner=world.runner,
        )
        files = [
            (piece.name, without_others(cleaned(piece, redactor), request.stack))
            for piece in found.pieces
        ]
        phase.finish(f"{redactor.count} known secrets looked for")
    index = without_others(redactor.text(_index(request, found, redactor.count)), request.stack)
    size = archive.write(path, [("index.txt", index), *files], at=request.now)
    return Report(
        stack=request.stack,
        path=path,
        size_bytes=size,
        files=("index.txt", *(name for name, _ in files)),
        missing=found.missing,
        secrets_looked_for=redactor.count,
        seconds=world.clock.now() - started,
    )


def _name(request: ReportRequest) -> str:
    return f"deployctl-report-{request.stack}-{request.now:%Y%m%d-%H%M%S}.tar.gz"


def _jobs(world: World, request: ReportRequest, writers: Writers) -> tuple[Job, ...]:
    space = Workspace(world.home, request.stack)

    def seen() -> Piece:
        found = writers.plain(status(world, request.stack, request.now))
        return Piece(name="status.json", about="what `status` says of the stack", content=found)

    machine = machine_jobs(
        world,
        request.stack,
        request.environment,
        plain=writers.plain,
        doctor=writers.doctor,
    )
    return (
        *machine,
        ("plan", lambda: _plan(world, writers, space)),
        ("status", seen),
        *stack_jobs(world, space, _DEPTH),
    )


def _plan(world: World, writers: Writers, space: Workspace) -> Piece:
    """What `plan` says of what was asked for when the stack was last brought up."""
    manifest = _manifest(space)
    selection = Selection() if manifest is None else kept_selection(manifest)
    request = UpRequest(stack=space.stack, selection=selection)
    made = plan(
        world,
        selection,
        stack=space.stack,
        make_fit=False,
        force=False,
        again=request.again_with,
    )
    about = f"what `plan` says of: {request.again}"
    return Piece(name="plan.txt", about=about, content=writers.plan(made))


def _manifest(space: Workspace) -> Manifest | None:
    try:
        return space.manifest()
    except DeployctlError:
        return None


def worth_a_look(files: Sequence[str]) -> tuple[str, ...]:
    """Where in a report of these files a secret may be that nothing calls one."""
    override = "bundle/compose.override.yaml"
    logs = any(name.startswith("logs/") for name in files)
    return (*(("logs/",) if logs else ()), *((override,) if override in files else ()))


# ── the index ─────────────────────────────────────────────────────────────────────────────────


def _index(request: ReportRequest, found: Gathered, count: int) -> str:
    width = max((len(piece.name) for piece in found.pieces), default=0)
    return "\n".join(
        (
            f"deployctl {__version__}: report on stack {request.stack}, "
            f"{request.now:%Y-%m-%d %H:%M:%S %Z}",
            "",
            "Redacted: *** stands where a secret, a password, a token, a mail address, a public",
            "network address, a user's name, or in a log somebody's own words stood. Looked for:",
            f"{count} values known on this machine, in every usual spelling, and everything that",
            "looks like a secret. A secret that nothing calls one can still be in it"
            + (
                ""
                if not (look := worth_a_look(tuple(piece.name for piece in found.pieces)))
                else f": have a look at\n{' and '.join(look)} before this is sent"
            )
            + ".",
            "",
            *(f"{piece.name:<{width}}  {piece.about}" for piece in found.pieces),
            *(
                ("", "Could not be had:", *(f"  {line}" for line in found.missing))
                if found.missing
                else ()
            ),
            "",
        )
    )
