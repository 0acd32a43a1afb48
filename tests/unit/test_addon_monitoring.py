"""Monitoring's services, configuration, rules and dashboards, from a profile alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons.monitored import scrape
from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.boards import all_queries, boards
from deployctl.addons.monitored.dashboards import SOURCE_UID, dashboard_json
from deployctl.addons.monitored.ownrules import check_argv, refusals
from deployctl.addons.monitored.rules import recorded
from deployctl.addons.monitored.scope import Scope, scope_of
from deployctl.addons.monitored.scrape import blackbox_yaml, prometheus_yaml
from deployctl.addons.monitoring import ADDON
from deployctl.addons.nouns import Refusal
from deployctl.model import Service, Variable
from deployctl.profiles.schema import ProfileSpec
from tests.profilefiles import shipped
from tests.yamltext import parsed

ON = "addons.monitoring.enabled=true"


def spec(name: str = "smoke", *sets: str) -> ProfileSpec:
    return shipped(name, ON, *sets).spec


def services(name: str = "smoke", *sets: str) -> dict[str, Service]:
    return {service.name: service for service in ADDON.services(spec(name, *sets))}


def jobs(name: str = "smoke", *sets: str) -> dict[str, dict[str, Any]]:
    config = parsed(prometheus_yaml(scope_of(spec(name, *sets))))
    return {job["job_name"]: job for job in config["scrape_configs"]}


SCOPES = {
    "llama.cpp": scope_of(spec()),
    "vllm": scope_of(spec("smoke-vllm")),
    "card": scope_of(spec("rtx3060")),
    "cache": scope_of(spec("smoke", "addons.cache.enabled=true")),
}
EACH = pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)

# ── services ──────────────────────────────────────────────────────────────────────────────────


def test_the_gateway_is_asked_for_itself_and_not_for_the_engine() -> None:
    assert [p.url for p in SCOPES["cache"].probes if p.service == "cache"] == [
        "http://cache:8080/health"
    ]


def test_what_runs_follows_from_the_profile() -> None:
    core = ("prometheus", "node-exporter", "containers", "blackbox")
    assert tuple(services()) == (*core, "grafana")
    assert tuple(services("smoke", "addons.monitoring.grafana=never")) == core
    assert tuple(services("rtx3060")) == (*core, "gpu-exporter", "grafana")
    assert "gpu-exporter" not in services("rtx3060", "addons.monitoring.gpu=never")


def test_only_prometheus_and_grafana_are_published_and_on_loopback() -> None:
    sets = ("addons.monitoring.port=9191", "addons.monitoring.grafana_port=3131")
    published = {
        name: [(port.address, port.host_port, port.key) for port in service.ports]
        for name, service in services("rtx3060", *sets).items()
        if service.ports
    }
    assert published == {
        "prometheus": [("127.0.0.1", 9191, "addons.monitoring.port")],
        "grafana": [("127.0.0.1", 3131, "addons.monitoring.grafana_port")],
    }
    assert [page.port for page in ADDON.pages(spec("rtx3060", *sets))] == [9191, 3131]


def test_only_what_keeps_data_can_write() -> None:
    writable = {
        (service.name, mount.target)
        for service in services("rtx3060").values()
        for mount in service.mounts
        if not mount.read_only
    }
    assert writable == {("prometheus", "/prometheus"), ("grafana", "/var/lib/grafana")}


def test_nothing_of_the_machine_is_mounted_but_the_kernels_accounts() -> None:
    sources = {
        str(mount.source)
        for service in services("rtx3060").values()
        for mount in service.mounts
        if mount.kind == "bind"
    }
    assert sources == {"/sys/fs/cgroup", "./exported", "./rules"}


def test_the_engines_key_is_in_the_environment_and_nowhere_else() -> None:
    service = services()["prometheus"]
    key = dict(service.environment)["ENGINE_KEY"]
    assert isinstance(key, Variable)
    assert (key.name, key.default) == ("DEPLOYCTL_ENGINE_KEY", None)
    assert jobs()["engine"]["authorization"] == {"credentials_file": scrape.KEY_FILE}
    assert service.entrypoint[2].startswith("umask 077 && ")
    assert scrape.KEY_FILE.startswith(service.tmpfs[0].target)


def test_prometheus_is_bounded_and_speaks_to_nobodys_pages() -> None:
    sets = ("addons.monitoring.retention=48h", "addons.monitoring.retention_size=256MiB")
    service = services("smoke", *sets)["prometheus"]
    assert "--storage.tsdb.retention.time=172800s" in service.command
    assert "--storage.tsdb.retention.size=268435456B" in service.command
    assert "--web.cors.origin=nobody" in service.command
    # Samples of 16 bytes each, of all questions at once: less than its memory.
    bounds = {name: int(number) for name, number in map(_bound, service.command) if number}
    samples = bounds["--query.max-samples"] * bounds["--query.max-concurrency"]
    assert samples * 16 < service.memory_bytes
    assert not any("enable-lifecycle" in word or "admin-api" in word for word in service.command)
    assert service.memory_bytes == 512 * 1024**2
    assert dict(service.environment)["GOMEMLIMIT"] == str(service.memory_bytes * 9 // 10)


def _bound(flag: str) -> tuple[str, str]:
    name, _, value = flag.partition("=")
    return name, value if value.isdecimal() else ""


def test_a_card_that_was_not_put_into_its_exporter_does_not_end_up() -> None:
    """Docker's check is of what the image itself has; what is with the card is for the alerts."""
    service = services("rtx3060")["gpu-exporter"]
    assert service.healthcheck is not None
    assert service.healthcheck.test[0] == service.entrypoint[0]


