"""Optional parts of a stack: one file each, listed here. Pure.

How to add one is in ``docs/addons.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons import cache, jupyter, monitoring

if TYPE_CHECKING:
    from deployctl.addons.nouns import Addon
    from deployctl.profiles.schema import ProfileSpec

#: All of them, in the order in which they are started, told and checked.
ADDONS: tuple[Addon, ...] = (jupyter.ADDON, monitoring.ADDON, cache.ADDON)

NAMES = tuple(addon.name for addon in ADDONS)

#: All that is ever generated for add-ons, by name.
SECRETS = tuple(secret for addon in ADDONS for secret in addon.secrets)


def switched_on(spec: ProfileSpec) -> tuple[Addon, ...]:
    """The add-ons that a profile has on."""
    return tuple(addon for addon in ADDONS if getattr(spec.addons, addon.name).enabled)
