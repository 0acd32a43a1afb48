"""One question to a gateway or an engine: every byte of the answer, and when it came."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where chat completions are had; ``url`` without /v1."""

    name: str
    url: str
    key: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """``status`` 0: the connection broke before one; ``broken``: it broke in the middle."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_s: float  # until the first piece with a choice; of an answer in one piece: the whole
    whole_s: float
    broken: bool

    @property
    def events(self) -> tuple[dict[str, Any], ...]:
        """What a stream said, one by one, without its [DONE]."""
        return tuple(
            json.loads(line[6:]) for line in self.body.split(b"\n") if line.startswith(b"data: {")
        )

    @property
    def fields(self) -> frozenset[str]:
        """Paths of all keys that have a value, such as ``choices.delta.content``."""
        whole = self.events or (json.loads(self.body),)
        return frozenset(path for each in whole for path in _paths(each))


def _paths(value: object, before: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{before}.{name}" if before else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, before)
    elif value is not None:
        yield before


def question(endpoint: Endpoint, text: str, **more: object) -> dict[str, Any]:
    """A body at temperature 0."""
    messages = [{"role": "user", "content": text}]
    return {"model": endpoint.model, "messages": messages, "temperature": 0, **more}


def ask(endpoint: Endpoint, body: Mapping[str, Any], *, patience_s: float = 120) -> Reply:
    """Ask once, over a connection of its own."""
    to = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=patience_s)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {endpoint.key}"}
    begun = time.perf_counter()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
        return _read(connection.getresponse(), begun)
    except (OSError, http.client.HTTPException):
        spent = time.perf_counter() - begun
        return Reply(status=0, headers={}, body=b"", first_s=spent, whole_s=spent, broken=True)
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, begun: float) -> Reply:
    body, first_s, broken = b"", 0.0, False
    try:
        while piece := answer.read1(65536):
            body += piece
            if not first_s and (b'"delta"' in body or not body.startswith(b"data:")):
                first_s = time.perf_counter() - begun
    except (OSError, http.client.HTTPException):
        broken = True
    # http.client says nothing of a body that ends before its Content-Length, read piece by piece.
    broken = broken or bool(answer.length)
    return Reply(
        status=answer.status,
        headers={name.lower(): value for name, value in answer.getheaders()},
        body=body,
        first_s=first_s,
        whole_s=time.perf_counter() - begun,
        broken=broken,
    )
