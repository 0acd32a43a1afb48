"""The response cache in a stack: a repeated question costs nothing, and stays between two."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

#: The image may have to be built: some packages, on two cores.
PATIENCE_S = 600.0

CHAT = "/v1/chat/completions"

#: A repeated answer comes at least so many times as fast as the first.
FASTER = 20

CALCULATOR = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


class Cached:
    """A stack with the add-on, and questions that go through it."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.stack, self.port = stack, port

    def up(self, *more: str) -> Outcome:
        return self.stack.up("--with", "cache", "--set", f"addons.cache.port={self.port}", *more)

    def ask(
        self, body: object = None, *, path: str = CHAT, key: str | None = None
    ) -> requests.Response:
        return machine.http(
            "GET" if body is None else "POST",
            f"http://127.0.0.1:{self.port}{path}",
            token=self.stack.credentials()["API key"] if key is None else key,
            body=body,
            timeout_s=120,
        )

    def timed(self, body: object) -> tuple[requests.Response, float]:
        """An answer, and the seconds from the question to its last byte."""
        key = self.stack.credentials()["API key"]
        began = time.monotonic()
        answer = self.ask(body, key=key)
        return answer, time.monotonic() - began

    def said(self, body: object) -> str:
        """What the gateway says of a question that is answered."""
        answer = self.ask(body)
        assert answer.status_code == 200, answer.text
        return answer.headers["X-Cache"]

    def counted(self, result: str) -> int:
        name = f'deployctl_cache_requests_total{{result="{result}"}} '
        (line,) = (
            line for line in self.ask(path="/metrics").text.splitlines() if line.startswith(name)
        )
        return int(line.removeprefix(name))

    def there(self) -> bool:
        """Whether the gateway answers; Docker takes connections for it before it does."""
        try:
            return self.ask(path="/health").status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def container(self) -> str:
        found: str = self.stack.container("cache")["Id"]
        return found

    def inside(self, script: str) -> str:
        return machine.docker("exec", self.container, "sh", "-c", script)


def unique(**more: Any) -> dict[str, Any]:
    """A question that nobody asked before, at temperature 0, with a short answer."""
    content = f"Tell a story about {uuid.uuid4()}."
    messages = [{"role": "user", "content": content}]
    return {
        "model": "smollm2-135m",
        "messages": messages,
        "temperature": 0,
        "max_tokens": 8,
        **more,
    }


@pytest.fixture(scope="module")
def cached(new_stack: Callable[[str], Stack], images: None) -> Cached:
    """A smoke stack with the response cache, up and healthy."""
    stack = replace(new_stack("cache"), patience_s=PATIENCE_S)
    found = Cached(stack, machine.free_port())
    outcome = found.up()
    assert outcome.exit_code == 0, str(outcome)
    return found


def test_verify_covers_it(cached: Cached) -> None:
    own = ("cache-answers", "cache-hit", "cache-sampled-not-kept", "cache-key-required")
    ground = ("published-loopback", "no-egress", "hardening", "secrets-private", "healthchecks")
    only = ",".join((*own, *ground))
    outcome = cached.stack.product.run(
        *("verify", "--stack", cached.stack.name, "--only", only, "--quiet", "--output", "json")
    )
    checks = {each["name"]: each["status"] for each in outcome.data["checks"]}
    assert checks == dict.fromkeys((*own, *ground), "ok")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_second_time_is_at_once_and_the_same_to_the_byte(cached: Cached, stream: bool) -> None:
    asked = unique(max_tokens=160, ignore_eos=True, stream=stream)
    before = cached.counted("hit")
    first, first_s = cached.timed(asked)
    second, second_s = cached.timed(asked)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.content == second.content
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    if stream:
        assert second.content.endswith(b"data: [DONE]\n\n")
    else:
        assert second.json()["usage"]["completion_tokens"] == 160
    assert first_s / second_s >= FASTER, f"{first_s:.3f} s, then {second_s:.4f} s"
    assert cached.counted("hit") == before + 1


def test_the_engine_does_not_hear_of_a_repeated_question(cached: Cached) -> None:
    asked = unique()
    cached.ask(asked)
    before = cached.stack.engine_counter("llamacpp:tokens_predicted_total")
    assert cached.said(asked) == "HIT"
    assert cached.stack.engine_counter("llamacpp:tokens_predicted_total") == before


def test_other_parameters_are_another_question(cached: Cached) -> None:
    asked = unique()
    cached.ask(asked)
    others: tuple[dict[str, Any], ...] = ({"max_tokens": 7}, {"seed": 1}, {"stop": ["x"]})
    for more in (*others, {"stream": True}):
        assert cached.said(asked | more) == "MISS", more
    chance: tuple[dict[str, Any], ...] = (
        *({"temperature": 0.5}, {"n": 2}),
        *({"xtc_probability": 0.5, "xtc_threshold": 0.01}, {"samplers": ["top_k"]}),
    )
    for more in chance:
        assert cached.said(asked | more) == "UNCACHEABLE", more


