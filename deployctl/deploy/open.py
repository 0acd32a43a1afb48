"""The recipe of ``open``: where a page of the stack is, and, where there is a desktop, the page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy import pages, stack
from deployctl.deploy.kept import kept_request
from deployctl.deploy.known import down, known, paused
from deployctl.deploy.names import is_stack_name
from deployctl.deploy.parts import Asked, unknown_part
from deployctl.errors import DeployctlError
from deployctl.outcomes import Command
from deployctl.readiness import DOES_NOT_ANSWER, Probe, probe_frontend
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Manifest

#: The service whose page is the chat window.
_WINDOW = "webui"

#: What a page says to a browser that is not signed in, where it does not lead to where one does.
_SIGN_IN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

#: Starts a browser in a session of its own, so that it outlives this command, and waits two
#: seconds for it to fail: some openers leave at once, others stay as long as the window.
_DETACHED = (
    'command -v "$1" >/dev/null || exit 127; '
    'if command -v setsid >/dev/null; then set -- setsid "$@"; fi; '
    '"$@" </dev/null >/dev/null 2>&1 & p=$!; '
    "for i in 1 2 3 4 5 6 7 8 9 10; do "
    "kill -0 $p 2>/dev/null || { wait $p; exit $?; }; sleep 0.2; done; exit 0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where somebody sits: the environment variables and the kind of system (``sys.platform``)."""

    environment: Mapping[str, str]
    platform: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReport:
    """Where the page is. ``opened_with`` is the program that shows it, if one does.

    ``credentials_file`` holds what the page asks for; ``None``: it asks for nothing.
    """

    stack: str
    page: str  # what it is called: Chat window, Jupyter
    addon: str | None  # the add-on that it belongs to
    url: str
    lan_url: str | None
    credentials_file: Path | None
    opened_with: str | None
    tried: tuple[str, ...]  # programs that would not
    ssh_command: str | None  # to be typed at home, where this machine is reached through SSH


def open_window(world: World, name: str, seat: Seat, page: str | None = None) -> OpenReport:
    """Open the chat window, or the page of this name, in the desktop's browser, if there is one.

    ``stack-unknown`` when there is none of this name, ``stack-not-running`` when what has the page
    is not up, ``frontend-not-ready`` or ``addon-not-ready`` when it does not answer, ``usage`` when
    the stack has no such page. No secret is in the address: the process list shows it.
    """
    space = Workspace(world.home, name)
    typed = ("open",) if page is None else ("open", page)
    manifest, states = known(world, space, doing=shlex.join(typed))
    if not states:
        space.refuse_unfinished()  # somebody is bringing it up just now
        raise down(space, "so there is nothing to open")
    wanted = _wanted(world, space, manifest, page)
    _refuse_stopped(space, manifest, states, wanted)
    _refuse_silent(world, space, manifest, wanted)
    opened, tried = None, []
    for program in programs(seat):
        if world.runner.run(_opening(program, wanted.url)).ok:
            opened = program[0]
            break
        tried.append(program[0])
    window = wanted.service == _WINDOW
    return OpenReport(
        stack=name,
        page=wanted.label,
        addon=wanted.addon,
        url=wanted.url,
        lan_url=manifest.lan_url if window else None,
        credentials_file=space.credentials_file if window or pages.asks(space, wanted) else None,
        opened_with=opened,
        tried=tuple(tried),
        ssh_command=None if opened else tunnel(seat, wanted.port),
    )


def _wanted(world: World, space: Workspace, manifest: Manifest, typed: str | None) -> pages.Shown:
    """What was asked for; ``usage`` where that is no page of this stack."""
    shown_here = pages.shown(space, manifest)
    if typed is None:
        return shown_here[0]
    name = typed.strip().lower()
    found = pages.named(shown_here, name)
    if found is not None and not found.is_api:
        return found
    space.refuse_unfinished()  # what is coming up may have it
    if found is not None:
        raise DeployctlError(
            f"The {found.service or found.label} of stack {space.stack} has an API for programs "
            f"and no page: {found.url}.",
            code="usage",
            where=found.service,
            hint=f"cat {shlex.quote(str(space.credentials_file))}  # the key that it asks for",
        )
    if is_stack_name(name) and Workspace(world.home, name).knows_the_stack:
        raise DeployctlError(
            f"Stack {space.stack} has no page {name!r}; --stack names the stack.",
            code="usage",
            hint=f"deployctl open --stack {shlex.quote(name)}",
        )
    every = (name for page in shown_here if not page.is_api for name in page.names)
    asked = Asked(
        command="open",
        name=name,
        kind="page",
        lists={"pages": tuple(dict.fromkeys(every))},
        published=True,
    )
    raise unknown_part(world, space, manifest, asked)


