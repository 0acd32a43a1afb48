"""What an add-on is: everything the rest of deployctl asks one. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.model import Service, Text
    from deployctl.profiles.schema import ProfileSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Something of an add-on that people or programs reach on this machine.

    ``secret`` is the generated one that it asks for, by its name among the add-on's ``secrets``;
    ``user`` the name to sign in with, where there is one.
    """

    label: str  # Jupyter
    port: int
    path: str = "/"
    host: str = "127.0.0.1"  # browsers send a page's cookies to every port of its host
    secret: str | None = None
    user: str | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optional:
    """A part of an add-on that no packages can replace: without its image, it is left out.

    ``key`` is the profile's ``auto | always | never``; ``title`` is what the part is called.
    """

    key: str  # addons.monitoring.grafana
    title: str
    reference: str  # the image
    chosen: str  # what the profile says now


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a service has against one file of the operator's. ``line``: ``None`` where unsaid."""

    file: str  # as it is called in its folder
    line: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFiles:
    """Files of the operator's that a service reads: ``*.yaml`` of a folder beside the stack's file.

    They are checked by the service's own program before anything starts, so that a slip in one
    stops nothing that runs. ``variable`` carries what is in them: another file, a new container.
    """

    folder: str
    title: str  # alert rules
    service: str
    variable: str
    #: (image, the folder's path, names, user) → argv of a short-lived container that checks them.
    check: Callable[[str, str, tuple[str, ...], str], tuple[str, ...]]
    #: What that container printed → what is wrong.
    refusals: Callable[[str], tuple[Refusal, ...]]


def _nothing(_spec: ProfileSpec) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One optional part of a stack. Every function is asked only where the profile has it on."""

    name: str  # as in `addons.NAME` and `--with NAME`
    title: str  # Jupyter
    services: Callable[[ProfileSpec], tuple[Service, ...]]
    pages: Callable[[ProfileSpec], tuple[Page, ...]] = _nothing
    #: What is generated for it once, and kept: `jupyter_token` is `DEPLOYCTL_JUPYTER_TOKEN`.
    secrets: tuple[str, ...] = ()
    #: What the chat window's environment says instead, or besides.
    frontend: Callable[[ProfileSpec], tuple[tuple[str, Text], ...]] = _nothing
    #: Its parts that can be left out, whatever the profile says of each.
    optional: Callable[[ProfileSpec], tuple[Optional, ...]] = _nothing
    own_files: Callable[[], tuple[OwnFiles, ...]] = tuple
