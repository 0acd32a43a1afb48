"""The commands, by name: one module of this package each, which is imported to be registered."""

from __future__ import annotations

#: In the order of `deployctl --help`.
COMMANDS = (
    *("setup", "doctor", "detect", "recommend", "plan"),
    *("up", "open", "chat", "status", "metrics", "watch", "verify", "reconcile", "logs", "down"),
    *("compare", "tune", "smoke", "report", "render", "lint-compose"),
)

#: Commands that have commands of their own.
GROUPS = ("profile", "bench", "eval")
