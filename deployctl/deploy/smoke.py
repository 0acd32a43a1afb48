"""The recipe of ``smoke``: up, verify, down, in one command, and nothing of it left.

For CI: it runs beside a stack of the operator, under a name and on ports of its own, and never
touches a stack that no smoke test made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl import archive
from deployctl.deploy import passing
from deployctl.deploy.evidence import Depth, redactor_of, stack_jobs
from deployctl.deploy.pieces import Job, Piece, cleaned, gathered, redactor_for
from deployctl.deploy.select import select
from deployctl.deploy.smoketest import (
    PHASES,
    SmokeReport,
    SmokeRequest,
    Test,
    evidence_folder,
    fault_of,
    faults_of,
    report_of,
)
from deployctl.deploy.up import up
from deployctl.deploy.verify import VerifyReport, verify
from deployctl.errors import DeployctlError, Fault
from deployctl.marks import SMOKE, Mark, forget_evidence, held
from deployctl.outcomes import CheckResult
from deployctl.recorder import Recorder, failed_check
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import Plan

#: How much of each log is kept of a test, lines.
_LINES = 5000


#: Verifies a stack: the world, its name, names of checks (none: all).
Verify = Callable[["World", str, tuple[str, ...]], VerifyReport]


def smoke(
    world: World,
    request: SmokeRequest,
    *,
    shield: Callable[[], AbstractContextManager[None]],
    checks: Verify = verify,
) -> SmokeReport:
    """Bring a stack up, verify it, take it down; the report says what failed, if something did.

    ``shield`` keeps signals away from taking down; ``checks`` verifies. Raises only a bug of ours,
    after taking down.
    """
    recorder = Recorder(world.talk, world.clock)
    test = Test(
        world=replace(world, talk=recorder),
        request=request,
        space=Workspace(world.home, request.stack),
        started=world.clock.now(),
        recorder=recorder,
    )
    with ExitStack() as until_the_end:
        try:
            with _as_preflight(test):
                mark = until_the_end.enter_context(_held(world, request))
                there = _begin(test, mark)
        except (DeployctlError, KeyboardInterrupt) as refusal:
            return report_of(test, faults_of(test, refusal))
        problem: BaseException | None = None
        try:
            if there:
                _sweep(test)
            _up_and_verify(test, checks)
        except BaseException as end:  # whatever ends it, what was made is taken away
            problem = passing.interruption(end) or end
        after: list[tuple[Fault, ...]] = []
        passing.to_the_end(
            lambda: after.append(_end(test, mark, failed=problem is not None)), shield
        )
        if problem is not None and not isinstance(problem, DeployctlError | KeyboardInterrupt):
            raise problem
        return report_of(test, (*faults_of(test, problem), *after[0]))


# ── before ────────────────────────────────────────────────────────────────────────────────────


def _held(world: World, request: SmokeRequest) -> AbstractContextManager[Mark]:
    another = f"deployctl smoke --stack {request.stack}-2"
    return held(world.home, request.stack, SMOKE, doing="smoke", hint=another)


def _begin(test: Test, mark: Mark) -> bool:
    """Take the name; whether there is something of it; ``smoke-refused`` if no test made that."""
    request = test.request
    there = passing.begin(
        test.world,
        test.space,
        mark,
        beside=replace(request, stack=f"{request.stack}-2").again,
        refused=lambda: _refused(request),
    )
    test.begun = True
    return there


def _sweep(test: Test) -> None:
    """Take away what was there before the test, which is not part of its report."""
    name = test.space.stack
    test.world.talk.say(f"taking away what an earlier smoke test left of stack {name}")
    with _as_preflight(test):
        passing.surely_down(test.world, name)
    test.recorder.checks.clear()


def _refused(request: SmokeRequest) -> DeployctlError:
    name = request.stack
    other = replace(request, stack=f"{name}-2").again
    return DeployctlError(
        f"Stack {name} is there, and it is not what a smoke test left. A smoke test would remove "
        "it with its chats.",
        code="smoke-refused",
        where=name,
        hint=f"{other}  # or, to give that stack and its chats up: {passing.down_line(name)}",
    )


# ── the test ──────────────────────────────────────────────────────────────────────────────────


def _up_and_verify(test: Test, checks: Verify) -> None:
    world, request = test.world, test.request
    with _as_preflight(test):
        chosen = select(world, request.selection, stack=request.stack, again=request.again_with)
        if chosen.choice is not None:
            world.talk.say(f"profile auto: {chosen.choice.reason}")
        test.plan = chosen.plan
        selection = passing.on_free_ports(world, chosen.plan, chosen.selection)
    test.upped = up(world, request.up(selection))
    test.verified = checks(world, request.stack, ()).checks
    if bad := tuple(check for check in test.verified if check.status == "failed"):
        raise DeployctlError.of(tuple(map(fault_of, bad)))


@contextmanager
def _as_preflight(test: Test) -> Iterator[None]:
    """What fails before `up` begins is told as its first phase."""
    started = test.world.clock.now()
    try:
        yield
    except BaseException as end:
        seconds = test.world.clock.now() - started
        test.recorder.checks.append(failed_check(PHASES[0], end, seconds))
        raise


# ── after ─────────────────────────────────────────────────────────────────────────────────────


def _end(test: Test, mark: Mark, *, failed: bool) -> tuple[Fault, ...]:
    """Keep the evidence, take the stack down, and make sure that nothing of it is left."""
    world, request = test.world, test.request
    try:
        _look(test, keep=failed or request.artifacts is not None)
    except Exception as problem:  # the stack is taken down whatever becomes of it
        world.talk.warn(f"The evidence is not whole: {problem}")
    if request.keep:
        return ()
    try:
        _take_down(test)
    except DeployctlError as problem:
        return problem.faults
    mark.remove()
    return ()


def _look(test: Test, *, keep: bool) -> None:
    """See what there is of the stack, and so what is secret of it; write it down to keep it."""
    world, request, space = test.world, test.request, test.space
    test.redactor = redactor_of(space)  # whatever comes
    depth = Depth(lines=_LINES, since_s=world.clock.now() - test.started)
    jobs = (*((_planned(test.plan),) if test.plan else ()), *stack_jobs(world, space, depth))
    found = gathered(jobs)
    test.redactor = redactor_for(
        found.pieces,
        home=world.home,
        environment=request.environment,
        root=request.root,
        runner=world.runner,
    )
    if keep:
        if request.artifacts is None:
            forget_evidence(evidence_folder(test))
        files = ((piece.name, cleaned(piece, test.redactor)) for piece in found.pieces)
        archive.lay_out(evidence_folder(test), files)
        for line in found.missing:
            world.talk.warn(f"The evidence is not whole: {test.redactor.text(line)}")


def _planned(plan: Plan) -> Job:
    return "plan", lambda: Piece(
        name="plan.json", about="what was decided", content=dataclasses.asdict(plan)
    )


def _take_down(test: Test) -> None:
    world, name = test.world, test.space.stack
    told = len(test.recorder.checks)
    try:
        passing.clear(world, test.space)
    finally:
        test.downed = test.recorder.checks[told:]
        del test.recorder.checks[told:]
    started = world.clock.now()
    left = passing.left(world, name)
    counted = ", ".join(f"{len(names)} {kind}" for kind, names in left.items())
    named = passing.left_in_words(left)
    check = CheckResult(
        name="nothing left",
        status="failed" if named else "ok",
        summary=f"{counted} of stack {name} are left",
        code="smoke-leftovers" if named else None,
        hint=passing.down_line(name) if named else "",
        details=named,
        seconds=world.clock.now() - started,
    )
    test.downed.append(check)
    if named:
        raise DeployctlError.of((fault_of(check),))
