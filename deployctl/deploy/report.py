"""The recipe of ``report``: gather what a bug report needs, take the secrets out, pack it.

Whatever cannot be had becomes a piece that says so: half a report is worth more than none.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl import __version__
from deployctl.deploy import archive
from deployctl.deploy.plan import plan
from deployctl.deploy.private import known_secrets, private_names
from deployctl.deploy.status import status
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.model import Command
from deployctl.profiles.selection import AUTO, Selection
from deployctl.redact import Redactor, harvest, redacted
from deployctl.secretshapes import secret_name
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.model import ContainerState

#: Lines of each log, and characters of each piece: enough to see a start, little enough to mail.
_LINES, _MOST = 1000, 400_000

#: What of the environment bears on us.
_BEARS = ("DEPLOYCTL_", "DOCKER_", "COMPOSE_", "HF_", "HUGGING", "PIP_", "CUDA_", "NVIDIA_")
_BEARS_TOO = ("PATH", "LANG", "TERM", "CI", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file of the report: what it is about in a few words, and data or text.

    ``log`` is text in which people's and models' own words may stand; ``foreign`` is not of our
    making, so that what its names call a secret is one.
    """

    name: str
    about: str
    content: object
    log: bool = False
    foreign: bool = False


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
    space = Workspace(world.home, request.stack)
    with world.talk.phase("gather") as phase:
        pieces, missing = _gathered(world, request, writers, space)
        phase.finish(f"{len(pieces)} files")
    with world.talk.phase("redact") as phase:
        secrets = known_secrets(world.home, request.environment, request.root)
        secrets |= {text for piece in pieces for text in _planted(piece)}
        names = private_names(world.runner, request.environment, request.root)
        redactor = Redactor(secrets, names)
        files = [(piece.name, _clean(piece, redactor)) for piece in pieces]
        phase.finish(f"{redactor.count} known secrets looked for")
    index = redactor.text(_index(request, pieces, missing, redactor.count))
    path = request.file or request.folder / _name(request)
    size = archive.write(path, [("index.txt", index), *files], at=request.now)
    return Report(
        stack=request.stack,
        path=path,
        size_bytes=size,
        files=("index.txt", *(name for name, _ in files)),
        missing=missing,
        secrets_looked_for=redactor.count,
        seconds=world.clock.now() - started,
    )


def _name(request: ReportRequest) -> str:
    return f"deployctl-report-{request.stack}-{request.now:%Y%m%d-%H%M%S}.tar.gz"


def _clean(piece: Piece, redactor: Redactor) -> str:
    """The piece as text without secrets; data is cleaned as data first, then as text."""
    if isinstance(piece.content, str):
        return redactor.text(piece.content[-_MOST:], log=piece.log)
    text = json.dumps(redacted(piece.content, redactor), indent=1, default=str)
    return redactor.text(text, log=piece.log)


def _planted(piece: Piece) -> Iterator[str]:
    """Secrets that the gathered things name themselves: a container's variables, an override."""
    if piece.foreign:
        whole = isinstance(piece.content, str)
        yield from harvest(_parsed(str(piece.content)) if whole else piece.content)


