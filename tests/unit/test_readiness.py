import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployctl.errors import DeployctlError
from deployctl.loopback import Reply, RequestsHttp
from deployctl.readiness import (
    Endpoints,
    Probe,
    probe_engine,
    probe_frontend,
    prove,
    wait,
)
from deployctl.secret import Secret
from tests.fakes import FakeClock, FakeHttp

AT = Endpoints(
    stack="s",
    secrets_file="/s/secrets.json",
    webui="http://127.0.0.1:7860",
    engine="http://127.0.0.1:8000",
    served_name="smollm2-135m",
    engine_key=Secret("k"),
    admin_email="a@b.invalid",
    admin_password=Secret("p"),
    again="deployctl up --profile x --stack s",
)


def answer(http: FakeHttp, *, reasoning: bool = False, clock: FakeClock | None = None) -> str:
    proof, _session = prove(
        http, AT, clock=clock or FakeClock(), deadline_s=60, reasoning=reasoning, max_tokens=4096
    )
    return proof.text


class Streaming(FakeHttp):
    def __init__(self, *events: str) -> None:
        super().__init__()
        self.events = events

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        assert isinstance(body, dict)
        self.body, self.timeout_s = body, timeout_s
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
    first, then, *beside = http.calls
    assert first == "http://127.0.0.1:7860/api/v1/auths/signin"
    assert then == "http://127.0.0.1:7860/api/models"
    assert sorted(beside) == [
        "http://127.0.0.1:7860/api/chat/completions",
        "http://127.0.0.1:7860/api/v1/chats/c4at",
        "http://127.0.0.1:7860/api/v1/chats/new",
    ]


class Refusing(FakeHttp):
    """Answers one address with another status than usual."""

    def __init__(self, ending: str, status: int) -> None:
        super().__init__()
        self.ending, self.status = ending, status

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        reply = super().call(url, token=token, body=body, timeout_s=timeout_s)
        return Reply(status=self.status, text="") if url.endswith(self.ending) else reply


@pytest.mark.parametrize(("ending", "status"), [("/chats/new", 400), ("/chats/c4at", 500)])
def test_a_frontend_that_cannot_save_a_chat_is_not_ready(ending: str, status: int) -> None:
    http = Refusing(ending, status)
    with pytest.raises(DeployctlError, match=f"cannot save a chat .HTTP {status}") as refused:
        answer(http)
    (fault,) = refused.value.faults
    assert (fault.code, refused.value.exit_code) == ("chats-unsaved", 6)
    assert fault.hint == "deployctl logs webui --stack s"


@pytest.mark.parametrize("ending", ["/chats/new", "/chats/c4at"])
def test_no_answer_to_a_chat_that_is_saved_is_not_the_disks_fault(ending: str) -> None:
    with pytest.raises(DeployctlError, match="gave no answer to the saving of a chat") as refused:
        answer(Refusing(ending, 0))
    assert refused.value.faults[0].code == "frontend-not-ready"


def test_a_chat_that_cannot_be_saved_is_why_there_is_no_answer_either() -> None:
    http = FakeHttp(answer="")
    http.saves = False
    with pytest.raises(DeployctlError) as refused:
        answer(http)
    assert [fault.code for fault in refused.value.faults] == ["chats-unsaved"]


def test_models_that_cannot_be_listed_are_not_none() -> None:
    with pytest.raises(DeployctlError, match=r"did not list its models \(HTTP 500\)") as refused:
        answer(Refusing("/api/models", 500))
    assert refused.value.faults[0].code == "proof-failed"


def test_too_many_sign_ins_are_no_wrong_password() -> None:
    with pytest.raises(DeployctlError) as refused:
        answer(Refusing("/signin", 429))
    (fault,) = refused.value.faults
    assert (fault.code, fault.hint) == ("sign-in-limited", "sleep 180; deployctl status --stack s")
    with pytest.raises(DeployctlError) as refused:
        answer(Refusing("/signin", 400))
    (fault,) = refused.value.faults
    assert fault.code == "proof-failed"
    assert fault.hint.endswith(" of /s/secrets.json, then: deployctl up --profile x --stack s")


@pytest.mark.parametrize("status", [0, 502])
def test_no_answer_to_a_sign_in_is_no_wrong_password(status: int) -> None:
    with pytest.raises(DeployctlError) as refused:
        answer(Refusing("/signin", status))
    (fault,) = refused.value.faults
    assert (fault.code, fault.hint) == ("frontend-not-ready", "deployctl status --stack s")
    assert "password" not in fault.message


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
    with pytest.raises(
        DeployctlError, match="thought for 2 characters but gave no answer at the end"
    ):
        answer(http, reasoning=True)


@pytest.mark.parametrize(("reasoning", "tokens"), [(True, 4096), (False, 48)])
def test_a_model_that_thinks_may_use_all_its_tokens(reasoning: bool, tokens: int) -> None:
    http = Streaming('{"choices":[{"delta":{"content":"Hi."}}]}')
    answer(http, reasoning=reasoning)
    assert http.body["max_tokens"] == tokens


def test_the_deadline_is_for_the_whole_proof() -> None:
    clock = FakeClock()

    class Slow(Streaming):
        def call(
            self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
        ) -> Reply:
            if not url.endswith(("/chats/new", "/chats/c4at")):  # that is done beside the question
                clock.sleep(12)
            return super().call(url, token=token, body=body, timeout_s=timeout_s)

    http = Slow('{"choices":[{"delta":{"content":"Hi."}}]}')
    assert answer(http, clock=clock) == "Hi."
    assert http.timeout_s == 36


