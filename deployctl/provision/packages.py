"""Which packages bring Docker, and from where. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from deployctl.provision import apt
from deployctl.provision.model import OsFacts, SetupPlan, Step
from deployctl.provision.refusals import unsupported
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, parse, too_old

#: Below /var/cache, so that nobody but root can have prepared it; removed after the set-up.
WORK = PurePosixPath("/var/cache/deployctl-setup")

#: What can be missing: `engine` is daemon and client.
Part = Literal["engine", "compose", "buildx"]

#: Docker's own repository, and what it calls the parts.
_REPOSITORY = "https://download.docker.com/linux"
_KEY = "/etc/apt/keyrings/docker.asc"
_CE: dict[Part, tuple[str, ...]] = {
    "engine": ("docker-ce", "docker-ce-cli", "containerd.io"),
    "compose": ("docker-compose-plugin",),
    "buildx": ("docker-buildx-plugin",),
}

#: The distribution's names; Compose 2 is `docker-compose-v2` on Ubuntu, `docker-compose` on Debian.
_CLI, _COMPOSE_NAMES = "docker-cli", ("docker-compose-v2", "docker-compose")

#: Packages that Docker's own cannot be installed beside.
_RIVALS = ("docker.io", "containerd", "runc", "podman-docker", "docker-compose", "docker-doc")

#: Every package whose version or candidate matters to a decision here.
PACKAGES = tuple(
    dict.fromkeys(
        (
            "docker.io",
            _CLI,
            "docker-buildx",
            *_COMPOSE_NAMES,
            *(name for names in _CE.values() for name in names),
            *_RIVALS,
        )
    )
)

#: Debian 12 has Engine 20.10 and Compose 1.29. Docker from the next release runs on its libc.
_OLD_DEBIAN, _NEWER = "bookworm", "trixie"

#: Where the package lists were never read: the first releases whose own packages are new enough
#: (Ubuntu's in its updates).
_GOOD_SINCE = {"debian": (13,), "ubuntu": (22, 4)}


@dataclass(frozen=True, slots=True)
class Needs:
    """What is missing, whether the daemon must be started, and a sentence for each reason."""

    parts: tuple[Part, ...]
    start: bool
    reasons: tuple[str, ...]


def choose(system: OsFacts, needs: Needs) -> SetupPlan:
    """Source and steps: the distribution, else Docker's repository, else the newer suite.

    Raises ``setup-unsupported`` when there is no source for this system.
    """
    if not system.debian_like:
        raise unsupported(system, needs.reasons)
    extra = (("apparmor",) if system.needs_apparmor else ()) + (
        ("ca-certificates",) if system.needs_ca else ()
    )
    if "docker-ce" in system.installed or "docker-ce-cli" in system.installed:
        names = _names(_CE, needs.parts)
        if not all(name in system.candidates for name in names):
            raise unsupported(system, needs.reasons)
        return _from_configured(names, extra, "Docker's own repository, which is configured here")
    if distribution := _from_distribution(system, needs.parts, extra):
        return distribution
    rivals = [name for name in _RIVALS if name in system.installed]
    if system.docker_repo and "engine" in needs.parts and not rivals:
        return _from_docker(system, needs, extra)
    if system.codename == _OLD_DEBIAN and system.id == "debian":
        return _from_newer_suite(system, needs, extra)
    raise unsupported(system, needs.reasons)


def _from_distribution(
    system: OsFacts, parts: tuple[Part, ...], extra: tuple[str, ...]
) -> SetupPlan | None:
    """The distribution's own packages, when they are new enough."""
    release = parse(f"{system.version}.0") or (0,)
    unread = not system.apt_has_lists and release >= _GOOD_SINCE.get(system.id, (9999,))
    by_id = "docker-compose-v2" if system.id == "ubuntu" else "docker-compose"
    compose = next(
        (
            name
            for name in _COMPOSE_NAMES
            if name in system.candidates and not too_old(system.candidates[name], MIN_COMPOSE)
        ),
        by_id if unread else None,
    )
    if compose is None or ("docker-buildx" not in system.candidates and not unread):
        return None
    engine = system.candidates.get("docker.io")
    if "engine" in parts and not unread and (engine is None or too_old(engine, MIN_ENGINE)):
        return None
    cli = (_CLI,) if _CLI in system.candidates or (unread and system.id == "debian") else ()
    names = _names(
        {"engine": ("docker.io", *cli), "compose": (compose,), "buildx": ("docker-buildx",)},
        parts,
    )
    return _from_configured(names, extra, f"{system.pretty}'s own packages")


