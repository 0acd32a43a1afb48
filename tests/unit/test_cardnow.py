"""What each card does now, as nvidia-smi tells it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deployctl.deploy.cardnow import CardNow, cards_now, parse_cards
from deployctl.model import Gpu
from deployctl.outcomes import Command, CommandResult
from tests.scripted import result

GIB = 1024**3

H100 = Gpu(name="H100", memory_bytes=80 * GIB, memory_free_bytes=20 * GIB, driver="580")
OLD = Gpu(name="K80", memory_bytes=12 * GIB, memory_free_bytes=None, driver="470")
AMD = Gpu(name="MI300", memory_bytes=192 * GIB, driver="amdgpu", vendor="amd")


class Tool:
    """Answers one command, by its first word; others are not installed."""

    def __init__(self, tool: str, answer: Callable[[Command], CommandResult]) -> None:
        self._tool, self._answer = tool, answer
        self.asked: list[str] = []

    def run(self, command: Command, *, on_line: object = None) -> CommandResult:
        self.asked.append(command.argv[0])
        if command.argv[0] != self._tool:
            return result(command, 127, "", "not found")
        return self._answer(command)


def says(text: str, *, exit_code: int = 0, tool: str = "nvidia-smi") -> Tool:
    return Tool(tool, lambda command: result(command, exit_code, text))


def test_the_csv_of_nvidia_smi() -> None:
    text = "93, 61, 412.53, 700.00\n0, 40, [N/A], [Not Supported]\nno devices\n"
    assert parse_cards(text) == ((93, 61, 412.53, 700), (0, 40, None, None))


def test_each_card_has_its_own_figures() -> None:
    tool = says("93, 61, 412.5, 700.00\n[N/A], 40, 60.1, 150.00\n")
    assert cards_now(tool, (H100, OLD, AMD)) == (
        CardNow(
            name="H100",
            memory_used_bytes=60 * GIB,
            memory_bytes=80 * GIB,
            busy_share=0.93,
            temperature_c=61,
            power_w=412.5,
            power_limit_w=700,
        ),
        CardNow(
            name="K80",
            memory_used_bytes=None,
            memory_bytes=12 * GIB,
            busy_share=None,
            temperature_c=40,
            power_w=60.1,
            power_limit_w=150,
        ),
        CardNow(
            name="MI300",
            memory_used_bytes=None,
            memory_bytes=192 * GIB,
            busy_share=None,
            temperature_c=None,
            power_w=None,
            power_limit_w=None,
        ),
    )
    assert tool.asked == ["nvidia-smi"]


@pytest.mark.parametrize(
    "tool",
    [
        says("1, 2, 3, 4\n", tool="no such tool"),
        says("Failed to initialize NVML", exit_code=9),
        says("1, 2, 3, 4\n5, 6, 7, 8\n"),  # another number of cards: whose would they be
    ],
)
def test_what_cannot_be_told_of_a_card_is_none(tool: Tool) -> None:
    (card,) = cards_now(tool, (H100,))
    assert (card.memory_used_bytes, card.busy_share, card.power_w) == (60 * GIB, None, None)


def test_wsl_has_the_tool_elsewhere_and_others_cards_need_none() -> None:
    tool = says("7, 50, 20, 30\n", tool="/usr/lib/wsl/lib/nvidia-smi")
    (card,) = cards_now(tool, (H100,))
    assert card.busy_share == 0.07
    tool.asked.clear()
    assert cards_now(tool, (AMD,))[0].name == "MI300"
    assert tool.asked == []
