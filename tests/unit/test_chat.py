"""A reply read event by event, and the recipe of ``chat`` over fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.chat import Asked, Message, ask, connect
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError
from deployctl.profiles.selection import Selection
from deployctl.reply import Piece, Reader, ReplyError
from deployctl.secret import Secret
from tests.world import Box

QUESTION = Asked(messages=(Message(role="user", content="Hi"),))


def delta(**fields: str) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def read(*payloads: str, raw: bool = False) -> tuple[Reader, list[Piece]]:
    reader = Reader(raw=raw)
    pieces = [piece for payload in payloads for piece in reader.event(payload)]
    return reader, [*pieces, *reader.end()]


# ── a reply, event by event ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_have_two_names(name: str) -> None:
    reader, pieces = read(delta(**{name: "Hm."}), delta(content="\n\nYes"), delta(content="."))
    assert (reader.reasoning, reader.answer) == ("Hm.", "Yes.")
    assert [piece.kind for piece in pieces] == ["reasoning", "answer", "answer"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_tags_are_found_however_they_are_cut(size: int) -> None:
    text = "<think>a < b, and </thin air></think>\n\nYes, <thinking> is a word."
    cut = [text[n : n + size] for n in range(0, len(text), size)]
    reader, pieces = read(*(delta(content=part) for part in cut))
    assert reader.reasoning == "a < b, and </thin air>"
    assert reader.answer == "Yes, <thinking> is a word."
    for kind, whole in (("reasoning", reader.reasoning), ("answer", reader.answer)):
        assert "".join(piece.text for piece in pieces if piece.kind == kind) == whole


def test_a_tag_that_only_began_is_text() -> None:
    reader, _ = read(delta(content="1 <"), delta(content="th"))
    assert reader.answer == "1 <th"


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    "text",
    [
        "Put thoughts between <think> and </think>, then answer.",
        "A lone </think> ends what <think> began.",
        "<thinking> is a word, <think> is a tag.",
    ],
)
@pytest.mark.parametrize("thoughts", ["", "Hm."])
def test_an_answer_about_tags_stays_whole(text: str, size: int, thoughts: str) -> None:
    cut = [text[n : n + size] for n in range(0, len(text), size)]
    first = (delta(reasoning_content=thoughts),) if thoughts else ()
    reader, pieces = read(*first, *(delta(content=part) for part in cut))
    assert (reader.reasoning, reader.answer) == (thoughts, text)
    assert "".join(piece.text for piece in pieces if piece.kind == "answer") == text


def test_behind_thoughts_of_the_engines_own_a_tag_is_a_word_even_first() -> None:
    reader, _ = read(delta(reasoning="Hm."), delta(content="<think> is a tag."))
    assert (reader.reasoning, reader.answer) == ("Hm.", "<think> is a tag.")


def test_behind_the_first_thoughts_a_tag_is_a_word() -> None:
    reader, _ = read(delta(content="<think>Hm.</think>Write <think>x</think>."))
    assert (reader.reasoning, reader.answer) == ("Hm.", "Write <think>x</think>.")


def test_thoughts_that_never_end_are_thoughts() -> None:
    reader, _ = read(delta(content="<think>Hm. </thi"))
    assert (reader.reasoning, reader.answer) == ("Hm. </thi", "")


def test_raw_leaves_everything_where_it_is() -> None:
    reader, _ = read(delta(content="\n<think>Hm.</think>Yes."), raw=True)
    assert (reader.reasoning, reader.answer) == ("", "\n<think>Hm.</think>Yes.")


def test_figures_are_the_engines_own() -> None:
    last = {"choices": [], "usage": {"completion_tokens": 3}, "timings": {"predicted_n": 3}}
    end = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    reader, pieces = read(json.dumps(end), json.dumps(last), "[DONE]", ": comment", "[]")
    assert pieces == []
    assert reader.finish_reason == "length"
    assert (reader.usage, reader.timings) == ({"completion_tokens": 3}, {"predicted_n": 3})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "out of slots"}, "out of slots"),
        ("gone", "gone"),
        ({"code": 1}, '{"code": 1}'),
    ],
)
def test_an_error_in_the_stream_is_one(error: object, said: str) -> None:
    with pytest.raises(ReplyError, match="^" + said.replace("{", r"\{") + "$"):
        list(Reader().event(json.dumps({"error": error})))


@pytest.mark.parametrize(
    "payload",
    ['{"choices": null}', '{"choices": [null]}', '{"choices": [{"delta": null}]}', "17", "{"],
)
def test_what_is_not_understood_is_passed_over(payload: str) -> None:
    assert read(payload)[1] == []


# ── the recipe ────────────────────────────────────────────────────────────────────────────────


class Stream:
    """What an engine answers to a question, and what it was asked."""

    def __init__(self, *payloads: str, problem: OSError | None = None) -> None:
        self.payloads, self.problem = payloads, problem
        self.bodies: list[Any] = []

    def __call__(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        self.bodies.append(body)
        yield from self.payloads
        if self.problem is not None:
            raise self.problem


END = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(home=tmp_path)
    up(made.world(), UpRequest(stack="s", selection=Selection(profile="smoke")))
    return made


def asked(box: Box, stream: Stream, what: Asked = QUESTION) -> str:
    box.http.stream = stream  # type: ignore[method-assign]
    world = box.world("chat")
    return ask(world, connect(world, "s"), what, lambda _piece: None, Reader()).answer


def test_an_answer_is_limited_as_in_the_chat_window(box: Box) -> None:
    stream = Stream(delta(content="Hello."), END)
    assert asked(box, stream) == "Hello."
    body = stream.bodies[0]
    assert body["max_tokens"] == 512
    assert body["stream_options"] == {"include_usage": True}
    assert "temperature" not in body  # the engine was started with the profile's
    more = Asked(messages=QUESTION.messages, max_tokens=7, temperature=0.0)
    asked(box, stream, more)
    assert (stream.bodies[1]["max_tokens"], stream.bodies[1]["temperature"]) == (7, 0.0)


TOO_LONG = [
    'HTTP 400: {"error":{"code":400,"message":"request (5031 tokens) exceeds the available '
    'context size (2048 tokens), try increasing it","type":"exceed_context_size_error"}}',
    'HTTP 400: {"error":{"message":"This model\'s maximum context length is 2048 tokens. However, '
    'your prompt contains at least 5031 input tokens","type":"BadRequestError"}}',
]


@pytest.mark.parametrize("said", TOO_LONG)
def test_a_conversation_that_is_too_long_names_the_context_that_would_do(
    box: Box, said: str
) -> None:
    with pytest.raises(DeployctlError) as caught:
        asked(box, Stream(problem=OSError(said)))
    (fault,) = caught.value.faults
    assert (fault.code, caught.value.exit_code) == ("chat-too-long", 2)
    # 5031 and an answer of 512, in whole 1024s
    assert "--set model.context=6144 --stack s" in fault.hint
    assert "{" not in fault.details[0]


def test_an_answer_that_breaks_off_is_a_failure(box: Box) -> None:
    for stream in (
        Stream(delta(content="Hel"), problem=OSError("connection reset")),
        Stream(delta(content="Hel")),
        Stream(json.dumps({"error": {"message": "slot lost"}})),
    ):
        with pytest.raises(DeployctlError) as caught:
            asked(box, stream)
        assert (caught.value.faults[0].code, caught.value.exit_code) == ("chat-failed", 6)


def test_a_broken_pipe_is_not_the_engines(box: Box) -> None:
    def gone(_piece: Piece) -> None:
        raise BrokenPipeError

    box.http.stream = Stream(delta(content="Hello"), END)  # type: ignore[method-assign]
    world = box.world("chat")
    with pytest.raises(BrokenPipeError):
        ask(world, connect(world, "s"), QUESTION, gone, Reader())


def test_an_engine_that_died_under_an_answer_is_said_to_have(box: Box) -> None:
    world = box.world("chat")
    line = connect(world, "s")
    box.http.stream = Stream(problem=OSError("reset"))  # type: ignore[method-assign]
    box.http.engine_ready = False
    with pytest.raises(DeployctlError) as caught:
        ask(world, line, QUESTION, lambda _piece: None, Reader())
    assert caught.value.faults[0].code.startswith("engine-")


def test_what_does_not_run_cannot_be_asked(box: Box) -> None:
    for name, why, code, exit_code in (
        ("nope", "There is no stack named nope.", "stack-unknown", 5),
        ("s", "is down", "stack-not-running", 6),
    ):
        box.docker.states.clear()
        with pytest.raises(DeployctlError) as caught:
            connect(box.world("chat"), name)
        (fault,) = caught.value.faults
        assert (fault.code, caught.value.exit_code) == (code, exit_code)
        assert why in fault.message
        assert fault.hint.startswith("deployctl up ")
        assert fault.hint.endswith(f"--stack {name}")


def test_speed_is_measured_here_where_the_engine_does_not_tell(box: Box) -> None:
    clock = box.clock

    def slow(url: str, **_: Any) -> Iterator[str]:
        for word in ("a", "b", "c"):
            clock.sleep(0.5)
            yield delta(content=word)
        yield json.dumps({"choices": [], "usage": {"completion_tokens": 3}})

    box.http.stream = slow  # type: ignore[method-assign]
    world = box.world("chat")
    report = ask(world, connect(world, "s"), QUESTION, lambda _piece: None, Reader())
    assert (report.timings.first_token_s, report.timings.seconds) == (0.5, 1.5)
    assert (report.timings.tokens_per_second, report.timings.measured_by) == (2.0, "deployctl")
