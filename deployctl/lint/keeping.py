"""Rules about what is lost with a container: weights, chats, the settings of volumes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deployctl.lint.change import add_key
from deployctl.lint.flags import flags_of
from deployctl.lint.interpolation import UNKNOWN, known
from deployctl.lint.models import model_of, wanted
from deployctl.lint.nouns import Found, Mount, Rule, Service, Stack, each
from deployctl.lint.tree import Entry, Listing, Mapping, Scalar
from deployctl.lint.writing import Edit

DATA = "/app/backend/data"


def covers(mounts: tuple[Mount, ...], folder: str) -> Mount | None:
    """What is mounted on a folder, or above it, or somewhere below it."""
    for mount in mounts:
        target = mount.target
        if folder == target or folder.startswith(f"{target}/") or target.startswith(f"{folder}/"):
            return mount
        if UNKNOWN in target:
            return mount
    return None


def _cache(service: Service) -> str | None:
    """Where an engine keeps the models that it fetches; ``None`` where that cannot be told."""
    own = ("LLAMA_CACHE",) if service.kind == "llama.cpp" else ()
    for name in (*own, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "TRANSFORMERS_CACHE"):
        if name in service.environment:
            return service.value(name)
    for name, below in (("XDG_CACHE_HOME", "huggingface"), ("HOME", ".cache/huggingface")):
        if name in service.environment:
            home = service.value(name)
            return None if home is None else f"{home.rstrip('/')}/{below}"
    if service.environment_open or "user" in service.keys:
        return None
    return "/root/.cache/huggingface"


def _weights(stack: Stack, service: Service) -> Iterator[Found]:
    if service.open or service.built:
        return
    folder = _fetched_to(service)
    if folder is None:
        return
    mount = covers(service.mounts, folder)
    if mount is not None and _keeps(mount):
        return
    caches = [m for m in service.mounts if ".cache" in m.target or "huggingface" in m.target]
    if mount is None and caches:
        return  # kept, in a way that only its author understands
    name = {"ollama": "ollama"}.get(service.kind, "hf-cache")
    what = "its models" if service.kind == "ollama" else "the weights"
    yield Found(
        at=mount.at if mount else service.at,
        message=f"{service.name} fetches {what} into {folder} of its container: they are fetched "
        "again each time it is made anew.",
        edits=_on_volume(stack, service, name, folder, mount),
        service=service,
    )


def _keeps(mount: Mount) -> bool:
    """Whether a mount outlives the container: a named volume or a folder of the host."""
    return mount.kind != "tmpfs" and bool(mount.source)


def _fetched_to(service: Service) -> str | None:
    if service.kind == "ollama":
        folder = service.environment.get("OLLAMA_MODELS")
        return "/root/.ollama" if folder is None else service.value("OLLAMA_MODELS")
    flags = flags_of(service, dashes=service.kind == "vllm")
    if flags is None or not flags.whole:
        return None
    if service.kind == "vllm":
        to = flags.get("--download-dir")
        if to is not None:
            return to.value if to.value and known(to.value) else None
        model = wanted(service)
        if model is None or not known(model) or model.startswith(("/", "./", "~", "s3://")):
            return None
        return _cache(service)
    fetches = flags.get("-hf", "-hfr", "--hf-repo") or service.value("LLAMA_ARG_HF_REPO")
    return _cache(service) if fetches else None


def _chats(stack: Stack, service: Service) -> Iterator[Found]:
    if service.open or service.built:
        return
    if "DATA_DIR" in service.environment and service.value("DATA_DIR") is None:
        return
    folder = service.value("DATA_DIR") or DATA
    mount = covers(service.mounts, folder)
    if mount is not None and _keeps(mount):
        return
    outside = "DATABASE_URL" in service.environment
    lost = "uploads and caches" if outside else "accounts, chats and settings"
    yield Found(
        at=mount.at if mount else service.at,
        message=f"Nothing keeps {folder} of {service.name}: {lost} go with the container.",
        edits=_on_volume(stack, service, "open-webui", folder, mount),
        service=service,
    )


def _on_volume(
    stack: Stack, service: Service, name: str, folder: str, instead: Mount | None = None
) -> tuple[Edit | None, ...]:
    """A named volume for a folder, and its declaration."""
    entry = service.keys.get("volumes")
    written = f"{name}:{folder}"
    if instead is not None and instead.kind != "tmpfs":
        if entry is None or not isinstance(entry.value, Listing):
            return (None,)
        edit = _replaced(stack, instead, written)
    elif entry is None:
        edit = add_key(stack, service, "volumes", [written])
    else:
        edit = stack.pen.append(entry, written)
    return (edit, *_declared(stack, name))


def _replaced(stack: Stack, mount: Mount, written: str) -> Edit | None:
    """A mount written anew, in place of one."""
    value = mount.part.value
    if mount.part.alias:
        return None
    if isinstance(value, Scalar):
        return stack.pen.put(value, written)
    head = stack.text.lines[mount.at.line - 1][: mount.at.column - 1]
    if head.strip() != "-":
        return None
    return Edit(first=mount.at.line, last=mount.part.last, lines=(head + written,))


def _declared(stack: Stack, name: str) -> tuple[Edit | None, ...]:
    """The declaration of a volume at the end of the file, where it is not there already."""
    top = stack.pairs.of(stack.root).get("volumes")
    if top is None:
        last = len(stack.text.lines)
        while last > 1 and not stack.text.lines[last - 1].strip():
            last -= 1
        if stack.root.flow:
            return (None,)
        pad = " " * (stack.root.entries[0].key.start.column - 1)
        added = (f"{pad}volumes:", f"{pad}  {name}: {{}}")
        return (Edit(first=last, last=last, lines=(stack.text.lines[last - 1], *added)),)
    if name in stack.pairs.of(top.value):
        return ()
    if isinstance(top.value, Mapping) and top.value.entries:
        return (stack.pen.add(top, name, {}) if top.value.flow else _first(stack, top, name),)
    return (stack.pen.key(top, ("volumes:", f"  {name}: {{}}")),)


def _first(stack: Stack, top: Entry, name: str) -> Edit | None:
    assert isinstance(top.value, Mapping)
    first = top.value.entries[0].key.start
    if first.line <= top.key.start.line:
        return None
    line = top.key.start.line
    added = " " * (first.column - 1) + f"{name}: {{}}"
    return Edit(first=line, last=line, lines=(stack.text.lines[line - 1], added))


def _undeclared(stack: Stack, service: Service) -> Iterator[Found]:
    if stack.including or (stack.others and service.open) or stack.others:
        return
    top = stack.pairs.of(stack.root).get("volumes")
    declared = stack.pairs.of(top.value) if top else {}
    for mount in service.mounts:
        named = mount.kind == "volume" and mount.source and known(mount.source)
        if named and mount.source not in declared and "/" not in mount.source:
            yield Found(
                at=mount.at,
                message=f"The volume `{mount.source}` is not declared.",
                edits=_declared(stack, mount.source),
                service=service,
            )


def _hidden(stack: Stack, service: Service) -> Iterator[Found]:
    offline = (service.value("OFFLINE_MODE") or service.value("HF_HUB_OFFLINE") or "").lower()
    mount = next((m for m in service.mounts if m.target == DATA and m.kind == "bind"), None)
    if mount is None or offline not in ("true", "1") or "slim" in service.tag:
        return
    if (service.value("BYPASS_EMBEDDING_AND_RETRIEVAL") or "").lower() == "true":
        return
    if service.environment.get("RAG_EMBEDDING_ENGINE") is not None:
        return
    yield Found(
        at=mount.at,
        message=f"The folder {mount.source} hides the embedding model that the image keeps below "
        f"{DATA}, and offline it cannot be fetched.",
        edits=_on_volume(stack, service, "open-webui", DATA, mount),
        service=service,
    )


def _not_mounted(stack: Stack, service: Service) -> Iterator[Found]:
    """A model's path that nothing is mounted on."""
    model = model_of(service)
    if service.open or service.built or model is None or not known(model):
        return
    if (
        not model.startswith("/")
        or covers(service.mounts, model)
        or service.keys.get("volumes_from")
    ):
        return
    folder = model.rpartition("/")[0] if model.endswith(".gguf") else model
    source = "./models" if model.endswith(".gguf") else f"./models/{model.rpartition('/')[2]}"
    if not folder:
        return
    entry = service.keys.get("volumes")
    written = f"{source}:{folder}:ro"
    edit = (
        add_key(stack, service, "volumes", [written])
        if entry is None
        else stack.pen.append(entry, written)
    )
    yield Found(
        at=service.at,
        message=f"{service.name} is to load {model}, and nothing is mounted there.",
        edits=(edit,),
        service=service,
    )


