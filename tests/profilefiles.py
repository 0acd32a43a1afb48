"""Profile files in memory, and what every fault of a profile owes the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, ExitCode, Fault
from deployctl.profiles.document import NotFound, ProfileText
from deployctl.profiles.resolve import Profile, resolve

ROOT = Path(__file__).parents[1]
SHIPPED = {
    "smoke": (ROOT / "profiles/smoke.yaml").read_bytes(),
    "cpu-only": (ROOT / "profiles/cpu-only.yaml").read_bytes(),
    "base/llama-cpp": (ROOT / "profiles/base/llama-cpp.yaml").read_bytes(),
}


class Files:
    """A reader of profiles from a dict; the shipped ones are there too."""

    def __init__(self, **texts: str | bytes) -> None:
        own = {
            name: text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            for name, text in texts.items()
        }
        self._texts = {**SHIPPED, **own}

    def __call__(self, name: str, *, asker: ProfileText | None = None) -> ProfileText | NotFound:
        if name not in self._texts:
            return NotFound(message=f"There is no profile `{name!r}`.", names=tuple(self._texts))
        content = self._texts[name]
        return ProfileText(name=name, file=f"{name}.yaml", content=content, identity=name)


def read(text: str | bytes, *sets: str, **others: str) -> Profile:
    """Resolve a profile called ``mine`` with this text."""
    return resolve("mine", read=Files(mine=text, **others), sets=sets)


def faults(text: str | bytes, *sets: str, **others: str) -> tuple[Fault, ...]:
    """The faults of a profile called ``mine``; it must have some."""
    with pytest.raises(DeployctlError) as caught:
        read(text, *sets, **others)
    assert caught.value.exit_code is ExitCode.PROFILE
    return caught.value.faults


def told(fault: Fault) -> str:
    """A fault as one text, the way a test can compare it."""
    return "\n".join((f"{fault.where}: {fault.message}", *fault.details, f"→ {fault.hint}"))
