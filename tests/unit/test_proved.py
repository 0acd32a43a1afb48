"""Values that come back from JSON as they were declared."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from deployctl.addons.nouns import Optional, Page
from deployctl.catalog import Catalog
from deployctl.model import Plan, Variable
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.revive import revive
from deployctl.sizing import Load, Part

NAMES: Mapping[str, Any] = {"Load": Load, "Part": Part, "Page": Page, "Optional": Optional}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    text: str | Variable
    kind: Literal["a", "b"]
    share: float
    pairs: tuple[tuple[str, int], ...]
    notes: Mapping[str, str]


NOUN = Noun(text="x", kind="a", share=1, pairs=(("a", 1),), notes={"n": "m"})


@pytest.mark.parametrize("name", Catalog({}).shipped_names())
def test_the_plan_of_every_shipped_profile_comes_back(name: str) -> None:
    plan = build_plan(resolve(Selection(profile=name), Catalog({}).readers()))
    assert revive(Plan, json.loads(json.dumps(asdict(plan))), NAMES) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"text": 3},
        {"text": {"name": 3}},
        {"kind": "c"},
        {"pairs": "ab"},
        {"pairs": [["a"]]},
        {"notes": ["n"]},
        {"more": 1},
    ],
)
def test_what_does_not_fit_its_declaration_is_refused(change: dict[str, object]) -> None:
    data = json.loads(json.dumps(asdict(NOUN)))
    assert revive(Noun, data, {}) == NOUN
    with pytest.raises((ValueError, TypeError)):
        revive(Noun, {**data, **change}, {})


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    assert revive(Variable, {"name": "N"}, {}) == Variable(name="N")


def test_a_key_that_is_missing_is_refused() -> None:
    data = asdict(NOUN)
    del data["kind"]
    with pytest.raises(ValueError, match="is no Noun"):
        revive(Noun, data, {})
