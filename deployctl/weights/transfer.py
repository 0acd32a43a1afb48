"""One resumable download for every URL: ranged HTTP into a ``.part`` file. The only HTTP here.

Resumes after a cut connection within the call (a few tries, growing pauses) and across calls (the
part stays). Proxies and ``~/.netrc`` are requests' own business (from the process's environment);
certificates are the system's in addition to requests' bundle, because a company's own authority is
installed there and pip and huggingface_hub use it too.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from deployctl.model import Progress, Secret
from deployctl.weights.bounded import bounded
from deployctl.weights.meter import Meter
from deployctl.weights.problems import Corrupt, Denied, Missing, NoSpace, Unreachable
from deployctl.weights.records import PartOf, load_part, save
from deployctl.weights.words import in_words

if TYPE_CHECKING:
    import requests  # noqa: TID251  # an edge module; imported for real inside the functions

#: A host that does not even connect in this time is not going to serve a gigabyte.
_CONNECT_S = 5.0
#: Silence in the middle of a download: treated like a cut connection, then resumed.
_SILENCE_S = 30.0
#: Connecting and the first headers, all addresses of a name together.
_OPEN_S = 20.0
_CHUNK_BYTES = 1 << 20
#: Pauses after failures in a row. A try that brought a megabyte or more starts the row again.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_PAUSE_FIRST_CONTACT_S = (0.5,)
_LONGEST_PAUSE_S = 30.0
_PROGRESS_WORTH_BYTES = 1 << 20

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403, 407, 451})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A file at a URL and what is known of it before the download."""

    url: str
    name: str  # of the file, for messages
    token: Secret | None = None  # sent to the URL's own host only
    size_bytes: int | None = None
    tag: str | None = None  # names the exact content (the hub's checksum)

    @property
    def host(self) -> str:
        """Who is asked, as written in the URL, with the port when there is one."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class _Cut(Exception):
    """The transfer ended early in a way that a new try may mend."""

    def __init__(self, why: str, *, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class Transfer:
    """Downloads into a part file. ``disk_free`` gives the free bytes of a folder's disk."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        disk_free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.disk_free = disk_free

    def download(self, remote: Remote, part: Path, *, progress: Progress) -> None:
        """Make ``part`` the whole file, continuing what is there when it is of the same content.

        Raises the problems of :mod:`deployctl.weights.problems`; the part stays in every case.
        """
        _forget_foreign_part(remote, part)
        answered, failures = False, 0
        while True:
            before = _size(part)
            if remote.size_bytes is not None and before == remote.size_bytes:
                return
            try:
                self._attempt(remote, part, progress)
            except _Cut as cut:
                # Whoever has written the note has seen an answer in this call or an earlier one.
                answered = answered or _note(part).exists()
                failures = 1 if _size(part) - before >= _PROGRESS_WORTH_BYTES else failures + 1
                pauses = _PAUSES_S if answered else _PAUSE_FIRST_CONTACT_S
                if failures > len(pauses):
                    raise Unreachable(
                        f"{remote.host} stopped answering during the download of {remote.name}"
                        if _size(part)
                        else f"{remote.host} does not answer",
                        evidence=(str(cut), *_what_is_here(part), *proxy_evidence(os.environ)),
                    ) from cut
                pause = cut.pause_s if cut.pause_s is not None else pauses[failures - 1]
                progress(
                    f"{remote.host}: {cut}; trying again in {pause:.1f} s",
                    done=_size(part),
                    total=remote.size_bytes,
                )
                self._sleep(pause)
            else:
                return

    def _attempt(self, remote: Remote, part: Path, progress: Progress) -> None:
        import requests  # noqa: TID251  # edge module

        start = _size(part)
        try:
            with session() as http:
                response = bounded(lambda: _open(http, remote, part, start), seconds=_OPEN_S)
                with response:
                    self._receive(response, remote, part, start, progress)
        except (requests.RequestException, Unreachable) as problem:
            # requests raises these for everything between the name look-up and a cut body.
            raise _Cut(_shortly(problem)) from problem
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpace(
                    f"The disk ran full during the download of {remote.name}",
                    evidence=(f"folder: {part.parent}", *_what_is_here(part)),
                ) from problem
            raise

    def _receive(
        self,
        response: requests.Response,
        remote: Remote,
        part: Path,
        start: int,
        progress: Progress,
    ) -> None:
        judge_status(response, remote, start)
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # What is here is longer than what is there: another file. Begin again.
            part.unlink(missing_ok=True)
            raise _Cut("the file at the source has changed", pause_s=0.0)
        start, total = _placed(response, start)
        if remote.size_bytes is not None and total is not None and total != remote.size_bytes:
            raise Corrupt(
                f"{remote.host} offers {remote.name} in a size that is not the expected one",
                evidence=(
                    f"expected: {in_words(remote.size_bytes)}",
                    f"offered:  {in_words(total)}",
                ),
            )
        total = remote.size_bytes if total is None else total
        self.check_space(remote.name, part.parent, None if total is None else total - start)
        save(_note(part), _part_of(remote, response, total))
        meter = Meter(progress, f"downloading {remote.name}", total=total, clock=self._clock)
        with _opened(part, start) as file:
            done = start
            meter.at(done)
            for chunk in response.iter_content(_CHUNK_BYTES // 4):
                file.write(chunk)
                done += len(chunk)
                meter.at(done)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done < total:
            raise _Cut(f"the connection was closed at {done:,} of {total:,} bytes")
        if total is not None and done > total:
            raise Corrupt(f"{remote.host} sent more than the {total:,} bytes of {remote.name}")

    def check_space(self, name: str, folder: Path, needed_bytes: int | None) -> None:
        """Raise ``NoSpace`` with the numbers when the disk of ``folder`` has less than needed."""
        free = self.disk_free(folder)
        if needed_bytes is not None and needed_bytes > free:
            raise NoSpace(
                f"{name} needs {in_words(needed_bytes)} more, and the disk of {folder} has "
                f"{in_words(free)} left",
                evidence=(f"short of: {in_words(needed_bytes - free)}", f"folder: {folder}"),
            )


def session() -> requests.Session:
    """A requests session that trusts the system's certificate authorities too."""
    import ssl

    import requests  # noqa: TID251  # edge module
    from requests.adapters import HTTPAdapter  # noqa: TID251  # edge module

    class SystemTrust(HTTPAdapter):
        def init_poolmanager(self, *args: object, **kwargs: object) -> None:
            kwargs["ssl_context"] = ssl.create_default_context()
            super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]  # passed through

    http = requests.Session()
    http.mount("https://", SystemTrust())
    # Compressed bytes could neither be counted nor resumed.
    http.headers.update({"User-Agent": "deployctl", "Accept-Encoding": "identity"})
    return http


