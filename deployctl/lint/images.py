"""Rules about images: tags that move, names that moved, CUDA of another age. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import drop_variable, set_variable, variable_named
from deployctl.lint.interpolation import UNKNOWN, known
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.services import build_arguments
from deployctl.lint.tree import Scalar
from deployctl.lint.writing import Edit, scalar

#: The release that a profile of ours runs; what is proposed where a tag names none.
VLLM, WEBUI = "v0.32.0", "v0.12.4"
LLAMA_CPP, LLAMA_CPP_CUDA = "b11434", "b11382"

#: Tags that mean another image next month, whatever is in them.
_FLAVOURS = (
    r"cuda\d*|cu\d+|slim|ollama|alpine|cpu|gpu|nvidia|rocm|vulkan|intel|arm64|amd64|lite|full|aio"
    r"|stable|bookworm|bullseye|trixie"
)
_FLOATING = re.compile(
    r"(?i)(?:.*[-_])?(?:latest|main|master|edge|nightly|dev|develop|rolling|head)"
    rf"(?:[-_](?:{_FLAVOURS}|\d{{1,2}}))*|(?:{_FLAVOURS}|lts|release|mainline)(?:-(?:{_FLAVOURS}))*"
)

#: What can be the name of an image at all.
_NAME = re.compile(r"[A-Za-z0-9][\w.\-/:@]*", re.ASCII)

#: Releases to propose for images that often stand beside a chat window.
_KNOWN = {
    "docker.io/prom/prometheus": "v3.15.0",
    "docker.io/grafana/grafana": "13.2.3",
    "docker.io/library/caddy": "2.11.4-alpine",
    "docker.io/library/nginx": "1.30.4-alpine",
    "docker.io/valkey/valkey": "9.1.1-alpine",
    "ghcr.io/berriai/litellm": "v1.97.0",
}

_LLAMA_SERVER = re.compile(r"(?P<kind>server|full|light)(?P<on>-(?!b\d)[a-z][a-z0-9]*)?")


def pinned(service: Service) -> bool:
    """Whether the tag names one release, as far as the file tells."""
    return service.built or not known(service.image) or _floats(service) is None


def _floats(service: Service) -> str | None:
    """What is wrong with a tag, in words."""
    if service.tag.startswith("@"):
        return None
    bare = ":" not in service.image.rpartition("/")[2]
    if bare:
        return "names no tag, which means `latest`"
    if _FLOATING.fullmatch(service.tag):
        return f"has the tag `{service.tag}`"
    webui = service.kind == "webui" and re.fullmatch(
        r"(?:git-)?(?:cuda\d*|ollama|slim)", service.tag
    )
    llama = service.kind == "llama.cpp" and _LLAMA_SERVER.fullmatch(service.tag)
    return f"has the tag `{service.tag}`" if webui or llama else None


def _floating(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("image")
    if entry is None or service.built or not known(service.image) or not service.image:
        return
    wrong = _floats(service)
    if wrong is None or not isinstance(entry.value, Scalar) or not _NAME.fullmatch(service.image):
        return
    yield Found(
        at=entry.value.start,
        message=f"The image of {service.name} {wrong}: the next pull may bring another program.",
        edits=(_put(stack, entry.value, service, proposed(service)),),
        service=service,
    )


def _put(stack: Stack, old: Scalar, service: Service, new: str) -> Edit | None:
    """Another image in place of the one that is written; of a variable's default, only that."""
    inside = old.text != service.image and service.image in old.text and '"' not in new
    return stack.pen.put(old, scalar(old.text.replace(service.image, new)) if inside else new)


#: Whose images have the tags that we know; a mirror keeps these names behind its own.
_OWN = (
    *("/open-webui/open-webui", "/openwebui/open-webui"),
    *("/ggml-org/llama.cpp", "/ggerganov/llama.cpp"),
)


def proposed(service: Service) -> str:
    """The same image with a release in its tag; one that is asked for where we know of none."""
    bare = ":" not in service.image.rpartition("/")[2]
    name = moved(service.image if bare else service.image.rpartition(":")[0])
    own = service.repository.endswith(_OWN)
    tag = "" if bare else service.tag
    if service.kind == "vllm" and service.repository.startswith("docker.io/vllm/vllm-openai"):
        if service.repository.endswith("-cpu"):
            return f"{name}:{VLLM}-x86_64"
        cuda = re.search(r"-(cu\d+)", tag)
        return f"{name}:{VLLM}" + (f"-{cuda[1]}" if cuda else "")
    if service.kind == "webui" and own:
        suffix = re.search(r"(?:^|-)(cuda|ollama|slim)\d*$", tag)
        return f"{name}:{WEBUI}" + (f"-{suffix[1]}" if suffix else "")
    if service.kind == "llama.cpp" and own:
        kind = _LLAMA_SERVER.fullmatch(tag)
        wanted = kind[0] if kind else "server"
        return f"{name}:{wanted}-{LLAMA_CPP if wanted == 'server' else LLAMA_CPP_CUDA}"
    if service.repository in _KNOWN:
        return f"{name}:{_KNOWN[service.repository]}"
    variable = variable_named(service.name, "VERSION")
    return f'"{name}:${{{variable}:?the release to run, not latest}}"'


