"""What a build must see of this machine: package index settings, certificates, mirrors, proxies.

Reads pip's and apt's configuration and the environment; writes it to a private temporary folder
from which it is mounted into build steps as secrets, so that nothing of it stays in a layer.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from deployctl.images.reference import is_loopback
from deployctl.outcomes import Command
from deployctl.provision.model import AptSource
from deployctl.provision.system import apt_sources
from deployctl.runner import Runner, StoppableRunner

#: What pip may be told inside a build. Settings that name files or folders of this machine are
#: left out: they do not exist there.
_PIP_KEYS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

#: Where programs are told to find certificates, by precedence, then where distributions keep them.
_CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_CA_FILES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

#: Debian's own keys, where Debian's images have them.
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

#: apt settings that say how to reach a mirror and how stale it may be.
_APT_KEYS = re.compile(r"Acquire::(https?::(proxy|timeout)|check-|retries|forceipv)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is handed to every build: the secrets' files by id, and the proxies.

    ``apt_proxies`` are what apt alone is told to use on this machine, as variables.
    """

    secrets: Mapping[str, Path]
    apt_proxies: tuple[tuple[str, str], ...]
    proxies: tuple[tuple[str, str], ...]
    host_network: bool  # something is on this machine's own loopback

    def words(self) -> tuple[str, ...]:
        """The words for ``docker buildx build``. Values of proxies stay in the environment."""
        secrets = (f"--secret=id={name},src={path}" for name, path in self.secrets.items())
        proxies = (f"--build-arg={name}" for name, _ in self.proxies)
        network = ("--network=host",) if self.host_network else ()
        return (*secrets, *proxies, *network)


@contextlib.contextmanager
def gather_inputs(
    runner: StoppableRunner,
    environment: Mapping[str, str],
    suite: str,
    *,
    root: Path = Path("/"),
) -> Iterator[Inputs]:
    """Look at the machine and keep what builds need in 0600 files until the block ends.

    ``suite`` is the Debian release the images are made of.
    """
    pip = pip_settings(runner, environment)
    ca = ca_text(environment, pip.get("cert", ""), root)
    reach = apt_conf(runner)
    sources = one_line(debian_sources(apt_sources(root), suite), lenient(reach))
    texts = {
        "pip": pip_text(pip),
        "ca": ca,
        "apt_sources": sources,
        "apt_conf": reach + build_apt_conf(sources=bool(sources), ca=bool(ca)),
    }
    proxies = tuple(
        (name, environment[name])
        for lower in _PROXIES
        for name in (lower, lower.upper())
        if environment.get(name)
    )
    with tempfile.TemporaryDirectory(prefix="deployctl-build-") as folder:
        files = {name: _private(Path(folder) / name, text) for name, text in texts.items() if text}
        addresses = "\n".join((texts["pip"], sources, reach, *(value for _, value in proxies)))
        yield Inputs(
            apt_proxies=apt_proxies(reach),
            secrets=files,
            proxies=proxies,
            host_network=_names_loopback(addresses),
        )


def _private(path: Path, text: str) -> Path:
    """Write a file that nobody else can read, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def _names_loopback(text: str) -> bool:
    """Whether an address in it is this machine itself, which a container would not reach."""
    hosts = (urlsplit(url).hostname or "" for url in re.findall(r"https?://[^\s\"';]+", text))
    return any(is_loopback(host) or host == "::1" for host in hosts)


# ── pip ───────────────────────────────────────────────────────────────────────────────────────


def pip_settings(runner: Runner, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The settings of pip by name, files and environment merged as pip merges them.

    Our own Python may have no pip (pipx, uv): then the system's is asked, then the environment.
    """
    for program in ((sys.executable, "-m", "pip"), ("python3", "-m", "pip"), ("pip3",)):
        result = runner.run(
            Command(
                argv=(*program, "config", "list"),
                label="pip config list",
                private=True,
                timeout_s=30.0,
                env=(("PIP_DISABLE_PIP_VERSION_CHECK", "1"),),
            )
        )
        if result.ok:
            return parse_pip(result.stdout)
    return {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith("PIP_")
    }


def parse_pip(text: str) -> Mapping[str, str]:
    """The lines of ``pip config list`` (``global.index-url='https://…'``), strongest last."""
    strength = {"global": 0, "download": 1, "install": 1, ":env:": 2}
    found: list[tuple[int, str, str]] = []
    for line in text.splitlines():
        place, equals, value = line.partition("=")
        section, dot, key = place.rpartition(".")
        if not (equals and dot) or section not in strength:
            continue
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            continue
        found.append((strength[section], key, str(read)))
    return {key: value for _, key, value in sorted(found, key=lambda item: item[0])}


