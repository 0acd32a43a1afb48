"""``auto`` where a setting leaves only profiles that this machine cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.deploy.select import select
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.profiles.selection import Selection
from tests.fakes import GIB, FakeFacts, facts
from tests.world import Box


def refused(tmp_path: Path, memory: int, *sets: str) -> Fault:
    here = facts(memory_total_bytes=memory, memory_available_bytes=memory)
    box = Box(home=tmp_path, facts=FakeFacts(here))
    request = UpRequest(stack="s", selection=Selection(sets=sets))
    with pytest.raises(DeployctlError) as caught:
        select(box.world(), request.selection, stack="s", again=request.again_with)
    (fault,) = caught.value.faults
    return fault


def test_the_setting_is_told_and_not_what_the_rest_lacks(tmp_path: Path) -> None:
    fault = refused(tmp_path, GIB, "engine.kv_cache=1GiB")
    assert fault.code == "profile-invalid"
    assert fault.message == (
        "`engine.kv_cache` is `1GiB`. Only vLLM knows it, and `engine.kind` is `llama.cpp`."
    )


def test_without_one_it_is_told_what_they_lack(tmp_path: Path) -> None:
    assert refused(tmp_path, GIB // 8).code == "memory-short"
