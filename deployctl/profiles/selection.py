"""What the operator chose on the command line: the profile and what is laid over it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.profiles.resolve import Profile

#: The profile name that means: choose for me.
AUTO = "auto"


def is_file(profile: str) -> bool:
    """Whether this is the path of a profile's file, not the name of one that is found.

    A path ends in ``.yaml`` or ``.yml`` or holds a slash, unless it begins with ``base/``.
    """
    within = "/" in profile and not profile.startswith("base/")
    return within or profile.endswith((".yaml", ".yml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """One value that the profile leaves to the machine, as this machine's facts have it, and why.

    Only what the operator has not decided has one; see ``adapting``.
    """

    key: str  # engine.image
    value: str
    reason: str  # a clause: the driver 550.54.14 is older than 580


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A profile, and the layers over it in the order in which they win.

    ``adapted`` is what a machine made of the values that the profile leaves to it. Nobody typed
    it, so it is no word of the command line: another machine, or another driver, decides anew.
    """

    profile: str = AUTO
    overlays: tuple[str, ...] = ()
    addons: tuple[str, ...] = ()  # what is switched on besides what the files have on
    model: str | None = None
    sets: tuple[str, ...] = ()
    adapted: tuple[Adaptation, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The same as words of a command line; what hints are made of."""
        return (
            *(() if self.profile == AUTO else ("--profile", self.profile)),
            *(word for file in self.overlays for word in ("--overlay", file)),
            *(("--with", ",".join(self.addons)) if self.addons else ()),
            *(() if self.model is None else ("--model", self.model)),
            *(word for value in self.sets for word in ("--set", value)),
        )

    def of(self, profile: str) -> Selection:
        """The same layers over another profile."""
        return replace(self, profile=profile)

    def with_set(self, key: str, value: object) -> Selection:
        """The same with this setting, instead of one that it may have for the same key."""
        kept = (text for text in self.sets if not text.startswith(f"{key}="))
        return replace(self, sets=(*kept, f"{key}={value}"))


#: Selection → the checked profile it amounts to; ``Catalog`` and the hub behind it, or a test's.
Resolver = Callable[[Selection], "Profile"]
