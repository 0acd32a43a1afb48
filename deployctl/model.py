"""The nouns that flow between the phases. Read this first.

Frozen values only: no behaviour beyond describing themselves, no input or output.
Flow: ``Profile`` → ``Plan`` → ``Bundle`` → folder on disk → running stack → ``Report``.
Sizes are bytes, times are seconds, ports are TCP port numbers unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deployctl.addons.nouns import Optional, Page
    from deployctl.sizing import Load, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was written: the file as the operator knows it, 1-based line and column."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A Compose interpolation: resolved from the stack's ``.env`` when Compose reads the file.

    With ``required`` nothing starts without a value, and Docker says that sentence; reading the
    file needs none. Only for the value of an environment variable. Else ``default`` is used.
    """

    name: str
    default: str | None = None
    required: str | None = None


Text = str | Variable


# ── the model file ────────────────────────────────────────────────────────────────────────────


SourceKind = Literal["hf", "file", "https", "wheel", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a model file comes from, parsed from its written form.

    ``hf:ORG/REPO[@REV][:FILE]`` · ``file:PATH`` · ``https://…`` · ``wheel:PACKAGE==VERSION:PATH``
    · ``bf16:SOURCE``, the folder in 16 bits that the GGUF file of this source becomes here
    """

    kind: SourceKind
    text: str
    inner: Source | None = None  # bf16: where the file comes from; the rest is empty then
    repo: str = ""  # hf: ORG/REPO; wheel: PACKAGE
    revision: str = ""  # hf: branch, tag or commit; wheel: VERSION
    path: str = ""  # hf, wheel: path inside, '' all of it; file: on this machine; https: the URL

    @property
    def filename(self) -> str:
        """The last part of the path, as the engine sees it; of a repository its own name."""
        if self.inner is not None:
            return f"{self.inner.filename[: -len('.gguf')]}-{self.kind}"
        return (self.path or self.repo).split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]

    @property
    def fetched(self) -> Source:
        """What has to come to this machine: the file, also where a folder is made of it."""
        return self.inner or self

    @property
    def is_folder(self) -> bool:
        """Whether it is more than one file; of a path on this machine that is not known here."""
        return not self.path

    @property
    def by_hand(self) -> str:
        """What to write for the same file when it was brought here by other means."""
        own = f"file:/path/to/{self.fetched.filename}"
        return own if self.inner is None else f"{self.kind}:{own}"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec:
    """What to fetch and how to know that it is whole. Unknown size or checksum is ``None``.

    ``about_bytes`` is what to expect of a download; nothing is refused for differing from it.
    Of ``bf16:`` the checksum is that of the file, which comes from elsewhere; the sizes are those
    of the tensors that are made of it.
    """

    source: Source
    sha256: str | None = None
    size_bytes: int | None = None
    about_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model file on this host, checked."""

    path: Path
    size_bytes: int
    how: Literal["cached", "downloaded", "local", "converted"]
    identity: str = ""  # changes when the file is replaced, even in place


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The dimensions of a decoder, as its ``config.json`` or GGUF header gives them.

    From these follow its parameters, its weights in any format and its memory per token.
    """

    architecture: str  # qwen2, llama: what GGUF calls general.architecture
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied_embeddings: bool  # the output layer is the embedding table, not one of its own
    trained_context: int  # tokens


# ── the plan ──────────────────────────────────────────────────────────────────────────────────


#: How Docker is asked for an NVIDIA card: a reservation that the toolkit's hook carries out, the
#: card's name in a CDI specification, or a container runtime of NVIDIA's own.
CardAccess = Literal["reservation", "cdi", "runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image a service runs, and the recipe that builds a drop-in replacement from packages.

    ``by_driver``: NVIDIA driver → the image of the same release that runs from it on, the newest
    driver first; empty where only this one may run.
    """

    service: str
    reference: str  # registry reference, always tagged
    recipe: str | None  # folder under compose/images, None: cannot be built
    by_driver: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port: ``address:host_port`` on the host leads to ``container_port``."""

    address: str
    host_port: int
    container_port: int
    key: str = ""  # the profile's key that says the host's port; '' where none does


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A volume (by name) or something of the host inside a container.

    That is a path, by variable, or a folder that lies beside the stack's own file: ``./NAME``.
    """

    kind: Literal["volume", "bind"]
    source: Text
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """Docker's own check, run inside the container; the argv form, never a shell."""

    test: tuple[str, ...]
    interval_s: int
    timeout_s: int
    retries: int
    start_period_s: int
    start_interval_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A writable place in memory, bounded."""

    target: str
    size_bytes: int
    executable: bool = False  # programs may be run and libraries loaded from it


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """A file of ours that lies beside ``compose.yaml`` and is mounted into a service, read-only.

    Either its ``text``, or the ``template`` below ``templates/`` that it is: ``….j2`` is rendered
    with ``values``, everything else is copied. ``name`` is unique within the stack.
    """

    name: str
    target: str
    text: str | None = None
    template: str = ""
    values: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One container of the stack. Everything the template needs, decided."""

    name: str
    image: Image
    entrypoint: tuple[str, ...] = ()  # instead of the image's own
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, Text], ...] = ()
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: tuple[StackFile, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    memory_bytes: int
    memory_key: str = ""  # the profile's key that says so; '' where none does
    need: Part | None = None  # what it takes of it, where that does not depend on the model
    addon: str | None = None  # the add-on that it belongs to
    health: str = "/"  # what it answers at its first port whether anything else works or not
    cpus: float | None = None  # processors it may use; None: all
    gpu: bool = False  # it gets an NVIDIA card
    gpu_access: CardAccess = "reservation"  # how, if so
    devices: tuple[str, ...] = ()  # device files of the host it gets
    groups: tuple[Text, ...] = ()  # further groups of its user, by number
    shm_bytes: int | None = None
    egress: bool = False  # it may reach out, by a network of its own for that
    hops: int = 1  # how many network hops its packets survive where it may not
    healthcheck: Healthcheck
    stop_grace_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each part may take before ``up`` gives up, in seconds."""

    engine_s: int
    frontend_s: int
    proof_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card a profile is made for. ``None`` means that nothing is asked of it."""

    name: str | None
    memory_bytes: int
    compute_capability: str | None  # NVIDIA's, at least this
    driver: int | None  # NVIDIA's, at least this release: as asked, or as the image needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What the host must have; judged by preflight, never part of the rendered stack."""

    disk_bytes: int
    architectures: tuple[str, ...]
    card: Card | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will run, decided from the profile alone: no host fact is in it."""

    profile: str
    engine: str
    model: str  # human name
    served_name: str  # the name clients ask for
    weights: WeightsSpec
    services: tuple[Service, ...]
    volumes: tuple[str, ...]
    deadlines: Deadlines
    requirements: Requirements
    context: int  # tokens per conversation, as the engine serves them
    asked_context: int  # as the profile says; llama.cpp rounds up to whole blocks
    concurrency: int
    max_tokens: int
    thinking: int | None  # tokens a reasoning model may think; None: as long as it likes
    reasoning: bool
    license: str
    gated: bool  # its authors want their licence accepted
    token: bool  # and its source wants to see that, by HF_TOKEN
    reach: tuple[str, ...]  # who can reach what, in sentences
    load: Load | None  # what the engine is asked to hold; None: the model's shape is not known
    beside: tuple[Part, ...]  # what else takes memory
    pages: tuple[Page, ...] = ()  # what add-ons show on this machine
    secrets: tuple[str, ...] = ()  # what is generated for add-ons, by name
    optional: tuple[Optional, ...] = ()  # parts of add-ons that no packages can replace

    @property
    def addons(self) -> tuple[str, ...]:
        """The add-ons that it has, by name."""
        return tuple(dict.fromkeys(s.addon for s in self.services if s.addon is not None))

    def service(self, name: str) -> Service:
        """The service of this name; ``KeyError`` when there is none."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One rendered file: its name inside the stack folder, its text, its mode."""

    name: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The rendered stack in memory. ``digest`` is the sha256 over names and texts."""

    files: tuple[BundleFile, ...]
    digest: str

    def text(self, name: str) -> str:
        """The text of one file; ``KeyError`` when the bundle has none of this name."""
        for file in self.files:
            if file.name == name:
                return file.text
        raise KeyError(name)


# ── the host ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card as its own tool reports it; what that does not say is ``None``."""

    name: str
    memory_bytes: int | None
    driver: str | None
    vendor: Literal["nvidia", "amd", "intel"] = "nvidia"
    memory_free_bytes: int | None = None
    compute_capability: str | None = None  # 8.6; NVIDIA only
    cuda: str | None = None  # 13.0, the newest that the driver runs; NVIDIA only
    problem: str | None = None  # what its tool said instead of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerFacts:
    """What is known of Docker here. ``problem`` is a code of ``errors.CODES`` or ``None``."""

    client: str | None = None  # path of the docker client
    server_version: str | None = None
    compose_version: str | None = None
    buildx_version: str | None = None  # needed for image builds only
    running_containers: int | None = None  # of everybody, not only ours
    root_dir: Path | None = None  # where images go, when it is on this machine
    problem: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """This machine, looked at once. ``None`` means unknown, never a guess."""

    architecture: str  # amd64, arm64, or what uname says
    cores: int
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    disk_free_bytes: int | None  # where models go
    docker: DockerFacts
    gpus: tuple[Gpu, ...] = ()
    container_toolkit: bool | None = None
    busy_ports: Mapping[int, str] = field(default_factory=dict)  # port → who holds it
    reachable: Mapping[str, bool] = field(default_factory=dict)  # source text → answers now
    cpu_model: str | None = None
    addresses: tuple[str, ...] = ()  # of this machine's networks; empty: unknown
    render_gid: int | None = None  # the group that may use the cards' device files
    physical_cores: int | None = None  # cores that are not hyper-threads of another
    cpu_limit: float | None = None  # cores, when the whole machine may use fewer than it shows
    isa: tuple[str, ...] = ()  # instruction sets that engines are built for: avx2, i8mm
    swap_total_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None  # reading memory, measured; None: not measured
    wsl: int | None = None  # 1 or 2; 0 outside of WSL
    board: str | None = None  # as the device tree names it; None where there is none
    cdi: bool | None = None  # whether Docker knows NVIDIA cards by CDI; None without such a card
    card_access: tuple[CardAccess, ...] | None = None  # the ways to hand an NVIDIA card out
    # Images that were looked for: why one cannot be had, as a clause, None if it can.
    unobtainable: Mapping[str, str | None] = field(default_factory=dict)
    oom_kills: int | None = None  # processes that the kernel killed for memory since it booted
