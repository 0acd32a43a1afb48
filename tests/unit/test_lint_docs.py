"""The guides say of the linter what it does: every rule, every claim, every number."""

from __future__ import annotations

import re

import pytest

from deployctl.cards import card
from deployctl.lint.claims import BYTES_PER_TOKEN
from deployctl.lint.rules import RULES
from tests.golden.produced import ROOT
from tests.lintfiles import found

ARTICLES = (ROOT / "docs/articles.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/lint-compose.md").read_text(encoding="utf-8")
IDS = {rule.id for rule in RULES}

#: Each claim of the articles, as a file makes it, and the rule that finds it.
CLAIMS = {
    "model-env-ignored": "services: {a: {image: vllm/vllm-openai, environment: [MODEL=m]}}",
    "webui-variable-unknown": "services: {a: {image: 'ghcr.io/open-webui/open-webui:v0.12.4', "
    "environment: {VLLM_API_BASE: 'http://vllm:8000/v1'}}}",
    "webui-port": "services: {a: {image: 'ghcr.io/open-webui/open-webui:v0.12.4', "
    "ports: ['7860:7860']}}",
    "cuda-11": "services: {a: {image: 'nvidia/cuda:11.8.0-base-ubuntu22.04'}}",
    "cuda-claimed": "# needs CUDA 11.8\nservices: {a: {image: vllm/vllm-openai}}",
    "licence-wrong": "# the model is Apache-2.0\nservices: {a: {image: vllm/vllm-openai, "
    "command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}}",
    "speed-impossible": "# ~200 tokens/s in FP16 on an RTX 3060\nservices: {a: {image: "
    "vllm/vllm-openai, command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}}",
    "model-unknown": "services: {a: {image: vllm/vllm-openai, command: Llama3-1B}}",
    "model-gated": "services: {a: {image: vllm/vllm-openai, "
    "command: meta-llama/Llama-3.2-1B-Instruct}}",
    "gpu-too-old": "# GTX 1660 6 GB\nservices: {a: {image: vllm/vllm-openai}}",
    "dtype-unsupported": "# GTX 1660\nservices: {a: {image: vllm/vllm-openai, "
    "command: m --dtype bfloat16}}",
}


def test_every_rule_is_in_the_guide_under_its_name() -> None:
    headings = re.findall(r"^### (\S+)$", GUIDE, re.MULTILINE)
    assert sorted(headings) == sorted(IDS)


def test_every_rule_that_a_guide_names_exists() -> None:
    named = re.findall(r"\]\((?:lint-compose\.md)?#([\w-]+)\)", ARTICLES)
    headings = {_anchor(h) for h in re.findall(r"^## (.+)$", ARTICLES, re.MULTILINE)}
    assert set(named) - IDS - headings == set()
    assert set(CLAIMS) <= set(named)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("rule", CLAIMS)
def test_each_claim_is_found_in_a_file_that_makes_it(rule: str) -> None:
    assert rule in {name for _, name in found(CLAIMS[rule])}


def test_the_numbers_are_those_of_the_arithmetic() -> None:
    size = next(size for pattern, size in BYTES_PER_TOKEN if "deepseek" in pattern.pattern)
    parameters, vocabulary, hidden = 1_777_088_000, 151_936, 1536
    assert size == 2 * (parameters - vocabulary * hidden)
    rtx = card("RTX 3060")
    assert rtx is not None
    ceiling = rtx.bandwidth_bytes_per_s / size
    for text in (f"{parameters:,}", f"{size:,}", f"{ceiling:.1f}", f"{200 * size / 1e9:.0f} GB/s"):
        assert text in ARTICLES, text
    assert f"{ceiling:.1f}" in next(r.why for r in RULES if r.id == "speed-impossible")


def test_files_in_the_guide_are_good() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", ARTICLES, re.DOTALL):
        kind = (
            "open-webui:v0.12.4" if "OPENAI" in block or "8080" in block else "vllm-openai:v0.32.0"
        )
        org = "ghcr.io/open-webui" if "webui" in kind else "vllm"
        rules = {name for _, name in found(f"services:\n  a:\n    image: {org}/{kind}\n{block}")}
        assert rules & set(CLAIMS) == set()