def _parsed(text: str) -> object:
    """The data of a YAML file that may be broken; then its lines, as far as they can be told."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text.splitlines()


# ── gathering ─────────────────────────────────────────────────────────────────────────────────

_Job = tuple[str, Callable[[], "Piece | tuple[Piece, ...]"]]


def _gathered(
    world: World, request: ReportRequest, writers: Writers, space: Workspace
) -> tuple[tuple[Piece, ...], tuple[str, ...]]:
    """Everything that can be had, side by side, and what cannot with the reason."""
    pieces: list[Piece] = []
    missing: list[str] = []
    jobs = _jobs(world, request, writers, space)
    with ThreadPoolExecutor(max_workers=6) as pool:
        futures = [(about, pool.submit(job)) for about, job in jobs]
        for about, future in futures:
            try:
                found = future.result()
            except DeployctlError as problem:
                fault = problem.faults[0]
                missing.append(f"{about}: {fault.message} [{fault.code}]")
            except Exception as problem:  # the report is most wanted where we are wrong
                missing.append(f"{about}: {type(problem).__name__}: {problem}")
            else:
                pieces += found if isinstance(found, tuple) else (found,)
    return tuple(pieces), tuple(missing)


def _jobs(
    world: World, request: ReportRequest, writers: Writers, space: Workspace
) -> tuple[_Job, ...]:
    def facts() -> Piece:
        found = world.facts((), own_project=request.stack, cards=True)
        return Piece(name="facts.json", about="this machine", content=writers.plain(found))

    def doctor() -> Piece:
        found = writers.plain(writers.doctor())
        return Piece(name="doctor.json", about="what `doctor` says of it", content=found)

    def seen() -> Piece:
        found = writers.plain(status(world, request.stack, request.now))
        return Piece(name="status.json", about="what `status` says of the stack", content=found)

    return (
        ("versions", lambda: _versions(world, request)),
        ("facts", facts),
        ("doctor", doctor),
        ("plan", lambda: _plan(world, request, writers, space)),
        ("status", seen),
        ("files of the stack", lambda: _files(space)),
        ("containers", lambda: _containers(world, request.stack)),
        ("events", lambda: _events(world, request.stack)),
        ("disk", lambda: _disk(world)),
    )


def _versions(world: World, request: ReportRequest) -> Piece:
    environment = {
        name: value
        for name, value in sorted(request.environment.items())
        if name.startswith(_BEARS) or name in _BEARS_TOO or name.lower() in _BEARS_TOO
    }
    found = {
        "deployctl": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "docker": _said(world, "docker", "version"),
        "compose": _said(world, "docker", "compose", "version"),
        "environment": environment,
        "environment_secrets": sorted(name for name in request.environment if secret_name(name)),
    }
    return Piece(name="versions.json", about="versions, and variables we read", content=found)


def _said(world: World, *argv: str, timeout_s: float = 10.0) -> list[str]:
    """What a command that only looks prints, line by line."""
    result = world.runner.run(Command(argv=argv, label=" ".join(argv), timeout_s=timeout_s))
    return result.output.splitlines()


def _plan(world: World, request: ReportRequest, writers: Writers, space: Workspace) -> Piece:
    manifest = _manifest(space)
    selection = Selection(profile=manifest.profile if manifest is not None else AUTO)
    made = plan(
        world,
        selection,
        stack=request.stack,
        make_fit=False,
        force=False,
        again=UpRequest(stack=request.stack, selection=selection).again_with,
    )
    about = "what `plan` says of its profile, without --set"
    return Piece(name="plan.txt", about=about, content=writers.plan(made))


def _manifest(space: Workspace) -> Manifest | None:
    try:
        return space.manifest()
    except DeployctlError:
        return None


def _files(space: Workspace) -> tuple[Piece, ...]:
    """The rendered stack as it lies there; of ``.env`` the names only."""
    found = []
    for name, about in (
        ("compose.yaml", "the rendered stack"),
        ("compose.override.yaml", "the operator's own additions"),
        ("manifest.json", "what was last applied"),
    ):
        if text := text_of(space.folder / name):
            found.append(Piece(name=f"bundle/{name}", about=about, content=text, foreign=True))
    if lines := text_of(space.folder / ".env").splitlines():
        names = "".join(f"{line.partition('=')[0]}=***\n" for line in lines if "=" in line)
        found.append(Piece(name="bundle/env-names.txt", about="names in .env", content=names))
    for log in (space.log_file, space.home / "setup.log"):
        if text := text_of(log):
            tail = "\n".join(text.splitlines()[-_LINES:])
            about = "what deployctl did last"
            found.append(Piece(name=f"logs/{log.name}", about=about, content=tail, log=True))
    return tuple(found)


def _containers(world: World, stack: str) -> tuple[Piece, ...]:
    """Each container's state and the end of its log."""
    states = world.docker.containers(stack)
    return tuple(piece for state in states for piece in _container(world, state))


def _container(world: World, state: ContainerState) -> Iterator[Piece]:
    name = state.service or state.name or state.id[:12]
    inspected = world.docker.inspect(state.id)
    if inspected is not None:
        about = f"container of {name}; values of secrets left out"
        yield Piece(
            name=f"containers/{name}.json", about=about, content=_bare(inspected), foreign=True
        )
    tail = "\n".join(world.docker.log_tail(state.id, _LINES))
    yield Piece(name=f"logs/{name}.log", about=f"the end of {name}'s log", content=tail, log=True)


def _bare(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """What Docker says of a container, in plain data."""
    found: dict[str, Any] = json.loads(json.dumps(inspected, default=str))
    return found


def _events(world: World, stack: str) -> Piece:
    """What happened to the stack, as far as the daemon remembers; its healthchecks left out."""
    by_label = f"label=com.docker.compose.project={stack}"
    argv = ("docker", "events", "--since", "24h", "--until", "0s", "--filter", by_label)
    lines = _said(world, *argv, "--format", "{{json .}}")
    kept = [line for line in lines if '"exec_' not in line][-_LINES:]
    about = "Docker's events of the stack"
    return Piece(name="events.txt", about=about, content="\n".join(kept), log=True)


def _disk(world: World) -> Piece:
    lines = [*_said(world, "docker", "system", "df", timeout_s=20.0), ""]
    lines += _said(world, "df", "-h", "-T", str(world.home if world.home.exists() else "/"))
    return Piece(
        name="disk.txt", about="what Docker keeps, and what is free", content="\n".join(lines)
    )


# ── the index ─────────────────────────────────────────────────────────────────────────────────


def _index(
    request: ReportRequest, pieces: tuple[Piece, ...], missing: tuple[str, ...], count: int
) -> str:
    width = max((len(piece.name) for piece in pieces), default=0)
    return "\n".join(
        (
            f"deployctl {__version__}: report on stack {request.stack}, "
            f"{request.now:%Y-%m-%d %H:%M:%S %Z}",
            "",
            "Redacted: *** stands where a secret, a password, a token, a mail address, a public",
            "network address, a user's name, or in a log somebody's own words stood. Looked for:",
            f"{count} values known on this machine, in every usual spelling, and everything that",
            "looks like a secret. A secret that nothing calls one can still be in it: the logs and",
            "compose.override.yaml are worth a look before this is sent.",
            "",
            *(f"{piece.name:<{width}}  {piece.about}" for piece in pieces),
            *(("", "Could not be had:", *(f"  {line}" for line in missing)) if missing else ()),
            "",
        )
    )
