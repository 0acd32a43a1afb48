"""What an ``up`` would change on a stack, by what the last one left on record. Asks no daemon."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployctl.causes import causes_of
from deployctl.changes import Applied, Change, changes, doubt_of, services_of, used

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import (
        Bundle,
        HostFacts,
        Plan,
        Weights,
    )
    from deployctl.profiles.resolve import Profile
    from deployctl.workspace import Manifest, Workspace


def changed(
    world: World,
    space: Workspace,
    profile: Profile,
    plan: Plan,
    facts: HostFacts,
    bundle: Bundle | None = None,
) -> tuple[Change, ...]:
    """What differs from the stack as it was last applied, and the lines behind it.

    ``bundle`` is the plan, where it is rendered already. Of images it knows the names only: which
    image a name stands for is Docker's to say.
    """
    before = _before(space)
    if before.compose is None:  # nothing to compare with: the template stays unread
        return tuple(
            Change(service=s.name, action="create", causes=(before.doubt,) if before.doubt else ())
            for s in plan.services
        )
    if bundle is None:
        from deployctl.render import render

        bundle = render(plan, world.catalog.templates_dir)
    after = Applied(
        compose=_read(bundle.text("compose.yaml")),
        weights=identity(world.weights.locate(plan.weights))
        or str(world.weights.path_of(plan.weights.source)),
        variables=dict(of_this_machine(facts)),
        override=identities(space.override_text()),
    )
    return changes(before, after, causes_of(profile))


def _before(space: Workspace) -> Applied:
    kept = space.manifest()
    if kept is None:
        # Files without a record: an older or another tool's, or damaged. Nothing: never applied.
        text = space.compose_text()
        return Applied(compose=_read(text), doubt=doubt_of("unknown") if text is not None else "")
    if kept.standing == "unknown":
        return Applied(
            compose=_read(space.compose_text()),
            override=identities(space.override_text()),
            doubt=doubt_of(kept.standing),
        )
    return _recorded(kept)


def _recorded(kept: Manifest) -> Applied:
    return Applied(
        compose=_read(kept.compose),
        weights=kept.weights,
        variables=kept.variables,
        override=kept.override,
        doubt=doubt_of(kept.standing),
    )


def networks_meant(space: Workspace) -> Mapping[str, frozenset[str]]:
    """Service → the networks that it was put in when the stack was last applied, by Docker's names.

    Nothing where that is not known: the operator's own file may have taken one away.
    """
    kept = space.manifest()
    if kept is None or kept.standing != "applied" or "network" in (space.override_text() or ""):
        return {}
    return {
        service: frozenset(f"{space.stack}_{name}" for name in used("networks", definition))
        for service, definition in services_of(_read(kept.compose)).items()
    }


def volumes_of(space: Workspace, services: tuple[str, ...]) -> tuple[str, ...]:
    """The volumes that these services mounted when the stack was last applied, each once."""
    kept = space.manifest()
    compose = _read(kept.compose) if kept is not None else None
    named = services_of(compose)
    declared = (compose or {}).get("volumes") or {}
    found = (name for service in services for name in used("volumes", named.get(service)))
    return tuple(name for name in dict.fromkeys(found) if name in declared)


# ── what goes on record ───────────────────────────────────────────────────────────────────────


def identity(weights: Weights | None) -> str | None:
    """Which model file this is; another one after a replacement, even in place."""
    return None if weights is None else f"{weights.path} {weights.identity}"


def of_this_machine(facts: HostFacts) -> tuple[tuple[str, str], ...]:
    """What the rendered stack leaves to the machine it runs on."""
    cores = facts.physical_cores or facts.cores
    if facts.cpu_limit is not None:
        cores = max(1, min(cores, int(facts.cpu_limit)))
    render = () if facts.render_gid is None else (("DEPLOYCTL_RENDER_GID", str(facts.render_gid)),)
    return (("DEPLOYCTL_THREADS", str(cores)), *render)


def identities(override: str | None) -> dict[str, str]:
    """The operator's own file by its parts: ``''`` all, ``*`` all but services, each service.

    Empty without a file. What only Compose can read (tags like ``!reset``) has no parts.
    """
    if override is None:
        return {}
    whole = {"": _digest(override)}
    read = _read(override)
    services = {} if read is None else read.get("services")
    if read is None or not isinstance(services, Mapping):
        return {**whole, "*": _digest(override)}
    rest = {str(key): value for key, value in read.items() if key != "services"}
    try:
        parts = {"*": _digest(rest)} if rest else {}
        parts |= {str(name): _digest(value) for name, value in services.items()}
    except (TypeError, ValueError):  # a key that is a date, an anchor inside itself
        parts = {"*": _digest(override)}
    return {**whole, **parts}


def _digest(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _read(text: str | None) -> Any:  # noqa: ANN401  # YAML
    if text is None:
        return None
    import yaml

    from deployctl.libyaml import LOADER

    try:
        found = yaml.load(text, Loader=LOADER)  # noqa: S506  # a safe one
    except (yaml.YAMLError, ValueError):  # damaged by hand; it will be written anew
        return None
    return found if isinstance(found, dict) else None