def good_in_distribution(system: OsFacts) -> bool:
    """Whether all of Docker can come from the distribution's own packages."""
    return _from_distribution(system, ("engine", "compose", "buildx"), ()) is not None


def _from_configured(names: tuple[str, ...], extra: tuple[str, ...], source: str) -> SetupPlan:
    return SetupPlan(
        source=source,
        steps=(
            Step(title="Read the package lists", commands=(apt.update(),), optional=True),
            Step(title="Install the packages", commands=(apt.install((*extra, *names)),)),
        ),
    )


def _from_docker(system: OsFacts, needs: Needs, extra: tuple[str, ...]) -> SetupPlan:
    """Docker's own repository, added the way Docker's guide does, for good."""
    base = f"{_REPOSITORY}/{docker_distribution(system)}"
    stanza = (
        f"Types: deb\nURIs: {base}\nSuites: {system.codename}\nComponents: stable\n"
        f"Signed-By: {_KEY}\n"
    )
    add = Step(
        title="Add Docker's own repository",
        commands=(
            apt.quick("install -m 0755 -d /etc/apt/keyrings"),
            apt.quick(f"/usr/lib/apt/apt-helper download-file {base}/gpg {_KEY}"),
            apt.quick(f"chmod a+r {_KEY}"),
            apt.quick("tee /etc/apt/sources.list.d/docker.sources", stanza),
        ),
    )
    names = _names(_CE, needs.parts)
    plan = _from_configured(names, extra, f"Docker's own repository ({base})")
    return replace(plan, steps=(add, *plan.steps))


def docker_distribution(system: OsFacts) -> str:
    """The folder of Docker's repository for this system."""
    return "ubuntu" if "ubuntu" in (system.id, *system.id_like) else "debian"


def docker_release_url(system: OsFacts) -> str:
    """The file that is there when Docker's repository has packages for this release."""
    return f"{_REPOSITORY}/{docker_distribution(system)}/dists/{system.codename}/Release"


def _from_newer_suite(system: OsFacts, needs: Needs, extra: tuple[str, ...]) -> SetupPlan:
    """Debian 12: Docker from the next release, through a source that is gone afterwards."""
    sources = apt.newer_suite(system.apt_sources, codename=_OLD_DEBIAN, newer=_NEWER)
    if not sources:
        raise unsupported(system, (*needs.reasons, "No Debian mirror is configured in /etc/apt."))
    names = _names(
        {
            "engine": ("docker.io", _CLI),
            "compose": ("docker-compose",),
            "buildx": ("docker-buildx",),
        },
        needs.parts,
    )
    private = ("-c", f"{WORK}/apt.conf")
    prepare = Step(
        title=f"Add Debian {_NEWER} as a temporary source, from the mirror configured here",
        commands=(
            apt.quick(
                f"mkdir -p {WORK}/sources {WORK}/lists/partial {WORK}/cache/archives/partial"
            ),
            apt.quick(f"tee {WORK}/sources/debian.sources", apt.sources_text(sources)),
            apt.quick(f"tee {WORK}/preferences", apt.preferences_text(_NEWER, names)),
            apt.quick(f"tee {WORK}/apt.conf", apt.private_config(WORK)),
        ),
    )
    return SetupPlan(
        source=f"Debian {_NEWER}, since those of {system.pretty} are too old",
        steps=(
            prepare,
            Step(title="Read its package lists", commands=(apt.update(*private),), optional=True),
            Step(title="Install the packages", commands=(apt.install((*extra, *names), *private),)),
        ),
        cleanup=(apt.quick(f"rm -rf {WORK}"),),
        notes=(
            f"Docker comes from Debian {_NEWER}, so this release's updates do not renew it. The "
            "other packages stay as they are.",
        ),
    )


def _names(by_part: dict[Part, tuple[str, ...]], parts: tuple[Part, ...]) -> tuple[str, ...]:
    return tuple(name for part in parts for name in by_part[part])
