"""Asks the outside for the doctor: package indexes, a name, what time it is there.

Speaks HTTP to what this machine's own configuration names, once and for seconds at most; who that
is stays here. Names are resolved by ``getent``, which can be ended when a server never answers.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from deployctl.doctor.nouns import Index, Proxies
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.images.inputs import apt_conf, apt_proxies
from deployctl.images.mirrors import mirrors_file, read_mirrors
from deployctl.images.pull import pull_for
from deployctl.images.registry import Silence, ask_all
from deployctl.outcomes import Command
from deployctl.provision.model import AptSource
from deployctl.provision.system import apt_sources
from deployctl.runner import NOT_FOUND, Runner
from deployctl.secretshapes import without_users

#: How long anybody may take to answer, seconds; the whole of `doctor` takes three at most. One who
#: was not done half a second later (a name server that is silent) is not waited for.
PATIENCE_S = 1.5

#: How long pip may take, which has to start first, seconds.
_PIP_S = 2.5

_PIPS = ((sys.executable, "-m", "pip"), ("python3", "-m", "pip"))

#: Now, in UTC.
Now = Callable[[], datetime]


class Clocks:
    """Remembers how far this machine's clock is ahead of those that answered."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self.ahead_s: float | None = None

    def ask(self, url: str, timeout_s: float, proxies: Mapping[str, str] | None = None) -> Silence:
        """Ask for the head of ``url``; any reply at all is an answer. ``None`` when it came."""
        import requests  # noqa: TID251  # edge; slow to import

        # Not those of the environment when apt has its own.
        kinds = {name.partition("_")[0]: value for name, value in (proxies or {}).items()}
        try:
            reply = requests.head(
                url,
                timeout=timeout_s,
                allow_redirects=False,
                proxies=kinds,
                # Without it requests would send the password that .netrc has for this host.
                auth=lambda request: request,
            )
        except requests.exceptions.SSLError:
            return None
        except (requests.exceptions.RequestException, OSError, ValueError):
            return "no answer"
        self.compare(reply.headers)
        return None

    def compare(self, headers: Mapping[str, str]) -> None:
        """Take the time out of a reply; what a cache kept is as old as it says."""
        try:
            theirs = parsedate_to_datetime(headers["Date"])
            theirs += timedelta(seconds=int(headers.get("Age", "0")))
            ahead = (self._now() - theirs.astimezone(UTC)).total_seconds()
        except (KeyError, ValueError, TypeError):
            return
        if self.ahead_s is None or abs(ahead) < abs(self.ahead_s):
            self.ahead_s = ahead


def ask_apt(
    runner: Runner,
    root: Path,
    clocks: Clocks,
    *,
    ask: Callable[[str, float, Mapping[str, str]], Silence] | None = None,
) -> Index:
    """Ask the package sources that apt is configured with, through apt's own proxies."""
    urls = tuple(dict.fromkeys(url for s in apt_sources(root) for url in _heads(s)))
    if not urls:
        return Index(kind="apt", asked=0, answering=0)
    proxies = dict(apt_proxies(apt_conf(runner)))
    asker = ask or clocks.ask
    silent = ask_all(urls, asker=lambda url, s: asker(url, s, proxies), timeout_s=PATIENCE_S)
    return Index(kind="apt", asked=len(urls), answering=sum(s is None for s in silent.values()))


def _heads(source: AptSource) -> tuple[str, ...]:
    """What apt asks a source for first; of a flat one (its suite is a path) the same."""
    suite = source.suites[0] if source.suites else ""
    where = suite if suite.endswith("/") else f"dists/{suite}/"
    uris = (uri.rstrip("/") for uri in source.uris if uri.startswith(("http://", "https://")))
    return tuple(f"{uri}/{where}InRelease" for uri in uris)


def ask_pip(runner: Runner) -> Index:
    """Ask the package index of pip, as pip is configured, for pip itself; nothing is downloaded."""
    words = ("--retries", "0", "--timeout", str(int(PATIENCE_S)), "index", "versions", "pip")
    for program in _PIPS:
        result = runner.run(
            Command(
                argv=(*program, *words),
                label="pip index",
                private=True,  # its lines may name the index with a password
                timeout_s=_PIP_S,
                env=(("PIP_DISABLE_PIP_VERSION_CHECK", "1"),),
            )
        )
        if result.ok:
            return Index(kind="pip", asked=1, answering=1)
        unable = ("No module named pip", "unknown command", "invalid choice")
        if result.exit_code == NOT_FOUND or any(text in result.output for text in unable):
            continue
        return Index(kind="pip", asked=1, answering=0)
    return Index(kind="pip", asked=0, answering=0)


def registry_host(environment: Mapping[str, str], references: Sequence[str]) -> str:
    """The host that the first of these images is asked for, its mirror where there is one."""
    try:
        mirrors = read_mirrors(mirrors_file(environment))
    except DeployctlError:
        return ""
    hosts = (pull_for("", reference, mirrors).api_host for reference in references)
    return next(hosts, "").partition(":")[0]


def resolves(runner: Runner, name: str) -> bool | None:
    """Whether the system finds an address for a name; ``None`` without a program to ask."""
    if not name or shutil.which("getent") is None:
        return None
    command = Command(argv=("getent", "ahosts", name), label="getent", timeout_s=PATIENCE_S)
    return runner.run(command).ok


def look_at_proxies(environment: Mapping[str, str], info: Mapping[str, Any], root: Path) -> Proxies:
    """The proxies of this process, of the daemon, and those its client gives to containers."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    here = {n: environment.get(n) or environment.get(n.upper(), "") for n in names}
    there = {
        "http_proxy": info.get("HttpProxy"),
        "https_proxy": info.get("HttpsProxy"),
        "no_proxy": info.get("NoProxy"),
    }
    return Proxies(
        environment=_plain(here),
        daemon=_plain(there),
        client=_plain(_of_client(environment, root)),
    )


def _of_client(environment: Mapping[str, str], root: Path) -> dict[str, Any]:
    home = environment.get("HOME", "").lstrip("/")
    folder = Path(environment.get("DOCKER_CONFIG") or root / home / ".docker")
    try:
        configured = json.loads(text_of(folder / "config.json"))["proxies"]["default"]
        return {key.replace("Proxy", "_proxy"): value for key, value in configured.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _plain(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: without_users(str(value)) for name, value in found.items() if value}
