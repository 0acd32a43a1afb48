"""Rules and alerts in Prometheus' own test bench: each alert fires when it should and not before.

With the program of the image that a stack runs; figures go by in no time.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployctl.addons.monitored.alerts import alerts
from deployctl.addons.monitored.engineboard import engine_board
from deployctl.addons.monitored.ownrules import check_argv, refusals
from deployctl.addons.monitored.prometheus import IMAGE
from deployctl.addons.monitored.rules import rules_yaml
from deployctl.addons.monitored.scope import Probe, Scope
from deployctl.dockerd import DockerDaemon
from deployctl.images import ImageStore
from deployctl.model import Image
from deployctl.render import CONTAINER_USER
from deployctl.runner import SubprocessRunner
from tests.imageworld import Said
from tests.profilefiles import CATALOG

LLAMA_CPP = Scope(
    engine="llama.cpp",
    engine_port=8080,
    engine_start_s=180,
    frontend_start_s=300,
    probes=(Probe(service="engine", url="http://engine:8080/health"),),
    planned=(("engine", 1000),),
)
VLLM = replace(LLAMA_CPP, engine="vllm", engine_port=8000, gpu=True)
SLOW = replace(VLLM, engine_start_s=600, frontend_start_s=600)

ENGINE = '{service="engine",instance="http://engine:8080/health"}'
WEBUI = '{service="webui",instance="http://webui:8080/ready"}'
OWN = '{service="engine"}'
PLACE = '{mountpoint="/place/docker"}'


@dataclass(frozen=True, kw_only=True)
class Case:
    """Figures as they come in every five seconds, and whether the alert fires at a moment.

    `3x9` is a 3 and nine more of it, `0+2x9` begins at 0 and grows by 2 nine times, `_` is none.
    """

    alert: str
    fires: bool
    at: str
    series: dict[str, str]
    scope: Scope = field(default=LLAMA_CPP)


def engine(probes: str, began: str = "-9000x200") -> dict[str, str]:
    return {
        f"probe_success{ENGINE}": probes,
        f"container_start_time_seconds{OWN}": began,
        f"container_running{OWN}": "1x200",
    }


def webui(probes: str, began: str = "-9000x200") -> dict[str, str]:
    began_of = 'container_start_time_seconds{service="webui"}'
    return {
        f"probe_success{WEBUI}": probes,
        began_of: began,
        'container_running{service="webui"}': "1x200",
    }


def disk(free: str, size: str) -> dict[str, str]:
    return {
        f"node_filesystem_avail_bytes{PLACE}": free,
        f"node_filesystem_size_bytes{PLACE}": size,
    }


def memory(used: str) -> dict[str, str]:
    return {
        f"container_memory_working_set_bytes{OWN}": used,
        f"container_spec_memory_limit_bytes{OWN}": "100x200",
    }


def ending(service: str, every: int) -> dict[str, str]:
    """It never answers: so many looks after each start it ends, and is started at once."""
    began = " ".join(f"{5 * every * number}x{every - 1}" for number in range(1200 // every))
    counts = " ".join(f"{number}x{every - 1}" for number in range(1200 // every))
    of = f'{{service="{service}"}}'
    return {
        f"probe_success{ENGINE if service == 'engine' else WEBUI}": "0x1200",
        f"container_running{of}": "1x1200",
        f"container_start_time_seconds{of}": began,
        f"container_starts_total{of}": counts,
    }


def target(job: str, looks: str) -> dict[str, str]:
    return {f'up{{job="{job}",service="{job}",instance="{job}:1"}}': looks}


STARTS = f"container_starts_total{OWN}"
KV = 'vllm:kv_cache_usage_perc{engine="0"}'
CARD = 'nvidia_smi_memory_total_bytes{uuid="0"}'
CARDS = [f'nvidia_smi_memory_total_bytes{{uuid="{number}"}}' for number in range(2)]
WAITING = 'vllm:num_requests_waiting{engine="0"}'

CASES: dict[str, Case] = {
    # it hangs: its container began long ago
    "engine hangs": Case(alert="EngineDown", fires=True, at="3m", series=engine("1x12 0x60")),
    "engine is stopped: it has no container any more": Case(
        alert="EngineDown", fires=True, at="3m", series=engine("1x12 0x60", "-9000x12 stale")
    ),
    "engine is stopped, and its last start was moments ago": Case(
        alert="EngineDown",
        fires=True,
        at="3m",
        series={
            f"probe_success{ENGINE}": "1x12 0x60",
            f"container_start_time_seconds{OWN}": "50x12 _x60",
            f"container_running{OWN}": "1x12 0x60",
        },
    ),
    "engine starts slowly, and the last start is still told": Case(
        alert="EngineDown",
        fires=True,
        at="3m",
        series={
            f"probe_success{ENGINE}": "1x12 0x60",
            f"container_start_time_seconds{OWN}": "50x72",
            f"container_running{OWN}": "1x12 0x60",
        },
    ),
    "nobody asks the engine": Case(
        alert="EngineDown",
        fires=True,
        at="3m",
        series={f"probe_success{ENGINE}": "1x12 stale", f"container_running{OWN}": "0x60"},
    ),
    "nobody asked the engine for moments": Case(
        alert="EngineDown",
        fires=False,
        at="3m",
        series={f"probe_success{ENGINE}": "1x12 stale _x8 1x60"},
    ),
    "engine down for less than a minute": Case(
        alert="EngineDown", fires=False, at="1m50s", series=engine("1x12 0x60")
    ),
    "engine just starts": Case(
        alert="EngineDown", fires=False, at="2m55s", series=engine("0x200", "0x200")
    ),
    "engine starts for longer than planned": Case(
        alert="EngineDown", fires=True, at="5m", series=engine("0x200", "0x200")
    ),
    "engine answers": Case(alert="EngineDown", fires=False, at="5m", series=engine("1x200")),
    "frontend hangs": Case(alert="FrontendDown", fires=True, at="3m", series=webui("1x12 0x60")),
    "frontend just starts": Case(
        alert="FrontendDown", fires=False, at="4m55s", series=webui("0x200", "0x200")
    ),
    "frontend answers": Case(alert="FrontendDown", fires=False, at="5m", series=webui("1x99")),
    "three starts": Case(
        alert="RestartLoop", fires=True, at="5m", series={STARTS: "0x9 1x9 2x9 3x50"}
    ),
    "a slow engine that ends in the middle of its start": Case(
        alert="RestartLoop", fires=True, at="20m", series=ending("engine", 60), scope=SLOW
    ),
    "a slow chat window that ends in the middle of its start": Case(
        alert="RestartLoop", fires=True, at="20m", series=ending("webui", 60), scope=SLOW
    ),
    "a slow engine that was started twice": Case(
        alert="RestartLoop",
        fires=False,
        at="20m",
        series={STARTS: "0x59 1x59 2x300"},
        scope=SLOW,
    ),
    "one start": Case(alert="RestartLoop", fires=False, at="5m", series={STARTS: "0x9 1x90"}),
    "a start now and then": Case(
        alert="RestartLoop", fires=False, at="40m", series={STARTS: "0x150 1x150 2x150 3x150"}
    ),
    "an exporter is gone": Case(
        alert="TargetDown", fires=True, at="7m", series=target("blackbox", "1x12 0x99")
    ),
    "an exporter was never there": Case(
        alert="TargetDown", fires=True, at="7m", series=target("node", "0x99")
    ),
    "an exporter just starts": Case(
        alert="TargetDown", fires=False, at="4m55s", series=target("node", "0x99")
    ),
    "an exporter misses a look now and then": Case(
        alert="TargetDown", fires=False, at="7m", series=target("node", "0x30 1 0x30 1 0x30")
    ),
    "the engine tells no figures while it computes": Case(
        alert="TargetDown", fires=False, at="7m", series=target("engine", "0x99")
    ),
    "full since there are figures": Case(
        alert="KVFull", fires=False, at="4m55s", series={KV: "0.97x200"}, scope=VLLM
    ),
    "conversations' memory full": Case(
        alert="KVFull", fires=True, at="7m", series={KV: "0.97x200"}, scope=VLLM
    ),
    "full for moments": Case(
        alert="KVFull", fires=False, at="7m", series={KV: "0.97x40 0.5 0.97x60"}, scope=VLLM
    ),
    "a queue that stays": Case(
        alert="QueueGrowing",
        fires=True,
        at="11m",
        series={"llamacpp:requests_deferred": "2x200"},
    ),
    "a queue that grows": Case(
        alert="QueueGrowing",
        fires=True,
        at="11m",
        series={WAITING: "0x60 1+1x200"},
        scope=VLLM,
    ),
    "a queue that goes up and down": Case(
        alert="QueueGrowing",
        fires=True,
        at="15m",
        series={WAITING: " ".join(["6 7 8 7 6 5 4 5"] * 50)},
        scope=VLLM,
    ),
    "a queue since moments": Case(
        alert="QueueGrowing", fires=False, at="4m55s", series={WAITING: "2x200"}, scope=VLLM
    ),
    "a queue that gets shorter": Case(
        alert="QueueGrowing",
        fires=False,
        at="7m",
        series={"llamacpp:requests_deferred": "200-1x190"},
    ),
    "no queue": Case(
        alert="QueueGrowing", fires=False, at="7m", series={"llamacpp:requests_deferred": "0x200"}
    ),
    "nothing is told of the card": Case(
        alert="GPULost", fires=True, at="4m", series={CARD: "8x20 stale"}, scope=VLLM
    ),
    "its driver does not answer": Case(
        alert="GPULost",
        fires=True,
        at="4m",
        series={CARD: "8x90", "nvidia_smi_last_collect_success": "1x9 0x90"},
        scope=VLLM,
    ),
    "one of two cards is gone": Case(
        alert="GPULost",
        fires=True,
        at="8m",
        series={CARDS[0]: "8x120", CARDS[1]: "8x60 stale"},
        scope=VLLM,
    ),
    "both cards are there": Case(
        alert="GPULost", fires=False, at="8m", series=dict.fromkeys(CARDS, "8x120"), scope=VLLM
    ),
    "the card is there": Case(
        alert="GPULost",
        fires=False,
        at="4m",
        series={CARD: "8x90", "nvidia_smi_last_collect_success": "1x90"},
        scope=VLLM,
    ),
    "a disk nearly full": Case(
        alert="DiskLow", fires=True, at="6m", series=disk("1e9x200", "1e11x200")
    ),
    "the last part of a very large disk": Case(
        alert="DiskLow", fires=False, at="6m", series=disk("3e10x200", "1e12x200")
    ),
    "half of a small disk": Case(
        alert="DiskLow", fires=False, at="6m", series=disk("1e9x200", "2e9x200")
    ),
    "memory nearly at the limit": Case(
        alert="MemoryNearLimit", fires=True, at="6m", series=memory("95x200")
    ),
    "memory at the limit for a moment": Case(
        alert="MemoryNearLimit", fires=False, at="6m", series=memory("80x40 99x9 80x90")
    ),
}


def firing(alert: str, *, yes: bool) -> dict[str, Any]:
    """What a question for it finds: one, or nothing."""
    return {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
        "exp_samples": [{"labels": "{}", "value": 1}] if yes else [],
    }


def bench(series: dict[str, str], **asked: Any) -> dict[str, Any]:
    """One run: figures every five seconds, and what is asked of it."""
    rows = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "5s", "input_series": rows, **asked}


def bench_files(scope: Scope, *runs: dict[str, Any]) -> dict[str, str]:
    """The files of `promtool test rules`."""
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "5s", "tests": list(runs)}
    return {"rules.yaml": rules_yaml(scope), "test.yaml": yaml.safe_dump(whole)}


@pytest.fixture(scope="module")
def image() -> str:
    """The image as `up` would take it: what is here, else pulled, else built."""
    store = ImageStore(
        runner=SubprocessRunner(),
        catalog=CATALOG,
        docker=DockerDaemon(),
        environment=os.environ,
    )
    wanted = Image(service="prometheus", reference=IMAGE, recipe="monitoring")
    (source,) = store.obtain((wanted,), mode="auto", progress=Said())
    return source.reference


def promtool(image: str, folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    folder.chmod(0o755)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [
            *("docker", "run", "--rm", "--network=none", f"--user={CONTAINER_USER}"),
            *(f"--volume={folder}:/bench:ro", "--workdir=/bench"),
            *("--entrypoint=/bin/promtool", image, "test", "rules", "test.yaml"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_alert_fires_when_it_should_and_not_before(
    case: Case, image: str, tmp_path: Path
) -> None:
    asked = [{**firing(case.alert, yes=case.fires), "eval_time": case.at}]
    files = bench_files(case.scope, bench(case.series, promql_expr_test=asked))
    done = promtool(image, tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_of_each_kind() -> None:
    named = {alert.name for scope in (LLAMA_CPP, VLLM) for alert in alerts(scope)}
    for kind in (True, False):
        assert {case.alert for case in CASES.values() if case.fires is kind} == named


def test_an_alert_says_what_is_wrong_and_what_to_type(image: str, tmp_path: Path) -> None:
    said = {
        "eval_time": "3m",
        "alertname": "EngineDown",
        "exp_alerts": [
            {
                "exp_labels": {
                    "service": "engine",
                    "instance": "http://engine:8080/health",
                    "severity": "critical",
                },
                "exp_annotations": {
                    "summary": "The engine does not answer.",
                    "description": (
                        "For a minute nothing has answered at http://engine:8080/health, and it "
                        "is not just starting. See: deployctl status; deployctl logs engine"
                    ),
                },
            }
        ],
    }
    files = bench_files(LLAMA_CPP, bench(engine("1x12 0x60"), alert_rule_test=[said]))
    done = promtool(image, tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_engine_that_nobody_asks_is_not_called_silent(image: str, tmp_path: Path) -> None:
    said = {
        "eval_time": "3m",
        "alertname": "EngineDown",
        "exp_alerts": [
            {
                "exp_labels": {"service": "engine", "severity": "critical"},
                "exp_annotations": {
                    "summary": "Nobody asks whether the engine answers.",
                    "description": (
                        "For a minute no probe has told of it. See: deployctl status; "
                        "deployctl logs blackbox"
                    ),
                },
            }
        ],
    }
    gone = {f"probe_success{ENGINE}": "1x12 stale"}
    files = bench_files(LLAMA_CPP, bench(gone, alert_rule_test=[said]))
    done = promtool(image, tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("served", [True, False])
def test_errors_are_none_only_where_there_are_answers(
    image: str, tmp_path: Path, *, served: bool
) -> None:
    """A figure that the engine does not have must not look like one that is zero."""
    asked = [
        {
            "expr": query.expr,
            "eval_time": "2m",
            "exp_samples": [{"labels": "{}", "value": 0}] if served else [],
        }
        for query in engine_board(VLLM).queries
        if "http_requests_total" in query.expr
    ]
    assert len(asked) == 2
    name = "http_requests_total" if served else "of_another_name_total"
    series = {f'{name}{{handler="/v1/models",method="GET",status="2xx"}}': "0+1x60"}
    done = promtool(image, tmp_path, bench_files(VLLM, bench(series, promql_expr_test=asked)))
    assert done.returncode == 0, done.stdout + done.stderr


#: What both engines' figures become: series, then question → answer, two minutes in.
NAMES: dict[str, tuple[Scope, dict[str, str], dict[str, float]]] = {
    "llama.cpp": (
        LLAMA_CPP,
        {
            "llamacpp:requests_processing": "1x60",
            "llamacpp:requests_deferred": "0x60",
            "llamacpp:n_decode_total": "0+10x60",
            "llamacpp:n_busy_slots_per_decode": "2x60",
            "llamacpp:prompt_tokens_total": "0+30x60",
            "llamacpp:prompt_tokens_cached_total": "0+10x60",
            "llamacpp:prompt_seconds_total": "0+3x60",
            "llamacpp:tokens_predicted_total": "0+20x60",
            "llamacpp:tokens_predicted_seconds_total": "0+1x60",
        },
        {
            "llm:requests_running": 1,
            "llm:requests_waiting": 0,
            "llm:tokens_per_second:rate1m": 4,
            "llm:prompt_tokens_per_second:rate1m": 6,
            "llm:inter_token_latency_seconds:avg5m": 0.05,
            "llm:prompt_seconds_per_token:avg5m": 0.1,
            "llm:prefix_cache_hits:ratio5m": 0.25,
            'stack:memory_planned_bytes{service="engine"}': 1000,
        },
    ),
    "llama.cpp started anew": (
        LLAMA_CPP,
        {
            "llamacpp:n_decode_total": "1000+10x20 0+10x20",
            "llamacpp:n_busy_slots_per_decode": "2x60",
        },
        {"llm:tokens_per_second:rate1m": 0},
    ),
    "vllm": (
        VLLM,
        {
            'vllm:num_requests_running{engine="0"}': "1x60",
            'vllm:num_requests_running{engine="1"}': "2x60",
            'vllm:num_requests_waiting{engine="0"}': "4x60",
            'vllm:kv_cache_usage_perc{engine="0"}': "0.5x60",
            'vllm:generation_tokens_total{engine="0"}': "0+20x60",
            'vllm:prompt_tokens_total{engine="0"}': "0+40x60",
            'vllm:prompt_tokens_cached_total{engine="0"}': "0+10x60",
            'vllm:prefix_cache_queries_total{engine="0"}': "0+40x60",
            'vllm:prefix_cache_hits_total{engine="0"}': "0+10x60",
            'vllm:time_to_first_token_seconds_bucket{le="1"}': "0+1x60",
            'vllm:time_to_first_token_seconds_bucket{le="+Inf"}': "0+1x60",
            "vllm:time_to_first_token_seconds_count": "0+1x60",
        },
        {
            "llm:requests_running": 3,
            "llm:requests_waiting": 4,
            "llm:kv_cache_usage:ratio": 0.5,
            "llm:tokens_per_second:rate1m": 4,
            "llm:prompt_tokens_per_second:rate1m": 6,
            "llm:prefix_cache_hits:ratio5m": 0.25,
            "llm:time_to_first_token_seconds:p50_5m": 0.5,
        },
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_figures_get_the_same_names(name: str, image: str, tmp_path: Path) -> None:
    scope, series, expected = NAMES[name]
    asked = [
        {
            "expr": f"round({question}, 0.0001)",
            "eval_time": "2m",
            "exp_samples": [
                {
                    "labels": '{service="engine"}' if "{" in question else "{}",
                    "value": value,
                }
            ],
        }
        for question, value in expected.items()
    ]
    done = promtool(image, tmp_path, bench_files(scope, bench(series, promql_expr_test=asked)))
    assert done.returncode == 0, done.stdout + done.stderr


# ── the operator's own rules ──────────────────────────────────────────────────────────────────

GOOD = "groups:\n  - name: mine\n    rules:\n      - alert: Mine\n        expr: up == 0\n"
WRONG = {
    "expression": GOOD.replace("up == 0", "up ==="),
    "yaml": "groups:\n  - name: mine\n   rules: 3\n",
    "key": GOOD.replace("expr", "exp"),
    "template": GOOD + '        annotations: {summary: "{{ $labels.x "}\n',
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_broken_file_is_named_with_what_is_wrong(kind: str, image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "mine.yaml").write_text(WRONG[kind])
    argv = check_argv(image, str(tmp_path), ("good.yaml", "mine.yaml"), CONTAINER_USER)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    found = refusals(done.stderr + done.stdout)
    assert done.returncode != 0
    assert {refusal.file for refusal in found} == {"mine.yaml"}
    expected = {"expression": 5, "yaml": 1, "key": 5, "template": None}[kind]
    assert found[0].line == expected
    assert found[0].message


def test_good_files_are_refused_nothing(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "good.yaml").write_text(GOOD)
    argv = check_argv(image, str(tmp_path), ("good.yaml",), CONTAINER_USER)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, refusals(done.stderr + done.stdout)) == (0, ())
