"""Engines: what turns a profile into one service that speaks the OpenAI API.

Pure. One file per engine; the registry below is the only list of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deployctl.engines import llama_cpp, vllm
from deployctl.model import Service

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec


class Engine(Protocol):
    """What every engine module offers."""

    KIND: str

    #: Inside the container.
    PORT: int

    #: Flags that ``engine.extra_args`` may not name: they follow from other values.
    OWNED_FLAGS: frozenset[str]

    def owns(self, flag: str) -> bool:
        """Whether this is one of them, however the engine's parser lets it be written."""

    def service(self, spec: ProfileSpec, weights_name: str) -> Service:
        """The engine's service. ``weights_name`` is the model's name below ``MODELS``.

        ``ValueError`` when neither the model's shape nor ``engine.memory`` is known.
        """


_ENGINES: dict[str, Engine] = {llama_cpp.KIND: llama_cpp, vllm.KIND: vllm}


def engine(kind: str) -> Engine:
    """Return the engine of this kind; ``KeyError`` for one that the schema should have refused."""
    return _ENGINES[kind]
