"""Prometheus' configuration and that of its prober, as YAML text. Pure.

Only what Prometheus 2.42 (Debian's) and 3.x (its makers' image) both understand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from deployctl.libyaml import DUMPER

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope

#: Seconds between two looks. The engine is asked less often, and given as long: llama.cpp answers
#: between two of its steps, and one that reads a long question takes seconds on a slow processor.
EVERY_S, ENGINE_EVERY_S = 5, 10

#: Ports inside the stack's network; none but Prometheus' is published.
PROMETHEUS, NODE, BLACKBOX, CONTAINERS, GPU, CACHE = 9090, 9100, 9115, 9101, 9835, 8080

#: Inside Prometheus' container.
CONFIG = "/etc/prometheus/prometheus.yaml"
RULES = "/etc/prometheus/rules.yaml"
OWN_RULES = "/etc/prometheus/rules.d"
KEY_FILE = "/tmp/engine_key"  # noqa: S108  # in memory, in the container

#: What a server that is well may say to somebody without a password.
_ANSWERS = [200, 204, 301, 302, 303, 307, 308, 401, 403, 404]

#: Nobody looks at how Go spends its memory in them; half of what they say is that.
_NO_INNARDS = [{"source_labels": ["__name__"], "regex": "(go|promhttp)_.*", "action": "drop"}]

#: When each series began: half a histogram's length again, and Prometheus notices by itself.
_NO_BIRTHDAYS = [{"source_labels": ["__name__"], "regex": ".*_created", "action": "drop"}]


def prometheus_yaml(scope: Scope) -> str:
    """``prometheus.yaml``: what is looked at, and how often."""
    jobs = [
        _job("engine", f"engine:{scope.engine_port}", service="engine", relabel=_NO_BIRTHDAYS)
        | _ENGINE,
        _job("prometheus", f"localhost:{PROMETHEUS}", service="prometheus"),
        _job("node", f"node-exporter:{NODE}", service="node-exporter", relabel=_NO_INNARDS),
        _job("containers", f"containers:{CONTAINERS}"),
        _job("blackbox", f"blackbox:{BLACKBOX}", service="blackbox", relabel=_NO_INNARDS),
        _probes(scope),
    ]
    if scope.gpu:
        gpu = f"gpu-exporter:{GPU}"
        jobs.append(_job("gpu", gpu, service="gpu-exporter", relabel=_NO_INNARDS))
    if scope.cache:
        jobs.append(_job("cache", f"cache:{CACHE}", service="cache") | _WITH_KEY)
    return yaml_text(
        {
            "global": {
                "scrape_interval": f"{EVERY_S}s",
                "scrape_timeout": f"{EVERY_S - 1}s",
                "evaluation_interval": f"{EVERY_S}s",
            },
            "rule_files": [RULES, f"{OWN_RULES}/*.yaml"],
            "scrape_configs": jobs,
        }
    )


def blackbox_yaml() -> str:
    """``blackbox.yaml``: how a probe judges."""
    http = {"preferred_ip_protocol": "ip4"}
    return yaml_text(
        {
            "modules": {
                "ok": {"prober": "http", "timeout": "4s", "http": http},
                "answers": {
                    "prober": "http",
                    "timeout": "4s",
                    "http": {**http, "follow_redirects": False, "valid_status_codes": _ANSWERS},
                },
            }
        }
    )


_WITH_KEY: dict[str, Any] = {"authorization": {"credentials_file": KEY_FILE}}
_ENGINE: dict[str, Any] = {
    "scrape_interval": f"{ENGINE_EVERY_S}s",
    "scrape_timeout": f"{ENGINE_EVERY_S}s",
    **_WITH_KEY,
}


def _job(
    name: str, target: str, *, service: str = "", relabel: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """One job with one target; the containers' own figures say themselves whose they are."""
    config: dict[str, Any] = {"targets": [target]}
    if service:
        config["labels"] = {"service": service}
    job: dict[str, Any] = {"job_name": name, "static_configs": [config]}
    if relabel is not None:
        job["metric_relabel_configs"] = relabel
    return job


def _probes(scope: Scope) -> dict[str, Any]:
    """Ask the prober to ask each; the address that is probed becomes the instance."""
    return {
        "job_name": "probe",
        "metrics_path": "/probe",
        "static_configs": [
            {
                "targets": [probe.url],
                "labels": {"service": probe.service, "__param_module": probe.module},
            }
            for probe in scope.probes
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"blackbox:{BLACKBOX}"},
        ],
    }


def yaml_text(data: dict[str, Any]) -> str:
    """Any of these files as text."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, width=1000)


class _Plain(DUMPER):  # type: ignore[misc]  # PyYAML's writers share no public type
    """YAML for people: nothing is an alias of something above."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002
        return True
