"""What every block of a profile is. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A map of known keys; nothing is converted silently and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
