"""The client that speaks with a stack is nobody but for the token it is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployctl.loopback import RequestsHttp
from deployctl.secret import Secret


class Server(BaseHTTPRequestHandler):
    """Hands out a session's cookie, sends elsewhere what asks for ``/away``, and keeps heads."""

    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        if self.path == "/away":
            self.send_response(307)
            self.send_header("Location", "/here")
        else:
            self.send_response(200)
        self.send_header("Set-Cookie", "token=administrator; Path=/; HttpOnly")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Server.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def base(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_no_cookie_is_taken_whatever_the_method(base: str) -> None:
    http = RequestsHttp()
    token = Secret("t")
    http.call(f"{base}/signin", body={"password": "x"}, timeout_s=5)
    http.call(f"{base}/x", timeout_s=5)
    list(http.stream(f"{base}/x", token=token, body={}, timeout_s=5))
    http.call(f"{base}/x", timeout_s=5)
    assert len(Server.seen) == 4
    assert [head.get("Cookie") for head in Server.seen] == [None] * 4
    assert [head.get("Authorization") for head in Server.seen] == [None, None, "Bearer t", None]


def test_no_redirect_is_followed(base: str) -> None:
    assert RequestsHttp().call(f"{base}/away", timeout_s=5).status == 307
    assert len(Server.seen) == 1


def test_many_threads_with_tokens_of_their_own_are_not_mixed_up(base: str) -> None:
    http = RequestsHttp()

    def ask(number: int) -> int:
        return http.call(f"{base}/{number}", token=Secret(str(number)), timeout_s=5).status

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(ask, range(40))) == [200] * 40
    assert sorted(int(h["Authorization"].split()[1]) for h in Server.seen) == list(range(40))
    assert not any("Cookie" in head for head in Server.seen)
