"""Finds the data files: profiles, templates, image recipes. Reads files and nothing else.

In a checkout they lie beside the package, in an installed wheel inside it. The operator's own
profiles lie in ``$DEPLOYCTL_HOME/profiles`` or ``$XDG_CONFIG_HOME/deployctl/profiles`` and stand in
front of shipped ones of the same name.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.folders import config_folder
from deployctl.profiles.document import Inspector, NotFound, ProfileText, Readers
from deployctl.profiles.excerpt import quoted
from deployctl.profiles.selection import is_file
from deployctl.visible import visible

_PACKAGE = Path(__file__).parent

_NAME = re.compile(r"(base/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)
_SUFFIXES = (".yaml", ".yml")

#: No profile is larger than 64 KiB; reading a little more is enough to see that a file is.
_READ_AT_MOST = 64 * 1024 + 1


class Catalog:
    """The data files of this installation and the operator's profiles.

    ``environment`` says where the operator's folder is; ``package`` is deployctl's own folder.
    Raises ``DeployctlError`` (``bug``) when the installation has no data.
    """

    def __init__(self, environment: Mapping[str, str], *, package: Path = _PACKAGE) -> None:
        beside, inside = package.parent, package / "data"
        if (beside / "pyproject.toml").is_file() and (beside / "profiles/base").is_dir():
            self._shipped, self.templates_dir = beside / "profiles", beside / "templates"
            self.images_dir, self.evals_dir = beside / "compose/images", beside / "evals"
        elif (inside / "profiles/base").is_dir():
            self._shipped, self.templates_dir = inside / "profiles", inside / "templates"
            self.images_dir, self.evals_dir = inside / "images", inside / "evals"
        else:
            raise DeployctlError(
                "This installation of deployctl is incomplete: its profiles are not there.",
                code="bug",
                hint="pip install --force-reinstall deployctl",
                where=str(package),
            )
        self._own = config_folder(environment) / "profiles"
        self._own_models = self._own / "models"
        self._home = environment.get("HOME")

    @property
    def operator_folder(self) -> Path:
        """Where the operator's own profiles are looked for, whether it exists or not."""
        return self._own

    def profile_names(self) -> tuple[str, ...]:
        """The profiles that can be chosen, sorted; parts that are only extended are not."""
        return tuple(sorted({*self.shipped_names(), *_names(self._own)}))

    def shipped_names(self) -> tuple[str, ...]:
        """The profiles that came with deployctl, sorted."""
        return _names(self._shipped)

    def read_profile(
        self, name: str, *, asker: ProfileText | None = None
    ) -> ProfileText | NotFound:
        """The file for a name or a path; see :class:`deployctl.profiles.document.Reader`."""
        if is_file(name):
            return self._from_path(name, asker)
        if not _NAME.fullmatch(name):
            message = f"{quoted(name)} is not the name of a profile."
            return NotFound(message=message, names=self.profile_names())
        if asker is None and name.startswith("base/"):
            message = f"{quoted(name)} is a part that profiles extend; it names no model."
            return NotFound(message=message, names=self.profile_names())
        shipped = _existing(self._shipped, name)
        own = _existing(self._own, name)
        if own is not None and (asker is None or asker.identity != _identity(own)):
            shadows = f"profiles/{name}.yaml" if shipped else None
            return _read(own, name=name, file=visible(str(own)), shadows=shadows)
        if shipped is not None:
            return _read(shipped, name=name, file=f"profiles/{shipped.relative_to(self._shipped)}")
        if own is not None:
            message = f"{quoted(name)} is this file itself, and no shipped profile has its name."
        else:
            message = f"There is no profile {quoted(name)}."
        parts = () if asker is None else self._part_names()
        return NotFound(message=message, names=(*self.profile_names(), *parts))

    def _part_names(self) -> tuple[str, ...]:
        """What profiles can extend and nobody can run: ``base/…``."""
        folders = (self._shipped / "base", self._own / "base")
        return tuple(sorted({f"base/{name}" for folder in folders for name in _names(folder)}))

    def model_names(self) -> tuple[str, ...]:
        """The models of the catalog, the operator's own among them, sorted."""
        return tuple(sorted({*_names(self._shipped / "models"), *_names(self._own_models)}))

    def read_model(self, name: str) -> ProfileText | NotFound:
        """The catalog's file for a model's name; the operator's own stands in front."""
        if _MODEL_NAME.fullmatch(name):
            own, shipped = _existing(self._own_models, name), self._shipped / "models"
            if own is not None:
                return _read(own, name=name, file=visible(str(own)))
            if found := _existing(shipped, name):
                return _read(found, name=name, file=f"profiles/models/{found.name}")
        return NotFound(
            message=f"The catalog has no model {quoted(name)}.", names=self.model_names()
        )

    def readers(self, inspect: Inspector | None = None) -> Readers:
        """Everything a profile is resolved through; ``inspect`` reads model files."""
        return Readers(profile=self.read_profile, model=self.read_model, inspect=inspect)

    def template(self, name: str) -> str:
        """The text of a template; ``FileNotFoundError`` when there is none of this name."""
        return (self.templates_dir / name).read_text(encoding="utf-8")

    def _from_path(self, name: str, asker: ProfileText | None) -> ProfileText | NotFound:
        written = name
        if name.startswith("~/") and self._home:
            written = f"{self._home}/{name[2:]}"
        path = Path(written)
        if asker is not None and not path.is_absolute():
            path = Path(asker.identity).parent / path
        # From the command line: as typed. From a file: complete, its folder is not the operator's.
        return _read(path, name=name, file=visible(name if asker is None else str(path)))


def _names(folder: Path) -> tuple[str, ...]:
    try:
        files = [path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file()]
    except OSError:  # no such folder, or not for us to read
        return ()
    return tuple(sorted({path.stem for path in files if _NAME.fullmatch(path.stem)}))


def _existing(folder: Path, name: str) -> Path | None:
    """The file of this name; ``workspace-unwritable`` where one cannot even look for it."""
    for path in (folder / f"{name}{suffix}" for suffix in _SUFFIXES):
        try:
            if stat.S_ISREG(path.stat().st_mode):
                return path
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as problem:  # to take another of this name would be to pass over a file
            raise DeployctlError(
                f"Your own profiles cannot be looked for: {problem.strerror}.",
                code="workspace-unwritable",
                where=visible(str(folder)),
                hint=f"namei -l {shlex.quote(visible(str(folder)))}",
            ) from problem
    return None


def _identity(path: Path) -> str:
    return str(path.resolve())


def _read(
    path: Path, *, name: str, file: str, shadows: str | None = None
) -> ProfileText | NotFound:
    try:
        with path.open("rb") as stream:
            content = stream.read(_READ_AT_MOST)
        identity = _identity(path)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = getattr(problem, "strerror", None) or "it is not a file name"
        message = f"The profile file {quoted(file, 200)} cannot be read: {reason}."
        return NotFound(message=message, hint=f"ls -l {shlex.quote(visible(str(path.parent)))}")
    return ProfileText(name=name, file=file, content=content, identity=identity, shadows=shadows)
