"""``deployctl lint-compose`` over files of people, and over what is no file at all."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commandline import deployctl
from tests.lintfiles import CORPUS, FILES, linted
from tests.world import Box

Capture = pytest.CaptureFixture[str]
GOOD, BAD = CORPUS / "good.yaml", CORPUS / "article-vllm.yml"


def run(box: Box, capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = deployctl(box, "lint-compose", *arguments)
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def data(box: Box, capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, err = run(box, capsys, *arguments, "--output", "json")
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    assert (found["version"], found["command"], found["exit_code"]) == (1, "lint-compose", code)
    return code, found


def test_a_good_file(box: Box, capsys: Capture) -> None:
    code, out, err = run(box, capsys, str(GOOD))
    assert (code, err) == (0, "")
    assert out == f"✓ {GOOD}  2 services, nothing found\n"
    code, found = data(box, capsys, str(GOOD))
    assert (code, found["status"], found["data"]["findings"]) == (0, "ok", [])
    assert found["data"]["files"] == [{"file": str(GOOD), "services": ["vllm", "open-webui"]}]


def test_a_bad_file_with_line_reason_and_lines(box: Box, capsys: Capture) -> None:
    code, out, err = run(box, capsys, str(BAD))
    assert (code, err) == (3, "")
    assert f"✗ {BAD}:21:7 · webui · error [webui-variable-unknown]\n" in out
    assert "    21 -       VLLM_API_BASE: http://vllm:8000\n" in out
    assert '       +       OPENAI_API_BASE_URL: "http://vllm:8000/v1"\n' in out
    assert "    Why: It looks at none of them." in out
    assert out.splitlines()[-1].endswith("deployctl recommend")
    assert "hf_" not in out


def test_a_warning_alone_is_found_too(box: Box, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text("version: '3'\nservices:\n  a:\n    image: x:1\n")
    code, out, _ = run(box, capsys, str(file))
    assert code == 3
    assert out.splitlines()[-2].startswith("1 warning in 1 file.")


def test_findings_for_programs(box: Box, capsys: Capture) -> None:
    code, found = data(box, capsys, *(str(CORPUS / name) for name in FILES))
    assert (code, found["status"], found["errors"]) == (3, "failed", [])
    findings = found["data"]["findings"]
    assert len(findings) == found["data"]["errors"] + found["data"]["warnings"]
    keys = {"rule", "severity", "file", "line", "column", "service", "also", "message", "why"}
    for finding in findings:
        assert set(finding) == keys | {"shown", "corrected", "fix", "see"}
        assert finding["severity"] in ("error", "warning")
    alone = linted((CORPUS / "router.yaml").read_bytes())
    of_router = [f for f in findings if f["file"].endswith("router.yaml")]
    assert [f["rule"] for f in of_router] == [f.rule for f in alone.findings]


def test_a_part_says_what_the_other_file_leaves_out(
    box: Box, capsys: Capture, tmp_path: Path
) -> None:
    base, part = tmp_path / "compose.yaml", tmp_path / "compose.override.yaml"
    base.write_text("services:\n  ui:\n    image: ghcr.io/open-webui/open-webui:v0.12.4\n")
    part.write_text(
        "services:\n  ui:\n    restart: always\n    volumes: ['data:/app/backend/data']\n"
    )
    assert run(box, capsys, str(base))[0] == 3
    assert run(box, capsys, str(base), str(part))[0] == 0


def test_stdin(box: Box, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BAD.read_bytes())))
    code, out, _ = run(box, capsys, "-")
    assert code == 3
    assert "<stdin>:1:1" in out


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (b"", ":1", "The file is empty."),
        (b"# nothing\n", ":1", "The file is empty."),
        (b"- a\n- b\n", ":1", "a map of keys and values"),
        (b"services:\n", ":1", "holds no service"),
        (b"services: []\n", ":1", "holds no service"),
        (b"extends: smoke\n", ":1", "has no `services`"),
        (b"web:\n  image: x\n", ":1", "has no `services`"),
        (b"services:\n  a:\n   b: [1\n", ":3", "never closed"),
        (b"services:\n  a: b: c\n", ":2", "stands where no key can be"),
        (b"services:\n\ta: b\n", ":2", "A tab indents this line"),
        (b"services:\n  a: *x\n", ":2", "names no anchor"),
        (b"services: {a: {image: b}}\n---\nx: y\n", ":2", "second document"),
        (b"\x7fELF\x00\x00", ":1", "invisible character"),
        (b"caf\xe9: x\n", ":1", "is not UTF-8"),
        ("services:".encode("utf-16"), ":1", "UTF-16"),
        (b"x" * (1024 * 1024 + 1), ":1", "larger than 1024 KiB"),
        (b"? [a]\n: b\n", ":1", "A key is a plain word"),
    ],
)
def test_what_is_no_compose_file(
    box: Box, capsys: Capture, tmp_path: Path, content: bytes, where: str, words: str
) -> None:
    file = tmp_path / "c.yml"
    file.write_bytes(content)
    code, out, err = run(box, capsys, str(file))
    assert (code, out) == (3, "")
    assert words in err
    assert f"{file}{where}\n" in err
    assert "[compose-unreadable]" in err
    assert "\n  next:  " in err
    code, found = data(box, capsys, str(file))
    assert code == 3
    assert [fault["code"] for fault in found["errors"]] == ["compose-unreadable"]


def test_a_broken_line_is_shown_without_its_secret(
    box: Box, capsys: Capture, tmp_path: Path
) -> None:
    file = tmp_path / "c.yml"
    file.write_text("services:\n  a: {environment: {HF_TOKEN: hf_abcdefghijklmnop: x}}\n")
    _, _, err = run(box, capsys, str(file))
    assert "hf_abc" not in err


def test_what_is_no_file(box: Box, capsys: Capture, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    wanted = {
        str(tmp_path / "nothing.yml"): "cannot be read: No such file",
        str(tmp_path): "is a folder.",
        str(pipe): "is a named pipe",
        "/dev/zero": "is a device.",
        "\0": "it is not a file name",
    }
    for name, words in wanted.items():
        code, out, err = run(box, capsys, name)
        assert (code, out) == (3, ""), name
        assert words in err, err
    assert f"deployctl lint-compose {tmp_path}/compose.yaml" in run(box, capsys, str(tmp_path))[2]


def test_one_file_that_is_not_there_hides_no_other(box: Box, capsys: Capture) -> None:
    code, out, err = run(box, capsys, "nothing.yml", str(BAD))
    assert code == 3
    assert "nothing.yml" in err
    assert "webui-variable-unknown" in out
    code, found = data(box, capsys, "nothing.yml", str(BAD))
    assert len(found["errors"]) == 1
    assert found["data"]["findings"]


def test_no_file_named(box: Box, capsys: Capture) -> None:
    code, _, err = run(box, capsys)
    assert code == 2
    assert "deployctl lint-compose docker-compose.yml" in err


def test_the_rules(box: Box, capsys: Capture) -> None:
    code, out, _ = run(box, capsys, "--rules")
    assert code == 0
    assert "model-env-ignored  error\n" in out
    code, found = data(box, capsys, "--rules")
    assert code == 0
    rules = found["data"]["rules"]
    assert {"id", "severity", "what", "why", "fix"} <= set(rules[0])


def test_it_needs_neither_docker_nor_the_web() -> None:
    asked = (
        "import sys; from deployctl.cli import run; run(sys.argv[1:]); "
        "sys.exit(bool({'docker', 'requests', 'huggingface_hub', 'rich'} & {*sys.modules}))"
    )
    words = [sys.executable, "-c", asked, "lint-compose", str(BAD)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "webui-variable-unknown" in done.stdout
