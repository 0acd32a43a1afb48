"""A recipe: a folder with a Dockerfile, and the hash that says whether it was built already.

Reads the recipe's files and ``/proc/cpuinfo``; changes nothing.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from deployctl.errors import DeployctlError

#: Every image that is built from packages starts from this recipe's.
BASE = "base"

#: What the names of images built here begin with. Without a registry in front, Docker would ask
#: its own for one that is not here, and run what a stranger put there; nobody serves localhost.
BUILT_HERE = "localhost/deployctl/"

#: What a Dockerfile calls the folder of wheels that this machine's pip brings; the recipe's file of
#: that name says which.
WHEELS = "wheels"

#: Room a build needs when its Dockerfile does not say.
_USUAL_BYTES = 2_000_000_000

_NEED = re.compile(r"^# disk: ([0-9]+(?:\.[0-9]+)?) GB\b", re.MULTILINE)
_START = re.compile(r"^ARG (BASE|DEBIAN_IMAGE)=(\S+)", re.MULTILINE)
#: A piece that several recipes share, or what the machine's own pip hands over.
_FROM = re.compile(r"--mount=\S*\bfrom=([a-z][a-z0-9-]*)\b")
_NATIVE = re.compile(r"-march=native|-mcpu=native|GGML_NATIVE=(?:ON|1)", re.IGNORECASE)

#: Lines of /proc/cpuinfo that decide which instructions a compiler may use (x86, then Arm), and
#: their words that do. The others come and go with the kernel and the mitigations it chose.
_CPU_WORDS = {
    "flags": re.compile(
        "mmx|s?sse|pni|avx|amx|fma|f16c|bmi|abm|popcnt|movbe|adx|v?aes|v?pclmul|gfni|sha_|sha512"
        "|xop|tbm|3dnow|cx16"
    ),
    "features": re.compile(
        "fp|asimd|sve|sme|i8mm|bf16|atomics|crc32|aes|pmull|sha|fcma|jscvt|i?lrcpc"
    ),
    "cpu implementer": re.compile(""),
    "cpu architecture": re.compile(""),
    "cpu part": re.compile(""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One folder under the recipes, read.

    ``starts_from`` is the image that its Dockerfile starts from by itself, ``start_argument`` the
    build argument that names another; both empty when it starts from nothing. ``shared`` are the
    folders its Dockerfile mounts by name, ``wheels`` the list of packages that it wants from this
    machine's pip.
    """

    name: str
    folder: Path
    digest: str
    disk_bytes: int
    start_argument: str
    starts_from: str
    shared: tuple[tuple[str, Path], ...] = ()
    wheels: Path | None = None

    @property
    def tag(self) -> str:
        """What the built image is called here: it exists only if exactly this was built."""
        return f"{BUILT_HERE}{self.name}:{self.digest[:16]}"

    @property
    def on_base(self) -> bool:
        """Whether the base recipe's image must be there first."""
        return _is_base(self.starts_from)


def _is_base(start: str) -> bool:
    return start.partition(":")[0] == f"{BUILT_HERE}{BASE}"


def load_recipe(images: Path, name: str, *, root: Path = Path("/")) -> Recipe:
    """Read the recipe ``name``; ``image-build-failed`` when there is none.

    The digest covers the recipe's files, those of the base it starts from, the architecture, and,
    for code compiled for "this processor", what this processor can do: such an image must never be
    taken for one that runs elsewhere.
    """
    texts = _texts(images / name)
    if "Dockerfile" not in texts:
        raise DeployctlError(
            f"There is no recipe for building {name}: {images / name / 'Dockerfile'} is missing.",
            code="image-build-failed",
            where=name,
            hint="pip install --force-reinstall deployctl",
        )
    dockerfile = texts["Dockerfile"].decode("utf-8", "replace")
    whole = hashlib.sha256(f"{name}\n{platform.machine()}\n".encode())
    _add(whole, texts)
    start = _START.search(dockerfile)
    if start and _is_base(start[2]):
        _add(whole, _texts(images / BASE))
    if any(_NATIVE.search(text.decode("utf-8", "replace")) for text in texts.values()):
        whole.update("\n".join(processor(root)).encode())
    named = sorted(set(_FROM.findall(dockerfile)))
    shared = tuple((piece, images / piece) for piece in named if (images / piece).is_dir())
    for piece, folder in shared:
        _add(whole, {f"{piece}/{path}": text for path, text in _texts(folder).items()})
    need = _NEED.search(dockerfile)
    return Recipe(
        name=name,
        folder=images / name,
        digest=whole.hexdigest(),
        disk_bytes=int(float(need[1]) * 1e9) if need else _USUAL_BYTES,
        start_argument=start[1] if start else "",
        starts_from=start[2] if start else "",
        shared=shared,
        wheels=images / name / f"{WHEELS}.txt" if WHEELS in named else None,
    )


def _texts(folder: Path) -> dict[str, bytes]:
    """Every file of the folder by its path inside, hidden ones left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith((".", "__")) for part in inside.parts):
            found[inside.as_posix()] = path.read_bytes()
    return found


def _add(whole: hashlib._Hash, texts: dict[str, bytes]) -> None:
    for name, content in texts.items():
        whole.update(f"{name} {len(content)}\n".encode())
        whole.update(content)


def processor(root: Path) -> tuple[str, ...]:
    """What a compiler may use of the first processor; nothing when that is unknown.

    Only the first is read: the kernel writes the file while it is read, slowly for many cores.
    """
    found: list[str] = []
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break
                key, _, value = (part.strip() for part in line.partition(":"))
                if words := _CPU_WORDS.get(key.lower()):
                    found.append(f"{key}: {' '.join(sorted(filter(words.match, value.split())))}")
    except OSError:
        pass
    return tuple(found)
