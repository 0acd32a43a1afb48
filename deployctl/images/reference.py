"""Image references, as Docker reads them, and the same image behind a mirror. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: Docker's own registry: what a reference without a registry means, and where it really answers.
DOCKER_HUB, _DOCKER_HUB_HOST = "docker.io", "registry-1.docker.io"

_LOOPBACK = ("localhost", "127.", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """``registry/repository:tag[@digest]``, every part written out."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def rest(self) -> str:
        """What follows the repository: the digest where there is one, since it is exact."""
        return f"@{self.digest}" if self.digest else f":{self.tag}"

    @property
    def full(self) -> str:
        """The reference as Docker is given it, nothing left out."""
        return f"{self.registry}/{self.repository}{self.rest}"

    def through(self, mirror: str) -> str:
        """The same image at ``mirror`` (host, port, path): ``mirror/repository:tag``."""
        return f"{mirror}/{self.repository}{self.rest}"


def parse_reference(text: str) -> Reference:
    """Read a reference the way Docker does; ``debian`` is ``docker.io/library/debian:latest``.

    Trusts that the text was checked where it was written (profiles).
    """
    name, _, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    # The first part is a registry only if it looks like a host; else it is a name at Docker's own.
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, rest
    else:
        registry, path = DOCKER_HUB, name
    repository, colon, tag = path.rpartition(":")
    if not colon:
        repository, tag = path, "latest"
    if registry in (DOCKER_HUB, "index.docker.io"):
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(registry=registry, repository=repository, tag=tag, digest=digest)


def host_of(registry: str) -> str:
    """Where a registry's API answers: ``host[:port]`` without any path."""
    host = registry.partition("/")[0]
    return _DOCKER_HUB_HOST if host == DOCKER_HUB else host


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself; Docker speaks plain HTTP to it when it has to."""
    return host.startswith(_LOOPBACK)
