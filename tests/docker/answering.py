"""Plays an engine in a container: it says of each answer which one it is, and fails as told.

Standard library; the question's ``metadata`` says what to do: ``pieces``, ``length``, ``do``
(refuse, error, part, die, abort, tool; gone: hang up unanswered), ``hold`` (send nothing after the
first piece, or nothing at all, until /release was asked). A POST to /slow is not read until then.
"""

import http.server
import itertools
import json
import socketserver
import threading
from typing import Any

KEYS = {f"Bearer key-{name}" for name in ("one", "two")}
CALL = {"index": 0, "id": "call_7", "function": {"name": "add", "arguments": '{"a": "\u00e4\n"}'}}
NUMBERS = itertools.count(1)
RELEASED = threading.Event()
HELD = threading.Semaphore(0)
FINISHED: list[int] = []


class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/release":
            RELEASED.set()
            HELD.release(1000)
        self.whole(200, {"path": self.path, "finished": FINISHED})

    def do_POST(self) -> None:
        if self.path == "/slow":
            assert HELD.acquire(timeout=60)
        body = self.body()
        if self.headers["Authorization"] not in KEYS:
            self.whole(401, {"error": {"message": "Invalid API Key"}})
            return
        try:
            read = json.loads(body)
        except (ValueError, RecursionError):
            read = None
        question = read if isinstance(read, dict) else {}
        asked = question.get("metadata") or {}
        number, do = next(NUMBERS), asked.get("do", "")
        if do == "gone":
            self.close_connection = True
            return
        if question.get("stream"):
            self.stream(asked, number, do)
            return
        answer: dict[str, Any] = {"number": number, "bytes": len(body), "path": self.path}
        answer |= {"headers": sorted(name.lower() for name in self.headers)}
        answer |= {"error": {"message": "out of memory"}} if do == "error" else {}
        answer |= {"choices": [{"finish_reason": "abort"}]} if do == "abort" else {}
        answer |= {"choices": [{"message": {"tool_calls": [CALL]}}]} if do == "tool" else {}
        answer |= {"filler": "x" * asked.get("length", 0)}
        if asked.get("hold"):
            assert HELD.acquire(timeout=60)
        self.whole(400 if do == "refuse" else 200, answer)

    def body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def whole(self, status: int, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if "Origin" in self.headers:  # as llama-server does
            self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
        self.end_headers()
        self.wfile.write(content)

    def stream(self, asked: dict[str, Any], number: int, do: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in range(asked.get("pieces", 3)):
            text = f"token {piece} of {number}, no error and no abort"
            delta = {"tool_calls": [CALL]} if do == "tool" else {"content": text}
            choice = {"delta": delta, "finish_reason": None}
            self.event(json.dumps({"choices": [choice]}))
            if asked.get("hold") and piece == 0:
                assert RELEASED.wait(60)
                RELEASED.clear()
            if do == "die":
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if do == "error":
                self.event(json.dumps({"error": {"message": "slot lost", "code": 500}}))
        if do == "abort":
            self.event(json.dumps({"choices": [{"delta": {}, "finish_reason": "abort"}]}))
        if do != "part":
            self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        FINISHED.append(number)

    def event(self, data: str) -> None:
        content = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    Server(("0.0.0.0", 8080), Engine).serve_forever()
