"""Where the files of each source lie in the store, and the notes about them. Pure: names only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deployctl.gguf import llama
from deployctl.model import Source


class Places:
    """Paths below ``root``. ``environment`` gives HOME, for the operator's own files."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._home = environment.get("HOME", "/root")

    def path_of(self, source: Source) -> Path:
        """Where the file of this source, or its folder, is or will be; ``file:`` is not ours."""
        if source.inner is not None:
            return self._converted(source, source.inner)
        if source.kind == "file":
            text = source.path
            return Path(f"{self._home}{text[1:]}" if text.startswith("~/") else text)
        if source.kind == "https":
            url = urlsplit(source.path)
            host = "".join(c if c.isalnum() or c in ".-" else "_" for c in url.netloc)
            parts = [part.replace(":", "%3A") for part in url.path.split("/") if part]
            if url.query:  # another query may be another file
                parts.insert(0, hashlib.sha256(url.query.encode()).hexdigest()[:12])
            return self._root.joinpath("https", host, *parts)
        revision = source.revision.replace("/", "%2F")
        if not source.path:
            place = self._root.joinpath("hf-whole", *source.repo.split("/"), revision)
            return place / source.filename
        return self._root.joinpath(
            source.kind, *source.repo.split("/"), revision, *source.path.split("/")
        )

    def note_of(self, source: Source) -> Path:
        """Where it is written that the file, or the folder, was found whole."""
        path = self.path_of(source)
        if source.kind == "file":  # nothing is written beside the operator's files
            return self._root / "file" / f"{self._own(path)}.verified"
        if not source.path:
            return path.with_name("manifest.json")
        return path.with_name(f"{path.name}.verified")

    def _converted(self, source: Source, inner: Source) -> Path:
        """By the version of the conversion: two deployctl that convert differently share nothing.

        An engine may be reading the folder of the other one.
        """
        path = self.path_of(inner)
        if inner.kind == "file":
            place = Path("file", self._own(path))
        else:
            place = path.relative_to(self._root)
        return self._root / f"{source.kind}-{llama.VERSION}" / place / source.filename

    @staticmethod
    def _own(path: Path) -> str:
        key = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return f"{path.name}.{key}"
