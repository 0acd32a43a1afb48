"""`metrics` on the command line, over fakes: both engines, and a stack that is not well."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from deployctl.cli.metricstext import seconds
from deployctl.deploy.metrics import metrics
from deployctl.deploy.status import see
from deployctl.loopback import Reply
from deployctl.model import Gpu
from deployctl.outcomes import Command, CommandResult, Usage
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.cli.commandline import deployctl
from tests.fakes import FakeClock, FakeDocker, FakeRunner, container
from tests.panel import FakePanel
from tests.scripted import result
from tests.unit.test_counters import LLAMA_CPP, VLLM
from tests.world import Box

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GIB = 1024**3

AS_VLLM = {
    "Config": {
        "Env": ["VLLM_API_KEY=k"],
        "Cmd": ["m", "--max-model-len", "8192", "--max-num-seqs", "4"],
    },
    "HostConfig": {"Memory": 4 * GIB, "NanoCpus": 2_000_000_000},
}


LLAMA_CPP_TOLD = """\
Stack deployctl: llama.cpp serves smollm2-135m

                          now         last 2.0 s     since its start
  requests running        1 request
  requests waiting        2 requests
  tokens generated                    40.0 tokens/s  395 tokens
    of one answer                     80.0 tokens/s  112.9 tokens/s
  tokens read                         10.0 tokens/s  320 tokens
    while it reads                    –              640.0 tokens/s
  prompts from the cache              50 %           27 %
  between two tokens                  mean 12.5 ms   mean 8.9 ms

  Not exported by llama.cpp: time to first token, p50 and p95 between two tokens, KV memory in use,
  requests finished, answers preempted.
  –: nothing of it in that time, or too little to tell.

  container  state             up  memory now          CPUs
  engine     running, healthy  –   200 MiB of 448 MiB  1.50, last 2.0 s
  webui      running, healthy  –   500 MiB             1.50, last 2.0 s
"""

VLLM_TOLD = """\
Stack deployctl: vLLM serves smollm2-135m

                          now         last 2.0 s              since its start
  requests running        3 requests
  requests waiting        0 requests
  KV memory in use        25 %
  tokens generated                    40.0 tokens/s           1080 tokens
    of one answer                     –                       80.0 tokens/s
  tokens read                         10.0 tokens/s           320 tokens
  prompts from the cache              50 %                    27 %
  time to first token                 p50 175 ms, p95 242 ms  p50 121 ms, p95 237 ms
  between two tokens                  –                       p50 10.0 ms, p95 23.5 ms
  requests finished                   2 stop                  10 stop, 2 abort
  answers preempted                   0 times                 2 times

  Not exported by vLLM: the speed of reading.
  –: nothing of it in that time, or too little to tell.

  container  state             up  memory now          CPUs
  engine     running, healthy  –   200 MiB of 4.0 GiB  1.50 of 2, last 2.0 s
  webui      running, healthy  –   500 MiB             1.50, last 2.0 s
