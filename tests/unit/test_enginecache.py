"""Which folder of the engine's cache a stack has, and which others stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deployctl.commands import inside
from deployctl.deploy import enginecache
from deployctl.deploy.down import down
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.world import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def bring_up(box: Box, *sets: str, profile: str = "smoke-vllm") -> str | None:
    """Bring a stack up; the folder that its engine got."""
    box.http.served_name = "smollm2-135m"
    up(box.world(), UpRequest(stack="s", selection=Selection(profile=profile, sets=sets)))
    env = (box.home / "stacks/s/.env").read_text(encoding="utf-8")
    lines = dict(line.split("=", 1) for line in env.splitlines())
    found = lines.get("DEPLOYCTL_ENGINE_CACHE")
    return found.strip("'\"") if found else None


def kept(box: Box) -> tuple[str, ...]:
    manifest = Workspace(box.home, "s").manifest()
    assert manifest is not None
    return manifest.engine_caches


def test_an_engine_that_compiles_nothing_has_none(box: Box) -> None:
    assert bring_up(box, profile="smoke") is None
    assert kept(box) == ()


def test_the_same_image_and_model_find_theirs_again_whatever_the_flags(box: Box) -> None:
    first = bring_up(box)
    assert first is not None
    assert first.startswith("/cache/")
    assert bring_up(box, "concurrency=4") == first
    assert kept(box) == (first.removeprefix("/cache/"),)


def test_the_folders_of_this_stack_and_of_the_one_before_stay(box: Box) -> None:
    folders = []
    for identity in ("1", "2", "3", "2"):
        box.weights.identity = identity
        place = bring_up(box)
        assert place is not None
        folders.append(place.removeprefix("/cache/"))
    assert len(set(folders)) == 3
    assert folders[3] == folders[1]
    assert kept(box) == (folders[3], folders[2])
    box.weights.identity = "4"
    box.http.engine_ready = False
    with pytest.raises(DeployctlError):  # one that never answers keeps nobody's place
        bring_up(box)
    box.http.engine_ready = True
    bring_up(box)
    assert kept(box)[1] == folders[3]
    pruned = [c.argv[-1] for c in box.runner.commands if c.label == "remove stale engine caches"]
    assert f"{folders[2]}|{folders[1]}" in pruned[2]
    assert f"{folders[3]}|{folders[2]}" in pruned[3]


def test_a_stack_that_has_not_changed_is_not_cleared(box: Box) -> None:
    bring_up(box)
    before = len(box.runner.commands)
    bring_up(box)
    assert len(box.runner.commands) == before


def test_what_is_cleared_is_what_is_not_kept(tmp_path: Path) -> None:
    for name in ("aa", "bb", "cc", "with space"):
        (tmp_path / name).mkdir()
    script = enginecache.script(str(tmp_path), ("aa", "cc"))
    subprocess.run(inside("x", script, label="").argv[3:], check=True, timeout=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa", "cc"]


def test_a_cache_alone_is_no_data_that_has_lost_its_secrets(box: Box) -> None:
    box.docker.kept_volumes = ("s_engine-cache",)
    bring_up(box)
    (box.home / "stacks/s/secrets.json").unlink()
    (box.home / "stacks/s/manifest.json").unlink()
    box.docker.kept_volumes = ("s_engine-cache", "s_webui-data")
    with pytest.raises(DeployctlError) as refused:
        bring_up(box)
    assert refused.value.faults[0].code == "secrets-lost"


def test_down_with_its_volumes_takes_a_cache_that_nobody_knows(box: Box) -> None:
    box.docker.kept_volumes = ("s_engine-cache",)
    assert down(box.world("down"), "s", volumes=True).kept_volumes == ()
