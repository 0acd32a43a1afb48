"""What `status` tells of a stack's monitoring: what fires, a full disk, when it says nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.scope import scope_of
from deployctl.cli.envelope import plain
from deployctl.cli.vitalstext import compact, lines_of
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.world import StatusReport, UpRequest
from deployctl.loopback import Reply
from deployctl.outcomes import AlertResult, CheckResult
from deployctl.profiles.selection import Selection
from deployctl.prometheus import PAGE, SERVICE
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp
from tests.profilefiles import shipped
from tests.world import Box

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STACK = "mine"
SERVICES = ("engine", "webui", "prometheus", "node-exporter", "containers", "blackbox")
PORT = 9090
FULL = "write /prometheus/wal/00000001: no space left on device"
OF_ENGINE = {"service": "engine", "instance": "http://engine:8080/health", "job": "probe"}


def alert(
    name: str, labels: dict[str, str] | None = None, *, state: str = "firing", **says: str
) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": "warning", **(labels or {})},
        "annotations": says,
        "state": state,
        "activeAt": "2026-11-22T11:56:00.850709387Z",
    }


class Monitored(FakeHttp):
    """A stack as seen from outside, and its Prometheus."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts: Any = []
        self.age: str | None = "3.2"
        self.prometheus_silent = False
        self.engine_silent = False

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        at = urlsplit(url)
        if at.port == 8000 and self.engine_silent:
            return Reply(status=0, text="timed out")
        if at.port != PORT:
            return super().call(url, token=token, body=body, timeout_s=timeout_s)
        self.calls.append(url)
        assert timeout_s <= 2
        if self.prometheus_silent:
            return Reply(status=0, text="timed out")
        if at.path == "/api/v1/alerts":
            return _reply({"alerts": self.alerts})
        if at.path == "/api/v1/query":
            return _reply({"result": [] if self.age is None else [{"value": [0, self.age]}]})
        return Reply(status=404, text="")


def _reply(data: object) -> Reply:
    return Reply(status=200, text=json.dumps({"status": "success", "data": data}))


@pytest.fixture
def http() -> Monitored:
    return Monitored()


@pytest.fixture
def box(tmp_path: Path, http: Monitored) -> Box:
    """A stack with monitoring that is up and well."""
    box = Box(home=tmp_path)
    box.http = http
    box.runner.services = SERVICES
    chosen = Selection(
        profile="smoke", addons=("monitoring",), sets=("addons.monitoring.grafana=never",)
    )
    up(box.world(), UpRequest(stack=STACK, selection=chosen))
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(replace(manifest, weights=None))
    http.calls.clear()
    return box


def looked(box: Box) -> StatusReport:
    return status(box.world("status"), STACK, NOW)


def of_monitoring(report: StatusReport) -> tuple[CheckResult, ...]:
    names = ("alerts", "figures")
    return tuple(c for c in report.checks if isinstance(c, AlertResult) or c.name in names)


def only(report: StatusReport) -> AlertResult:
    (found,) = of_monitoring(report)
    assert isinstance(found, AlertResult)
    return found


def asked(http: Monitored) -> list[str]:
    return [url for url in http.calls if urlsplit(url).port == PORT]


def stopped(box: Box, service: str) -> None:
    box.docker.states[service] = replace(box.docker.states[service], status="exited")


# ── whom it costs something ───────────────────────────────────────────────────────────────────


def test_a_stack_without_monitoring_asks_no_prometheus(tmp_path: Path, http: Monitored) -> None:
    box = Box(home=tmp_path)
    box.http = http
    up(box.world(), UpRequest(stack=STACK, selection=Selection(profile="smoke")))
    assert of_monitoring(looked(box)) == ()
    assert asked(http) == []


def test_one_with_it_asks_two_questions_where_it_is_published(box: Box, http: Monitored) -> None:
    manifest = Workspace(box.home, STACK).manifest()
    assert manifest is not None
    assert dict(manifest.pages)[PAGE] == f"http://127.0.0.1:{PORT}/"
    assert SERVICE in manifest.images
    (said,) = of_monitoring(looked(box))
    assert (said.name, said.status, said.summary) == ("alerts", "ok", "none fires")
    assert [urlsplit(url).path for url in asked(http)] == ["/api/v1/alerts", "/api/v1/query"]
    assert box.docker.tails == {}  # nor is its log looked at: its figures are fresh


# ── what fires ────────────────────────────────────────────────────────────────────────────────


