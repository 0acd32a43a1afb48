"""All add-ons in one stack: together, one taken out, memory as planned, and gone again."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons import ADDONS, NAMES, SECRETS
from deployctl.verify.registry import CHECKS
from tests.e2e import machine
from tests.e2e.conftest import COLD_PATIENCE_S
from tests.e2e.product import Outcome, Stack

ROOT = Path(__file__).parents[2]

#: Runs code in a kernel that is open, as its notebook would.
ASK = """
import sys
from pathlib import Path
from jupyter_client import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir

client = BlockingKernelClient()
client.load_connection_file(str(Path(jupyter_runtime_dir()) / f"kernel-{sys.argv[1]}.json"))
client.start_channels()
client.wait_for_ready(timeout=60)
for code in sys.argv[2:]:
    content = client.execute_interactive(code, timeout=120)["content"]
    assert content["status"] == "ok", content
"""

PORTS = ("addons.jupyter.port", "addons.monitoring.port", "addons.cache.port")

CORE = ("engine", "webui")

#: Docker looks at what starts every second or two; the answer through the UI may come before.
DOCKER_LOOKS_S = 15

#: What the plan may be off, of all that the stack takes together.
TOLERANCE = 0.10


@dataclass(frozen=True, kw_only=True)
class Together:
    """A stack, and the ports of its add-ons."""

    stack: Stack
    ports: dict[str, int]
    first: Outcome

    def words(self, *addons: str) -> tuple[str, ...]:
        sets = (f"{key}={port}" for key, port in self.ports.items())
        return ("--with", ",".join(addons), *(word for text in sets for word in ("--set", text)))

    def up(self, *addons: str) -> Outcome:
        return self.stack.up(*self.words(*addons))

    def services(self) -> dict[str, str]:
        """Service → its health, as Docker has them."""
        found = map(machine.inspect, machine.container_ids(self.stack.name))
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]: each["State"]["Health"][
                "Status"
            ]
            for each in found
        }

    def verify(self) -> dict[str, Any]:
        words = ("verify", "--stack", self.stack.name, "--output", "json", "--quiet")
        outcome = self.stack.product.run(*words)
        assert outcome.exit_code == 0, str(outcome)
        return {check["name"]: check for check in outcome.data["checks"]}

    def open_notebook(self) -> None:
        """Open a kernel that stays, and ask the model from it with the starter's own cells."""
        kernels = f"http://127.0.0.1:{self.ports['addons.jupyter.port']}/api/kernels"
        token = self.stack.secrets()["jupyter_token"]
        answer = machine.http("POST", kernels, token=token, body={"name": "python3"})
        assert answer.status_code == 201, answer.text
        starter = json.loads((ROOT / "templates/jupyter/start.ipynb").read_text("utf-8"))
        cells = {cell["id"]: "".join(cell["source"]) for cell in starter["cells"]}
        container = self.stack.container("jupyter")["Id"]
        words = ("exec", "--interactive", container, "python3", "-", answer.json()["id"])
        machine.docker(*words, cells["setup"], cells["chat"], stdin=ASK)


@pytest.fixture(scope="module")
def together(new_stack: Callable[[str], Stack], images: None) -> Together:
    """The smoke stack with all of them; what has no image yet is built."""
    stack = new_stack("addons")
    ports = {key: machine.free_port() for key in PORTS}
    empty = Together(stack=stack, ports=ports, first=None)  # type: ignore[arg-type]
    words = (*stack.up_words, "--output", "json", *empty.words(*NAMES))
    first = stack.product.run(*words, patience_s=COLD_PATIENCE_S)
    assert first.exit_code == 0, str(first)
    return Together(stack=stack, ports=ports, first=first)


def test_all_of_them_are_healthy_and_what_cannot_be_had_is_told(together: Together) -> None:
    services = together.services()
    of_addons = {name: health for name, health in services.items() if name not in CORE}
    assert set(of_addons.values()) == {"healthy"}  # waited for by `up`, in Docker's own words
    machine.eventually(
        lambda: set(together.services().values()) == {"healthy"},
        within_s=DOCKER_LOOKS_S,
        what="Docker finds healthy what has answered",
    )
    assert {"jupyter", "prometheus", "cache"} <= set(together.services())
    left_out = {each["key"]: each["reason"] for each in together.first.data["adapted"]}
    if "grafana" not in together.services():
        assert "no packages can replace it" in left_out["addons.monitoring.grafana"]
        assert "without Grafana: " in together.first.stderr
    phases = [phase["name"] for phase in together.first.data["phases"]]
    assert phases[phases.index("proof") + 1 :] == [f"{addon.name} ready" for addon in ADDONS]


