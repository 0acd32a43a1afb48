"""Grafana's dashboards: what is shown, as values, and as the JSON that Grafana reads. Pure.

Only what the stack's engine and machine export is shown: a panel that must stay empty says nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from deployctl.addons.monitored.queries import Needs, Query

#: The data source's id, in its own file and in every panel.
SOURCE_UID = "deployctl-prometheus"

#: Of Grafana 11 and later; a newer one migrates it by itself when it loads it.
_SCHEMA = 39

#: Grafana's grid: this many columns; a row of panels is this high.
_COLUMNS, _HEIGHT = 24, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture. ``unit`` is Grafana's word for it; ``top`` the value at the top, where known.

    A stat is green from ``good`` on, and red below.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    about: str
    kind: Literal["timeseries", "stat"] = "timeseries"
    top: float | None = None
    good: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels side by side, under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page. ``uid`` is in its address and stays."""

    uid: str
    title: str
    rows: tuple[Row, ...]

    @property
    def queries(self) -> tuple[Query, ...]:
        """All that it asks, in its order."""
        return tuple(query for row in self.rows for panel in row.panels for query in panel.queries)


def one(expr: str, legend: str = "", needs: Needs = "always") -> tuple[Query]:
    """What a panel with a single question asks."""
    return (Query(expr=expr, legend=legend, needs=needs),)


def dashboard_json(dashboard: Dashboard) -> str:
    """Return the dashboard as Grafana's provisioning reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        panels.append(_heading(row, number=len(panels) + 1, y=top))
        top += 1
        each = _COLUMNS // min(len(row.panels), 4)
        for place, panel in enumerate(row.panels):
            x, y = place * each % _COLUMNS, top + place * each // _COLUMNS * _HEIGHT
            spot = {"x": x, "y": y, "w": each, "h": _HEIGHT}
            panels.append(_panel(panel, number=len(panels) + 1, spot=spot))
        top += -(-len(row.panels) * each // _COLUMNS) * _HEIGHT
    whole = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["deployctl"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "annotations": {"list": [_ALERTS]},
        "panels": panels,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


_SOURCE = {"type": "prometheus", "uid": SOURCE_UID}

#: When an alert fired, marked in every picture.
_ALERTS = {
    "name": "Alerts",
    "enable": True,
    "datasource": _SOURCE,
    "expr": 'ALERTS{alertstate="firing"}',
    "titleFormat": "{{alertname}}",
    "iconColor": "red",
}


def _heading(row: Row, *, number: int, y: int) -> dict[str, Any]:
    spot = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": spot,
        "panels": [],
    }


def _panel(panel: Panel, *, number: int, spot: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.top is not None:
        defaults["max"] = panel.top
    if panel.good is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.good}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        defaults["color"] = {"mode": "thresholds"}
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": spot,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [_target(panel, query, place) for place, query in enumerate(panel.queries)],
    }
    return made | {"options": _OPTIONS[panel.kind]}


def _target(panel: Panel, query: Query, place: int) -> dict[str, Any]:
    """A stat shows what is now, and asks only for that."""
    now = panel.kind == "stat"
    return {
        "refId": chr(ord("A") + place),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "range": not now,
        "instant": now,
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
    },
}