RULES = (
    Rule(
        id="weights-not-kept",
        about="Keeping",
        severity="warning",
        what="an engine that fetches its model into the container, with no volume there",
        why="A container that is made anew fetches gigabytes again, and does not start offline.",
        fix="a volume on the cache: `/root/.cache/huggingface`, of Ollama `/root/.ollama`",
        basis="source",
        check=each(_weights, "vllm", "llama.cpp", "ollama"),
    ),
    Rule(
        id="chats-not-kept",
        about="Keeping",
        severity="error",
        what="Open WebUI with nothing mounted on `/app/backend/data`, or an anonymous volume",
        why="Accounts, chats and settings are in that folder; the next `docker compose down` or "
        "new image takes them away.",
        fix="a named volume on it",
        basis="source",
        check=each(_chats, "webui"),
    ),
    Rule(
        id="volume-undeclared",
        about="Keeping",
        severity="error",
        what="a named volume that the top-level `volumes:` does not have",
        why="Compose refuses the whole file: `refers to undefined volume`.",
        fix="its name below `volumes:`",
        basis="run",
        check=each(_undeclared),
    ),
    Rule(
        id="data-hidden",
        about="Keeping",
        severity="warning",
        what="a folder of the host on `/app/backend/data` together with `OFFLINE_MODE=true`",
        why="The image keeps its embedding model below that folder; an empty folder over it hides "
        "it, and offline nothing brings another. The start goes on, and documents are not found.",
        fix="a named volume, or one online start first",
        basis="docs",
        check=each(_hidden, "webui"),
    ),
    Rule(
        id="model-not-mounted",
        about="Keeping",
        severity="error",
        what="a model's path in the command with nothing mounted there",
        why="The engine looks for the file in its container, finds none and stops.",
        fix="the folder with the model, mounted read-only",
        basis="run",
        check=each(_not_mounted, "vllm", "llama.cpp"),
    ),
)
