"""What a diagnosis is made from, and how its way out is written. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deployctl.model import CardAccess, Plan
    from deployctl.outcomes import ContainerState
    from deployctl.profiles.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of one service that failed, or of a start that Docker refused.

    ``log`` are the last lines the container wrote; ``output`` is what ``docker compose`` printed;
    ``oom_kills`` is how often this machine's kernel killed for memory since the start began, for
    whatever reason and whomever; ``killed_for`` is what it says of this very container.
    ``limit_bytes`` is the memory the container really may use; ``override`` is the path of the
    operator's own Compose file, where there is one.
    """

    service: str  # engine, webui, or one of the operator's override
    engine: str  # its kind: vllm, llama.cpp
    state: ContainerState | None = None
    log: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    oom_kills: int = 0
    killed_for: Literal["machine", "limit", "neither", "unknown"] = "unknown"
    limit_bytes: int | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the operator goes on: writes the command that tries the same again, changed."""

    stack: str
    selection: Selection
    again: Callable[[Selection], str]  # selection → command line
    plan: Plan | None = None  # what was asked of it; None: not known any more
    weights: str | None = None  # the model file or folder in the store, ours to fetch anew
    card_access: tuple[CardAccess, ...] = ()  # the ways in which Docker here hands out a card

    def with_set(self, *pairs: tuple[str, str]) -> str:
        """The same command with these profile values; an earlier ``--set`` of them gives way."""
        selection = self.selection
        for key, value in pairs:
            selection = selection.with_set(key, value)
        return self.again(selection)

    def same(self) -> str:
        """The same command, unchanged."""
        return self.again(self.selection)

    def without_set(self, key: str) -> str:
        """The same command without what ``--set`` said of this key."""
        kept = tuple(text for text in self.selection.sets if not text.startswith(f"{key}="))
        return self.again(replace(self.selection, sets=kept))

    def sets(self, key: str) -> bool:
        """Whether the command has a ``--set`` of this key."""
        return any(text.startswith(f"{key}=") for text in self.selection.sets)

    def logs(self, service: str) -> str:
        """The command that shows all a service said."""
        return f"deployctl logs {service} --stack {self.stack}"
