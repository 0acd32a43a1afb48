"""A whole GGUF file that is not converted, because what would come out is not known for sure."""

from __future__ import annotations

from deployctl.gguf.reader import GgufError


class UnconvertibleError(GgufError):
    """The text completes a sentence that says that the file cannot be converted: why not."""