def test_what_fires_is_a_warning_with_its_words_and_the_next_command(
    box: Box, http: Monitored
) -> None:
    disk = {"mountpoint": "/place/docker"}
    http.alerts = [
        alert("DiskLow", disk, summary="A disk is nearly full.", description="2 % of it is free."),
        alert("QueueGrowing", state="pending", summary="Requests wait."),
    ]
    report = looked(box)
    found = only(report)
    assert report.status == "ok"  # an alert is no verdict
    assert plain(found) == {
        "name": "alert DiskLow",
        "status": "warning",
        "summary": "A disk is nearly full.",
        "hint": "docker system df",
        "code": None,
        "where": None,
        "details": ["2 % of it is free."],
        "seconds": 0.0,
        "alert": "DiskLow",
        "severity": "warning",
        "about": "/place/docker",
        "since": "2026-11-22T11:56:00Z",
        "active_s": 239.149291,
        "same_as": None,
    }
    lines = lines_of(report, 100)
    at = next(n for n, line in enumerate(lines) if "! alert DiskLow" in line)
    assert lines[at].endswith("/place/docker, for 3 min: A disk is nearly full.")
    assert lines[at + 1] == "    next: docker system df"
    assert compact(report, "now").endswith(" · 1 alert: DiskLow")


def test_the_gravest_and_oldest_come_first(box: Box, http: Monitored) -> None:
    young = alert("Young") | {"activeAt": "2026-11-22T11:59:00Z"}
    grave = alert("Grave", {"severity": "critical"}) | {"activeAt": "2026-11-22T11:59:30Z"}
    http.alerts = [young, alert("Old"), grave, alert("Other", {"severity": "info"})]
    names = [c.alert for c in of_monitoring(looked(box)) if isinstance(c, AlertResult)]
    assert names == ["Grave", "Old", "Young", "Other"]


def test_every_alert_of_ours_has_a_next_command_that_its_rule_names(
    box: Box, http: Monitored
) -> None:
    scope = scope_of(shipped("smoke", "addons.monitoring.enabled=true").spec)
    ours = alerts(replace(scope, engine="vllm", gpu=True))
    services = {"EngineDown": "engine", "FrontendDown": "webui", "TargetDown": "containers"}
    services |= {"RestartLoop": "blackbox", "MemoryNearLimit": "webui"}
    for one in ours:
        labels = {"service": services[one.name]} if one.name in services else {}
        http.alerts = [alert(one.name, labels, summary="x")]
        found = only(looked(box))
        assert found.same_as is None
        program = " ".join(found.hint.split()[:2])
        known = program in one.description or found.hint.split()[0] == "nvidia-smi"
        # Its rule speaks of `bench`, which is not for an engine that has too much to do already.
        assert known or one.name == "QueueGrowing", (one.name, found.hint)
        assert "--stack mine" in found.hint or not found.hint.startswith("deployctl")


# ── nothing is said twice ─────────────────────────────────────────────────────────────────────


def test_a_dead_engine_s_alert_refers_to_its_check(box: Box, http: Monitored) -> None:
    stopped(box, "engine")
    http.alerts = [alert("EngineDown", OF_ENGINE, summary="The engine does not answer.")]
    report = looked(box)
    found = only(report)
    assert (found.same_as, found.hint) == ("container engine", "")
    assert found.summary == "The engine does not answer."  # in JSON it is whole
    (line,) = (line for line in lines_of(report, 100) if "alert EngineDown" in line)
    assert line.endswith("engine, for 3 min: see container engine")


def test_a_removed_container_s_alert_refers_to_its_check_too(box: Box, http: Monitored) -> None:
    del box.docker.states["blackbox"]
    http.alerts = [alert("TargetDown", {"service": "blackbox"}, summary="Nothing is seen of it.")]
    assert only(looked(box)).same_as == "container blackbox"


def test_another_alert_of_a_dead_engine_is_told_whole(box: Box, http: Monitored) -> None:
    stopped(box, "engine")
    http.alerts = [alert("MemoryNearLimit", {"service": "engine"}, summary="It is close.")]
    found = only(looked(box))
    assert found.same_as is None
    assert found.hint.startswith("deployctl plan --profile smoke --with monitoring")


def test_an_engine_that_answers_again_is_said_to(box: Box, http: Monitored) -> None:
    http.alerts = [alert("EngineDown", OF_ENGINE, summary="The engine does not answer.")]
    found = only(looked(box))
    assert found.summary == "The engine does not answer. From here it answers."
    assert found.hint == f"deployctl logs engine --stack {STACK}"
    http.alerts = [alert("EngineDown", {"service": "engine"}, summary="Nobody asks.")]
    found = only(looked(box))
    assert (found.summary, found.hint) == (
        "Nobody asks.",
        f"deployctl logs blackbox --stack {STACK}",
    )


def test_the_verdict_is_the_same_whatever_monitoring_says(box: Box, http: Monitored) -> None:
    for service in SERVICES:
        stopped(box, service)
    ill = replace(box.docker.states[SERVICE], status="running", health="unhealthy")
    box.docker.states[SERVICE] = ill  # and it answers
    for fires in ([], [alert("EngineDown", OF_ENGINE)]):
        http.alerts = fires
        report = looked(box)
        assert of_monitoring(report)
        assert report.status == "failed"


