"""Whatever is written in a profile: it means exactly that, or it is refused with file and line."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployctl.errors import DeployctlError, ExitCode
from deployctl.profiles.resolve import Profile, resolve
from deployctl.profiles.units import (
    UnitError,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from tests.profilefiles import SHIPPED, Files

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(
    st.one_of(
        st.characters(), st.sampled_from("${}%'\"\\#:-?&*!|>@`\n\t\r \x00\x7f\x85\u2028\ud800")
    )
)
JUNK: list[Any] = [
    *(None, True, 0, -1, 12, 10**30, 1.5, float("inf"), float("nan"), "", "x", "12", "12GiB"),
    *("5 minutes", "1e999", "no", "\x00", "\x1b[31m", "x" * 5000, "${X}", "{{ x }}", "smoke"),
    *("mine", "./mine.yaml", "base/llama-cpp", "hf:a/b:c", "file:/x", "latest", [], {}, ["x"]),
    *([1, [2]], {"a": {"b": {}}}, {"kind": "llama.cpp"}, {"webui": 1, "engine": 1}),
]
PIECES = [
    *("\t", "\x00", "\x07", "\ufeff", "\u202e", "&a ", "*a", "!!x ", "<<: ", "---\n", "...\n"),
    *("{{", "{%", "${", "'", '"', "[", "{", "]", "}", ": ", "# ", "- ", "? ", "|", ">", "%", "@"),
    *("[" * 300, "{a: " * 300, "- " * 50, "\n" * 3, "\r", "  ", "no", "010", "12:30:00", "x: 1\n"),
    *("extends: mine\n", "engine:\n", "9" * 400, "名", "😀", '"\\ud800"', '"\\0"', "x" * 70000),
]


def outcome(*sets: str, **files: str | bytes) -> Profile | None:
    """The profile ``mine``, or ``None`` when it was refused the way a profile must be."""
    try:
        return resolve("mine", read=Files(**files), sets=sets)
    except DeployctlError as error:
        refusal = error
    assert refusal.exit_code is ExitCode.PROFILE
    for fault in refusal.faults:
        assert fault.where
        assert re.fullmatch(r".+:[1-9]\d*|--(set|profile) .*", fault.where)
        for text in (fault.where, fault.message, fault.hint, *fault.details):
            assert text.isprintable()
            assert len(text) < 6000
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


# ── mutations of shipped profiles ─────────────────────────────────────────────────────────────


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
        else:
            found.append((*path, key))
    return found


def mutate(data: Any, dice: random.Random) -> None:
    """One change somewhere: dropped, replaced, renamed, wrapped, moved, mangled."""
    places = paths(data)
    if not places:
        return
    *way, key = dice.choice(places)
    block = data
    for step in way:
        block = block[step]
    value = block[key]
    match dice.randrange(6):
        case 0:
            del block[key]
        case 1:
            block[key] = copy.deepcopy(dice.choice(JUNK))
        case 2 if isinstance(block, dict):
            letters = list(str(key)) or ["x"]
            letters[dice.randrange(len(letters))] = dice.choice(["", "x", "é", "_", "\x00", "."])
            block["".join(letters)] = block.pop(key)
        case 3:
            for _ in range(dice.choice([1, 3, 30])):
                value = {"a": value} if dice.random() < 0.5 else [value]
            block[key] = value
        case 4:
            data[str(dice.choice(["engine", "model", "x", key]))] = copy.deepcopy(value)
        case _:
            block[key] = f"{value}"[: dice.randrange(4)] + dice.choice(["", " ", "GB", "min", "."])


@settings(QUICK, max_examples=600)
@given(st.sampled_from(sorted(SHIPPED)), st.integers(0, 2**32), st.integers(1, 4))
def test_mutated_data(name: str, seed: int, count: int) -> None:
    dice = random.Random(seed)
    data = yaml.safe_load(SHIPPED[name])
    for _ in range(count):
        mutate(data, dice)
    outcome(mine=yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


@settings(QUICK, max_examples=600)
@given(st.sampled_from(sorted(SHIPPED)), st.integers(0, 2**32), st.integers(1, 4))
def test_mutated_text(name: str, seed: int, count: int) -> None:
    dice = random.Random(seed)
    text = SHIPPED[name].decode()
    for _ in range(count):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice([0, 0, 1, 5, 80]))
        text = text[:start] + dice.choice(["", *PIECES]) + text[end:]
    outcome(mine=text)
    outcome(mine="extends: parent\n", parent=text)


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
