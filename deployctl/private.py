"""What on this machine must not leave it: secrets that are known, and private names.

Reads the state folder, the environment and the configuration files where tokens lie; asks pip and
apt which hosts they use.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import json
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from deployctl.files import text_of
from deployctl.redact import harvest, users
from deployctl.secretshapes import secret_name

if TYPE_CHECKING:
    from deployctl.runner import Runner

_NAMES_ANYWAY = frozenset(
    {"root", "docker", "admin", "user", "localhost", "engine", "webui", "deployctl", "debian"}
)

#: How the names of variables end that hold a path; ``secret_name`` knows some of them too.
_OF_A_PATH = re.compile(r"(?:file|path|sock(?:et)?|dir(?:ectory)?|folder)$", re.IGNORECASE)

#: Files of a stack whose whole text is one secret.
_WHOLE = ("session",)


def known_secrets(home: Path, environment: Mapping[str, str], root: Path) -> set[str]:
    """Every secret this machine is known to have that could come near a stack."""
    at_home = root / environment.get("HOME", "/root").lstrip("/")
    found = {
        text
        for name, value in environment.items()
        for text in _of_variable(name, value, root, at_home)
    }
    for folder in _folders(home / "stacks"):
        found |= set(secrets_of(folder))
    found |= set(_of_tools(environment, at_home))
    return {text for text in found if text and text.strip()}


def _of_variable(name: str, value: str, root: Path, at_home: Path) -> Iterator[str]:
    if secret_name(name) and not _is_path(name, value, root, at_home):
        yield value
    yield from users(value)


def _is_path(name: str, value: str, root: Path, at_home: Path) -> bool:
    """Whether a variable names a file that holds a secret, or a socket, and no secret itself.

    A secret may begin with a slash as well: base64 does, one time in 64. So the name has to say it,
    or something has to be there.
    """
    if value.startswith("unix:/") or _OF_A_PATH.search(name):
        return True
    if not value.startswith(("/", "~/")):
        return False
    beginning = at_home if value.startswith("~/") else root
    try:
        return (beginning / value.lstrip("~/")).exists()
    except (OSError, ValueError):  # too long for a name, or a null byte in it
        return False


def _folders(parent: Path) -> tuple[Path, ...]:
    try:
        return tuple(folder for folder in parent.iterdir() if folder.is_dir())
    except OSError:
        return ()


def secrets_of(folder: Path) -> Iterator[str]:
    """The secrets of the stack in a folder: what was generated, and what ``.env`` calls one."""
    with contextlib.suppress(ValueError):
        yield from harvest(json.loads(text_of(folder / "secrets.json") or "{}"), named=True)
    for line in text_of(folder / ".env").splitlines():
        name, _, value = line.partition("=")
        if secret_name(name):
            yield re.sub(r"\\(['\\])", r"\1", value.strip().strip("'"))
    for name in _WHOLE:
        yield text_of(folder / name).strip()
    for line in text_of(folder / "credentials").splitlines():
        name, _, value = line.partition(":")
        if secret_name(name) or "key" in name.lower():
            yield value.strip()


def _of_tools(environment: Mapping[str, str], at_home: Path) -> Iterator[str]:
    """Tokens that other programs keep in the operator's home: the hub's, Docker's, .netrc."""
    cache = Path(environment.get("XDG_CACHE_HOME") or at_home / ".cache")
    hub = Path(environment.get("HF_HOME") or cache / "huggingface")
    yield text_of(Path(environment.get("HF_TOKEN_PATH") or hub / "token")).strip()
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        folder = Path(environment.get("DOCKER_CONFIG") or at_home / ".docker")
        for login in json.loads(text_of(folder / "config.json") or "{}").get("auths", {}).values():
            yield from map(str, login.values())
            yield from _basic(login.get("auth", ""))
    words = text_of(at_home / ".netrc").split()
    yield from (b for a, b in itertools.pairwise(words) if a == "password")


def _basic(auth: str) -> Iterator[str]:
    with contextlib.suppress(binascii.Error, UnicodeDecodeError, ValueError):
        yield base64.b64decode(auth).decode().partition(":")[2]


