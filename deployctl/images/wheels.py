"""Packages that a build gets from this machine's own pip: what only pip here can reach.

A recipe names them in ``wheels.txt``, a requirements file with hashes. Two kinds of its comments
are read: ``# pip: …`` are words for pip, ``# or: …`` are added in a second try, when the indexes
that pip is set up for have not everything. Runs pip; writes the folder it is given.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.images.again import with_images
from deployctl.images.recipes import Recipe
from deployctl.outcomes import Command, CommandResult
from deployctl.runner import NOT_FOUND, STOPPED, StoppableRunner

#: A slow line brings 200 MB in an hour; nothing honest takes two.
_TIMEOUT_S = 7200.0

_WORDS = re.compile(r"^# (pip|or): (.+)", re.MULTILINE)

#: Every distribution's Python may lack pip; these are asked one after the other.
_PIPS = ((sys.executable, "-m", "pip"), ("python3", "-m", "pip"), ("pip3",))


def bring_wheels(
    recipe: Recipe,
    folder: Path,
    *,
    runner: StoppableRunner,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    again: str,
) -> None:
    """Download what the recipe's ``wheels.txt`` names into ``folder``, hashes checked.

    ``image-build-failed`` with what pip said last, when no index has it. Nothing to do without
    such a file.
    """
    if recipe.wheels is None:
        return
    words = dict(_WORDS.findall(recipe.wheels.read_text(encoding="utf-8")))
    first, second = words.get("pip", "").split(), words.get("or", "").split()
    result = None
    for more in ((), second) if second else ((),):
        say("fetching packages by pip" + (" from their authors' own index" if more else ""))
        result = _download(recipe.wheels, folder, (*first, *more), runner, stop)
        if result.ok or result.exit_code == STOPPED:
            break
    if result is None or not result.ok:
        raise _failed(recipe, result, again)


def _download(
    requirements: Path,
    folder: Path,
    words: tuple[str, ...],
    runner: StoppableRunner,
    stop: Callable[[], bool],
) -> CommandResult:
    """One try, by the first pip that this machine has."""
    options = ("download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input")
    files = ("--dest", str(folder), "--requirement", str(requirements))
    for pip in _PIPS:
        result = runner.run(
            Command(
                argv=(*pip, *options, "--disable-pip-version-check", *words, *files),
                label="pip download",
                timeout_s=_TIMEOUT_S,
                env=(("TMPDIR", str(folder.parent)),),
            ),
            stop=stop,
        )
        if "No module named pip" not in result.output and result.exit_code != NOT_FOUND:
            break
    return result


def _failed(recipe: Recipe, result: CommandResult | None, again: str) -> DeployctlError:
    lines = result.tail(40) if result else ()
    errors = tuple(line for line in lines if line.startswith("ERROR"))
    return DeployctlError(
        f"The image {recipe.name} could not be built: pip here cannot get what it is made of.",
        code="image-build-failed",
        where=recipe.name,
        hint=f"{with_images(again, 'build')}  # once pip reaches an index that has it",
        details=errors or lines[-8:],
    )
