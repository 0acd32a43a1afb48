"""The response cache when something is lost: its volume, the engine, its container, room."""

from __future__ import annotations

from deployctl.addons import cache
from tests.docker.gatewayworld import CHAT, Make, unique
from tests.e2e import machine

#: A volume of 40 MiB in memory: full soon, and nothing else on the machine is.
SMALL = ',volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=40m,uid=10001,gid=10001"'


def test_a_full_volume_cuts_no_answer(make: Make) -> None:
    gateway = make(volume_words=SMALL)
    kept, asked = unique(), unique() | {"stream": True, "pieces": 400}
    assert gateway.said(kept) == ["MISS"]
    gateway.inside(f"dd if=/dev/zero of={cache.STORE}/ballast bs=1M count=40 2>/dev/null || true")
    machine.eventually(
        lambda: gateway.figure("deployctl_cache_store_usable") == 0, within_s=20, what="it is seen"
    )
    answers = [gateway.ask(asked) for _ in range(2)]
    assert [(each.status, each.cache, each.cut) for each in answers] == [
        (200, "UNSTORED", False),
        (200, "UNSTORED", False),
    ]
    assert all(each.body.endswith(b"[DONE]\n\n") for each in answers)
    assert gateway.said(kept) == ["HIT"]  # what was there is still found
    assert "answers are not kept" in gateway.logs()
    gateway.inside(f"rm {cache.STORE}/ballast")
    machine.eventually(
        lambda: gateway.figure("deployctl_cache_store_usable"), within_s=20, what="room is seen"
    )
    assert gateway.said(asked, asked) == ["MISS", "HIT"]


def test_a_volume_that_is_lost_under_way_or_at_the_start_is_done_without(make: Make) -> None:
    gateway = make()
    asked = unique()
    assert gateway.said(asked, asked) == ["MISS", "HIT"]
    gateway.inside(f"rm -r {cache.STORE}/answers {cache.STORE}/coming")
    machine.eventually(
        lambda: not gateway.figure("deployctl_cache_store_usable"), within_s=20, what="it is seen"
    )
    assert gateway.said(asked, asked) == ["UNSTORED", "UNSTORED"]
    gateway.inside(f"chmod 0500 {cache.STORE}")
    gateway.restart()
    assert "cannot be written" in gateway.logs()
    assert gateway.said(asked, asked) == ["UNSTORED", "UNSTORED"]


def test_without_the_engine_what_is_kept_is_answered_and_the_rest_says_so(make: Make) -> None:
    gateway = make()
    kept = unique()
    known, address = gateway.ask(kept), gateway.engine_address()
    gateway.stop_engine()
    again = gateway.ask(kept)
    assert (again.cache, again.body) == ("HIT", known.body)
    new = unique()
    for asked, path in ((new, CHAT), (new | {"temperature": 1}, CHAT), (None, "/v1/models")):
        answer = gateway.ask(asked, path=path)
        assert (answer.status, answer.cache) == (503, "ERROR")
        error = answer.data["error"]
        assert (error["type"], error["code"]) == ("engine_unavailable", 503)
        assert "The engine cannot be reached" in error["message"]
    assert gateway.counted("error") == 3
    gateway.move_engine()
    assert gateway.engine_address() != address
    machine.eventually(
        lambda: gateway.ask(new).status == 200, within_s=20, what="the engine is found again"
    )
    assert gateway.said(new) == ["HIT"]


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
        gateway.ask(unique() | {"length": 100_000})
    # nginx looks every ten seconds at the latest, and the figure is as old as that.
    machine.eventually(
        lambda: 0 < gateway.figure("deployctl_cache_size_bytes") <= 1024**2,
        within_s=60,
        what="the oldest are gone",
    )
    assert gateway.figure("deployctl_cache_limit_bytes") == 1024**2
