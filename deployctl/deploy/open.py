"""The recipe of ``open``: where the chat window is, and, where there is a desktop, the window."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.kept import kept_request
from deployctl.deploy.known import down, known, paused
from deployctl.errors import DeployctlError
from deployctl.outcomes import Command
from deployctl.readiness import probe_frontend
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World

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
    """Where the chat window is. ``opened_with`` is the program that shows it, if one does."""

    stack: str
    url: str
    lan_url: str | None
    credentials_file: Path
    opened_with: str | None
    tried: tuple[str, ...]  # programs that would not
    ssh_command: str | None  # to be typed at home, where this machine is reached through SSH


def open_window(world: World, name: str, seat: Seat) -> OpenReport:
    """Open the chat window in the desktop's browser, if there is one.

    ``stack-unknown`` when there is none of this name, ``stack-not-running`` when it is not up,
    ``frontend-not-ready`` when its frontend does not answer.
    """
    space = Workspace(world.home, name)
    manifest = _manifest(world, space)
    url, _ = stack.addresses(manifest.webui_port, manifest.engine_port)
    opened, tried = None, []
    for program in programs(seat):
        if world.runner.run(_opening(program, url)).ok:
            opened = program[0]
            break
        tried.append(program[0])
    return OpenReport(
        stack=name,
        url=url,
        lan_url=manifest.lan_url,
        credentials_file=space.credentials_file,
        opened_with=opened,
        tried=tuple(tried),
        ssh_command=None if opened else tunnel(seat, manifest.webui_port),
    )


def _manifest(world: World, space: Workspace) -> Manifest:
    """What was brought up, if it runs and answers."""
    name, (manifest, states) = space.stack, known(world, space)
    webui = next((state for state in states if state.service == "webui"), None)
    if webui is None or webui.status != "running":
        space.refuse_unfinished()  # somebody is bringing it up just now
        if not states:
            raise down(space, "so there is nothing to open")
        if webui is not None and (held := paused(webui)) is not None:
            raise DeployctlError.of((held,))
        how = "is not running" if webui is None else f"has a chat window that is {webui.status}"
        raise DeployctlError(
            f"Stack {name} {how}, so there is nothing to open.",
            code="stack-not-running",
            where="webui",
            hint=kept_request(name, manifest).again
            if webui is None
            else f"deployctl status --stack {name}",
        )
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    probe = probe_frontend(world.http, at)
    if not probe.ok:
        space.refuse_unfinished()
        raise DeployctlError(
            f"The chat window of stack {name} does not answer as it should: {probe.seen}.",
            code="frontend-not-ready",
            where="webui",
            hint=f"deployctl status --stack {name}",
        )
    return manifest


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
