"""``eval`` on the command line: what it prints, what it keeps, and every way it can end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl import extras
from deployctl.evals import judge
from deployctl.loopback import Reply
from deployctl.outcomes import Command, CommandResult
from deployctl.secret import Secret
from tests.cli.commandline import deployctl
from tests.fakes import FakeRunner, ok
from tests.world import Box

#: Problem → its right answer.
KEYS = {"What is 1+1?": "2", "What is half of 1?": r"\frac12", "What is 2x+x?": "3x"}

Answer = Callable[[dict[str, Any]], Reply]


class Runner(FakeRunner):
    """The fake one, which plays the program that compares answers with that program's own words."""

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        if command.label != "math-verify":
            return super().run(command, on_line=on_line)
        pairs = [json.loads(line) for line in (command.stdin or "").splitlines()]
        told = [json.dumps(judge.same(pair["gold"], pair["answer"])) for pair in pairs]
        return ok(command, "\n".join((judge.READY, *told)))


class Engine:
    """Plays the engine behind a box's HTTP: keeps what it was asked, says what it is told to."""

    def __init__(self, box: Box, answer: Answer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer = answer
        self._box, self._decoded = box, 0
        self.metrics = ""
        self.props: dict[str, Any] = {}
        self.tokens: int | None = None  # of every prompt; None: it does not count
        self.counting: list[tuple[str, Any]] = []
        self.working: threading.Event | None = None  # set once it was seen at work
        self._before, self._streamed = box.http.call, box.http.stream
        box.http.call = self.call  # type: ignore[method-assign]
        box.http.stream = self.stream  # type: ignore[method-assign]

    def call(
        self, url: str, *, token: Secret | None = None, body: Any = None, timeout_s: float
    ) -> Reply:
        if url.endswith(("/apply-template", "/tokenize")) and self.tokens is not None:
            self.counting.append((url.rpartition("/")[2], body))
            if url.endswith("/tokenize"):
                return Reply(status=200, text=json.dumps({"tokens": [0] * self.tokens}))
            asked = body["messages"][0]["content"].partition("\n")[0]
            return Reply(status=200, text=json.dumps({"prompt": f"<user>{asked}"}))
        if url.endswith("/metrics") and self.working is not None:
            return self._at_work()
        if url.endswith("/metrics") and self.metrics:
            return Reply(status=200, text=self.metrics)
        if url.endswith("/props"):
            return Reply(status=200, text=json.dumps(self.props))
        return self._before(url, token=token, body=body, timeout_s=timeout_s)

    def _at_work(self) -> Reply:
        """It wrote more since it was looked at the last time."""
        self._decoded += 1
        if self._decoded == 3:
            self.working.set()  # type: ignore[union-attr]
        else:
            self._box.clock.seconds += 300
        return Reply(status=200, text=f"llamacpp:n_decode_total {self._decoded}\n")

    def stream(self, url: str, *, token: Secret, body: Any, timeout_s: float) -> Iterator[str]:
        if not url.endswith("/v1/chat/completions"):
            yield from self._streamed(url, token=token, body=body, timeout_s=timeout_s)
            return
        self.asked.append(body)
        reply = self.answer(body)
        if reply.status != 200:
            raise OSError(f"HTTP {reply.status}: {reply.text}" if reply.status else reply.text)
        (choice,) = reply.data["choices"]
        for name, value in choice["message"].items():
            yield json.dumps({"choices": [{"delta": {name: value}}]})
        yield json.dumps({"choices": [{"delta": {}, "finish_reason": choice["finish_reason"]}]})
        yield json.dumps({"choices": [], "usage": reply.data["usage"]})
        yield "[DONE]"

    @property
    def questions(self) -> list[str]:
        return [body["messages"][0]["content"].partition("\n")[0] for body in self.asked]


def said(text: str, finish: str = "stop", **message: Any) -> Reply:
    data = {
        "choices": [{"message": {"content": text, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 30},
    }
    return Reply(status=200, text=json.dumps(data))


def well(body: dict[str, Any]) -> Reply:
    """Answer as a model that knows everything, each time in other words."""
    return said(
        rf"So it is \boxed{{{KEYS[body['messages'][0]['content'].partition(chr(10))[0]]}}}."
    )


@pytest.fixture
def up(box: Box, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Box:
    box.runner = Runner(box.docker)
    assert deployctl(box, "up", "--profile", "smoke") == 0
    capsys.readouterr()
    dataset(tmp_path)
    return box


@pytest.fixture
def engine(up: Box) -> Engine:
    return Engine(up, well)


def dataset(folder: Path, **changed: str) -> str:
    keys = {**KEYS, **dict(zip(KEYS, changed.values(), strict=False))}
    lines = (
        json.dumps(
            {"problem": q, "answer": a, "subject": "Algebra", "level": n, "unique_id": f"t/{n}"}
        )
        for n, (q, a) in enumerate(keys.items(), 1)
    )
    path = folder / "set.jsonl"
    path.write_text("\n".join(lines))
    return str(path)


def math(box: Box, *more: str) -> int:
    return deployctl(box, "eval", "math", "--dataset", str(box.home / "set.jsonl"), *more)


def envelope(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# ── what comes of it ──────────────────────────────────────────────────────────────────────────


def test_text_has_both_rates_with_their_intervals(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert math(up) == 0
    out = capsys.readouterr().out
    for part in (
        "chain complete    3 of 3      100%  (44% to 100%)",
        "answer right      3 of 3      100%  (44% to 100%)",
        "cut off           0 of 3",
        "30 on average · median 30 · 90 in all",
        "temperature 0.2 · top_p 0.9 · at most 512 tokens · seed 1 · one at a time",
        "1 1/1 · 2 1/1 · 3 1/1",
        "Algebra 3/3",
        "of problems like these.",
    ):
        assert part in out
    assert "no random sample" not in out
    assert math(up, "--n", "2") == 0
    assert "no random sample" in capsys.readouterr().out


def test_json_has_everything_and_its_keys_stay(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert math(up, "--output", "json", "--n", "2", "--max-tokens", "99", "--seed", "7") == 0
    found = envelope(capsys)
    assert (found["command"], found["status"], found["errors"]) == ("eval math", "ok", [])
    data = found["data"]
    assert set(data) == {
        *("kind", "stack", "status", "model", "served_name", "engine"),
        *("dataset", "dataset_sha256", "problems", "asked", "answered", "kept", "complete"),
        *("rates", "truncated", "tokens", "unjudged", "subjects", "levels"),
        *("refused", "too_long", "broken"),
        *("sampling", "max_tokens", "seed", "at_once", "reasons", "seconds", "answer_seconds"),
        *("rows_file", "warnings", "again", "results"),
    }
    assert set(data["rates"]) == {"complete", "right"}
    assert set(data["rates"]["right"]) == {"hits", "of", "share", "low", "high"}
    assert (data["problems"], data["asked"], data["answered"]) == (3, 2, 2)
    assert data["again"].endswith("--n 2 --dataset " + str(up.home / "set.jsonl") +
                                  " --max-tokens 99 --seed 7")  # fmt: skip
    first = data["results"][0]
    assert (first["id"], first["boxed"], first["expected"], first["right"]) == (
        *("t/1", "2", "2", True),
    )
    body = engine.asked[0]
    assert (body["model"], body["max_tokens"], body["cache_prompt"]) == ("smollm2-135m", 99, False)
    assert (body["temperature"], body["top_p"]) == (0.2, 0.9)
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert len({asked["seed"] for asked in engine.asked}) == 2


def test_a_wrong_answer_key_changes_the_score_and_asks_anew(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert math(up, "--output", "json") == 0
    assert envelope(capsys)["data"]["rates"]["right"]["hits"] == 3
    dataset(up.home, first="2", second=r"\frac13")
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["rates"]["right"]["hits"], data["rates"]["complete"]["hits"]) == (2, 3)
    assert [one["right"] for one in data["results"]] == [True, False, True]
    assert data["kept"] == 0


# ── going on ──────────────────────────────────────────────────────────────────────────────────


def test_a_second_run_asks_only_what_is_missing(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert math(up, "--n", "2") == 0
    assert math(up, "--output", "json") == 0
    assert engine.questions == list(KEYS)
    captured = capsys.readouterr()
    data = json.loads(captured.out[captured.out.index("{") :])["data"]
    assert (data["kept"], data["answered"]) == (2, 3)
    assert "2 of 3 answers are there from an earlier run" in " ".join(up.talk.said)
    assert math(up) == 0
    assert len(engine.asked) == 3


@pytest.mark.parametrize(
    "other", [("--seed", "2"), ("--max-tokens", "100"), ("--concurrency", "2")]
)
def test_answers_to_another_question_are_not_mixed_in(
    up: Box, engine: Engine, other: tuple[str, str]
) -> None:
    assert math(up) == 0
    assert math(up, *other) == 0
    assert len(engine.asked) == 6
    assert math(up) == 0
    assert len(engine.asked) == 6


def test_another_model_answers_for_itself(up: Box, engine: Engine) -> None:
    assert math(up) == 0
    up.weights.identity = "2-2"
    assert deployctl(up, "up", "--profile", "smoke") == 0
    assert math(up) == 0
    assert len(engine.asked) == 6


@pytest.mark.parametrize("changed", [{"cpu_model": "another"}, {"physical_cores": 3}])
def test_another_machine_answers_for_itself(
    up: Box, engine: Engine, changed: dict[str, Any]
) -> None:
    assert math(up) == 0
    up.facts.facts = replace(up.facts.facts, **changed)
    assert deployctl(up, "up", "--profile", "smoke") == 0
    assert math(up) == 0
    assert len(engine.asked) == 6


def test_again_begins_anew_and_deletes_nothing(up: Box, engine: Engine) -> None:
    for _ in range(3):
        assert math(up, "--again") == 0
    assert len(engine.asked) == 9
    kept = sorted(path.name.partition(".")[2] for path in (up.home / "evals").glob("*.jsonl"))
    assert kept == ["jsonl", "old-1.jsonl", "old-2.jsonl"]


def test_a_row_that_was_cut_short_is_asked_again(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert math(up) == 0
    (path,) = (up.home / "evals").glob("*.jsonl")
    text = path.read_text()
    path.write_text(text[: len(text) - 40])
    capsys.readouterr()
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["kept"], data["answered"], data["rates"]["right"]["hits"]) == (2, 3, 3)
    assert "is damaged" in data["warnings"][0]
    assert engine.questions == [*KEYS, "What is 2x+x?"]


def test_several_at_once_answer_the_same(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    both = threading.Barrier(3, timeout=20)

    def together(body: dict[str, Any]) -> Reply:
        both.wait()
        return well(body)

    engine.answer = together
    assert math(up, "--concurrency", "3", "--output", "json") == 0
    assert envelope(capsys)["data"]["rates"]["right"]["hits"] == 3


# ── ends ──────────────────────────────────────────────────────────────────────────────────────


def at_the_third(end: Answer, engine: Engine) -> None:
    engine.answer = lambda body: well(body) if len(engine.asked) < 3 else end(body)


def test_an_engine_that_dies_is_exit_6_with_what_there_is(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(_body: object) -> Reply:
        up.http.engine_ready = False
        return Reply(status=0, text="Connection reset by peer")

    at_the_third(die, engine)
    assert math(up, "--output", "json") == 6
    found = envelope(capsys)
    assert (found["status"], found["data"]["answered"]) == ("degraded", 2)
    assert found["data"]["complete"] is False
    (error,) = found["errors"]
    assert error["code"].startswith("engine-")
    assert "2 of 3 answers are kept" in "\n".join(error["details"])
    assert found["data"]["again"] in error["details"][-1]
    up.http.engine_ready = True
    engine.answer = well
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["kept"], data["rates"]["right"]["hits"]) == (2, 3)


def test_a_connection_that_breaks_once_is_no_end(up: Box, engine: Engine) -> None:
    broken = [Reply(status=0, text="reset")]
    engine.answer = lambda body: broken.pop() if broken else well(body)
    assert math(up) == 0
    assert len(engine.asked) == 4


def test_an_engine_that_answers_nobody_any_more_is_an_end(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    at_the_third(lambda _body: Reply(status=401, text='{"error":"Unauthorized"}'), engine)
    assert math(up) == 6
    captured = capsys.readouterr()
    assert captured.out.startswith("PARTIAL: eval math")
    assert "[chat-failed]" in captured.err
    assert "The engine runs and refuses to answer: HTTP 401." in captured.err
    assert "HTTP 401: Unauthorized" in captured.err


def test_ctrl_c_is_130_and_shows_what_there_is(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_body: object) -> Reply:
        raise KeyboardInterrupt

    at_the_third(interrupt, engine)
    assert math(up) == 130
    captured = capsys.readouterr()
    assert captured.out.startswith("PARTIAL: eval math")
    assert "answer right      2 of 2" in captured.out
    assert "Interrupted after 2 of 3 answers, which are kept." in captured.err
    assert f"next:  deployctl eval math --dataset {up.home / 'set.jsonl'}" in captured.err
    engine.answer = well
    assert math(up) == 0
    assert len(engine.asked) == 4


def test_a_question_that_the_engine_refuses_is_counted_as_that(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = Reply(status=400, text='{"error":{"message":"exceeds the available context size"}}')
    at_the_third(lambda _body: refusal, engine)
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["answered"], data["rates"]["right"]["of"], data["complete"]) == (2, 2, True)
    assert data["refused"] == [
        {"id": "t/3", "said": "HTTP 400: exceeds the available context size"}
    ]
    assert math(up) == 0
    assert "the engine refused t/3: HTTP 400: exceeds" in capsys.readouterr().out
    assert len(engine.asked) == 3  # it would refuse it again


def test_an_answer_that_the_engine_cannot_read_is_asked_again_next_time(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = Reply(status=500, text='{"error":{"message":"Failed to parse input"}}')
    at_the_third(lambda _body: refusal, engine)
    assert math(up) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "not read 1, counted as wrong: the engine could not read what its model wrote" in out
    assert "t/3: HTTP 500: Failed to parse input" in out
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["refused"], [one["id"] for one in data["broken"]]) == ([], ["t/3"])
    rates = data["rates"]
    assert [(rates[name]["hits"], rates[name]["of"]) for name in rates] == [(2, 3), (2, 3)]
    assert (data["kept"], data["answered"]) == (2, 3)
    engine.answer = well
    assert math(up, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["kept"], data["rates"]["right"]["hits"]) == (2, 3)


def test_calls_that_the_engine_cannot_read_do_not_raise_the_models_rate(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    good = said("", "tool_calls", tool_calls=[call])
    broken = Reply(status=500, text='{"error":{"message":"Failed to parse input"}}')
    engine.answer = lambda _body: good if len(engine.asked) == 1 else broken
    assert deployctl(up, "eval", "tools", "--output", "json") == 0
    data = envelope(capsys)["data"]
    valid, right = data["rates"]["valid"], data["rates"]["right"]
    assert (valid["hits"], valid["of"], right["hits"], right["of"]) == (1, 17, 1, 20)
    assert data["results"][-1]["fault"] == "HTTP 500: Failed to parse input"


def test_what_will_be_asked_again_is_not_called_kept(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def then_interrupt(_body: object) -> Reply:
        if len(engine.asked) < 3:
            return Reply(status=500, text='{"error":{"message":"Failed to parse input"}}')
        raise KeyboardInterrupt

    engine.answer = then_interrupt
    assert math(up) == 130
    assert "Interrupted after 0 of 3 answers, which are kept." in capsys.readouterr().err


def test_a_question_without_room_for_its_answer_is_not_asked(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.tokens = 1980
    assert math(up, "--max-tokens", "2000", "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (engine.asked, data["answered"], data["refused"]) == ([], 0, [])
    assert data["too_long"][0] == {
        "id": "t/1",
        "said": "it has 1980 tokens, and the context of 2048 leaves no room for an answer",
    }
    assert math(up, "--max-tokens", "2000") == 0
    assert "not asked 3, not counted: too long for the context: t/1" in " ".join(
        capsys.readouterr().out.split()
    )
    engine.tokens = 1700
    assert math(up, "--max-tokens", "1999") == 0
    assert [body["max_tokens"] for body in engine.asked] == [348] * 3
    assert [path for path, _ in engine.counting[:2]] == ["apply-template", "tokenize"]
    assert engine.counting[1][1]["content"] == "<user>What is 1+1?"
    assert {body["max_tokens"] for body in engine.asked} == {348}


def test_an_engine_that_does_not_count_is_asked_all_the_same(up: Box, engine: Engine) -> None:
    assert math(up, "--max-tokens", "2000") == 0
    assert all(128 <= body["max_tokens"] <= 2000 for body in engine.asked)
    assert len(engine.asked) == 3


def test_an_engine_that_hangs_without_closing_is_an_end(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    given_up = threading.Event()

    def hang(_body: object) -> Reply:
        up.clock.seconds += 700
        given_up.wait(20)
        return Reply(status=0, text="closed")

    at_the_third(hang, engine)
    try:
        assert math(up, "--output", "json") == 6
    finally:
        given_up.set()
    found = envelope(capsys)
    assert found["data"]["answered"] == 2
    assert found["errors"][0]["code"] == "engine-hung"
    assert "2 of 3 answers are kept" in "\n".join(found["errors"][0]["details"])


def test_an_engine_that_is_dead_behind_an_open_connection_is_found_soon(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    given_up = threading.Event()

    def die(_body: object) -> Reply:
        up.http.engine_ready = False
        up.clock.seconds += 31
        given_up.wait(20)
        return Reply(status=0, text="closed")

    at_the_third(die, engine)
    try:
        assert math(up, "--output", "json") == 6
    finally:
        given_up.set()
    (error,) = envelope(capsys)["errors"]
    assert error["code"] == "engine-not-ready"


def test_an_engine_that_works_for_others_does_not_hang(up: Box, engine: Engine) -> None:
    waiting = threading.Event()

    def slow(body: dict[str, Any]) -> Reply:
        engine.working = waiting
        up.clock.seconds += 40
        waiting.wait(20)
        return well(body)

    at_the_third(slow, engine)
    assert math(up) == 0
    assert waiting.is_set()


def test_without_a_stack_nothing_is_asked(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "eval", "math") == 5
    assert "[stack-unknown]" in capsys.readouterr().err


def test_of_a_stack_that_is_down_the_way_up_is_said(
    up: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "down") == 0
    capsys.readouterr()
    assert math(up, "--output", "json") == 6
    assert envelope(capsys)["errors"][0]["code"] == "stack-not-running"


@pytest.mark.parametrize(
    ("content", "code"),
    [("", "has no problem in it"), ("{}\n[]\nnot json", "Line 3 of the dataset cannot be used")],
)
def test_a_dataset_that_is_none_is_exit_3(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str], content: str, code: str
) -> None:
    (up.home / "set.jsonl").write_text(content)
    assert math(up) == 3
    assert code in capsys.readouterr().err
    assert engine.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        ("--n", "0"),
        ("--n", "many"),
        ("--concurrency", "0"),
        ("--max-tokens", "0"),
        ("--seed", "-1"),
    ],
)
def test_wrong_options_are_exit_2(up: Box, engine: Engine, wrong: tuple[str, str]) -> None:
    assert math(up, *wrong) == 2
    assert engine.asked == []


def test_a_second_eval_of_the_same_is_told_who_is_at_it(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    inner: list[int] = []

    def beside(body: dict[str, Any]) -> Reply:
        if not inner:
            inner.append(math(up))
        return well(body)

    engine.answer = beside
    assert math(up) == 0
    assert inner == [5]
    assert "[journal-busy]" in capsys.readouterr().err


def test_somebody_else_at_the_engine_is_said(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(body: dict[str, Any]) -> Reply:
        engine.metrics = METRICS.format(tokens=5000)
        return well(body)

    engine.metrics, engine.answer = METRICS.format(tokens=10), busy
    assert math(up, "--output", "json") == 0
    assert (
        "Others asked this engine meanwhile (4900 tokens)"
        in envelope(capsys)["data"]["warnings"][0]
    )
    engine.answer = well
    assert math(up, "--output", "json") == 0  # nothing is asked, and they are what they are
    (again,) = envelope(capsys)["data"]["warnings"]
    assert "Others asked this engine meanwhile (4900 tokens)" in again


def test_somebody_else_is_noticed_in_a_run_that_was_ended(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_body: object) -> Reply:
        engine.metrics = METRICS.format(tokens=5000)
        raise KeyboardInterrupt

    engine.metrics = METRICS.format(tokens=10)
    at_the_third(interrupt, engine)
    assert math(up, "--output", "json") == 130
    # 60 tokens are of our two answers, and up to 512 of the third.
    assert "(4418 tokens)" in envelope(capsys)["data"]["warnings"][0]


def test_tokens_of_our_own_attempts_are_not_somebody_elses(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [Reply(status=0, text="reset")]

    def flaky(body: dict[str, Any]) -> Reply:
        engine.metrics = METRICS.format(tokens=10 + 400 + 90)  # 400 of the one that broke off
        return broken.pop() if broken else well(body)

    engine.metrics, engine.answer = METRICS.format(tokens=10), flaky
    assert math(up, "--output", "json") == 0
    assert envelope(capsys)["data"]["warnings"] == []


def test_an_engine_that_tells_its_figures_only_later_warns_of_nobody(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def later(body: dict[str, Any]) -> Reply:
        engine.metrics = METRICS.format(tokens=5000)
        return well(body)

    engine.answer = later
    assert math(up, "--output", "json") == 0
    assert envelope(capsys)["data"]["warnings"] == []


METRICS = (
    "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n"
    "llamacpp:tokens_predicted_total {tokens}\n"
)


# ── tools and objects ─────────────────────────────────────────────────────────────────────────


def test_tools_counts_valid_and_right_calls(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    engine.answer = lambda _body: said("", "tool_calls", tool_calls=[call])
    engine.props = {"chat_template_caps": {"supports_tools": False}}
    assert deployctl(up, "eval", "tools", "--n", "2", "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["rates"]["valid"]["hits"], data["rates"]["right"]["hits"]) == (2, 1)
    assert data["results"][1]["fault"].startswith('city is “"Oslo"”')
    assert "no place for tools" in data["warnings"][0]
    assert engine.asked[0]["tools"][0]["function"]["name"] == "get_weather"


def test_vllm_without_a_parser_refuses_tools_and_the_way_is_said(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "up", "--profile", "smoke-vllm") == 0
    engine = Engine(box, well)
    capsys.readouterr()
    assert deployctl(box, "eval", "tools") == 2
    err = capsys.readouterr().err
    assert "[tools-off]" in err
    assert "--set model.tools=true" in err
    assert engine.asked == []


def test_json_counts_objects_asked_for_in_words_and_held_to_the_schema(
    up: Box, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    city = '{"name": "Paris", "country": "France", "capital": true}'
    engine.answer = lambda body: (
        said(city) if "response_format" in body else said("Paris is", "length")
    )
    assert deployctl(up, "eval", "json", "--n", "1") == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "asked in words 0 of 1 0% (0% to 79%)" in lines
    assert "held to the schema 1 of 1 100% (21% to 100%)" in lines
    assert "cut off 1 of 2 50% (9% to 91%)" in lines
    assert "json/01: it is no JSON: “Paris is”" in out


def test_without_the_extra_the_way_to_it_is_said(
    up: Box,
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(extras.MODULES, "eval", ("no_such_module",))
    assert math(up) == 5
    err = capsys.readouterr().err
    assert "[extra-missing]" in err
    assert "pip install 'deployctl[eval]'" in err
    assert engine.asked == []


def test_a_model_that_thinks_has_to_end_its_thoughts(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.runner = Runner(box.docker)
    box.http.served_name = "deepseek-r1-1.5b"
    assert deployctl(box, "up", "--profile", "cpu-only") == 0
    capsys.readouterr()
    dataset(box.home)
    engine = Engine(box, well)
    with_thoughts = {"reasoning_content": "Hm."}
    engine.answer = lambda body: (
        said(r"\boxed{2}", **with_thoughts) if len(engine.asked) == 1 else well(body)
    )
    assert math(box, "--output", "json") == 0
    data = envelope(capsys)["data"]
    assert (data["reasons"], data["max_tokens"]) == (True, 4096)
    assert (data["rates"]["complete"]["hits"], data["rates"]["right"]["hits"]) == (1, 3)