"""


class Counting(FakePanel):
    """An engine whose figures are a matter of time; asked without its key it refuses."""

    def __init__(self, figures: Callable[[], Reply], key: Callable[[], Secret]) -> None:
        super().__init__()
        self._figures, self._key = figures, key
        self.asked = 0

    def call(
        self, url: str, *, token: Secret | None = None, body: Any = None, timeout_s: float
    ) -> Reply:
        if not url.endswith("/metrics") or self.engine_silent:
            return super().call(url, token=token, body=body, timeout_s=timeout_s)
        self.asked += 1
        return self._figures() if token == self._key() else Reply(status=401, text="{}")


class Working(FakeDocker):
    """Containers that use a processor and a half each."""

    clock: FakeClock

    def usage(self, container_id: str) -> Usage | None:
        found = super().usage(container_id)
        return None if found is None else replace(found, cpu_seconds=10 + 1.5 * self.clock.now())


class Until(FakeClock):
    """Ctrl-C after so many sleeps; something may happen at each."""

    def __init__(self, sleeps: int, then: Callable[[int], None] = lambda _left: None) -> None:
        super().__init__()
        self._left, self._then = sleeps, then

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._left -= 1
        self._then(self._left)
        if self._left < 0:
            raise KeyboardInterrupt


def at_work(text: str, clock: FakeClock) -> str:
    """The text some seconds later: 40 tokens written and 10 read each second, one of two cached."""
    t = clock.now()
    changes = {
        "n_decode_total 200": f"n_decode_total {200 + 40 * t / 1.5}",
        "predicted_total 315": f"predicted_total {315 + 40 * t}",
        "predicted_seconds_total 2.5": f"predicted_seconds_total {2.5 + t / 2}",
        "prompt_tokens_total 300": f"prompt_tokens_total {300 + 10 * t}",
        "tokens_cached_total 100": f"tokens_cached_total {100 + 10 * t}",
        'generation_tokens_total{engine="0",model_name="m"} 1000.0': (
            f'generation_tokens_total{{engine="0"}} {1000 + 40 * t}'
        ),
        'cache_hits_total{engine="0",model_name="m"} 100.0': f"cache_hits_total {100 + 10 * t}",
        'queries_total{engine="0",model_name="m"} 400.0': f"queries_total {400 + 20 * t}",
        'prompt_tokens_total{engine="0",model_name="m"} 400.0': (
            f"prompt_tokens_total {400 + 20 * t}"
        ),
        'tokens_cached_total{engine="0",model_name="m"} 100.0': (
            f"tokens_cached_total {100 + 10 * t}"
        ),
        '{engine="0",le="0.25",model_name="m"} 8.0': f'{{engine="0",le="0.25"}} {8 + t}',
        'token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 8.0': (
            f'token_seconds_bucket{{engine="0",le="+Inf"}} {8 + t}'
        ),
        'finished_reason="stop",model_name="m"} 7.0': f'finished_reason="stop"}} {7 + t}',
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


@pytest.fixture
def stack(box: Box, capsys: pytest.CaptureFixture[str]) -> Box:
    """A stack that is up, with llama.cpp at work."""
    docker = Working(used={"id-engine": 200 * 1024**2, "id-webui": 500 * 1024**2})
    docker.clock = box.clock
    box.docker, box.runner = docker, FakeRunner(docker)
    deployctl(box, "up", "--profile", "smoke")
    docker.inspected = {"id-engine": {"HostConfig": {"Memory": 448 * 1024**2}}}
    works(box, LLAMA_CPP)
    capsys.readouterr()
    return box


def works(box: Box, text: str) -> None:
    """Let the engine be at work, with these figures to begin with."""
    answers(box, lambda: Reply(status=200, text=at_work(text, box.clock)))


def answers(box: Box, figures: Callable[[], Reply]) -> None:
    space = Workspace(box.home, "deployctl")
    box.http = Counting(figures, lambda: space.secrets().engine_key)


def with_clock(box: Box, clock: FakeClock) -> None:
    assert isinstance(box.docker, Working)
    box.clock = box.docker.clock = clock


def envelope(box: Box, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert deployctl(box, "metrics", *words, "--output", "json") == code
    return json.loads(capsys.readouterr().out)


# ── what is told ──────────────────────────────────────────────────────────────────────────────


def test_llama_cpp_in_words(stack: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(stack, "metrics") == 0
    assert capsys.readouterr().out == LLAMA_CPP_TOLD


def test_an_idle_engine_says_what_its_last_answer_was_like(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.docker.tails = {
        "id-engine": ("eval time = 1 ms / 1 tokens (1 ms per token, 33.0 tokens per second)",)
    }
    idle = LLAMA_CPP.replace("processing 1", "processing 0")
    answers(stack, lambda: Reply(status=200, text=idle))
    assert deployctl(stack, "metrics", "--interval", "0.5") == 0
    lines = capsys.readouterr().out.splitlines()
    (made,) = (line for line in lines if "tokens generated" in line)
    assert "  0.0 tokens/s  " in made
    (one,) = (line for line in lines if "of one answer" in line)
    assert "33.0 tokens/s, last answer" in one
    assert "126.0 tokens/s" in one
    assert any("last 0.5 s" in line for line in lines)


@pytest.mark.parametrize(
    ("running", "decodes", "rate"),
    [(0, "4e+06", 0), (1, "4e+06", None), (0, "200", 0), (1, "200", 0)],
)
def test_no_token_is_told_only_where_the_digits_left_out_hide_none(
    stack: Box,
    capsys: pytest.CaptureFixture[str],
    running: int,
    decodes: str,
    rate: float | None,
) -> None:
    text = LLAMA_CPP.replace("processing 1", f"processing {running}")
    same = text.replace("n_decode_total 200", f"n_decode_total {decodes}")
    answers(stack, lambda: Reply(status=200, text=same))
    assert envelope(stack, capsys)["data"]["window"]["generated_tokens_per_s"] == rate


def test_vllm_in_words(stack: Box, capsys: pytest.CaptureFixture[str]) -> None:
    works(stack, VLLM)
    stack.docker.inspected = {"id-engine": AS_VLLM}
    assert deployctl(stack, "metrics") == 0
    assert capsys.readouterr().out == VLLM_TOLD


# ── for programs ──────────────────────────────────────────────────────────────────────────────

KEYS = {
    "stack",
    "status",
    "at",
    "window_s",
    "services",
    "engine",
    "window",
    "since_start",
    "not_exported",
    "cards",
}

TALLY = {
    "generated_tokens",
    "read_tokens",
    "cached_share",
    "answer_tokens_per_s",
    "reading_tokens_per_s",
    "first_token",
    "inter_token",
    "finished",
    "preemptions",
}


@pytest.mark.parametrize("text", [LLAMA_CPP, VLLM])
def test_the_keys_are_the_same_for_both_engines(
    stack: Box, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    works(stack, text)
    if text == VLLM:
        stack.docker.inspected = {"id-engine": AS_VLLM}
    found = envelope(stack, capsys)
    assert (found["version"], found["command"], found["status"]) == (1, "metrics", "ok")
    data = found["data"]
    assert set(data) == KEYS
    assert set(data["since_start"]) == set(data["window"]["counted"]) == TALLY
    assert data["window"]["generated_tokens_per_s"] == 40
    assert data["window"]["read_tokens_per_s"] == 10
    assert data["window"]["counted"]["cached_share"] == 0.5
    nothing = {key for key, value in data["since_start"].items() if value is None}
    assert nothing <= set(data["not_exported"])
    assert (data["engine"]["kv_share"] is None) == ("kv_share" in data["not_exported"])
    assert data["cards"] == []


def test_histograms_are_told_of_the_window_and_of_all(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    works(stack, VLLM)
    data = envelope(stack, capsys)["data"]
    whole, window = data["since_start"]["first_token"], data["window"]["counted"]["first_token"]
    assert (whole["count"], window["count"]) == (12, 2)
    assert window == {"count": 2, "mean_s": 0, "p50_s": 0.175, "p95_s": 0.2425}
    assert data["window"]["counted"]["finished"] == {"stop": 2, "abort": 0, "error": 0}


def test_cards_are_told_where_the_engine_has_one(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    class WithTool(FakeRunner):
        def run(self, command: Command, *, on_line: Any = None) -> CommandResult:
            if command.argv[0] == "nvidia-smi":
                return result(command, 0, "93, 61, 412.5, 700.00\n")
            return super().run(command, on_line=on_line)

    card = Gpu(name="H100", memory_bytes=80 * GIB, memory_free_bytes=20 * GIB, driver="580")
    stack.facts.facts = replace(stack.facts.facts, gpus=(card,))
    stack.runner = WithTool(stack.docker)
    for silent in (False, True):
        panel(stack).engine_silent = silent
        assert envelope(stack, capsys, code=6 if silent else 0)["data"]["cards"] == []
    given = {"HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "Count": 1}]}}
    stack.docker.inspected = {"id-engine": given}
    (card_alone,) = envelope(stack, capsys, code=6)["data"]["cards"]
    assert card_alone["busy_share"] == 0.93, "the engine need not answer for that"
    panel(stack).engine_silent = False
    assert envelope(stack, capsys)["data"]["cards"] == [
        {
            "name": "H100",
            "memory_used_bytes": 60 * GIB,
            "memory_bytes": 80 * GIB,
            "busy_share": 0.93,
            "temperature_c": 61.0,
            "power_w": 412.5,
            "power_limit_w": 700.0,
        }
    ]
    assert deployctl(stack, "metrics") == 0
    out = capsys.readouterr().out
    assert "  H100  60.0 GiB of 80.0 GiB used  93 %  61 °C        412 W of 700 W" in out
    assert deployctl(stack, "status") == 0
    assert "H100 · 60.0 GiB of 80.0 GiB used" in capsys.readouterr().out


@pytest.mark.parametrize("text", [LLAMA_CPP, VLLM])
def test_what_status_tells_too_is_the_same_number(stack: Box, text: str) -> None:
    works(stack, text)
    if text == VLLM:
        stack.docker.inspected = {"id-engine": AS_VLLM}
    world = stack.world("metrics")
    first = see(world, "deployctl", NOW).sample
    start = stack.clock.now()
    ours = metrics(world, "deployctl", lambda: NOW, interval_s=2.0)
    assert stack.clock.now() - start == 2.0
    theirs = see(world, "deployctl", NOW, before=first).report
    assert ours.report.engine == theirs.engine
    assert ours.report.engine is not None
    assert ours.report.window is not None
    assert ours.report.engine.tokens_per_s == ours.report.window.generated_tokens_per_s == 40
    assert tuple(replace(s, image_moved=None) for s in theirs.services) == ours.report.services
    assert ours.report.services[0].cpus == 1.5
    assert ours.report.services[0].memory_limit_bytes is not None


def test_add_ons_are_containers_like_any_other_and_what_left_is_none(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.docker.states["jupyter"] = container("jupyter", "hash-jupyter")
    stack.docker.states["seed"] = container("seed", status="exited")  # of an override
    stack.docker.used = {**stack.docker.used, "id-jupyter": 90 * 1024**2}
    services = envelope(stack, capsys)["data"]["services"]
    assert [service["service"] for service in services] == ["engine", "jupyter", "webui"]
    assert services[1]["memory_bytes"] == 90 * 1024**2


# ── what is not well ──────────────────────────────────────────────────────────────────────────


def engine_is(**changes: Any) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        box.docker.states["engine"] = replace(box.docker.states["engine"], **changes)
        panel(box).engine_silent = True

    return change


def panel(box: Box) -> FakePanel:
    assert isinstance(box.http, FakePanel)
    return box.http


def gone(box: Box) -> None:
    del box.docker.states["engine"]


def loading(box: Box) -> None:
    box.http.engine_ready = False
    busy = Reply(status=503, text='{"error":{"message":"Loading model","code":503}}')
    answers(box, lambda: busy)
    box.http.engine_ready = False


def refusing(status: int, text: str = "{}") -> Callable[[Box], None]:
    return lambda box: answers(box, lambda: Reply(status=status, text=text))


@pytest.mark.parametrize(
    ("breaks", "code", "says"),
    [
        (engine_is(status="exited", exit_code=1), "engine-exited", ""),
        (engine_is(status="paused"), "stack-not-running", "is paused"),
        (engine_is(health="starting"), "engine-not-ready", ""),
        (gone, "stack-not-running", "has no engine container"),
        (loading, "engine-not-ready", ""),
        (refusing(404), "engine-not-ready", "/metrics says HTTP 404"),
        (refusing(401), "engine-not-ready", "/metrics says HTTP 401"),
        (refusing(0), "engine-not-ready", "/metrics says no answer"),
        (refusing(200, "<html>"), "engine-not-ready", "/metrics says no figure that is known"),
    ],
)
def test_without_the_engine_s_figures_the_containers_are_told_and_why(
    stack: Box,
    capsys: pytest.CaptureFixture[str],
    breaks: Callable[[Box], None],
    code: str,
    says: str,
) -> None:
    breaks(stack)
    begun = stack.clock.now()
    found = envelope(stack, capsys, code=6)
    assert stack.clock.now() - begun < 2, "nobody waits for rates that will not come"
    assert (found["status"], found["exit_code"]) == ("degraded", 6)
    (fault,) = found["errors"]
    assert (fault["code"], fault["where"]) == (code, "engine")
    assert says in fault["message"]
    assert fault["hint"]
    data = found["data"]
    assert set(data) == KEYS
    assert (data["engine"], data["window"], data["since_start"]) == (None, None, None)
    webui = {service["service"]: service for service in data["services"]}["webui"]
    assert webui["memory_bytes"] == 500 * 1024**2
    assert deployctl(stack, "metrics") == 6
    seen = capsys.readouterr()
    assert seen.out.startswith("Stack deployctl: the engine tells nothing\n")
    assert "500 MiB" in seen.out
    assert f"[{code}]" in seen.err


def test_a_stack_without_containers_has_no_figures(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.docker.states.clear()
    assert deployctl(stack, "metrics") == 6
    err = capsys.readouterr().err
    assert "is down: it has no containers, so there is nothing to measure." in err
    assert "next:  deployctl up --profile smoke" in err


def test_a_name_that_no_stack_has(stack: Box, capsys: pytest.CaptureFixture[str]) -> None:
    stack.docker.states.clear()
    assert deployctl(stack, "metrics", "--stack", "nosuch") == 5
    assert "[stack-unknown]" in capsys.readouterr().err


def test_an_engine_that_began_anew_in_between_has_no_window(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = iter((LLAMA_CPP, LLAMA_CPP.replace(" 315", " 0")))
    answers(stack, lambda: Reply(status=200, text=next(texts)))
    data = envelope(stack, capsys)["data"]
    assert data["window"] is None
    assert data["since_start"]["generated_tokens"] == 0
    texts = iter((LLAMA_CPP, LLAMA_CPP.replace(" 315", " 0")))
    assert deployctl(stack, "metrics") == 0
    assert "it began anew" in capsys.readouterr().out


# ── again and again ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("interval", ["inf", "1e12", "3600.1", "nan", "-inf", "0.1", "soon"])
@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_an_interval_that_nobody_could_wait_for_is_a_slip(
    stack: Box, capsys: pytest.CaptureFixture[str], interval: str, watch: tuple[str, ...]
) -> None:
    begun = stack.clock.now()
    assert deployctl(stack, "metrics", f"--interval={interval}", *watch) == 2
    assert stack.clock.now() == begun
    assert "--interval" in capsys.readouterr().err


def test_watching_is_a_line_each(stack: Box, capsys: pytest.CaptureFixture[str]) -> None:
    with_clock(stack, Until(3))
    assert deployctl(stack, "metrics", "--watch", "--interval", "4") == 130
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "Z last 4.0 s: 1 running, 2 waiting · generated 40.0 tokens/s" in line
        assert "engine 200 MiB of 448 MiB, 1.50 CPUs" in line
    assert isinstance(stack.http, Counting)
    assert stack.http.asked == 4, "each look is the first of the next window too"


def test_watching_goes_on_while_the_engine_is_away(
    stack: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    def then(left: int) -> None:
        panel(stack).engine_silent = left in (3, 2)

    with_clock(stack, Until(5, then))
    assert deployctl(stack, "metrics", "--watch", "--output", "json") == 130
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["exit_code"], one["data"]["window"] is None) for one in found] == [
        (0, False),
        (6, True),
        (6, True),
        (0, True),  # the look before told nothing
        (0, False),
    ]
    assert {one["command"] for one in found} == {"metrics"}
    assert [len(one["errors"]) for one in found] == [0, 1, 1, 0, 0]
    assert all(set(one["data"]) == KEYS for one in found)


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0079, "7.9 ms"), (0.42, "420 ms"), (1.349, "1.35 s"), (12.3, "12 s"), (0.0, "0.0 ms")],
)
def test_short_times(value: float, told: str) -> None:
    assert seconds(value) == told
