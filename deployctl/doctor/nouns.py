"""What the doctor knows of a machine before it judges. Pure; ``None`` means could not be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deployctl.model import HostFacts
from deployctl.outcomes import CheckResult, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder something is kept in: how much room, on what kind of filesystem, mounted how.

    The folder itself need not be there yet; then this is about the nearest one above it.
    """

    path: Path
    free_bytes: int | None = None
    inodes_free: int | None = None
    inodes_total: int | None = None  # 0 where the filesystem has no fixed number of them
    filesystem: str = ""  # ext4, nfs4, 9p; empty: unknown
    options: tuple[str, ...] = ()
    device: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system, from its own files. Names of ``settings`` are those of sysctl."""

    kernel: str = ""
    pretty: str = "this system"
    user: str = ""
    uid: int = 0
    systemd: bool = False
    in_docker_group: bool = False  # this process
    listed_in_docker_group: bool = False  # after the next login
    virtualisation: str | None = None  # kvm, docker, lxc, none
    swaps: tuple[str, ...] = ()  # device names
    modules: frozenset[str] = frozenset()  # of the kernel, loaded
    settings: Mapping[str, str] = field(default_factory=dict)
    open_files: int | None = None
    selinux: Literal["enforcing", "permissive"] | None = None
    apparmor: bool = False
    apparmor_unloadable: bool = False
    nameservers: tuple[str, ...] = ()
    resolved_servers: tuple[str, ...] = ()  # those behind systemd-resolved
    ufw: bool = False
    firewalld: bool = False
    iptables: str | None = None  # as `iptables --version` says it
    docker_chain: bool | None = None  # Docker's own rules are there; needs root
    boot_line: Path | None = None  # the file that holds the kernel's command line (Raspberry Pi)
    grub: bool = False  # the boot loader is GRUB
    ntp: bool | None = None  # synchronised, as timedatectl says


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What Docker keeps under one Compose project's name."""

    project: str
    folder: str = ""  # where Compose ran, while there is a container
    services: tuple[str, ...] = ()
    running: int = 0
    stopped: tuple[str, ...] = ()  # services that do not run, and are no job that is done
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What the daemon says of itself (``docker info``), and what it keeps."""

    info: Mapping[str, Any] = field(default_factory=dict)
    holdings: tuple[Holding, ...] | None = None
    bridges: int | None = None  # networks that took a range of addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies of each party, by lower-case name (``https_proxy``), passwords left out."""

    environment: Mapping[str, str] = field(default_factory=dict)
    daemon: Mapping[str, str] = field(default_factory=dict)
    client: Mapping[str, str] = field(default_factory=dict)  # ~/.docker/config.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A package index of this machine's configuration; its host is nobody's business."""

    kind: Literal["pip", "apt"]
    asked: int
    answering: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What of the outside answers now. ``ahead_s`` is how far this machine's clock is ahead."""

    reaches: tuple[Reach, ...] = ()
    problem: tuple[CheckResult, ...] = ()  # why nobody was asked
    indexes: tuple[Index, ...] = ()
    asked_name: str = ""
    resolves: bool | None = None
    ahead_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardProbe:
    """A real container that was given the card: what came of it."""

    image: str
    ok: bool
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphics:
    """What else is known of cards. ``levels`` are the drivers that images of ours need."""

    probe: CardProbe | None = None
    unprobed: str = ""  # why there was no probe
    persistence: bool | None = None
    devices: frozenset[str] = frozenset()  # of /dev: nvidia-uvm, dxg
    levels: Mapping[str, int] = field(default_factory=dict)  # profile → driver
    capabilities: Mapping[str, str] = field(default_factory=dict)  # profile → compute capability


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFolder:
    """A stack that this state folder knows."""

    name: str
    folder: Path
    standing: str  # how far the last command came
    open_files: tuple[str, ...] = ()  # secrets that others may read
    lan: bool = False  # other machines reach it


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state folder: where it is, whose it is, and what containers could read of it."""

    place: Place
    exists: bool
    writable: bool
    owner: str = ""
    strangers: tuple[Path, ...] = ()  # what belongs to somebody else
    unreadable: tuple[Path, ...] = ()  # model files that the container's user could not read
    models: int = 0
    stacks: tuple[StackFolder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything the doctor judges."""

    facts: HostFacts
    system: System
    daemon: Daemon
    images: Place | None  # where Docker keeps images and volumes; None: nobody knows
    state: State
    proxies: Proxies
    outside: Outside
    graphics: Graphics
    ports: Mapping[int, str]  # which to look at → whose it would be: webui, engine
    stack: str  # whose own ports do not count as taken
    architectures: frozenset[str]  # for which there are profiles
    up: str = "deployctl up"  # the command that is to bring the stack up


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Checks about one thing, under a heading."""

    name: str
    checks: tuple[CheckResult, ...]
