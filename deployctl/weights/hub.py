"""The model hub, through its own client: which URL, commit, size and checksum a file has there.

The only module that imports huggingface_hub, and only inside functions. The library reads the
environment when it is imported, so endpoint and token are always passed. One HEAD request, no
download (the package docstring says why).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from deployctl.model import Secret, Source
from deployctl.weights.bounded import bounded
from deployctl.weights.problems import (
    DeniedError,
    MissingError,
    OfflineError,
    SourceError,
    UnreachableError,
)
from deployctl.weights.web import Remote, proxy_evidence

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file on the hub. ``sha256`` is the hub's own for large files, ``None`` for small ones."""

    remote: Remote
    sha256: str | None


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
    host = urlsplit(place).netloc.rpartition("@")[2] or place
    try:
        return bounded(
            lambda: _head(source, place, host, environment, timeout_s), seconds=timeout_s
        )
    except OfflineError:
        raise
    except UnreachableError as problem:
        raise UnreachableError(
            f"The model hub {host} does not answer",
            evidence=(f"{host}: {problem}", *problem.evidence, *proxy_evidence(environment)),
        ) from problem


def _head(
    source: Source, place: str, host: str, environment: Mapping[str, str], timeout_s: float
) -> HubFile:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    token = _token(environment)
    url = hf_hub_url(source.repo, source.path, revision=source.revision, endpoint=place)
    try:
        seen = get_hf_file_metadata(
            url,
            token=token.reveal() if token else False,
            timeout=timeout_s,
            library_name="deployctl",
        )
    except HfHubHTTPError as problem:
        raise _meaning(problem, source, host, has_token=token is not None) from problem
    except OfflineModeIsEnabled as problem:
        raise OfflineError(
            "The model hub is not asked in offline mode", evidence=("HF_HUB_OFFLINE is set",)
        ) from problem
    except Exception as problem:
        # The library passes on whatever its HTTP client raises: httpx in 1.x, httpx2 in 2.x.
        if not isinstance(problem, OSError) and not type(problem).__module__.startswith("httpx"):
            raise
        raise UnreachableError(str(problem) or type(problem).__name__) from problem
    if seen.commit_hash is None or seen.etag is None:
        # What is not a hub names no commit: the sign-in page of a network, a filtering proxy.
        raise UnreachableError("something answered, but not like a model hub (it names no commit)")
    return HubFile(
        remote=Remote(
            # The commit, not the branch: the branch may move between this and the last byte.
            url=hf_hub_url(source.repo, source.path, revision=seen.commit_hash, endpoint=place),
            name=source.filename,
            token=token,
            size_bytes=seen.size,
            tag=seen.etag,
        ),
        sha256=seen.etag if _SHA256.fullmatch(seen.etag) else None,
    )


def _token(environment: Mapping[str, str]) -> Secret | None:
    """``HF_TOKEN``, else the one that ``hf auth login`` stored, else none."""
    from huggingface_hub import get_token

    value = environment.get("HF_TOKEN", "").strip() or get_token()
    return Secret(value) if value else None


def _meaning(problem: Exception, source: Source, host: str, *, has_token: bool) -> SourceError:
    response = getattr(problem, "response", None)
    status = getattr(response, "status_code", 0)
    said = (f"{host} answered: {_first_line(problem)}",)
    if status in (401, 403):
        # Without a valid token the hub answers 401 for a repository that does not exist, too.
        token = "with HF_TOKEN" if has_token else "without a token"
        return DeniedError(
            f"{host} refuses to give {source.filename} of {source.repo}: "
            "it is gated or private, or there is no such repository",
            evidence=(*said, f"asked {token}"),
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