def moved(image: str) -> str:
    """An image under the name that its project has today."""
    return image.replace("ghcr.io/ggerganov/llama.cpp", "ghcr.io/ggml-org/llama.cpp")


def _moved(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("image")
    if service.repository != "ghcr.io/ggerganov/llama.cpp" or entry is None:
        return
    if not isinstance(entry.value, Scalar) or service.built:
        return
    new = moved(service.image)
    yield Found(
        at=entry.value.start,
        message="llama.cpp publishes its images as `ghcr.io/ggml-org/llama.cpp`; this is the name "
        "of before.",
        edits=(stack.pen.put(entry.value, new) if known(new) else None,),
        service=service,
    )


# ── CUDA ──────────────────────────────────────────────────────────────────────────────────────

_CUDA_11 = re.compile(r"(?i)(?:^|[^a-z0-9])(?:cu11\d|cuda[-_:]?11(?:[._]?\d)?)(?![0-9])")
#: What is proposed in its place.
_CUDA = "12.8.1"
_REQUIRES_11 = re.compile(r"cuda\s*[>=]=?\s*11")


def _cuda(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("image")
    reference = f"{service.repository}:{service.tag}"
    if entry is not None and isinstance(entry.value, Scalar) and known(service.image):
        base = re.search(r"/nvidia/cuda:11\.[\d.]+(?P<rest>.*)", reference)
        if base or _CUDA_11.search(service.image):
            yield Found(
                at=entry.value.start,
                message=f"The image of {service.name} is built on CUDA 11.",
                edits=(stack.pen.put(entry.value, _newer_cuda(service)),),
                service=service,
            )
    for argument in build_arguments(stack, service):
        if argument.name == "CUDA_VERSION" and (argument.value or "").startswith("11"):
            yield Found(
                at=argument.at,
                message=f"The image of {service.name} is built on CUDA 11.",
                edits=(set_variable(stack, argument, _CUDA),),
                service=service,
            )
    for name, variable in service.environment.items():
        value = variable.value or ""
        wrong = (name == "CUDA_VERSION" and value.startswith("11")) or (
            name == "NVIDIA_REQUIRE_CUDA" and bool(_REQUIRES_11.search(value))
        )
        if wrong and UNKNOWN not in value:
            yield Found(
                at=variable.at,
                message=f"`{name}={value}` asks for CUDA 11; nothing that runs here reads it so.",
                edits=(drop_variable(stack, service, variable),),
                service=service,
            )


def _newer_cuda(service: Service) -> str:
    if service.kind in ("vllm", "llama.cpp", "webui"):
        plain = service.image.rpartition(":")[0]
        tags = {
            "vllm": VLLM,
            "llama.cpp": f"server-cuda-{LLAMA_CPP_CUDA}",
            "webui": f"{WEBUI}-cuda",
        }
        return f"{plain}:{tags[service.kind]}"
    base = re.match(r"(?P<name>.*nvidia/cuda):11\.[\d.]+(?:-(?P<parts>.*))?", service.image)
    if base is None:
        return '"${IMAGE:?an image built on CUDA 12 or 13}"'
    parts = re.sub(r"cudnn\d+", "cudnn", base["parts"] or "runtime-")
    flavour = re.sub(r"-?(?:ubuntu|centos|rockylinux|ubi)[\d.]*$", "", parts).strip("-") or "base"
    return f"{base['name']}:{_CUDA}-{flavour}-ubuntu24.04"


RULES = (
    Rule(
        id="image-floating-tag",
        about="Images",
        severity="warning",
        what="an image with no tag, `latest`, `main`, `server`, `server-cuda`, `cuda` or another "
        "tag that moves",
        why="The same file starts another program after the next pull, and nobody can say which "
        "one ran before.",
        fix="the tag of a release, or a digest; `main` of Open WebUI is its development branch",
        basis="docs",
        check=each(_floating),
    ),
    Rule(
        id="image-moved",
        about="Images",
        severity="warning",
        what="`ghcr.io/ggerganov/llama.cpp`",
        why="The project has moved to `ggml-org`, and its documentation names images only there.",
        fix="`ghcr.io/ggml-org/llama.cpp`",
        basis="docs",
        check=each(_moved, "llama.cpp"),
    ),
    Rule(
        id="cuda-11",
        about="Images",
        severity="error",
        what="an image built on CUDA 11, or `CUDA_VERSION` or `NVIDIA_REQUIRE_CUDA` asking for it",
        why="vLLM's images of today are built with CUDA 13 or 12.9, llama.cpp's with 12.8 or 13; "
        "the host needs only the driver for that (580 for 13) and the container toolkit.",
        fix="the engine's own image; no CUDA on the host, none in variables",
        basis="docs",
        check=each(_cuda),
    ),
)
