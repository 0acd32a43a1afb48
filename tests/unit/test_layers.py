"""The house's layer rules, held by reading the import statements."""

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "deployctl"

PURE = [
    "errors.py",
    "model.py",
    "outcomes.py",
    "secret.py",
    "sources.py",
    "gguf",
    "cli/retyped.py",
    "chattemplate.py",
    "hfconfig.py",
    "modelfacts.py",
    "weights/safetensors.py",
    "weights/places.py",
    "hardware.py",
    "cards.py",
    "sizing",
    "tuning",
    "bench",
    "planner.py",
    "deadlines.py",
    "silence.py",
    "fitting.py",
    "preflight.py",
    "suits.py",
    "choice.py",
    "changes.py",
    "moved.py",
    "causes.py",
    "drift.py",
    "vitals.py",
    "oncard.py",
    "metrics.py",
    "prometheus.py",
    "counters.py",
    "amounts.py",
    "trouble.py",
    "commands.py",
    "revive.py",
    "yamlsafe.py",
    "render.py",
    "reach.py",
    "talk.py",
    "versions.py",
    "visible.py",
    "reply.py",
    "recorder.py",
    "provision/model.py",
    "provision/apt.py",
    "provision/advice.py",
    "provision/packages.py",
    "provision/plan.py",
    "provision/refusals.py",
    "profiles",
    "engines",
    "services",
    "addons",
    "diagnosis",
    "lint",
    "redact.py",
    "deploy/others.py",
    "junit.py",
    *(f"verify/{name}.py" for name in ("nouns", "wanted", "ask", "registry", "answers", "egress")),
    *(f"verify/{name}.py" for name in ("engine", "exposure", "frontend", "gpu", "hardening")),
    *(f"verify/{name}.py" for name in ("keys", "memory", "tools", "chats", "alive")),
    *(f"evals/{name}.py" for name in ("nouns", "dataset", "questions", "reading", "marking")),
    *(f"evals/{name}.py" for name in ("figures", "sets", "settings")),
    *(f"verify/addons/{name}.py" for name in ("jupyter", "monitoring", "cache")),
    "secretshapes.py",
    *(
        f"doctor/{name}.py"
        for name in ("nouns", "results", "judge", "daemon", "room", "network", "outside")
    ),
    *(f"doctor/{name}.py" for name in ("system", "graphics", "state", "confinement")),
]
FORBIDDEN_IN_PURE = {"subprocess", "docker", "requests", "typer", "rich", "time", "os", "socket"}


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


@functools.cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def files(names: list[str]) -> list[Path]:
    return [
        f
        for name in names
        for f in (
            [PACKAGE / name] if name.endswith(".py") else sorted((PACKAGE / name).rglob("*.py"))
        )
    ]


@pytest.mark.parametrize("path", files(PURE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_pure_modules_touch_nothing(path: Path) -> None:
    assert imports(path) & FORBIDDEN_IN_PURE == set()


@pytest.mark.parametrize(
    ("module", "only_in"),
    [
        ("subprocess", {"runner.py"}),
        ("docker", {"dockerd.py"}),
        ("typer", {"cli"}),
        ("rich", {"cli"}),
    ],
)
def test_some_modules_belong_to_one_place(module: str, only_in: set[str]) -> None:
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if module in imports(path)
    }
    assert users <= only_in


def test_only_the_console_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        calls = [
            node
            for node in nodes(path)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not calls, path


@pytest.mark.parametrize("path", files(PURE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_pure_modules_know_no_recipe(path: Path) -> None:
    """What decides is not to know who asks: ``deploy/`` uses it, never the other way round."""
    tree = ast.parse(path.read_text())
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    for_types = {
        inside
        for block in blocks
        if getattr(block.test, "id", "") == "TYPE_CHECKING"
        for inside in ast.walk(block)
    }
    names = {
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node not in for_types
    }
    assert not [name for name in names if name.startswith(("deployctl.deploy", "deployctl.cli"))]


def test_recipes_open_no_file_and_no_process() -> None:
    """But for those whose work is a file of the stack's folder, and ``render``."""
    calls = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "unlink", "rmtree"}
    touching = {
        path.name
        for path in (PACKAGE / "deploy").glob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in calls
    }
    assert touching <= {"render.py", "lastwords.py", "refused.py"}


def test_the_architecture_names_every_room() -> None:
    text = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    table = text.partition("| module |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name.strip().strip("`").rstrip("/") for row in rows for name in row.split(",")}
    rooms = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    rooms |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - named == set()
    assert {name for name in named if name.endswith(".py") and "/" not in name} - rooms == set()


def test_errors_imports_nothing_of_ours() -> None:
    assert "deployctl" not in imports(PACKAGE / "errors.py")
