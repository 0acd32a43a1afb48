"""One stack with vLLM's build for processors, real image and model, that the scenarios share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e import chatting
from tests.e2e.browser import Conversation
from tests.e2e.conftest import COLD_PATIENCE_S, ROOT
from tests.e2e.engines import VLLM
from tests.e2e.faults.patient import Patient
from tests.e2e.product import Outcome, Stack

#: The shipped profile; its weights are made of the file that `smoke` runs.
PROFILE = "smoke-vllm"

#: A start loads Python and torch three times, one after the other: 30 s on two cores that have
#: nothing else to do, and some have.
PATIENCE_S = 6 * 60


@pytest.fixture(scope="session")
def vllm_first_up(new_stack: Callable[[str], Stack]) -> tuple[Stack, Outcome]:
    """The first ``up`` with vLLM, which may have to build its image, and what it said."""
    stack = replace(new_stack("vllm"), profile=PROFILE, kind=VLLM, patience_s=PATIENCE_S)
    return stack, replace(stack, patience_s=COLD_PATIENCE_S).up()


@pytest.fixture(scope="session")
def vllm(vllm_first_up: tuple[Stack, Outcome]) -> Stack:
    """The stack, up and healthy by Docker's own checks as well."""
    found, outcome = vllm_first_up
    if outcome.exit_code:
        pytest.fail(f"the first `up` with vLLM failed:\n{outcome}", pytrace=False)
    return found.settled()


def model_mount(stack: Stack) -> dict[str, Any]:
    """Where the model's folder lies on this machine and in the engine's container."""
    mounts = stack.container("engine")["Mounts"]
    (found,) = (mount for mount in mounts if mount["Destination"].startswith("/models/"))
    return dict(found)


@pytest.fixture(scope="session")
def vllm_conversation(vllm: Stack) -> Conversation:
    """One question in the chat window, asked by a real browser, and its answer."""
    return chatting.converse(vllm, ROOT / "artifacts" / "browser-vllm.png")


@pytest.fixture(scope="session")
def _vllm_admitted(vllm: Stack) -> Patient:
    return Patient(stack=vllm)


@pytest.fixture
def vllm_patient(_vllm_admitted: Patient) -> Iterator[Patient]:
    """The stack, up and healthy, with a chat; its override is taken away afterwards."""
    _vllm_admitted.admit()
    yield _vllm_admitted
    _vllm_admitted.stack.override.unlink(missing_ok=True)