def test_verify_covers_each(together: Together) -> None:
    checks = together.verify()
    assert list(checks) == [check.name for check in CHECKS]
    for addon in NAMES:
        own = [checks[check.name]["status"] for check in CHECKS if check.addon == addon]
        assert "ok" in own
        assert set(own) <= {"ok", "skipped"}


def test_logs_and_open_know_them_by_name(together: Together) -> None:
    stack = together.stack
    outcome = stack.product.run("logs", "monitoring", "--tail", "1", "--stack", stack.name)
    assert outcome.exit_code == 0, str(outcome)
    # Compose begins each line with the container: prometheus-1  | …
    said = {line.split(" ")[0].rpartition("-")[0] for line in outcome.stdout.splitlines()}
    assert said == set(together.services()) - {*CORE, "jupyter", "cache"}
    quiet = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": ""}
    words = ("open", "jupyter", "--stack", stack.name, "--output", "json")
    outcome = stack.product.run(*words, env=quiet)
    assert outcome.exit_code == 0, str(outcome)
    assert (outcome.data["page"], outcome.data["addon"]) == ("Jupyter", "jupyter")
    port = together.ports["addons.jupyter.port"]
    assert outcome.data["url"].startswith(f"http://localhost:{port}/")
    assert stack.secrets()["jupyter_token"] not in outcome.stdout


def test_secrets_of_addons_are_in_one_private_file(together: Together) -> None:
    secrets = together.stack.secrets()
    assert set(SECRETS) <= set(secrets)
    sheet = (together.stack.folder / "credentials").read_text("utf-8")
    assert secrets["jupyter_token"] in sheet
    for path in together.stack.folder.rglob("*"):
        if path.is_file() and path.name not in ("secrets.json", "credentials", ".env"):
            for name in SECRETS:
                assert secrets[name] not in path.read_text("utf-8"), path


def test_the_plan_reckons_with_what_the_stack_takes(together: Together) -> None:
    """After `verify` has used every part of it, and with a notebook that has asked the model."""
    together.verify()
    together.open_notebook()
    stack = together.stack
    words = ("plan", "--profile", stack.profile, "--stack", stack.name, "--output", "json")
    plan = stack.product.run(*words, *together.words(*NAMES)).data
    parts = plan["fitting"]["parts"]
    planned = sum(part["bytes"] for part in parts if part["place"] == "ram")
    services = stack.status().data["services"]
    assert len(services) == len(together.services())
    measured = sum(service["memory_bytes"] for service in services)
    assert abs(planned / measured - 1) < TOLERANCE, (parts, services)


def test_a_port_that_is_taken_is_refused_before_anything_is_touched(together: Together) -> None:
    before = together.stack.identity()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        outcome = together.stack.up(*together.words(*NAMES), "--set", f"addons.cache.port={port}")
    assert outcome.exit_code == 4, str(outcome)
    assert outcome.error["code"] == "port-taken"
    assert f"--set addons.cache.port={port + 1}" in outcome.error["hint"]
    assert together.stack.identity() == before
    assert set(together.services().values()) == {"healthy"}


def test_taking_out_two_stops_exactly_theirs_and_keeps_their_data(together: Together) -> None:
    volumes = set(machine.volume_names(together.stack.name))
    stays = {name: together.stack.container(name)["Id"] for name in ("engine", "webui", "jupyter")}
    gone = set(together.services()) - set(stays)
    outcome = together.up("jupyter")
    assert outcome.exit_code == 0, str(outcome)
    assert set(together.services()) == set(stays)
    assert {name: together.stack.container(name)["Id"] for name in stays} == stays
    assert set(outcome.data["stopped"]) == gone
    assert set(machine.volume_names(together.stack.name)) == volumes
    kept = set(outcome.data["kept_volumes"])
    assert kept == {f"{together.stack.name}_{name}" for name in ("prometheus-data", "cache-data")}
    again = together.up("jupyter")
    assert not again.data["changed"]


def test_what_was_taken_out_comes_back_with_its_password(together: Together) -> None:
    before = together.stack.secrets()
    outcome = together.up(*NAMES)
    assert outcome.exit_code == 0, str(outcome)
    assert outcome.data["stopped"] == []
    assert together.stack.secrets() == before
    assert set(together.services().values()) == {"healthy"}


def test_down_with_volumes_leaves_nothing_also_of_what_is_off(together: Together) -> None:
    together.up("jupyter")
    assert together.stack.down("--volumes").exit_code == 0
    assert together.stack.leftovers() == {"containers": [], "networks": [], "volumes": []}
    assert not (together.stack.folder / "secrets.json").exists()
    assert json.loads(together.stack.status().stdout)["status"] != "ok"
