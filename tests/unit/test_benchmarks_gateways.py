"""What the comparison of gateways makes of answers, and of the add-on's own configuration."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.gatewayasks import Endpoint, Reply
from benchmarks.gatewayfacts import lost
from benchmarks.gatewaykinds import Upstream, write_configuration
from benchmarks.gatewaytimes import Times, ratio, times_table


def reply(body: bytes, *, seconds: float = 1.0) -> Reply:
    return Reply(
        status=200, headers={}, body=body, first_s=seconds / 2, whole_s=seconds, broken=False
    )


def stream(*events: object) -> Reply:
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
    return reply(f"{text}data: [DONE]\n\n".encode())


def test_a_field_that_only_one_of_two_streams_has_is_lost() -> None:
    thought = {"choices": [{"delta": {"reasoning_content": "Two"}, "logprobs": {"content": [1]}}]}
    said = {"choices": [{"delta": {"content": "four"}}]}
    ended = {"choices": [], "timings": {"predicted_n": 2, "predicted_ms": 3}}

    assert lost(stream(thought, said, ended), stream(said)) == (
        "`logprobs`, `reasoning_content`, `timings`"
    )
    assert lost(stream(said), stream(thought, said, ended)) == ""


def test_a_field_without_a_value_is_none() -> None:
    assert reply(b'{"choices": [{"message": {"content": null, "role": "a"}}]}').fields == {
        "choices.message.role"
    }


def test_what_a_gateway_adds_is_the_median_of_each_rounds_difference() -> None:
    # A slow round is slow for both, and says nothing of the gateway.
    engine = [reply(b"{}", seconds=each) for each in (1.0, 9.0, 2.0)]
    gateway = [reply(b"{}", seconds=each) for each in (1.1, 9.1, 2.1)]
    hits = [reply(b"{}", seconds=0.01)] * 3

    lines = times_table(Times(misses={"engine": engine, "ours": gateway}, hits={"ours": hits}))

    assert lines[2] == "| ours | 1050.0 | +50.0 | 2100.0 | +100.0 | 10.00 | 210 |"
    assert round(ratio(gateway, hits)) == 210


def test_nginx_reads_the_add_ons_configuration_from_another_place(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    root = tmp_path / "root"
    (root / "etc/nginx").mkdir(parents=True)
    (root / "etc/nginx/mime.types").touch()
    engine = Endpoint(name="engine", url="http://127.0.0.1:4711", key="key", model="model")
    upstream = Upstream(url=engine.url, key=engine.key, models=(engine.model,))

    write_configuration(upstream, root, tmp_path, 4712)

    conf = (tmp_path / "etc/nginx.conf").read_text()
    assert 'set $engine "127.0.0.1:4711";' in conf
    assert "listen 127.0.0.1:4712;" in conf
    assert f"proxy_cache_path {tmp_path}/tmp/store/answers " in conf
    assert f'"{tmp_path}/tmp/store/answers"' in (tmp_path / "etc/store.lua").read_text()
    assert "{{" not in conf