def test_grafana_asks_for_a_password_and_asks_nobody_outside() -> None:
    environment = dict(services()["grafana"].environment)
    password = environment["GF_SECURITY_ADMIN_PASSWORD"]
    assert isinstance(password, Variable)
    assert password.name == "DEPLOYCTL_GRAFANA_PASSWORD"
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"


def test_what_has_no_packages_can_be_left_out() -> None:
    assert [part.key for part in ADDON.optional(spec())] == ["addons.monitoring.grafana"]
    assert [part.key for part in ADDON.optional(spec("rtx3060"))] == [
        "addons.monitoring.grafana",
        "addons.monitoring.gpu",
    ]
    left_out = {part.reference for part in ADDON.optional(spec("rtx3060"))}
    for service in services("rtx3060").values():
        assert (service.image.recipe is None) == (service.image.reference in left_out)


# ── configuration ─────────────────────────────────────────────────────────────────────────────


def test_everything_is_looked_at() -> None:
    assert tuple(jobs()) == ("engine", "prometheus", "node", "containers", "blackbox", "probe")
    assert jobs()["engine"]["static_configs"][0]["targets"] == ["engine:8080"]
    assert jobs("smoke-vllm")["engine"]["static_configs"][0]["targets"] == ["engine:8000"]
    assert "gpu" in jobs("rtx3060")
    assert "authorization" in jobs("smoke", "addons.cache.enabled=true")["cache"]


def test_the_pages_of_other_add_ons_are_probed_too() -> None:
    targets = jobs("smoke", "addons.jupyter.enabled=true")["probe"]["static_configs"]
    probed = {config["labels"]["service"]: config for config in targets}
    assert tuple(probed) == ("engine", "webui", "jupyter")
    assert probed["jupyter"]["labels"]["__param_module"] == "answers"
    modules = parsed(blackbox_yaml())["modules"]
    assert {config["labels"]["__param_module"] for config in targets} == set(modules)


def test_plans_of_every_service_are_there_to_compare_with() -> None:
    whole = services()["prometheus"].files[1].text or ""
    planned = {
        rule["labels"]["service"]
        for rule in parsed(whole)["groups"][0]["rules"]
        if rule["record"] == "stack:memory_planned_bytes"
    }
    assert planned == {"engine", "webui", *services()}


