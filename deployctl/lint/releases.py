"""Which release of vLLM an image holds, as far as its tag tells. Pure."""

from __future__ import annotations

import re

from deployctl.lint import gone
from deployctl.lint.interpolation import known
from deployctl.lint.nouns import Service


def version(service: Service) -> tuple[int, int] | None:
    """The release in a tag; ``None`` where it names none."""
    found = re.match(r"v?(\d+)\.(\d+)", service.tag)
    return (int(found[1]), int(found[2])) if found else None


def older(service: Service) -> bool:
    """Whether a tag names a release before the one we know.

    Images of releases long gone start another program, which takes the model behind ``--model``
    only; every release takes it so.
    """
    release = version(service)
    return release is not None and release < gone.VLLM_SINCE


def current(service: Service) -> bool:
    """Whether it is a release that we know, or what a moving tag brings."""
    return known(service.tag) and not service.tag.startswith("@") and not older(service)


def parses_reasoning(service: Service) -> bool:
    """Whether ``--reasoning-parser`` alone is enough: releases before 0.9 want more, or none."""
    release = version(service)
    return release is None or release >= (0, 9)
