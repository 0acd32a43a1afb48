"""The ways out that several signs share, computed from the plan where there is one. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.fitting import following, next_memory
from deployctl.profiles.units import format_size
from deployctl.sizing import need

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Evidence, Way
    from deployctl.diagnosis.signs import Found
    from deployctl.model import Service

#: Contexts are told in whole steps of this many tokens; it is also the least a profile may ask for.
_STEP = 256

#: Where a profile does not say: what to go down to.
_SMALL_CONTEXT = 2048

RECOMMEND = "deployctl recommend  # which profiles this machine can run"

#: The state folder as a shell finds it, and what lies in it.
HOME = '"${DEPLOYCTL_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/deployctl}"'


def same(found: Found) -> str:
    """The same once more."""
    return found.way.same()


def recommend(_found: Found) -> str:
    """Another profile."""
    return RECOMMEND


def network_of_its_own(found: Found) -> str:
    """Where the operator's own file says something of networks: there the port is another's."""
    return (
        f"grep -n network {HOME}/stacks/{found.way.stack}/compose.override.yaml"
        f"  # take it out; then: {found.way.same()}"
    )


# ── less to hold ──────────────────────────────────────────────────────────────────────────────


def with_context(way: Way, context: int) -> str:
    """The same command with this context at most, and an answer that still fits into it."""
    tokens = max(_STEP, context // _STEP * _STEP)
    shorter = (("model.context", str(tokens)),)
    if way.plan is None:
        return way.with_set(*shorter, ("model.max_tokens", str(tokens // 2)))
    return way.with_set(*following(way.plan, shorter))


def less_context(found: Found) -> str:
    """The same command with half of the context."""
    plan = found.way.plan
    return with_context(found.way, _SMALL_CONTEXT if plan is None else plan.context // 2)


def less_at_once(found: Found) -> str:
    """The same command for half as many conversations; half of the context where it is one."""
    plan = found.way.plan
    if plan is None or plan.concurrency < 2:
        return less_context(found)
    return found.way.with_set(("concurrency", str(plan.concurrency // 2)))


def smaller(found: Found) -> str:
    """Half of whatever takes most: a long context first, then conversations."""
    plan = found.way.plan
    if plan is None or plan.context > 4 * _SMALL_CONTEXT:
        return less_context(found)
    return less_at_once(found)


# ── more memory ───────────────────────────────────────────────────────────────────────────────


def planned_limit(evidence: Evidence, way: Way) -> int | None:
    """The memory that the plan gives a service, bytes; ``None`` where it does not say."""
    if way.plan is None:
        return None
    try:
        return way.plan.service(evidence.service).memory_bytes
    except KeyError:
        return None


def more_memory(found: Found) -> str:
    """The same command with half as much again as the limit, or as what is predicted.

    A limit that the operator's own file sets stays what it is whatever the profile says.
    """
    seen, planned = found.evidence, planned_limit(found.evidence, found.way)
    if seen.override is not None and seen.limit_bytes not in (None, planned):
        return _in_override(seen.service, found.way, seen.override)
    service = found.evidence.service
    key = "frontend.memory" if service == "webui" else "engine.memory"
    plan = found.way.plan
    if plan is None:
        return found.way.with_set((key, "4GiB"))
    limit = plan.service("webui" if service == "webui" else "engine").memory_bytes
    parts = need(plan.load) if plan.load is not None else ()
    if service == "webui":
        window = plan.service("webui").need
        parts = () if window is None else (window,)
    predicted = sum(part.bytes for part in parts if part.place == "ram")
    return found.way.with_set((key, format_size(next_memory(limit, predicted))))


def more_for(
    service: Service, way: Way, *, limit_bytes: int | None = None, override: str | None = None
) -> str | None:
    """The same for a service of an add-on; ``None`` where no key of the profile says its memory.

    ``limit_bytes`` is what its container really may use; ``override``: the operator's own file.
    """
    if override is not None and limit_bytes not in (None, service.memory_bytes):
        return _in_override(service.name, way, override)
    if not service.memory_key:
        return None
    needed = service.need.bytes if service.need is not None else 0
    more = next_memory(limit_bytes or service.memory_bytes, needed)
    return way.with_set((service.memory_key, format_size(more)))


def _in_override(service: str, way: Way, override: str) -> str:
    """Open the operator's own Compose file, whose limit wins whatever the profile says."""
    return (
        f"${{EDITOR:-vi}} {shlex.quote(override)} && {way.same()}  "
        f"# the memory limit of {service} is set in that file"
    )


