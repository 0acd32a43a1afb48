from typing import Any

from deployctl.causes import PATHS
from deployctl.changes import Change, changes
from deployctl.profiles.keys import Keys


def stack(**engine: Any) -> dict[str, Any]:
    return {"services": {"engine": {"image": "a:1", **engine}}}


def place(service: str, what: str) -> str:
    return f"{service}.yaml:1" if what != "mem_limit" else ""


def test_nothing_before_is_all_new() -> None:
    assert changes(None, stack(), place) == (Change(service="engine", action="create"),)


def test_the_same_is_kept() -> None:
    (change,) = changes(stack(command=["--a", "1"]), stack(command=["--a", "1"]), place)
    assert str(change) == "engine keep"


def test_a_flag_that_moved_is_named_with_its_line() -> None:
    (change,) = changes(
        stack(command=["--ctx-size", "4096", "--metrics"]),
        stack(command=["--ctx-size", "8192", "--metrics", "--min-p", "0.05"]),
        place,
    )
    assert change.action == "recreate"
    assert change.causes == (
        "--ctx-size 4096 → 8192 (engine.yaml:1)",
        "--min-p absent → 0.05 (engine.yaml:1)",
    )


def test_a_switch_has_no_value_and_a_negative_number_is_one() -> None:
    (change,) = changes(
        stack(command=["--budget", "-1"]), stack(command=["--budget", "5", "--eager"]), place
    )
    assert change.causes == (
        "--budget -1 → 5 (engine.yaml:1)",
        "--eager absent → given (engine.yaml:1)",
    )


def test_the_model_is_a_word_by_its_place() -> None:
    (change,) = changes(
        stack(command=["/models/a", "--x", "1"]), stack(command=["/models/b", "--x", "1"]), place
    )
    assert change.causes == ("argument 1 /models/a → /models/b (engine.yaml:1)",)


def test_variables_limits_and_images() -> None:
    (change,) = changes(
        stack(environment={"A": "1", "B": "x"}, mem_limit=1),
        {"services": {"engine": {"image": "a:2", "environment": {"A": "2"}, "mem_limit": 2}}},
        place,
    )
    assert change.causes == (
        "image a:1 → a:2 (engine.yaml:1)",
        "A 1 → 2 (engine.yaml:1)",
        "B x → absent (engine.yaml:1)",
        "mem_limit 1 → 2",
    )


def test_services_come_and_go() -> None:
    before = {"services": {"old": {}, "engine": {"image": "a:1"}}}
    assert [str(change) for change in changes(before, stack(), place)] == [
        "engine keep",
        "old remove",
    ]


def test_a_file_damaged_by_hand_is_no_reason_to_fail() -> None:
    for damaged in ({}, {"services": None}):
        assert changes(damaged, stack(), place)[0].action == "create"


def test_every_cause_is_a_key_of_a_profile() -> None:
    keys = Keys()
    for table in PATHS.values():
        for paths in table.values():
            for path in paths:
                assert keys.field(tuple(path.split("."))), path
