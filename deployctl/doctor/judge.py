"""All checks of a machine, in groups, in the order in which one mends things. Pure."""

from __future__ import annotations

from deployctl.doctor.daemon import judge_daemon
from deployctl.doctor.graphics import judge_graphics
from deployctl.doctor.network import judge_network
from deployctl.doctor.nouns import Group, Machine
from deployctl.doctor.outside import judge_outside
from deployctl.doctor.room import judge_room
from deployctl.doctor.state import judge_stacks, judge_state
from deployctl.doctor.system import judge_system


def judge(machine: Machine) -> tuple[Group, ...]:
    """Judge everything that was found."""
    return (
        Group(name="System", checks=judge_system(machine)),
        Group(
            name="Docker",
            checks=judge_daemon(
                machine.facts.docker,
                machine.daemon,
                machine.system,
                machine.state.place.path / "models",
            ),
        ),
        Group(name="Room", checks=judge_room(machine)),
        Group(name="Graphics", checks=judge_graphics(machine)),
        Group(name="Network", checks=judge_network(machine)),
        Group(name="Outside", checks=judge_outside(machine.outside, machine.system, machine.up)),
        Group(name="State", checks=judge_state(machine)),
        Group(name="Stacks", checks=judge_stacks(machine)),
    )
