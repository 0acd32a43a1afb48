"""What is generated once for a stack: made by ``up`` alone, read by everybody else.

Owns ``secrets.json`` in the stack's folder, 0600 from the first byte. Nothing that only looks may
make secrets: the chats were made with the old ones, and ``up`` takes a file that is there for them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shlex
import shutil
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployctl.atomic import usable, write
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.secret import Secret

_ALPHABET = string.ascii_letters + string.digits

#: Characters of what is generated for an add-on: people type some of it.
_ADDON_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecrets:
    """What is generated once per stack and lives exactly as long as its data volume."""

    engine_key: Secret
    webui_secret: Secret
    admin_password: Secret
    addons: Mapping[str, Secret] = field(default_factory=dict)  # of add-ons, since they were on

    @property
    def each(self) -> tuple[Secret, ...]:
        """All of them, to mask them."""
        return tuple(self.named.values())

    @property
    def named(self) -> Mapping[str, Secret]:
        """All of them by name."""
        return {**{name: getattr(self, name) for name in _NAMES}, **self.addons}


_NAMES = ("engine_key", "webui_secret", "admin_password")


def variable(name: str) -> str:
    """What a secret is called in ``.env``."""
    return f"DEPLOYCTL_{name.upper()}"


class DamagedError(ValueError):
    """The file cannot be understood: what is wrong, without what is in it, and in which line."""

    def __init__(self, what: str, line: int | None = None, column: int | None = None) -> None:
        self.line = line
        place = "" if line is None else f"line {line}: "
        super().__init__(f"line {line}, column {column}: {what}" if column else f"{place}{what}")


def kept(path: Path) -> StackSecrets | None:
    """Read the file as it is; ``None`` when there is none. ``OSError`` and ``DamagedError``."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _of(json.loads(data.decode("utf-8")))
    except json.JSONDecodeError as problem:
        raise DamagedError(problem.msg, problem.lineno, problem.colno) from problem
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise DamagedError("this is not text in UTF-8", line) from problem


def _of(found: Any) -> StackSecrets:  # noqa: ANN401  # JSON
    if not isinstance(found, dict):
        raise DamagedError("this is no JSON object", 1)
    for name in _NAMES:
        if not _is_text(found.get(name)):
            raise DamagedError(f'"{name}" is missing, or is no text in quotes')
    others = {str(name): value for name, value in found.items() if name not in _NAMES}
    for name in [name for name, value in others.items() if not _is_text(value)]:
        if name in _of_addons():
            raise DamagedError(f'"{name}" is no text in quotes')
        del others[name]
    more = {name: Secret(value) for name, value in others.items()}
    return StackSecrets(**{name: Secret(found[name]) for name in _NAMES}, addons=more)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def read(path: Path, again: str) -> StackSecrets | None:
    """Read the file; ``None`` when there is none, ``secrets-damaged`` when it is damaged.

    ``again``: the ``up`` of this stack, which can put it back.
    """
    try:
        with usable(path):
            return kept(path)
    except DamagedError as problem:
        place = str(path) if problem.line is None else f"{path}:{problem.line}"
        editor = f'"${{EDITOR:-vi}}" {shlex.quote(str(path))}'
        raise DeployctlError(
            f"The stack's secrets in {path} cannot be read: {problem}.",
            code="secrets-damaged",
            where=place,
            hint=f"{again}  # puts them back as they were; an edit of admin_password is to be "
            "made again after that"
            if salvaged(path)[0] is not None
            else f"{editor}  # mend it there, then: {again}",
        ) from problem


