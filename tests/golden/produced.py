"""Every checked-in file that is made from the code, and how. One list for test and update."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from deployctl.addons import NAMES
from deployctl.amounts import gib
from deployctl.catalog import Catalog
from deployctl.diagnosis.containers import ENDS, End, code_of
from deployctl.diagnosis.diagnose import SIGNS
from deployctl.diagnosis.questions import QUESTIONS
from deployctl.errors import CODES, ExitCode
from deployctl.lint.rules import RULES
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.schema import json_schema, model_json_schema
from deployctl.profiles.selection import Selection
from deployctl.render import folders, render, variables_of
from deployctl.sizing import need
from tests.golden.sixgb import with_numbers

ROOT = Path(__file__).parents[2]

#: Profiles whose stack is kept with every add-on too: each engine, and one with a card.
WITH_ADDONS = ("smoke", "smoke-vllm", "rtx3060")

#: Screens: file name → arguments. Only what is the same on every machine.
SCREENS = {
    "help": ["--help"],
    "help-setup": ["setup", "--help"],
    "help-detect": ["detect", "--help"],
    "help-recommend": ["recommend", "--help"],
    "help-plan": ["plan", "--help"],
    "help-render": ["render", "--help"],
    "help-profile": ["profile", "--help"],
    "help-up": ["up", "--help"],
    "help-status": ["status", "--help"],
    "help-metrics": ["metrics", "--help"],
    "help-watch": ["watch", "--help"],
    "help-reconcile": ["reconcile", "--help"],
    "help-verify": ["verify", "--help"],
    "help-bench": ["bench", "--help"],
    "help-compare": ["compare", "--help"],
    "help-smoke": ["smoke", "--help"],
    "help-tune": ["tune", "--help"],
    "help-doctor": ["doctor", "--help"],
    "help-report": ["report", "--help"],
    "help-open": ["open", "--help"],
    "help-chat": ["chat", "--help"],
    "help-eval": ["eval", "--help"],
    "help-eval-math": ["eval", "math", "--help"],
    "help-logs": ["logs", "--help"],
    "help-down": ["down", "--help"],
    "help-lint-compose": ["lint-compose", "--help"],
    "error-usage": ["up", "--profil", "smoke"],
    "error-profile-unknown": ["up", "--profile", "smok"],
    "error-set-unit": ["up", "--profile", "smoke", "--set", "engine.memory=12"],
    "error-set-key": ["up", "--profile", "smoke", "--set", "model.contxt=4096"],
    "error-profile-unknown-json": ["up", "--profile", "smok", "--output", "json"],
}


def produced() -> dict[Path, str]:
    """Return path → text of every produced file."""
    catalog = Catalog({"HOME": "/nonexistent"})
    files = {
        ROOT / "profiles/profile.schema.json": json_schema(),
        ROOT / "profiles/model.schema.json": model_json_schema(),
    }
    variables: dict[str, str] = {}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in catalog.shipped_names():
        plan = build_plan(resolve(Selection(profile=name), catalog.readers()))
        for file in render(plan, catalog.templates_dir).files:
            place = f"{name}.yaml" if file.name == "compose.yaml" else file.name
            files[ROOT / "compose" / place] = file.text
        variables |= dict(variables_of(plan))
        readme = _with_figures(readme, name, plan)
    for name in WITH_ADDONS:
        made, more = _with_addons(catalog, name)
        files |= made
        variables |= more
    files[ROOT / "README.md"] = readme
    files[ROOT / "compose/example.env"] = _example_env(variables)
    files[ROOT / "docs/errors.md"] = _errors()
    files[ROOT / "docs/profiles.md"] = _with_keys()
    files[ROOT / "docs/lint-compose.md"] = _with_rules()
    files[ROOT / "docs/fit.md"] = with_numbers((ROOT / "docs/fit.md").read_text("utf-8"))
    return files


def _with_addons(catalog: Catalog, name: str) -> tuple[dict[Path, str], dict[str, str]]:
    """The stack of a profile with every add-on, in a folder of its own: it mounts many files."""
    plan = build_plan(resolve(Selection(profile=name, addons=NAMES), catalog.readers()))
    folder = ROOT / "compose/addons" / name
    files = {folder / file.name: file.text for file in render(plan, catalog.templates_dir).files}
    # Docker makes none of what is missing: the folders are to be there.
    files |= {folder / name / ".gitkeep": "" for name in folders(plan)}
    return files, dict(variables_of(plan))


def _with_figures(readme: str, name: str, plan: Plan) -> str:
    """Put what a profile takes of card and memory into the last two cells of its row."""
    assert plan.load is not None
    parts = (*need(plan.load), *plan.beside)
    card, memory = (sum(p.bytes for p in parts if p.place == place) for place in ("gpu", "ram"))
    cells = f"| {gib(card)} | {gib(memory)} |" if card else f"| | {gib(memory)} |"
    row = rf"(?m)^(\| `{re.escape(name)}` \|.*?)\|[^|\n]*\|[^|\n]*\|$"
    return re.sub(row, lambda found: found[1] + cells, readme)


def _with_keys() -> str:
    """Put the schema's own words into the table of keys of the guide."""
    schema = json.loads(json_schema())
    text = (ROOT / "docs/profiles.md").read_text(encoding="utf-8")
    head, rule = "| key | meaning |\n|---|---|\n", re.compile(r"(?:\| `[^\n]*\n)+")
    before, found, rest = text.partition(head)
    assert found
    return before + head + rule.sub("\n".join(_keys(schema, schema)) + "\n", rest, count=1)