# ── rules and dashboards ──────────────────────────────────────────────────────────────────────

_NAME = re.compile(r"\b((?:llm|stack):[a-z0-9_:]+)")


@EACH
def test_only_names_that_are_recorded_are_asked_for(scope: Scope) -> None:
    known = {rule.record for rule in recorded(scope)}
    asked = {name for query in all_queries(scope) for name in _NAME.findall(query.expr)}
    assert asked <= known


@EACH
def test_a_name_is_recorded_before_it_is_used(scope: Scope) -> None:
    known: set[str] = set()
    for rule in recorded(scope):
        assert set(_NAME.findall(rule.expr)) <= known
        known.add(rule.record)


@EACH
def test_every_alert_says_how_long_how_bad_and_what_to_type(scope: Scope) -> None:
    for alert in alerts(scope):
        assert alert.severity in ("critical", "warning")
        assert alert.summary.endswith(".")
        assert re.search(
            r"See: .*\b(deployctl [a-z]+|docker system df|nvidia-smi)", alert.description
        )
        assert alert.query.needs == "trouble"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama.cpp", {"KVFull": False, "GPULost": False}),
        ("vllm", {"KVFull": True, "GPULost": False}),
        ("card", {"GPULost": True}),
    ],
)
def test_alerts_ask_for_nothing_that_is_not_there(name: str, expected: dict[str, bool]) -> None:
    named = {alert.name for alert in alerts(SCOPES[name])}
    for alert, there in expected.items():
        assert (alert in named) is there


def test_each_engines_dashboard_asks_nothing_of_the_other() -> None:
    llama = " ".join(query.expr for query in all_queries(SCOPES["llama.cpp"]))
    vllm = " ".join(query.expr for query in all_queries(SCOPES["vllm"]))
    assert "vllm:" not in llama
    assert "llamacpp:" not in vllm
    assert "kv_cache" not in llama
    assert "time_to_first_token" in vllm


@EACH
def test_dashboards_are_whole(scope: Scope) -> None:
    for board in boards(scope):
        data = json.loads(dashboard_json(board))
        panels = data["panels"]
        assert data["uid"] == board.uid
        assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
        for panel in panels:
            spot = panel["gridPos"]
            assert spot["x"] + spot["w"] <= 24
            assert panel["type"] == "row" or panel["datasource"]["uid"] == SOURCE_UID
            assert panel["type"] == "row" or panel["description"]
        spots = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
        assert len(spots) == len(panels)  # none lies on another
        asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
        assert asked == [query.expr for query in board.queries]
        assert "$" not in "".join(asked)  # a variable of Grafana's nobody else could fill in


@EACH
def test_a_stat_shows_what_is_now_and_red_below_what_is_good(scope: Scope) -> None:
    panels = [
        panel
        for board in boards(scope)
        for panel in json.loads(dashboard_json(board))["panels"]
        if panel["type"] != "row"
    ]
    for panel in panels:
        for target in panel["targets"]:
            assert target["instant"] is (panel["type"] == "stat")
            assert target["range"] is (panel["type"] != "stat")
    stats = {panel["title"]: panel for panel in panels if panel["type"] == "stat"}
    good = {"Answers now": 1, "Availability, 24 h": 0.99}
    assert set(stats) == set(good)
    for title, panel in stats.items():
        assert panel["options"]["graphMode"] == "none"
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
            {"color": "red", "value": None},
            {"color": "green", "value": good[title]},
        ]


def test_of_vllm_the_rates_that_count_the_remembered_do_not() -> None:
    rules = {rule.record: rule.expr for rule in recorded(SCOPES["vllm"])}
    assert "vllm:prompt_tokens_cached_total" in rules["llm:prompt_tokens_per_second:rate1m"]
    assert "llm:prompt_seconds_per_token:avg5m" not in rules
    told = (Path(__file__).parent / "records/metrics/vllm-0.32.txt").read_text(encoding="utf-8")
    assert "\nvllm:prompt_tokens_cached_total{" in told


