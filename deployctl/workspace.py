"""The stack's folder on disk: rendered files, secrets, what was last applied, and the lock.

Owns ``<home>/stacks/<stack>/``, but for the record of the last proof (``proved.py``) and what is in
``secrets.json`` (``stacksecrets.py``). Every write is atomic, what holds secrets 0600 from the
first byte. ``compose.override.yaml`` belongs to the operator: read, never written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deployctl import stackfolders, stacksecrets
from deployctl.atomic import have, usable, write
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.log import Log
from deployctl.secret import Secret

if TYPE_CHECKING:
    from deployctl.model import Bundle
    from deployctl.stacksecrets import StackSecrets

#: The first administrator of the frontend. ``.invalid`` is reserved: it is nobody's mailbox.
ADMIN_EMAIL = "admin@deployctl.invalid"

#: How far the last command on a stack came.
Standing = Literal["applied", "unfinished", "down", "unknown"]

_OVERRIDE = "compose.override.yaml"

#: What is read by the operator alone.
_PRIVATE = (".env", "secrets.json", "credentials", "session", "manifest.json", "proved.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was last applied, so that the next ``up`` can tell whether anything changed."""

    profile: str
    automatic: bool
    model: str
    served_name: str
    fingerprint: str  # over bundle, variables and override
    webui_port: int
    engine_port: int
    images: Mapping[str, str]  # service → image reference that runs
    hashes: Mapping[str, str]  # service → Compose's config hash
    data_owned: bool  # the data volume was handed to the user its container runs as
    cache_owned: bool = False  # and so was the engine's cache volume
    owned: tuple[str, ...] = ()  # and so were these volumes of add-ons
    engine_caches: tuple[str, ...] = ()  # folders in it of stacks that answered, the newest first
    lan_url: str | None = None  # what other machines are told, if they reach it
    addon_ports: tuple[int, ...] = ()  # on this machine, of add-ons
    pages: tuple[tuple[str, str], ...] = ()  # what add-ons show: what it is called, and where
    # What follows is of the last `compose up` that was carried out whole, so that `plan` can tell
    # without Docker. A manifest of an older deployctl has none of it.
    standing: Standing = "unknown"
    compose: str | None = None  # the stack's file; None: nothing stands, or not known
    weights: str | None = None  # which model file: where it lies, and its identity
    variables: Mapping[str, str] = field(default_factory=dict)  # of this machine, no secrets
    override: Mapping[str, str] = field(default_factory=dict)  # parts of the operator's own file
    # What was chosen on the command line, as of the last `up`, carried out whole or not.
    selection: Mapping[str, Any] = field(default_factory=dict)
    # Names of what was ever written beside compose.yaml and not taken away since.
    files: tuple[str, ...] = ()


