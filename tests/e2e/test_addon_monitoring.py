"""Monitoring in a stack: every question has an answer, alerts fire, and the core never suffers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.boards import all_queries
from deployctl.addons.monitored.queries import Query
from deployctl.addons.monitored.scope import scope_of
from tests.e2e import machine
from tests.e2e.conftest import COLD_PATIENCE_S
from tests.e2e.product import Outcome, Stack
from tests.profilefiles import shipped

SCOPE = scope_of(shipped("smoke", "addons.monitoring.enabled=true").spec)

#: Of a question that is not about requests under way: the longest of its windows, and two looks.
SOON_S = 30

#: An alert's minute, the looks before and after it, and a slow machine.
FIRES_WITHIN_S = 150

#: Figures are called old after half a minute.
OLD_WITHIN_S = 60

OURS = ("prometheus", "node-exporter", "containers", "blackbox")

BROKEN = "groups:\n  - name: mine\n    rules:\n      - alert: Mine\n        expr: up ==\n"
MENDED = BROKEN.replace("up ==", "up == 2")


@dataclass(frozen=True, kw_only=True)
class Monitored:
    """A stack with Prometheus beside it, asked as a person on this machine asks it."""

    stack: Stack
    port: int

    def up(self) -> Outcome:
        port = ("--set", f"addons.monitoring.port={self.port}")
        return self.stack.up("--with", "monitoring", *port)

    def get(self, path: str) -> Any:
        answer = machine.http("GET", f"http://127.0.0.1:{self.port}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def ask(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """(labels, number) of all that a question finds; what is no number is nothing."""
        rows = self.get(f"/api/v1/query?query={quote(expr, safe='')}")["result"]
        found = [(row["metric"], float(row["value"][1])) for row in rows]
        return [(labels, value) for labels, value in found if math.isfinite(value)]

    def firing(self) -> set[str]:
        """What fires now; ALERTS is told for minutes after a new Prometheus has begun anew."""
        return {told["labels"]["alertname"] for told in self.alerts()}

    def alerts(self) -> list[dict[str, Any]]:
        return [a for a in self.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"]

    def verify(self, *names: str) -> dict[str, dict[str, Any]]:
        """What becomes of some checks, by name."""
        words = ("verify", "--stack", self.stack.name, "--output", "json", "--quiet")
        outcome = self.stack.product.run(*words, "--only", ",".join(names))
        return {row["name"]: row for row in outcome.envelope["data"]["checks"]}

    def told(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """`status`' exit code, and its checks by name."""
        outcome = self.stack.status()
        return outcome.exit_code, {row["name"]: row for row in outcome.envelope["data"]["checks"]}

    def inside(self, service: str, *words: str) -> tuple[int, str]:
        """Run a program in one of its containers, as that container's own user."""
        return machine.attempt("docker", "exec", self.stack.container(service)["Id"], *words)


@pytest.fixture(scope="module")
def monitored(new_stack: Callable[[str], Stack], images: None) -> Monitored:
    """The smoke stack with monitoring; where its image is not there yet, it is built."""
    stack = replace(new_stack("monitoring"), patience_s=COLD_PATIENCE_S)
    found = Monitored(stack=stack, port=machine.free_port())
    outcome = found.up()
    assert outcome.exit_code == 0, str(outcome)
    return found


@pytest.fixture(scope="module")
def loaded(monitored: Monitored) -> Monitored:
    """Some questions were answered, more at once than there are places for."""

    def one(number: int) -> int:
        messages = [{"role": "user", "content": f"Tell me a story about river {number % 3}."}]
        body = {"model": "smollm2-135m", "messages": messages, "max_tokens": 48}
        return monitored.stack.ask("/v1/chat/completions", body).status_code

    machine.eventually(  # else all is over before the first look, and nothing has grown
        lambda: monitored.ask("llamacpp:tokens_predicted_total"), within_s=SOON_S, what="a look"
    )
    with ThreadPoolExecutor(max_workers=4) as pool:
        assert set(pool.map(one, range(6))) == {200}
    return monitored