def pip_text(settings: Mapping[str, str]) -> str:
    """The pip.conf for a build: only what exists there too, nothing when there is nothing."""
    lines = []
    for key in _PIP_KEYS:
        values = settings.get(key, "").split()
        if key in ("index-url", "extra-index-url", "find-links"):
            values = [value for value in values if value.startswith(("http://", "https://"))]
        if values:
            lines.append(f"{key} = " + "\n    ".join(values))
    return "\n".join(["[global]", *lines]) + "\n" if lines else ""


# ── certificates ──────────────────────────────────────────────────────────────────────────────


def ca_text(environment: Mapping[str, str], configured: str, root: Path) -> str:
    """The certificates this machine trusts. Comments are left out: a secret has at most 500 KB."""
    named = [environment.get(name, "") for name in _CA_VARIABLES]
    candidates = [Path(name) for name in (named[0], configured, *named[1:]) if name]
    for path in (*candidates, *(root / name for name in _CA_FILES)):
        try:
            found = _PEM.findall(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return "\n".join(dict.fromkeys(found)) + "\n"
    return ""


# ── apt ───────────────────────────────────────────────────────────────────────────────────────


def debian_sources(sources: tuple[AptSource, ...], suite: str) -> tuple[AptSource, ...]:
    """This machine's Debian mirrors, offering ``suite`` whatever release the machine itself has.

    Mirrors whose key the image does not have (vendors', Ubuntu's) are left out.
    """
    kept = []
    for source in sources:
        options = dict(source.options)
        signed = options.get("Signed-By", "")
        remote = source.uris[0].startswith(("http://", "https://"))
        suites = tuple(dict.fromkeys(_suite_like(name, suite) for name in source.suites))
        foreign = "main" not in source.components or (signed and "debian-archive" not in signed)
        if not remote or "" in suites or foreign:
            continue
        extra = tuple(
            pair for pair in source.options if pair[0] not in ("Signed-By", "Architectures")
        )
        kept.append(
            replace(
                source,
                suites=suites,
                components=("main",),
                options=(*extra, ("Signed-By", KEYRING)),
            )
        )
    return tuple(dict.fromkeys(kept))


_DEBIANS = ("bookworm", "trixie", "forky", "bullseye", "stable", "oldstable", "testing")


def _suite_like(name: str, suite: str) -> str:
    """``trixie-updates`` → ``bookworm-updates``; empty for a suite that is not Debian's."""
    release, dash, pocket = name.partition("-")
    if release not in _DEBIANS or pocket not in ("", "updates", "security"):
        return ""
    return f"{suite}{dash}{pocket}"


def one_line(sources: tuple[AptSource, ...], more: tuple[tuple[str, str], ...] = ()) -> str:
    """The sources in apt's one-line format: the only one it reads from a file of any name."""
    lines = []
    for source in sources:
        options = " ".join(
            f"{key.lower()}={value.replace(' ', ',')}" for key, value in (*source.options, *more)
        )
        lines += [
            f"deb [{options}] {uri} {suite} {' '.join(source.components)}"
            for uri in source.uris
            for suite in source.suites
        ]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def build_apt_conf(*, sources: bool, ca: bool) -> str:
    """What makes apt in a build step use the secrets beside it instead of the image's settings."""
    folder = "/run/secrets"
    lines = []
    if sources:
        lines += [
            f'Dir::Etc::sourcelist "{folder}/apt_sources";',
            'Dir::Etc::sourceparts "/dev/null";',
        ]
    if ca:
        lines.append(f'Acquire::https::CaInfo "{folder}/ca";')
    return "".join(f"{line}\n" for line in lines)


def lenient(conf: str) -> tuple[tuple[str, str], ...]:
    """Settings on stale mirrors as options of a source, for tools that read sources only."""
    off = re.findall(r'^Acquire::(Check-(?:Valid-Until|Date)) "(?:false|no|0)";', conf, re.M)
    return tuple((name, "no") for name in dict.fromkeys(off))


def apt_proxies(conf: str) -> tuple[tuple[str, str], ...]:
    """The proxies that apt is told to use, as variables, for tools that read no apt.conf."""
    found = re.findall(r'^Acquire::(https?)::Proxy "(https?://[^"]+)";', conf, re.M | re.I)
    return tuple((f"{scheme.lower()}_proxy", url) for scheme, url in found)


def apt_conf(runner: Runner) -> str:
    """How this machine's apt reaches its mirrors: proxy, retries, how stale they may be."""
    result = runner.run(
        Command(argv=("apt-config", "dump"), label="apt-config dump", timeout_s=30.0, private=True)
    )
    lines = result.stdout.splitlines() if result.ok else []
    kept = [line for line in lines if _APT_KEYS.match(line) and not line.endswith(' "";')]
    return "\n".join(kept) + "\n" if kept else ""
