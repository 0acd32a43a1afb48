"""What is asked of Prometheus: one noun for dashboards and alerts, and where it has data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: When a query has data: `always`, once there were requests (`traffic`), with an NVIDIA card
#: (`gpu`), while the response cache is on (`cache`), or only when something is wrong (`trouble`).
Needs = Literal["always", "traffic", "gpu", "cache", "trouble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL expression, with no variable of Grafana's in it: it can be run as it stands."""

    expr: str
    legend: str = ""
    needs: Needs = "always"
