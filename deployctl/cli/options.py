"""The options that several commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.deploy.names import DEFAULT_STACK, ImageMode

if TYPE_CHECKING:
    from deployctl.profiles.selection import Selection


class Output(StrEnum):
    """How the result is written to stdout."""

    TEXT = "text"
    JSON = "json"


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="NAME",
        envvar="DEPLOYCTL_STACK",
        help="Which stack. Its name is independent of the profile, so the chats stay.",
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="text for people, json for programs.")
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show a traceback when deployctl itself is wrong.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing while working.")]

ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME|FILE",
        envvar="DEPLOYCTL_PROFILE",
        help="Which machine this is; auto picks the best shipped profile it can run now.",
    ),
]
OverlayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay",
        metavar="FILE",
        help="A file with some keys of a profile, laid over it; repeatable, the later wins.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME[:FORMAT]|SOURCE",
        help="Another model: a name of the catalog, or hf:ORG/REPO:FILE.gguf, or file:/PATH.",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="ADDON,…",
        help="Optional services besides: jupyter, monitoring, cache. Those that were there and are "
        "not named any more are stopped; their data stays.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one profile value; repeatable, wins over all."
    ),
]

FitOption = Annotated[
    bool, typer.Option("--fit", help="Where it does not fit, take the nearest values that do.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Go on where only an estimate says no.")]
ImagesOption = Annotated[
    ImageMode,
    typer.Option("--images", help="Where images may come from: auto is local, pull, build."),
]

DEFAULT_STACK_NAME = DEFAULT_STACK


def chosen(
    profile: str,
    overlays: list[str] | None,
    model: str | None,
    sets: list[str] | None,
    addons: list[str] | None = None,
) -> Selection:
    """The selection that these options make; ``usage`` for a model without a name, or no add-on.

    Its files have their whole paths: hints and the record of a stack are read in other folders.
    """
    from deployctl.errors import DeployctlError
    from deployctl.profiles.selection import Selection, is_file

    if model is not None and not model.partition(":")[0]:
        raise DeployctlError(
            "--model names no model.",
            code="usage",
            where="--model",
            hint="deployctl recommend  # lists the models of the catalog",
        )
    return Selection(
        profile=_whole(profile) if is_file(profile) else profile,
        overlays=tuple(map(_whole, overlays or ())),
        addons=_addons(addons or []),
        model=model,
        sets=tuple(sets or ()),
    )


def _addons(typed: list[str]) -> tuple[str, ...]:
    """The add-ons by name, each once; ``usage`` for a name that is none."""
    if not typed:
        return ()
    import difflib

    from deployctl.addons import NAMES
    from deployctl.errors import DeployctlError

    names = [name.strip() for text in typed for name in text.split(",")]
    meant = [difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5) for name in names]
    better = [name for name in NAMES if [name] in meant] or list(NAMES)
    for name in names:
        if name not in NAMES:
            raise DeployctlError(
                f"There is no add-on `{name}`." if name else "--with names no add-on.",
                code="usage",
                where="--with",
                hint=f"--with {','.join(better)}",
            )
    return tuple(name for name in NAMES if name in names)


def _whole(name: str) -> str:
    """The path of a file from the root on; ``~/…`` that no shell has read is that already."""
    if not name or name.startswith("~/"):
        return name
    try:
        path = Path(name).absolute()
        # Where a link stands before it, `..` is not the folder above in the text.
        return str(path.resolve() if ".." in path.parts else path)
    except (OSError, ValueError, RuntimeError):  # this folder is gone; or it is no file name
        return name
