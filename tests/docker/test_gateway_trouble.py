"""The response cache when something is lost: its volume, the engine, its container, room."""

from __future__ import annotations

import json
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deployctl.addons import cache
from tests.docker.gatewayworld import CHAT, ONE, Gateway, Make, play, unique
from tests.e2e import machine

#: A volume of 40 MiB in memory: full soon, and nothing else on the machine is.
SMALL = ',volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=40m,uid=10001,gid=10001"'


def test_a_full_volume_cuts_no_answer(make: Make) -> None:
    gateway = make(volume_words=SMALL)
    kept, asked = unique(), unique() | {"stream": True} | play(pieces=400)
    assert gateway.said(kept) == ["MISS"]
    gateway.inside(f"dd if=/dev/zero of={cache.STORE}/ballast bs=1M count=40 2>/dev/null || true")
    answers = [gateway.ask(asked) for _ in range(2)]
    assert [(each.status, each.cache, each.cut) for each in answers] == [
        (200, "UNSTORED", False),
        (200, "UNSTORED", False),
    ]
    assert all(each.body.endswith(b"[DONE]\n\n") for each in answers)
    assert gateway.said(kept) == ["HIT"]  # what was there is still found
    assert "answers are not kept" in gateway.logs()
    assert slowly_read(gateway, unique() | play(length=7_000_000)).endswith(b'xxx"}')
    gateway.inside(f"rm {cache.STORE}/ballast")
    assert gateway.said(asked, asked) == ["MISS", "HIT"]


def slowly_read(gateway: Gateway, asked: dict[str, Any]) -> bytes:
    """The answer's bytes, read by one who only begins when the engine has said everything."""
    body = json.dumps(asked).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ONE}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        begun = connection.recv(65536)
        # One after another: whatever can be read before its reader comes is read by then.
        gateway.said(*(unique() for _ in range(50)))
        parts = [begun]
        while part := connection.recv(65536):
            parts.append(part)
    answer = b"".join(parts)
    assert b"X-Cache: UNSTORED" in answer
    return answer


#: The gateway's connections to the engine, in the kernel's table: port 8080, established.
_TO_THE_ENGINE = "grep -c ' [0-9A-F]*:[0-9A-F]* [0-9A-F]*:1F90 01 ' /proc/net/tcp || true"


def many(gateway: Gateway, number: int, **asked: Any) -> Counter[tuple[int, str | None]]:
    """Ask so many at once of an engine that waits; it goes on when all have come to it."""
    with ThreadPoolExecutor(number) as pool:
        answers = [pool.submit(gateway.ask, **asked) for _ in range(number)]
        machine.eventually(
            lambda: int(gateway.inside(_TO_THE_ENGINE)) >= number, within_s=60, what="all are there"
        )
        gateway.ask(path="/release")
        return Counter((each.result().status, each.result().cache) for each in answers)


def killed(gateway: Gateway) -> bool:
    """Whether its one worker, or it, was ended for its memory."""
    return "exited on signal" in gateway.logs() or machine.inspect(gateway.name)["RestartCount"]


def test_questions_that_are_not_looked_at_take_no_memory(make: Make) -> None:
    gateway = make()
    body = b'{"x": "' + b"y" * 5_000_000 + b'"}'
    assert many(gateway, 200, body=body, path="/slow", key="nobodys") == {(401, "UNCACHEABLE"): 200}
    assert not killed(gateway)


def test_questions_that_wait_take_a_quarter_of_its_memory(make: Make) -> None:
    gateway = make()
    asked = unique() | {"user": "y" * 250_000} | play(hold=True)
    answers = many(gateway, 200, body=asked)
    assert set(answers) == {(200, "MISS"), (200, "UNCACHEABLE")}
    assert 100 < answers[200, "MISS"] <= 32 * 1024**2 // 250_000
    assert not killed(gateway)
    again = unique() | {"user": "y" * 250_000}
    assert [gateway.said(again) for _ in range(200)] == [["MISS"]] + [["HIT"]] * 199


def test_a_volume_that_is_lost_under_way_or_at_the_start_is_done_without(make: Make) -> None:
    gateway = make()
    asked = unique()
    assert gateway.said(asked, asked) == ["MISS", "HIT"]
    gateway.inside(f"rm -r {cache.STORE}/answers {cache.STORE}/coming")
    assert gateway.said(asked, asked) == ["UNSTORED", "UNSTORED"]
    gateway.inside(f"chmod 0500 {cache.STORE}")
    gateway.restart()
    assert "cannot be written" in gateway.logs()
    assert gateway.said(asked, asked) == ["UNSTORED", "UNSTORED"]


