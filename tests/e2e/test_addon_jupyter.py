"""Jupyter in a stack: its notebook runs, its work stays, strangers stay out, code stays in."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e import machine, outside
from tests.e2e.attempts import NONE, attempt
from tests.e2e.conftest import COLD_PATIENCE_S
from tests.e2e.product import Outcome, Stack

ROOT = Path(__file__).parents[2]
STARTER = json.loads((ROOT / "templates/jupyter/start.ipynb").read_text(encoding="utf-8"))

#: Runs a notebook as it lies in the volume, with the kernel of the image; prints each code cell's
#: outputs by the cell's id. A cell that fails ends it.
EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300).execute()
code = (cell for cell in notebook.cells if cell.cell_type == "code")
print(json.dumps({cell.id: cell.outputs for cell in code}))
"""

OPEN_DOOR = """\
services:
  jupyter: {command: ["sh", "start.sh", "--IdentityProvider.token="]}
"""

WORK = "/home/jovyan/work"


@dataclass(frozen=True, kw_only=True)
class Jupyter:
    """A stack with Jupyter beside it."""

    stack: Stack
    port: int

    def up(self, *more: str) -> Outcome:
        port = ("--set", f"addons.jupyter.port={self.port}")
        outcome = self.stack.up("--with", "jupyter", *port, *more)
        assert outcome.exit_code == 0, str(outcome)
        return outcome

    @property
    def token(self) -> str:
        return self.stack.secrets()["jupyter_token"]

    def ask(self, path: str, method: str = "GET", body: object = None) -> requests.Response:
        """One request with the token."""
        url = f"http://127.0.0.1:{self.port}{path}"
        return machine.http(method, url, token=self.token, body=body)

    def notebook(self, name: str) -> dict[str, Any]:
        answer = self.ask(f"/api/contents/{name}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()["content"]
        return content

    def inside(self, program: str, *words: str, timeout_s: float = 120) -> str:
        """Run a Python program, given as text, in the container as its own user."""
        container = self.stack.container("jupyter")["Id"]
        argv = ("exec", "--interactive", container, "python3", "-", *words)
        return machine.docker(*argv, stdin=program, timeout_s=timeout_s)

    def verify(self, *names: str) -> dict[str, str]:
        """What becomes of some checks, by name."""
        words = ("verify", "--stack", self.stack.name, "--output", "json", "--quiet")
        outcome = self.stack.product.run(*words, "--only", ",".join(names))
        return {row["name"]: row["status"] for row in outcome.envelope["data"]["checks"]}


@pytest.fixture(scope="module")
def jupyter(new_stack: Callable[[str], Stack], images: None) -> Jupyter:
    """The smoke stack with Jupyter; where its image is not there yet, it is built."""
    stack = replace(new_stack("jupyter"), patience_s=COLD_PATIENCE_S)
    found = Jupyter(stack=stack, port=machine.free_port())
    found.up()
    return found


@pytest.fixture(scope="module")
def seen(jupyter: Jupyter) -> dict[str, Any]:
    return jupyter.stack.container("jupyter")


# ── the notebook ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def said(jupyter: Jupyter) -> dict[str, str]:
    """What each code cell of the starter printed when all were run inside the stack."""
    lines = jupyter.inside(EXECUTE, f"{WORK}/start.ipynb", timeout_s=400).splitlines()
    outputs = json.loads(lines[-1])
    kinds = {output["output_type"] for cell in outputs.values() for output in cell}
    assert kinds == {"stream"}, outputs
    return {
        name: "".join(output["text"] for output in cell if output["name"] == "stdout")
        for name, cell in outputs.items()
    }


def test_every_code_cell_was_run(said: dict[str, str]) -> None:
    assert list(said) == [c["id"] for c in STARTER["cells"] if c["cell_type"] == "code"]


def test_the_environment_is_set_up_for_the_engine(jupyter: Jupyter, said: dict[str, str]) -> None:
    model = jupyter.stack.credentials()["model"]
    assert said["setup"] == (f"{model} at http://engine:8080/v1/, answers of up to 512 tokens\n")


def test_a_question_is_answered(said: dict[str, str]) -> None:
    assert re.search(r"\w+ \w+ \w+", said["chat"])


def test_a_streamed_answer_comes_in_pieces(said: dict[str, str]) -> None:
    found = re.search(r"\n\n(\d+) pieces, (\d+) tokens\n$", said["stream"])
    assert found is not None, said["stream"]
    pieces, tokens = (int(each) for each in found.groups())
    assert 1 < pieces <= tokens


def test_an_answer_follows_its_schema(said: dict[str, str]) -> None:
    value = ast.literal_eval(said["schema"].strip())
    assert set(value) == {"colour", "cans"}
    assert value["colour"] in ("red", "green", "blue")
    assert type(value["cans"]) is int


def test_the_calculator_is_called_with_what_the_model_chose(said: dict[str, str]) -> None:
    found = re.search(r"^calculate\((\{.*\})\) = (-?\d+)$", said["tool"], re.MULTILINE)
    assert found is not None, said["tool"]
    chosen = json.loads(found[1])
    a, b = chosen["a"], chosen["b"]
    results = {"add": a + b, "subtract": a - b, "multiply": a * b}
    assert int(found[2]) == results[chosen["operation"]]
    # This model's template has no place for tools, and the notebook must say what it did instead.
    assert "(no call of a tool: asked by the schema instead)" in said["tool"]


def test_it_tells_how_fast_the_answer_came(said: dict[str, str]) -> None:
    found = re.search(r"first token after ([\d.]+) s, then ([\d.]+) tokens/s", said["timing"])
    assert found is not None, said["timing"]
    assert float(found[2]) > 0


# ── who gets in, and what gets out ────────────────────────────────────────────────────────────


def test_all_of_its_checks_pass(jupyter: Jupyter) -> None:
    names = ("jupyter-answers", "jupyter-token-required", "jupyter-notebook", "jupyter-code")
    assert jupyter.verify(*names) == {**dict.fromkeys(names, "ok"), "jupyter-code": "skipped"}


@pytest.mark.parametrize("path", ["/api/contents", "/api/kernels", "/api/terminals"])
def test_who_has_no_token_or_a_wrong_one_is_refused(jupyter: Jupyter, path: str) -> None:
    url = f"http://127.0.0.1:{jupyter.port}{path}"
    for token in (None, "wrong", jupyter.token[:-1], jupyter.stack.secrets()["engine_key"]):
        assert machine.http("GET", url, token=token).status_code == 403
    assert jupyter.ask(path).status_code == 200


def test_nobody_starts_a_kernel_or_a_terminal_without_the_token(jupyter: Jupyter) -> None:
    for path in ("/api/kernels", "/api/terminals"):
        url = f"http://127.0.0.1:{jupyter.port}{path}"
        assert machine.http("POST", url, token="wrong", body={}).status_code == 403
        assert jupyter.ask(path).json() == []


def test_a_page_whose_name_leads_here_is_refused(jupyter: Jupyter) -> None:
    url = f"http://127.0.0.1:{jupyter.port}/api/status"
    own = {"Authorization": f"Bearer {jupyter.token}"}
    for host, code in (("evil.example", 403), ("192.0.2.1", 403), ("localhost", 200)):
        headers = {**own, "Host": f"{host}:{jupyter.port}", "Connection": "close"}
        assert requests.get(url, headers=headers, timeout=30).status_code == code, host


def test_the_token_is_on_no_command_line_and_in_no_log(
    jupyter: Jupyter, seen: dict[str, Any]
) -> None:
    page = f"http://127.0.0.1:{jupyter.port}/lab?token={jupyter.token}"
    assert machine.http("GET", page).status_code == 200
    exit_code, running = machine.attempt("docker", "top", seen["Id"], "-eo", "pid,args")
    assert exit_code == 0
    logged = machine.attempt("docker", "logs", seen["Id"])[1]
    assert "Jupyter Server" in logged
    for text in (running, logged, json.dumps(seen["Config"]["Labels"])):
        assert jupyter.token not in text


def test_the_container_is_kept_like_all_others(seen: dict[str, Any]) -> None:
    host = seen["HostConfig"]
    assert seen["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] == host["MemorySwap"] == 1024**3
    assert host["PidsLimit"] > 0
    bound = [place for places in host["PortBindings"].values() for place in places]
    assert [place["HostIp"] for place in bound] == ["127.0.0.1"]


def test_it_listens_at_no_other_address_of_this_machine(jupyter: Jupyter) -> None:
    assert machine.listens("127.0.0.1", jupyter.port)
    for address in machine.own_addresses():
        assert not machine.listens(address, jupyter.port), address


@pytest.fixture(scope="module")
def place() -> Iterator[outside.Outside]:
    with outside.opened() as found:
        yield found


def test_nothing_gets_out_of_it(jupyter: Jupyter, place: outside.Outside) -> None:
    tried = attempt(jupyter.stack, place, "jupyter")
    assert tried.reached == NONE
    assert tried.arrived == []


# ── what stays ────────────────────────────────────────────────────────────────────────────────


def test_work_outlives_down_and_up_and_the_starter_is_not_laid_over_it(jupyter: Jupyter) -> None:
    edited = {**STARTER, "cells": STARTER["cells"][:2]}
    for name in ("start.ipynb", "own.ipynb"):
        body = {"type": "notebook", "format": "json", "content": edited}
        assert jupyter.ask(f"/api/contents/{name}", "PUT", body).status_code in (200, 201)
    before = {name: jupyter.notebook(name) for name in ("start.ipynb", "own.ipynb")}
    token = jupyter.token
    assert jupyter.stack.down().exit_code == 0
    assert f"{jupyter.stack.name}_jupyter-data" in machine.volume_names(jupyter.stack.name)
    jupyter.up()
    assert {name: jupyter.notebook(name) for name in before} == before
    assert len(before["start.ipynb"]["cells"]) == 2
    assert jupyter.token == token


def test_a_removed_starter_comes_back_when_jupyter_starts(jupyter: Jupyter) -> None:
    assert jupyter.ask("/api/contents/start.ipynb", "DELETE").status_code == 204
    assert jupyter.verify("jupyter-notebook") == {"jupyter-notebook": "warning"}
    machine.docker("restart", jupyter.stack.container("jupyter")["Id"])
    machine.eventually(
        lambda: jupyter.stack.container("jupyter")["State"]["Health"]["Status"] == "healthy",
        within_s=60,
        what="jupyter healthy",
    )
    cells = jupyter.notebook("start.ipynb")["cells"]
    assert [cell["id"] for cell in cells] == [cell["id"] for cell in STARTER["cells"]]


# ── the chat window's code ────────────────────────────────────────────────────────────────────


def run_code(jupyter: Jupyter, code: str) -> requests.Response:
    """What the chat window's page asks when somebody presses Run."""
    url = f"{jupyter.stack.webui}/api/v1/utils/code/execute"
    token = jupyter.stack.sign_in()
    return machine.http("POST", url, token=token, body={"code": code}, timeout_s=90)


def engines(jupyter: Jupyter) -> tuple[str, str]:
    """(what runs code that a person starts, what runs a model's) by the chat window's word."""
    url = f"{jupyter.stack.webui}/api/config"
    told = machine.http("GET", url, token=jupyter.stack.sign_in()).json()["code"]
    return told["engine"], told["interpreter_engine"]


def test_the_chat_window_runs_no_code_here_unless_asked(jupyter: Jupyter) -> None:
    environment = jupyter.stack.container("webui")["Config"]["Env"]
    assert not [line for line in environment if line.startswith(("CODE_", "ENABLE_CODE"))]
    assert engines(jupyter) == ("pyodide", "pyodide")
    assert run_code(jupyter, "print(1)").status_code == 400


@pytest.fixture(scope="module")
def interpreter(jupyter: Jupyter) -> Jupyter:
    jupyter.up("--set", "addons.jupyter.code_interpreter=true")
    return jupyter


def test_the_chat_window_runs_code_in_jupyter_when_asked(interpreter: Jupyter) -> None:
    assert engines(interpreter) == ("jupyter", "jupyter")
    where = interpreter.stack.container("jupyter")["Config"]["Hostname"]
    answer = run_code(
        interpreter, "import os, numpy\nprint(int(numpy.arange(7).sum()), os.uname().nodename)\n6*7"
    )
    assert answer.json() == {"stdout": f"21 {where}", "stderr": "", "result": "42"}


def test_code_that_fails_says_why(interpreter: Jupyter) -> None:
    assert "ZeroDivisionError" in run_code(interpreter, "1 / 0").json()["stderr"]


def test_the_chat_windows_kernels_end_with_their_code(interpreter: Jupyter) -> None:
    run_code(interpreter, "print(1)")
    assert interpreter.ask("/api/kernels").json() == []


def test_verify_has_code_run(interpreter: Jupyter) -> None:
    assert interpreter.verify("jupyter-code") == {"jupyter-code": "ok"}


# ── what an operator may break ────────────────────────────────────────────────────────────────


@pytest.fixture
def open_door(jupyter: Jupyter) -> Iterator[Jupyter]:
    """As an operator opens it who does not like tokens; put right afterwards."""
    jupyter.stack.override.write_text(OPEN_DOOR, encoding="utf-8")
    jupyter.up()
    yield jupyter
    jupyter.stack.override.unlink()
    jupyter.up()


def test_verify_says_so_where_anybody_gets_in(open_door: Jupyter) -> None:
    url = f"http://127.0.0.1:{open_door.port}/api/kernels"
    assert machine.http("GET", url).status_code == 200
    assert open_door.verify("jupyter-token-required") == {"jupyter-token-required": "failed"}


def test_without_it_the_rest_goes_on_and_its_work_is_kept(jupyter: Jupyter) -> None:
    before = jupyter.stack.identity()["engine"]
    outcome = jupyter.stack.up()
    assert outcome.exit_code == 0, str(outcome)
    stack = jupyter.stack.name
    services = machine.of_project(
        "container", stack, "--filter", "label=com.docker.compose.service=jupyter"
    )
    assert services == []
    assert jupyter.stack.identity()["engine"] == before
    assert f"{stack}_jupyter-data" in machine.volume_names(stack)
    assert jupyter.stack.down("--volumes").exit_code == 0
    assert machine.volume_names(stack) == []
