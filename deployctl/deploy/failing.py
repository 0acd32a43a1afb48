"""What ``up`` does about a stack that was started and did not become ready.

It is kept to be looked at, taken down, or changed back to the last one that was proved. The command
ends with the error that it failed with, whatever comes of this.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.deploy import enginecache
from deployctl.deploy.down import take_down
from deployctl.deploy.lastwords import keep_last_words, said, without_containers
from deployctl.deploy.rollback import roll_back
from deployctl.deploy.stack import works
from deployctl.errors import (
    CODES,
    DOCKER_PROBLEMS,
    AfterFailure,
    DeployctlError,
    ExitCode,
    Fault,
)
from deployctl.trouble import trouble

if TYPE_CHECKING:
    from deployctl.deploy.attempt import Attempt
    from deployctl.deploy.names import OnFailure
    from deployctl.deploy.world import UpRequest


def policy(request: UpRequest) -> OnFailure:
    """What to do about a failure: as asked, else ``down`` where nobody is there to look."""
    return request.on_failure or ("down" if request.unattended else "keep")


def settle(attempt: Attempt, error: DeployctlError) -> None:
    """Do what was asked for in case of failure, and write into ``error.after`` what that was.

    Raises only ``interrupted``, on Ctrl-C meanwhile; what ``error`` says is part of that.
    """
    attempt.run.touched, touched = False, attempt.run.touched
    if touched:
        error.faults = tuple(map(_once_begun, error.faults))
    try:
        error.after = _after(attempt, error, touched=touched)
    except KeyboardInterrupt as stop:
        raise DeployctlError.of((_interrupted(attempt), *error.faults)) from stop
    except BaseException as bug:  # the cause of the failure is worth more than ours
        error.add_note(f"What was to be done about it failed: {type(bug).__name__}: {bug}")
        error.after = _failed_too(attempt, bug)
        error.__cause__ = bug  # its traceback is shown with --debug
    if error.after is not None and (error.after.did == "taken-down" or attempt.run.touched):
        again = replace(attempt.request, on_failure="keep").again
        name = attempt.space.stack
        error.faults = tuple(without_containers(f, name, again) for f in error.faults)


def _after(attempt: Attempt, error: DeployctlError, *, touched: bool) -> AfterFailure | None:
    """Do what was asked for; ``None`` when there was nothing to be done."""
    if not attempt.held:
        return None
    if not touched and not attempt.stands:
        return _untouched(attempt)
    asked = policy(attempt.request)
    if asked == "rollback":
        return roll_back(attempt, error)
    if asked == "down" and touched:
        return _taken_down(attempt, error)
    return _kept(attempt, spared=asked == "down")


def _once_begun(fault: Fault) -> Fault:
    """Something was started: a Docker that is lost then is no longer what nothing came of."""
    if CODES[fault.code][0] == ExitCode.PREFLIGHT and fault.code in DOCKER_PROBLEMS:
        return replace(fault, code="start-docker-lost")
    return fault


def _interrupted(attempt: Attempt) -> Fault:
    return Fault(
        code="interrupted",
        message="Interrupted while something was done about the failure that follows. What was "
        "done so far is kept.",
        hint=f"deployctl status --stack {attempt.space.stack}",
    )


def _failed_too(attempt: Attempt, bug: BaseException) -> AfterFailure:
    did = {"down": "take-down-failed", "rollback": "rollback-failed", "keep": "kept"}
    name = attempt.space.stack
    fault = Fault(
        code="bug",
        message=f"deployctl itself is wrong here: {type(bug).__name__}: {bug}",
        hint=f"{attempt.request.again} --debug  # and report what it prints",
    )
    return AfterFailure(
        did=did[policy(attempt.request)],
        text="What was to be done about it failed too; the stack is left as it is now.",
        hint=f"deployctl status --stack {name}",
        faults=(fault,),
    )


def _untouched(attempt: Attempt) -> AfterFailure | None:
    """Nothing was changed yet. Worth a word only where something runs."""
    name = attempt.space.stack
    try:
        states = attempt.run.world.docker.containers(name)
    except DeployctlError:  # no Docker: that is the failure itself
        return None
    if not any(state.status == "running" for state in states):
        return None
    well = all(works(state) and trouble(state) is None for state in states)
    then = "that ran before runs on" if well else "is as it was before"
    return AfterFailure(
        did="untouched",
        text=f"No container was touched: the stack {then}.",
        hint=f"deployctl status --stack {name}",
    )


def _kept(attempt: Attempt, *, spared: bool) -> AfterFailure:
    name = attempt.space.stack
    text = "The stack was left as it is, to be looked at."
    if spared:  # whoever wants a failed start taken down does not mean what ran before
        text = "It ran before and nothing was started, so it was left as it is and not taken down."
    return AfterFailure(
        did="kept",
        text=text,
        hint=f"deployctl status --stack {name}  # to take it down: deployctl down --stack {name}",
    )


# ── down ──────────────────────────────────────────────────────────────────────────────────────


def _taken_down(attempt: Attempt, error: DeployctlError) -> AfterFailure:
    run, space = attempt.run, attempt.space
    attempt.say(error)
    words = said(keep_last_words(run.world, space))
    try:
        with run.phase("down") as phase:
            take_down(run.world, space, phase.progress, volumes=False)
            kept = run.world.docker.volumes(space.stack)
    except DeployctlError as second:
        return AfterFailure(
            did="take-down-failed",
            text=f"The stack could not be taken down.{words}",
            hint=f"deployctl down --stack {space.stack}",
            faults=second.faults,
        )
    stay = "stays" if len(kept) == 1 else "stay"
    stays = f" {', '.join(kept)} {stay} {enginecache.in_words(kept)}." if kept else ""
    return AfterFailure(
        did="taken-down",
        text=f"Its containers and networks were taken down.{stays}{words}",
        hint=f"{replace(attempt.request, on_failure='keep').again}  # leaves it to be looked at",
    )
