"""Profile files in memory, and what every fault of a profile owes the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.catalog import Catalog
from deployctl.errors import DeployctlError, ExitCode, Fault
from deployctl.profiles.document import NotFound, ProfileText, Reader, Readers
from deployctl.profiles.excerpt import quoted
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.selection import Selection

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "profiles"

#: The shipped catalog; nobody's own profiles.
CATALOG = Catalog({"DEPLOYCTL_HOME": "/nonexistent"})

SHIPPED = {
    str(path.relative_to(PROFILES).with_suffix("")): path.read_bytes()
    for path in sorted((*PROFILES.glob("*.yaml"), *PROFILES.glob("base/*.yaml")))
}
MODELS = {path.stem: path.read_bytes() for path in sorted(PROFILES.glob("models/*.yaml"))}


class Files:
    """A reader of profiles from a dict; the shipped ones are there too."""

    def __init__(self, **texts: str | bytes) -> None:
        own = {name: _bytes(text) for name, text in texts.items()}
        self._texts = {**SHIPPED, **own}

    def __call__(self, name: str, *, asker: ProfileText | None = None) -> ProfileText | NotFound:
        name = name.removeprefix("./").removesuffix(".yaml")
        if name not in self._texts:
            message = f"There is no profile {quoted(name)}."
            return NotFound(message=message, names=tuple(self._texts))
        content = self._texts[name]
        return ProfileText(name=name, file=f"{name}.yaml", content=content, identity=name)


class Models:
    """A reader of the model catalog, with some models of a test's own."""

    def __init__(self, **texts: str | bytes) -> None:
        self._texts = {name: _bytes(text) for name, text in texts.items()}

    def __call__(self, name: str) -> ProfileText | NotFound:
        if name not in self._texts:
            return CATALOG.read_model(name)
        file = f"models/{name}.yaml"
        return ProfileText(name=name, file=file, content=self._texts[name], identity=file)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def readers(profile: Reader, **models: str | bytes) -> Readers:
    return Readers(profile=profile, model=Models(**models))


def read(text: str | bytes, *sets: str, **others: str) -> Profile:
    """Resolve a profile called ``mine`` with this text."""
    return resolve(Selection(profile="mine", sets=sets), readers(Files(mine=text, **others)))


def laid(
    text: str, *overlays: str, model: str | None = None, sets: tuple[str, ...] = ()
) -> Profile:
    """Resolve ``mine`` with overlays, which are called ``o0``, ``o1``, and so on."""
    names = [f"o{number}" for number in range(len(overlays))]
    files = Files(mine=text, **dict(zip(names, overlays, strict=True)))
    chosen = Selection(
        profile="mine",
        overlays=tuple(f"{name}.yaml" for name in names),
        model=model,
        sets=sets,
    )
    return resolve(chosen, readers(files))


def shipped(name: str, *sets: str) -> Profile:
    """A shipped profile, resolved as on any machine."""
    return resolve(Selection(profile=name, sets=sets), CATALOG.readers())


def refused(text: str, *overlays: str, model: str | None = None) -> tuple[Fault, ...]:
    """The faults of ``mine`` with overlays and another model; it must have some."""
    with pytest.raises(DeployctlError) as caught:
        laid(text, *overlays, model=model)
    assert caught.value.exit_code is ExitCode.PROFILE
    return caught.value.faults


def faults(text: str | bytes, *sets: str, **others: str) -> tuple[Fault, ...]:
    """The faults of a profile called ``mine``; it must have some."""
    with pytest.raises(DeployctlError) as caught:
        read(text, *sets, **others)
    assert caught.value.exit_code is ExitCode.PROFILE
    return caught.value.faults


def told(fault: Fault) -> str:
    """A fault as one text, the way a test can compare it."""
    return "\n".join((f"{fault.where}: {fault.message}", *fault.details, f"→ {fault.hint}"))
