"""``deployctl profile`` over the real catalog and a folder of the operator's own."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from deployctl.profiles.schema import json_schema
from tests.cli.commandline import deployctl
from tests.profilefiles import CATALOG, PROFILES
from tests.world import Box
from tests.yamltext import parsed

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def own(box: Box) -> Path:
    folder = box.home / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def text(box: Box, capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert deployctl(box, "profile", *arguments) == 0
    return capsys.readouterr().out


def data(box: Box, capsys: Capture, *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert deployctl(box, "profile", *arguments, "--output", "json") == code
    seen = capsys.readouterr()
    assert seen.err == ""
    found: dict[str, Any] = json.loads(seen.out)
    assert found["exit_code"] == code
    assert found["command"] == f"profile {arguments[0]}"
    return found if code else found["data"]


def refused(box: Box, capsys: Capture, *arguments: str, code: int = 3) -> str:
    capsys.readouterr()
    assert deployctl(box, "profile", *arguments) == code
    seen = capsys.readouterr()
    assert seen.out == ""
    return seen.err


# ── list ──────────────────────────────────────────────────────────────────────────────────────


def test_the_list_has_every_profile(box: Box, capsys: Capture, own: Path) -> None:
    (own / "mine.yaml").write_text("extends: smoke\ndescription: Mine.\n")
    (own / "smoke.yaml").write_text("extends: smoke\nconcurrency: 3\n")
    rows = {row["name"]: row for row in data(box, capsys, "list")["profiles"]}
    assert set(rows) == {*CATALOG.shipped_names(), "mine"}
    mine = rows["mine"]
    assert (mine["where"], mine["shadows"], mine["error"]) == ("yours", None, None)
    assert mine["description"] == "Mine."
    assert rows["smoke"]["shadows"] == "profiles/smoke.yaml"
    shipped = rows["cpu-only"]
    assert (shipped["where"], shipped["engine"], shipped["device"]) == (
        "shipped",
        "llama.cpp",
        "cpu",
    )
    assert shipped["memory_bytes"] > 1 << 30
    out = text(box, capsys, "list")
    assert all(name in out for name in rows)
    assert f"Yours: {own}" in out


def test_a_broken_profile_is_listed_with_its_error(box: Box, capsys: Capture, own: Path) -> None:
    (own / "bad.yaml").write_text("extends: smoke\nengine: {memory: 12}\n")
    (own / "dir.yaml").symlink_to(own / "nothing")
    rows = {row["name"]: row for row in data(box, capsys, "list")["profiles"]}
    assert rows["bad"]["error"]["where"] == f"{own}/bad.yaml:2"
    assert rows["smoke"]["error"] is None
    out = text(box, capsys, "list")
    assert "cannot be used: `engine.memory` is `12`. A size needs its unit." in out
    assert "next: deployctl profile check bad" in out


# ── show, explain, diff ───────────────────────────────────────────────────────────────────────


def test_what_is_shown_can_be_saved_and_checked(box: Box, capsys: Capture, own: Path) -> None:
    shown = text(box, capsys, "show", "cpu-only", "--set", "concurrency=3")
    (own / "saved.yaml").write_text(shown)
    assert text(box, capsys, "show", "saved") == shown
    assert "✓ saved" in text(box, capsys, "check", "saved")
    found = data(box, capsys, "show", "saved")
    assert found["profile"]["concurrency"] == 3
    assert found["profile"] == parsed(shown)


def test_explain_all_and_one(box: Box, capsys: Capture) -> None:
    assert "egress: none  # default\n" in text(box, capsys, "explain", "smoke")
    out = text(box, capsys, "explain", "smoke", "ports.webui", "--set", "ports.webui=8080")
    assert out.splitlines()[:3] == [
        "ports.webui: 8080",
        "  written    --set ports.webui",
        out.splitlines()[2],
    ]
    assert out.splitlines()[2].startswith("  overrides  7860  profiles/base/llama-cpp.yaml:")
    assert "  meaning    The chat window's port." in out
    found = data(box, capsys, "explain", "smoke", "ports.webui")
    assert {"path", "value", "where", "overrides", "reason", "description"} <= set(found)
    values = data(box, capsys, "explain", "smoke")["values"]
    assert {"path": "exposure", "value": "loopback", "where": "default"} in values


def test_a_block_and_what_is_not_there(box: Box, capsys: Capture) -> None:
    out = text(box, capsys, "explain", "smoke", "ports")
    assert out.startswith("ports:\n  webui: 7860  # profiles/base/llama-cpp.yaml:")
    assert "not written" in text(box, capsys, "explain", "smoke", "engine.cpus")
    err = refused(box, capsys, "explain", "smoke", "port.webui")
    assert "next:  deployctl profile explain smoke ports.webui" in err


def test_names_that_are_none_hint_at_the_same_command(box: Box, capsys: Capture) -> None:
    assert "next:  deployctl profile show smoke" in refused(box, capsys, "show", "smok")
    assert "next:  deployctl profile explain smoke" in refused(box, capsys, "explain", "smok")
    assert "next:  deployctl profile list" in refused(box, capsys, "show", "zzzzzz")
    assert "next:  deployctl profile list" in refused(box, capsys, "diff", "smoke", "zzzzzz")


@pytest.mark.parametrize(
    "arguments",
    [("explain", "auto"), ("show", "auto"), ("check", "auto"), ("new", "x", "--from", "auto")],
)
def test_auto_chooses_and_is_none(box: Box, capsys: Capture, arguments: tuple[str, ...]) -> None:
    said = refused(box, capsys, *arguments)
    assert "`auto` is not a profile itself: it chooses among the others" in said
    assert "`deployctl plan` shows its choice." in said


def test_diff(box: Box, capsys: Capture, own: Path) -> None:
    (own / "mine.yaml").write_text("extends: smoke\nports: {webui: 8080}\n")
    assert text(box, capsys, "diff", "smoke", "mine").endswith(f" → 8080 ({own}/mine.yaml:2)\n")
    assert text(box, capsys, "diff", "smoke", "smoke") == "smoke and smoke say the same.\n"
    (one,) = data(box, capsys, "diff", "smoke", "mine")["differences"]
    assert (one["path"], one["a"]["value"], one["b"]["value"]) == ("ports.webui", "7860", "8080")


# ── check, schema ─────────────────────────────────────────────────────────────────────────────


def test_every_shipped_file_passes(box: Box, capsys: Capture) -> None:
    files = sorted(map(str, PROFILES.rglob("*.yaml")))
    checked = data(box, capsys, "check", *files, "base/llama-cpp", "smoke")["checked"]
    kinds = {one["file"]: one["kind"] for one in checked}
    assert list(kinds) == [*files, "base/llama-cpp", "smoke"]
    assert kinds[str(PROFILES / "base/llama-cpp.yaml")] == kinds["base/llama-cpp"] == "part"
    assert kinds[str(PROFILES / "models/smollm2-135m-instruct.yaml")] == "model"
    assert kinds[str(PROFILES / "smoke.yaml")] == "profile"


def test_all_errors_of_all_files(box: Box, capsys: Capture, tmp_path: Path) -> None:
    bad = {
        "a.yaml": "extends: smoke\nengine:\n  memmory: 1GiB\n  memory: 12\n",
        "b.yaml": "extends: smoke\nconcurrency: 1\nconcurrency: 2\n",
        "c.yaml": "extends: ./a.yaml\n",
        "d.yaml": "extends: smoke\nengine: {extra_args: [--port, '1']}\n",
        "base/e.yaml": "engine: {kind: llama.cpp, memory: 3}\n",
        "models/f.yaml": "name: x\nsummry: words\n",
    }
    for name, content in bad.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    files = [str(tmp_path / name) for name in bad]
    found = data(box, capsys, "check", *files, "nix", str(PROFILES / "smoke.yaml"), code=3)
    wheres = [str(fault["where"]).removeprefix(f"{tmp_path}/") for fault in found["errors"]]
    assert wheres[:8] == [
        "a.yaml:3",
        "a.yaml:4",
        "b.yaml:3",
        # c.yaml inherits them: whoever reads about c.yaml alone must see it.
        "a.yaml:3",
        "a.yaml:4",
        "d.yaml:2",
        "base/e.yaml:1",
        "models/f.yaml:1",
    ]
    assert wheres[-1] == "nix"
    err = refused(box, capsys, "check", *files)
    assert "`b.yaml" not in err
    assert "Did you mean `engine.memory`?" in err
    assert "is not a key of a model. Did you mean `summary`?" in err


def test_a_child_of_a_broken_file_says_whose_fault_it_is(
    box: Box, capsys: Capture, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("extends: smoke\nengine: {memory: 12}\n")
    (tmp_path / "c.yaml").write_text("extends: ./a.yaml\n")
    err = refused(box, capsys, "check", str(tmp_path / "c.yaml"))
    assert f"where: {tmp_path}/a.yaml:2" in err
    assert f"inherited through `extends:` in {tmp_path}/c.yaml:1" in err


def test_the_schemas(box: Box, capsys: Capture) -> None:
    assert text(box, capsys, "schema") == json_schema()
    assert json.loads(text(box, capsys, "schema", "model"))["title"] == "deployctl model"
    assert data(box, capsys, "schema")["schema"]["title"] == "deployctl profile"
    refused(box, capsys, "schema", "nix", code=2)


# ── new ───────────────────────────────────────────────────────────────────────────────────────


def test_a_new_profile(box: Box, capsys: Capture) -> None:
    out = text(box, capsys, "new", "box", "--from", "cpu-only")
    folder = box.home / "profiles"
    path = folder / "box.yaml"
    assert f"Wrote {path}; it extends cpu-only" in out
    assert out.endswith("deployctl profile check box && deployctl up --profile box\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    first = path.read_text().splitlines()[0]
    schema = folder / first.partition("$schema=")[2]
    assert schema.read_text() == json_schema()
    assert text(box, capsys, "diff", "cpu-only", "box").startswith("description: ")
    assert sorted(file.name for file in folder.iterdir()) == ["box.yaml", "profile.schema.json"]


def test_nothing_is_overwritten(box: Box, capsys: Capture, own: Path) -> None:
    (own / "a.yaml").write_text("mine")
    (own / "b.yml").write_text("mine")
    (own / "c.yaml").symlink_to(own / "nowhere")
    for name in ("a", "b", "c", "a.yaml"):
        err = refused(box, capsys, "new", name, "--from", "smoke", code=2)
        assert "[profile-exists]" in err
    assert (own / "a.yaml").read_text() == "mine"
    assert not (own / "nowhere").exists()


def test_a_new_profile_of_a_shipped_name_extends_the_shipped_one(box: Box, capsys: Capture) -> None:
    out = text(box, capsys, "new", "smoke", "--from", "smoke")
    assert "From now on smoke means this file; the shipped one is still what it extends." in out
    assert "✓ smoke" in text(box, capsys, "check", "smoke")


def test_a_new_profile_that_takes_the_place_of_another_says_so(box: Box, capsys: Capture) -> None:
    out = text(box, capsys, "new", "smoke", "--from", "cpu-only")
    assert "means this file, and no longer the shipped profile" in out
    assert "still what it extends" not in out


def test_a_new_profile_from_a_file(
    box: Box, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.yaml").write_text("extends: smoke\nconcurrency: 7\n")
    monkeypatch.chdir(tmp_path)
    data(box, capsys, "new", "box", "--from", "./here.yaml")
    monkeypatch.chdir("/")
    assert data(box, capsys, "show", "box")["profile"]["concurrency"] == 7


@pytest.mark.parametrize("name", ["auto", "../x", "a b", "", "base/x", "-x", ".x"])
def test_names_that_cannot_be(box: Box, capsys: Capture, name: str) -> None:
    err = refused(box, capsys, "new", "--from", "smoke", "--", name, code=2)
    assert "next:  deployctl profile new my-box --from smoke" in err
    assert not (box.home / "profiles").exists()


def test_a_parent_that_is_none(box: Box, capsys: Capture) -> None:
    err = refused(box, capsys, "new", "x", "--from", "smok")
    assert "next:  deployctl profile new x --from smoke" in err


def test_a_folder_that_cannot_be_written(box: Box, capsys: Capture) -> None:
    (box.home / "profiles").write_text("a file")
    err = refused(box, capsys, "new", "x", "--from", "smoke", code=5)
    assert "[workspace-unwritable]" in err


def test_the_group_explains_itself(box: Box, capsys: Capture) -> None:
    assert deployctl(box, "profile", "--help") == 0
    out = capsys.readouterr().out
    assert all(
        verb in out for verb in ("list", "show", "explain", "check", "schema", "new", "diff")
    )
    assert "next:  deployctl profile --help" in refused(box, capsys, "lst", code=2)
    assert "next:  deployctl profile new --help" in refused(box, capsys, "new", "x", code=2)
