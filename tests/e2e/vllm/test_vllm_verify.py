"""``verify`` on a stack with vLLM: what is proved there, and what is left out and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.product import Outcome, Stack

#: What the profile does not ask for; everything else must have been proved.
SKIPPED = {"tool-call-forced", "tool-call-auto", "model-on-gpu"}


@pytest.fixture(scope="module")
def verified(vllm: Stack) -> Outcome:
    words = ("verify", "--stack", vllm.name, "--output", "json", "--quiet")
    return vllm.product.run(*words, patience_s=vllm.patience_s)


def checks(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in outcome.data["checks"]}


def test_nothing_fails_and_only_what_was_not_asked_for_is_skipped(verified: Outcome) -> None:
    found = {name: check["status"] for name, check in checks(verified).items()}
    assert {name for name, status in found.items() if status == "skipped"} == SKIPPED
    assert {status for name, status in found.items() if name not in SKIPPED} == {"ok"}
    assert len(found) >= 28


@pytest.mark.parametrize(
    "name",
    [
        *("json-schema", "streaming", "context-limit", "max-tokens", "concurrency", "metrics"),
        *("key-required", "key-wrong", "ui-answer", "ui-browser-path", "memory"),
        *("hardening", "no-egress", "published-loopback", "secrets-private", "healthchecks"),
    ],
)
def test_what_is_promised_of_vllm_was_really_looked_at(verified: Outcome, name: str) -> None:
    assert checks(verified)[name]["status"] == "ok"


def test_what_was_seen_is_in_numbers(verified: Outcome) -> None:
    found = checks(verified)
    assert "2 at the same time (measured)" in found["concurrency"]["summary"]
    assert "2048" in found["context-limit"]["summary"]
    assert "MiB predicted" in found["memory"]["summary"]
