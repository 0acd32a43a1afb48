"""What `verify` says of monitoring, from what Prometheus and Grafana answer."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest

from deployctl.addons.monitored.boards import boards
from deployctl.addons.monitored.dashboards import SOURCE_UID
from deployctl.addons.monitored.scope import scope_of
from deployctl.loopback import Reply, RequestsHttp
from deployctl.secret import Secret
from deployctl.verify.addons import monitoring
from deployctl.verify.nouns import Seen, Subject
from deployctl.verify.wanted import WantedService
from tests.fakes import FakeClock
from tests.profilefiles import shipped

PASSWORD = Secret("p:a@s/s of grafana")


def reply(value: object, status: int = 200) -> Reply:
    return Reply(status=status, text=value if isinstance(value, str) else json.dumps(value))


def target(service: str, health: str = "up", error: str = "") -> dict[str, Any]:
    return {"labels": {"service": service}, "health": health, "lastError": error}


def rule(name: str, health: str = "ok", state: str = "inactive", **more: Any) -> dict[str, Any]:
    return {"type": "alerting", "name": name, "health": health, "state": state, **more}


@dataclass
class Programs:
    """Prometheus at 9090 and Grafana at 3000; a knob that is not turned is as it should be."""

    ready: Reply = field(default_factory=lambda: reply("Ready"))
    targets: list[list[dict[str, Any]]] = field(
        default_factory=lambda: [[target("engine"), target("prometheus")]]
    )
    silent_pages: list[dict[str, Any]] = field(default_factory=list)
    age: float | None = 3
    lost: int = 0
    rules: list[dict[str, Any]] = field(default_factory=lambda: [rule("EngineDown")])
    unseen: int = 0  # so many questions long no container is found
    anonymous: int = 401
    source: Reply = field(default_factory=lambda: reply({"status": "OK", "message": "well"}))
    no_boards: tuple[str, ...] = ()
    boards_after: int = 0  # so many questions for one
    password: str = PASSWORD.reveal()
    log: tuple[str, ...] = ()

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        path = re.sub(r"^http://(admin:[^@]+@)?127\.0\.0\.1:(9090|3000)", "", url)
        known = url.startswith(f"http://admin:{quote(PASSWORD.reveal(), safe='')}@")
        match path.partition("?")[0]:
            case "/-/ready":
                return self.ready
            case "/api/v1/targets":
                now = self.targets.pop(0) if len(self.targets) > 1 else self.targets[0]
                return reply({"data": {"activeTargets": now}})
            case "/api/v1/query" if "containers_listed" in path:
                return self._rows([{"value": [0, "0"]}] if self._are_unseen() else [])
            case "/api/v1/query" if "probe_success" in path:
                return self._rows(self.silent_pages)
            case "/api/v1/query":
                return self._rows([] if self.age is None else [{"value": [0, str(self.age)]}])
            case "/metrics":
                return reply(f"prometheus_tsdb_wal_writes_failed_total {self.lost}\n")
            case "/api/v1/rules":
                return reply({"data": {"groups": [{"rules": self.rules}]}})
            case "/api/health":
                return reply({"database": "ok"})
            case "/api/search":
                return reply([], self.anonymous)
            case "/api/datasources/uid/deployctl-prometheus/health":
                return self.source if known else reply({}, 401)
            case "/api/dashboards/uid/deployctl-engine" | "/api/dashboards/uid/deployctl-machine":
                there = known and path.rpartition("/")[2] not in self.no_boards
                self.boards_after -= 1
                there &= self.boards_after < 0
                return reply({"dashboard": {}}, 200 if there else 404)
            case "/login":
                assert isinstance(body, dict)
                return reply({}, 200 if body["password"] == self.password else 401)
        raise AssertionError(url)

    def _are_unseen(self) -> bool:
        self.unseen -= 1
        return self.unseen >= 0

    @staticmethod
    def _rows(rows: list[dict[str, Any]]) -> Reply:
        return reply({"data": {"result": rows}})

    def log_tail(self, _container: str, _lines: int) -> tuple[str, ...]:
        return self.log


def service(name: str, port: int) -> WantedService:
    return WantedService(
        name=name, published=(("127.0.0.1", port),), egress=False, hops=1, memory_bytes=1
    )


def look(check: str, programs: Programs, *, grafana: bool = True) -> Seen:
    """One check's word on a stack."""
    services: Mapping[str, WantedService] = {
        "prometheus": service("prometheus", 9090),
        **({"grafana": service("grafana", 3000)} if grafana else {}),
    }
    subject = SimpleNamespace(
        stack="s",
        up="deployctl up --stack s",
        wanted=SimpleNamespace(service=services.get),
        ports=SimpleNamespace(http=programs, docker=programs, clock=FakeClock()),
        container=lambda name: SimpleNamespace(state=SimpleNamespace(id=f"id-of-{name}")),
        secrets={"grafana_password": PASSWORD},
    )
    (found,) = (each for each in monitoring.CHECKS if each.name == check)
    return found.look(cast(Subject, subject))


