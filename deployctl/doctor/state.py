"""Judges the state folder, and the stacks that are on this machine. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from deployctl.doctor.nouns import Holding, Machine, State
from deployctl.doctor.results import failed, ok, skipped, warning
from deployctl.outcomes import CheckResult

#: Filesystems of other machines: locks may not hold there, and Docker's root may not read them.
_AFAR = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "drvfs", "fuse.sshfs", "ceph", "afs", "virtiofs"}
)

#: The volume that every stack of ours has, as Compose labels it.
DATA_VOLUME = "webui-data"

_SHOWN = 3


def judge_state(machine: Machine) -> tuple[CheckResult, ...]:
    """The state folder: whose it is, how it is mounted, who can read what in it."""
    state = machine.state
    return (
        _folder(state, machine.system.user),
        _filesystem(state),
        *_strangers(state, machine.system.user),
        _models(state),
        _secrets(state),
    )


def _folder(state: State, user: str) -> CheckResult:
    place = str(state.place.path)
    if "ro" in state.place.options or not state.writable:
        read_only = "ro" in state.place.options
        whose = f": it is {state.owner}'s" if state.owner not in ("", user) else ""
        return failed(
            "state folder",
            f"{place} cannot be written"
            + (", it is mounted read-only" if read_only else f" by {user}{whose}"),
            "Models, secrets and what was applied are kept there.",
            "DEPLOYCTL_HOME=/a/folder/of/yours deployctl up"
            if read_only
            else f"sudo chown -R {user} {shlex.quote(place)}",
            code="workspace-unwritable",
        )
    return ok("state folder", place if state.exists else f"{place}, made by the first `up`")


def _filesystem(state: State) -> CheckResult:
    kind = state.place.filesystem
    if not kind:
        return skipped("its filesystem", "not known")
    if kind in _AFAR:
        return warning(
            "its filesystem",
            f"{kind}: another machine's, or Windows'",
            "Locks may not hold there, and the daemon may not be let in to mount the model.",
            "DEPLOYCTL_HOME=/a/folder/on/a/local/disk deployctl up",
        )
    notes = [option for option in ("noexec", "nodev", "nosuid") if option in state.place.options]
    return ok("its filesystem", kind + (f" ({', '.join(notes)}: no matter)" if notes else ""))


def _strangers(state: State, user: str) -> Iterator[CheckResult]:
    if state.strangers:
        yield warning(
            "ownership",
            f"{len(state.strangers)} file(s) belong to somebody else",
            "deployctl was run as another user here, perhaps with sudo; it cannot replace them.",
            f"sudo chown -R {user} {shlex.quote(str(state.place.path))}",
            *map(str, state.strangers[:_SHOWN]),
        )


def _models(state: State) -> CheckResult:
    if not state.models:
        return skipped("models", "none here yet")
    if not state.unreadable:
        return ok("models", f"{state.models} file(s), readable in a container")
    return warning(
        "models",
        f"{len(state.unreadable)} file(s) or folder(s) are closed to the container's user",
        "The engine runs as user 10001 and has to read its model.",
        f"chmod -R a+rX {shlex.quote(str(state.place.path / 'models'))}",
        *map(str, state.unreadable[:_SHOWN]),
    )


def _secrets(state: State) -> CheckResult:
    open_ = [stack.folder / name for stack in state.stacks for name in stack.open_files]
    if not state.stacks:
        return skipped("secrets", "no stack, no secrets")
    if not open_:
        return ok("secrets", "for their owner alone")
    return warning(
        "secrets",
        f"{len(open_)} file(s) can be read by others",
        "They hold the passwords and keys of a stack.",
        f"chmod 600 {' '.join(shlex.quote(str(path)) for path in open_)}",
    )


# ── stacks ────────────────────────────────────────────────────────────────────────────────────


def judge_stacks(machine: Machine) -> tuple[CheckResult, ...]:
    """Which stacks are here, by whatever name, and what is left of those that are no more."""
    known = {stack.name: stack for stack in machine.state.stacks}
    holdings = machine.daemon.holdings
    if holdings is None:
        names = (skipped(f"stack {name}", "the daemon does not answer") for name in sorted(known))
        return tuple(names) or (skipped("stacks", "the daemon does not answer"),)
    by_name = {holding.project: holding for holding in holdings}
    found = [_known(name, by_name.get(name)) for name in sorted(known)]
    found += [
        check
        for name, holding in sorted(by_name.items())
        if name not in known and _ours(holding)
        for check in _unknown(machine, holding)
    ]
    return tuple(found) or (skipped("stacks", "none on this machine"),)


def _ours(holding: Holding) -> bool:
    """Whether a Compose project that this state folder does not know looks like one of ours."""
    if holding.folder:
        return holding.folder.endswith(f"/stacks/{holding.project}")
    return f"{holding.project}_{DATA_VOLUME}" in holding.volumes


def _known(name: str, holding: Holding | None) -> CheckResult:
    if holding is None or not holding.services:
        kept = ", its chats are kept" if holding and holding.volumes else ""
        return ok(f"stack {name}", f"down{kept}")
    seen = f"{holding.running} of {len(holding.services)} services run"
    look = f"deployctl status --stack {name}"
    if holding.stopped:
        return warning(
            f"stack {name}",
            f"{seen}, not: {', '.join(holding.stopped)}",
            "`status` says why, and what starts them again.",
            look,
        )
    return ok(f"stack {name}", f"{seen}; more: {look}")


def _unknown(machine: Machine, holding: Holding) -> Iterator[CheckResult]:
    name = f"stack {holding.project}"
    if holding.services:
        elsewhere = holding.folder.removesuffix(f"/stacks/{holding.project}")
        yield ok(name, f"{len(holding.services)} services, of the state folder {elsewhere}")
        return
    left = (*holding.volumes, *holding.networks)
    yield warning(
        name,
        f"left behind: {', '.join(left)}",
        f"Neither containers nor {machine.state.place.path}/stacks/{holding.project} are there. "
        "The volume holds its chats; another state folder may have the stack down. Where nobody "
        f"misses them, `docker volume rm {' '.join(holding.volumes)}` removes them for good.",
        # A look: what removes them for good is not to be typed unseen.
        f"docker volume inspect {holding.project}_{DATA_VOLUME}",
    )
