"""A local server that speaks enough of the model hub's protocol for the hub's own client.

``/ORG/REPO/resolve/REV/FILE`` answers HEAD and GET. A large file is a redirect to another origin
(``localhost`` instead of ``127.0.0.1``, as the hub redirects to its CDN) that carries
``X-Repo-Commit``, ``X-Linked-Etag`` and ``X-Linked-Size``; the CDN side knows ranges and can cut
the connection. ``/web/FILE`` is a plain web server with an ETag. Refusals carry ``X-Error-Code``.
A repository of data has ``datasets/`` before its name, in addresses and in ``files``.
``/api/models/ORG/REPO/revision/REV`` lists a repository, to everybody, as the hub does.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubFile:
    """A file the server has, and how it misbehaves with it."""

    content: bytes
    large: bool = True  # stored in the hub's large file storage: a checksum is known
    cuts: list[int] = field(default_factory=list)  # bytes sent before each next GET is cut
    statuses: list[int] = field(default_factory=list)  # answered instead, one per next GET
    token: str | None = None  # needed, else 401
    forbidden: bool = False  # 403: the licence was not accepted
    html: bool = False  # a sign-in page comes instead
    ranges: bool = True  # whether Range is honoured
    says_length: bool = True
    gate: Event | None = None  # GET waits for it after the first half

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    host: str
    headers: dict[str, str]


class _QuietServer(ThreadingHTTPServer):
    """Does not complain when a client hangs up: that is what the tests are about."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class HubServer:
    """Runs on a free port of 127.0.0.1. ``files`` maps ``ORG/REPO/FILE`` to the file."""

    def __init__(self) -> None:
        self.files: dict[str, HubFile] = {}
        self.seen: list[Seen] = []
        self.commit = COMMIT  # what main is now
        self.licenses: dict[str, str] = {}  # ORG/REPO → as its card says
        self.says_sizes = True  # whether the list of a repository has sizes and checksums
        self.portal = False  # every request gets a web page, as behind a captive portal
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def bodies(self) -> list[Seen]:
        """The requests that asked for content: not the looks, not the redirects."""
        return [s for s in self.seen if s.method == "GET" and s.path.startswith(("/cdn/", "/web/"))]

    def add(self, repo: str, files: dict[str, bytes]) -> dict[str, HubFile]:
        """Put files into a repository: safetensors into the large file storage, the rest not."""
        added = {
            name: HubFile(content, large=name.endswith((".safetensors", ".gguf", ".bin")))
            for name, content in files.items()
        }
        self.files.update({f"{repo}/{name}": file for name, file in added.items()})
        return added

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            hub = server

        return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.seen.append(Seen(self.command, path, headers.get("host", ""), headers))
        if self.hub.portal:
            return self._page()
        if path.startswith(("/cdn/", "/web/")):
            file = self.hub.files.get(path[5:])
            return self._content(file) if file else self._answer(404)
        if path.startswith("/api/models/"):
            org, repo, verb, revision = (*path[12:].split("/", 3), "", "", "main")[:4]
            return self._list(f"{org}/{repo}", revision, tree=verb == "tree")
        kind = "datasets/" if path.startswith("/datasets/") else ""
        place = path.strip("/").removeprefix(kind)
        org, repo, verb, revision, name = (*place.split("/", 4), *[""] * 5)[:5]
        if verb != "resolve":
            return self._answer(404)
        return self._resolve(f"{kind}{org}/{repo}", revision, name)

    def _list(self, repo: str, revision: str, *, tree: bool) -> None:
        files = {
            key.removeprefix(f"{repo}/"): file
            for key, file in self.hub.files.items()
            if key.startswith(f"{repo}/")
        }
        if not files:
            return self._answer(401, {"X-Error-Code": "RepoNotFound"})  # as the hub to strangers
        if revision not in ("main", self.hub.commit):
            return self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if tree:
            entries = [
                {"type": "file", "path": name, "size": len(file.content), "oid": "0" * 40}
                for name, file in files.items()
            ]
            return self._answer(200, headers, json.dumps(entries).encode())
        license_ = self.hub.licenses.get(repo)
        body = {
            "id": repo,
            "sha": self.hub.commit,
            "gated": "manual" if any(f.token or f.forbidden for f in files.values()) else False,
            "tags": ["safetensors", *([f"license:{license_}"] if license_ else [])],
            "siblings": [self._sibling(name, file) for name, file in files.items()],
        }
        return self._answer(200, headers, json.dumps(body).encode())

    def _sibling(self, name: str, file: HubFile) -> dict[str, Any]:
        if not self.hub.says_sizes:
            return {"rfilename": name}
        lfs = {"sha256": file.sha256, "size": len(file.content), "pointerSize": 134}
        sibling = {
            "rfilename": name,
            "size": len(file.content),
            "blobId": hashlib.sha1(file.content).hexdigest(),
        }
        return {**sibling, "lfs": lfs} if file.large else sibling

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if not any(key.startswith(f"{repo}/") for key in self.hub.files):
            return self._answer(404, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", self.hub.commit):
            return self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        file = self.hub.files.get(f"{repo}/{name}")
        if file is None:
            return self._answer(404, {"X-Error-Code": "EntryNotFound"})
        if file.token and self.headers.get("Authorization") != f"Bearer {file.token}":
            return self._answer(401, {"X-Error-Code": "GatedRepo"})
        if file.forbidden:
            return self._answer(403, {"X-Error-Code": "GatedRepo"})
        if file.large:
            return self._answer(
                302,
                {
                    "Location": f"http://localhost:{self.hub.port}/cdn/{repo}/{name}",
                    "X-Repo-Commit": self.hub.commit,
                    "X-Linked-Etag": f'"{file.sha256}"',
                    "X-Linked-Size": str(len(file.content)),
                },
            )
        return self._content(file)

    def _content(self, file: HubFile) -> None:
        if self.command == "GET" and file.statuses:
            return self._answer(file.statuses.pop(0), {"Retry-After": "7"})
        if file.html:
            return self._page()
        etag = f'"{hashlib.sha1(file.content).hexdigest()}"'
        start, end = self._span(file, etag)
        if start > 0 and start >= len(file.content):
            return self._answer(416, {"Content-Range": f"bytes */{len(file.content)}"})
        body = file.content[start:end]
        partial = len(body) < len(file.content)
        self.send_response(206 if partial else 200)
        self.send_header("ETag", etag)
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("Content-Type", "application/octet-stream")
        if partial:
            span = f"bytes {start}-{start + len(body) - 1}/{len(file.content)}"
            self.send_header("Content-Range", span)
        if file.says_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        return self._send(file, body)

    def _send(self, file: HubFile, body: bytes) -> None:
        if self.command == "HEAD":
            return
        if file.cuts:
            self.wfile.write(body[: file.cuts.pop(0)])
            self.close_connection = True
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        if file.gate is not None:
            file.gate.wait(10)
        self.wfile.write(body[half:])

    def _span(self, file: HubFile, etag: str) -> tuple[int, int]:
        asked = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if not file.ranges or not asked or (condition is not None and condition != etag):
            return 0, len(file.content)
        start, _, end = asked.removeprefix("bytes=").partition("-")
        return int(start), min(int(end) + 1, len(file.content)) if end else len(file.content)

    def _page(self) -> None:
        page = b"<!doctype html><title>Sign in to the network</title>"
        self._answer(200, {"Content-Type": "text/html; charset=utf-8"}, page)

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def running() -> Iterator[HubServer]:
    """A started server, stopped at the end of the block."""
    server = HubServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