@pytest.mark.parametrize("check", [check.name for check in monitoring.CHECKS])
def test_all_is_well(check: str) -> None:
    assert look(check, Programs()).status == "ok"


def test_every_check_belongs_to_monitoring_and_promises_something() -> None:
    for check in monitoring.CHECKS:
        assert check.addon == "monitoring"
        assert check.promise.endswith(".")


def test_prometheus_that_does_not_answer_is_said() -> None:
    seen = look("monitoring-ready", Programs(ready=Reply(status=0, text="connection refused")))
    assert (seen.status, seen.hint) == ("failed", "deployctl logs prometheus --stack s")


def test_a_target_that_is_silent_is_named_with_its_reason() -> None:
    down = [target("engine", "down", "server returned HTTP status 401"), target("prometheus")]
    seen = look("monitoring-targets", Programs(targets=[down]))
    assert seen.status == "failed"
    assert seen.summary == "1 of 2 that are looked at do not answer"
    assert seen.details == ("engine: server returned HTTP status 401",)
    assert seen.hint == "deployctl logs engine --stack s"


def test_a_page_that_does_not_answer_its_probe_is_named() -> None:
    pages = [
        {"metric": {"service": "webui", "instance": "http://webui:8080/ready"}, "value": [0, "0"]}
    ]
    seen = look("monitoring-targets", Programs(silent_pages=pages))
    assert seen.status == "failed"
    assert "webui: its page does not answer the probe" in seen.details[0]


def test_a_daemon_that_keeps_its_containers_elsewhere_is_noticed() -> None:
    seen = look("monitoring-targets", Programs(unseen=10**6))
    assert seen.status == "failed"
    assert seen.summary == "the containers are not seen"
    assert seen.details == ("containers: containers listed, none running",)
    assert seen.hint.startswith("docker info")
    assert "cgroup-parent" in seen.hint


def test_a_list_that_is_seconds_old_is_waited_for() -> None:
    assert look("monitoring-targets", Programs(unseen=3)).status == "ok"


def test_the_first_look_at_a_target_is_waited_for_and_not_forever() -> None:
    new = [target("engine", "unknown")]
    assert look("monitoring-targets", Programs(targets=[new, new, [target("engine")]])).status == (
        "ok"
    )
    seen = look("monitoring-targets", Programs(targets=[new]))
    assert (seen.status, seen.details) == ("failed", ("engine: not looked at yet",))


def test_what_has_just_come_back_is_waited_for() -> None:
    """A Prometheus that has just started looks at nothing; what it knows of others is of before."""
    down, up = [target("cache", "down")], [target("cache")]
    assert look("monitoring-targets", Programs(targets=[[], down, up])).status == "ok"


def test_a_full_disk_is_named_with_what_to_do() -> None:
    log = ("level=warn msg=started", "write /prometheus/wal/00000001: no space left on device")
    for age in (None, 120.0):
        seen = look("monitoring-fresh", Programs(age=age, lost=7, log=log))
        assert seen.status == "failed"
        assert seen.summary.startswith("the disk is full")
        assert "Engine and chat window go on" in seen.summary
        assert "docker system df" in seen.hint
        assert seen.details == log[1:]


