"""The dashboard of the engine: does it answer, how fast, what does it remember. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored.dashboards import Dashboard, Panel, Row, one
from deployctl.addons.monitored.queries import Query

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope


def engine_board(scope: Scope) -> Dashboard:
    """Build it; vLLM tells more than llama.cpp."""
    vllm = scope.engine == "vllm"
    return Dashboard(
        uid="deployctl-engine",
        title="Engine",
        rows=(
            Row(title="Does it answer", panels=_AVAILABILITY),
            Row(
                title="Requests",
                panels=(_REQUESTS, *((_FINISHED, _VLLM_ERRORS) if vllm else ()), _ERRORS),
            ),
            Row(title="How fast", panels=(_TOKENS, *(_VLLM_LATENCY if vllm else _LATENCY))),
            Row(title="What it remembers", panels=((_KV,) if vllm else ()) + (_PREFIX,)),
            *((Row(title="Response cache", panels=_CACHE),) if scope.cache else ()),
        ),
    )


_AVAILABILITY = (
    Panel(
        title="Answers now",
        unit="bool_yes_no",
        kind="stat",
        good=1,
        queries=one("probe_success", "{{service}}"),
        about="Whether each page of the stack answered the last probe from inside.",
    ),
    Panel(
        title="Availability, 24 h",
        unit="percentunit",
        kind="stat",
        top=1,
        good=0.99,
        queries=one("avg_over_time(probe_success[24h])", "{{service}}"),
        about="The share of probes that were answered in 24 hours, or since there are figures.",
    ),
    Panel(
        title="Time to answer a probe",
        unit="s",
        queries=one("probe_duration_seconds", "{{service}}"),
        about="How long the probe took. It asks for no words of a model.",
    ),
)

_REQUESTS = Panel(
    title="Requests",
    unit="short",
    queries=(
        Query(expr="llm:requests_running", legend="answered now"),
        Query(expr="llm:requests_waiting", legend="waiting"),
    ),
    about="How many requests the engine works on, and how many wait for a free place.",
)

_FINISHED = Panel(
    title="Answers per second, by how they ended",
    unit="reqps",
    queries=one(
        "sum by (finished_reason) (rate(vllm:request_success_total[1m]))", "{{finished_reason}}"
    ),
    about="stop: the model was done; length: the answer was cut; abort: nobody waited any more.",
)

_ERRORS = Panel(
    title="Probes not answered, last 5 minutes",
    unit="short",
    queries=one(
        "count_over_time(probe_success[5m]) - sum_over_time(probe_success[5m])", "{{service}}"
    ),
    about="Zero is well. llama.cpp does not count requests that it refused.",
)


def _answered(first: str, legend: str) -> Query:
    """HTTP answers of a kind. None of it is zero, but only once there was any answer at all."""
    wanted = f'sum(rate(http_requests_total{{status=~"{first}..|{first}xx"}}[1m]))'
    return Query(
        expr=f"{wanted} or 0 * sum(rate(http_requests_total[1m]))", legend=legend, needs="traffic"
    )


_VLLM_ERRORS = Panel(
    title="Errors per second",
    unit="reqps",
    queries=(
        _answered("4", "refused (4xx)"),
        _answered("5", "failed (5xx)"),
    ),
    about="HTTP answers of the engine's API that were no answer.",
)

_TOKENS = Panel(
    title="Tokens per second",
    unit="short",
    queries=(
        Query(expr="llm:tokens_per_second:rate1m", legend="written"),
        Query(expr="llm:prompt_tokens_per_second:rate1m", legend="read"),
    ),
    about="All conversations together, over a minute. What was remembered is not read again.",
)

_LATENCY = (
    Panel(
        title="Time per token, average",
        unit="s",
        queries=one("llm:inter_token_latency_seconds:avg5m", "from one to the next", "traffic"),
        about="Of the answers that ended in the last five minutes. llama.cpp tells no quantiles.",
    ),
    Panel(
        title="Time to read a token of a question, average",
        unit="s",
        queries=one("llm:prompt_seconds_per_token:avg5m", "per token read", "traffic"),
        about="Times the length of a question that is the time to the first token: llama.cpp does "
        "not tell that itself.",
    ),
)


def _quantiles(title: str, name: str, about: str) -> Panel:
    return Panel(
        title=title,
        unit="s",
        queries=(
            Query(expr=f"llm:{name}:p50_5m", legend="half are below", needs="traffic"),
            Query(expr=f"llm:{name}:p95_5m", legend="95 % are below", needs="traffic"),
        ),
        about=about,
    )


_VLLM_LATENCY = (
    _quantiles(
        "Time to first token",
        "time_to_first_token_seconds",
        "From the request to the first token, waiting included, over five minutes.",
    ),
    _quantiles(
        "Time per token",
        "inter_token_latency_seconds",
        "From one token of an answer to its next, over five minutes.",
    ),
    _quantiles(
        "Time of a whole answer", "e2e_request_latency_seconds", "Over five minutes, in all."
    ),
    _quantiles(
        "Time in the queue", "request_queue_time_seconds", "Before the engine began with it."
    ),
)

_KV = Panel(
    title="Memory for conversations",
    unit="percentunit",
    top=1,
    queries=one("llm:kv_cache_usage:ratio", "taken"),
    about="The share of the KV memory that is taken. llama.cpp does not tell.",
)

_PREFIX = Panel(
    title="Tokens of questions that were remembered",
    unit="percentunit",
    top=1,
    queries=one("llm:prefix_cache_hits:ratio5m", "not read again", "traffic"),
    about="The share of the tokens of questions that began as an earlier one, over five minutes.",
)

_CACHE = (
    Panel(
        title="Questions per second",
        unit="reqps",
        queries=one(
            "sum by (result) (rate(deployctl_cache_requests_total[1m]))", "{{result}}", "cache"
        ),
        about="hit: answered from what was kept; miss: the engine was asked; bypass: not to keep.",
    ),
    Panel(
        title="Answered from what was kept",
        unit="percentunit",
        top=1,
        queries=one(
            'sum(increase(deployctl_cache_requests_total{result="hit"}[5m]))'
            ' / (sum(increase(deployctl_cache_requests_total{result=~"hit|miss"}[5m])) > 0)',
            "hits",
            "cache",
        ),
        about="Of the questions that could be, over five minutes.",
    ),
    Panel(
        title="Disk that the answers take",
        unit="bytes",
        queries=one("deployctl_cache_size_bytes", "answers", "cache"),
        about="Bounded by addons.cache.size.",
    ),
)