_BASIS = {
    "run": "seen at a running program",
    "source": "read in the program's source",
    "docs": "public documentation or reports",
    "computed": "computed from published figures",
}


def _with_rules() -> str:
    """Put every rule of the linter below the line of its guide that says so."""
    text = (ROOT / "docs/lint-compose.md").read_text(encoding="utf-8")
    head, mark, _ = text.partition("<!-- Made from deployctl/lint by `make golden`. -->\n")
    assert mark
    lines = [head + mark]
    for about in dict.fromkeys(rule.about for rule in RULES):
        lines.append(f"## {about}\n")
        for rule in (rule for rule in RULES if rule.about == about):
            lines += [
                f"### {rule.id}\n",
                f"*{rule.severity}; {_BASIS[rule.basis]}.*\n",
                f"- **Found:** {rule.what}.",
                f"- **Why:** {rule.why}",
                f"- **Instead:** {rule.fix}.\n",
            ]
    return "\n".join(lines)


def _keys(block: dict[str, Any], schema: dict[str, Any], above: str = "") -> list[str]:
    rows = []
    for key, field in block["properties"].items():
        rows.append(f"| `{above}{key}` | {field['description']} |")
        for place in (field, *field.get("anyOf", [])):
            if "$ref" in place:
                inner = schema["$defs"][place["$ref"].rpartition("/")[2]]
                rows += _keys(inner, schema, f"{above}{key}.")
    return rows


