"""The only place that looks at Docker through its SDK: state, images, volumes, last log lines.

Looks, never changes: changing is done by ``docker compose`` (see ``commands.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig

from deployctl.endpoint import Endpoint, docker_endpoint
from deployctl.errors import DOCKER_HINTS, DeployctlError
from deployctl.logfeed import FollowedLog, LogFeed, LogStream, said_since, timed_lines
from deployctl.outcomes import ContainerState, Usage

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_HASH = "com.docker.compose.config-hash"
_ONE_OFF = "com.docker.compose.oneoff"
_WORKING_DIR = "com.docker.compose.project.working_dir"


class Docker(Protocol):
    """What we ask of the daemon; the tests have a fake that keeps the same contract."""

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        """Every container of the stack, running or not, sorted by service."""

    def log_tail(
        self, container_id: str, lines: int, *, since: str | None = None
    ) -> tuple[str, ...]:
        """The last lines a container wrote; empty when it is gone.

        ``since`` a moment (RFC 3339): a log goes on over the container's restarts. What a start
        writes in its first milliseconds may be stamped before Docker calls it started.
        """

    def log_within(
        self, container_id: str, seconds: int, *, since: str
    ) -> tuple[tuple[str, str], ...]:
        """What it wrote in so many seconds from a moment on (RFC 3339), each line with its time.

        Empty when it is gone.
        """

    def follow(self, container_id: str, *, since: str | None = None, new: bool = False) -> LogFeed:
        """What a container writes from a moment on (RFC 3339; ``None``: all of it), as it comes.

        ``new``: only what it writes from now on. Goes on when the container starts anew, and stays
        silent when it, or Docker, is gone.
        """

    def usage(self, container_id: str) -> Usage | None:
        """What the container uses; ``None`` when it is gone, does not run, or nobody counts."""

    def inspect(self, container_id: str) -> Mapping[str, Any] | None:
        """All that Docker says of a container, in its own words; ``None`` when it is gone."""

    def networks(self, stack: str) -> tuple[Mapping[str, Any], ...]:
        """The stack's networks in Docker's own words, sorted by name."""

    def network(self, network_id: str) -> Mapping[str, Any] | None:
        """One network, whosever it is, in Docker's own words; ``None`` when it is not there."""

    def image_id(self, reference: str) -> str | None:
        """The id of a local image; ``None`` when it is not here."""

    def volumes(self, stack: str) -> tuple[str, ...]:
        """The names of the stack's volumes."""


class DockerDaemon:
    """The real daemon, at the address the ``docker`` client would use (host, context or socket)."""

    def __init__(self, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s
        self._client: Any = None

    def _api(self) -> Any:  # noqa: ANN401  # the SDK is untyped here
        if self._client is None:
            with _translated():
                self._client = _connect(self._timeout_s)
        return self._client

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        """See :class:`Docker`."""
        found = []
        with _translated():
            api = self._api()
            listed = api.containers(all=True, filters={"label": f"{_PROJECT}={stack}"})
            for row in listed:
                if row["Labels"].get(_ONE_OFF) == "True":
                    continue
                with contextlib.suppress(NotFound):  # removed between the list and the look
                    found.append(_state(api.inspect_container(row["Id"])))
        return tuple(sorted(found, key=lambda state: state.service))

    def log_tail(
        self, container_id: str, lines: int, *, since: str | None = None
    ) -> tuple[str, ...]:
        """See :class:`Docker`."""
        first = _nine_digits(since)
        options = {"since": _seconds(first), "timestamps": True} if first else {}
        try:
            with _translated():
                raw: bytes = self._api().logs(container_id, tail=lines, **options)
        except (NotFound, _GoingError):
            return ()
        if not first:
            return tuple(raw.decode("utf-8", "replace").splitlines())
        # The daemon is asked by whole seconds; what it said before within the same one is left out.
        return said_since(first, raw)

    def log_within(
        self, container_id: str, seconds: int, *, since: str
    ) -> tuple[tuple[str, str], ...]:
        """See :class:`Docker`."""
        first = _nine_digits(since)
        whole = _seconds(first) or 0
        try:
            with _translated():
                raw: bytes = self._api().logs(
                    container_id, timestamps=True, since=whole, until=whole + seconds + 1
                )
        except (NotFound, _GoingError):
            return ()
        return tuple(timed_lines((raw,), first))

    def follow(self, container_id: str, *, since: str | None = None, new: bool = False) -> LogFeed:
        """See :class:`Docker`."""
        api = self._api()

        def open_log(moment: str) -> LogStream | None:
            try:
                with _translated():
                    stream: LogStream = api.logs(
                        container_id,
                        stream=True,
                        follow=True,
                        timestamps=True,
                        since=_seconds(moment),
                        tail=0 if new and not moment else "all",
                    )
            except (NotFound, _GoingError):
                return None
            return stream

        start = "" if new else _a_little_before(since)
        return FollowedLog(open_log, name=container_id[:12], since=start)

    def usage(self, container_id: str) -> Usage | None:
        """See :class:`Docker`."""
        try:
            with _translated():
                stats = self._api().stats(container_id, stream=False, one_shot=True)
        except (NotFound, _GoingError):
            return None
        memory = stats.get("memory_stats") or {}
        used = memory.get("usage")
        if not isinstance(used, int):
            return None
        # What the kernel would give back at once does not count; `docker stats` reckons likewise.
        kept = max(0, used - int((memory.get("stats") or {}).get("inactive_file", 0)))
        nanoseconds = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
        return Usage(memory_bytes=kept, cpu_seconds=nanoseconds / 1e9)

    def inspect(self, container_id: str) -> Mapping[str, Any] | None:
        """See :class:`Docker`."""
        try:
            with _translated():
                found: Mapping[str, Any] = self._api().inspect_container(container_id)
        except (NotFound, _GoingError):
            return None
        return found

    def networks(self, stack: str) -> tuple[Mapping[str, Any], ...]:
        """See :class:`Docker`."""
        with _translated():
            listed = self._api().networks(filters={"label": f"{_PROJECT}={stack}"})
        return tuple(sorted(listed, key=lambda row: str(row["Name"])))

    def network(self, network_id: str) -> Mapping[str, Any] | None:
        """See :class:`Docker`."""
        try:
            with _translated():
                found: Mapping[str, Any] = self._api().inspect_network(network_id)
        except NotFound:
            return None
        return found

    def image_id(self, reference: str) -> str | None:
        """See :class:`Docker`."""
        try:
            with _translated():
                return str(self._api().inspect_image(reference)["Id"])
        except ImageNotFound:
            return None

    def volumes(self, stack: str) -> tuple[str, ...]:
        """See :class:`Docker`."""
        with _translated():
            listed = self._api().volumes(filters={"label": f"{_PROJECT}={stack}"})
        return tuple(sorted(row["Name"] for row in listed["Volumes"] or ()))


def _connect(timeout_s: float) -> Any:  # noqa: ANN401
    """Find the daemon as the client does; ``docker-remote`` when it is not on this machine."""
    from os import environ  # edge: the SDK's own from_env reads it as well

    at = docker_endpoint(environ)
    if at is None:
        raise DockerException("The context that DOCKER_CONTEXT or `docker context` names is gone.")
    if not at.here:
        raise DeployctlError(
            "The Docker client is told to use another machine; the stack's ports and its model "
            "file are on this one.",
            code="docker-remote",
            hint=DOCKER_HINTS["docker-remote"],
            details=(at.address,),
        )
    if environ.get("DOCKER_HOST"):
        return docker.from_env(timeout=int(timeout_s)).api
    return docker.APIClient(
        base_url=at.address or None, version="auto", timeout=int(timeout_s), tls=_tls(at)
    )


def _tls(at: Endpoint) -> TLSConfig | bool:
    """What a context says about certificates, as the SDK wants it."""
    folder = at.certificates
    if folder is None:
        return False
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=at.verify)


