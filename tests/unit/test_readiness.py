import json
from collections.abc import Iterator
from typing import Any

import pytest

from deployctl.errors import DeployctlError
from deployctl.model import Secret
from deployctl.readiness import (
    Endpoints,
    Probe,
    Reply,
    probe_engine,
    probe_frontend,
    prove,
    trouble,
    wait,
)
from tests.fakes import FakeClock, FakeHttp, container

AT = Endpoints(
    webui="http://127.0.0.1:7860",
    engine="http://127.0.0.1:8000",
    served_name="smollm2-135m",
    engine_key=Secret("k"),
    admin_email="a@b.invalid",
    admin_password=Secret("p"),
)


def answer(http: FakeHttp, *, reasoning: bool = False) -> str:
    return prove(http, AT, clock=FakeClock(), deadline_s=60, reasoning=reasoning).text


class Streaming(FakeHttp):
    def __init__(self, *events: str) -> None:
        super().__init__()
        self.events = events

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        yield from self.events


def test_engine_is_ready_only_with_our_model() -> None:
    http = FakeHttp()
    assert probe_engine(http, AT) == Probe(ok=True, seen="serves smollm2-135m")
    http.served_name = "other"
    assert probe_engine(http, AT) == Probe(ok=False, seen="serves other")
    http.engine_ready = False
    assert probe_engine(http, AT) == Probe(ok=False, seen="HTTP 503: Loading model")


def test_frontend_is_ready_when_it_says_so() -> None:
    http = FakeHttp()
    assert probe_frontend(http, AT).ok
    http.frontend_ready = False
    assert not probe_frontend(http, AT).ok


def test_proof_is_an_answer_through_the_ui() -> None:
    http = FakeHttp()
    assert answer(http) == "Hello there."
    assert http.calls == [
        "http://127.0.0.1:7860/api/v1/auths/signin",
        "http://127.0.0.1:7860/api/models",
        "http://127.0.0.1:7860/api/chat/completions",
    ]


def test_an_empty_answer_proves_nothing() -> None:
    with pytest.raises(DeployctlError, match="empty answer"):
        answer(FakeHttp(answer=""))


def test_a_model_that_is_not_listed_is_named() -> None:
    http = FakeHttp()
    http.listed = False
    with pytest.raises(DeployctlError, match="does not list model smollm2-135m; it lists: none"):
        answer(http)


def test_both_names_for_thoughts_are_understood() -> None:
    for name in ("reasoning", "reasoning_content"):
        http = Streaming(
            json.dumps({"choices": [{"delta": {name: "hm"}}]}),
            '{"choices":[{"delta":{"content":"Hi."}}]}',
            '{"choices":[]}',
            "[DONE]",
        )
        assert answer(http, reasoning=True) == "Hi."


def test_thoughts_alone_are_no_answer() -> None:
    http = Streaming('{"choices":[{"delta":{"reasoning":"hm"}}]}')
    with pytest.raises(DeployctlError, match="thought for 2 characters but gave no answer"):
        answer(http, reasoning=True)


def test_an_error_in_the_stream_is_shown() -> None:
    http = Streaming('{"error":{"message":"context exceeded"}}')
    with pytest.raises(DeployctlError) as refused:
        answer(http)
    assert "context exceeded" in refused.value.faults[0].details[0]


def test_waiting_ends_at_the_deadline_with_the_last_sight() -> None:
    clock = FakeClock()
    last = wait(
        lambda: Probe(ok=False, seen="does not answer yet"),
        lambda: None,
        clock=clock,
        deadline_s=3,
    )
    assert last.seen == "does not answer yet"
    assert 3 <= clock.now() < 3.2


def test_waiting_looks_and_may_be_ended() -> None:
    def dead() -> None:
        raise DeployctlError("dead", code="engine-exited", hint="logs")

    with pytest.raises(DeployctlError, match="dead"):
        wait(lambda: Probe(ok=False, seen=""), dead, clock=FakeClock(), deadline_s=60)


def test_changes_are_told_once() -> None:
    seen: list[str] = []
    sights = iter(["a", "a", "b"])
    wait(
        lambda: Probe(ok=(s := next(sights)) == "b", seen=s),
        lambda: None,
        clock=FakeClock(),
        deadline_s=9,
        on_change=seen.append,
    )
    assert seen == ["a"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"status": "created"}, None),
        ({"status": "exited", "exit_code": 1}, "stopped with exit code 1"),
        ({"status": "restarting", "exit_code": 1}, "keeps restarting (exit code 1, 0 restarts)"),
        ({"restarts": 2}, "keeps restarting (exit code 0, 2 restarts)"),
        ({"oom_killed": True}, "was killed because it needed more memory than its limit"),
    ],
)
def test_trouble(changes: dict[str, Any], said: str | None) -> None:
    assert trouble(container("engine", **changes)) == said


def test_a_reply_that_is_not_json_has_no_data() -> None:
    assert Reply(status=200, text="<html>").data is None