# ── it is there, and shut ─────────────────────────────────────────────────────────────────────


def test_grafana_has_no_packages_and_is_left_out_where_it_cannot_be_had(
    monitored: Monitored,
) -> None:
    services = {
        machine.inspect(identity)["Config"]["Labels"]["com.docker.compose.service"]
        for identity in machine.container_ids(monitored.stack.name)
    }
    assert services - {"grafana"} == {"engine", "webui", *OURS}


def test_verify_covers_it(loaded: Monitored) -> None:
    names = ("ready", "targets", "fresh", "alerts")
    found = loaded.verify("chat", *(f"monitoring-{name}" for name in names))
    assert {row["status"] for row in found.values()} <= {"ok", "warning"}, found
    assert found["monitoring-targets"]["status"] == "ok"


def test_the_engines_key_is_used_and_seen_nowhere(monitored: Monitored) -> None:
    key = monitored.stack.secrets()["engine_key"]
    said = [json.dumps(monitored.stack.container("prometheus")["Args"])]
    said += [json.dumps(monitored.get(f"/api/v1/status/{page}")) for page in ("config", "flags")]
    said += [
        path.read_text(encoding="utf-8")
        for path in monitored.stack.folder.iterdir()
        if path.is_file() and path.name not in (".env", "secrets.json", "credentials")
    ]
    assert not any(key in text for text in said)
    code, commands = monitored.inside("prometheus", "sh", "-c", "cat /proc/[0-9]*/cmdline")
    assert "/bin/prometheus" in commands, code
    assert key not in commands


def test_no_other_page_in_a_browser_may_read_it(monitored: Monitored) -> None:
    code, said = machine.attempt(
        *("curl", "-s", "--noproxy", "*", "-D", "-", "-o", "/dev/null"),
        *("-H", "Origin: http://somewhere.example"),
        f"http://127.0.0.1:{monitored.port}/api/v1/query?query=up",
    )
    assert code == 0
    assert "200 OK" in said
    assert "access-control-allow-origin" not in said.lower()


def test_nobody_changes_or_ends_it_over_http(monitored: Monitored) -> None:
    base = f"http://127.0.0.1:{monitored.port}"
    for path in ("/-/quit", "/-/reload", "/api/v1/admin/tsdb/snapshot"):
        answer = machine.http("POST", f"{base}{path}")
        assert answer.status_code >= 400
        assert re.search("not enabled|disabled", answer.text)
    assert machine.http("GET", f"{base}/-/ready").status_code == 200


# ── every question has an answer ──────────────────────────────────────────────────────────────


def named(query: Query) -> str:
    return f"{query.needs}: {query.expr[:70]}"


ANSWERED = tuple(query for query in all_queries(SCOPE) if query.needs in ("always", "traffic"))
QUIET = tuple(query for query in all_queries(SCOPE) if query.needs == "trouble")


@pytest.mark.parametrize("query", ANSWERED, ids=map(named, ANSWERED))
def test_every_question_of_a_dashboard_has_an_answer(loaded: Monitored, query: Query) -> None:
    found = machine.eventually(
        lambda: loaded.ask(query.expr), within_s=SOON_S, what=f"an answer to {query.expr}"
    )
    assert all(value >= 0 for _, value in found)


def test_what_is_not_asked_here_is_for_a_card_or_for_the_cache() -> None:
    """All there is, of every stack: nothing is left out for another reason."""
    others = {query.needs for query in all_queries(SCOPE)} - {"always", "traffic", "trouble"}
    assert others == set()
    everywhere = all_queries(replace(SCOPE, gpu=True, cache=True))
    more = {query.expr: query.needs for query in everywhere if query not in all_queries(SCOPE)}
    assert set(more.values()) <= {"gpu", "cache", "trouble"}
    assert all("nvidia_smi" in expr or "deployctl_cache" in expr for expr in more)