# ── the model file ────────────────────────────────────────────────────────────────────────────


def _own_file(way: Way) -> str | None:
    """The operator's own model file, where the plan names one."""
    source = way.plan.weights.source if way.plan is not None else None
    return source.path if source is not None and source.kind == "file" else None


def fetch_again(found: Found) -> str:
    """Throw the file away and fetch it anew; a file of the operator's own is only looked at.

    By its exact path: files of the same name belong to other models. Without it none is deleted.
    """
    own, again = _own_file(found.way), found.way.same()
    if own is not None:
        return f"ls -lL {shlex.quote(own)}  # copy it here once more, whole; then: {again}"
    path = found.way.weights
    return f"rm -r -- {shlex.quote(path)} && {again}" if path else again


def may_read(found: Found) -> str:
    """Let everybody of this machine read the file: the engine runs as a user of its own."""
    own, again = _own_file(found.way), found.way.same()
    if own is not None:
        return f"chmod -R a+rX {shlex.quote(own)} && {again}"
    return f"chmod -R a+rX {HOME}/models && {again}"


def other_model(_found: Found) -> str:
    """A model that this engine's image knows."""
    return "deployctl profile list  # each names a model that its engine's image knows"


def newer_image(found: Found) -> str:
    """The image the plan was made for, where another one was named; else another model."""
    if found.way.sets("engine.image"):
        return found.way.without_set("engine.image")
    return other_model(found)


# ── the card ──────────────────────────────────────────────────────────────────────────────────


def half_precision(found: Found) -> str:
    """16 bits that every card can compute with."""
    return found.way.with_set(("engine.dtype", "float16"))


def on_llama_cpp(found: Found) -> str:
    """A profile of the other engine, which older cards and drivers can do with."""
    if found.evidence.engine == LLAMA_CPP:
        return RECOMMEND
    return "deployctl recommend  # the profiles with llama.cpp need less of a card"


def ask_the_card(found: Found) -> str:
    """What the card's own tool says."""
    return f"nvidia-smi  # it must show the card; then: {found.way.same()}"


def restart_engine(found: Found) -> str:
    """A container that was started anew gets the card anew; `up` leaves one that runs alone."""
    return f"docker restart {found.way.stack}-engine-1 && {found.way.same()}"


def reload_driver(found: Found) -> str:
    """The driver that is installed, loaded instead of the one that was; a reboot does it surely."""
    return (
        "sudo modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia_uvm"
        f" && {found.way.same()}  # where a module is in use: sudo reboot"
    )


def reboot(found: Found) -> str:
    """The whole driver, loaded anew."""
    return f"sudo reboot  # then: nvidia-smi, which must show the card; then: {found.way.same()}"


def who_uses_the_card(found: Found) -> str:
    """What else holds memory of the card."""
    return f"nvidia-smi  # end what else uses the card; then: {found.way.same()}"


def older_needs(found: Found) -> str:
    """The image that this driver runs, where another was named; else profiles that ask less."""
    way = found.way
    if way.sets("engine.image") and way.plan is not None and way.plan.service("engine").gpu:
        return f"{way.without_set('engine.image')}  # takes the image that this driver runs"
    return "deployctl recommend  # which profiles this driver can run"


def setup(_found: Found) -> str:
    """Docker made ready for the card."""
    return "deployctl setup  # says how Docker gets to hand a card to containers"
