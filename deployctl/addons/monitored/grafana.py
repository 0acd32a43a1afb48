"""Grafana as a service of the stack, provisioned. Pure.

No packages can replace its image, so it was never run by us: its settings are by its documentation
(13.2), and the dashboards' questions were asked of Prometheus itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored import scrape
from deployctl.addons.monitored.boards import boards
from deployctl.addons.monitored.dashboards import SOURCE_UID, dashboard_json
from deployctl.addons.monitored.exporters import asked_by_wget
from deployctl.addons.monitored.scrape import yaml_text
from deployctl.model import Image, Mount, Service, StackFile, Tmpfs
from deployctl.reach import LOOPBACK, url
from deployctl.services.common import NO_PROXIES, checked, generated, here, reach
from deployctl.sizing import Part

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope
    from deployctl.model import Text
    from deployctl.profiles.schema import ProfileSpec

IMAGE = "docker.io/grafana/grafana:13.2.3"
PORT = 3000
USER = "admin"

_MIB = 1024**2

NEED = Part(
    place="ram",
    name="Grafana",
    bytes=160 * _MIB,
    basis="claimed",
    why="never run here: there are no packages of it",
)

_PROVISIONING = "/etc/grafana/provisioning"
_BOARDS = "/etc/deployctl/dashboards"


def grafana(spec: ProfileSpec, scope: Scope) -> Service:
    """Grafana, with its data source and the stack's dashboards."""
    hops, egress = reach(spec, "monitoring")
    return Service(
        name="grafana",
        image=Image(service="grafana", reference=IMAGE, recipe=None),
        environment=(*_access(spec), *_quiet(), *NO_PROXIES),
        ports=(
            here(spec.addons.monitoring.grafana_port, PORT, key="addons.monitoring.grafana_port"),
        ),
        mounts=(
            Mount(kind="volume", source="grafana-data", target="/var/lib/grafana", read_only=False),
        ),
        files=_files(scope),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=64 * _MIB),),  # noqa: S108  # in the container
        memory_bytes=384 * _MIB,
        need=NEED,
        hops=hops,
        egress=egress,
        healthcheck=checked(asked_by_wget(PORT, "/api/health"), start_s=300),
        stop_grace_s=15,
    )


def _files(scope: Scope) -> tuple[StackFile, ...]:
    return (
        StackFile(
            name="grafana-datasource.yaml",
            target=f"{_PROVISIONING}/datasources/deployctl.yaml",
            text=yaml_text({"apiVersion": 1, "datasources": [_SOURCE]}),
        ),
        StackFile(
            name="grafana-dashboards.yaml",
            target=f"{_PROVISIONING}/dashboards/deployctl.yaml",
            text=yaml_text({"apiVersion": 1, "providers": [_PROVIDER]}),
        ),
        *(
            StackFile(
                name=f"grafana-{board.uid}.json",
                target=f"{_BOARDS}/{board.uid}.json",
                text=dashboard_json(board),
            )
            for board in boards(scope)
        ),
    )


_SOURCE = {
    "name": "Prometheus",
    "uid": SOURCE_UID,
    "type": "prometheus",
    "access": "proxy",
    "url": f"http://prometheus:{scrape.PROMETHEUS}",
    "isDefault": True,
    "editable": False,
    "jsonData": {"timeInterval": f"{scrape.EVERY_S}s", "httpMethod": "POST"},
}

_PROVIDER = {
    "name": "deployctl",
    "folder": "deployctl",
    "type": "file",
    "disableDeletion": True,
    "allowUiUpdates": False,
    "options": {"path": _BOARDS},
}


def _access(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    return (
        ("GF_SECURITY_ADMIN_USER", USER),
        ("GF_SECURITY_ADMIN_PASSWORD", generated("DEPLOYCTL_GRAFANA_PASSWORD")),
        ("GF_AUTH_ANONYMOUS_ENABLED", "false"),
        ("GF_USERS_ALLOW_SIGN_UP", "false"),
        ("GF_USERS_ALLOW_ORG_CREATE", "false"),
        ("GF_SECURITY_COOKIE_SAMESITE", "strict"),
        ("GF_SERVER_HTTP_ADDR", "0.0.0.0"),  # noqa: S104  # published on loopback only
        ("GF_SERVER_HTTP_PORT", str(PORT)),
        ("GF_SERVER_ROOT_URL", f"{url(LOOPBACK, spec.addons.monitoring.grafana_port)}/"),
        ("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", f"{_BOARDS}/deployctl-engine.json"),
    )


def _quiet() -> tuple[tuple[str, Text], ...]:
    """What must not be tried: there is no way out, and nobody is to be told."""
    return (
        ("GF_ANALYTICS_ENABLED", "false"),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_ANALYTICS_FEEDBACK_LINKS_ENABLED", "false"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
        ("GF_SECURITY_DISABLE_GRAVATAR", "true"),
        ("GF_SNAPSHOTS_EXTERNAL_ENABLED", "false"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_PLUGINS_PLUGIN_ADMIN_ENABLED", "false"),
        ("GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "true"),
        ("GF_LOG_MODE", "console"),
        ("GF_PATHS_LOGS", "/tmp"),  # noqa: S108  # nothing is written there
    )
