"""Requests for model files: how they are opened, signed and judged. The only HTTP of the store.

Proxies and ``~/.netrc`` are requests' own business (from the process's environment). Certificates
are the system's in addition to requests' bundle, because a company's own authority is installed
there, and pip and huggingface_hub trust it too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deployctl.secret import Secret
from deployctl.weights.bounded import bounded
from deployctl.weights.problems import (
    CorruptError,
    CutError,
    DeniedError,
    MissingError,
    UnreachableError,
)

if TYPE_CHECKING:
    import ssl

    import requests  # an edge module; imported for real inside the functions

#: A host that does not even connect in this time is not going to serve a gigabyte.
_CONNECT_S = 5.0
#: Silence in the middle of a download: treated like a cut connection, then resumed.
_SILENCE_S = 30.0
_LONGEST_PAUSE_S = 30.0
#: A look at the beginning of a file, some MiB at most, all together.
_PEEK_S = 60.0

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403, 407, 451})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A file at a URL and what is known of it before the download."""

    url: str
    name: str  # of the file, for messages
    token: Secret | None = None  # sent to the URL's own host only
    size_bytes: int | None = None
    tag: str | None = None  # names the exact content: a checksum

    @property
    def host(self) -> str:
        """Who is asked, as written in the URL, with the port when there is one."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def url_answers(url: str, *, timeout_s: float) -> bool:
    """Whether a file can be had from ``url`` now. Raises what the network or the server says."""
    remote = Remote(url=url, name=url)
    with session() as http, http.get(url, stream=True, timeout=timeout_s) as response:
        judge(response, remote)
    return True


def session() -> requests.Session:
    """A requests session that trusts the system's certificate authorities too."""
    import requests
    from requests.adapters import HTTPAdapter

    class SystemTrust(HTTPAdapter):
        def init_poolmanager(self, *args: object, **kwargs: object) -> None:
            kwargs["ssl_context"] = _system_trust()
            super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]  # passed through

        def proxy_manager_for(self, *args: object, **kwargs: object) -> object:
            kwargs["ssl_context"] = _system_trust()
            return super().proxy_manager_for(*args, **kwargs)  # type: ignore[arg-type]  # the same

    http = requests.Session()
    http.mount("https://", SystemTrust())
    # Compressed bytes could neither be counted nor resumed.
    http.headers.update({"User-Agent": "deployctl", "Accept-Encoding": "identity"})
    return http


@functools.cache
def _system_trust() -> ssl.SSLContext:
    """The authorities, read once: that takes a fiftieth of a second."""
    import ssl

    return ssl.create_default_context()


def open_at(
    http: requests.Session, remote: Remote, *, start: int, if_range: str | None
) -> requests.Response:
    """Ask for the file from byte ``start`` on; the whole of it if it is not ``if_range`` any more.

    Returns before the body is read. Raises ``requests.RequestException``.
    """
    headers = {}
    if start:
        headers["Range"] = f"bytes={start}-"
        if if_range is not None:
            headers["If-Range"] = if_range
    return http.get(
        remote.url,
        headers=headers,
        auth=_bearer(remote.token),
        stream=True,
        timeout=(_CONNECT_S, _SILENCE_S),
    )


def first_bytes(
    remote: Remote, count: int, *, environment: Mapping[str, str], start: int = 0
) -> tuple[bytes, int | None]:
    """At most ``count`` bytes from ``start`` on, and the size of the whole file if it is said.

    Writes nothing. Raises ``UnreachableError``, ``MissingError``, ``DeniedError`` or
    ``CorruptError``.
    """
    import requests

    try:
        return bounded(lambda: _bytes_at(remote, start, count), seconds=_PEEK_S)
    except (requests.RequestException, CutError, UnreachableError) as problem:
        ours = isinstance(problem, (CutError, UnreachableError))
        why = str(problem) if ours else innermost(problem)
        raise UnreachableError(
            f"{remote.host} does not answer",
            evidence=(f"{remote.host}: {why}", *proxy_evidence(environment)),
        ) from problem


def _bytes_at(remote: Remote, start: int, count: int) -> tuple[bytes, int | None]:
    """The same in one request. A server without ranges is read up to there and left."""
    with session() as http:
        response = http.get(
            remote.url,
            headers={"Range": f"bytes={start}-{start + count - 1}"},
            auth=_bearer(remote.token),
            stream=True,
            timeout=(_CONNECT_S, _SILENCE_S),
        )
        with response:
            judge(response, remote)
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return b"", start
            began, total = placed(response, start)
            found = bytearray()
            for chunk in response.iter_content(1 << 16):
                found += chunk
                if len(found) >= start - began + count:
                    break
    return bytes(found[start - began :][:count]), total


def _bearer(
    token: Secret | None,
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
    """Authentication as a callable: a plain header would lose to an entry in ``~/.netrc``."""
    if token is None:
        return None

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token.reveal()}"
        return request

    return sign


def judge(response: requests.Response, remote: Remote) -> None:
    """Raise what the response means, unless it brings the file or refuses the range (416)."""
    status, host = response.status_code, remote.host
    said = (f"{host} answered: {status} {response.reason or ''}".rstrip(),)
    if status in _TRY_AGAIN:
        raise CutError(said[0], answered=True, pause_s=_asked_pause(response.headers))
    if status in _REFUSED:
        raise DeniedError(f"{host} refuses to give {remote.name}", evidence=said)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return
    if status >= HTTPStatus.BAD_REQUEST:
        raise MissingError(f"{host} does not have {remote.name}", evidence=said)
    if urlsplit(remote.url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise DeniedError(
            f"{host} sends the download of {remote.name} over an unencrypted connection",
            evidence=(f"redirected to: {urlsplit(response.url).netloc}",),
        )
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise CorruptError(
            f"{host} answered with a web page instead of {remote.name}",
            evidence=(*said, f"content type: {response.headers['Content-Type']}"),
        )


def placed(response: requests.Response, start: int) -> tuple[int, int | None]:
    """Where the body belongs in the file, and the size of the whole file if the server says.

    Raises ``CorruptError`` when the server sent another range than the one from ``start`` on.
    """
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0, _number(response.headers.get("Content-Length"))
    place, _, whole = response.headers.get("Content-Range", "").rpartition("/")
    if not place.startswith(f"bytes {start}-"):
        raise CorruptError(
            "The server sent another part of the file than the one that was asked for",
            evidence=(f"asked from byte {start}", f"got: {place or 'no Content-Range'}"),
        )
    return start, _number(whole)


def continue_tag(response: requests.Response) -> str | None:
    """What may be sent as ``If-Range`` later: a strong entity tag or a date (RFC 9110, 13.1.5)."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def proxy_evidence(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The proxies in use, without their passwords: a frequent reason for silence."""
    lines = []
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        value = environment.get(name) or environment.get(name.upper())
        if value:
            lines.append(f"{name}: {value.rpartition('@')[2]}")
    return tuple(lines)


def innermost(problem: BaseException) -> str:
    """The reason inside: requests wraps layers of pool and object addresses around it."""
    seen: set[int] = set()
    while id(problem) not in seen:
        seen.add(id(problem))
        inside = (getattr(problem, "reason", None), *problem.args, problem.__cause__)
        problem = next((item for item in inside if isinstance(item, BaseException)), problem)
    text = str(problem)
    return text.rpartition(">: ")[2].strip() or type(problem).__name__


def _asked_pause(headers: Mapping[str, str]) -> float | None:
    seconds = _number(headers.get("Retry-After"))
    return None if seconds is None else min(float(seconds), _LONGEST_PAUSE_S)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