class _GoingError(Exception):
    """The container is being removed: Docker has no more to say about it (409)."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn "the daemon does not answer" into the operator's error; let NotFound through."""
    try:
        yield
    except (NotFound, ImageNotFound):
        raise
    except APIError as problem:
        if problem.status_code == HTTPStatus.CONFLICT:
            raise _GoingError from problem
        raise _unreachable(problem) from problem
    except (DockerException, OSError) as problem:
        if "Permission denied" in str(problem):
            raise DeployctlError(
                "This user may not talk to the Docker daemon.",
                code="docker-denied",
                hint=DOCKER_HINTS["docker-denied"],
                details=(str(problem),),
            ) from problem
        raise _unreachable(problem) from problem


def _unreachable(problem: Exception) -> DeployctlError:
    return DeployctlError(
        "The Docker daemon does not answer.",
        code="docker-unreachable",
        hint="deployctl setup",
        details=(str(problem),),
    )


def _state(data: dict[str, Any]) -> ContainerState:
    state, labels = data["State"], data["Config"]["Labels"]
    return ContainerState(
        service=labels.get(_SERVICE, ""),
        id=data["Id"],
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        restarts=data["RestartCount"],
        config_hash=labels.get(_HASH),
        image=data["Config"]["Image"],
        image_id=data["Image"],
        working_dir=labels.get(_WORKING_DIR),
        error=state.get("Error", ""),
        name=data["Name"].removeprefix("/"),
        started_at=_moment(state.get("StartedAt")),
        finished_at=_moment(state.get("FinishedAt")),
    )


def _moment(text: str | None) -> str | None:
    """A time as Docker gives it; what never happened has the year 1 there."""
    return None if not text or text.startswith("0001-") else text


def _nine_digits(moment: str | None) -> str:
    """A time as Docker writes it into logs; in states it leaves zeros at the end away."""
    if moment is None or not moment.endswith("Z"):
        return ""
    seconds, _, rest = moment.removesuffix("Z").partition(".")
    return f"{seconds}.{rest[:9]:0<9}Z"


def _a_little_before(moment: str | None) -> str:
    """A second earlier: the first lines of a container are older than the start Docker notes."""
    whole = _nine_digits(moment)
    if not whole:
        return ""
    earlier = datetime.fromisoformat(f"{whole[:19]}+00:00") - timedelta(seconds=1)
    return f"{earlier:%Y-%m-%dT%H:%M:%S}{whole[19:]}"


def _seconds(moment: str) -> int | None:
    """Whole seconds of a time, rounded down; the SDK takes no finer ones exactly."""
    if not moment:
        return None
    return int(datetime.fromisoformat(f"{moment[:19]}+00:00").timestamp())
