"""Where the Docker client looks for its daemon. Reads its configuration folder, asks nobody.

The client's own order: ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the context in use, the usual socket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A daemon's address, empty for the usual socket.

    ``certificates`` is the folder with ``ca.pem``, ``cert.pem`` and ``key.pem`` of a context,
    ``verify`` whether the daemon's certificate is checked against that ``ca.pem``.
    """

    address: str
    certificates: Path | None = None
    verify: bool = True

    @property
    def here(self) -> bool:
        """Whether the daemon is on this machine: only there are the weights and the ports."""
        full = self.address if "://" in self.address else f"tcp://{self.address}"
        scheme, host = urlsplit(full).scheme, urlsplit(full).hostname
        if scheme in ("unix", "npipe", "fd"):
            return True
        at_home = host is None or host in ("localhost", "::1") or host.startswith("127.")
        return scheme != "ssh" and at_home


def docker_endpoint(environment: Mapping[str, str]) -> Endpoint | None:
    """The address the client uses with this environment; ``None`` for an unknown context."""
    if host := environment.get("DOCKER_HOST"):
        return Endpoint(address=host)
    folder = _folder(environment, Path("/"))
    name = context_name(environment)
    if name == "default":
        return Endpoint(address="")
    key = hashlib.sha256(name.encode()).hexdigest()  # how the client names a context's folder
    found = _read(folder / "contexts/meta" / key / "meta.json").get("Endpoints")
    docker = found.get("docker") if isinstance(found, dict) else None
    if not isinstance(docker, dict):
        return None
    certificates = folder / "contexts/tls" / key / "docker"
    return Endpoint(
        address=str(docker.get("Host") or ""),
        certificates=certificates if (certificates / "cert.pem").is_file() else None,
        verify=not docker.get("SkipTLSVerify"),
    )


def context_name(environment: Mapping[str, str], root: Path = Path("/")) -> str:
    """The context in use when ``DOCKER_HOST`` is not set; ``default`` for none."""
    configured = _read(_folder(environment, root) / "config.json").get("currentContext")
    return environment.get("DOCKER_CONTEXT") or str(configured or "default")


def _folder(environment: Mapping[str, str], root: Path) -> Path:
    home = environment.get("HOME", "").lstrip("/")
    return Path(environment.get("DOCKER_CONFIG") or root / home / ".docker")


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
