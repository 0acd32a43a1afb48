"""Files that were corrected line by line as the linter says: Compose itself reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.lintfiles import FILES, content, mended

pytestmark = pytest.mark.docker

BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}


def refusal(folder: Path, text: bytes) -> str:
    """What Compose has against a file whose variables all have a value; nothing, if it is good."""
    (folder / "compose.yaml").write_bytes(text)
    (folder / ".env").write_bytes(b"")
    names = re.findall(r"\$\{(\w+)", text.decode())
    words = ["docker", "compose", "-f", str(folder / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=BARE | dict.fromkeys(names, "7"),
    )
    return done.stderr if done.returncode or "warning" in done.stderr else ""


@pytest.mark.parametrize("name", FILES)
def test_a_corrected_file_is_good(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, mended(content(name))) == ""


#: What the linter says that Compose refuses.
REFUSED = {
    "services:\n  a:\n    image: x\n    command: [--port, 8000]\n": "must be a string",
    "services:\n  a:\n    image: x\n    image: y\n": "already defined",
    "services:\n  a:\n    image: x\n    volumes: ['data:/d']\n": "undefined volume",
    "services:\n  b: {image: y}\n  a: {image: x, depends_on: [c]}\n": "undefined service",
    "services: {a: {image: x, deploy: {resources: {reservations: {devices: "
    "[{driver: nvidia, count: 1}]}}}}}\n": "capabilities is required",
    "services: {a: {image: x}, b: 5}": "services.b must be a mapping",
    "version: '3'\nservices: {a: {image: x}}\n": "`version` is obsolete",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_it_says_of_compose_is_so(text: str, tmp_path: Path) -> None:
    assert REFUSED[text] in refusal(tmp_path, text.encode())
