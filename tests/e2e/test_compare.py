"""``compare`` with two real models on a stack of its own: a table, a chart, and nothing left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.requantize import requantize
from tests.e2e.product import Outcome, Product, Stack

#: Enough to see that it measures; too little to measure anything.
SHORT = (
    *("--rounds", "1", "--streams", "1,2"),
    *("--prompt-tokens", "64", "--output-tokens", "8"),
)


@pytest.fixture(scope="module")
def other(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in another quantization, made of the file that the stack runs."""
    (small,) = (stack.product.home / "models").glob("wheel/**/SmolLM2-135M-Instruct.Q4_1.gguf")
    path = tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct.Q8_0.gguf"
    requantize(small, path, "q8_0")
    return path


@pytest.fixture
def own(new_stack: Callable[[str], Stack], images: None) -> Iterator[Stack]:
    """The name and ports of a comparison's stack. It has to be gone whatever happened to it."""
    stack = new_stack("compare")
    yield stack
    assert stack.leftovers() == {"containers": [], "networks": [], "volumes": []}
    assert not stack.folder.exists()
    assert not (stack.product.home / "trial").exists()


def words(stack: Stack, *models: str) -> tuple[str, ...]:
    _, *selection = stack.up_words
    return ("compare", *models, *selection, *SHORT)


def test_two_models_side_by_side_beside_a_running_stack(
    stack: Stack, own: Stack, other: Path, tmp_path: Path
) -> None:
    before = stack.identity()
    table, chart = tmp_path / "table.md", tmp_path / "chart.svg"
    outcome = own.product.run(
        *words(own, "smollm2", f"file:{other}"),
        *("--output", "json", "--markdown", str(table), "--chart", str(chart)),
        patience_s=300,
    )
    first, second = outcome.data["sides"]
    assert [side["fault"] for side in (first, second)] == [None, None]
    assert (first["weights_bytes"], second["weights_bytes"]) == (98362432, other.stat().st_size)
    assert first["kv_bytes_per_token"] == second["kv_bytes_per_token"] == 23_040
    for side in (first, second):
        assert side["measured"]["load_s"] > 0
        assert side["measured"]["memory_bytes"] > side["weights_bytes"]
        assert [level["streams"] for level in side["measured"]["levels"]] == [1, 2]
        for level in side["measured"]["levels"]:
            assert level["output_tokens"] == 8
            assert 0 < level["first_token_p50_s"] <= level["first_token_p95_s"]
            assert level["total_rate"]["median"] > 0
    assert second["measured"]["memory_bytes"] > first["measured"]["memory_bytes"]
    assert "| load time |" in table.read_text(encoding="utf-8")
    assert "tokens/s" in chart.read_text(encoding="utf-8")
    assert not (own.product.home / "compare").exists()
    assert stack.identity() == before
    assert stack.name in outcome.stderr  # which takes its part of the machine


def test_who_ends_it_keeps_what_was_measured_and_goes_on(own: Stack, other: Path) -> None:
    command = words(own, f"file:{other}", "smollm2")
    with own.product.start(*command, patience_s=300) as running:
        running.until("model 2 of 2")
        running.until("✓ engine ready")
        running.interrupt()
        running.interrupt()
        ended = running.finish()
    assert ended.exit_code == 130, str(ended)
    assert "Traceback" not in ended.stderr
    assert "1 of 2 models were measured to the end" in ended.stderr
    assert own.leftovers()["containers"] == []
    again = _again(own.product, command)
    assert "model 1 of 2" not in again.stderr
    assert "in a comparison that did not end" in again.stderr


def _again(product: Product, command: tuple[str, ...]) -> Outcome:
    outcome = product.run(*command, patience_s=300)
    assert outcome.exit_code == 0, str(outcome)
    return outcome


def test_the_operators_stack_is_not_touched(stack: Stack, other: Path) -> None:
    before = stack.identity()
    outcome = stack.product.run(*words(stack, "smollm2", f"file:{other}"), "--output", "json")
    assert (outcome.exit_code, outcome.error["code"]) == (2, "trial-refused"), str(outcome)
    assert stack.identity() == before


def test_a_model_that_is_not_there_is_said_before_anything(own: Stack) -> None:
    outcome = own.product.run(*words(own, "smolm2", "file:/none.gguf"), "--output", "json")
    assert outcome.exit_code != 0
    codes = [error["code"] for error in outcome.envelope["errors"]]
    assert codes == ["model-unknown", "weights-not-found"], str(outcome)
