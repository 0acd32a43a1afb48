"""The model hub, through its own client: which URL, commit, size and checksum a file has there.

The only module that imports huggingface_hub, and only inside functions. The library reads the
environment when it is imported, so endpoint and token are always passed. One request for a file
or a repository, no download (the package docstring says why).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from deployctl.model import Source
from deployctl.secret import Secret
from deployctl.weights.bounded import bounded
from deployctl.weights.problems import (
    DeniedError,
    MissingError,
    OfflineError,
    SourceError,
    UnreachableError,
)
from deployctl.weights.web import Remote, proxy_evidence

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

T = TypeVar("T")

#: What the hub writes before the name of a repository of data, in its own addresses too.
DATASETS = "datasets/"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_HUB = "something answered, but not like a model hub (it names no commit)"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file on the hub. ``sha256`` is the hub's own for large files, ``None`` for small ones."""

    remote: Remote
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepository:
    """A repository at one commit. ``license`` is the hub's word for it, ``None`` if unsaid.

    A file of which the list says no size has none in its ``remote``.
    """

    commit: str
    gated: bool
    license: str | None
    files: tuple[HubFile, ...]


def endpoint(environment: Mapping[str, str]) -> str:
    """The hub in use: ``HF_ENDPOINT`` or the library's default, without a slash at the end."""
    configured = environment.get("HF_ENDPOINT", "").strip()
    if configured:
        return configured.rstrip("/")
    from huggingface_hub import constants

    return constants.ENDPOINT


def look(source: Source, *, environment: Mapping[str, str], timeout_s: float) -> HubFile:
    """Ask the hub for the file, once, for at most ``timeout_s`` seconds.

    Raises ``UnreachableError``, ``MissingError`` or ``DeniedError``.
    """
    place = endpoint(environment)
    return _within(
        place, environment, timeout_s, lambda: _head(source, place, environment, timeout_s)
    )


def look_at_repository(
    source: Source, *, environment: Mapping[str, str], timeout_s: float
) -> HubRepository:
    """Ask the hub for the list of files that the revision has now, once.

    Raises ``UnreachableError``, ``MissingError`` or ``DeniedError``.
    """
    place = endpoint(environment)
    return _within(
        place, environment, timeout_s, lambda: _list(source, place, environment, timeout_s)
    )


def _within(
    place: str, environment: Mapping[str, str], timeout_s: float, ask: Callable[[], T]
) -> T:
    host = _host(place)
    try:
        return bounded(ask, seconds=timeout_s)
    except OfflineError:
        raise
    except UnreachableError as problem:
        raise UnreachableError(
            f"The model hub {host} does not answer",
            evidence=(f"{host}: {problem}", *problem.evidence, *proxy_evidence(environment)),
        ) from problem


def _host(place: str) -> str:
    return urlsplit(place).netloc.rpartition("@")[2] or place


