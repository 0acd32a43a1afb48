from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployctl.causes import PATHS, causes_of
from deployctl.changes import Applied, Change, changes
from deployctl.deploy.changed import identities
from deployctl.planner import build_plan
from deployctl.profiles.keys import Keys
from deployctl.profiles.selection import Selection
from deployctl.render import render
from tests.world import Box
from tests.yamltext import parsed


def stack(**engine: Any) -> dict[str, Any]:
    return {"services": {"engine": {"image": "a:1", **engine}}}


def place(service: str, what: str) -> str:
    return f"{service}.yaml:1" if what != "mem_limit" else ""


def compared(before: Any, after: Any, *, cause: Any = place) -> tuple[Change, ...]:
    return changes(Applied(compose=before), Applied(compose=after), cause)


def causes(before: Any, after: Any) -> tuple[str, ...]:
    (change,) = compared(before, after, cause=lambda *_: "")
    assert change.action == "recreate"
    return change.causes


def test_nothing_before_is_all_new() -> None:
    assert compared(None, stack()) == (Change(service="engine", action="create"),)


def test_the_same_is_kept() -> None:
    (change,) = compared(stack(command=["--a", "1"]), stack(command=["--a", "1"]))
    assert str(change) == "engine keep"


def test_a_flag_that_moved_is_named_with_its_line() -> None:
    (change,) = compared(
        stack(command=["--ctx-size", "4096", "--metrics"]),
        stack(command=["--ctx-size", "8192", "--metrics", "--min-p", "0.05"]),
    )
    assert change.action == "recreate"
    assert change.causes == (
        "--ctx-size 4096 → 8192 (engine.yaml:1)",
        "--min-p absent → 0.05 (engine.yaml:1)",
    )


def test_of_another_stack_altogether_some_causes_are_enough() -> None:
    new = stack(command=[word for n in range(9) for word in (f"--flag-{n}", str(n))])
    (change,) = compared(stack(), new)
    assert len(change.causes) == 9
    assert change.brief(2) == (
        "engine recreate: --flag-0 absent → 0 (engine.yaml:1); --flag-1 absent → 1 (engine.yaml:1);"
        " and 7 more that differ"
    )
    assert change.brief(8) == str(change)


def test_a_variable_that_must_be_given_is_shown_by_its_name() -> None:
    new = stack(environment={"KEY": "${THE_KEY:-\0THE_KEY is missing}"})
    assert causes(stack(environment={"KEY": "a"}), new) == ("KEY a → ${THE_KEY}",)


def test_a_switch_has_no_value_and_a_negative_number_is_one() -> None:
    assert causes(
        stack(command=["--budget", "-1"]), stack(command=["--budget", "5", "--eager"])
    ) == ("--budget -1 → 5", "--eager absent → given")


def test_the_model_is_a_word_by_its_place() -> None:
    assert causes(
        stack(command=["/models/a", "--x", "1"]), stack(command=["/models/b", "--x", "1"])
    ) == ("argument 1 /models/a → /models/b",)


def test_a_flag_may_be_given_more_than_once() -> None:
    assert causes(
        stack(command=["--lora", "a", "--lora", "b"]), stack(command=["--lora", "c", "--lora", "b"])
    ) == ('--lora ["a", "b"] → ["c", "b"]',)


def test_another_order_is_another_container() -> None:
    moved = causes(stack(command=["--a", "1", "--b"]), stack(command=["--b", "--a", "1"]))
    assert moved == ("command as it was → the same in another order",)


def test_variables_limits_and_images() -> None:
    (change,) = compared(
        stack(environment={"A": "1", "B": "x"}, mem_limit=1),
        {"services": {"engine": {"image": "a:2", "environment": {"A": "2"}, "mem_limit": 2}}},
    )
    assert change.causes == (
        "image a:1 → a:2 (engine.yaml:1)",
        "A 1 → 2 (engine.yaml:1)",
        "B x → absent (engine.yaml:1)",
        "mem_limit 1 → 2",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (469762048, 2348810240, "448 MiB → 2.19 GiB"),
        (None, "512m", "absent → 512m"),
        (469762048, 469762049, "469762048 → 469762049"),
    ],
)
def test_bytes_are_read_as_amounts(old: Any, new: Any, said: str) -> None:
    assert causes(stack(mem_limit=old), stack(mem_limit=new)) == (f"mem_limit {said}",)
    flag = "--kv-cache-memory-bytes"
    before = stack(command=[] if old is None else [flag, str(old)])
    assert causes(before, stack(command=[flag, str(new)])) == (f"{flag} {said}",)


