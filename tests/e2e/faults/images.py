"""An image for another processor, made from nothing; and a registry that never answers."""

from __future__ import annotations

import io
import platform
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from tests.e2e import machine

#: Processor → (as Docker calls it, as an ELF header does).
_ARM, _AMD = ("arm64", 183), ("amd64", 62)


def _program(machine_number: int) -> bytes:
    """The smallest program for that processor that its kernel would load."""
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    head = (2, machine_number, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = (1, 5, 0, 0x400000, 0x400000, 0x1000, 0x1000, 0x1000)
    return ident + struct.pack("<HHIQQQIHHHHHH", *head) + struct.pack("<IIQQQQQQ", *segment)


@contextmanager
def for_another_processor(reference: str) -> Iterator[str]:
    """An image whose every program is for a processor that this machine does not have."""
    other, number = _AMD if platform.machine() in ("aarch64", "arm64") else _ARM
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("app/llama-server", "bin/sh"):
            entry = tarfile.TarInfo(name)
            content = _program(number)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    entry_point = 'ENTRYPOINT ["/app/llama-server"]'
    words = ("--platform", f"linux/{other}", "--change", entry_point, "-", reference)
    subprocess.run(
        ["docker", "import", *words], input=packed.getvalue(), check=True, capture_output=True
    )
    try:
        yield reference
    finally:
        machine.attempt("docker", "image", "rm", "--force", reference)


class SlowRegistry:
    """Says that it is a registry and then nothing: a pull from it has no end."""

    def __init__(self) -> None:
        self.asked = Event()  # somebody wants an image
        self._end = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.reference = f"127.0.0.1:{self._server.server_address[1]}/nobody/engine:1"

    @contextmanager
    def running(self) -> Iterator[SlowRegistry]:
        thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                if self.path.rstrip("/") == "/v2":
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                    return
                registry.asked.set()
                registry._end.wait()
                self.close_connection = True

            do_HEAD = do_GET  # noqa: N815  # the base class's name

        return Handler
