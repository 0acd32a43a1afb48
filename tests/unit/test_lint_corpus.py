"""Compose files as people publish them: every finding with its line, and what corrects it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployctl.lint.rules import RULES
from tests.golden.produced import ROOT
from tests.lintfiles import CORPUS, FILES, content, corrected, found, linted, mended
from tests.yamltext import parsed

EXPECTED: dict[str, list[tuple[int, str]]] = {
    "article-vllm.yml": [
        (1, "version-obsolete"),
        (4, "licence-wrong"),
        (5, "gpu-too-old"),
        (5, "cuda-claimed"),
        (6, "speed-impossible"),
        (8, "no-restart"),
        (8, "vllm-no-shared-memory"),
        (8, "gpu-not-reserved"),
        (8, "no-healthcheck"),
        (8, "weights-not-kept"),
        (9, "image-floating-tag"),
        (11, "model-env-ignored"),
        (12, "secret-in-plain-text"),
        (14, "port-open"),
        (16, "no-restart"),
        (16, "webui-secret-key"),
        (16, "webui-ollama-nowhere"),
        (16, "webui-tools-refused"),
        (16, "no-healthcheck"),
        (16, "chats-not-kept"),
        (17, "image-floating-tag"),
        (19, "webui-port"),
        (19, "port-open"),
        (21, "webui-variable-unknown"),
        (22, "depends-on-started"),
    ],
    "good.yaml": [],
    "homelab.yaml": [
        (10, "secret-in-plain-text"),
        (13, "port-open"),
        (15, "image-floating-tag"),
        (20, "secret-in-plain-text"),
        (25, "depends-on-started"),
        (33, "weights-not-kept"),
    ],
    "llama-old.yml": [
        (2, "no-restart"),
        (2, "llama-prompt-cache"),
        (2, "llama-default-port"),
        (2, "gpu-not-reserved"),
        (2, "model-not-mounted"),
        (3, "image-floating-tag"),
        (3, "image-moved"),
        (4, "listens-inside-only"),
        (4, "llama-context-shared"),
        (4, "llama-flag-gone"),
        (4, "command-number"),
        (6, "port-open"),
        (9, "empty-api-key"),
        (10, "llama-empty-number"),
        (12, "healthcheck-wrong"),
        (14, "no-restart"),
        (14, "webui-ollama-nowhere"),
        (14, "no-healthcheck"),
        (15, "image-floating-tag"),
        (17, "webui-settings-frozen"),
        (17, "webui-url-itself"),
        (19, "webui-secret-key"),
        (21, "webui-port"),
        (21, "port-open"),
        (24, "depends-on-started"),
        (24, "depends-on-nobody"),
    ],
    "llama3-1b.yml": [
        (1, "version-obsolete"),
        (4, "cuda-11"),
        (5, "model-unknown"),
        (7, "cuda-11"),
        (8, "cuda-11"),
        (12, "no-restart"),
        (12, "no-healthcheck"),
        (12, "weights-not-kept"),
        (17, "model-unknown"),
        (18, "flag-with-value"),
        (20, "command-number"),
        (27, "gpu-reservation-invalid"),
    ],
    "quoted-env.yaml": [
        (4, "image-floating-tag"),
        (7, "dtype-unsupported"),
        (7, "vllm-flag-gone"),
        (7, "vllm-no-tool-parser"),
        (21, "quotes-in-value"),
        (21, "webui-settings-frozen"),
        (26, "secret-in-plain-text"),
        (35, "key-twice"),
    ],
    "router.yaml": [
        (2, "llama-default-port"),
        (2, "no-healthcheck"),
        (3, "image-floating-tag"),
        (5, "model-env-ignored"),
        (6, "network-host"),
        (8, "container-privileged"),
        (10, "gpu-not-reserved"),
        (10, "webui-secret-key"),
        (10, "no-healthcheck"),
        (11, "image-floating-tag"),
        (12, "network-host"),
        (14, "webui-variable-unknown"),
        (15, "webui-settings-frozen"),
        (17, "chats-not-kept"),
        (18, "docker-socket"),
    ],
    "swapped-roles.yaml": [
        (14, "vllm-serve-doubled"),
        (15, "vllm-flag-gone"),
        (16, "vllm-memory-share"),
        (17, "vllm-remote-code"),
        (18, "secret-in-plain-text"),
        (20, "secret-in-plain-text"),
        (21, "vllm-flag-as-variable"),
        (23, "port-open"),
        (29, "healthcheck-impatient"),
        (30, "healthcheck-wrong"),
        (33, "webui-ollama-nowhere"),
        (33, "webui-tools-refused"),
        (33, "no-healthcheck"),
        (38, "depends-on-started"),
        (40, "webui-key-missing"),
        (40, "webui-url-no-v1"),
        (40, "webui-url-port"),
        (41, "webui-no-sign-in"),
        (42, "secret-in-plain-text"),
        (44, "port-open"),
        (46, "volume-undeclared"),
    ],
}

#: The secrets that stand in these files.
SECRETS = (
    "hf_QqWwEeRrTtYyUuIiOoPp12345",
    "sk-local-3f9a7c1e5b2d4860",
    "t0p-s3cr3t",
    "correct-horse-battery",
    "change-me-please",
)


def test_every_file_is_expected() -> None:
    assert set(EXPECTED) == set(FILES)
    assert len(FILES) >= 8


@pytest.mark.parametrize("name", FILES)
def test_everything_is_found_and_nothing_else(name: str) -> None:
    assert found(content(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", FILES)
def test_the_corrected_lines_take_the_finding_away(name: str) -> None:
    text = content(name)
    for finding in linted(text).findings:
        assert finding.corrected is not None, finding
        made = corrected(text, finding)
        assert parsed(made)
        after = linted(made)
        assert after.fault is None, finding
        same = (finding.rule, finding.message)
        assert same not in [(one.rule, one.message) for one in after.findings], finding


@pytest.mark.parametrize("name", FILES)
def test_one_correction_after_the_other_leaves_a_good_file(name: str) -> None:
    text = mended(content(name))
    assert found(text) == []
    services = parsed(text)["services"]
    assert set(services) == set(parsed(content(name))["services"])


@pytest.mark.parametrize("name", FILES)
def test_what_is_shown_stands_there(name: str) -> None:
    lines = content(name).decode().split("\n")
    for finding in linted(content(name)).findings:
        for part in finding.corrected or ():
            assert len(part.shown) == part.last - part.first + 1
            for shown, line in zip(part.shown, lines[part.first - 1 : part.last], strict=True):
                assert shown == line or "***" in shown
        assert finding.column <= len(lines[finding.line - 1]) + 1


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_shown(name: str) -> None:
    text = str(linted(content(name)))
    assert [secret for secret in SECRETS if secret in text] == []


def test_the_secrets_are_in_the_files() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in CORPUS.iterdir())
    assert [secret for secret in SECRETS if secret not in text] == []


@pytest.mark.parametrize("path", sorted((ROOT / "compose").glob("*.yaml")), ids=lambda p: p.name)
def test_our_own_stacks_are_clean(path: Path) -> None:
    result = linted(path.read_bytes())
    assert result.services == ("engine", "webui")
    assert [(f.line, f.rule, f.message) for f in result.findings] == []


def test_nearly_every_rule_is_found_somewhere_in_the_corpus() -> None:
    seen = {rule for rows in EXPECTED.values() for _, rule in rows}
    rest = {rule.id for rule in RULES} - seen
    assert rest <= ELSEWHERE, rest - ELSEWHERE


#: These have their example in test_lint_rules.py.
ELSEWHERE = {
    *("token-in-file", "data-hidden", "model-gated", "model-none", "vllm-model-after-list"),
    *("vllm-no-reasoning-parser", "webui-signup-reopens", "webui-not-connected"),
    *("webui-url-nobody", "port-twice", "depends-on-unchecked"),
}


def test_rules_are_named_and_explained() -> None:
    names = [rule.id for rule in RULES]
    assert len(names) == len(set(names))
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+", rule.id), rule.id
        assert rule.why.endswith("."), rule.id
        assert not rule.fix.endswith("."), rule.id
        assert not rule.what.endswith("."), rule.id