@contextmanager
def _understood(source: Source, place: str, *, has_token: bool) -> Iterator[None]:
    """Whatever the library raises inside the block, as a problem of ours."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except HfHubHTTPError as problem:
        raise _meaning(problem, source, place, has_token=has_token) from problem
    except OfflineModeIsEnabled as problem:
        raise OfflineError(
            "The model hub is not asked in offline mode", evidence=("HF_HUB_OFFLINE is set",)
        ) from problem
    except Exception as problem:
        # The library passes on whatever its HTTP client raises: httpx in 1.x, httpx2 in 2.x.
        if not isinstance(problem, OSError) and not type(problem).__module__.startswith("httpx"):
            raise
        raise UnreachableError(str(problem) or type(problem).__name__) from problem


def _head(source: Source, place: str, environment: Mapping[str, str], timeout_s: float) -> HubFile:
    from huggingface_hub import get_hf_file_metadata

    token = _token(environment)
    url = _url(source, source.path, source.revision, place)
    with _understood(source, place, has_token=token is not None):
        seen = get_hf_file_metadata(
            url,
            token=token.reveal() if token else False,
            timeout=timeout_s,
            library_name="deployctl",
        )
    if seen.commit_hash is None or seen.etag is None:
        # What is not a hub names no commit: the sign-in page of a network, a filtering proxy.
        raise UnreachableError(_NO_HUB)
    return HubFile(
        remote=Remote(
            # The commit, not the branch: the branch may move between this and the last byte.
            url=_url(source, source.path, seen.commit_hash, place),
            name=source.filename,
            token=token,
            size_bytes=seen.size,
            tag=seen.etag,
        ),
        sha256=seen.etag if _SHA256.fullmatch(seen.etag) else None,
    )


def _list(
    source: Source, place: str, environment: Mapping[str, str], timeout_s: float
) -> HubRepository:
    from huggingface_hub import HfApi

    token = _token(environment)
    api = HfApi(endpoint=place, library_name="deployctl")
    with _understood(source, place, has_token=token is not None):
        try:
            seen = api.model_info(
                source.repo,
                revision=source.revision,
                timeout=timeout_s,
                files_metadata=True,
                token=token.reveal() if token else False,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise UnreachableError(_NO_HUB, evidence=(repr(problem)[:200],)) from problem
    if seen.sha is None:
        raise UnreachableError(_NO_HUB)
    tags = [tag for tag in seen.tags or [] if isinstance(tag, str)]
    return HubRepository(
        commit=seen.sha,
        gated=bool(seen.gated),
        license=next((t.partition(":")[2] for t in tags if t.startswith("license:")), None),
        files=tuple(
            _listed(sibling, source, seen.sha, place, token) for sibling in seen.siblings or []
        ),
    )


def _listed(
    sibling: RepoSibling, source: Source, commit: str, place: str, token: Secret | None
) -> HubFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    name = sibling.rfilename
    return HubFile(
        remote=Remote(
            url=_url(source, name, commit, place),
            name=name,
            token=token,
            size_bytes=sibling.size,
            tag=sha256 or sibling.blob_id,
        ),
        sha256=sha256,
    )


def _url(source: Source, name: str, revision: str, place: str) -> str:
    """Where a file of the repository is; one of data has :data:`DATASETS` before its name."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(
        source.repo.removeprefix(DATASETS),
        name,
        repo_type="dataset" if source.repo.startswith(DATASETS) else None,
        revision=revision,
        endpoint=place,
    )


def _token(environment: Mapping[str, str]) -> Secret | None:
    """``HF_TOKEN``, else the one that ``hf auth login`` stored, else none."""
    from huggingface_hub import get_token

    value = environment.get("HF_TOKEN", "").strip() or get_token()
    return Secret(value) if value else None


def _meaning(problem: Exception, source: Source, place: str, *, has_token: bool) -> SourceError:
    host = _host(place)
    response = getattr(problem, "response", None)
    status = getattr(response, "status_code", 0)
    said = (f"{host} answered: {_first_line(problem)}",)
    if status in (401, 403):
        # Without a valid token the hub answers 401 for a repository that does not exist, too.
        token = "with HF_TOKEN" if has_token else "without a token"
        what = f"{source.filename} of {source.repo}" if source.path else source.repo
        return DeniedError(
            f"{host} refuses to give {what}: "
            "it is gated or private, or there is no such repository",
            evidence=(*said, f"asked {token}"),
            page=f"{urlsplit(place).scheme}://{host}{urlsplit(place).path}/{source.repo}",
        )
    if status == 404:
        what = {
            "RepositoryNotFoundError": f"no repository {source.repo}",
            "RevisionNotFoundError": f"no revision {source.revision} of {source.repo}",
        }.get(type(problem).__name__, f"no file {source.path} in {source.repo}@{source.revision}")
        return MissingError(f"{host} has {what}", evidence=said)
    return UnreachableError(_first_line(problem))


def _first_line(problem: Exception) -> str:
    return next((line for line in str(problem).splitlines() if line.strip()), repr(problem))
