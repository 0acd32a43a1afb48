"""How the operator asked for a stack that stands: the request of its last ``up``, from the record.

Hints of commands that look at a stack later are made of it: without what was chosen then, the same
``up`` would bring up another stack.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy.world import UpRequest
from deployctl.profiles.selection import AUTO, Adaptation, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployctl.diagnosis import Way
    from deployctl.workspace import Manifest, Workspace


def kept_selection(manifest: Manifest) -> Selection:
    """What the stack was made of, an automatic choice and ``--fit`` included."""
    kept = manifest.selection
    if not kept:  # an older deployctl's record
        return Selection(profile=manifest.profile)
    model = kept.get("model")
    return Selection(
        profile=str(kept.get("profile", manifest.profile)),
        overlays=tuple(map(str, kept.get("overlays", ()))),
        addons=tuple(map(str, kept.get("addons", ()))),
        model=None if model is None else str(model),
        sets=tuple(map(str, kept.get("sets", ()))),
        adapted=tuple(
            Adaptation(key=str(each["key"]), value=str(each["value"]), reason=str(each["reason"]))
            for each in kept.get("adapted", ())
        ),
    )


def kept_request(stack: str, manifest: Manifest | None) -> UpRequest:
    """The request that brings this stack up again as it was; its ``again`` is the command."""
    if manifest is None:
        return UpRequest(stack=stack)
    selection = kept_selection(manifest)
    return UpRequest(stack=stack, selection=selection.of(AUTO) if manifest.automatic else selection)


def request_of(space: Workspace) -> UpRequest:
    """The same, of a folder; where its manifest is gone or damaged, by the last proof."""
    manifest = space.manifest()
    if manifest is None:
        from deployctl.proved import proved_selection

        selection = proved_selection(space)
        return UpRequest(stack=space.stack, selection=selection or Selection())
    return kept_request(space.stack, manifest)


def again_from_down(space: Workspace) -> str:
    """The command for a stack that is down: where the last try came to nothing, not that one."""
    from deployctl.proved import proved_selection

    request, proved = request_of(space), proved_selection(space)
    if proved is None:  # nothing has answered yet
        return f"{replace(request, on_failure='keep').again}  # leaves it to be looked at"
    if proved.words == request.selection.words:
        return request.again
    return f"{replace(request, selection=proved).again}  # the last that answered"


def way_of(request: UpRequest, *, weights: str | None = None) -> Way:
    """How to go on from a stack that stands; no plan is at hand then.

    ``weights``: its model file in the store, as :func:`stored_weights` knows it.
    """
    from deployctl.diagnosis import Way

    return Way(
        stack=request.stack,
        selection=request.selection,
        again=request.again_with,
        weights=weights,
    )


def stored_weights(home: Path, manifest: Manifest | None) -> str | None:
    """The model file or folder that the stack runs; ``None`` for one of the operator's own."""
    path = Path((manifest.weights or "").rpartition(" ")[0]) if manifest is not None else Path()
    return str(path) if path.is_relative_to(home / "models") else None


def engine_kind(environment: Mapping[str, str]) -> str:
    """Which engine a container runs, by the variable that we give only that one."""
    return "vllm" if "VLLM_API_KEY" in environment else "llama.cpp"
