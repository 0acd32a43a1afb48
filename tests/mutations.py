"""Profiles spoiled at random, always in the same way for the same seed.

What became of one must be a plan that renders, or a refusal that a person can act on.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from deployctl.errors import DeployctlError, ExitCode
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.render import render
from tests.profilefiles import CATALOG, MODELS, SHIPPED, Files, readers
from tests.yamltext import parsed

#: Values that are not what any key wants, and some that are what some key wants.
JUNK: list[Any] = [
    *(None, True, 0, -1, 12, 10**30, 1.5, float("inf"), float("nan"), "", "x", "12", "12GiB"),
    *("5 minutes", "1e999", "no", "\x00", "\x1b[31m", "x" * 5000, "${X}", "{{ x }}", "smoke"),
    *("mine", "./mine.yaml", "base/llama-cpp", "hf:a/b:c", "file:/x", "latest", [], {}, ["x"]),
    *([1, [2]], {"a": {"b": {}}}, {"kind": "llama.cpp"}, {"webui": 1, "engine": 1}, "vllm"),
    *("lan", "all", "cuda", "vulkan", "q8_0", "8.6", "192.168.1.20", "bf16", {"memory": "6GiB"}),
]

#: Text that ends up anywhere in a file.
PIECES = [
    *("\t", "\x00", "\x07", "\ufeff", "\u202e", "&a ", "*a", "!!x ", "<<: ", "---\n", "...\n"),
    *("{{", "{%", "${", "'", '"', "[", "{", "]", "}", ": ", "# ", "- ", "? ", "|", ">", "%", "@"),
    *("[" * 300, "{a: " * 300, "- " * 50, "\n" * 3, "\r", "  ", "no", "010", "12:30:00", "x: 1\n"),
    *("extends: mine\n", "engine:\n", "9" * 400, "名", "😀", '"\\ud800"', '"\\0"', "x" * 70000),
    *("1" * (1 << 20), "x: " + "y" * (1 << 20) + "\n", "\x85", "\u2028", "0x", "~", "1e309"),
]

#: Text that any field of words may hold.
WORDS = [
    *(
        "$HOME",
        "$$",
        "a: b # c",
        "'",
        '"',
        "\\",
        "%s",
        "名前 😀",
        "é" * 50,
        "-",
        "- x",
        "[x]",
        "{x}",
    ),
    *("no", "null", "12", "1e3", "#", "&a", "*a", "!x", "|", ">", "`id`", "$(id)", "a'b\"c", "--"),
]

_UNIT = re.compile(r"([0-9]+)(B|KiB|MiB|GiB|TiB|s|m|h)")

#: Where a fault may stand.
PLACE = re.compile(r".+:[1-9]\d*|--(set|profile|model|overlay) .*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One spoiled profile with all that it is read with."""

    seed: int
    files: dict[str, str | bytes]
    models: dict[str, str | bytes] = field(default_factory=dict)
    selection: Selection = Selection(profile="mine")  # noqa: RUF009  # frozen


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a mutant: the rendered stack, or the codes of the refusal."""

    stack: str | None = None
    codes: tuple[str, ...] = ()


def mutant(seed: int) -> Mutant:
    """The mutant of this seed."""
    dice = random.Random(seed)
    name = dice.choice([known for known in sorted(SHIPPED) if not known.startswith("base/")])
    kind = dice.randrange(12)
    if kind <= 3:
        return Mutant(seed=seed, files={"mine": _data(SHIPPED[name], dice, mutate)})
    if kind <= 5:
        return Mutant(seed=seed, files={"mine": _text(SHIPPED[name].decode(), dice)})
    if kind == 6:
        return Mutant(seed=seed, files=_web(dice))
    if kind == 7:
        parent = _text(SHIPPED[name].decode(), dice)
        return Mutant(
            seed=seed, files={"mine": "extends: parent\nconcurrency: 1\n", "parent": parent}
        )
    if kind == 8:
        used = dice.choice(sorted(MODELS))
        way = _text(MODELS[used].decode(), dice) if dice.random() < 0.5 else None
        model = way or _data(MODELS[used], dice, mutate)
        files: dict[str, str | bytes] = {"mine": f"extends: {name}\nmodel: {{use: {used}}}\n"}
        return Mutant(seed=seed, files=files, models={used: model})
    if kind == 9:
        return _chosen(seed, name, dice)
    return Mutant(seed=seed, files={"mine": _data(SHIPPED[name], dice, vary)})


def outcome(spoiled: Mutant) -> Outcome:
    """What becomes of it; ``AssertionError`` with the seed when that is not what it must be."""
    try:
        return _outcome(spoiled)
    except Exception as problem:
        raise AssertionError(f"mutant {spoiled.seed}: {problem!r}") from problem


def _outcome(spoiled: Mutant) -> Outcome:
    given = readers(Files(**spoiled.files), **spoiled.models)
    try:
        profile = resolve(spoiled.selection, given)
        plan = build_plan(profile)
    except DeployctlError as error:
        check_refusal(error)
        return Outcome(codes=tuple(fault.code for fault in error.faults))
    stack = render(plan, CATALOG.templates_dir).text("compose.yaml")
    read = parsed(stack)
    assert set(read["services"]) == {"engine", "webui"}
    return Outcome(stack=stack)


def check_refusal(error: DeployctlError) -> None:
    """What every refusal owes the operator: an exit code that is right, a place, a hint."""
    assert error.exit_code in (ExitCode.PROFILE, ExitCode.USAGE, ExitCode.PREFLIGHT)
    for fault in error.faults:
        assert fault.where, fault
        assert PLACE.fullmatch(fault.where), fault.where
        assert fault.hint
        for text in (fault.where, fault.message, fault.hint, *fault.details):
            assert text.isprintable(), text
            assert len(text) < 6000


# ── kinds of mutation ─────────────────────────────────────────────────────────────────────────


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths in nested data."""
    found = [path] if path else []
    entries = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
        else:
            found.append((*path, key))
    return found