# ── other people's words ──────────────────────────────────────────────────────────────────────


def test_a_rule_s_text_is_made_harmless_and_cut(box: Box, http: Monitored) -> None:
    wild = "\x1b[31mred\x1b[0m\n    next: rm -rf /\u202e\x07 " + "x" * 5000
    http.alerts = [
        alert("N" * 500, {"service": wild, "more": wild}, summary=wild, description=wild)
    ]
    found = only(looked(box))
    for text in (found.name, found.summary, found.about, found.where or "", *found.details):
        assert text.isprintable()
        assert len(text) <= 400
    assert "\n" not in found.summary
    assert found.summary.startswith(r"red next: rm -rf /\u202e\x07 xxx")
    assert "rm -rf" not in found.hint
    assert found.hint.startswith(f"deployctl open prometheus --stack {STACK}")


def test_hundreds_are_counted(box: Box, http: Monitored) -> None:
    http.alerts = [alert("Many", {"instance": str(n)}) for n in range(300)]
    found = of_monitoring(looked(box))
    assert len(found) == 11
    assert found[-1].summary == "290 more fire, 300 in all"
    assert found[-1].hint


def test_a_secret_in_a_rule_s_text_is_taken_out_before_it_is_cut(box: Box, http: Monitored) -> None:
    key = Workspace(box.home, STACK).secrets().engine_key.reveal()
    said = "x" * 150 + key
    http.alerts = [alert("Mine", {"team": key}, summary=said, description=said)]
    told = json.dumps(plain(looked(box)))
    assert "alert Mine" in told
    assert key[:8] not in told


def test_a_secret_in_two_pieces_is_taken_out_too(box: Box, http: Monitored) -> None:
    key = Workspace(box.home, STACK).secrets().engine_key.reveal()
    parted = f"{key[:12]}\x1b[1m{key[12:]}"
    http.alerts = [alert("Mine", {"instance": parted}, summary=parted, description=parted)]
    report = looked(box)
    assert "alert Mine" in json.dumps(plain(report))
    assert key not in json.dumps(plain(report))
    assert key not in " ".join(lines_of(report, 400))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_beyond_all_times_is_none(box: Box, http: Monitored, at: str) -> None:
    http.alerts = [alert("Mine") | {"activeAt": at}]
    assert only(looked(box)).since is None


@pytest.mark.parametrize(
    "row", [{}, "no", None, {"state": "firing"}, {"state": "firing", "labels": 3, "activeAt": 7}]
)
def test_what_is_no_alert_breaks_nothing(box: Box, http: Monitored, row: object) -> None:
    http.alerts, http.age = [row], "NaN"
    assert all(line for line in lines_of(looked(box), 80))


# ── Prometheus itself ─────────────────────────────────────────────────────────────────────────


def test_one_that_does_not_answer_is_said_once(box: Box, http: Monitored) -> None:
    http.prometheus_silent = True
    report = looked(box)
    (said,) = of_monitoring(report)
    assert (report.status, said.status) == ("ok", "skipped")
    assert said.summary == "not known: Prometheus does not answer"
    assert said.hint == f"deployctl logs prometheus --stack {STACK}"
    state = box.docker.states[SERVICE]
    for other in (
        replace(state, health="unhealthy"),
        replace(state, health="starting"),
        replace(state, status="exited"),
    ):
        box.docker.states[SERVICE] = other
        assert of_monitoring(looked(box)) == ()


@pytest.mark.parametrize(("age", "told"), [("120.4", "120 s old"), (None, "there are no figures")])
def test_a_full_disk_is_a_notice_of_its_own(
    box: Box, http: Monitored, age: str | None, told: str
) -> None:
    box.docker.tails = {"id-prometheus": ("level=info", FULL)}
    http.age = age
    report = looked(box)
    (said,) = of_monitoring(report)
    assert (report.status, said.name, said.status) == ("ok", "figures", "warning")
    assert told in said.summary
    assert said.summary.endswith("Prometheus cannot write. Engine and chat window go on")
    assert said.hint.startswith("docker system df")
    assert said.summary in compact(report, "now")


def test_a_disk_that_was_full_once_is_no_notice(box: Box, http: Monitored) -> None:
    box.docker.tails = {"id-prometheus": (FULL,)}
    assert [said.name for said in of_monitoring(looked(box))] == ["alerts"]
    http.age = "120"
    state = replace(box.docker.states[SERVICE], started_at="2026-11-22T11:58:00Z")
    box.docker.states[SERVICE] = state  # and it said so before it was started again
    box.docker.said_at = {"id-prometheus": "2026-11-22T11:50:00Z"}
    (said,) = of_monitoring(looked(box))
    assert (said.status, said.summary) == (
        "skipped",
        "none fires, but the last figures are 120 s old",
    )
