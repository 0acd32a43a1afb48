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


#: Left are the number at once, for which the load makes all the difference, and the lossy one.
FIXED = ("engine.batch=512", "engine.cpus=null", "engine.kv_type=f16")


def words_of(stack: Stack) -> tuple[str, ...]:
    sets = (f"ports.webui={stack.webui_port}", f"ports.engine={stack.engine_port}", *FIXED)
    return tuple(word for each in sets for word in ("--set", each))


def tune(stack: Stack, mine: Path, overlay: Path, *more: str) -> Outcome:
    return stack.product.run(
        *("tune", "--profile", "smoke", "--overlay", str(mine), *words_of(stack)),
        *("--goal", "throughput", "--streams", "8", "--budget", "4m"),
        *("--write", str(overlay), "--output", "json", *more),
        patience_s=600,
    )


def test_what_is_found_is_measured_and_up_and_bench_have_it(tuning: Stack, tmp_path: Path) -> None:
    """One at a time for eight who ask: several at once are better on any machine."""
    mine, overlay = tmp_path / "mine.yaml", tmp_path / "tuned.yaml"
    mine.write_text("concurrency: 1\n")
    report = tune(tuning, mine, overlay).data
    if report["overlay"] is None:  # something else had the processors: it calls no noise a gain
        report = tune(tuning, mine, overlay, "--again").data
    first = report["tried"][0]
    assert (first["changes"], first["verdict"]) == ([], "as it is")
    assert first["outcome"]["level"]["streams"] == 8
    for each in report["tried"]:
        assert each["verdict"]
        assert {key for key, _ in each["changes"]} <= {"concurrency"}
    assert report["overlay"] == str(overlay), (report["found"], report["tried"])
    ((key, at_once),) = report["settings"]
    assert (key, at_once in (4, 6, 8)) == ("concurrency", True)
    assert overlay.read_text() == report["overlay_text"]
    assert yaml.safe_load(overlay.read_text()) == {"concurrency": at_once}
    assert report["found"]["confirmed"]["gain"]["low"] > 1

    again = tune(tuning, mine, tmp_path / "again.yaml").data
    assert again["on_record"] == len(again["tried"]) >= len(report["tried"])

    words = shlex.split(report["command"])
    over = ("--overlay", str(mine), "--overlay", str(overlay))
    assert tuple(words) == ("deployctl", "up", "--profile", "smoke", *over, *words_of(tuning))
    up = tuning.product.run(*words[1:], "--stack", tuning.name, "--output", "json")
    assert up.data["profile"] == "smoke"
    command = tuning.container("engine")["Config"]["Cmd"]
    assert command[command.index("--parallel") + 1] == str(at_once)
    bench = tuning.product.run(
        *("bench", "--stack", tuning.name, "--streams", str(at_once), "--rounds", "1"),
        *("--prompt-tokens", "64", "--output-tokens", "64", "--output", "json"),
    )
    measured = bench.data["measured"]
    (level,) = measured["levels"]
    assert (level["streams"], level["requests"]) == (at_once, at_once)
    assert measured["subject"]["concurrency"] == at_once
    # Nobody waits for another's whole answer: the last first token comes before any answer ends.
    assert level["first_token_p95_s"] < 64 * level["inter_token_p50_s"] + level["first_token_p50_s"]