def _picked(data: Any, dice: random.Random) -> tuple[Any, Any]:
    *way, key = dice.choice(paths(data))
    block = data
    for step in way:
        block = block[step]
    return block, key


def mutate(data: Any, dice: random.Random) -> None:
    """One change somewhere: dropped, replaced, renamed, wrapped, moved, mangled."""
    if not paths(data):
        return
    block, key = _picked(data, dice)
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


def vary(data: Any, dice: random.Random) -> None:
    """One change that may well be meant: other numbers, sizes, words, intents."""
    block, key = _picked(data, dice)
    value = block[key]
    if isinstance(value, bool):
        block[key] = not value
    elif isinstance(value, int | float):
        block[key] = type(value)(value * dice.choice([0.25, 0.5, 1, 2, 3, 8]))
    elif isinstance(value, str) and (unit := _UNIT.fullmatch(value)):
        block[key] = f"{int(unit[1]) * dice.choice([1, 2, 3, 50])}{unit[2]}"
    elif key in ("description", "name", "license"):
        block[key] = dice.choice(WORDS)
    else:
        intent = [
            ("concurrency", dice.choice([1, 3, 16, 256])),
            ("egress", dice.choice(["none", "frontend", "all"])),
            ("exposure", dice.choice(["loopback", "lan"])),
            ("description", dice.choice(WORDS)),
        ]
        chosen, meant = dice.choice(intent)
        data[chosen] = meant
        engine = data.setdefault("engine", {})
        if isinstance(engine, dict) and dice.random() < 0.5:
            engine["extra_args"] = dice.sample(WORDS, 2)


def _data(content: bytes, dice: random.Random, change: Callable[[Any, random.Random], None]) -> str:
    data = parsed(content)
    for _ in range(dice.randint(1, 4)):
        change(data, dice)
    return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


def _text(text: str, dice: random.Random) -> str | bytes:
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice([0, 0, 1, 5, 80]))
        text = text[:start] + dice.choice(["", *PIECES]) + text[end:]
    match dice.randrange(12):
        case 0:
            lines = text.splitlines(keepends=True) or [""]
            return "".join([*lines, dice.choice(lines)])  # a key twice
        case 1:
            return text[: dice.randrange(len(text) + 1)]
        case 2:
            return text.encode(dice.choice(["utf-16", "latin-1", "utf-8-sig"]), "replace")
        case 3:
            return text.replace("\n", "\r\n")
        case 4:
            return ""
    return text


def _web(dice: random.Random) -> dict[str, str | bytes]:
    names = ["mine", "a", "b", "c", "d"]
    known = [*names, *sorted(SHIPPED), "nix", "./mine.yaml", "''", "[a]", "mine #"]
    return {name: f"extends: {dice.choice(known)}\n" for name in names}


def _chosen(seed: int, name: str, dice: random.Random) -> Mutant:
    keys = [
        "ports.webui",
        "model.context",
        "engine.memory",
        "concurrency",
        "model.use",
        "ports",
        "x",
    ]
    values = [*WORDS, "1", "4096", "12GiB", "{", "[1, 2]", "", "\x00", "x" * 5000, "${X}", "true"]
    sets = tuple(f"{dice.choice(keys)}={dice.choice(values)}" for _ in range(dice.randrange(4)))
    models = [
        None,
        None,
        *sorted(MODELS),
        f"{min(MODELS)}:q8_0",
        "nix",
        ":",
        "x:y:z",
        "hf:",
        *WORDS,
    ]
    files: dict[str, str | bytes] = {
        "mine": f"extends: {name}\n",
        "over": _text(f"concurrency: {dice.choice([1, 'no', '0x1'])}\n", dice),
    }
    overlays = tuple(dice.sample(["over.yaml", "./over.yaml", "gone.yaml"], dice.randrange(3)))
    selection = Selection(profile="mine", overlays=overlays, model=dice.choice(models), sets=sets)
    return Mutant(seed=seed, files=files, selection=selection)
