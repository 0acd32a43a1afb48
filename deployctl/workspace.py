"""The stack's folder on disk: rendered files, secrets, what was last applied, and the lock.

Owns ``<home>/stacks/<stack>/``. Every write is atomic (temporary file, fsync, rename); secrets are
0600 from the first byte. ``compose.override.yaml`` belongs to the operator: read, never written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployctl.errors import DeployctlError
from deployctl.model import Bundle, Secret

#: The first administrator of the frontend. ``.invalid`` is reserved: it is nobody's mailbox.
ADMIN_EMAIL = "admin@deployctl.invalid"

_OVERRIDE = "compose.override.yaml"

#: A log larger than this is put aside, once, when the next command opens it.
_LOG_BYTES = 5 * 1024**2
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecrets:
    """What is generated once per stack and lives exactly as long as its data volume."""

    engine_key: Secret
    webui_secret: Secret
    admin_password: Secret


_SECRET_NAMES = tuple(field.name for field in dataclasses.fields(StackSecrets))


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


def home_folder(environment: Mapping[str, str]) -> Path:
    """Where everything of ours lives: ``DEPLOYCTL_HOME``, else the XDG data folder."""
    if own := environment.get("DEPLOYCTL_HOME"):
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local/share"
    )
    return Path(base) / "deployctl"


class Workspace:
    """The folder of one stack."""

    def __init__(self, home: Path, stack: str) -> None:
        self.home = home
        self.stack = stack
        self.folder = home / "stacks" / stack

    @property
    def credentials_file(self) -> Path:
        """Where the operator reads how to sign in (0600)."""
        return self.folder / "credentials"

    @property
    def log_file(self) -> Path:
        """What the last commands did, with their output; secrets masked."""
        return self.folder / "deployctl.log"

    def open_log(self) -> Log:
        """Open the log; what the stack's secrets are is masked from the start."""
        try:
            known = self._kept_secrets()
        except (ValueError, KeyError, TypeError):
            known = None  # said by whoever needs them
        masked = () if known is None else tuple(getattr(known, n) for n in _SECRET_NAMES)
        return Log(self.log_file, masked)

    @property
    def override(self) -> Path | None:
        """The operator's own Compose file, when there is one."""
        path = self.folder / _OVERRIDE
        return path if path.is_file() else None

    def ensure(self) -> None:
        """Make the folder (0700); ``workspace-unwritable`` when that cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as problem:
            raise DeployctlError(
                f"The state folder {self.folder} cannot be written: {problem.strerror}.",
                code="workspace-unwritable",
                where=str(self.folder),
                hint="DEPLOYCTL_HOME=/a/folder/of/yours deployctl up",
            ) from problem

    @contextlib.contextmanager
    def lock(self, doing: str) -> Iterator[None]:
        """Hold the stack for one command; ``stack-locked`` names who holds it.

        The kernel drops the lock with the process, whatever ends it.
        """
        self.ensure()
        with (self.folder / "lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise DeployctlError(
                    f"Stack {self.stack} is being worked on by {holder}.",
                    code="stack-locked",
                    where=str(self.folder / "lock"),
                    hint=f"deployctl status --stack {self.stack}",
                ) from None
            file.seek(0)
            file.truncate()
            file.write(f"`deployctl {doing}` (pid {os.getpid()})\n")
            file.flush()
            yield

    def secrets(self) -> StackSecrets:
        """Read the stack's secrets, or generate them the first time."""
        path = self._secrets_file
        try:
            if kept := self._kept_secrets():
                return kept
        except (ValueError, KeyError, TypeError) as problem:
            raise DeployctlError(
                f"The stack's secrets in {path} cannot be read.",
                code="workspace-unwritable",
                where=str(path),
                details=(str(problem),),
                hint=f"deployctl down --volumes --stack {self.stack}  # removes the chats too",
            ) from problem
        made = {name: _random(24 if name == "admin_password" else 40) for name in _SECRET_NAMES}
        self.ensure()
        _write(path, json.dumps(made, indent=1) + "\n", 0o600)
        return StackSecrets(**{name: Secret(value) for name, value in made.items()})

    @property
    def has_secrets(self) -> bool:
        """Whether the secrets were generated before."""
        return self._secrets_file.exists()

    @property
    def _secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    def _kept_secrets(self) -> StackSecrets | None:
        try:
            kept = json.loads(self._secrets_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return StackSecrets(**{name: Secret(kept[name]) for name in _SECRET_NAMES})

    @contextlib.contextmanager
    def staged(self, bundle: Bundle) -> Iterator[str]:
        """Put the rendered stack beside the live one for a while; yields its file name."""
        self.ensure()
        name = "compose.next.yaml"
        _write(self.folder / name, bundle.text("compose.yaml"), 0o600)
        try:
            yield name
        finally:
            (self.folder / name).unlink(missing_ok=True)

    def write(self, bundle: Bundle, variables: tuple[tuple[str, str], ...]) -> None:
        """Put the rendered files and their ``.env`` (0600) into the folder, each atomically."""
        self.ensure()
        for file in bundle.files:
            _write(self.folder / file.name, file.text, file.mode)
        lines = [f"{name}={_dotenv(value)}" for name, value in variables]
        _write(self.folder / ".env", "\n".join(lines) + "\n", 0o600)

    def write_credentials(self, text: str) -> None:
        """Write the sign-in sheet, 0600."""
        _write(self.credentials_file, text, 0o600)

    def fingerprint(self, bundle: Bundle, variables: tuple[tuple[str, str], ...]) -> str:
        """Return one sha256 over all that decides the containers, the override included."""
        whole = hashlib.sha256(bundle.digest.encode())
        whole.update(json.dumps(variables).encode())
        if self.override is not None:
            whole.update(self.override.read_bytes())
        return whole.hexdigest()

    def manifest(self) -> Manifest | None:
        """What was last applied; ``None`` when nothing was, or an older tool wrote it."""
        try:
            data: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
            return Manifest(**data)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def save_manifest(self, manifest: Manifest) -> None:
        """Remember what was applied."""
        _write(
            self.folder / "manifest.json",
            json.dumps(dataclasses.asdict(manifest), indent=1) + "\n",
            0o600,
        )

    def forget(self) -> None:
        """Remove everything of ours from the folder; the operator's override stays."""
        keep = {_OVERRIDE, "lock"}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _dotenv(value: str) -> str:
    """Quote a value for Compose's ``.env``: single quotes are literal there."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write(path: Path, text: str, mode: int) -> None:
    """Replace ``path`` in one step; the mode is set before the first byte is written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Log:
    """Appends lines to the stack's log file, 0600, masking secrets. Never fails a command."""

    def __init__(self, path: Path, masked: tuple[Secret, ...] = ()) -> None:
        self._path = path
        with contextlib.suppress(OSError):
            if path.stat().st_size > _LOG_BYTES:
                path.replace(path.with_name(path.name + ".1"))
        self.masked = masked

    def __call__(self, line: str) -> None:
        """Append one line."""
        for secret in self.masked:
            line = line.replace(secret.reveal(), "***")
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return  # the folder is not there yet, or not ours: the command itself will say so
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")