class Workspace:
    """The folder of one stack."""

    def __init__(self, home: Path, stack: str) -> None:
        self.home = home
        self.stack = stack
        self.folder = home / "stacks" / stack

    def compose_text(self) -> str | None:
        """The ``compose.yaml`` that lies there, applied or not; ``None`` when there is none."""
        if not (self.folder / "compose.yaml").is_file():
            return None
        return text_of(self.folder / "compose.yaml")

    @property
    def credentials_file(self) -> Path:
        """Where the operator reads how to sign in (0600)."""
        return self.folder / "credentials"

    @property
    def log_file(self) -> Path:
        """What the last commands did, with their output; secrets masked."""
        return self.folder / "deployctl.log"

    def open_log(self) -> Log:
        """Open the log; the stack's secrets are masked, those too that are only made later."""
        return Log(self.log_file, self._masked)

    def _masked(self) -> tuple[Secret, ...]:
        try:
            known = stacksecrets.kept(self.secrets_file)
        except (OSError, ValueError):  # said by whoever needs them
            known, _ = stacksecrets.salvaged(self.secrets_file)
        return () if known is None else known.each

    @property
    def override(self) -> Path | None:
        """The operator's own Compose file, when there is one."""
        path = self.folder / _OVERRIDE
        return path if path.is_file() else None

    def override_text(self) -> str | None:
        """What the operator's own Compose file says; ``None`` when there is none."""
        return None if self.override is None else text_of(self.override)

    def ensure(self) -> None:
        """Make the folder (0700); ``workspace-unwritable`` when that cannot be."""
        with usable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)

    def close(self) -> Iterator[tuple[Path, int]]:
        """Take from others what they may do with the stack's secrets; yields what had which mode.

        ``workspace-unwritable`` where that cannot be.
        """
        if not self.secrets_file.is_file():  # nothing to hide yet
            return
        files = ((self.folder / name, 0o600) for name in _PRIVATE)
        for path, mode in ((self.folder, 0o700), *files):
            with usable(path), contextlib.suppress(FileNotFoundError):
                was = stat.S_IMODE(path.stat().st_mode)
                if was & 0o077:
                    path.chmod(mode)
                    yield path, was

    @contextlib.contextmanager
    def lock(self, doing: str) -> Iterator[None]:
        """Hold the stack for one command; ``stack-locked`` names who holds it.

        The kernel drops the lock with the process, whatever ends it.
        """
        self.ensure()
        path = self.folder / "lock"
        with contextlib.ExitStack() as held:
            with usable(path):
                file = held.enter_context(path.open("ab+", buffering=0))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise self._locked(path) from None
            with contextlib.suppress(OSError):  # a full disk must not stop `down`, which frees it
                file.truncate(0)
                file.write(f"`deployctl {doing}` (pid {os.getpid()})\n".encode())
            yield

    def refuse_unfinished(self) -> None:
        """Raise ``stack-locked`` while somebody is working on the stack; else do nothing."""
        path = self.folder / "lock"
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._locked(path) from None

    def _locked(self, path: Path) -> DeployctlError:
        holder = path.read_text(encoding="utf-8").strip() or "another process"
        return DeployctlError(
            f"Stack {self.stack} is being worked on by {holder}.",
            code="stack-locked",
            where=str(path),
            hint=f"deployctl status --stack {self.stack}",
        )

    def secrets(self, again: str = "", beside: str = "") -> StackSecrets:
        """Read the stack's secrets; ``secrets-lost``, ``secrets-damaged``. Never makes any.

        ``again`` brings the stack up as it was, ``beside`` the same under another name.
        """
        up = f"deployctl up --stack {self.stack}"
        found = stacksecrets.read(self.secrets_file, again or up)
        if found is None:
            beside = beside or f"{up}2"
            raise stacksecrets.lost(self.secrets_file, self.stack, beside=beside)
        return found

    def put_secrets_back(self) -> tuple[str, Path] | None:
        """Mend damaged secrets from ``.env``: for ``up`` alone, which holds the lock.

        What was wrong, with what is lost for good, and where the damaged file is kept; ``None``
        where nothing was, or could be, done.
        """
        try:
            with usable(self.secrets_file):
                stacksecrets.kept(self.secrets_file)
        except stacksecrets.DamagedError as problem:
            found, gone = stacksecrets.salvaged(self.secrets_file)
            lost = f". Its {' and '.join(gone)} is lost, and will be a new one" if gone else ""
            if found is not None:
                return f"{problem}{lost}", stacksecrets.put_back(self.secrets_file, found)
        return None

    def make_secrets(self, again: str = "", addons: tuple[str, ...] = ()) -> StackSecrets:
        """Read the stack's secrets, or generate them the first time: for ``up`` alone.

        ``addons`` are the names of what its add-ons need besides.
        """
        again = again or f"deployctl up --stack {self.stack}"
        found = stacksecrets.read(self.secrets_file, again)
        if found is not None:
            return stacksecrets.completed(self.secrets_file, found, addons)
        self.ensure()
        return stacksecrets.make(self.secrets_file, addons)

    def session(self) -> Secret | None:
        """Read the session of the last proof's sign-in; ``None`` when there is none."""
        try:
            return Secret((self.folder / "session").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    @property
    def session_is_current(self) -> bool:
        """Whether the secrets are still those that the kept session was opened with."""
        try:
            opened = (self.folder / "session").stat().st_mtime_ns
            return self.secrets_file.stat().st_mtime_ns <= opened
        except OSError:
            return False

    def keep_session(self, token: Secret) -> None:
        """Keep a session for the next proof, 0600."""
        write(self.folder / "session", token.reveal(), 0o600)

    def healed_at(self) -> tuple[str, ...]:
        """When a watcher restarted something of this stack, as it was written down; UTC."""
        return tuple(text_of(self.folder / "healed").split())

    def keep_healed_at(self, moments: tuple[str, ...]) -> None:
        """Write those times down: they count across watchers."""
        write(self.folder / "healed", "\n".join(moments) + "\n", 0o600)

    @property
    def has_secrets(self) -> bool:
        """Whether the secrets were generated before."""
        return self.secrets_file.exists()

    @property
    def knows_the_stack(self) -> bool:
        """Whether a stack of this name was brought up from here, and its data not given up."""
        files = ("manifest.json", "secrets.json", "compose.yaml", ".env")
        return any((self.folder / name).exists() for name in files)

    @property
    def secrets_file(self) -> Path:
        """What was generated for this stack (0600)."""
        return self.folder / "secrets.json"

    @contextlib.contextmanager
    def staged(self, bundle: Bundle) -> Iterator[str]:
        """Put the rendered stack beside the live one for a while; yields its file name."""
        self.ensure()
        name = "compose.next.yaml"
        write(self.folder / name, bundle.text("compose.yaml"), 0o600)
        try:
            yield name
        finally:
            (self.folder / name).unlink(missing_ok=True)

    def write(
        self,
        bundle: Bundle,
        variables: tuple[tuple[str, str], ...],
        folders: tuple[str, ...] = (),
    ) -> None:
        """Have the rendered files and their ``.env`` (0600) in the folder, each atomically.

        ``folders`` are made where they are not there; what is in them stays.
        """
        self.ensure()
        for name in folders:
            with usable(self.folder / name):
                stackfolders.have_folder(self.folder / name)
        for file in bundle.files:
            have(self.folder / file.name, file.text, file.mode)
        lines = [f"{name}={_dotenv(value)}" for name, value in variables]
        have(self.folder / ".env", "\n".join(lines) + "\n", 0o600)

    def write_credentials(self, text: str) -> None:
        """Write the sign-in sheet, 0600, where it does not say so already."""
        have(self.credentials_file, text, 0o600)

    def fingerprint(self, bundle: Bundle, variables: tuple[tuple[str, str], ...]) -> str:
        """Return one sha256 over all that decides the containers, the override included."""
        whole = hashlib.sha256(bundle.digest.encode())
        whole.update(json.dumps(variables).encode())
        if self.override is not None:
            with usable(self.override):
                whole.update(self.override.read_bytes())
        return whole.hexdigest()

    def manifest(self) -> Manifest | None:
        """What was last applied; ``None`` when nothing was, or an older tool wrote it."""
        path = self.folder / "manifest.json"
        try:
            with usable(path), contextlib.suppress(FileNotFoundError):
                data: dict[str, Any] = json.loads(path.read_text("utf-8"))
                read = Manifest(**data)
                pages = tuple((str(label), str(at)) for label, at in read.pages)
                return replace(
                    read,
                    engine_caches=tuple(read.engine_caches),
                    pages=pages,
                    owned=tuple(read.owned),
                    addon_ports=tuple(read.addon_ports),
                    files=tuple(read.files),
                )
        except (ValueError, TypeError):
            pass  # damaged, or another tool's: as good as none
        return None

    def save_manifest(self, manifest: Manifest) -> None:
        """Remember what was applied."""
        write(
            self.folder / "manifest.json",
            json.dumps(dataclasses.asdict(manifest), indent=1) + "\n",
            0o600,
        )

    def forget(self) -> None:
        """Remove everything of ours; the override stays, and what the operator put in folders."""
        keep = {_OVERRIDE, "lock"}
        theirs = stackfolders.own_folders()
        with usable(self.folder):
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if path.name in theirs:
                    stackfolders.remove_empty(path)
                elif path.name not in keep:
                    is_folder = path.is_dir() and not path.is_symlink()
                    shutil.rmtree(path) if is_folder else path.unlink()


def _dotenv(value: str) -> str:
    """Quote a value for Compose's ``.env``: single quotes are literal there."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
