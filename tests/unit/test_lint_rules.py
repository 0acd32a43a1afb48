"""Each rule of the linter: what it takes for a mistake, what corrects it, and what it leaves."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from deployctl.diagnosis.llama_cpp import REPLACED
from deployctl.diagnosis.vllm import GONE
from deployctl.lint import gone
from deployctl.lint.lint import lint_all
from deployctl.lint.rules import RULES
from tests.lintfiles import corrected, linted

VLLM = "vllm/vllm-openai:v0.32.0"
LLAMA = "ghcr.io/ggml-org/llama.cpp:server-b11434"
OLD_VLLM = "vllm/vllm-openai:v0.6.3"
OLD_LLAMA = "ghcr.io/ggml-org/llama.cpp:server-b4000"
WEBUI = "ghcr.io/open-webui/open-webui:v0.12.4"


def service(image: str, more: str = "", name: str = "a") -> str:
    body = textwrap.indent(textwrap.dedent(more).strip("\n"), "    ")
    return f"  {name}:\n    image: {image}\n{body}\n"


def file(*services: str, more: str = "") -> str:
    return "services:\n" + "".join(services) + textwrap.dedent(more)


def vllm(more: str = "") -> str:
    return file(service(VLLM, more))


def llama(more: str = "") -> str:
    return file(service(LLAMA, more))


def webui(more: str = "") -> str:
    return file(service(WEBUI, more))


def beside(engine: str, frontend: str, *, kind: str = VLLM) -> str:
    return file(service(kind, engine, "engine"), service(WEBUI, frontend, "ui"))


WRONG: list[tuple[str, str]] = [
    # found in files of people
    ("image-floating-tag", file(service("ghcr.io/berriai/litellm:main-stable"))),
    ("image-floating-tag", file(service("localai/localai:latest-gpu-nvidia-cuda-12"))),
    ("image-floating-tag", file(service("ghcr.io/mostlygeek/llama-swap:cuda"))),
    ("image-floating-tag", file(service("redis:alpine"))),
    ("image-floating-tag", file(service("nginx:stable-alpine"))),
    ("cuda-11", file(service("x:1", "build: {args: {CUDA_VERSION: 11.8.0}}"))),
    ("cuda-claimed", "# CUDA >= 11.8, CUDA Toolkit 11.8\n" + vllm()),
    ("port-open", file(service("apache/tika:3.0.0", "ports: [9998]"))),
    ("port-open", file(service("traefik/whoami:v1.10", "ports: ['8088:80']"))),
    (
        "port-twice",
        file(
            service("x:1", "ports: ['127.0.0.1:80:80']", "a"),
            service("y:1", "ports: ['80:1']", "b"),
        ),
    ),
    (
        "licence-wrong",
        vllm("command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B  # Apache-2.0"),
    ),
    (
        "licence-wrong",
        "# DeepSeek-R1-Distill-Qwen-1.5B\n# License: Apache 2.0\n"
        + vllm("command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
    ),
    (
        "vllm-memory-share",
        vllm("entrypoint: [vllm, serve]\ncommand: m --gpu-memory-utilization 1.0"),
    ),
    (
        "vllm-no-tool-parser",
        vllm(
            "entrypoint: python3 -m vllm.entrypoints.openai.api_server\n"
            "command: --model m --enable-auto-tool-choice"
        ),
    ),
    ("port-open", "x-port: &p '8000:8000'\n" + vllm("ports:\n  - *p")),
    ("image-floating-tag", file(service("some/thing", name="3d-viewer"))),
    ("vllm-serve-doubled", file(service(OLD_VLLM, "command: vllm serve a/b --port 8000"))),
    ("vllm-serve-doubled", file(service(OLD_VLLM, "command:\n  - serve\n  - a/b"))),
    ("llama-context-shared", file(service(OLD_LLAMA, "command: -m /m.gguf -np 2 -c=2048"))),
    ("llama-context-shared", file(service(OLD_LLAMA, "command: -m /m.gguf -np 2 -c 2048"))),
    (
        "secret-in-plain-text",
        file(service("redis:7", "command: redis-server --requirepass abcdef")),
    ),
    (
        "secret-in-plain-text",
        file(service("redis:7", "command: [redis-server, --requirepass, abcdef]")),
    ),
    ("secret-in-plain-text", file(service("x:1", "build: {args: [HF_TOKEN=abcdef]}"))),
    (
        "secret-in-plain-text",
        vllm(
            "healthcheck: {test: \"curl -fH 'Authorization: Bearer abcdef' http://localhost:8000\"}"
        ),
    ),
    (
        "secret-in-plain-text",
        vllm(
            "healthcheck: {test: [CMD, curl, -f, -H, 'X-API-Key: abcdef', 'http://localhost:8000']}"
        ),
    ),
    ("secret-in-plain-text", file(service("x:1", "command: [sh, -c, 'DB_PASSWORD=abcdef run']"))),
    # the file
    ("version-obsolete", "version: '3'\n" + vllm()),
    ("key-twice", vllm("restart: always\nrestart: always")),
    ("command-number", vllm("command: [m, --port, 8000]")),
    ("command-number", vllm("command:\n  - m\n  - --x\n  - 0.9")),
    ("command-number", llama("entrypoint: [/app/llama-server, --port, 8080]")),
    ("flag-with-value", vllm("command:\n  - m\n  - --max-model-len 4096")),
    ("flag-with-value", llama('command:\n  - "-c 4096"')),
    ("quotes-in-value", webui('environment:\n  - WEBUI_URL="http://x"')),
    ("quotes-in-value", webui("environment:\n  - WEBUI_NAME='mine'")),
    ("no-restart", vllm()),
    # images
    ("image-floating-tag", file(service("vllm/vllm-openai"))),
    ("image-floating-tag", file(service('"vllm/vllm-openai:latest"  # newest'))),
    ("image-floating-tag", file(service("${IMAGE:-ghcr.io/open-webui/open-webui:main-slim}"))),
    ("image-floating-tag", file(service("ghcr.io/ggml-org/llama.cpp:server-vulkan"))),
    ("image-floating-tag", file(service("redis"))),
    ("image-floating-tag", file(service("vllm/vllm-openai-cpu:latest"))),
    ("image-moved", file(service("ghcr.io/ggerganov/llama.cpp:server-b4000"))),
    ("cuda-11", file(service("nvidia/cuda:11.8.0-devel-ubuntu20.04"))),
    ("cuda-11", file(service("vllm/vllm-openai:v0.6.3-cu118"))),
    ("cuda-11", vllm("environment: {CUDA_VERSION: 11.8.0}")),
    # models
    ("model-env-ignored", vllm("environment: [MODEL_ID=Qwen/Qwen3-0.6B]")),
    ("model-env-ignored", vllm("environment:\n  MODEL: ${MODEL}")),
    ("model-env-ignored", vllm("command: Qwen/Qwen3-4B\nenvironment:\n  MODEL: Qwen/Qwen3-4B")),
    ("model-env-ignored", vllm("command: --dtype auto\nenvironment:\n  VLLM_MODEL: Qwen/Qwen3-4B")),
    ("model-env-ignored", llama("environment:\n  MODEL: /models/a.gguf")),
    ("model-none", vllm()),
    ("model-none", vllm("command: --dtype auto --port 8000")),
    ("model-none", llama("command: [--port, '8080']")),
    ("model-none", llama('environment: {LLAMA_ARG_MODEL: ""}')),
    ("model-unknown", vllm("command: meta-llama/Llama-3-1B-Instruct")),
    ("model-unknown", vllm("command: [--model=Llama3-1B]")),
    ("model-unknown", webui("environment: {DEFAULT_MODELS: llama3-1b}")),
    ("model-unknown", "# serves Llama3-1B\n" + vllm()),
    ("model-gated", vllm("command: meta-llama/Llama-3.2-1B-Instruct")),
    # vLLM
    ("vllm-serve-doubled", vllm("command: vllm serve Qwen/Qwen3-4B")),
    ("vllm-serve-doubled", vllm("command: [serve, Qwen/Qwen3-4B]")),
    ("vllm-serve-doubled", vllm("command:\n  - vllm\n  - serve\n  - Qwen/Qwen3-4B")),
    ("vllm-serve-doubled", vllm("command: |\n  vllm serve Qwen/Qwen3-4B \\\n    --dtype auto")),
    ("vllm-model-after-list", vllm("command: --served-model-name mine Qwen/Qwen3-4B")),
    ("vllm-flag-gone", vllm("command: m --swap-space 4")),
    ("vllm-flag-gone", vllm("command: m --swap_space=4 --dtype auto")),
    (
        "vllm-flag-gone",
        vllm("command:\n  - m\n  - --disable-log-requests\n  - --swap-space\n  - '4'"),
    ),
    ("vllm-flag-gone", vllm("command: m --quantization bitsandbytes")),
    ("vllm-flag-as-variable", vllm("command: m\nenvironment: [MAX_MODEL_LEN=4096]")),
    ("vllm-flag-as-variable", vllm("command: m\nenvironment:\n  ENFORCE_EAGER: 1\n  A: b")),
    ("vllm-memory-share", vllm("command: m --gpu-memory-utilization 0.99")),
    ("vllm-memory-share", vllm("command: [m, --gpu-memory-utilization=85]")),
    ("vllm-no-reasoning-parser", vllm("command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")),
    ("vllm-no-tool-parser", vllm("command: Qwen/Qwen2.5-1.5B-Instruct --enable-auto-tool-choice")),
    ("vllm-no-tool-parser", vllm("command: [m, --enable-auto-tool-choice]")),
    ("vllm-remote-code", vllm("command: [m, --trust-remote-code]")),
    ("vllm-remote-code", vllm("command: --trust-remote-code m")),
    ("vllm-no-shared-memory", vllm()),
    # llama.cpp
    ("llama-flag-gone", llama("command: -m /m.gguf --no-mmap")),
    ("llama-flag-gone", llama("command:\n  - --mlock\n  - -m\n  - /m.gguf")),
    ("llama-flag-gone", llama("command: [-m, /m.gguf, --draft-max, '16']")),
    ("llama-prompt-cache", llama("command: -m /m.gguf\nmem_limit: 4g")),
    (
        "llama-prompt-cache",
        llama("command: -m /m.gguf\ndeploy: {resources: {limits: {memory: 2048M}}}"),
    ),
    ("llama-context-shared", llama("command: -m /m.gguf -np 4 -c 4096")),
    (
        "llama-default-port",
        file(service("ghcr.io/ggml-org/llama.cpp:server", "command: -m /m.gguf")),
    ),
    ("llama-empty-number", llama("environment: {LLAMA_ARG_CTX_SIZE: ''}")),
    ("empty-api-key", llama("environment: [LLAMA_API_KEY=]")),
    ("empty-api-key", vllm("environment: {VLLM_API_KEY: '${KEY:-}'}")),
    ("empty-api-key", llama('command: ["-m", /m.gguf, --api-key, ""]')),
    # cards
    ("gpu-not-reserved", vllm()),
    ("gpu-not-reserved", vllm("deploy:\n  resources:\n    limits: {cpus: '4'}")),
    ("gpu-not-reserved", vllm("deploy: {replicas: 1}")),
    ("gpu-not-reserved", file(service("ghcr.io/ggml-org/llama.cpp:server-cuda-b11382"))),
    (
        "gpu-reservation-invalid",
        vllm(
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, "
            "device_ids: ['0'], capabilities: [gpu]}]}}}"
        ),
    ),
    ("gpu-too-old", "# tested on a GeForce GTX 1650 SUPER\n" + vllm()),
    ("dtype-unsupported", "# RTX 2070\n" + vllm("command: [m, --dtype, bfloat16]")),
    # Open WebUI
    ("webui-variable-unknown", webui("environment: [VLLM_API_BASE=http://v:8000/v1]")),
    ("webui-variable-unknown", webui("environment: {OPENAI_BASE_URL: 'http://v:8000'}")),
    ("webui-variable-unknown", webui("environment: {VLLM_API_KEY: '${KEY}'}")),
    ("webui-port", webui("ports: ['127.0.0.1:7860:7860']")),
    ("webui-port", webui("ports:\n  - target: 80\n    published: 80\n    host_ip: 127.0.0.1")),
    ("webui-no-sign-in", webui("environment: [WEBUI_AUTH=False]\nports: ['3000:8080']")),
    ("webui-signup-reopens", webui("environment: {ENABLE_PERSISTENT_CONFIG: false}")),
    (
        "webui-signup-reopens",
        webui("environment: [ENABLE_PERSISTENT_CONFIG=false, ENABLE_SIGNUP=true]"),
    ),
    ("webui-settings-frozen", webui("environment: [DEFAULT_MODELS=m]")),
    ("webui-secret-key", webui()),
    ("webui-secret-key", webui("environment: {WEBUI_SECRET_KEY: ''}")),
    ("webui-ollama-nowhere", webui("environment: [OPENAI_API_BASE_URL=http://h.lan:1/v1]")),
    ("webui-not-connected", beside("command: m", "restart: always")),
    (
        "webui-key-missing",
        beside(
            "command: m\nenvironment: {VLLM_API_KEY: '${K}'}",
            "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1'}",
        ),
    ),
    (
        "webui-tools-refused",
        beside("command: m", "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1'}"),
    ),
    (
        "webui-tools-refused",
        beside(
            "command: m\nnetworks: {default: {aliases: [llm]}}",
            "environment: [OPENAI_API_BASE_URLS=http://x.example/v1;http://llm:8000/v1]",
        ),
    ),
    (
        "webui-tools-refused",
        beside("command: m", "environment: {OPENAI_API_BASE_URL: 'http://localhost:8000/v1'}"),
    ),
    (
        "webui-tools-refused",
        beside(
            "command: m\nports: ['127.0.0.1:9000:8000']",
            "environment: [OPENAI_API_BASE_URL=http://host.docker.internal:9000/v1]",
        ),
    ),
    (
        "webui-key-missing",
        file(
            service(VLLM, "command: m", "open"),
            service(LLAMA, "command: -m /m.gguf --api-key-file /k", "keyed"),
            service(
                WEBUI,
                "environment: {OPENAI_API_BASE_URLS: 'http://open:8000/v1;http://keyed:8080/v1'}",
                "ui",
            ),
        ),
    ),
    (
        "webui-url-no-v1",
        file(
            service("ollama/ollama:0.12.6", "", "ollama"),
            service(WEBUI, "environment: [OPENAI_API_BASE_URL=http://ollama:11434]", "ui"),
        ),
    ),
    ("webui-url-no-v1", webui("environment: [OPENAI_API_BASE_URL=https://api.openai.com]")),
    ("vllm-flag-as-variable", vllm("command: m\nenvironment: [VLLM_API_KEY_FILE=/run/secrets/k]")),
    (
        "vllm-flag-as-variable",
        vllm("command: m --api-key ${K}\nenvironment: {VLLM_API_KEY_FILE: /k, A: b}"),
    ),
    ("secret-in-plain-text", webui("environment: [OPENAI_API_KEYS=none;sk-3f9a7c1e5b2d4860]")),
    ("secret-in-plain-text", webui("environment: ['OPENAI_API_KEYS=${K};sk-3f9a7c1e5b2d4860']")),
    (
        "depends-on-unchecked",
        file(
            service("ollama/ollama:0.12.6", "restart: always", "ollama"),
            service("x:1", "depends_on: {ollama: {condition: service_healthy}}", "b"),
        ),
    ),
    (
        "depends-on-unchecked",
        file(
            service("postgres:17", "healthcheck:\n  disable: true", "db"),
            service("x:1", "depends_on: {db: {condition: service_healthy}}", "b"),
        ),
    ),
    (
        "webui-url-no-v1",
        beside("command: m", "environment: [OPENAI_API_BASE_URL=http://engine:8000]"),
    ),
    (
        "webui-url-itself",
        beside("command: m", "environment: {OPENAI_API_BASE_URL: 'http://localhost:8000/v1'}"),
    ),
    ("webui-url-itself", webui("environment: {OLLAMA_BASE_URL: 'http://127.0.0.1:11434'}")),
    (
        "webui-url-port",
        beside(
            "command: m\nports: ['127.0.0.1:9000:8000']",
            "environment: [OPENAI_API_BASE_URL=http://engine:9000/v1]",
        ),
    ),
    (
        "webui-url-nobody",
        beside("command: m", "environment: [OPENAI_API_BASE_URL=http://vllm:8000/v1]"),
    ),
    # who reaches it
    ("port-open", vllm("ports: ['8000:8000']")),
    ("port-open", vllm("ports: [8000]")),
    ("port-open", vllm('ports: ["0.0.0.0:8000:8000/tcp"]')),
    ("port-open", vllm('ports:\n  - "[::]:8000:8000"')),
    ("port-open", vllm("ports:\n  - ${BIND:-0.0.0.0}:${PORT:-8000}:8000")),
    ("port-open", vllm("ports:\n  - target: 8000\n    published: '8000'")),
    ("port-open", vllm("ports: [{target: 8000, published: 8000, host_ip: 0.0.0.0}]")),
    ("port-open", file(service("postgres:17", "ports: ['5432:5432']"))),
    (
        "port-twice",
        file(
            service("x:1", "ports: ['127.0.0.1:80:80']", "one"),
            service("y:1", "ports: ['127.0.0.1:80:8080']", "two"),
        ),
    ),
    ("network-host", vllm("network_mode: host")),
    ("network-host", webui("network_mode: host\nports: ['127.0.0.1:3000:8080']")),
    ("listens-inside-only", vllm("command: [m, --host, 127.0.0.1]")),
    ("listens-inside-only", llama("command: -m /m.gguf --host=localhost")),
    ("listens-inside-only", webui("environment: {HOST: 127.0.0.1}")),
    ("container-privileged", file(service("x:1", "privileged: true"))),
    ("docker-socket", file(service("x:1", "volumes: [/var/run/docker.sock:/s/docker.sock]"))),
    (
        "docker-socket",
        file(service("x:1", "volumes:\n  - a:/b\n  - /run/docker.sock:/run/docker.sock:ro")),
    ),
    # health
    ("no-healthcheck", vllm()),
    ("no-healthcheck", vllm("healthcheck:\n  disable: true")),
    ("no-healthcheck", llama('healthcheck: {test: ["NONE"]}')),
    ("healthcheck-wrong", vllm("healthcheck:\n  test: curl -f http://localhost:9000/health")),
    (
        "healthcheck-wrong",
        llama("healthcheck: {test: [CMD, curl, 'http://localhost:8080/health']}"),
    ),
    ("healthcheck-wrong", vllm("healthcheck:\n  test: curl -f http://localhost:8000/ || true")),
    (
        "healthcheck-wrong",
        vllm(
            "environment: {VLLM_API_KEY: '${K}'}\n"
            "healthcheck:\n  test: curl -f localhost:8000/ || curl -f http://localhost:8000/v1/models"
        ),
    ),
    ("healthcheck-impatient", vllm("healthcheck:\n  test: curl -f http://localhost:8000/health")),
    (
        "healthcheck-impatient",
        vllm("healthcheck:\n  test: 'true'\n  interval: 5s\n  retries: 5\n  start_period: 1m30s"),
    ),
    ("depends-on-started", beside("command: m", "depends_on: [engine]")),
    ("depends-on-started", beside("command: m", "depends_on:\n  engine:\n    restart: true")),
    ("depends-on-nobody", beside("command: m", "depends_on:\n  - engine\n  - vllm")),
    # what is kept
    ("weights-not-kept", vllm("command: Qwen/Qwen3-4B")),
    ("weights-not-kept", vllm("command: Qwen/Qwen3-4B\nvolumes: [/root/.cache/huggingface]")),
    ("weights-not-kept", vllm("command: Qwen/Qwen3-4B\nenvironment: [HF_HOME=/hf]")),
    ("weights-not-kept", llama("command: -hf a/b")),
    ("weights-not-kept", file(service("ollama/ollama:0.12.0"))),
    ("chats-not-kept", webui()),
    ("chats-not-kept", webui("tmpfs: /app/backend/data")),
    ("volume-undeclared", webui("volumes: [data:/app/backend/data]")),
    ("volume-undeclared", webui("volumes: [data:/app/backend/data]") + "volumes:\n  other:\n"),
    ("volume-undeclared", webui("volumes: [data:/app/backend/data]") + "volumes: {other: }\n"),
    (
        "data-hidden",
        webui("volumes:\n  - ./data:/app/backend/data\nenvironment: [OFFLINE_MODE=true]"),
    ),
    ("model-not-mounted", llama("command: [-m, /models/a.gguf]")),
    ("model-not-mounted", vllm("command: /models/qwen")),
    # secrets
    ("secret-in-plain-text", vllm("command: m --api-key hunter2hunter2")),
    ("secret-in-plain-text", vllm("command: [m, --api-key=hunter2]")),
    ("secret-in-plain-text", vllm("environment: [HF_TOKEN=hf_your_token]")),
    ("secret-in-plain-text", file(service("x:1", "environment: {MYSQL_PASSWORD: root}"))),
    (
        "secret-in-plain-text",
        file(service("x:1", "environment: {A_KEY_FOR: 'ghp_0123456789abcdefghij'}")),
    ),
    ("secret-in-plain-text", webui("environment:\n  WEBUI_SECRET_KEY: ${K:-s3cr3t}")),
    ("secret-in-plain-text", webui("environment: {DATABASE_URL: 'postgres://u:pw@db/x'}")),
    ("token-in-file", "# token: hf_0123456789abcdefghij\n" + vllm()),
    # claims
    (
        "speed-impossible",
        "# RTX 3060: 200+ tokens per second\n" + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
    ),
    (
        "licence-wrong",
        "# weights: Apache 2.0\n" + vllm("command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
    ),
    ("cuda-claimed", "# requires CUDA 11.8\n" + vllm()),
]


@pytest.mark.parametrize(("rule", "text"), WRONG)
def test_it_is_found_and_can_be_corrected(rule: str, text: str) -> None:
    result = linted(text)
    assert result.fault is None
    findings = [finding for finding in result.findings if finding.rule == rule]
    assert findings, [finding.rule for finding in result.findings]
    for finding in findings:
        if finding.corrected is None:
            assert (rule, text) in BY_HAND, finding
            continue
        after = linted(corrected(text.encode(), finding))
        assert after.fault is None
        left = [(one.rule, one.message) for one in after.findings]
        assert (rule, finding.message) not in left, finding


#: What is written so that no line of it can be corrected by itself.
BY_HAND: list[tuple[str, str]] = []


def test_every_rule_has_an_example() -> None:
    assert {rule for rule, _ in WRONG} == {rule.id for rule in RULES}


RIGHT: list[tuple[str, str]] = [
    # What cannot be known is accused of nothing.
    ("image-floating-tag", file(service("vllm/vllm-openai:${TAG}"))),
    ("image-floating-tag", file(service("vllm/vllm-openai:latest@sha256:" + "0" * 64))),
    ("image-floating-tag", file(service("registry.lan:5000/chat", "build: ."))),
    ("image-floating-tag", file(service("postgres:17-alpine"))),
    ("image-floating-tag", file(service("ghcr.io/ggml-org/llama.cpp:server-cuda-b11382"))),
    ("model-none", vllm("command: ${ARGS}")),
    ("model-none", vllm("command: --dtype auto $EXTRA")),
    ("model-none", vllm("command: --config /config.yaml")),
    ("model-none", vllm("entrypoint: [bash, -c]\ncommand: vllm serve $$MODEL")),
    ("model-none", vllm("command: ['${MODEL}', --dtype, auto]")),
    ("model-none", vllm("command: --enable-prefix-caching Qwen/Qwen3-4B")),
    ("model-none", llama("environment: {LLAMA_ARG_HF_REPO: a/b}")),
    ("model-none", llama("command: --models-dir /models")),
    ("model-none", llama("env_file: llama.env")),
    (
        "model-env-ignored",
        vllm("entrypoint: bash\ncommand: -c 'vllm serve $$MODEL'\nenvironment: [MODEL=x]"),
    ),
    ("model-env-ignored", file(service("my/vllm-wrapper:1", "environment: [MODEL=x]"))),
    ("model-unknown", vllm("command: meta-llama/Llama-3.2-1B")),
    ("model-unknown", vllm("command: meta-llama/Meta-Llama-3-8B")),
    ("model-unknown", "# Llama3-1BX and llama3:8b\n" + vllm()),
    ("model-gated", vllm("command: meta-llama/Llama-3.2-1B\nenv_file: .env")),
    ("model-gated", vllm("command: meta-llama/Llama-3.2-1B\nenvironment: [HF_TOKEN]")),
    ("vllm-flag-gone", file(service("vllm/vllm-openai:v0.6.3", "command: m --swap-space 4"))),
    ("vllm-flag-gone", file(service("vllm/vllm-openai:${V}", "command: m --swap-space 4"))),
    ("vllm-serve-doubled", vllm("entrypoint: []\ncommand: vllm serve m")),
    ("vllm-serve-doubled", file(service("rocm/vllm:1", "command: vllm serve m"))),
    ("vllm-memory-share", vllm("command: m --gpu-memory-utilization ${SHARE}")),
    ("vllm-memory-share", vllm("command: m --gpu-memory-utilization 0.42")),
    ("vllm-no-shared-memory", vllm("ipc: host")),
    ("vllm-no-shared-memory", vllm("tmpfs: ['/dev/shm:size=2g']")),
    (
        "llama-flag-gone",
        file(service("ghcr.io/ggml-org/llama.cpp:server-b4000", "command: --mlock")),
    ),
    # found in files of people
    ("image-floating-tag", file(service("postgres:16-alpine"))),
    ("image-floating-tag", file(service("litellm/litellm:main-v1.35.2"))),
    ("image-floating-tag", file(service("ghcr.io/berriai/litellm:v1.74.0-stable"))),
    ("model-not-mounted", llama("command: -m /models/a.gguf\nvolumes: ['C:\\m:/models:ro']")),
    ("model-not-mounted", llama("command: -m /models/a.gguf\nvolumes: ['C:/m:/models']")),
    (
        "port-twice",
        file(
            service("x:1", "ports: ['127.0.0.1:80:80']", "a"),
            service("y:1", "ports: ['127.0.0.2:80:80']", "b"),
        ),
    ),
    ("gpu-too-old", "# a GTX 1660 is too old for this\n" + vllm()),
    (
        "speed-impossible",
        "# RTX 3060 12 GB\n# an A100 does 200 tokens/s\n"
        + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
    ),
    ("secret-in-plain-text", file(service("x:1", "environment: [OPENAI_API_KEY=user_provided]"))),
    ("secret-in-plain-text", file(service("x:1", "command: --password-file /run/p --auth basic"))),
    ("secret-in-plain-text", file(service("x:1", "command: [mongod, --auth, run]"))),
    (
        "secret-in-plain-text",
        file(service("redis:7", "command: [redis-server, --requirepass, '${P:?x}']")),
    ),
    (
        "secret-in-plain-text",
        vllm("healthcheck: {test: \"curl -fH 'Authorization: Bearer $$VLLM_API_KEY' http://x\"}"),
    ),
    ("llama-context-shared", llama("command: -m /m.gguf -np 4 -c 32768")),
    ("llama-context-shared", llama("command: -m /m.gguf -np 4 -c 4096 -kvu")),
    ("llama-prompt-cache", llama("command: -m /m.gguf\nmem_limit: 16g")),
    ("llama-default-port", llama("command: -m /m.gguf")),
    ("empty-api-key", llama("environment: {LLAMA_API_KEY: '${KEY}'}")),
    ("empty-api-key", llama("environment:\n  LLAMA_API_KEY:")),
    ("gpu-not-reserved", vllm("gpus: all")),
    ("gpu-not-reserved", vllm("runtime: nvidia")),
    ("gpu-not-reserved", vllm("devices: ['nvidia.com/gpu=all']")),
    ("gpu-not-reserved", file(service("vllm/vllm-openai-cpu:v0.32.0-x86_64"))),
    ("gpu-not-reserved", file(service("ghcr.io/ggml-org/llama.cpp:server-vulkan-b11382"))),
    ("gpu-not-reserved", vllm("extends: {file: gpu.yaml, service: base}")),
    ("gpu-too-old", "# not for a GTX 1660\n" + vllm()),
    ("gpu-too-old", "# RTX 3060\n" + vllm()),
    ("gpu-too-old", "# GTX 1660\n" + llama()),
    ("dtype-unsupported", "# RTX 3060\n" + vllm("command: [m, --dtype, bfloat16]")),
    ("webui-variable-unknown", webui("environment: [OLLAMA_API_BASE_URL=http://o:1]")),
    ("webui-port", webui("ports: ['7860:8080']")),
    ("webui-port", webui("environment: {PORT: 7860}\nports: ['7860:7860']")),
    ("webui-port", webui("environment: {PORT: '${P}'}\nports: ['7860:7860']")),
    ("webui-no-sign-in", webui("environment: [WEBUI_AUTH=False]\nports: ['127.0.0.1:3000:8080']")),
    ("webui-secret-key", webui("env_file: [webui.env]")),
    ("webui-url-no-v1", webui("environment: [OPENAI_API_BASE_URL=https://x.example/api]")),
    (
        "webui-url-no-v1",
        beside(
            "command: -m /m.gguf",
            "environment: [OPENAI_API_BASE_URL=http://engine:8080]",
            kind=LLAMA,
        ),
    ),
    (
        "webui-url-itself",
        webui("network_mode: host\nenvironment: [OLLAMA_BASE_URL=http://localhost:1]"),
    ),
    (
        "webui-url-itself",
        webui("environment: [OPENAI_API_BASE_URL=http://host.docker.internal:1/v1]"),
    ),
    (
        "webui-url-nobody",
        file(
            service(VLLM, "command: m\ncontainer_name: llm", "engine"),
            service(WEBUI, "environment: [OPENAI_API_BASE_URL=http://llm:8000/v1]", "ui"),
        ),
    ),
    (
        "webui-tools-refused",
        beside(
            "command: m --enable-auto-tool-choice --tool-call-parser hermes",
            "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1'}",
        ),
    ),
    # another vLLM than the chat window's, or none at all
    ("webui-tools-refused", beside("command: m", "restart: always")),
    ("webui-tools-refused", beside("command: m", "environment: [ENABLE_OPENAI_API=true]")),
    (
        "webui-tools-refused",
        beside("command: m", "environment: {OPENAI_API_BASE_URL: 'http://litellm:4000/v1'}"),
    ),
    (
        "webui-tools-refused",
        beside(
            "command: m",
            "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1', "
            "OPENAI_API_BASE_URLS: 'https://x.example/v1'}",
        ),
    ),
    (
        "webui-tools-refused",
        beside(
            "command: m",
            "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1', ENABLE_OPENAI_API: no}",
        ),
    ),
    *(
        (
            "webui-tools-refused",
            beside(
                f"command: m {flags}",
                "environment: {OPENAI_API_BASE_URL: 'http://engine:8000/v1'}",
            ),
        )
        for flags in ("--runner pooling", "--task embed", "--convert=embed")
    ),
    (
        "webui-tools-refused",
        file(
            service(VLLM, "command: m --runner pooling", "embed"),
            service(VLLM, "command: m --enable-auto-tool-choice --tool-call-parser x", "chat"),
            service(
                WEBUI,
                "environment: {OPENAI_API_BASE_URL: 'http://chat:8000/v1', "
                "RAG_OPENAI_API_BASE_URL: 'http://embed:8000/v1'}",
                "ui",
            ),
        ),
    ),
    ("webui-not-connected", beside("command: m --runner pooling", "restart: always")),
    (
        "webui-key-missing",
        file(
            service(VLLM, "command: m --api-key ${K}", "keyed"),
            service(VLLM, "command: m", "open"),
            service(WEBUI, "environment: [OPENAI_API_BASE_URL=http://open:8000/v1]", "ui"),
        ),
    ),
    (
        "webui-url-no-v1",
        beside(
            "command: -m /m.gguf",
            "network_mode: service:engine\n"
            "environment: [PORT=8081, 'OPENAI_API_BASE_URL=http://127.0.0.1:8080']",
            kind=LLAMA,
        ),
    ),
    (
        "webui-url-no-v1",
        beside("command: m", "environment: [OPENAI_API_BASE_URL=http://litellm:4000]"),
    ),
    (
        "webui-url-no-v1",
        file(
            service("ghcr.io/berriai/litellm:v1.77.5-stable", name="litellm"),
            service(WEBUI, "environment: [OPENAI_API_BASE_URL=http://litellm:4000]", "ui"),
        ),
    ),
    ("webui-url-no-v1", webui("environment: [OPENAI_API_BASE_URL=http://box.lan:8080]")),
    (
        "webui-url-itself",
        beside(
            "command: -m /m.gguf --port 8081\nnetwork_mode: service:ui",
            "environment: [OPENAI_API_BASE_URL=http://127.0.0.1:8081/v1]",
            kind=LLAMA,
        ),
    ),
    (
        "webui-url-port",
        file(
            service("qmcgaw/gluetun:v3.40", name="vpn"),
            service(VLLM, "command: m\nnetwork_mode: service:vpn", "engine"),
            service(WEBUI, "environment: [OPENAI_API_BASE_URL=http://vpn:8000/v1]", "ui"),
        ),
    ),
    # what only others build upon
    *(
        (
            rule,
            file(
                service(VLLM, "profiles: [never]\ndeploy: {}", "base"),
                f"  a: {{extends: {extends}, command: [m]}}\n",
                f"  b: {{extends: {extends}, command: [n]}}\n",
            ),
        )
        for rule in ("model-none", "no-healthcheck", "weights-not-kept", "vllm-no-shared-memory")
        for extends in ("base", "{service: base}", "{file: ./compose.yaml, service: base}")
    ),
    ("vllm-flag-as-variable", vllm("entrypoint: [x]\nenvironment: [VLLM_API_KEY_FILE=/k]")),
    *(
        ("secret-in-plain-text", webui(f"environment: ['OPENAI_API_KEYS={value}']"))
        for value in ("none;none;none", "EMPTY;EMPTY", "sk-no-key-required;dummy", "${K};none")
    ),
    *(
        (
            "depends-on-unchecked",
            file(
                service(image, more, "a"),
                service("x:1", f"depends_on: {{a: {{condition: service_healthy{also}}}}}", "b"),
            ),
        )
        for image, more, also in (
            (WEBUI, "restart: always", ""),
            (LLAMA, "restart: always", ""),
            ("some/thing:1", "restart: always", ""),
            ("ollama/ollama:0.12.6", "build: .", ""),
            ("ollama/ollama:0.12.6", "extends: {file: o.yaml, service: o}", ""),
            ("ollama/ollama:0.12.6", "restart: always", ", required: false"),
            ("postgres:17", "healthcheck: {test: pg_isready}", ""),
        )
    ),
    ("depends-on-unchecked", file(service("ollama/ollama:0.12.6"), service(WEBUI, name="b"))),
    ("webui-ollama-nowhere", file(service(WEBUI), service("ollama/ollama:0.12.0", "", "ollama"))),
    ("webui-ollama-nowhere", webui("environment: [OLLAMA_BASE_URL=http://box.lan:11434]")),
    ("port-open", vllm("ports: ['127.0.0.1:8000:8000', '[::1]:8000:8000']")),
    ("port-open", vllm("ports: ['192.168.1.5:8000:8000']")),
    ("port-open", vllm("ports: ['${BIND}:8000:8000']")),
    ("port-open", vllm("expose: [8000]")),
    ("port-open", vllm("ports: [[1], null]")),
    ("vllm-memory-share", vllm("entrypoint: [x]\ncommand: m --gpu-memory-utilization 1.0")),
    ("port-open", file(service("traefik:v3.5", "ports: ['80:80', '443:443']"))),
    (
        "vllm-no-reasoning-parser",
        file(service(OLD_VLLM, "command: --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")),
    ),
    ("port-twice", file(service("x:1", "ports: ['53:53/tcp', '53:53/udp']"))),
    ("network-host", file(service("prom/node-exporter:v1.9.0", "network_mode: host"))),
    ("network-host", llama("network_mode: host\ncommand: -m /m.gguf --host 127.0.0.1")),
    ("listens-inside-only", llama("network_mode: host\ncommand: -m /m.gguf --host 127.0.0.1")),
    (
        "docker-socket",
        file(service("traefik:v3.5", "volumes: [/var/run/docker.sock:/var/run/docker.sock]")),
    ),
    ("no-healthcheck", file(service("postgres:17"))),
    ("healthcheck-wrong", vllm("healthcheck: {test: curl -sf http://localhost:8000/health}")),
    (
        "healthcheck-wrong",
        vllm("command: m --port ${P}\nhealthcheck: {test: curl -f http://localhost:1/}"),
    ),
    (
        "healthcheck-wrong",
        llama("healthcheck: {test: 'curl -s http://localhost:8080/health | grep ok'}"),
    ),
    ("healthcheck-impatient", vllm("healthcheck: {test: 'x', interval: 10s, retries: 60}")),
    ("healthcheck-impatient", vllm("healthcheck: {test: 'x', start_period: '${P}'}")),
    (
        "depends-on-started",
        beside("command: m", "depends_on: {engine: {condition: service_healthy}}"),
    ),
    ("depends-on-nobody", "include: [other.yaml]\n" + beside("command: m", "depends_on: [x]")),
    ("weights-not-kept", vllm("command: /models/m\nvolumes: ['./models:/models']")),
    (
        "weights-not-kept",
        vllm("command: a/b\nvolumes: ['~/.cache/huggingface:/root/.cache/huggingface']"),
    ),
    ("weights-not-kept", vllm("command: a/b\nuser: '2000:0'\nvolumes: ['hf:/home/vllm/.cache']")),
    ("weights-not-kept", vllm("command: a/b\nenvironment: [HF_HOME=/hf]\nvolumes: ['hf:/hf']")),
    ("weights-not-kept", vllm("command: a/b --download-dir /m\nvolumes: ['m:/m']")),
    ("chats-not-kept", webui("volumes: ['./d:/app/backend/data']")),
    ("chats-not-kept", webui("volumes: [{type: volume, source: d, target: /app/backend/data/}]")),
    ("volume-undeclared", webui("volumes: ['${DATA}:/app/backend/data']")),
    ("data-hidden", webui("volumes: ['./data:/app/backend/data']")),
    ("model-not-mounted", llama("command: -m /models/a.gguf\nvolumes: ['${DIR}:/models:ro']")),
    ("secret-in-plain-text", webui("environment: [OPENAI_API_KEY=EMPTY]")),
    ("secret-in-plain-text", webui("environment: [OPENAI_API_KEY=sk-no-key-required]")),
    ("secret-in-plain-text", vllm("environment: {HF_TOKEN: '${HF_TOKEN}', A: $HF_TOKEN}")),
    ("secret-in-plain-text", vllm("environment: {HF_TOKEN: '${HF_TOKEN:?set it}'}")),
    ("secret-in-plain-text", file(service("x:1", "environment: {PASSWORD_FILE: /run/secrets/p}"))),
    ("secret-in-plain-text", file(service("x:1", "environment: {DB_PASSWORD: /run/secrets/p}"))),
    (
        "secret-in-plain-text",
        file(service("x:1", "environment: {JWT_EXPIRES_IN: 4w, MAX_TOKENS: 512}")),
    ),
    (
        "secret-in-plain-text",
        file(service("x:1", "environment: {ENABLE_API_KEYS: true, AUTH: token}")),
    ),
    ("secret-in-plain-text", file(service("x:1", "environment: {URL: 'http://user@host/'}"))),
    (
        "speed-impossible",
        "# RTX 3060: 200 tokens/s with Q4_K_M\n" + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
    ),
    (
        "speed-impossible",
        "# RTX 3060: 200 tokens/s in total, 4 users\n"
        + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
    ),
    (
        "speed-impossible",
        "# RTX 4090: 200 tokens/s\n" + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
    ),
    (
        "licence-wrong",
        "# SPDX-License-Identifier: Apache-2.0\n"
        + vllm("command: deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
    ),
    ("licence-wrong", "# model: Apache-2.0\n" + vllm("command: Qwen/Qwen2.5-1.5B-Instruct")),
    ("cuda-claimed", "# no CUDA 11 here\n" + vllm()),
    ("command-number", vllm("command: [m, --port, '8000', yes, on]")),
    ("flag-with-value", vllm("command: [m, --served-model-name, 'my model']")),
    ("quotes-in-value", webui("environment:\n  WEBUI_NAME: '\"mine\"'")),
    ("no-restart", vllm("deploy: {restart_policy: {condition: any}}")),
    ("no-restart", vllm('restart: "no"')),
    ("no-restart", file(service("busybox:1"))),
]


@pytest.mark.parametrize(("rule", "text"), RIGHT)
def test_it_is_left_alone(rule: str, text: str) -> None:
    result = linted(text)
    assert result.fault is None
    assert rule in {one.id for one in RULES}
    assert [f.message for f in result.findings if f.rule == rule] == []


def test_what_is_gone_is_what_failed_starts_are_diagnosed_with() -> None:
    assert set(gone.VLLM) == set(GONE)
    assert {
        flag: " ".join(words) for flag, words in gone.LLAMA_CPP.items() if flag in REPLACED
    } == (REPLACED)


def test_vllm_itself_has_neither_what_is_gone_nor_lacks_what_is_proposed() -> None:
    record = Path(__file__).parent / "records/vllm-0.32-flags.txt"
    flags = {line for line in record.read_text().splitlines() if line.startswith("-")}
    assert set(gone.VLLM) & flags == set()
    said = " ".join((*gone.VLLM.values(), *(rule.fix for rule in RULES if rule.about == "vLLM")))
    assert set(re.findall(r"`(--[\w-]+)", said)) <= flags


def test_a_part_for_another_file_is_not_told_what_it_lacks() -> None:
    assert linted("services:\n  a:\n    environment: [X=y]\n").findings == ()


def test_an_anchor_is_told_once_with_all_its_services() -> None:
    text = """\
    x-web: &web
      image: ghcr.io/open-webui/open-webui:main
      restart: always
    services:
      one:
        <<: *web
      two:
        <<: [*web]
    """
    findings = [f for f in linted(textwrap.dedent(text)).findings if f.rule == "image-floating-tag"]
    assert [(f.line, f.service, f.also) for f in findings] == [(2, "one", ("two",))]


def test_to_wait_for_a_check_that_nobody_makes_is_an_error() -> None:
    waits = "depends_on: {engine: {condition: service_healthy}}"
    for frontend, severity in ((waits, "error"), ("restart: always", "warning")):
        found = linted(beside("command: m", frontend)).findings
        (finding,) = (f for f in found if f.rule == "no-healthcheck" and f.service == "engine")
        assert finding.severity == severity


@pytest.mark.parametrize(
    ("rule", "text", "line"),
    [
        (
            "image-floating-tag",
            file(service("ghcr.io/ggerganov/llama.cpp:server")),
            "    image: ghcr.io/ggml-org/llama.cpp:server-b11434",
        ),
        (
            "image-floating-tag",
            file(service("mine/llama.cpp:server-cuda", name="llm")),
            '    image: "mine/llama.cpp:${LLM_VERSION:?the release to run, not latest}"',
        ),
        (
            "port-open",
            webui("ports: ['7860:7860']"),
            '    ports: ["127.0.0.1:7860:8080"]',
        ),
        (
            "llama-context-shared",
            file(service(OLD_LLAMA, "command: -m /m.gguf -np 2 -c 2048")),
            "    command: -m /m.gguf -np 2 -c 4096",
        ),
        (
            "vllm-serve-doubled",
            file(service(OLD_VLLM, "command: vllm serve a/b --port 8000")),
            "    command: --model a/b --port 8000",
        ),
        (
            "vllm-serve-doubled",
            file(service(OLD_VLLM, "command: [vllm, serve, a/b]")),
            '    command: ["--model", a/b]',
        ),
        (
            "vllm-serve-doubled",
            file(
                service(OLD_VLLM, "command: [python3, -m, vllm.entrypoints.openai, --model, a/b]")
            ),
            '    command: ["--model", a/b]',
        ),
        (
            "image-floating-tag",
            file(service("some/thing", name="3d-viewer")),
            '    image: "some/thing:${_3D_VIEWER_VERSION:?the release to run, not latest}"',
        ),
        (
            "port-open",
            "x-port: &p '8000:8000'\n" + vllm("ports:\n  - *p"),
            'x-port: &p "127.0.0.1:8000:8000"',
        ),
        (
            "speed-impossible",
            "# runs at 200 tok/s on an RTX 3060\n" + vllm("command: Qwen/Qwen2.5-1.5B-Instruct"),
            "# runs at 116 tokens/s at most on an RTX 3060",
        ),
        (
            "cuda-claimed",
            "# CUDA >= 11.8, or CUDA Toolkit 11.8\n" + vllm(),
            "# NVIDIA driver 580 or newer, or NVIDIA driver 580 or newer",
        ),
    ],
)
def test_what_is_proposed_holds_by_itself(rule: str, text: str, line: str) -> None:
    (finding,) = (f for f in linted(text).findings if f.rule == rule)
    assert finding.corrected is not None
    assert [one for part in finding.corrected for one in part.corrected] == [line]


def test_two_names_for_one_variable_become_one() -> None:
    text = webui("environment:\n  - DEFAULT_MODEL=m\n  - MODEL=m")
    found = [f for f in linted(text).findings if f.rule == "webui-variable-unknown"]
    assert [f.corrected and f.corrected[0].corrected for f in found] == [
        ("      - DEFAULT_MODELS=m",),
        (),
    ]


def test_an_old_release_is_told_its_model_with_a_flag() -> None:
    text = file(service(OLD_VLLM, "environment: [MODEL=a/b]"))
    (finding,) = (f for f in linted(text).findings if f.rule == "model-env-ignored")
    lines = corrected(text.encode(), finding).decode()
    assert '    command:\n      - "--model"\n      - a/b\n' in lines


@pytest.mark.parametrize(("tag", "path"), [("v0.12.4", "ready"), ("v0.6.5", "health/db")])
def test_a_healthcheck_asks_what_the_release_has(tag: str, path: str) -> None:
    text = file(service(f"ghcr.io/open-webui/open-webui:{tag}"))
    (finding,) = (f for f in linted(text).findings if f.rule == "no-healthcheck")
    assert f"http://127.0.0.1:8080/{path}'" in corrected(text.encode(), finding).decode()


def test_the_vllm_that_refuses_tools_is_the_one_that_is_asked() -> None:
    text = file(
        service(VLLM, "command: m", "one"),
        service(VLLM, "command: m", "two"),
        service(WEBUI, "environment: {OPENAI_API_BASE_URL: 'http://two:8000/v1'}", "ui"),
    )
    (finding,) = (f for f in linted(text).findings if f.rule == "webui-tools-refused")
    assert "two without" in finding.message


def test_the_keys_of_several_engines_are_given_in_their_order() -> None:
    text = file(
        service(VLLM, "command: m", "open"),
        service(VLLM, "command: m\nenvironment: {VLLM_API_KEY: '${MINE:?}'}", "keyed"),
        service(
            WEBUI,
            "environment:\n  OPENAI_API_BASE_URLS: http://open:8000/v1;http://keyed:8000/v1",
            "ui",
        ),
    )
    (finding,) = (f for f in linted(text).findings if f.rule == "webui-key-missing")
    assert 'OPENAI_API_KEYS: "none;${MINE:?}"' in corrected(text.encode(), finding).decode()


def test_a_list_of_keys_stays_one_variable_and_its_form_is_said() -> None:
    text = webui("environment:\n  - OPENAI_API_KEYS=none;sk-3f9a7c1e5b2d4860")
    (finding,) = (f for f in linted(text).findings if f.rule == "secret-in-plain-text")
    assert "with `;` between them" in finding.message
    assert finding.corrected is not None
    assert finding.corrected[0].corrected == (
        '      - "OPENAI_API_KEYS=${OPENAI_API_KEYS:?put it into .env}"',
    )
    assert "3f9a7c1e5b2d4860" not in str(linted(text))


@pytest.mark.parametrize(
    ("image", "test"),
    [
        ("ollama/ollama:0.12.6", '["CMD", "ollama", "list"]'),
        ("postgres:17", "pg_isready -h 127.0.0.1 -U $${POSTGRES_USER:-postgres}"),
        ("redis:7.4", '["CMD", "redis-cli", "ping"]'),
        ("valkey/valkey:8.1", '["CMD", "valkey-cli", "ping"]'),
        (VLLM, "http://127.0.0.1:8000/health"),
        (LLAMA, "http://127.0.0.1:8080/health"),
    ],
)
@pytest.mark.parametrize(
    "depends",
    ["depends_on: [a]", "depends_on:\n  a:\n    condition: service_started"],
    ids=["list", "map"],
)
def test_to_wait_longer_comes_with_the_healthcheck_it_needs(
    image: str, test: str, depends: str
) -> None:
    if "service_started" in depends and image.startswith(("postgres", "redis", "valkey")):
        return  # of these the shorter wait is nobody's mistake
    text = file(service(image, "restart: always"), service("x:1", depends, "b"))
    (finding,) = (f for f in linted(text).findings if f.rule == "depends-on-started")
    made = corrected(text.encode(), finding).decode()
    assert test in made
    assert "condition: service_healthy" in made
    after = {f.rule for f in linted(made).findings}
    assert after & {"depends-on-started", "depends-on-unchecked", "no-healthcheck"} == set()


def test_nobody_is_told_to_wait_for_a_check_that_is_not_known() -> None:
    depends = "depends_on: [a]"
    for image, more in (
        ("some/thing:1", "restart: always"),
        ("redis:7", "command: redis-server --port 7000"),
        ("ollama/ollama:0.12.6", "healthcheck: {disable: true}"),
    ):
        text = file(service(image, more), service("x:1", depends, "b"))
        (finding,) = (f for f in linted(text).findings if f.rule == "depends-on-started")
        assert finding.corrected is None
        assert "give a one first" in finding.message
    text = file(
        service("some/thing:1"),
        service("postgres:17", "restart: always", "db"),
        service("x:1", "depends_on: [a, db]", "b"),
    )
    (finding,) = (f for f in linted(text).findings if f.rule == "depends-on-started")
    lines = corrected(text.encode(), finding).decode()
    assert "      a:\n        condition: service_started\n" in lines
    assert "      db:\n        condition: service_healthy\n" in lines


def test_no_lines_are_given_where_two_would_be_of_one_line() -> None:
    text = "services: {a: {image: 'ollama/ollama:0.12.6'}, b: {image: 'x:1', depends_on: {a: {}}}}"
    (finding,) = (f for f in linted(text).findings if f.rule == "depends-on-started")
    assert finding.corrected is None


def test_an_engine_that_is_switched_off_and_waited_for_is_an_error() -> None:
    waits = "depends_on: {engine: {condition: service_healthy}}"
    found = linted(beside("healthcheck: {disable: true}", waits, kind=LLAMA)).findings
    (finding,) = (f for f in found if f.rule == "no-healthcheck" and f.service == "engine")
    assert finding.severity == "error"


def test_a_base_that_is_wrong_is_told_so() -> None:
    text = file(service(VLLM, "command: m --swap-space 4", "base"), "  a: {extends: base}\n")
    assert "vllm-flag-gone" in {f.rule for f in linted(text).findings}


@pytest.mark.parametrize("value", ["5", "nginx", "[x]", ""])
def test_a_service_that_is_no_map_is_a_fault_on_its_line(value: str) -> None:
    fault = linted(f"services:\n  a: {{image: x}}\n  b: {value}\n").fault
    assert fault is not None
    assert "`b` is no map" in fault.message
    assert fault.where == "compose.yaml:3"
    assert fault.hint


def test_a_service_may_be_merged_reset_or_left_to_another_file() -> None:
    assert linted("x-s: &s {a: {image: x}}\nservices: {<<: *s, b: !reset null}").fault is None
    base, override = lint_all(
        [("a.yaml", b"services: {a: {image: x}}"), ("b.yaml", b"services:\n  a:\n")]
    )
    assert (base.fault, override.fault) == (None, None)


def test_a_correction_that_leaves_nothing_of_a_service_gives_no_lines() -> None:
    (finding,) = linted("services:\n  a:\n    privileged: true\n").findings
    assert finding.corrected is None


@pytest.mark.parametrize("text", ["services: &a\n  a: *a\n", "a: &a {}\nservices: &a\n  b: [*a]\n"])
def test_an_alias_inside_its_own_anchor_is_said_to_be_that(text: str) -> None:
    fault = linted(text).fault
    assert fault is not None
    assert "`*a` stands inside the very value that its anchor names." in fault.message
