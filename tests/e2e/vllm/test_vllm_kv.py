"""What is predicted for the conversations, against what vLLM itself says that it keeps."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.kv import SETTINGS, Setting, measured_tokens
from tests.e2e.product import Stack
from tests.e2e.vllm.conftest import model_mount
from tests.e2e.vllm.test_vllm_first_up import TOKEN_BYTES

#: The share by which a prediction may be off.
TOLERANCE = 0.03


def planned(stack: Stack, setting: Setting) -> dict[str, Any]:
    words = ("plan", "--profile", stack.profile, "--stack", f"{stack.name}-kv", *setting.words)
    found: dict[str, Any] = stack.product.run(*words, "--output", "json").data
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_tokens_that_are_kept_are_those_that_were_predicted(
    vllm: Stack, setting: Setting
) -> None:
    plan = planned(vllm, setting)
    (part,) = (p for p in plan["fitting"]["parts"] if p["name"] == "conversations")
    predicted = part["bytes"] / TOKEN_BYTES
    engine = vllm.container("engine")
    mount = model_mount(vllm)
    (service,) = (s for s in plan["services"] if s["name"] == "engine")
    measured = measured_tokens(engine["Image"], mount["Source"], service["command"])
    assert measured >= setting.concurrency * setting.context
    assert abs(predicted / measured - 1) <= TOLERANCE, (predicted, measured)
