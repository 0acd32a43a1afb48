"""Whatever is in a file: findings or a fault with a place and a hint; and no secret is shown."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployctl.lint.interpolation import resolved
from deployctl.lint.lint import lint
from deployctl.lint.reading import read
from tests.lintfiles import FILES, content, corrected

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEYS = st.sampled_from(
    [
        *("services", "image", "command", "environment", "ports", "volumes", "healthcheck", "test"),
        *("depends_on", "deploy", "resources", "reservations", "devices", "labels", "networks"),
        *("network_mode", "MODEL", "OPENAI_API_BASE_URL", "<<", "target", "published", "host_ip"),
        *("version", "extends", "build", "mem_limit", "tmpfs", "a", "b", "privileged", "runtime"),
    ]
)
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("vllm/vllm-openai:latest", "ghcr.io/open-webui/open-webui:main", "ollama/ollama"),
            *("ghcr.io/ggml-org/llama.cpp:server-cuda", "--api-key k", "${A:-b}", "8000:8000"),
            *("$", "${", "${A:-${B:-c}}", ":", "::", "[::]:1:2", "http://localhost/v1", "MODEL=x"),
            *(
                "vllm serve m --swap-space 4",
                "'",
                '"',
                "-",
                "A='",
                "/x:",
                "C:\\x:/y",
                "service_healthy",
            ),
            *("${A:-\0}", "=", "--model=", "-m", "GTX 1660", "# 300 tok/s", "@", "x@sha256:1"),
        ]
    ),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
)
DATA = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


def checked(text: bytes) -> None:
    result = lint(text, "compose.yaml")
    lines = text.decode("utf-8", "replace").count("\n") + 1
    if result.fault is not None:
        assert result.findings == ()
        assert result.fault.hint
        assert (result.fault.where or "").startswith("compose.yaml:")
    for finding in result.findings:
        assert 1 <= finding.line <= lines
        assert finding.message
        for part in finding.corrected or ():
            assert 1 <= part.first <= part.last <= lines
        if not finding.corrected or "***" in repr(finding.corrected):
            continue  # what stands beside a secret may be masked with it
        made = corrected(text, finding)
        again = lint(made, "compose.yaml")
        assert again.fault is None, (finding, made, again.fault)


@QUICK
@given(
    st.one_of(
        st.binary(max_size=400), st.text(max_size=400).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_any_bytes(data: bytes) -> None:
    checked(data)
    checked(b"services:\n  a:\n    image: vllm/vllm-openai\n    command: " + data)


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "webui"]), st.dictionaries(KEYS, DATA, max_size=8), min_size=1
    )
)
def test_any_services(services: dict[str, object]) -> None:
    for flow in (False, True):
        checked(yaml.safe_dump({"services": services}, default_flow_style=flow).encode())


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """A file after some lines were lost, doubled, moved, cut short, or given another word."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        column = draw(st.integers(0, len(line)))
        word = draw(
            st.one_of(st.text(max_size=6), st.sampled_from(["&a ", "*a", "${", "- ", "{", "\t"]))
        )
        lines[at : at + 1] = draw(
            st.sampled_from(
                [
                    [],
                    [line, line],
                    [line[:column]],
                    [line[:column] + word + line[column:]],
                    [" " + line],
                    [line[1:]],
                    [line.partition(":")[0] + ": " + word],
                ]
            )
        )
        lines = lines or [""]
    return "\n".join(lines)


@pytest.mark.parametrize("name", FILES)
@settings(QUICK, max_examples=15)
@given(st.data())
def test_files_of_people_with_something_changed(name: str, data: st.DataObject) -> None:
    checked(data.draw(changed(content(name).decode())).encode("utf-8", "replace"))


SECRET = st.text(string.ascii_letters + string.digits + "-_+/=.$!&*#@", min_size=5, max_size=30)


@QUICK
@given(SECRET.filter(lambda text: any(map(str.isalpha, text))), st.booleans())
def test_no_secret_is_shown(secret: str, listed: bool) -> None:
    value = "zq" + secret  # nothing else in the file has it
    written = yaml.safe_dump(value.replace("$", "$$"), default_style='"', width=1000).strip()
    item = yaml.safe_dump(
        f"POSTGRES_PASSWORD={value.replace('$', '$$')}", default_style='"', width=1000
    )
    environment = f"      - {item.strip()}" if listed else f"      POSTGRES_PASSWORD: {written}"
    text = (
        "services:\n  a:\n    image: vllm/vllm-openai\n    environment:\n"
        f"{environment}\n    command: [m, --api-key, {written}]\n"
    )
    result = lint(text.encode(), "compose.yaml")
    assert result.fault is None
    assert resolved(value.replace("$", "$$")) == value
    shown = repr(result)
    assert value not in shown
    assert value.replace("$", "$$") not in shown


IN_TEXT = (
    "healthcheck: {{test: \"curl -H 'Authorization: Bearer {}' http://localhost:1/\"}}",
    'healthcheck: {{test: [CMD, curl, -H, "X-API-Key: {}", "http://localhost:1/"]}}',
    "command: [m, --password, {}]  # DB_PASSWORD: {}",
    "command: sh -c 'ADMIN_PASSWORD={} serve'  # CUDA 11.8, ADMIN_PASSWORD={}",
    "ports: ['1:1']  # CUDA 11.8 --api-key {}",
)


@QUICK
@given(
    st.text(string.ascii_letters + string.digits + "_+/=.", min_size=5, max_size=30),
    st.sampled_from(IN_TEXT),
)
def test_no_secret_inside_a_text_is_shown(secret: str, line: str) -> None:
    value = f"zq{secret}"
    text = f"services:\n  a:\n    image: vllm/vllm-openai\n    {line.format(value, value)}\n"
    result = lint(text.encode(), "compose.yaml")
    assert result.fault is None
    assert result.findings
    assert value not in repr(result)


def test_deep_and_wide_files_are_refused_or_read(tmp_path: Path) -> None:
    bomb = "a0: &a0 {x: y}\n" + "".join(
        f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
    )
    assert lint((bomb + "services: {a: {<<: *a59, image: x:1}}\n").encode(), "f").fault is None
    deep = "services: " + "[" * 5000
    assert lint(deep.encode(), "f").fault is not None
    assert lint(("services:\n" + "  a: {b: " * 3000).encode(), "f").fault is not None
    assert read(b"services: &a {a: *a}\n", "f").fault is not None
