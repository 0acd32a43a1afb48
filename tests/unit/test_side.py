"""Models side by side: the table, its words, and the chart that is drawn of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from deployctl.bench.side import Side, beyond_spread, markdown, rows, verdict
from deployctl.charts import draw
from deployctl.errors import Fault
from tests.measures import SHAPE, level, measured, spread

FAULT = Fault(code="engine-oom-killed", message="The engine was killed.", hint="x")


def side(name: str, rate: float | None = None, **changes: Any) -> Side:
    values: dict[str, Any] = {
        "model": name.lower(),
        "name": name,
        "source": f"file:/{name}.gguf",
        "weights_bytes": 98_362_432,
        "kv_bytes_per_token": 23_040,
        "tool_template": False,
        "reasoning": True,
        "measured": None if rate is None else measured(rate),
    }
    return Side(**{**values, **changes})


def table(*sides: Side) -> dict[str, tuple[str, ...]]:
    return {row.label: row.cells for row in rows(sides, SHAPE)}


def test_the_table_has_what_operators_know() -> None:
    slow = side("B", 50.0)
    assert slow.measured is not None
    on_a_card = replace(slow.measured, memory_bytes=3 * 1024**3, memory_place="gpu")
    assert table(side("A", 100.0), replace(slow, measured=on_a_card)) == {
        "load time": ("1.2 s", "1.2 s"),
        "memory after load": ("191 MiB RAM", "3.00 GiB VRAM"),
        "first token, 1 stream": ("40 ms (p95 41 ms)", "80 ms (p95 82 ms)"),
        "tokens/s of one, 1 stream": (
            "100 (99.0 to 101)",
            "50.0 (49.5 to 50.5)",
        ),
        "tokens/s of all, 4 streams": (
            "300 (297 to 303)",
            "150 (148 to 152)",
        ),
        "KV cache per token": ("22.5 KiB", "22.5 KiB"),
        "weights on disk": ("98 MB", "98 MB"),
        "share of ceiling, 1 stream": ("42 %", "42 %"),
        "calls tools by its template": ("no", "no"),
        "thinks in writing": ("yes", "yes"),
    }


def test_every_row_says_how_it_is_known() -> None:
    assert bases(side("A", 1.0)) == {
        "KV cache per token": "predicted",
        "calls tools by its template": "claimed",
        "thinks in writing": "claimed",
    }


def test_what_is_in_use_of_a_card_is_said_to_be_of_all_of_it() -> None:
    on_a_card = replace(measured(1.0), memory_place="gpu")
    assert bases(side("A", measured=on_a_card))["memory after load"] == "measured, whole card"


def test_a_size_that_nobody_looked_at_is_said_to_be_claimed() -> None:
    assert bases(side("A", 1.0), side("B"))["weights on disk"] == "measured, or claimed"


def bases(*sides: Side) -> dict[str, str]:
    """How each row is known that is not simply measured."""
    return {row.label: row.basis for row in rows(sides, SHAPE) if row.basis != "measured"}


def test_what_is_not_known_is_no_number() -> None:
    unknown = {"weights_bytes": None, "kv_bytes_per_token": None, "tool_template": None}
    found = table(side("A", **unknown), side("B", 10.0))
    cells = {label: first for label, (first, _) in found.items()}
    assert cells.pop("thinks in writing") == "yes"
    assert set(cells.values()) == {"–"}
    assert table(side("A"))["weights on disk"] == ("98 MB (claimed)",)


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [(100, 103, True), (100, 101.5, False), (100, 100, False)],
)
def test_a_difference_is_one_when_it_is_larger_than_the_spread(
    first: float, second: float, differ: bool
) -> None:
    assert beyond_spread(spread(first), spread(second)) is differ
    assert beyond_spread(spread(second), spread(first)) is differ


def test_the_verdict_names_ratios() -> None:
    assert verdict([side("A", 100.0), side("B", 80.0)], SHAPE) == (
        "One answer (1 stream): A has 1.25 × as many tokens/s as B.",
        "All answers (4 streams): A has 1.25 × as many tokens/s as B.",
        "First token (1 stream): A has 0.80 × the time of B.",
        "Memory after load: B has 0.80 × the memory of A.",
    )


def test_a_models_name_stays_as_it_is() -> None:
    said = verdict([side("A", 100.0), side("all that of B", 80.0)], SHAPE)
    assert said[0].endswith("A has 1.25 × as many tokens/s as all that of B.")


def test_what_is_within_the_spread_is_no_difference() -> None:
    said = verdict([side("A", 100.0), side("B", 100.5)], SHAPE)
    assert len(said) == 4
    assert all(text.endswith(": no difference beyond the spread.") for text in said)


def test_of_three_some_may_be_alike() -> None:
    said = verdict([side("A", 100.0), side("B", 50.0), side("C", 100.5)], SHAPE)
    assert said[0] == (
        "One answer (1 stream): C has 2.01 × as many tokens/s as B; "
        "A: no difference beyond the spread."
    )


def test_one_round_tells_no_difference() -> None:
    shape = replace(SHAPE, rounds=1)
    sides = [side("A", measured=measured(100, shape=shape)), side("B", measured=measured(50))]
    assert verdict(sides, shape) == (
        "One round has no spread, so no difference in speed is told: --rounds 3.",
    )


def test_who_was_not_measured_is_named_with_the_cause() -> None:
    partial = replace(measured(90), ended="interrupted", levels=(level(1, 90.0),))
    said = verdict(
        [side("A", 100.0), side("B", fault=FAULT), side("C", measured=partial), side("D")], SHAPE
    )
    assert said == (
        "Only A was measured to the end: nothing to hold it against.",
        "B was not measured: The engine was killed.",
        "C was not measured to the end.",
        "D was not measured.",
    )
    assert table(side("C", measured=partial))["tokens/s of one, 1 stream"][0].startswith("90.0")
    assert table(side("C", measured=partial))["tokens/s of all, 4 streams"] == ("–",)


def test_markdown_is_a_table_whatever_a_model_is_called() -> None:
    text = markdown(
        [side("A|B*C", 100.0), side("<b>", 50.0)], SHAPE, asked="asked", notes=("a note",)
    )
    lines = text.splitlines()
    rows_of_it = [line for line in lines if line.startswith("|")]
    assert rows_of_it[0] == r"|  | A\|B\*C | \<b> | how known |"
    assert {line.replace(r"\|", "").count("|") for line in rows_of_it} == {5}
    assert len(rows_of_it) == 12
    assert lines[0] == "asked"
    assert lines[-1] == "- a note"


# ── the chart ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["c.png", "c.PNG"])
def test_a_png_is_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    draw([side("A", 100.0), side("B $x$", fault=FAULT)], SHAPE, title="t" * 300, path=path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(path) as image:
        assert image.size[0] == 1500
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10


def test_an_svg_has_its_words_and_is_the_same_twice(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw([side("A", 100.0), side("B", fault=FAULT)], SHAPE, title="of it", path=tmp_path / name)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
    words = {"".join(node.itertext()).strip() for node in ET.fromstring(text).iter()}
    assert {"of it", "A", "B", "tokens/s", "MiB", "not measured", "One answer, 1 stream"} <= words


def test_a_drawing_that_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match="NaN"):
        draw([side("A", float("nan"))], SHAPE, title="t", path=path)
    assert path.read_bytes() == b"earlier"


def test_a_place_that_takes_no_chart_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # any of them
        draw([side("A", 1.0)], SHAPE, title="t", path=tmp_path / "none" / "c.png")
