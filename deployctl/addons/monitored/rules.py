"""Recording rules: the same names for both engines, and what was planned. Pure.

What llama.cpp (b11434) and vLLM (0.32) say of themselves has different names and different
meanings; dashboards and alerts ask for the names made here. ``rate1m`` and ``avg5m`` say over how
long. What an engine does not export has no name for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.scrape import yaml_text

if TYPE_CHECKING:
    from deployctl.addons.monitored.alerts import Alert
    from deployctl.addons.monitored.queries import Needs
    from deployctl.addons.monitored.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A name for an expression, computed at every evaluation."""

    record: str
    expr: str
    labels: tuple[tuple[str, str], ...] = ()
    needs: Needs = "always"


#: llama.cpp counts a finished answer's tokens when it ends, and its steps while they happen; steps
#: times the average number of conversations in one is tokens. It writes six digits of a number,
#: so that product may fall a little: the difference is taken, not the rate of a counter, which
#: would take every fall for a restart.
_LLAMA_CPP: Mapping[str, str] = {
    "llm:requests_running": "sum(llamacpp:requests_processing)",
    "llm:requests_waiting": "sum(llamacpp:requests_deferred)",
    "llm:decode_tokens": "sum(llamacpp:n_decode_total * llamacpp:n_busy_slots_per_decode)",
    "llm:tokens_per_second:rate1m": "clamp_min(delta(llm:decode_tokens[1m]) / 60, 0)",
    "llm:prompt_tokens_per_second:rate1m": "sum(rate(llamacpp:prompt_tokens_total[1m]))",
}

#: Averages of what happened in the last five minutes; nothing while nothing happened.
_LLAMA_CPP_BUSY: Mapping[str, str] = {
    "llm:inter_token_latency_seconds:avg5m": (
        "sum(rate(llamacpp:tokens_predicted_seconds_total[5m]))"
        " / (sum(rate(llamacpp:tokens_predicted_total[5m])) > 0)"
    ),
    "llm:prompt_seconds_per_token:avg5m": (
        "sum(rate(llamacpp:prompt_seconds_total[5m]))"
        " / (sum(rate(llamacpp:prompt_tokens_total[5m])) > 0)"
    ),
    "llm:prefix_cache_hits:ratio5m": (
        "sum(rate(llamacpp:prompt_tokens_cached_total[5m]))"
        " / (sum(rate(llamacpp:prompt_tokens_cached_total[5m]))"
        " + sum(rate(llamacpp:prompt_tokens_total[5m])) > 0)"
    ),
}

_VLLM: Mapping[str, str] = {
    "llm:requests_running": "sum(vllm:num_requests_running)",
    "llm:requests_waiting": "sum(vllm:num_requests_waiting)",
    "llm:kv_cache_usage:ratio": "max(vllm:kv_cache_usage_perc)",
    "llm:tokens_per_second:rate1m": "sum(rate(vllm:generation_tokens_total[1m]))",
    # It counts what it remembered as read, too.
    "llm:prompt_tokens_per_second:rate1m": (
        "clamp_min(sum(rate(vllm:prompt_tokens_total[1m]))"
        " - sum(rate(vllm:prompt_tokens_cached_total[1m])), 0)"
    ),
}


def _average(histogram: str) -> str:
    return f"sum(rate({histogram}_sum[5m])) / (sum(rate({histogram}_count[5m])) > 0)"


def _quantile(share: float, histogram: str) -> str:
    """Where so great a share of the last five minutes lies below; nothing while there was none."""
    return (
        f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[5m])))"
        f" and on() (sum(rate({histogram}_count[5m])) > 0)"
    )


_VLLM_BUSY: Mapping[str, str] = {
    "llm:inter_token_latency_seconds:avg5m": _average("vllm:inter_token_latency_seconds"),
    "llm:prefix_cache_hits:ratio5m": (
        "sum(rate(vllm:prefix_cache_hits_total[5m]))"
        " / (sum(rate(vllm:prefix_cache_queries_total[5m])) > 0)"
    ),
    **{
        f"llm:{name}:p{share * 100:.0f}_5m": _quantile(share, f"vllm:{name}")
        for name in (
            *("time_to_first_token_seconds", "inter_token_latency_seconds"),
            *("e2e_request_latency_seconds", "request_queue_time_seconds"),
        )
        for share in (0.5, 0.95)
    },
}

_OF_ENGINE = {"llama.cpp": (_LLAMA_CPP, _LLAMA_CPP_BUSY), "vllm": (_VLLM, _VLLM_BUSY)}


def recorded(scope: Scope) -> tuple[Rule, ...]:
    """All recording rules of a stack, in the order in which they build on one another."""
    steady, busy = _OF_ENGINE[scope.engine]
    return (
        *(Rule(record=name, expr=expr) for name, expr in steady.items()),
        *(Rule(record=name, expr=expr, needs="traffic") for name, expr in busy.items()),
        *(
            Rule(
                record="stack:memory_planned_bytes",
                expr=f"vector({planned})",
                labels=(("service", service),),
            )
            for service, planned in scope.planned
        ),
        Rule(
            record="stack:memory_of_limit:ratio",
            expr="container_memory_working_set_bytes / container_spec_memory_limit_bytes",
        ),
        Rule(
            record="stack:disk_free:ratio",
            expr="node_filesystem_avail_bytes / node_filesystem_size_bytes",
        ),
    )


def rules_yaml(scope: Scope) -> str:
    """``rules.yaml``: the recording rules and the alerts."""
    groups = [
        {"name": "deployctl", "rules": [_recording(rule) for rule in recorded(scope)]},
        {"name": "deployctl-alerts", "rules": [_alerting(alert) for alert in alerts(scope)]},
    ]
    return yaml_text({"groups": groups})


def _recording(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {"record": rule.record, "expr": rule.expr}
    return written | ({"labels": dict(rule.labels)} if rule.labels else {})


def _alerting(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.query.expr,
        "for": f"{alert.for_s}s",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.description},
    }