def test_the_order_of_a_schemas_properties_is_the_order_of_the_answers(cached: Cached) -> None:
    text, asked = {"type": "string"}, unique(max_tokens=60)
    for names in (("reason", "answer"), ("answer", "reason")):
        schema = {
            "type": "object",
            "properties": dict.fromkeys(names, text),
            "required": list(names),
            "additionalProperties": False,
        }
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        answer = cached.ask(asked | {"response_format": form})
        assert answer.headers["X-Cache"] == "MISS"
        said = answer.json()["choices"][0]["message"]["content"]
        assert said.lstrip("{ \n").startswith(f'"{names[0]}"'), said


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_question_with_tools_is_kept_too(cached: Cached, stream: bool) -> None:
    """This model calls none; tests/docker/test_gateway.py has an engine that does."""
    asked = unique(tools=[CALCULATOR], stream=stream)
    first, second = cached.ask(asked), cached.ask(asked)
    assert first.status_code == 200, first.text
    assert second.headers["X-Cache"] == "HIT"
    assert first.content == second.content
    other = CALCULATOR | {"function": {"name": "subtract", "parameters": {"type": "object"}}}
    assert cached.said(asked | {"tools": [other]}) == "MISS"


def test_a_wrong_key_learns_nothing_of_what_is_kept(cached: Cached) -> None:
    asked = unique()
    cached.ask(asked)
    for key in ("", "wrong"):
        answer = cached.ask(asked, key=key)
        assert (answer.status_code, answer.headers["X-Cache"]) == (401, "UNCACHEABLE")
        assert cached.ask(path="/metrics", key=key).status_code == 401


def test_neither_keys_nor_questions_are_in_its_volume_or_log(cached: Cached) -> None:
    asked = unique(user="somebody-of-interest")
    cached.ask(asked)
    secrets = [*cached.stack.secrets().values(), "somebody-of-interest"]
    secrets.append(asked["messages"][0]["content"])
    # Told by exit code: 0 found, 1 not.
    where = "/var/cache/gateway"
    assert int(cached.inside(f"grep -rl 'KEY: ' {where} | wc -l")) > 0
    log = machine.docker("logs", cached.container)
    for secret in secrets:
        code, said = machine.attempt(
            "docker", "exec", cached.container, "grep", "-rqF", "--", str(secret), where
        )
        assert (code, said) == (1, "")
        assert str(secret) not in log


def test_the_chat_window_asks_the_engine_unless_it_is_told_otherwise(cached: Cached) -> None:
    assert window_asks(cached) == "http://engine:8080/v1"
    before = chats_through(cached)
    chat(cached)
    assert chats_through(cached) == before
    try:
        assert cached.up("--set", "addons.cache.frontend=true").exit_code == 0
        assert window_asks(cached) == "http://cache:8080/v1"
        before = chats_through(cached)
        chat(cached)
        assert chats_through(cached) == before + 1
    finally:
        assert cached.up().exit_code == 0


def chats_through(cached: Cached) -> int:
    """How many questions went through the gateway since its container was made."""
    return machine.docker("logs", cached.container).count(f" POST {CHAT} 200 ")


def window_asks(cached: Cached) -> str:
    variables = cached.stack.container("webui")["Config"]["Env"]
    name = "OPENAI_API_BASE_URL="
    (value,) = (each.removeprefix(name) for each in variables if each.startswith(name))
    return str(value)


def chat(cached: Cached) -> None:
    """Have the chat window answer, by its API."""
    answer = machine.http(
        "POST",
        f"{cached.stack.webui}/api/chat/completions",
        token=cached.stack.sign_in(),
        body=unique(),
        timeout_s=120,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


def test_without_the_engine_what_is_kept_is_answered_and_the_rest_says_so(cached: Cached) -> None:
    known, new = unique(), unique()
    first = cached.ask(known)
    engine = cached.stack.container("engine")["Id"]
    machine.docker("stop", "--time", "1", engine)
    try:
        again = cached.ask(known)
        assert (again.headers["X-Cache"], again.content) == ("HIT", first.content)
        for asked in (new, new | {"temperature": 1}, new | {"stream": True}):
            answer = cached.ask(asked)
            assert (answer.status_code, answer.headers["X-Cache"]) == (503, "ERROR")
            assert answer.json()["error"]["type"] == "engine_unavailable"
    finally:
        machine.docker("start", engine)
        cached.stack.settled()
    assert cached.said(new) == "MISS"


def test_an_engine_that_dies_in_an_answer_leaves_no_half_of_it(cached: Cached) -> None:
    asked = unique(max_tokens=900, ignore_eos=True, stream=True)
    engine = cached.stack.container("engine")["Id"]
    key = cached.stack.credentials()["API key"]
    with requests.Session() as session:
        session.trust_env = False
        with session.post(
            f"http://127.0.0.1:{cached.port}{CHAT}",
            json=asked,
            headers={"Authorization": f"Bearer {key}"},
            stream=True,
            timeout=60,
        ) as answer:
            lines = answer.iter_lines()
            assert next(lines)
            machine.docker("kill", engine)
            try:
                with pytest.raises(requests.RequestException):
                    list(lines)
            finally:
                machine.docker("start", engine)
    cached.stack.settled()
    assert cached.said(asked) == "MISS"


def test_a_lost_store_is_done_without_until_it_is_back(cached: Cached) -> None:
    asked = unique()
    cached.ask(asked)
    cached.inside("rm -r /var/cache/gateway/answers /var/cache/gateway/coming")
    assert (cached.said(unique()), cached.said(asked)) == ("UNSTORED", "UNSTORED")
    machine.docker("restart", "--time", "5", cached.container)
    machine.eventually(cached.there, within_s=60, what="it is back")
    assert (cached.said(asked), cached.said(asked)) == ("MISS", "HIT")


def test_what_is_kept_outlives_down_and_up(cached: Cached) -> None:
    asked = unique()
    first = cached.ask(asked)
    assert cached.stack.down().exit_code == 0
    assert cached.up().exit_code == 0
    again = cached.ask(asked)
    assert (again.headers["X-Cache"], again.content) == ("HIT", first.content)
