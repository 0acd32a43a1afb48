"""The snippets for CI services: YAML that reads as meant, and only options that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from deployctl.cli import app
from tests.yamltext import parsed

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/ci.md"
SNIPPETS = {name: ROOT / f"docs/ci/{name}.yml" for name in ("github-actions", "gitlab-ci")}


def read(name: str) -> Any:
    return parsed(SNIPPETS[name].read_text(encoding="utf-8"))


def shell(name: str) -> list[str]:
    """Every line that a job of the snippet has a shell run."""
    if name == "github-actions":
        steps = read(name)["jobs"]["smoke"]["steps"]
        return [line for step in steps for line in step.get("run", "").splitlines()]
    job = read(name)["smoke"]
    return [*job["before_script"], *job["script"]]


def used(text: str) -> list[tuple[str, str]]:
    """Each (command, option) of deployctl in a text."""
    commands = re.findall(r"(?m)(?:^|[`\s])deployctl ([a-z]+)((?: +[^\s`]+)*)", text)
    return [(name, option) for name, rest in commands for option in re.findall(r"--[a-z-]+", rest)]


def options() -> dict[str, set[str]]:
    """Each command's options, from the command line itself."""
    commands: dict[str, Any] = typer.main.get_command(app()).commands  # type: ignore[attr-defined]
    return {
        name: {word for parameter in command.params for word in parameter.opts}
        for name, command in commands.items()
    }


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs_a_smoke_test_and_keeps_what_it_says(name: str) -> None:
    lines = shell(name)
    assert all(isinstance(line, str) for line in lines)
    (smoke,) = (line for line in lines if line.startswith("deployctl smoke "))
    assert "--junit smoke.xml --artifacts smoke-artifacts" in smoke
    kept = SNIPPETS[name].read_text(encoding="utf-8").partition("deployctl smoke ")[2]
    assert "smoke.xml" in kept.split("\n", 3)[3]
    assert "smoke-artifacts" in kept.split("\n", 3)[3]


@pytest.mark.parametrize("name", SNIPPETS)
def test_docker_is_used_only_once_it_was_set_up(name: str) -> None:
    lines = shell(name)
    first = next(n for n, line in enumerate(lines) if re.search(r"\bdocker (?!info)", line))
    assert next(n for n, line in enumerate(lines) if "deployctl setup" in line) < first


@pytest.mark.parametrize("path", [*SNIPPETS.values(), GUIDE], ids=lambda path: path.name)
def test_only_options_that_exist_are_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\n          --", " --")
    known = options()
    found = used(text)
    assert found
    assert [pair for pair in found if pair[1] not in known.get(pair[0], set())] == []


def test_the_guide_names_every_option_of_smoke() -> None:
    table = GUIDE.read_text(encoding="utf-8").partition("| option |")[2].partition("\n\n")[0]
    named = set(re.findall(r"--[a-z]+", table))
    assert named == {o for o in options()["smoke"] if o.startswith("--")} - {"--quiet", "--debug"}


def test_what_is_cached_is_what_the_job_uses() -> None:
    job = read("gitlab-ci")["smoke"]
    home = job["variables"]["DEPLOYCTL_HOME"].removeprefix("$CI_PROJECT_DIR/")
    assert job["cache"][0]["paths"] == [f"{home}/models/"]
    for cache in job["cache"]:
        assert all((ROOT / file).is_file() for file in cache["key"]["files"])
    steps = read("github-actions")["jobs"]["smoke"]["steps"]
    home_line = next(step["run"] for step in steps if "DEPLOYCTL_HOME" in step.get("run", ""))
    assert "$RUNNER_TEMP/deployctl" in home_line
    models = next(s["with"] for s in steps if "Model files" in s.get("name", ""))
    assert models["path"] == "${{ runner.temp }}/deployctl/models"
    for step in steps:
        for pattern in re.findall(r"'([^']+)'", step.get("with", {}).get("key", "")):
            assert list(ROOT.glob(pattern.removesuffix("/**"))), pattern