@pytest.mark.parametrize(("start_s", "window"), [(60, 600), (600, 2400)])
def test_a_slow_start_is_watched_for_as_long_as_four_of_it(start_s: int, window: int) -> None:
    scope = replace(SCOPES["vllm"], engine_start_s=start_s, frontend_start_s=150)
    (loop,) = (alert for alert in alerts(scope) if alert.name == "RestartLoop")
    assert f'container_starts_total{{service="engine"}}[{window}s]' in loop.query.expr
    assert 'container_starts_total{service="webui"}[600s]' in loop.query.expr


def test_the_caches_figures_are_shown_where_it_is_on() -> None:
    assert any("deployctl_cache" in query.expr for query in all_queries(SCOPES["cache"]))
    assert not any("deployctl_cache" in query.expr for query in all_queries(SCOPES["llama.cpp"]))


# ── the operator's own rules ──────────────────────────────────────────────────────────────────

#: As promtool 2.42 writes it: stderr, then stdout.
SAID = """\
  FAILED:
/etc/prometheus/rules.d/a.yaml: 5:15: group "x", rule 1, "A": could not parse expression: 1:6
/etc/prometheus/rules.d/a.yaml: 7:15: group "x", rule 2, "B": could not parse expression: 1:5
  FAILED:
/etc/prometheus/rules.d/b.yaml: yaml: line 1: did not find expected '-' indicator
/etc/prometheus/rules.d/b.yaml: yaml: line 1: did not find expected '-' indicator
  FAILED:
/etc/prometheus/rules.d/c.yaml: yaml: unmarshal errors:
  line 3: field rule not found in type rulefmt.RuleGroup
  line 4: field exp not found in type rulefmt.RuleNode
  FAILED:
/etc/prometheus/rules.d/d.yaml: group "x", rule 1, "X": annotation "s": template: unclosed action
Checking /etc/prometheus/rules.d/a.yaml

Checking /etc/prometheus/rules.d/e.yaml
  SUCCESS: 1 rules found

"""


def test_what_promtool_says_becomes_file_line_and_message() -> None:
    assert refusals(SAID) == (
        Refusal(
            file="a.yaml", line=5, message='group "x", rule 1, "A": could not parse expression: 1:6'
        ),
        Refusal(
            file="a.yaml", line=7, message='group "x", rule 2, "B": could not parse expression: 1:5'
        ),
        Refusal(file="b.yaml", line=1, message="did not find expected '-' indicator"),
        Refusal(file="c.yaml", line=3, message="field rule not found in type rulefmt.RuleGroup"),
        Refusal(file="c.yaml", line=4, message="field exp not found in type rulefmt.RuleNode"),
        Refusal(
            file="d.yaml",
            line=None,
            message='group "x", rule 1, "X": annotation "s": template: unclosed action',
        ),
    )


def test_own_rules_are_checked_where_they_reach_nothing() -> None:
    argv = check_argv("image:1", "/state/rules", ("mine.yaml",), "10001:10001")
    assert "--network=none" in argv
    assert "--user=10001:10001" in argv
    assert argv[-4:] == ("image:1", "check", "rules", "/etc/prometheus/rules.d/mine.yaml")


# ── what is written about it ──────────────────────────────────────────────────────────────────

PAGE = (Path(__file__).parents[2] / "docs/monitoring.md").read_text(encoding="utf-8")


@EACH
def test_every_alert_is_in_the_table(scope: Scope) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (at once|\d+ min) \|$", PAGE, re.MULTILINE)
    told = {name: 0 if after == "at once" else 60 * int(after.split()[0]) for name, after in rows}
    for alert in alerts(scope):
        assert told[alert.name] == alert.for_s


def test_every_image_is_named() -> None:
    for service in services("rtx3060").values():
        name = re.sub(r"^(docker\.io/(library/)?|quay\.io/)", "", service.image.reference)
        assert f"`{name}`" in PAGE