def screen(arguments: list[str]) -> str:
    """Return what a command line prints and its exit code, in a bare environment.

    How long a phase took is the machine's, not the screen's: it is kept as ``#.# s``, in
    JSON as ``#.#``.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "COLUMNS": "100",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "deployctl", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd="/",
        timeout=60,
    )
    said = re.sub(r"(?m)(?<=\s)\d+\.\d s(?=  |$)", "#.# s", f"{done.stdout}{done.stderr}")
    said = re.sub(r'(?m)("seconds": )\d+\.\d+(?=}$)', r"\1#.#", said)
    return f"{said}exit code {done.returncode}\n"


def _example_env(variables: dict[str, str]) -> str:
    """What must be given, and as comments what has a default in the file of each stack."""
    lines = [
        "# What the stacks in this folder leave open. To use one without deployctl, here:",
        "#",
        "#   cp example.env .env   # and give each a value: nothing starts without. Those of",
        "#                         # Grafana and Jupyter are for the stacks in addons/ alone",
        "#   docker compose -f smoke.yaml run --rm --no-deps --user 0:0 --cap-add CHOWN \\",
        "#     --entrypoint sh webui -c 'touch data/.own && chown -R 10001:10001 data'",
        "#   docker compose -f smoke.yaml up -d",
        "#",
        "# The model file is looked for in ./models. The second line is needed once: the image of",
        "# the registry keeps its data folder for root, and nothing here runs as root.",
        "",
    ]
    lines += [f"{name}=" for name, value in sorted(variables.items()) if not value]
    lines += [
        "",
        "# These have defaults; DEPLOYCTL_MODEL is another file in each stack. llama.cpp takes -1",
        "# as DEPLOYCTL_THREADS, all that there are; vLLM's stacks need a number.",
    ]
    lines += [f"# {name}={value}" for name, value in sorted(variables.items()) if value]
    return "\n".join(lines) + "\n"


_WHO_FIXES = {
    ExitCode.OK: "done, or nothing to do",
    ExitCode.BUG: "a bug of ours: report it",
    ExitCode.USAGE: "the command line: see --help",
    ExitCode.PROFILE: "the profile or `--set`: edit it",
    ExitCode.PREFLIGHT: "this machine cannot run the plan: change the machine or the plan",
    ExitCode.APPLY: "something failed while applying: read the details",
    ExitCode.NOT_READY: "started, but not ready or not well: read the logs",
    ExitCode.INTERRUPTED: "interrupted: the next `up` goes on from there",
}


def _errors() -> str:
    lines = [
        "# Errors and exit codes",
        "",
        "<!-- Made from deployctl/errors.py and deployctl/diagnosis by `make golden`. -->",
        "",
        "Every failure has a code that stays the same between releases, says what is wrong and",
        "where, and ends with the next command to type. With `--output json` the same is in",
        "`errors[]`: `code`, `message`, `where`, `hint`, `details`.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in _WHO_FIXES.items()),
        "",
        "| error code | exit code | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {int(exit_)} | {meaning} |" for code, (exit_, meaning) in CODES.items()),
        *_texts(),
        *_questions(),
    ]
    return "\n".join(lines) + "\n"


_ABOUT = {
    "docker": "Docker",
    "llama.cpp": "llama.cpp",
    "vllm": "vLLM",
    "engine": "Cards, either engine",
    "webui": "Open WebUI",
}


def _texts() -> list[str]:
    """The tables of what is recognised, one for each who says it."""
    lines = [
        "",
        "## What is recognised",
        "",
        "When something does not start or stops, what Docker, the engine and the frontend said is",
        "searched for these texts. The nearest to the cause is reported: its code, the cause in a",
        "sentence, the lines that show it, and the whole command to type. Of a container that was",
        "started several times only the last start counts; of one that has served, only what can",
        "end a service that serves, near the end: what its users did wrong days ago explains no",
        "`docker kill`. What is not recognised is called unknown, with its last 30 lines.",
    ]
    head = ["", "| what is seen | code | cause | way out |", "|---|---|---|---|"]
    for about in dict.fromkeys(sign.about for sign in SIGNS):
        rows = (sign for sign in SIGNS if sign.about == about)
        lines += ["", f"### {_ABOUT[about]}", *head]
        lines += [_row(f"`{s.seen}`", s.code, s.cause, s.way_out) for s in rows]
    lines += ["", "### How a container ended", *head]
    lines += [_row(end.seen, _both(end), end.cause, end.way_out) for end in ENDS]
    return lines


def _both(end: End) -> str:
    """The code of an end of the engine, and of the frontend where it has one of its own."""
    return "`, `".join(dict.fromkeys(code_of(end, engine=engine) for engine in (True, False)))


def _row(seen: str, code: str, cause: str, way_out: str) -> str:
    cells = (seen, f"`{code}`", cause, way_out)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _questions() -> list[str]:
    """What people ask when nothing has failed, or not with a code."""
    lines = ["", "## Troubleshooting", "", "| what is seen | why | what to type |", "|---|---|---|"]
    for question in QUESTIONS:
        commands = "<br>".join(f"`{command}`" for command in question.commands)
        lines.append(
            f"| {question.seen} | {question.why} | {commands.replace('|', chr(92) + '|')} |"
        )
    return lines