def test_without_the_engine_what_is_kept_is_answered_and_the_rest_says_so(make: Make) -> None:
    gateway = make()
    kept = unique()
    stream = kept | {"stream": True}
    known, address = gateway.ask(kept), gateway.engine_address()
    gateway.ask(stream)
    gateway.stop_engine()
    again = gateway.ask(kept)
    assert (again.cache, again.body) == ("HIT", known.body)
    # Who asks anew gets none, and what was kept stays.
    assert gateway.ask(kept, cache_control="no-cache").status == 503
    assert gateway.ask(stream, cache_control="no-cache").status == 503
    assert gateway.said(kept, stream) == ["HIT", "HIT"]
    new = unique()
    for asked, path in (
        (new, CHAT),
        (new | {"temperature": 1}, CHAT),
        (None, "/v1/models?api_key=looks-like-one"),
    ):
        answer = gateway.ask(asked, path=path)
        assert (answer.status, answer.cache) == (503, "ERROR")
        error = answer.data["error"]
        assert (error["type"], error["code"]) == ("engine_unavailable", 503)
        assert "The engine cannot be reached" in error["message"]
    assert gateway.counted("error") == 5
    assert "looks-like-one" not in gateway.logs()
    gateway.move_engine()
    assert gateway.engine_address() != address
    machine.eventually(
        lambda: gateway.ask(new).status == 200, within_s=20, what="the engine is found again"
    )
    assert gateway.said(new) == ["HIT"]


@pytest.mark.parametrize("more", [{}, {"temperature": 1}], ids=["kept", "passed through"])
def test_an_engine_that_hangs_up_is_not_said_to_be_stopped(
    gateway: Gateway, more: dict[str, Any]
) -> None:
    answer = gateway.ask(unique() | play(do="gone") | more)
    assert (answer.status, answer.cache) == (502, "ERROR")
    error = answer.data["error"]
    assert (error["type"], error["code"]) == ("engine_broke_off", 502)
    assert "hung up without an answer" in error["message"]


#: Lua of the gateway, run alone by an nginx that goes no further.
_CLOCK = """
include /etc/nginx/modules-enabled/*.conf;
pid /tmp/clock.pid;
daemon off;
master_process off;
events {}
http {
  lua_package_path "/etc/gateway/?.lua;;";
  init_by_lua_block {
    local clock = 1000
    ngx.now = function() return clock end
    local function say(size) io.stdout:write("size: ", size, "\\n") end
    local store = require("store")
    say(store.size())
    local file = io.open("/tmp/store/answers/0/one", "wb")
    file:write("four")
    file:close()
    say(store.size())
    clock = 500
    say(store.size())
    os.remove("/tmp/store/answers/0/one")
    os.exit(0)
  }
}
"""


def test_a_clock_that_is_set_back_does_not_keep_it_from_measuring(make: Make) -> None:
    gateway = make()
    gateway.inside(f"mkdir {cache.STORE}/answers/0; cat > /tmp/clock.conf <<'END'\n{_CLOCK}\nEND")
    said = gateway.inside("/usr/bin/openresty -e stderr -c /tmp/clock.conf")
    assert said.splitlines() == ["size: 0", "size: 0", "size: 4"]


def test_answers_outlive_restarts_and_new_containers_but_not_another_model(make: Make) -> None:
    gateway = make()
    asked = unique()
    known = gateway.ask(asked)
    gateway.inside(f"touch {cache.STORE}/coming/0000000001")  # half of one, as a kill leaves it
    gateway.restart()
    assert (gateway.said(asked), gateway.ask(asked).body) == (["HIT"], known.body)
    assert "0000000001" not in gateway.files()
    gateway.recreate()
    assert gateway.said(asked) == ["HIT"]
    gateway.environment["ENGINE_WEIGHTS"] = "others"
    gateway.recreate()
    assert gateway.said(asked) == ["MISS"]


def test_answers_are_forgotten_in_time(make: Make) -> None:
    gateway = make(settings=("addons.cache.ttl=2s",))
    asked = unique()
    known = gateway.ask(asked)
    assert (gateway.said(asked), gateway.ask(asked).body) == (["HIT"], known.body)
    machine.eventually(
        lambda: gateway.ask(asked).body != known.body, within_s=20, what="it is asked anew"
    )


def test_the_disk_it_takes_is_bounded(make: Make) -> None:
    gateway = make(settings=("addons.cache.size=1MiB",))
    for _ in range(40):
        gateway.ask(unique() | play(length=100_000))
    # nginx looks every ten seconds at the latest, and the figure is as old as that.
    machine.eventually(
        lambda: 0 < gateway.figure("deployctl_cache_size_bytes") <= 1024**2,
        within_s=60,
        what="the oldest are gone",
    )
    assert gateway.figure("deployctl_cache_limit_bytes") == 1024**2