def test_a_stream_cut_off_at_the_deadline_is_no_broken_one() -> None:
    clock = FakeClock()

    class Endless(FakeHttp):
        def stream(
            self, url: str, *, token: Secret, body: object, timeout_s: float
        ) -> Iterator[str]:
            yield '{"choices":[{"delta":{"reasoning":"hm"}}]}'
            clock.sleep(timeout_s)
            raise OSError("connection closed")

    with pytest.raises(DeployctlError, match="thought for 2 characters but gave no answer in time"):
        answer(Endless(), clock=clock)


class Mute(BaseHTTPRequestHandler):
    """Begins a stream of events and never goes on."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"n": 1}\n\n')
        self.rfile.read(1 << 20)  # until the client hangs up

    def log_message(self, *_: object) -> None:
        pass


def test_a_stream_ends_when_its_time_is_up() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mute) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        try:
            events = RequestsHttp().stream(url, token=Secret("t"), body={}, timeout_s=0.2)
            assert list(events) == ['{"n": 1}']
        finally:
            server.shutdown()
            thread.join()


STRANGE = ["[1]", '"x"', "7", '{"data":null}', '{"data":7}', '{"data":[1,{"id":2}]}', "<html>"]


@pytest.mark.parametrize("text", STRANGE)
def test_a_strange_list_of_models_is_an_empty_one(text: str) -> None:
    class Strange(FakeHttp):
        def call(
            self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
        ) -> Reply:
            if url.endswith("/models"):
                return Reply(status=200, text=text)
            return super().call(url, token=token, body=body, timeout_s=timeout_s)

    assert probe_engine(Strange(), AT) == Probe(ok=False, seen="serves no model")
    with pytest.raises(DeployctlError, match="it lists: none"):
        answer(Strange())


@pytest.mark.parametrize(
    "event", ['{"choices":7}', '{"choices":[1]}', '{"choices":[{"delta":{"content":[1]}}]}', "[]"]
)
def test_a_strange_event_says_nothing(event: str) -> None:
    with pytest.raises(DeployctlError, match="empty answer"):
        answer(Streaming(event))


@pytest.mark.parametrize(
    "event", ['{"error":{"message":"context exceeded"}}', '{"detail":"context exceeded"}']
)
def test_an_error_in_the_stream_is_shown(event: str) -> None:
    with pytest.raises(DeployctlError) as refused:
        answer(Streaming(event))
    assert refused.value.faults[0].details == ("context exceeded",)


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


def test_it_looks_between_two_probes_and_probes_at_once_when_that_is_worth_while() -> None:
    clock = FakeClock()
    looked: list[float] = []
    sights = iter([False, True])

    def pause() -> float:
        return 0.5 if clock.now() < 0.2 else 0.02  # as where the log says that it listens

    found = wait(
        lambda: Probe(ok=next(sights), seen=""),
        lambda: looked.append(clock.now()),
        clock=clock,
        deadline_s=9,
        pause=pause,
    )
    assert found.ok
    assert looked == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert clock.now() == pytest.approx(0.2)


def test_the_pause_between_two_probes_may_become_shorter() -> None:
    clock = FakeClock()
    probed: list[float] = []

    def probe() -> Probe:
        probed.append(clock.now())
        return Probe(ok=len(probed) == 4, seen="")

    last = wait(
        probe,
        lambda: None,
        clock=clock,
        deadline_s=9,
        pause=lambda: 0.5 if len(probed) < 2 else 0.25,
    )
    assert last.ok
    assert clock.now() == 1.0


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (["Hello", " there.", " How"], "Hello there."),
        (["Hi.", " I", " am", " fine!", " Bye"], "Hi. I am fine!"),
        (["one", "\n", "two", "three"], "one\ntwo"),
        (["It is 3", ".5", " m", " high", "."], "It is 3.5 m high."),
    ],
)
def test_a_sentence_is_enough(content: list[str], read: str) -> None:
    http = Streaming(
        *(json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in content)
    )
    assert answer(http) == read


def test_what_is_being_done_is_told() -> None:
    said: list[str] = []
    http = Streaming(
        '{"choices":[{"delta":{"reasoning":"hm"}}]}',
        '{"choices":[{"delta":{"content":"Hi."}}]}',
    )
    prove(
        http,
        AT,
        clock=FakeClock(),
        deadline_s=60,
        reasoning=True,
        max_tokens=48,
        on_step=said.append,
    )
    assert said == ["signing in", "listing models", "asking", "thinking", "answering"]


def test_a_reply_that_is_not_json_has_no_data() -> None:
    assert Reply(status=200, text="<html>").data is None


def test_a_session_is_used_while_it_is_valid() -> None:
    http = FakeHttp()
    first = prove(http, AT, clock=FakeClock(), deadline_s=60, reasoning=False, max_tokens=48)[1]
    http.calls.clear()
    kept = prove(
        http, AT, clock=FakeClock(), deadline_s=60, reasoning=False, max_tokens=48, kept=first
    )
    assert kept[1] == first
    assert not any(call.endswith("/signin") for call in http.calls)
    stale = prove(
        http,
        AT,
        clock=FakeClock(),
        deadline_s=60,
        reasoning=False,
        max_tokens=48,
        kept=Secret("of another day"),
    )
    assert stale[1] == first
    assert any(call.endswith("/signin") for call in http.calls)