def test_figures_that_are_old_for_another_reason_are_not_called_a_full_disk() -> None:
    seen = look("monitoring-fresh", Programs(age=120.0))
    assert seen.status == "failed"
    assert "disk" not in seen.summary


def test_a_disk_that_was_full_once_and_is_not_any_more_is_well() -> None:
    log = ("write /prometheus/wal/00000001: no space left on device",)
    assert look("monitoring-fresh", Programs(age=4.0, lost=7, log=log)).status == "ok"


def test_a_rule_that_fails_is_named() -> None:
    broken = rule("Mine", "err", lastError="many-to-many matching not allowed")
    seen = look("monitoring-alerts", Programs(rules=[rule("EngineDown"), broken]))
    assert (seen.status, seen.details) == ("failed", ("Mine: many-to-many matching not allowed",))
    assert look("monitoring-alerts", Programs(rules=[])).status == "failed"


def test_an_alert_that_fires_is_a_warning_in_its_own_words() -> None:
    said = {"annotations": {"summary": "A disk is nearly full.", "description": "See: df"}}
    fires = rule("DiskLow", state="firing", alerts=[said])
    seen = look("monitoring-alerts", Programs(rules=[rule("EngineDown"), fires]))
    assert seen.status == "warning"
    assert seen.summary == "2 alerts are watched for, and DiskLow fires"
    assert seen.details == ("DiskLow: A disk is nearly full. See: df",)


def test_a_grafana_that_shows_itself_to_strangers_fails() -> None:
    seen = look("monitoring-grafana", Programs(anonymous=200))
    assert (seen.status, seen.hint) == ("failed", "deployctl up --stack s")


def test_a_grafana_with_another_password_fails_and_says_how_to_set_it() -> None:
    seen = look("monitoring-grafana", Programs(password="of an older stack"))
    assert seen.status == "failed"
    assert "grafana cli admin reset-admin-password" in seen.hint


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        (
            Programs(source=reply({"status": "ERROR", "message": "connection refused"}, 400)),
            "the data source deployctl-prometheus: ",
        ),
        (
            Programs(source=reply({"status": "ERROR", "message": "connection refused"})),
            "the data source deployctl-prometheus: ",
        ),
        (Programs(no_boards=("deployctl-machine",)), "the dashboard deployctl-machine: HTTP 404"),
    ],
)
def test_a_grafana_that_shows_no_figures_is_named(programs: Programs, told: str) -> None:
    seen = look("monitoring-grafana", programs)
    assert seen.status == "failed"
    assert seen.summary == "Grafana takes its password, and does not show the stack's figures"
    (detail,) = seen.details
    assert detail.startswith(told)
    assert seen.hint == "deployctl logs grafana --stack s"
    assert PASSWORD.reveal() not in repr(seen)


def test_a_grafana_that_has_just_started_is_waited_for() -> None:
    assert look("monitoring-grafana", Programs(boards_after=5)).status == "ok"


def test_what_is_asked_for_is_what_grafana_is_given() -> None:
    boards_given = boards(scope_of(shipped("smoke", "addons.monitoring.enabled=true").spec))
    assert tuple(board.uid for board in boards_given) == monitoring.BOARD_UIDS
    assert monitoring.SOURCE_UID == SOURCE_UID


def test_the_password_goes_by_the_basic_scheme_and_is_in_no_fault() -> None:
    """As a part of the address, whatever is in it: this is what the client makes of that."""
    heads: list[str | None] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heads.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    address = f"admin:{quote(PASSWORD.reveal(), safe='')}@127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    RequestsHttp().call(f"http://{address}/", timeout_s=10)
    server.shutdown()
    server.server_close()
    thread.join()
    gone = RequestsHttp().call(f"http://{address}/", timeout_s=10)
    expected = base64.b64encode(f"admin:{PASSWORD.reveal()}".encode()).decode()
    assert heads == [f"Basic {expected}"]
    assert gone.status == 0
    assert PASSWORD.reveal() not in gone.text
    assert quote(PASSWORD.reveal(), safe="") not in gone.text


def test_a_stack_without_grafana_is_no_fault() -> None:
    assert look("monitoring-grafana", Programs(), grafana=False).status == "skipped"
