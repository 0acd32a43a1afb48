"""What a stack that stands shows on this machine, by the names it is asked for. Only looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deployctl.deploy import stack
from deployctl.deploy.parts import services_of
from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.workspace import Manifest, Workspace

#: What the address of an API ends in: OpenAI's clients ask below it, and no page is there.
_API = "/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page, or an API, of the stack. ``service``: whose port it is, where the file says so."""

    label: str  # Jupyter
    url: str
    service: str | None = None
    addon: str | None = None

    @property
    def port(self) -> int:
        """Its port on this machine."""
        return urlsplit(self.url).port or 80

    @property
    def is_api(self) -> bool:
        """Whether it is for programs alone."""
        return urlsplit(self.url).path == _API

    @property
    def names(self) -> tuple[str, ...]:
        """Its add-on's and its service's, by which it is asked for; else its label."""
        names = (self.addon, self.service or self.label.lower())
        return tuple(dict.fromkeys(name for name in names if name is not None))


def shown(space: Workspace, manifest: Manifest) -> tuple[Shown, ...]:
    """What people and programs of this machine reach, the chat window first."""
    webui, engine = stack.addresses(manifest.webui_port, manifest.engine_port)
    return (
        Shown(label="Chat window", url=webui, service="webui"),
        Shown(label="OpenAI API", url=engine, service="engine"),
        *_of_addons(space, manifest),
    )


def _of_addons(space: Workspace, manifest: Manifest) -> Iterator[Shown]:
    """The record has their names and addresses; whose port it is, the stack's file knows."""
    if not manifest.pages:
        return
    services = services_of(space, manifest)
    at = {port: service for service in services for _, port in service.published}
    for label, url in manifest.pages:
        page = Shown(label=label, url=url)
        service = at.get(page.port)
        if service is not None:
            page = Shown(label=label, url=url, service=service.name, addon=service.addon)
        yield page


def named(pages: tuple[Shown, ...], name: str) -> Shown | None:
    """The page of this name; of an add-on with several, its first."""
    found = [page for page in pages if name in page.names]
    return next((page for page in found if not page.is_api), found[0] if found else None)


def asks(space: Workspace, page: Shown) -> bool:
    """Whether it asks who is there: then ``credentials`` has more on it than its address."""
    blocks = text_of(space.credentials_file).split("\n\n")
    lines = (block.strip().splitlines() for block in blocks)
    return any(len(each) > 1 and each[0].endswith(f" {page.url}") for each in lines)
