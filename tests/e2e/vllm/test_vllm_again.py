"""What stays when the stack with vLLM comes again, and what a report of it holds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.product import Stack
from tests.e2e.test_report import texts


def test_up_again_touches_no_container_and_still_ends_with_a_fresh_answer(vllm: Stack) -> None:
    before = vllm.identity()
    written = vllm.engine_counter(vllm.kind.answer_tokens)
    data = vllm.up().data
    assert data["changed"] is False
    assert vllm.identity() == before
    assert data["answer"]["text"].strip()
    assert vllm.engine_counter(vllm.kind.answer_tokens) > written


def test_a_report_has_vllm_s_log_and_no_secret(vllm: Stack, tmp_path: Path) -> None:
    path = tmp_path / "r.tar.gz"
    words = ("report", "--stack", vllm.name, "--file", str(path), "--output", "json")
    assert vllm.product.run(*words).data["missing"] == []
    files = dict(texts(path))
    assert "Application startup complete" in files["logs/engine.log"]
    assert "KV cache size" in files["logs/engine.log"]
    assert json.loads(files["status.json"])["status"] == "ok"
    secrets = vllm.secrets().values()
    assert [name for name, text in files.items() if any(s in text for s in secrets)] == []
