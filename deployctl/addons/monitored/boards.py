"""All dashboards of a stack, and every question that is asked of Prometheus. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.engineboard import engine_board
from deployctl.addons.monitored.machineboard import machine_board
from deployctl.addons.monitored.queries import Query
from deployctl.addons.monitored.rules import recorded

if TYPE_CHECKING:
    from deployctl.addons.monitored.dashboards import Dashboard
    from deployctl.addons.monitored.scope import Scope


def boards(scope: Scope) -> tuple[Dashboard, ...]:
    """All dashboards of a stack; the first is the one that Grafana opens with."""
    return engine_board(scope), machine_board(scope)


def all_queries(scope: Scope) -> tuple[Query, ...]:
    """Every question that dashboards, recording rules and alerts ask, each once."""
    asked = (
        *(query for board in boards(scope) for query in board.queries),
        *(Query(expr=rule.expr, needs=rule.needs) for rule in recorded(scope)),
        *(alert.query for alert in alerts(scope)),
    )
    return tuple({query.expr: query for query in asked}.values())
