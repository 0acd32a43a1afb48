"""The response cache alone, before an engine that is played: what is kept, for whom, what not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.docker.gatewayworld import CHAT, ONE, TWO, Gateway, Make, play, read, unique
from tests.e2e import machine

# ── what is kept ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {}),
        (CHAT, {"stream": True}),
        (CHAT, {"n": 1, "dynatemp_range": 0.0, "temperature": 0.0, "xtc_probability": 0}),
        (CHAT, {"samplers": None, "anything": None, "min_p": 0.1, "xtc_threshold": 0.2}),
        (CHAT, {"tools": [{"function": {"name": "add"}}], **play(do="tool")}),
        (CHAT, {"tools": [{"function": {"name": "add"}}], "stream": True, **play(do="tool")}),
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/embeddings", {"input": "a", "temperature": None, "anything": 1}),
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


def test_order_and_space_between_its_own_parts_do_not_matter(gateway: Gateway) -> None:
    asked = unique() | {"tools": [{"b": 1, "a": {"y": [], "x": {}}}], "seed": 12345678901234567890}
    first = gateway.ask(asked)
    turned = dict(reversed(asked.items()))
    for text in (json.dumps(turned), json.dumps(turned, indent=3).replace("\n", "\r\n\t")):
        again = gateway.ask(text.encode())
        assert (again.cache, again.body) == ("HIT", first.body)


#: A model fills in a schema in the order of its properties, and is shown tools as they are written.
REASON_FIRST = {"reason": {"type": "string"}, "answer": {"type": "string"}}


@pytest.mark.parametrize(
    "form",
    [
        lambda properties: {"response_format": {"schema": {"properties": properties}}},
        lambda properties: {"tools": [{"function": {"parameters": {"properties": properties}}}]},
    ],
    ids=["response_format", "tools"],
)
def test_the_order_of_properties_is_another_question(gateway: Gateway, form: Any) -> None:
    asked, answer_first = unique(), dict(reversed(REASON_FIRST.items()))
    assert gateway.said(
        *(asked | form(properties) for properties in (REASON_FIRST, answer_first, REASON_FIRST))
    ) == ["MISS", "MISS", "HIT"]


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
        {"xtc_probability": 0.5},
        {"samplers": ["top_k"]},
        {"samplers": "k"},
        {"samplers": []},
        {"n_cmpl": 2},
        {"use_beam_search": True},
        {"t_max_predict_ms": 100},
        {"vllm_xargs": {"chance": 1}},
        {"a_sampler_of_next_year": 0.5},
    ],
    ids=str,
)
def test_an_answer_of_chance_is_not_kept(gateway: Gateway, more: dict[str, Any]) -> None:
    asked = unique() | more
    assert gateway.said(asked, asked) == ["UNCACHEABLE", "UNCACHEABLE"]


def test_an_engine_that_samples_at_temperature_0_has_nothing_kept_unasked(make: Make) -> None:
    gateway = make(settings=('engine.extra_args=["--xtc-probability", "0.5"]',))
    asked = unique()
    assert gateway.said(asked, asked) == ["UNCACHEABLE", "UNCACHEABLE"]
    assert gateway.said(asked, asked, x_cache="allow") == ["MISS", "HIT"]
    assert gateway.said(asked, path="/v1/embeddings") == ["MISS"]


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


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/responses", "/v1/messages", f"{CHAT}?a=b", f"{CHAT}?", "/tokenize"),
        # Decoded or tidied up they would be a page whose answers are kept.
        *(f"{CHAT}%0a", f"{CHAT}/", f"/v1/..{CHAT}"),
        *("/v1//chat/completions", "/v1/ch%61t/completions"),
    ],
)
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


def test_what_takes_long_to_read_passes_through(gateway: Gateway) -> None:
    """Reading a question holds up all others."""
    short, long = (unique() | {"stop": [{}] * number} for number in (9_000, 25_000))
    assert gateway.said(short, short) == ["MISS", "HIT"]
    assert len(json.dumps(long)) < 256 * 1024
    assert gateway.said(long, long) == ["UNCACHEABLE", "UNCACHEABLE"]
    deep = json.dumps(unique()).encode()[:-1] + b',"stop":' + b"[" * 99_000
    assert gateway.said(deep, deep) == ["UNCACHEABLE", "UNCACHEABLE"]


@pytest.mark.parametrize(
    "more",
    [
        play(do="refuse"),
        play(do="error"),
        play(do="abort"),
        {"stream": True} | play(do="error"),
        {"stream": True} | play(do="abort"),
        {"stream": True} | play(do="part"),
        {"stream": True} | play(do="die"),
        play(length=3_000_000),
    ],
    ids=str,
)
def test_only_whole_and_good_answers_are_kept(gateway: Gateway, more: dict[str, Any]) -> None:
    asked = unique() | more
    first, second = (gateway.ask(asked) for _ in range(2))
    assert [first.cache, second.cache] == ["MISS", "MISS"]
    assert first.body != second.body
    assert first.cut == second.cut == (more == {"stream": True} | play(do="die"))


def test_an_answer_is_for_pages_of_one_origin(gateway: Gateway) -> None:
    """The engine names the asker's in it, and a browser reads no answer that names another's."""
    asked = unique()
    for origin in ("http://a.example", "http://b.example"):
        answers = [gateway.ask(asked, origin=origin) for _ in range(2)]
        assert [each.cache for each in answers] == ["MISS", "HIT"]
        assert {each.headers["access-control-allow-origin"] for each in answers} == {origin}
    answers = [gateway.ask(asked) for _ in range(2)]
    assert [each.cache for each in answers] == ["MISS", "HIT"]
    assert not any("access-control-allow-origin" in each.headers for each in answers)


@pytest.mark.parametrize(
    "condition",
    [
        {"if_none_match": "*"},
        {"if_match": '"a"'},
        {"if_unmodified_since": "Fri, 01 Jan 1999 00:00:00 GMT"},
    ],
    ids=str,
)
def test_a_kept_answer_comes_whole_on_any_condition(
    gateway: Gateway, condition: dict[str, str]
) -> None:
    asked = unique()
    first, again = gateway.ask(asked, **condition), gateway.ask(asked, **condition)
    assert (first.status, again.status, again.cache) == (200, 200, "HIT")
    assert again.body == first.body != b""


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
    asked = unique() | {"stream": True, "temperature": temperature} | play(hold=True)
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
    asked = unique() | {"stream": True} | play(hold=not do, pieces=400, do=do)
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
    asked = unique() | {"stream": True, "temperature": 1} | play(hold=True, pieces=5000)
    ended, counted = finished(gateway), gateway.counted("uncacheable")
    left(gateway, asked)
    machine.eventually(
        lambda: gateway.counted("uncacheable") > counted, within_s=20, what="the client is missed"
    )
    gateway.ask(path="/release")
    gateway.ask(unique() | {"stream": True} | play(pieces=5000))
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
