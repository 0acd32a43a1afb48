"""``tune`` on the real smoke profile: measured, written, taken by ``up``, and nothing left."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.product import Outcome, Stack

TUNED = "deployctl-tune"


@pytest.fixture
def tuning(new_stack: Callable[[str], Stack], images: None) -> Iterator[Stack]:
    """Ports for the search's own stack, which has to be gone in the end."""
    stack = new_stack("tune")
    yield stack
    left = Stack(
        product=stack.product,
        name=TUNED,
        webui_port=stack.webui_port,
        engine_port=stack.engine_port,
    )
    assert left.leftovers() == {"containers": [], "networks": [], "volumes": []}
    assert not left.folder.exists()


def tune(stack: Stack, mine: Path, overlay: Path) -> Outcome:
    ports = (f"ports.webui={stack.webui_port}", f"ports.engine={stack.engine_port}")
    sets = (word for each in ports for word in ("--set", each))
    return stack.product.run(
        *("tune", "--profile", "smoke", "--overlay", str(mine), *sets),
        *("--goal", "throughput", "--streams", "4", "--budget", "75s"),
        *("--write", str(overlay), "--output", "json"),
        patience_s=400,
    )


def test_what_is_found_is_measured_and_up_takes_it(tuning: Stack, tmp_path: Path) -> None:
    mine, overlay = tmp_path / "mine.yaml", tmp_path / "tuned.yaml"
    mine.write_text("concurrency: 1\n")  # so that there is something to be found
    report = tune(tuning, mine, overlay).data
    first = report["tried"][0]
    assert (first["changes"], first["verdict"]) == ([], "as it is")
    assert first["outcome"]["level"]["streams"] == 4
    turned = {"concurrency", "engine.cpus", "engine.batch", "engine.kv_type"}
    for each in report["tried"]:
        assert each["verdict"]
        assert {key for key, _ in each["changes"]} <= turned
    again = tune(tuning, mine, tmp_path / "again.yaml").data
    assert again["on_record"] >= len(report["tried"])
    assert again["journal"] == report["journal"]
    # Whether more at once is better here is the machine's to say; both ends are an answer.
    assert (report["overlay"] is None) == (report["settings"] == [])
    if report["overlay"] is None:
        assert report["found"]["why"]
        assert not overlay.exists()
        return
    assert report["command"].endswith(f"--overlay {mine} --overlay {overlay}" + _ports(tuning))
    written = yaml.safe_load(overlay.read_text())
    for key, value in report["settings"]:
        block, _, name = key.rpartition(".")
        assert (written[block] if block else written)[name] == value
    words = shlex.split(report["command"])
    assert words[0] == "deployctl"
    up = tuning.product.run(*words[1:], "--stack", tuning.name, "--output", "json")
    assert up.data["profile"] == "smoke"


def _ports(stack: Stack) -> str:
    return f" --set ports.webui={stack.webui_port} --set ports.engine={stack.engine_port}"