def salvaged(path: Path) -> tuple[StackSecrets | None, tuple[str, ...]]:
    """What can be had again of a damaged file, and the names of what it had and is lost.

    Of ``.env``, as the last ``up`` handed it to the stack; there is nothing of add-ons that are
    off, so that is read in the damaged file as far as it can be. ``None`` where one that every
    stack has is missing.
    """
    found = dict(re.findall(r"^(\w+)='(.*)'$", text_of(path.parent / ".env"), re.MULTILINE))
    values = {name: _unquoted(found.get(variable(name), "")) for name in _NAMES}
    if not all(values.values()):
        return None, ()
    text = text_of(path)
    read = {
        name: _unquoted(found.get(variable(name), "")) or _read_in(text, name)
        for name in _of_addons()
    }
    more = {name: Secret(value) for name, value in read.items() if value}
    gone = tuple(name for name, value in read.items() if not value and f'"{name}"' in text)
    return StackSecrets(**{name: Secret(values[name]) for name in _NAMES}, addons=more), gone


def _read_in(text: str, name: str) -> str:
    """The value of a name in JSON that is damaged elsewhere; '' where it cannot be told for sure.

    It ends in its line, with what ends a value in JSON, or with the line, where that is missing.
    """
    whole = rf'"{name}"[ \t]*:[ \t]*("(?:[^"\\\x00-\x1f\ufffd]|\\.)+")[ \t]*(?:[,}}]|\r?$)'
    found = re.findall(whole, text, re.MULTILINE)
    try:
        return str(json.loads(found[-1])) if found else ""
    except ValueError:
        return ""


def _of_addons() -> tuple[str, ...]:
    from deployctl.addons import SECRETS  # with all that add-ons are: a damaged file is rare

    return SECRETS


def _unquoted(value: str) -> str:
    """What ``workspace.write`` quoted."""
    return re.sub(r"\\(.)", r"\1", value)


def put_back(path: Path, found: StackSecrets) -> Path:
    """Write them anew and keep the damaged file beside; where that is."""
    aside = path.with_name(f"{path.name}.damaged")
    with usable(aside):
        aside.touch(0o600)
        aside.chmod(0o600)
        shutil.copyfile(path, aside)
    _write(path, found)
    return aside


def make(path: Path, addons: tuple[str, ...] = ()) -> StackSecrets:
    """Generate new ones and write them down."""
    made = StackSecrets(
        **{name: _random(24 if name == "admin_password" else 40) for name in _NAMES},
        addons={name: _random(_ADDON_LENGTH) for name in addons},
    )
    _write(path, made)
    return made


def completed(path: Path, found: StackSecrets, addons: tuple[str, ...]) -> StackSecrets:
    """The same with what add-ons need besides; the file is written where that is new."""
    missing = [name for name in addons if name not in found.addons]
    if not missing:
        return found
    more = {name: _random(_ADDON_LENGTH) for name in missing}
    found = dataclasses.replace(found, addons={**found.addons, **more})
    _write(path, found)
    return found


def _write(path: Path, secrets_: StackSecrets) -> None:
    values = {name: secret.reveal() for name, secret in secrets_.named.items()}
    write(path, json.dumps(values, indent=1) + "\n", 0o600)


def lost(
    path: Path, stack: str, volumes: tuple[str, ...] = (), *, beside: str, known: bool = True
) -> DeployctlError:
    """Say that they are gone, with the ways out, the harmless ones first.

    ``volumes``: the data that was made with them; ``beside``: the command that brings the same up
    under another name; ``known``: whether this state folder had the stack. Another's chats are not
    to be given up here.
    """
    data = f" ({', '.join(volumes)})" if volumes else ""
    if known:
        others = f"put secrets.json back into {path.parent}"
        last = f"; to give the chats up for good: deployctl down --volumes --stack {stack}"
    else:
        others = "set DEPLOYCTL_HOME to the state folder that has the stack"
        last = ""
    return DeployctlError(
        f"The data of stack {stack} is there{data}, but the credentials it was made with are not "
        f"in {path.parent}{'' if known else ': another state folder may have the stack'}."
        if volumes
        else f"The credentials of stack {stack} are not in {path.parent} any more.",
        code="secrets-lost",
        where=str(path.parent),
        hint=f"{beside}  # under another name; or {others}{last}",
    )


def _random(length: int) -> Secret:
    return Secret("".join(secrets.choice(_ALPHABET) for _ in range(length)))
