"""What `verify` says of monitoring, from what Prometheus and Grafana answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployctl.loopback import Reply
from deployctl.secret import Secret
from deployctl.verify.addons import monitoring
from deployctl.verify.nouns import Seen, Subject
from deployctl.verify.wanted import WantedService
from tests.fakes import FakeClock

PASSWORD = Secret("pass-of-grafana")


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
    anonymous: int = 401
    password: str = PASSWORD.reveal()
    log: tuple[str, ...] = ()

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        path = re.sub(r"^http://127\.0\.0\.1:(9090|3000)", "", url)
        match path.partition("?")[0]:
            case "/-/ready":
                return self.ready
            case "/api/v1/targets":
                now = self.targets.pop(0) if len(self.targets) > 1 else self.targets[0]
                return reply({"data": {"activeTargets": now}})
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
            case "/login":
                assert isinstance(body, dict)
                return reply({}, 200 if body["password"] == self.password else 401)
        raise AssertionError(url)

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


def test_the_first_look_at_a_target_is_waited_for_and_not_forever() -> None:
    new = [target("engine", "unknown")]
    assert look("monitoring-targets", Programs(targets=[new, new, [target("engine")]])).status == (
        "ok"
    )
    seen = look("monitoring-targets", Programs(targets=[new]))
    assert (seen.status, seen.details) == ("failed", ("engine: not looked at yet",))


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


def test_a_stack_without_grafana_is_no_fault() -> None:
    assert look("monitoring-grafana", Programs(), grafana=False).status == "skipped"
