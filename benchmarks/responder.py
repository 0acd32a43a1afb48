"""A small upstream that answers at once, and as asked: what a gateway before it makes of that.

It stands in for an engine where a real one of the smallest profile cannot be used: it reasons, it
calls tools, it breaks off in the middle, and it counts the questions that reached it. What to
answer is the question's last word. Bodies look as llama-server b11434 writes them.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "responder"
_TOOL = {"id": "call_7", "type": "function", "index": 0}


def _deltas(word: str) -> tuple[dict[str, Any], ...]:
    """The pieces of a streamed answer."""
    if word == "tool":
        first = {**_TOOL, "function": {"name": "add", "arguments": ""}}
        rest = [{"index": 0, "function": {"arguments": each}} for each in ('{"a": ', "2}")]
        return tuple({"tool_calls": [each]} for each in (first, *rest))
    content = [{"content": each} for each in ("The ", "answer ", "is ", "four.")]
    if word == "reason":
        return (*({"reasoning_content": each} for each in ("Two and ", "two.")), *content)
    return tuple(content)


def _message(word: str) -> dict[str, Any]:
    """The same answer in one piece."""
    deltas = _deltas(word)
    if word == "tool":
        call = {**_TOOL, "function": {"name": "add", "arguments": '{"a": 2}'}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    text = {
        name: "".join(each.get(name, "") for each in deltas)
        for name in ("reasoning_content", "content")
    }
    return {"role": "assistant", **{name: value for name, value in text.items() if value}}


_TIMINGS = {"prompt_n": 3, "prompt_ms": 1.5, "predicted_n": 4, "predicted_ms": 2.5}
_USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@dataclass(slots=True)
class Seen:
    """What reached the responder, and what it said to the last of it."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answer: bytes = b""


def _handler(seen: Seen) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Write nothing."""

        def do_GET(self) -> None:
            self._whole({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length))
            seen.bodies.append(body)
            seen.answer = b""
            word = body["messages"][-1]["content"].split()[-1]
            own = {"id": f"chatcmpl-{len(seen.bodies)}", "created": 1_790_000_000, "model": MODEL}
            if body.get("stream"):
                self._stream(word, own)
                return
            choice = {"index": 0, "finish_reason": "stop", "message": _message(word)}
            answer = {"choices": [choice], "object": "chat.completion", **own}
            answer |= {"system_fingerprint": "b1", "usage": _USAGE, "timings": _TIMINGS}
            self._whole(answer, cut=word == "cut")

        def _whole(self, answer: dict[str, Any], *, cut: bool = False) -> None:
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            seen.answer = content[: len(content) // 2] if cut else content
            self.wfile.write(seen.answer)
            self.close_connection = cut

        def _stream(self, word: str, own: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            deltas = _deltas(word)
            slow_s = 0.0
            if word in {"cut", "short"}:  # broken off, or ended in order but before the end
                deltas, slow_s = deltas[:2], 0.1
            for delta in ({"role": "assistant", "content": None}, *deltas):
                self._piece(own, delta, None)
                time.sleep(slow_s)
            if word == "cut":
                self.close_connection = True
                return
            if word != "short":
                self._piece(own, {}, "tool_calls" if word == "tool" else "stop")
                self._chunk("data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def _piece(self, own: dict[str, Any], delta: dict[str, Any], why: str | None) -> None:
            choice = {"index": 0, "finish_reason": why, "delta": delta}
            event = {"choices": [choice], "object": "chat.completion.chunk", **own}
            event |= {"system_fingerprint": "b1"}
            if why:
                event |= {"timings": _TIMINGS}
            self._chunk(f"data: {json.dumps(event)}\n\n")

        def _chunk(self, text: str) -> None:
            seen.answer += text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text.encode()))
            self.wfile.flush()

    return Handler


class _Server(ThreadingHTTPServer):
    """Knows its connections: those that a gateway keeps open outlive the server otherwise."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        for each in self.connections:
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def responder() -> Iterator[Seen]:
    """Answer on loopback; nobody does afterwards, on no connection."""
    seen = Seen(url="")
    server = _Server(_handler(seen))
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()