def _refuse_stopped(
    space: Workspace, manifest: Manifest, states: tuple[ContainerState, ...], page: pages.Shown
) -> None:
    """Raise ``stack-not-running`` where the container that has the page does not run."""
    state = next((state for state in states if state.service == page.service), None)
    if page.service is None or (state is not None and state.status == "running"):
        return
    name = space.stack
    space.refuse_unfinished()
    if state is not None and (held := paused(state)) is not None:
        raise DeployctlError.of((held,))
    raise DeployctlError(
        f"Stack {name} has no container of {page.service}, so there is nothing to open."
        if state is None
        else f"{_title(page)} of stack {name} is {state.status}, so there is nothing to open.",
        code="stack-not-running",
        where=page.service,
        hint=kept_request(name, manifest).again
        if state is None
        else f"deployctl status --stack {name}",
    )


def _refuse_silent(world: World, space: Workspace, manifest: Manifest, page: pages.Shown) -> None:
    """Raise where the page does not answer: no browser says better why."""
    name, window = space.stack, page.service == _WINDOW
    probe = _frontend(world, space, manifest) if window else _page(world, page)
    if probe.ok:
        return
    space.refuse_unfinished()
    raise DeployctlError(
        f"{_title(page)} of stack {name} does not answer as it should: {probe.seen}.",
        code="frontend-not-ready" if window else "addon-not-ready",
        where=page.service,
        hint=f"deployctl status --stack {name}",
    )


def _title(page: pages.Shown) -> str:
    return "The chat window" if page.service == _WINDOW else page.label


def _frontend(world: World, space: Workspace, manifest: Manifest) -> Probe:
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    return probe_frontend(world.http, at)


def _page(world: World, page: pages.Shown) -> Probe:
    """Ask for a page as a browser does that is not signed in: many lead to where one signs in."""
    status = world.http.call(page.url, timeout_s=5).status
    ok = 0 < status < HTTPStatus.BAD_REQUEST or status in _SIGN_IN
    return Probe(ok=ok, seen=f"HTTP {status}" if status else DOES_NOT_ANSWER)


def programs(seat: Seat) -> tuple[tuple[str, ...], ...]:
    """The programs that may open a browser, the likeliest first; none where nobody would see it."""
    env = seat.environment
    named = tuple(filter(None, map(_words, env.get("BROWSER", "").split(":"))))
    if env.get("SSH_CONNECTION"):
        return named  # an editor's remote session brings one that opens at home
    if seat.platform == "darwin":
        return (*named, ("open",))
    wsl = bool(env.get("WSL_DISTRO_NAME"))
    shown = bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))
    return (*named, *((("wslview",),) if wsl else ()), *((("xdg-open",),) if shown else ()))


def _words(entry: str) -> tuple[str, ...]:
    """The words of a command line; where a quote is never closed, those that blanks part."""
    try:
        return tuple(shlex.split(entry))
    except ValueError:
        return tuple(entry.split())


def _opening(program: tuple[str, ...], url: str) -> Command:
    """Put the address where the program wants it: at ``%s``, else last."""
    words = tuple(word.replace("%s", url) for word in program)
    argv = words if words != program else (*words, url)
    return Command(
        argv=("sh", "-c", _DETACHED, "sh", *argv), label="open the browser", timeout_s=20
    )


def tunnel(seat: Seat, port: int) -> str | None:
    """What to type at home to reach a port of this machine; ``None`` when this is not over SSH.

    ``SSH_CONNECTION`` holds: client address, client port, our address, our port.
    """
    fields = seat.environment.get("SSH_CONNECTION", "").split()
    if len(fields) != 4:
        return None
    _, _, address, ssh_port = fields
    other = () if ssh_port == "22" else ("-p", ssh_port)
    words = ("ssh", *other, "-L", f"{port}:127.0.0.1:{port}", f"{seat.user}@{address}")
    return shlex.join(words)
