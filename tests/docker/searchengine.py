"""Plays html.duckduckgo.com: answers each search over TLS, and writes down what it was asked.

Standard library and the openssl program; it is piped into the Python of a container. Usage:
python - ADDRESS CERTIFICATE. The certificate is made there, for that name alone, and vouches for
itself. One JSON line goes to stdout when the port is open, and one for each request.
"""

import http.server
import json
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

NAME = "html.duckduckgo.com"

#: As their page has it: one block for each page found, what it says being the link's text.
PAGE = """<html><body><div class="result body"><h2>Made up</h2>
<a href="https://example.com/found">What a made-up page says of {words}.</a></div></body></html>"""


def note(seen: object) -> None:
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


class Searches(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        words = urllib.parse.parse_qs(body).get("q", [""])[0]
        note({"host": self.headers["Host"], "path": self.path, "words": words})
        page = PAGE.format(words=words).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        pass


def certified(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(
            (
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ),
            check=True,
            capture_output=True,
        )
        context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer((sys.argv[1], 443), Searches)
    server.socket = certified(Path(sys.argv[2])).wrap_socket(server.socket, server_side=True)
    note("open")
    server.serve_forever()
