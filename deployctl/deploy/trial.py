"""A stack of deployctl's own, made only to be measured, and taken down whatever ends that.

Nobody else's stack is touched: it has a name and ports of its own, and a mark in the state folder
says that a measurement made it (see ``marks.py``). One selection after another is brought up on it;
going on to the next changes what differs, as any ``up`` does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy import passing
from deployctl.deploy.select import runs, select
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.marks import TRIAL, Mark, held, stacks_here
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.names import ImageMode
    from deployctl.deploy.world import World

#: Selection → the command line that asks for the same measurement with it.
Typed = Callable[[Selection], str]

#: Commands that would look at a stack which is gone by the time that anybody types them.
_LOOKS = re.compile(r"\bdeployctl (?:logs|status|verify|open|chat|up|watch|report|down)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrialRequest(UpRequest):
    """What a measurement asks of ``up``. Hints name the command that measures, with its words.

    ``ports``: the trial's own settings, which nobody typed.
    """

    typed: Typed
    ports: tuple[str, ...] = ()

    def again_with(self, selection: Selection) -> str:
        """See :class:`UpRequest`."""
        return self.typed(_without(selection, self.ports))


@dataclass(slots=True)
class Stand:
    """The stack of one measurement under way."""

    world: World
    name: str
    typed: Typed
    images: ImageMode = "auto"
    force: bool = False
    ports: tuple[str, ...] | None = None  # --set of the ports it took; None: not yet brought up

    def up(self, selection: Selection) -> UpReport:
        """Bring this up on the stack, over whatever stands there; converges as ``up`` does.

        Raises what ``up`` raises; its hints are made for the command that measures. A start that
        failed is left for the next ``up``, or for the end.
        """
        self.world.weights.resume()  # one that failed before has stopped them
        try:
            chosen = select(self.world, selection, stack=self.name, again=self.typed)
            found = chosen.selection
            if self.ports is None:
                own = passing.on_free_ports(
                    self.world, chosen.plan, found, own_project=self.name
                ).sets
                self.ports = tuple(text for text in own if text not in found.sets)
            for key, _, value in (text.partition("=") for text in self.ports):
                if not any(text.startswith(f"{key}=") for text in found.sets):
                    found = found.with_set(key, value)
            return up(self.world, self._request(found))
        except DeployctlError as problem:
            problem.after = None  # it is taken down in the end, whatever became of it
            problem.faults = tuple(self.told(fault, selection) for fault in problem.faults)
            raise

    def _request(self, selection: Selection) -> UpRequest:
        return _TrialRequest(
            stack=self.name,
            selection=selection,
            images=self.images,
            force=self.force,
            on_failure="keep",
            typed=self.typed,
            ports=self.ports or (),
        )

    def told(self, fault: Fault, selection: Selection) -> Fault:
        """The fault; who wants to look at what ``selection`` makes needs a stack that stays."""
        if f"--stack {self.name}" not in fault.hint or not _LOOKS.search(fault.hint):
            return fault
        alone = UpRequest(stack=f"{self.name}-look", selection=selection).again
        return replace(fault, hint=f"{alone}  # alone, to look at it")


class StillThereError(KeyboardInterrupt):
    """Ctrl-C, after which the stack could not be taken down; ``faults`` say why."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__()
        self.faults = faults


@contextmanager
def trial(
    world: World,
    *,
    name: str,
    shield: passing.Shield,
    again: Typed | None = None,
    asked: Selection | None = None,
    beside: str = "",
    images: ImageMode = "auto",
    force: bool = False,
) -> Iterator[Stand]:
    """Have a stack of one's own for a measurement; it goes with its data at the end.

    ``name``: the stack, ``deployctl-compare``. ``shield`` keeps signals away from taking down.
    ``again`` makes the command line for a selection (else: ``world.doing`` with its words);
    ``asked`` is the one that was typed; ``beside`` what to type where the name is another's.

    ``trial-refused``: something of that name is there which no measurement made; ``stack-locked``:
    another one is under way; ``trial-leftovers``, and what ``down`` raises: it could not be taken
    down. Where the measurement itself ended in an error, that one has these faults, too; after
    Ctrl-C :class:`StillThereError` has them.
    """
    typed = again or _typed(world.doing)
    space = Workspace(world.home, name)
    once = f"{typed(asked or Selection())}  # once that has ended"
    with held(world.home, name, TRIAL, doing=world.doing, hint=once) as mark:
        there = passing.begin(world, space, mark, beside=beside, refused=lambda: _refused(name))
        problem: BaseException | None = None
        try:
            if there:
                world.talk.say(f"taking away what an earlier measurement left of stack {name}")
                passing.surely_down(world, name)
            _say_others(world, name)
            yield Stand(world=world, name=name, typed=typed, images=images, force=force)
        except BaseException as end:  # whatever ends it, what was made is taken away
            problem = passing.interruption(end) or end
        after: list[DeployctlError | None] = []
        passing.to_the_end(lambda: after.append(_end(world, space, mark)), shield)
        if after[0] is not None:
            raise _both(world, problem, after[0])
        if problem is not None:
            raise problem


def _typed(doing: str) -> Typed:
    return lambda selection: shlex.join(("deployctl", doing, *selection.words))


def _without(selection: Selection, sets: tuple[str, ...]) -> Selection:
    return replace(selection, sets=tuple(text for text in selection.sets if text not in sets))


def _refused(name: str) -> DeployctlError:
    return DeployctlError(
        f"Stack {name} is there, and no measurement left it. A measurement would remove it with "
        "its chats.",
        code="trial-refused",
        where=name,
        hint=f"deployctl status --stack {name}  # to give that stack and its chats up: "
        f"{passing.down_line(name)}",
    )


def _say_others(world: World, name: str) -> None:
    """Say who else uses this machine: figures are of what they leave."""
    others = [each for each in stacks_here(world.home) if each != name and runs(world, each)]
    running = world.facts((), own_project=name).docker.running_containers or 0
    if others:
        named = ", ".join(f"stack {each}" for each in others)
        said, then = f"{named} is running", "; ".join(map(_down, others))
        said = said.replace(" is ", " are ") if others[1:] else said
    elif running:
        said = "1 container is running" if running == 1 else f"{running} containers are running"
        then = "docker ps  # shows what runs here"
    else:
        return
    world.talk.warn(
        f"On this machine {said} meanwhile: what is measured is what that leaves.\nnext: {then}"
    )


def _down(name: str) -> str:
    from deployctl.deploy.names import DEFAULT_STACK

    return "deployctl down" + ("" if name == DEFAULT_STACK else f" --stack {name}")


def _both(world: World, problem: BaseException | None, down: DeployctlError) -> BaseException:
    """What ended the measurement, with what kept its stack from being taken down."""
    match problem:
        case None:
            return down
        case DeployctlError():
            problem.faults = (*problem.faults, *down.faults)
            return problem
        case KeyboardInterrupt():
            return StillThereError(down.faults)
    world.talk.warn(f"{down}\nnext: {down.faults[0].hint}")
    return problem  # a bug of ours


def _end(world: World, space: Workspace, mark: Mark) -> DeployctlError | None:
    """Take it down with its data; what stands against that, if something does."""
    name = space.stack
    try:
        passing.clear(world, space)
        named = passing.left_in_words(passing.left(world, name))
    except DeployctlError as problem:
        return problem
    if named:
        return DeployctlError(
            f"Something of stack {name}, which was made to be measured, is left.",
            code="trial-leftovers",
            where=name,
            hint=passing.down_line(name),
            details=named,
        )
    mark.remove()
    return None
