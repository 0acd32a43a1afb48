"""``down`` of a stack with vLLM leaves the chats, and with ``--volumes`` nothing."""

from __future__ import annotations

from tests.e2e import machine
from tests.e2e.product import Stack


def test_down_leaves_the_chats_and_with_volumes_nothing(vllm: Stack) -> None:
    chats = f"{vllm.name}_webui-data"
    kept = vllm.down().data["kept_volumes"]
    assert chats in kept
    left = vllm.leftovers()
    assert (left["containers"], left["networks"]) == ([], [])
    assert sorted(left["volumes"]) == sorted(kept)
    assert not machine.listens("127.0.0.1", vllm.engine_port)
    vllm.down("--volumes")
    assert vllm.leftovers() == {"containers": [], "networks": [], "volumes": []}
