"""Whatever is written in a profile: it means exactly that, or it is refused with file and line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployctl.errors import DeployctlError, ExitCode
from deployctl.planner import build_plan
from deployctl.profiles.explain import shown
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.selection import Selection
from deployctl.profiles.units import (
    UnitError,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from deployctl.profiles.writing import steps
from deployctl.render import render
from tests.mutations import check_refusal, mutant
from tests.mutations import outcome as outcome_of
from tests.profilefiles import CATALOG, Files, laid, readers
from tests.yamltext import parsed

QUICK = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(
    st.one_of(
        st.characters(), st.sampled_from("${}%'\"\\#:-?&*!|>@`\n\t\r \x00\x7f\x85\u2028\ud800")
    )
)


def outcome(*sets: str, **files: str | bytes) -> Profile | None:
    """The profile ``mine``, or ``None`` when it was refused the way a profile must be."""
    try:
        return resolve(Selection(profile="mine", sets=sets), readers(Files(**files)))
    except DeployctlError as error:
        refusal = error
    assert refusal.exit_code is ExitCode.PROFILE
    check_refusal(refusal)
    return None


# ── text ──────────────────────────────────────────────────────────────────────────────────────


def mine(**fields: Any) -> dict[str, Any]:
    return {"extends": "smoke", **fields}


@QUICK
@given(TEXT, st.booleans())
@example("no", False)
@example("\x85", True)
@example("a\u2028b", False)
def test_any_text_in_a_field_means_itself(text: str, by_json: bool) -> None:
    data = mine(
        description=text,
        model={"name": text, "license": text},
        engine={"extra_args": [text]},
    )
    # Two writers of YAML: one escapes much, the other (JSON is YAML) writes most as it is.
    quoted = yaml.safe_dump(data, default_style='"')
    written = json.dumps(data, ensure_ascii=False) if by_json else quoted
    profile = outcome(mine=written)
    if profile is not None:
        spec = profile.spec
        read = (spec.description, spec.model.name, spec.model.license, spec.engine.extra_args[0])
        assert read == (text,) * 4
    else:
        assert (
            not text
            or len(text) > 200
            or re.search(
                r"\$\{|\{\{|\{%|[\x00\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text
            )
            or re.search("[\ufeff\ufffe\uffff]", text)
        )


@QUICK
@given(TEXT)
@example("file:/m/a #b: c.gguf")
@example("'")
@example("=")
@example("{a: 0}")
def test_any_text_after_set_means_itself(text: str) -> None:
    profile = outcome(f"model.name={text}", mine="extends: smoke\n")
    if profile is not None and text[:1] not in ("'", '"'):
        assert profile.spec.model.name == text


@QUICK
@given(st.lists(st.one_of(st.text(), st.tuples(TEXT, TEXT).map("=".join)), max_size=4))
def test_any_settings_are_taken_or_refused(typed: list[str]) -> None:
    outcome(*typed, mine="extends: smoke\n")


@QUICK
@given(st.one_of(st.binary(), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_a_profile_or_faults(content: bytes) -> None:
    outcome(mine=content)
    outcome(mine=b"extends: smoke\n" + content)


#: Where any line of text may stand, and is only handed on.
LINES = ["description", "model.name", "model.license", "requires.gpu.card"]
#: Where any text becomes a word of the engine's command line.
WORDS = ["model.reasoning_parser", "model.tool_parser", "engine.extra_args.0"]
VLLM = """
extends: smoke-vllm
model: {reasoning: true, reasoning_parser: a, tools: true, tool_template: true, tool_parser: b}
engine: {device: cuda}
requires: {gpu: {memory: 6GiB}}
"""


def nested(path: str, text: str) -> dict[str, Any]:
    """``a.b`` and a text as maps in maps; a number is the only item of a list."""
    head, _, rest = path.partition(".")
    if rest.isdecimal():
        return {head: [text]}
    return {head: nested(rest, text) if rest else text}


def overlaid(*overlays: dict[str, Any], below: str = VLLM) -> Profile | None:
    """``below`` with overlays over it, or ``None`` when that was refused."""
    try:
        return laid(below, *(yaml.safe_dump(data, default_style='"') for data in overlays))
    except DeployctlError:
        return None


@pytest.mark.parametrize("path", LINES + WORDS)
def test_common_words_are_taken_everywhere(path: str) -> None:
    assert overlaid(nested(path, "It's 5: $HOME # é"))


@settings(QUICK, max_examples=150)
@given(st.sampled_from(LINES + WORDS), TEXT)
@example("model.tool_parser", "$HOME ${")
@example("engine.extra_args.0", "a\nb: 'c' # \"d\" $$ \\ %s é😀")
def test_any_text_reaches_the_container_or_the_operator_unchanged(path: str, text: str) -> None:
    profile = overlaid(nested(path, text))
    if profile is None:
        return
    again = laid(shown(profile))
    value: Any = again.spec.model_dump()
    for step in steps(path):
        value = value[step]
    assert value == text
    if path in WORDS:
        plan = build_plan(profile)
        stack = parsed(render(plan, CATALOG.templates_dir).text("compose.yaml"))
        # Compose reads two dollars as one.
        words = [word.replace("$$", "$") for word in stack["services"]["engine"]["command"]]
        assert text in words


SIZES = st.integers(600, 9000).map("{}MiB".format)
BLOCKS = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text("ab ", min_size=1).map("x{}x".format),
        "concurrency": st.integers(1, 9).map(str),
        "model": st.fixed_dictionaries(
            {},
            optional={
                "context": st.integers(4096, 9000).map(str),
                "sampling": st.fixed_dictionaries({}, optional={"top_k": st.just("5")}),
            },
        ),
        "engine": st.fixed_dictionaries(
            {}, optional={"memory": SIZES, "extra_args": st.lists(st.sampled_from("abc"))}
        ),
        "ports": st.fixed_dictionaries({}, optional={"webui": st.integers(9000, 9999).map(str)}),
    },
)


def merged(below: Any, above: Any) -> Any:
    """Maps joined key by key, all else replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    joined = {key: merged(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **joined}


@settings(QUICK, max_examples=100)
@given(BLOCKS, BLOCKS, BLOCKS)
def test_overlays_can_be_joined_before_or_after(a: Any, b: Any, c: Any) -> None:
    """(profile + a + b) + c is profile + (a + b + c), whichever two are joined first."""

    def specs(*overlays: Any) -> Any:
        written = [re.sub(r'"(\d+)"', r"\1", json.dumps(one)) for one in overlays if one]
        return laid("extends: smoke\n", *written).spec

    apart = specs(a, b, c)
    assert apart == specs(merged(a, b), c)
    assert apart == specs(a, merged(b, c))
    assert apart == specs(merged(merged(a, b), c))


# ── mutations of shipped profiles ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hundred", range(10))
def test_mutants_are_refused_with_a_place_or_render(hundred: int) -> None:
    """Another thousand each time would find more; the benchmark tries ten thousand."""
    became = [outcome_of(mutant(seed)) for seed in range(hundred * 100, hundred * 100 + 100)]
    assert any(one.stack for one in became)
    assert any(one.codes for one in became)


@QUICK
@given(st.lists(st.sampled_from(["a", "b", "c", "mine", "smoke", "base/llama-cpp", "nix"])))
def test_any_web_of_parents_ends(parents: list[str]) -> None:
    names = ["mine", "a", "b", "c"]
    files = {name: f"extends: {parent}\n" for name, parent in zip(names, parents, strict=False)}
    outcome(**{"mine": "extends: smoke\n", **files})


# ── units ─────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 1 << 50))
def test_sizes_are_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(1, 365 * 24 * 3600))
def test_durations_are_written_and_read(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(
    st.one_of(
        st.text(),
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.from_regex(r"\A-?[0-9]{1,20}\.?[0-9]{0,12} ?[a-zA-Z]{0,7}\Z"),
    )
)
def test_a_suggestion_is_always_right(written: object) -> None:
    for parse in (parse_size, parse_duration):
        try:
            parse(written)
        except UnitError as problem:
            written = problem.suggestion
        assert parse(written) > 0
