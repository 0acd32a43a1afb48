"""The response cache: a gateway before the engine that knows the answers it gave. Pure.

nginx with its own cache on disk; a little Lua says what may be kept. The image is OpenResty's, or
Debian's nginx with the same modules, which the recipe ``gateway`` installs: one configuration fits
both. Why not a proxy made for models: decision 9, in ``docs/decisions``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from deployctl.addons.nouns import Addon, Page
from deployctl.engines import engine
from deployctl.model import (
    Image,
    Mount,
    Service,
    StackFile,
    Text,
    Tmpfs,
    Variable,
)
from deployctl.profiles.block import Block
from deployctl.profiles.values import Duration, PortNumber, Size, refuse
from deployctl.services.common import NO_PROXIES, checked, generated, here, reach
from deployctl.sizing import Part
from deployctl.sources import parse_source

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

#: Inside the container.
PORT = 8080

VOLUME = "cache-data"

#: Where the volume lies; the recipe makes the folder, so that the volume is its user's.
STORE = "/var/cache/gateway"

#: Claimed: this tag was never pulled here.
IMAGE = "docker.io/openresty/openresty:1.27.1.2-bookworm-fat"

_FOLDER = "/etc/gateway"

#: (name beside the stack's file, name inside), as they are.
_SCRIPTS = (
    ("gateway.sh", "start.sh"),
    ("gateway.lua", "gateway.lua"),
    ("gateway-canonical.lua", "canonical.lua"),
    ("gateway-chance.lua", "chance.lua"),
    ("gateway-store.lua", "store.lua"),
)

#: Flags with which an engine samples at temperature 0 too, whatever their value: llama.cpp's ways
#: around the temperature, and code of the operator's own in vLLM.
_SAMPLING_FLAGS = {
    "llama.cpp": (
        *("--samplers", "--sampler-seq", "--sampling-seq", "--xtc-probability", "--dynatemp-range"),
        *("--mirostat", "--spec-draft-sampling", "--spec-synth-len", "--spec-synth-rates"),
    ),
    "vllm": ("--logits-processors",),
}

#: Less keeps next to nothing: nginx looks every ten seconds, and one answer can be 2 MB.
_LEAST_SIZE = 1024**2

#: OpenResty's image has no Python; bash and grep are in every Debian.
_CHECK = (
    "bash",
    "-c",
    f"exec 3<>/dev/tcp/127.0.0.1/{PORT} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 "
    "&& grep -q '^gateway' <&3",
)


class CacheSpec(Block):
    """A gateway before the engine that answers repeated questions from what it said before."""

    enabled: bool = Field(default=False, description="Whether it runs.", examples=[True])
    port: PortNumber = Field(
        default=8001, description="Its port on this machine; the engine's stays.", examples=[8001]
    )
    memory: Size = Field(
        default="128MiB",
        validate_default=True,
        description="Memory that it may use.",
        examples=["128MiB"],
    )
    ttl: Duration = Field(
        default="1h",
        validate_default=True,
        description="How long an answer is kept.",
        examples=["1h"],
    )
    size: Size = Field(
        default="256MiB",
        validate_default=True,
        description="How much disk the answers may take; those not asked for longest go first.",
        examples=["256MiB"],
    )
    sampled: bool = Field(
        default=False,
        description="Whether answers at a temperature above 0 are kept too: the same question then "
        "has the same answer until it is forgotten.",
        examples=[False],
    )
    shared: bool = Field(
        default=False,
        description="Whether clients with different keys share answers.",
        examples=[False],
    )
    frontend: bool = Field(
        default=False,
        description="Whether the chat window asks through it too.",
        examples=[False],
    )

    @field_validator("size")
    @classmethod
    def _some(cls, size: int) -> int:
        if size < _LEAST_SIZE:
            refuse("Next to nothing fits in less than 1MiB.", write="1MiB")
        return size


def _services(spec: ProfileSpec) -> tuple[Service, ...]:
    own = spec.addons.cache
    hops, egress = reach(spec, "cache")
    return (
        Service(
            name="cache",
            image=Image(service="cache", reference=IMAGE, recipe="gateway"),
            command=("sh", f"{_FOLDER}/start.sh"),
            environment=_environment(spec),
            ports=(here(own.port, PORT, key="addons.cache.port"),),
            mounts=(Mount(kind="volume", source=VOLUME, target=STORE, read_only=False),),
            files=_files(spec),
            # Process id, what waits for room in memory, and the stand-in for a lost volume.
            tmpfs=(Tmpfs(target="/tmp", size_bytes=16 * 1024**2),),  # noqa: S108  # in the container
            memory_bytes=own.memory,
            memory_key="addons.cache.memory",
            need=Part(
                place="ram",
                name="response cache",
                bytes=8 * 1024**2,
                basis="measured",
                why="nginx after 300 answers; more of them is the kernel's cache, which gives way",
            ),
            hops=hops,
            egress=egress,
            health="/health",  # anything else is asked of the engine
            healthcheck=checked(_CHECK, start_s=30),
            stop_grace_s=10,
        ),
    )


def _files(spec: ProfileSpec) -> tuple[StackFile, ...]:
    own = spec.addons.cache
    return (
        StackFile(
            name="gateway.conf",
            target=f"{_FOLDER}/nginx.conf",
            template="cache/nginx.conf.j2",
            values=(
                ("port", PORT),
                ("engine_port", engine(spec.engine.kind).PORT),
                ("ttl_s", own.ttl),
                ("size_bytes", own.size),
            ),
        ),
        *(
            StackFile(name=name, target=f"{_FOLDER}/{file}", template=f"cache/{file}")
            for name, file in _SCRIPTS
        ),
    )


def _environment(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    own = spec.addons.cache
    return (
        # The keys whose questions are answered from memory, with commas between; others pass on to
        # the engine, which judges them.
        ("ENGINE_KEYS", generated("DEPLOYCTL_ENGINE_KEY")),
        # With another model, or another way to run it, nothing that was kept is an answer.
        ("ENGINE_STARTED_AS", _started_as(spec)),
        ("ENGINE_WEIGHTS", Variable(name="DEPLOYCTL_WEIGHTS", default="as-named")),
        # Then nothing is kept unless it is asked for.
        ("ENGINE_SAMPLES", _flag(on=_samples(spec))),
        ("CACHE_SAMPLED", _flag(on=own.sampled)),
        ("CACHE_SHARED", _flag(on=own.shared)),
        ("CACHE_LIMIT_BYTES", str(own.size)),
        ("CACHE_MEMORY_BYTES", str(own.memory)),
        *NO_PROXIES,
    )


def _samples(spec: ProfileSpec) -> bool:
    """Whether the engine's own arguments have it choose by chance, whatever a question asks for."""
    flags = (word.partition("=")[0].replace("_", "-") for word in spec.engine.extra_args)
    known = _SAMPLING_FLAGS[spec.engine.kind]
    if spec.engine.kind == "llama.cpp":
        return any(flag in known for flag in flags)
    # vLLM's parser also takes the beginning of a flag.
    return any(len(flag) > 4 and each.startswith(flag) for flag in flags for each in known)


def _flag(*, on: bool) -> str:
    return "true" if on else "false"


def _started_as(spec: ProfileSpec) -> str:
    """What stands for the engine's image and command line: 16 digits of their sha256."""
    name = parse_source(spec.model.source).filename
    service = engine(spec.engine.kind).service(spec, name)
    words = (service.image.reference, *service.command)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _pages(spec: ProfileSpec) -> tuple[Page, ...]:
    return (Page(label="API, cached", port=spec.addons.cache.port, path="/v1"),)


def _frontend(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    if not spec.addons.cache.frontend:
        return ()
    return (("OPENAI_API_BASE_URL", f"http://cache:{PORT}/v1"),)


ADDON: Addon = Addon(
    name="cache",
    title="Response cache",
    services=_services,
    pages=_pages,
    frontend=_frontend,
)
