"""What is generated once for a stack: made by ``up`` alone, read by everybody else.

Owns ``secrets.json`` in the stack's folder, 0600 from the first byte. Nothing that only looks may
make secrets: the chats were made with the old ones, and ``up`` takes a file that is there for them.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from deployctl.atomic import usable, write
from deployctl.errors import DeployctlError
from deployctl.secret import Secret

_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecrets:
    """What is generated once per stack and lives exactly as long as its data volume."""

    engine_key: Secret
    webui_secret: Secret
    admin_password: Secret

    @property
    def each(self) -> tuple[Secret, ...]:
        """All of them, to mask them."""
        return tuple(getattr(self, name) for name in _NAMES)


_NAMES = tuple(field.name for field in dataclasses.fields(StackSecrets))


def kept(path: Path) -> StackSecrets | None:
    """Read the file as it is; ``None`` when there is none. ``OSError`` and the errors of JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return StackSecrets(**{name: Secret(found[name]) for name in _NAMES})


def read(path: Path, stack: str) -> StackSecrets | None:
    """Read the file; ``None`` when there is none, ``workspace-unwritable`` when it is damaged."""
    try:
        with usable(path):
            return kept(path)
    except (ValueError, KeyError, TypeError) as problem:
        raise DeployctlError(
            f"The stack's secrets in {path} cannot be read.",
            code="workspace-unwritable",
            where=str(path),
            details=(str(problem),),
            hint=f"deployctl down --volumes --stack {stack}  # removes the chats too",
        ) from problem


def make(path: Path) -> StackSecrets:
    """Generate new ones and write them down."""
    made = {name: _random(24 if name == "admin_password" else 40) for name in _NAMES}
    write(path, json.dumps(made, indent=1) + "\n", 0o600)
    return StackSecrets(**{name: Secret(value) for name, value in made.items()})


def lost(
    path: Path, stack: str, volumes: tuple[str, ...] = (), *, beside: str = ""
) -> DeployctlError:
    """Say that they are gone, with the ways out.

    ``volumes``: the data that was made with them; ``beside``: the command that brings the same up
    under another name.
    """
    data = f" ({', '.join(volumes)})" if volumes else ""
    return DeployctlError(
        f"The data of stack {stack} is there{data}, but the credentials it was made with are not "
        f"in {path.parent}."
        if volumes
        else f"The credentials of stack {stack} are not in {path.parent} any more.",
        code="secrets-lost",
        where=str(path.parent),
        hint="put secrets.json back there, or use another name: "
        f"{beside or f'deployctl up --stack {stack}2'}; "
        f"to give the chats up: deployctl down --volumes --stack {stack}",
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