def test_maps_are_told_by_what_moved_in_them() -> None:
    before, after = {"test": ["x" * 90], "start_period": "300s"}, {"test": ["x" * 90]}
    after["start_period"] = "540s"  # type: ignore[assignment]
    assert causes(stack(healthcheck=before), stack(healthcheck=after)) == (
        "healthcheck.start_period 300s → 540s",
    )


def test_long_values_are_shown_where_they_part() -> None:
    (moved,) = causes(
        stack(environment={"A": "x" * 90 + "old"}), stack(environment={"A": "x" * 90 + "new"})
    )
    assert moved == f"A …{'x' * 20}old → …{'x' * 20}new"


def test_a_number_and_its_text_differ_visibly() -> None:
    assert causes(stack(cpus=5), stack(cpus="5")) == ("cpus 5 → '5'",)


def test_a_network_or_volume_that_moved_takes_its_containers_along() -> None:
    mount = [{"type": "volume", "source": "data", "target": "/d"}]
    before = {**stack(volumes=mount), "networks": {"default": {"x": 1}}, "volumes": {"data": {}}}
    after = {**before, "networks": {"default": {"x": 2}}, "volumes": {"data": {"driver": "d"}}}
    assert causes(before, after) == (
        "networks.default.x 1 → 2",
        "volumes.data.driver absent → d",
    )
    elsewhere = {**before, "volumes": {"data": {}, "other": {}}}
    assert compared(before, elsewhere)[0].action == "keep"


def test_services_come_and_go() -> None:
    before = {"services": {"old": {}, "engine": {"image": "a:1"}}}
    assert [str(change) for change in compared(before, stack())] == ["engine keep", "old remove"]


@pytest.mark.parametrize("damaged", [{}, {"services": None}, {"services": ["engine"]}])
def test_a_file_damaged_by_hand_is_no_reason_to_fail(damaged: Any) -> None:
    assert compared(damaged, stack())[0].action == "create"


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "damaged",
    [
        *("text", None, ["a"], {"image": None}, {1: 2}, {"command": 5}, {"command": "--a 1"}),
        *({"environment": ["A=b", "C"]}, {"environment": 7}, {"environment": "A=b"}),
        *({"networks": 3}, {"networks": {"default": None}}, {"volumes": [5, None, "a:b"]}),
        *({"healthcheck": "none"}, {"command": [None, ["x"]]}, {"volumes": "a"}),
        *({"labels": {("a", 1): {("b",): 2}}}, {"cpus": CYCLE}),
    ],
)
def test_a_service_damaged_by_hand_is_made_anew(damaged: Any) -> None:
    new = stack(command=["--a", "1"], environment={"A": "b"}, volumes=[{"source": "x"}])
    before = {"services": {"engine": damaged}, "networks": [1], "volumes": "x"}
    (change,) = compared(before, {**new, "networks": {"default": {}}})
    assert change.action == "recreate"
    assert change.causes


def test_variables_may_be_written_as_a_list() -> None:
    moved = causes(stack(environment=["A=b", "C=d"]), stack(environment={"A": "b", "C": "e"}))
    assert moved == ("C d → e",)


# ── what is no line of the file ───────────────────────────────────────────────────────────────

TWO = {"services": {"engine": {"image": "a"}, "webui": {"image": "b"}}}


def told(before: Applied, after: Applied) -> list[str]:
    return [str(change) for change in changes(before, after, lambda *_: "")]


def overridden(old: str | None, new: str | None) -> list[str]:
    before, after = Applied(compose=TWO), Applied(compose=TWO)
    return told(replace(before, override=identities(old)), replace(after, override=identities(new)))


def test_an_override_is_named_where_it_says_something() -> None:
    one, other = "services: {engine: {cpus: 1}}", "services: {engine: {cpus: 2}}"
    assert overridden(one, one) == ["engine keep", "webui keep"]
    for old, new, said in (
        (None, one, "is new"),
        (one, other, "was edited"),
        (one, None, "is gone"),
    ):
        assert overridden(old, new) == [
            f"engine recreate: compose.override.yaml {said}",
            "webui keep",
        ]


def test_a_service_of_the_override_comes_and_goes() -> None:
    extra = "services: {once: {image: x}}"
    assert overridden(None, extra)[2:] == ["once create: compose.override.yaml is new"]
    assert overridden(extra, None)[2:] == ["once remove: compose.override.yaml is gone"]
    assert overridden(extra, f"{extra} ")[2:] == []


@pytest.mark.parametrize(
    "text",
    [
        "services: {}",
        "# nothing",
        "services: {engine: !reset null}",
        "x-a: 1",
        "{",
        "[1]",
        "x: &a [*a]",
    ],
)
def test_what_only_compose_can_read_is_said_to_be_unknown(text: str) -> None:
    for change in overridden(None, text):
        assert "unknown: compose.override.yaml is new; whether" in change


