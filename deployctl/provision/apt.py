"""What apt is told and what it says: sources, candidates, preferences, command lines. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from deployctl.outcomes import Command
from deployctl.provision.model import AptSource

#: apt waits so long for another apt (unattended upgrades at boot) before it gives up, seconds.
_LOCK_WAIT_S = 120

_UPDATE_TIMEOUT_S, _INSTALL_TIMEOUT_S, _QUICK_TIMEOUT_S = 300.0, 1200.0, 60.0

#: `--no-remove`: the set-up never takes a package away. force-confold: a configuration file that
#: the operator changed stays as it is; without a terminal dpkg could not ask.
_INSTALL = (
    "install",
    "-y",
    "--no-install-recommends",
    "--no-remove",
    "-o",
    "Dpkg::Options::=--force-confold",
)

#: As words of the command, because sudo drops variables. needrestart would restart services of the
#: operator's after the installation.
_ENVIRONMENT = ("DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C")

#: deb822 names of the one-line options whose name differs by more than capital letters.
_FIELDS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}

_PLAIN_FIELDS = {"types", "uris", "suites", "components", "enabled"}


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def parse_sources(name: str, text: str) -> tuple[AptSource, ...]:
    """The enabled binary sources of one file: ``*.sources`` is deb822, all else one-line."""
    if name.endswith(".sources"):
        return tuple(_deb822(text))
    return tuple(_one_line(text))


def _deb822(text: str) -> Iterable[AptSource]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields: dict[str, tuple[str, str]] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t") and key:  # an embedded Signed-By key spans lines
                written, value = fields[key]
                fields[key] = (written, f"{value}\n{line}")
            elif ":" in line:
                written, _, value = line.partition(":")
                key = written.strip().lower()
                fields[key] = (written.strip(), value.strip())
        if _words(fields, "enabled")[:1] in (("no",), ("false",)):
            continue
        if "deb" in _words(fields, "types") and _words(fields, "uris"):
            yield AptSource(
                uris=_words(fields, "uris"),
                suites=_words(fields, "suites"),
                components=_words(fields, "components"),
                options=tuple(pair for lower, pair in fields.items() if lower not in _PLAIN_FIELDS),
            )


def _words(fields: dict[str, tuple[str, str]], name: str) -> tuple[str, ...]:
    return tuple(fields.get(name, ("", ""))[1].split())


def _one_line(text: str) -> Iterable[AptSource]:
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)([^#]*)", line)
        if not found:
            continue
        options = (pair.partition("=") for pair in (found[1] or "").split())
        yield AptSource(
            uris=(found[2],),
            suites=(found[3],),
            components=tuple(found[4].split()),
            options=tuple(
                (_FIELDS.get(key, key.title()), value.replace(",", " "))
                for key, _, value in options
            ),
        )


def parse_candidates(text: str) -> dict[str, str]:
    """Package → version apt would install now, from ``apt-cache policy`` in the C locale."""
    found: dict[str, str] = {}
    package = ""
    for line in text.splitlines():
        if line[:1].strip() and line.endswith(":"):
            package = line[:-1]
        elif line.startswith("  Candidate: ") and not line.endswith("(none)"):
            found[package] = line.partition(": ")[2].strip()
    return found


def parse_installed(text: str) -> dict[str, str]:
    """Package → version of what is whole, from ``dpkg-query`` lines ``ii  docker.io 26.1.5``."""
    fields = (line.split() for line in text.splitlines())
    return {words[1]: words[2] for words in fields if len(words) == 3 and words[0] == "ii"}


# ── a newer suite beside the release's own ────────────────────────────────────────────────────


def newer_suite(
    sources: tuple[AptSource, ...], *, codename: str, newer: str
) -> tuple[AptSource, ...]:
    """The machine's own Debian sources, each offering the suite ``newer`` as well.

    Mirror, keys and options stay as the operator configured them. Vendors name their suites after
    Debian's too, so of all sources with such a suite those signed by Debian's keyring are taken;
    where none says so, those that name no key.
    """
    mine = [source for source in sources if source.uris[0].split(":")[0] not in ("cdrom", "file")]
    fitting = [
        source for source in mine if any(_belongs(suite, codename) for suite in source.suites)
    ]
    debians = [source for source in fitting if "debian-archive" in _signed_by(source)]
    chosen = debians or [source for source in fitting if not _signed_by(source)] or fitting
    return tuple(
        replace(source, suites=_with_newer(source.suites, codename, newer)) for source in chosen
    )


def _belongs(suite: str, codename: str) -> bool:
    return suite in (codename, f"{codename}-updates", f"{codename}-security")


def _with_newer(suites: tuple[str, ...], codename: str, newer: str) -> tuple[str, ...]:
    """The suites of the release; beside the main and the security one also the newer one."""
    kept = [suite for suite in suites if _belongs(suite, codename)]
    added = [suite.replace(codename, newer) for suite in kept if not suite.endswith("-updates")]
    return tuple(dict.fromkeys((*kept, *added)))


def _signed_by(source: AptSource) -> str:
    return dict(source.options).get("Signed-By", "")


def sources_text(sources: tuple[AptSource, ...]) -> str:
    """The sources in deb822 form."""
    stanzas = []
    for source in sources:
        fields = [
            ("Types", "deb"),
            ("URIs", " ".join(source.uris)),
            ("Suites", " ".join(source.suites)),
            ("Components", " ".join(source.components)),
            *source.options,
        ]
        lines = (
            f"{key}: {value}" if value[:1] != "\n" else f"{key}:{value}" for key, value in fields
        )
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def preferences_text(newer: str, packages: tuple[str, ...]) -> str:
    """Take ``packages`` from the suite ``newer``, and from there nothing else.

    ``apt-get -t`` instead would upgrade libc's tools and compilers along with Docker.
    """
    return (
        f"Package: *\nPin: release n={newer}*\nPin-Priority: 100\n\n"
        f"Package: {' '.join(packages)}\nPin: release n={newer}*\nPin-Priority: 990\n"
    )


# ── command lines ─────────────────────────────────────────────────────────────────────────────


def update(*options: str) -> Command:
    """Read the package lists anew."""
    return _apt_get(("update", *_retries()), options, "apt-get update", _UPDATE_TIMEOUT_S)


def install(packages: tuple[str, ...], *options: str) -> Command:
    """Install ``packages`` without asking, without recommendations, without removing anything."""
    arguments = (*_INSTALL, *_retries(), *packages)
    return _apt_get(arguments, options, "apt-get install", _INSTALL_TIMEOUT_S)


def configure_interrupted() -> Command:
    """Finish what an interrupted installation left half done; apt refuses to work before."""
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "--configure", "-a")
    return Command(argv=argv, label="dpkg --configure -a", timeout_s=_INSTALL_TIMEOUT_S)


def quick(line: str, stdin: str | None = None) -> Command:
    """A short command, given as one would type it."""
    argv = tuple(shlex.split(line))
    return Command(argv=argv, label=line, timeout_s=_QUICK_TIMEOUT_S, stdin=stdin)


def private_config(work: PurePosixPath) -> str:
    """Settings that make apt use sources, preferences, lists and caches under ``work`` only.

    To be read with ``apt-get -c``: that is after the operator's ``apt.conf.d``, which stays in
    force otherwise (proxies, certificates).
    """
    settings = (
        ("Dir::Etc::sourcelist", "/dev/null"),
        ("Dir::Etc::sourceparts", work / "sources"),
        ("Dir::Etc::preferences", work / "preferences"),
        ("Dir::Etc::preferencesparts", "/dev/null"),
        ("Dir::State::lists", work / "lists"),
        ("Dir::Cache", work / "cache"),
    )
    return "".join(f'{key} "{value}";\n' for key, value in settings)


def _retries() -> tuple[str, ...]:
    return ("-o", "Acquire::Retries=3", "-o", f"DPkg::Lock::Timeout={_LOCK_WAIT_S}")


def _apt_get(
    arguments: tuple[str, ...], options: tuple[str, ...], label: str, timeout_s: float
) -> Command:
    argv = ("env", *_ENVIRONMENT, "apt-get", *options, *arguments)
    return Command(argv=argv, label=label, timeout_s=timeout_s)