_WORDS = re.compile(r"[a-z_:][a-z0-9_:]*")
_INSIDE = re.compile(r"\{[^}]*\}|\[[^]]*\]|\bon ?\(\)|\boffset \d+m")
_LANGUAGE = {"unless", "and", "or", "time", "max", "avg_over_time", "increase", "absent"}


@pytest.mark.parametrize("query", QUIET, ids=map(named, QUIET))
def test_every_alert_asks_for_figures_that_exist(loaded: Monitored, query: Query) -> None:
    """It finds nothing while all is well, so what it is made of is looked for."""
    loaded.ask(query.expr)  # Prometheus understands it
    asked = set(_WORDS.findall(_INSIDE.sub(" ", query.expr))) - _LANGUAGE
    known = set(loaded.get("/api/v1/label/__name__/values"))
    assert asked
    assert asked <= known


def test_a_containers_memory_is_what_docker_says(loaded: Monitored) -> None:
    """The kernel's accounts, read from inside without Docker, and Docker's own word."""
    told = {
        labels["service"]: value
        for labels, value in loaded.ask("container_memory_working_set_bytes")
    }
    assert set(told) - {"grafana"} == {"engine", "webui", *OURS}
    identity = loaded.stack.container("engine")["Id"]
    words = ("stats", "--no-stream", "--format", "{{.MemUsage}}", identity)
    said = re.match(r"([\d.]+)MiB", machine.docker(*words))
    assert said is not None
    assert told["engine"] == pytest.approx(float(said[1]) * 1024**2, rel=0.1)


def test_the_engines_own_counters_agree_with_what_is_kept(loaded: Monitored) -> None:
    written = loaded.stack.engine_counter("llamacpp:tokens_predicted_total")
    kept = machine.eventually(
        lambda: [v for _, v in loaded.ask("llamacpp:tokens_predicted_total") if v == written],
        within_s=SOON_S,
        what="the engine's tokens",
    )
    assert kept == [written]


# ── something goes wrong ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def full(loaded: Monitored) -> Iterator[Monitored]:
    """Its disk is full. A small one of its own takes the place of Docker's."""
    stack = loaded.stack
    project, name = stack.name, f"{stack.name}_prometheus-data"
    for service in ("prometheus", "node-exporter"):
        machine.docker("rm", "--force", stack.container(service)["Id"])
    machine.docker("volume", "rm", name)
    machine.docker(
        *("volume", "create", "--opt=type=tmpfs", "--opt=device=tmpfs"),
        "--opt=o=size=16m,uid=10001,gid=10001,mode=0750",
        f"--label=com.docker.compose.project={project}",
        *("--label=com.docker.compose.volume=prometheus-data", name),
    )
    assert loaded.up().exit_code == 0
    machine.eventually(lambda: loaded.ask("up"), within_s=SOON_S, what="figures on a small disk")
    code, said = loaded.inside("prometheus", "sh", "-c", "cat /dev/zero >/prometheus/fill")
    assert code != 0
    assert "No space left on device" in said
    yield loaded
    loaded.inside("prometheus", "rm", "-f", "/prometheus/fill")


def test_a_full_disk_is_named_and_the_core_goes_on(full: Monitored) -> None:
    def fresh() -> dict[str, Any]:
        return full.verify("monitoring-fresh")["monitoring-fresh"]

    machine.eventually(
        lambda: fresh()["status"] == "failed", within_s=OLD_WITHIN_S, what="a full disk noticed"
    )
    seen = fresh()
    assert seen["summary"].startswith("the disk is full")
    assert "docker system df" in seen["hint"]
    assert full.verify("chat")["chat"]["status"] == "ok"
    code, told = full.told()
    assert (code, told["figures"]["status"]) == (0, "warning")
    assert told["figures"]["summary"].startswith("the disk is full")
    full.inside("prometheus", "rm", "-f", "/prometheus/fill")
    machine.eventually(
        lambda: fresh()["status"] == "ok", within_s=OLD_WITHIN_S, what="room made again"
    )


