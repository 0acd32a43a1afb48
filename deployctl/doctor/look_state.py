"""Looks at the state folder and at filesystems for the doctor. Reads names, owners and modes only.

Changes nothing; what may not be looked into is left out.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from deployctl.doctor.nouns import Place, StackFolder, State
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.workspace import Manifest, Workspace

#: More entries than this are not looked at: a model store has dozens.
_MANY = 5000

_PRIVATE = (".env", "secrets.json", "credentials", "session")


def look_at_state(home: Path, root: Path, *, uid: int | None = None) -> State:
    """Look once, as user ``uid`` (default: ours)."""
    uid = os.geteuid() if uid is None else uid
    place = look_at_place(home, root)
    models = tuple(_models(home / "models"))
    return State(
        place=place,
        exists=_nearest(home) == home.absolute(),
        writable=os.access(_nearest(home), os.W_OK | os.X_OK),
        owner=_owner(_nearest(home)),
        strangers=tuple(_strangers(home, uid)) if uid else (),  # root may replace them
        unreadable=tuple(path for path in models if not _open_to_all(path)),
        models=sum(not path.is_dir() for path in models),
        stacks=tuple(_stacks(home)),
    )


def look_at_place(path: Path, root: Path) -> Place:
    """How much room there is where ``path`` is or will be, and how that is mounted."""
    there = _nearest(path)
    kind, options = mount_of(there, text_of(root / "proc/self/mountinfo"))
    try:
        status = os.statvfs(there)
        device = there.stat().st_dev
    except OSError:
        return Place(path=path, filesystem=kind, options=options)
    return Place(
        path=path,
        free_bytes=status.f_bavail * status.f_frsize,
        inodes_free=status.f_favail,
        inodes_total=status.f_files,
        filesystem=kind,
        options=options,
        device=device,
    )


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    for place in (path, *path.absolute().parents):
        try:
            if place.is_dir():
                return place
        except OSError:  # inside a folder of somebody else's
            continue
    return Path("/")


def mount_of(path: Path, mountinfo: str) -> tuple[str, tuple[str, ...]]:
    """Filesystem and options of the mount that ``path`` is on; of two at one place, the later."""
    best, found = -1, ("", ())
    wanted = path.resolve()
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()[:1]
        if len(fields) < 6 or not kind:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        depth = len(point.parts)
        if depth >= best and wanted.is_relative_to(point):
            best, found = depth, (kind[0], tuple(fields[5].split(",")))  # type: ignore[assignment]
    return found


def _owner(path: Path) -> str:
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (KeyError, OSError):
        return ""


def _below(folder: Path) -> Iterator[Path]:
    """Everything in a folder, as far as it may be looked into."""
    seen = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            seen += 1
            if seen > _MANY:
                return
            yield Path(place) / name


def _strangers(home: Path, uid: int) -> Iterator[Path]:
    for path in _below(home):
        try:
            if path.lstat().st_uid != uid:
                yield path
        except OSError:
            continue


def _models(models: Path) -> Iterator[Path]:
    """Model files, and of whole repositories everything: those are mounted as they are."""
    for path in _below(models):
        whole = "hf-whole" in path.relative_to(models).parts
        if whole or path.suffix in (".gguf", ".safetensors"):
            yield path


def _open_to_all(path: Path) -> bool:
    """Whether anybody may read it: the container's user owns nothing here."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def _stacks(home: Path) -> Iterator[StackFolder]:
    try:
        folders = sorted(folder for folder in (home / "stacks").iterdir() if folder.is_dir())
    except OSError:
        return
    for folder in folders:
        manifest = _manifest(home, folder.name)
        yield StackFolder(
            name=folder.name,
            folder=folder,
            standing=manifest.standing if manifest is not None else "unknown",
            lan=manifest is not None and manifest.lan_url is not None,
            open_files=tuple(name for name in _PRIVATE if _open_to_others(folder / name)),
        )


def _manifest(home: Path, name: str) -> Manifest | None:
    """What was last applied; ``None`` where nothing was, or its record is broken."""
    try:
        return Workspace(home, name).manifest()
    except DeployctlError:
        return None


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
