"""The response cache alone, before an engine that is played: what is kept, for whom, what not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.docker.gatewayworld import CHAT, ONE, TWO, Gateway, Make, read, unique
from tests.e2e import machine

# ── what is kept ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {}),
        (CHAT, {"stream": True}),
        (CHAT, {"n": 1, "dynatemp_range": 0.0, "temperature": 0.0}),
        (CHAT, {"tools": [{"function": {"name": "add"}}], "do": "tool"}),
        (CHAT, {"tools": [{"function": {"name": "add"}}], "do": "tool", "stream": True}),
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/embeddings", {"input": "a", "temperature": None}),
    ],
)
def test_the_same_question_has_the_same_answer(
    gateway: Gateway, path: str, more: dict[str, Any]
) -> None:
    asked = unique() | more
    first, second = (gateway.ask(asked, path=path) for _ in range(2))
    assert (first.status, first.cache, second.status, second.cache) == (200, "MISS", 200, "HIT")
    assert first.body == second.body
    assert (b'"tool_calls"' in first.body) == ("tools" in more)


def test_order_and_space_between_the_parts_do_not_matter(gateway: Gateway) -> None:
    asked = unique() | {"tools": [{"b": 1, "a": {"y": [], "x": {}}}], "seed": 12345678901234567890}
    first = gateway.ask(asked)
    turned = dict(reversed(asked.items())) | {"tools": [{"a": {"x": {}, "y": []}, "b": 1}]}
    for text in (json.dumps(turned), json.dumps(turned, indent=3).replace("\n", "\r\n\t")):
        again = gateway.ask(text.encode())
        assert (again.cache, again.body) == ("HIT", first.body)


BASE = {
    "temperature": 0,
    "model": "m",
    "messages": [{"role": "user", "content": "a"}],
    "max_tokens": 8,
    "seed": 9007199254740993,
    "stop": [],
    "logit_bias": {},
}


@pytest.mark.parametrize(
    "more",
    [
        {"model": "n"},
        {"max_tokens": 9},
        {"seed": 9007199254740992},  # the same, were it read into a floating-point number
        {"stop": {}},
        {"stop": ["\\"]},
        {"logit_bias": []},
        {"stream": True},
        {"messages": [{"role": "user", "content": "a "}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}]},
        {"user": "somebody"},
    ],
    ids=str,
)
def test_another_question_is_asked(gateway: Gateway, more: dict[str, Any]) -> None:
    own = {"metadata": {"test": str(more)}}
    assert gateway.said(BASE | own, BASE | own | more, BASE | own | more, BASE | own) == [
        *("MISS", "MISS", "HIT", "HIT")
    ]


# ── what is not ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"temperature": "0"},
        {"n": 2},
        {"best_of": 3},
        {"dynatemp_range": 0.5},
        {"mirostat": 2},
    ],
    ids=str,
)
def test_an_answer_of_chance_is_not_kept(gateway: Gateway, more: dict[str, Any]) -> None:
    asked = unique() | more
    assert gateway.said(asked, asked) == ["UNCACHEABLE", "UNCACHEABLE"]


def test_no_temperature_is_the_engines_own(gateway: Gateway) -> None:
    asked = {"messages": unique()["messages"]}
    assert gateway.said(asked, asked) == ["UNCACHEABLE", "UNCACHEABLE"]


@pytest.mark.parametrize(
    "text",
    [
        b"no json",
        b"",
        b"[]",
        b'{"temperature":0,"a":1,"a":2}',  # which of the two counts?
        b'{"temperature":0,"max_tokens":1,"max\\u005ftokens":99}',
        b'{"temperature":0} {}',
    ],
)
def test_what_cannot_be_read_for_sure_passes_through(gateway: Gateway, text: bytes) -> None:
    first, second = (gateway.ask(text) for _ in range(2))
    assert [first.cache, second.cache] == ["UNCACHEABLE", "UNCACHEABLE"]
    assert (first.status, first.data["bytes"]) == (200, len(text))


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", f"{CHAT}?a=b", "/tokenize"])
def test_other_pages_pass_through(gateway: Gateway, path: str) -> None:
    asked = unique()
    answers = [gateway.ask(asked, path=path) for _ in range(2)]
    assert [each.cache for each in answers] == ["UNCACHEABLE", "UNCACHEABLE"]
    assert answers[0].data["path"] == path


def test_a_long_question_and_one_without_a_length_pass_through(gateway: Gateway) -> None:
    long = unique() | {"filler": "x" * 5_000_000}
    answer = gateway.ask(long)
    assert (answer.cache, answer.data["bytes"]) == ("UNCACHEABLE", len(json.dumps(long)))
    with gateway.connection() as connection:
        parts = iter([b'{"temperature":', b"0}"])
        headers = {"Authorization": f"Bearer {ONE}", "Content-Type": "application/json"}
        connection.request("POST", CHAT, parts, headers, encode_chunked=True)
        answer = read(connection.getresponse())
    assert (answer.status, answer.cache, answer.data["bytes"]) == (200, "UNCACHEABLE", 17)


@pytest.mark.parametrize(
    "more",
    [
        {"do": "refuse"},
        {"do": "error"},
        {"do": "abort"},
        {"do": "error", "stream": True},
        {"do": "abort", "stream": True},
        {"do": "part", "stream": True},
        {"do": "die", "stream": True},
        {"length": 9_000_000},
    ],
    ids=str,
)
def test_only_whole_and_good_answers_are_kept(gateway: Gateway, more: dict[str, Any]) -> None:
    asked = unique() | more
    first, second = (gateway.ask(asked) for _ in range(2))
    assert [first.cache, second.cache] == ["MISS", "MISS"]
    assert first.body != second.body
    assert first.cut == second.cut == (more.get("do") == "die")


# ── what a client can say ─────────────────────────────────────────────────────────────────────


def test_no_cache_asks_anew_and_keeps_the_new_answer(gateway: Gateway) -> None:
    asked = unique()
    first = gateway.ask(asked)
    anew = gateway.ask(asked, cache_control="max-age=0, No-Cache")
    again = gateway.ask(asked)
    assert [anew.cache, again.cache] == ["BYPASS", "HIT"]
    assert again.body == anew.body != first.body


def test_no_store_neither_looks_nor_keeps(gateway: Gateway) -> None:
    asked = unique()
    assert gateway.said(asked, asked, cache_control="no-store") == ["BYPASS", "BYPASS"]
    assert gateway.said(asked) == ["MISS"]


def test_one_question_of_chance_can_be_kept_by_its_own_wish(gateway: Gateway) -> None:
    warm = unique() | {"temperature": 0.9}
    assert gateway.said(warm, warm, x_cache="allow") == ["MISS", "HIT"]
    assert gateway.said(warm) == ["UNCACHEABLE"]
    assert "x-cache" not in gateway.ask(unique(), x_cache="allow").data["headers"]


def test_a_profile_can_have_all_answers_kept_and_shared(make: Make) -> None:
    settings = ("addons.cache.sampled=true", "addons.cache.shared=true")
    gateway = make(settings=settings)
    warm = unique() | {"temperature": 0.9, "n": 2}
    assert gateway.said(warm, key=ONE) == ["MISS"]
    assert gateway.said(warm, key=TWO) == ["HIT"]
    for key in (None, "key-three", f"{ONE},{TWO}", ""):
        assert gateway.ask(warm, key=key).status == 401


# ── keys ──────────────────────────────────────────────────────────────────────────────────────


def test_each_key_has_its_own_answers(gateway: Gateway) -> None:
    asked = unique()
    assert gateway.said(asked, asked, key=ONE) == ["MISS", "HIT"]
    assert gateway.said(asked, asked, key=TWO) == ["MISS", "HIT"]


@pytest.mark.parametrize("key", [None, "", "key-three", f"{ONE}1", f"{ONE},{TWO}"])
def test_a_wrong_key_gets_what_the_engine_says(gateway: Gateway, key: str | None) -> None:
    asked = unique()
    gateway.ask(asked)
    for _ in range(2):
        answer = gateway.ask(asked, key=key)
        assert (answer.status, answer.cache) == (401, "UNCACHEABLE")
    assert gateway.ask(path="/metrics", key=key).status == 401


def test_the_key_elsewhere_opens_nothing(gateway: Gateway) -> None:
    asked = unique()
    gateway.ask(asked)
    assert gateway.ask(asked, key=None, x_api_key=ONE).status == 401


def test_neither_keys_nor_questions_can_be_read(gateway: Gateway) -> None:
    asked = unique() | {"user": "somebody-of-interest"}
    gateway.ask(asked)
    gateway.ask(asked | {"stream": True})
    files, logs = gateway.files(), gateway.logs()
    assert "KEY: " in files
    assert CHAT in logs
    for secret in (ONE, TWO, asked["messages"][0]["content"], "somebody-of-interest"):
        assert secret not in files
        assert secret not in logs


# ── streams ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("temperature", [0, 0.5], ids=["kept", "passed through"])
def test_a_stream_comes_piece_by_piece(gateway: Gateway, temperature: float) -> None:
    asked = unique() | {"stream": True, "hold": True, "temperature": temperature}
    with gateway.connection() as connection:
        headers = {"Authorization": f"Bearer {ONE}", "Content-Type": "application/json"}
        connection.request("POST", CHAT, json.dumps(asked).encode(), headers)
        response = connection.getresponse()
        first = response.readline()
        assert b"token 0" in first  # the engine says no more until it is told to
        gateway.ask(path="/release")
        rest = response.read()
    assert rest.endswith(b"data: [DONE]\n\n")
    if not temperature:
        again = gateway.ask(asked)
        assert (again.cache, again.body) == ("HIT", first + rest)


def left(gateway: Gateway, asked: dict[str, Any]) -> None:
    """Ask, read the first piece, and hang up; the engine has more to say."""
    with gateway.connection() as connection:
        headers = {"Authorization": f"Bearer {ONE}", "Content-Type": "application/json"}
        connection.request("POST", CHAT, json.dumps(asked).encode(), headers)
        assert b"token 0" in connection.getresponse().readline()


def finished(gateway: Gateway) -> int:
    """How many streams the engine has finished."""
    return len(gateway.ask(path="/finished").data["finished"])


@pytest.mark.parametrize("do", ["", "die", "error"])
def test_what_may_be_kept_is_finished_for_a_client_that_left(gateway: Gateway, do: str) -> None:
    asked = unique() | {"stream": True, "hold": not do, "pieces": 400, "do": do}
    before = gateway.counted("miss")
    left(gateway, asked)
    gateway.ask(path="/release")
    machine.eventually(
        lambda: gateway.counted("miss") > before, within_s=20, what="the question is done with"
    )
    again = gateway.ask(asked)
    assert again.cache == ("MISS" if do else "HIT")
    if not do:
        assert again.body.count(b"token") == 400


def test_what_is_not_kept_ends_with_its_client(gateway: Gateway) -> None:
    asked = unique() | {"stream": True, "hold": True, "pieces": 5000, "temperature": 1}
    ended, counted = finished(gateway), gateway.counted("uncacheable")
    left(gateway, asked)
    machine.eventually(
        lambda: gateway.counted("uncacheable") > counted, within_s=20, what="the client is missed"
    )
    gateway.ask(path="/release")
    gateway.ask(unique() | {"stream": True, "pieces": 5000})
    assert finished(gateway) == ended + 1


# ── what it tells ─────────────────────────────────────────────────────────────────────────────


def test_every_request_is_counted_once(gateway: Gateway) -> None:
    asked = unique()
    before = {name: gateway.counted(name) for name in ("hit", "miss", "bypass", "uncacheable")}
    gateway.said(asked, asked, asked, asked | {"temperature": 1})
    gateway.said(asked, cache_control="no-store")
    now = {name: gateway.counted(name) for name in before}
    assert now == {
        "hit": before["hit"] + 2,
        "miss": before["miss"] + 1,
        "bypass": before["bypass"] + 1,
        "uncacheable": before["uncacheable"] + 1,
    }
    assert gateway.figure("deployctl_cache_size_bytes") > 0


def test_its_own_health_is_for_everybody(gateway: Gateway) -> None:
    gateway.stop_engine()
    try:
        answer = gateway.ask(path="/health", key=None)
        assert (answer.status, answer.body) == (200, b"gateway\n")
    finally:
        gateway.start_engine()