def _open(
    http: requests.Session, remote: Remote, part: Path, start: int
) -> requests.Response:
    headers = {}
    if start:
        headers["Range"] = f"bytes={start}-"
        known = load_part(_note(part))
        if known is not None and known.tag is not None and not known.strong:
            headers["If-Range"] = known.tag
    return http.get(
        remote.url,
        headers=headers,
        auth=_bearer(remote.token),
        stream=True,
        timeout=(_CONNECT_S, _SILENCE_S),
    )


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


def judge_status(response: requests.Response, remote: Remote, start: int = 0) -> None:
    """Raise what a response means unless it brings the file (or says that ``start`` is wrong)."""
    status, host = response.status_code, remote.host
    said = (f"{host} answered: {status} {response.reason or ''}".rstrip(),)
    if status in _TRY_AGAIN:
        raise _Cut(said[0], pause_s=_asked_pause(response.headers))
    if status in _REFUSED:
        raise Denied(f"{host} refuses to give {remote.name}", evidence=said)
    if start and status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return
    if status >= HTTPStatus.BAD_REQUEST:
        raise Missing(f"{host} does not have {remote.name}", evidence=said)
    if urlsplit(remote.url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise Denied(
            f"{host} sends the download of {remote.name} over an unencrypted connection",
            evidence=(f"redirected to: {urlsplit(response.url).netloc}",),
        )
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise Corrupt(
            f"{host} answered with a web page instead of {remote.name}",
            evidence=(*said, f"content type: {response.headers['Content-Type']}"),
        )


def _placed(response: requests.Response, start: int) -> tuple[int, int | None]:
    """Where the body belongs in the file, and the size of the whole file if the server says."""
    length = _number(response.headers.get("Content-Length"))
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0, length
    place, _, whole = response.headers.get("Content-Range", "").rpartition("/")
    if not place.startswith(f"bytes {start}-"):
        raise Corrupt(
            "The server sent another part of the file than the one that was asked for",
            evidence=(f"asked from byte {start}", f"got: {place or 'no Content-Range'}"),
        )
    return start, _number(whole)


def _part_of(remote: Remote, response: requests.Response, total: int | None) -> PartOf:
    if remote.tag is not None:
        return PartOf(tag=remote.tag, strong=True, size_bytes=total)
    tag = response.headers.get("ETag", "")
    # Only a strong entity tag (or a date) may be used to continue a download (RFC 9110, 13.1.5).
    usable = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    return PartOf(tag=usable, strong=False, size_bytes=total)


def _forget_foreign_part(remote: Remote, part: Path) -> None:
    """Remove a part that is not the beginning of ``remote``, as far as can be told here."""
    known = load_part(_note(part))
    foreign = known is None or (
        (remote.tag is not None and known.tag != remote.tag)
        or (remote.size_bytes is not None and _size(part) > remote.size_bytes)
        or (remote.tag is None and known.tag is None and known.size_bytes is None)
    )
    if foreign:
        forget(part)


def forget(part: Path) -> None:
    """Remove a part and its note, if they are there."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _opened(part: Path, start: int) -> BinaryIO:
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    file.truncate(start)
    file.seek(start)
    return file


def _what_is_here(part: Path) -> tuple[str, ...]:
    size = _size(part)
    return (f"kept for the next time: {part} ({in_words(size)})",) if size else ()


def proxy_evidence(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The proxies in use, without their passwords: a frequent reason for silence."""
    lines = []
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        value = environment.get(name) or environment.get(name.upper())
        if value:
            lines.append(f"{name}: {value.rpartition('@')[2]}")
    return tuple(lines)


def _asked_pause(headers: Mapping[str, str]) -> float | None:
    seconds = _number(headers.get("Retry-After"))
    return None if seconds is None else min(float(seconds), _LONGEST_PAUSE_S)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _shortly(problem: Exception) -> str:
    """The innermost reason: requests wraps three layers of object addresses around it."""
    inner: BaseException = problem
    seen = {id(inner)}
    while True:
        reason = getattr(inner, "reason", None)
        arguments = (reason, *inner.args, inner.__cause__)
        deeper = next((a for a in arguments if isinstance(a, BaseException)), None)
        if deeper is None or id(deeper) in seen:
            break
        seen.add(id(deeper))
        inner = deeper
    text = str(inner).rpartition(">: ")[2] or type(inner).__name__
    return text.removeprefix("('").strip()
