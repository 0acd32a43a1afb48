"""Rendered stacks through the real ``docker compose config``, several at once."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "compose" / "example.env"

#: With nothing of this shell's that could fill in for the file.
_BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}


def refused_by_compose(stacks: Mapping[int, str], folder: Path) -> dict[int, str]:
    """Write each stack to ``folder`` and let Compose read it; what it says of those it refuses."""

    def said(numbered: tuple[int, str]) -> str:
        number, text = numbered
        file = folder / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        command = ("docker", "compose", "-f", str(file), "--env-file", str(EXAMPLE))
        done = subprocess.run(
            [*command, "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            env=_BARE,
            timeout=120,
        )
        if not done.returncode and not done.stderr:
            return ""
        return f"exit code {done.returncode}: {done.stderr}"

    with ThreadPoolExecutor(4) as threads:
        found = threads.map(said, stacks.items())
        return {number: words for number, words in zip(stacks, found, strict=True) if words}