def test_a_model_file_that_was_replaced_is_named() -> None:
    before = Applied(compose=TWO, weights="/m 1")
    assert told(before, replace(before, weights="/m 2"))[0] == (
        "engine recreate: the model file was replaced"
    )
    assert told(before, replace(before, weights="/m"))[0] == (
        "engine recreate: the model file is gone, or was replaced"
    )
    for another in ("/n 1", "/n"):  # here, or still to be fetched
        assert told(before, replace(before, weights=another))[0] == (
            "engine recreate: the model file is another one"
        )
    assert told(replace(before, weights=None), before)[0] == "engine keep"


def test_other_processors_are_named() -> None:
    threads = stack(environment={"THREADS": "${CORES:--1}"})
    before = Applied(compose=threads, variables={"CORES": "2"})
    assert told(before, replace(before, variables={"CORES": "4"})) == [
        "engine recreate: THREADS 2 → 4 (this machine)"
    ]


def test_a_doubt_is_said() -> None:
    before = Applied(compose=stack(), doubt="who knows")
    assert told(before, Applied(compose=stack())) == ["engine unknown: who knows"]
    assert told(before, Applied(compose=stack(cpus=1))) == ["engine recreate: cpus absent → 1"]
    assert told(replace(before, compose=None), Applied(compose=stack())) == [
        "engine create: who knows"
    ]


# ── causes ────────────────────────────────────────────────────────────────────────────────────


def test_every_cause_is_a_key_of_a_profile() -> None:
    keys = Keys()
    for table in PATHS.values():
        for paths in table.values():
            for path in paths:
                assert keys.field(tuple(path.split("."))), path


#: One other value for every key that moves something. The profile it is tried on knows the key.
OTHER = {
    "smoke": (
        *("concurrency=5", "model.context=4096", "model.max_tokens=100"),
        *("model.served_name=other", "egress=frontend"),
        *("egress=all", "model.sampling.temperature=0.9", "model.sampling.top_p=0.5"),
        *("model.sampling.top_k=7", "model.sampling.min_p=0.2", "engine.image=ghcr.io/a/b:1"),
        *("engine.memory=3GiB", "engine.cpus=3", "engine.batch=64", "engine.kv_type=q8_0"),
        *("engine.reasoning_budget=9", 'engine.extra_args=["--threads-http","4"]'),
        *("frontend.image=ghcr.io/a/c:1", "frontend.memory=3GiB", "ports.webui=7999"),
        *("frontend.background_tasks=true", "ports.engine=8999", "deadlines.engine=90m"),
        *("deadlines.frontend=90m", "model.use=qwen2.5-1.5b-instruct"),
    ),
    "gpu-6gb-gguf": ("engine.device=vulkan", "concurrency=9"),
    "gpu-6gb": (
        *("concurrency=3", "model.context=8192", "model.served_name=other", "engine.batch=4096"),
        *("engine.dtype=float32", "engine.kv_cache=1GiB", "engine.eager=false", "engine.cpus=2"),
        *("engine.memory=9GiB", "model.sampling.top_k=7", "requires.gpu.memory=8GiB"),
        *("model.reasoning_parser=other", "model.reasoning=false", "egress=all"),
        *("deadlines.engine=90m", "model.source=hf:A/B@main"),
    ),
    "cpu-vllm": ("engine.cpus=2", "engine.dtype=float32", "concurrency=3", "model.context=2048"),
}
TOGETHER = (
    ("smoke", "exposure=lan", "ports.address=192.168.1.20"),
    ("smoke", "model.source=file:/srv/b.Q4_1.gguf", "engine.memory=2GiB"),
    ("smoke", "egress=frontend", "frontend.background_tasks=true"),
    ("gpu-6gb", "model.use=qwen2.5-1.5b-instruct", "model.tools=true", "model.format=bf16"),
)
CASES = [
    *((name, text) for name, texts in OTHER.items() for text in texts),
    *TOGETHER,
]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_whatever_a_key_moves_names_the_key(case: tuple[str, ...], tmp_path: Any) -> None:
    world = Box(home=tmp_path).world()
    name, *sets = case

    def rendered(*sets: str) -> tuple[Any, Any]:
        profile = world.resolve(Selection(profile=name, sets=sets))
        bundle = render(build_plan(profile), world.catalog.templates_dir)
        return profile, Applied(compose=parsed(bundle.text("compose.yaml")))

    (was, before), (profile, after) = rendered(), rendered(*sets)
    # Backwards too: what goes away is to be named as what comes.
    for one, other, of in ((before, after, profile), (after, before, was)):
        found = changes(one, other, causes_of(of))
        moved = [cause for change in found for cause in change.causes]
        assert moved
        nameless = [cause for cause in moved if not cause.endswith(")")]
        assert not nameless or of is was, nameless