# ── names ─────────────────────────────────────────────────────────────────────────────────────


def private_names(runner: Runner, environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """What is private and no secret → what is written instead: names of people and of hosts."""
    names: dict[str, str] = {}
    for host in _hosts(runner, environment, root):
        names[host] = "<mirror>"
    node = platform.node()
    names |= {name: "<this machine>" for name in (node, node.partition(".")[0]) if _telling(name)}
    for variable in ("USER", "LOGNAME", "SUDO_USER"):
        if _telling(environment.get(variable, "")):
            names[environment[variable]] = "<user>"
    home = environment.get("HOME", "").rstrip("/")
    if home.count("/") > 1:
        names[home] = "~"
    return names


def _telling(name: str) -> bool:
    return len(name) > 2 and name not in _NAMES_ANYWAY


def _hosts(runner: Runner, environment: Mapping[str, str], root: Path) -> Iterator[str]:
    """Hosts of mirrors, package indexes and proxies: a company's network, nobody's business."""
    from deployctl.images.inputs import apt_conf, pip_settings  # slow to import, and seldom needed
    from deployctl.images.mirrors import mirrors_file
    from deployctl.provision.system import apt_sources

    texts = [text_of(mirrors_file(environment)), apt_conf(runner)]
    texts += [str(value) for value in pip_settings(runner, environment).values()]
    texts += [value for name, value in environment.items() if _is_address(name)]
    texts += [uri for source in apt_sources(root) for uri in source.uris]
    texts.append(environment.get("HF_ENDPOINT", ""))
    for text in texts:
        for address in re.findall(r"[a-z]+://[^\s'\";,]+", text):
            with contextlib.suppress(ValueError):
                yield from _named_host(urlsplit(unquote(address)).hostname or "")
    for line in texts[0].splitlines():  # `registry: mirror`, without a scheme
        yield from _named_host(line.partition(": ")[2].strip(" \"'").partition("/")[0])


#: An address with a user or a password before its host; either may hold what the rules forbid.
_WITH_USER = re.compile(r"://(?:[^\s'\"<>:/]+:[^\s'\"<>]*|[^\s'\"<>/]*)@(?P<host>[A-Za-z0-9._-]+)")
_PLAIN_ADDRESS = re.compile(r"://(?P<host>[A-Za-z0-9._-]+)")

#: Parts of names that only a private network gives; RFC 6762, appendix G, and usage.
_PRIVATE_PARTS = frozenset(
    {"corp", "home", "internal", "intranet", "lan", "local", "localdomain", "private"}
)

#: Registries and hubs that everybody knows, and what Docker itself calls this machine.
_PUBLIC = (
    *("docker.io", "docker.com", "ghcr.io", "quay.io", "gcr.io", "nvcr.io", "mcr.microsoft.com"),
    *("huggingface.co", "hf.co", "github.com", "githubusercontent.com", "docker.internal"),
)


def private_hosts(text: str) -> set[str]:
    """The hosts in a text's addresses that are nobody's business.

    Those behind a user or a password, and those of private names. Not a host without a dot, as
    Compose's services have, nor this machine itself.
    """
    found = {match["host"] for match in _WITH_USER.finditer(text)}
    found |= {
        match["host"]
        for match in _PLAIN_ADDRESS.finditer(text)
        if _PRIVATE_PARTS & set(match["host"].lower().split("."))
    }
    named = {name for host in found for name in _named_host(host.strip("."))}
    return {name for name in named if not _public(name.lower())}


def _public(host: str) -> bool:
    known = (*_PUBLIC, "localhost", "localhost.localdomain")
    return any(host == name or host.endswith(f".{name}") for name in known)


def _is_address(name: str) -> bool:
    return name.lower().endswith("_proxy") or name.startswith(("PIP_", "UV_"))


def _named_host(host: str) -> Iterator[str]:
    plain = host.partition(":")[0]
    if "." in plain and not plain.startswith("127.") and not re.fullmatch(r"[\d.]+", plain):
        yield plain
