"""From evidence to one fault with a way out: which of the texts and states is the cause. Pure.

The text nearest to the cause wins over those that wrap it, and the one that is said first over
those that follow from it. Killed for memory wins over everything but such a text, a text over an
exit code. Of a container that was started several times only the last start counts; of one that
has served, only what can end a service that serves, and only near the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.amounts import counted
from deployctl.diagnosis import containers, docker, gpu, llama_cpp, vllm, webui
from deployctl.diagnosis.lifetimes import begin, last_start, served_until_the_end
from deployctl.diagnosis.nouns import Evidence
from deployctl.diagnosis.signs import (
    BROAD,
    ROOT,
    Found,
    Match,
    Sign,
    best,
    shown_line,
    worth_showing,
)
from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.engines.vllm import KIND as VLLM
from deployctl.errors import Fault

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Way

#: Every text that is known, in the order of the documentation.
SIGNS: tuple[Sign, ...] = (
    *docker.SIGNS,
    *llama_cpp.SIGNS,
    *vllm.SIGNS,
    *gpu.SIGNS,
    *webui.SIGNS,
)

_OF_ENGINE = {
    LLAMA_CPP: (*llama_cpp.SIGNS, *gpu.SIGNS),
    VLLM: (*vllm.SIGNS, *gpu.SIGNS),
}

#: What is shown of a failure that nobody knows.
_TAIL = 30


def diagnose(evidence: Evidence, way: Way) -> Fault:
    """Say why; what is not recognised shows its last lines and says that the cause is unknown."""
    return _known(evidence, way) or _unknown(evidence, way)


def recognised(evidence: Evidence, way: Way) -> bool:
    """Whether the evidence says why; if not, more of it may."""
    return _known(evidence, way) is not None


def _known(evidence: Evidence, way: Way) -> Fault | None:
    if (refusal := refused(_said_by_docker(evidence), way)) is not None:
        return replace(refusal, where=evidence.service)
    text = _text(evidence)
    end = containers.end_of(evidence)
    if text is not None and text.sign.fatal and (end is None or _better(text, end, evidence)):
        return _of_text(text, evidence, way)
    if end is not None:
        return _of_end(end, evidence, way)
    # Of a container in a loop of restarts the last start may not have come to its end yet.
    if text is None and evidence.state is not None and evidence.state.restarts:
        text = _text(evidence, before_last=True)
    return None if text is None else _of_text(text, evidence, way)


def refused(output: tuple[str, ...], way: Way) -> Fault | None:
    """Why Docker refused a start, by what it said; ``None`` where that is not recognised."""
    match = best(docker.SIGNS, output)
    if match is None:
        return None
    service = _service(output, way)
    seen = Evidence(service=service or "engine", engine="", output=output)
    return replace(_of_text(match, seen, way), where=service)


def _said_by_docker(evidence: Evidence) -> tuple[str, ...]:
    """What Docker itself said; of a container that ran, its last error is history."""
    state = evidence.state
    error = state.error if state is not None and state.status in ("created", "exited") else ""
    return (*evidence.output, *error.splitlines())


def _text(evidence: Evidence, *, before_last: bool = False) -> Match | None:
    who = _who(evidence)
    signs = (*_OF_ENGINE.get(who, webui.SIGNS if who == "webui" else ()), *docker.IN_LOGS)
    log = evidence.log[: begin(evidence.log, who)] if before_last else evidence.log
    life = last_start(log, who)
    late = served_until_the_end(life, who)
    if late is None:
        return best(signs, life)
    lasting = tuple(sign for sign in signs if sign.serving)
    match = best(tuple(sign for sign in lasting if sign.fatal), late)
    if match is None and evidence.state is not None and evidence.state.status == "running":
        return best(tuple(sign for sign in lasting if not sign.fatal), life)
    return match


def _better(text: Match, end: containers.End, evidence: Evidence) -> bool:
    """Whether a text says more than the way the container ended."""
    if end is containers.OOM_KILLED or end is containers.HOST_MEMORY:
        # What a service that served for days said last is no reason to doubt the kernel.
        who = _who(evidence)
        served = served_until_the_end(last_start(evidence.log, who), who) is not None
        return text.sign.rank == ROOT and not served
    return text.sign.rank <= BROAD


def _who(evidence: Evidence) -> str:
    """Whose words these are: an engine's kind, or the service."""
    return evidence.engine if evidence.service == "engine" else evidence.service


def _service(output: tuple[str, ...], way: Way) -> str | None:
    """Whose container it was, as far as Docker named it; the one named last."""
    said = "\n".join(output)
    addons = [s.name for s in way.plan.services if s.addon] if way.plan is not None else []
    names = ("engine", "webui", *addons)
    at = {name: said.rfind(f"{way.stack}-{name}-") for name in names}
    name = max(at, key=lambda each: at[each])
    return name if at[name] >= 0 else None


# ── the fault ─────────────────────────────────────────────────────────────────────────────────


def _of_text(match: Match, evidence: Evidence, way: Way) -> Fault:
    found = Found(words=match.words, evidence=evidence, way=way)
    return Fault(
        code=match.sign.code,
        message=match.sign.says(found),
        where=evidence.service,
        hint=match.sign.remedy(found),
        details=match.lines,
    )


def _of_end(end: containers.End, evidence: Evidence, way: Way) -> Fault:
    engine = evidence.service == "engine"
    return Fault(
        code=containers.code_of(end, engine=engine),
        message=containers.says(end, evidence, way, _role(evidence)),
        where=evidence.service,
        hint=containers.way_out(end, evidence, way),
        details=_shown(evidence.log[-5:]),
    )


def _unknown(evidence: Evidence, way: Way) -> Fault:
    role, state = _role(evidence), evidence.state
    code = "engine-exited" if evidence.service == "engine" else "frontend-exited"
    what = "stopped"
    loops = state is not None and (state.status == "restarting" or state.restarts > 0)
    if state is not None and loops:
        what = f"stops again and again ({counted(state.restarts, 'restart')})"
    elif state is not None and state.status == "running":
        code = "engine-not-ready" if evidence.service == "engine" else "frontend-not-ready"
        what = "runs and is not ready"
    elif state is not None and state.status == "created":
        what = "was made and could not be started"
    elif state is not None:
        what = f"stopped with exit code {state.exit_code}"
    return Fault(
        code=code,
        message=f"The {role} {what}; the cause is unknown.",
        where=evidence.service,
        hint=way.logs(evidence.service),
        details=_shown(evidence.log[-_TAIL:] or _said_by_docker(evidence)[-_TAIL:]),
    )


def _role(evidence: Evidence) -> str:
    return {"engine": "engine", "webui": "frontend"}.get(evidence.service, evidence.service)


def _shown(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(shown_line(line) for line in lines if worth_showing(line))
