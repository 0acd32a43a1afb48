"""The operator's mirror map: which registry is asked through which mirror.

Reads one file, ``mirrors.yaml``: one ``registry: mirror`` per line, comments and blank lines. It is
YAML, but of YAML only this, so it is read line by line and a wrong line can be named exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from deployctl.errors import DeployctlError, Fault
from deployctl.folders import config_folder
from deployctl.images.reference import DOCKER_HUB
from deployctl.model import Origin
from deployctl.profiles.excerpt import fault, quoted

FILE = "mirrors.yaml"

#: Real maps have three lines.
_MAX_BYTES = 16 * 1024

_BLANK = re.compile(r"\s*(#.*)?")
_ENTRY = re.compile(
    r"""(?P<q>["']?)(?P<key>[^\s"'#]+)(?P=q):[ ]+(?P<v>["']?)"""
    r"""(?P<value>[^\s"']+)(?P=v)[ ]*(?:[ ]\#.*)?""",
    re.VERBOSE,
)

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])"
_REGISTRY = re.compile(rf"{_HOST}(?::[0-9]{{1,5}})?")
_MIRROR = re.compile(rf"{_REGISTRY.pattern}(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")

_ALIASES = dict.fromkeys(("index.docker.io", "registry-1.docker.io", "dockerhub"), DOCKER_HUB)

_FORM = "write one `registry: mirror` per line, for example `ghcr.io: mirror.example:5000/ghcr`"


def mirrors_file(environment: Mapping[str, str]) -> Path:
    """Where the map is looked for: in ``DEPLOYCTL_HOME``, else in the XDG configuration folder."""
    return config_folder(environment) / FILE


def read_mirrors(file: Path) -> Mapping[str, str]:
    """Registry → mirror; empty without a file. ``mirrors-invalid`` with every wrong line."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise _unreadable(file, f"cannot be read: {problem.strerror}") from problem
    if len(content) > _MAX_BYTES:
        raise _unreadable(file, f"is larger than {_MAX_BYTES // 1024} KiB; no mirror map is")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise _unreadable(file, "is not UTF-8 text") from problem
    mirrors, faults = parse_mirrors(text, str(file))
    if faults:
        raise DeployctlError.of(faults)
    return mirrors


def _unreadable(file: Path, what: str) -> DeployctlError:
    return DeployctlError(
        f"The mirror map {file} {what}.",
        code="mirrors-invalid",
        where=str(file),
        hint=f"ls -l {file}",
    )


def parse_mirrors(text: str, file: str) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """The map in ``text``, and what is wrong with its lines, in order."""
    lines = text.replace("\r\n", "\n").split("\n")
    mirrors: dict[str, str] = {}
    written: dict[str, int] = {}
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        if _BLANK.fullmatch(line):
            continue
        entry = _ENTRY.fullmatch(line)
        wrong = _wrong(line, entry, written)
        if wrong is not None:
            column, sentence, hint = wrong
            at = Origin(file=file, line=number, column=column + 1)
            faults.append(fault(at, lines, sentence, hint, code="mirrors-invalid"))
        elif entry is not None:
            mirrors[entry["key"]] = entry["value"]
            written[entry["key"]] = number
    return mirrors, tuple(faults)


def _wrong(
    line: str, entry: re.Match[str] | None, written: Mapping[str, int]
) -> tuple[int, str, str] | None:
    """What is wrong with a line: the column (from 0), a sentence, and the edit to make."""
    if entry is None:
        column = len(line) - len(line.lstrip())
        return column, f"{quoted(line.strip())} is not an entry of a mirror map.", _FORM
    key, value = entry["key"], entry["value"]
    if wrong := _wrong_registry(key):
        return entry.start("key"), *wrong
    if key in written:
        sentence = f"{quoted(key)} is written twice; the first is on line {written[key]}."
        return entry.start("key"), sentence, "keep one of the two"
    if wrong := _wrong_mirror(value):
        return entry.start("value"), *wrong
    return None


def _wrong_registry(key: str) -> tuple[str, str] | None:
    if key in _ALIASES:
        return (
            f"Docker's own registry is called docker.io, not {quoted(key)}.",
            "write `docker.io:`",
        )
    if "/" in key:
        host = key.split("://")[-1].partition("/")[0]
        return f"{quoted(key)} is more than the name of a registry.", f"write `{host}:`"
    if not _REGISTRY.fullmatch(key) or not ("." in key or ":" in key or key == "localhost"):
        return f"{quoted(key)} is not the name of a registry.", _FORM
    return None


def _wrong_mirror(mirror: str) -> tuple[str, str] | None:
    if "://" in mirror:
        bare = mirror.partition("://")[2].strip("/")
        sentence = "A mirror is written without `https://`; Docker decides how to speak to it."
        return sentence, f"write `{bare}`"
    if "@" in mirror:
        sentence = "A mirror is written without a user name."
        return sentence, f"docker login {mirror.rpartition('@')[2].partition('/')[0]}"
    if mirror != mirror.rstrip("/"):
        return "A mirror does not end with `/`.", f"write `{mirror.rstrip('/')}`"
    if not _MIRROR.fullmatch(mirror):
        return (
            f"{quoted(mirror)} is not a host with an optional port and path, all in lower case.",
            _FORM,
        )
    return None