def test_a_broken_rule_file_changes_nothing_that_runs(loaded: Monitored) -> None:
    assert loaded.up().exit_code == 0
    before = loaded.stack.identity(), loaded.stack.container("prometheus")["Id"]
    rules = loaded.stack.folder / "rules"
    (rules / "mine.yaml").write_text(BROKEN, encoding="utf-8")
    refused = loaded.up()
    assert "mine.yaml" in json.dumps(refused.error)
    assert "parse error" in json.dumps(refused.error)
    assert refused.error["hint"]
    assert (loaded.stack.identity(), loaded.stack.container("prometheus")["Id"]) == before
    assert loaded.verify("chat")["chat"]["status"] == "ok"

    (rules / "mine.yaml").write_text(MENDED, encoding="utf-8")
    assert loaded.up().exit_code == 0
    assert loaded.stack.identity() == before[0]
    groups = machine.eventually(
        lambda: loaded.get("/api/v1/rules")["groups"], within_s=SOON_S, what="rules loaded"
    )
    assert "Mine" in {rule["name"] for group in groups for rule in group["rules"]}
    (rules / "mine.yaml").unlink()
    assert loaded.up().exit_code == 0


def test_a_stopped_engine_fires_its_alert_and_no_other_of_its_kind(loaded: Monitored) -> None:
    machine.docker("stop", "--time", "1", loaded.stack.container("engine")["Id"])
    machine.eventually(
        lambda: "EngineDown" in loaded.firing(), within_s=FIRES_WITHIN_S, what="EngineDown fires"
    )
    assert loaded.firing() & {"FrontendDown", "RestartLoop", "MemoryNearLimit"} == set()
    (told,) = (a for a in loaded.alerts() if a["labels"]["alertname"] == "EngineDown")
    assert "deployctl logs engine" in told["annotations"]["description"]
    code, checks = loaded.told()
    assert (code, checks["container engine"]["status"]) == (6, "failed")
    alert = checks["alert EngineDown"]
    assert (alert["status"], alert["where"], alert["severity"]) == ("warning", "engine", "critical")
    assert alert["same_as"] == "container engine"
    assert alert["active_s"] >= 60
    assert loaded.up().exit_code == 0
    machine.eventually(
        lambda: "EngineDown" not in loaded.firing(), within_s=SOON_S, what="EngineDown over"
    )
    code, checks = loaded.told()
    assert code == 0
    assert "alert EngineDown" not in checks


def test_a_container_that_keeps_ending_fires_its_alert(loaded: Monitored) -> None:
    """The kernel gives each start an account of its own; that is how it is noticed."""

    def restarts() -> int:
        return int(loaded.stack.container("blackbox")["RestartCount"])

    for number in range(1, 5):
        machine.eventually(
            lambda: loaded.inside("blackbox", "sh", "-c", "kill -TERM 1")[0] == 0,
            within_s=SOON_S,
            what="it was ended",
        )
        machine.eventually(
            lambda number=number: restarts() >= number,  # type: ignore[misc]
            within_s=SOON_S,
            what="it was started anew",
        )
    machine.eventually(
        lambda: "RestartLoop" in loaded.firing(), within_s=SOON_S, what="RestartLoop fires"
    )
    (told,) = (a for a in loaded.alerts() if a["labels"]["alertname"] == "RestartLoop")
    assert told["labels"]["service"] == "blackbox"


def test_every_alert_that_can_be_is_known_to_prometheus(loaded: Monitored) -> None:
    groups = loaded.get("/api/v1/rules")["groups"]
    known = {rule["name"] for group in groups for rule in group["rules"]}
    assert {alert.name for alert in alerts(SCOPE)} <= known
