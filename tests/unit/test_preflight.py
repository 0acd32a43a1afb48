"""A plan held against machines that are not ours."""

from dataclasses import replace

import pytest

from deployctl.catalog import Catalog
from deployctl.fitting import fitting
from deployctl.model import Gpu, HostFacts, Plan
from deployctl.outcomes import CheckResult
from deployctl.planner import build_plan
from deployctl.preflight import preflight
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from tests.fakes import facts

CATALOG = Catalog({"HOME": "/nonexistent"})
GIB = 1024**3
RTX_3060 = Gpu(
    name="NVIDIA GeForce RTX 3060",
    memory_bytes=12 * GIB,
    memory_free_bytes=int(11.5 * GIB),
    compute_capability="8.6",
    driver="580.95.05",
)


def plan(profile: str, *sets: str) -> Plan:
    selection = Selection(profile=profile, sets=sets)
    return build_plan(resolve(selection, CATALOG.readers()))


def checks(
    plan: Plan, host: HostFacts, *, force: bool = False, running: bool = False
) -> dict[str, CheckResult]:
    found = preflight(
        plan,
        host,
        fitting(plan, host, running=running),
        first=True,
        force=force,
        selection=Selection(profile=plan.profile),
        again=lambda selection: " ".join(("deployctl up", *selection.words)),
    )
    by_name: dict[str, CheckResult] = {}
    for check in found:
        by_name.setdefault(check.code or check.name, check)  # the card's memory comes first
    return by_name


def with_card(card: Gpu, **more: object) -> HostFacts:
    return replace(facts(), gpus=(card,), **{"container_toolkit": True, **more})  # type: ignore[arg-type]


def test_a_card_that_is_there_and_able_is_fine() -> None:
    found = checks(plan("rtx3060"), with_card(RTX_3060))
    assert all(check.status == "ok" for check in found.values())


def test_no_card_names_what_is_missing_and_what_to_type() -> None:
    missing = checks(plan("rtx3060"), facts())["gpu-missing"]
    assert missing.status == "failed"
    assert "needs an NVIDIA card (made for" in missing.summary
    assert "RTX 3060, 12 GiB" in missing.summary
    assert missing.hint.startswith("deployctl recommend")


@pytest.mark.parametrize(
    ("card", "toolkit", "code"),
    [
        (replace(RTX_3060, driver=None), True, "gpu-driver-missing"),
        (replace(RTX_3060, driver="550.54.14"), True, "gpu-driver-old"),
        (replace(RTX_3060, compute_capability="7.5"), True, "gpu-too-old"),
        (RTX_3060, False, "gpu-toolkit-missing"),
    ],
)
def test_a_card_that_cannot_is_refused(card: Gpu, toolkit: bool, code: str) -> None:
    found = checks(plan("rtx3060"), with_card(card, container_toolkit=toolkit))
    assert found[code].status == "failed"


def test_what_is_not_known_of_a_card_is_not_held_against_it() -> None:
    card = replace(RTX_3060, compute_capability=None, memory_bytes=None, memory_free_bytes=None)
    found = checks(plan("rtx3060"), with_card(card, container_toolkit=None))
    assert all(check.status == "ok" for check in found.values())


def test_an_amd_card_is_no_nvidia_card_but_one_for_vulkan() -> None:
    host = with_card(Gpu(name="RX 7600", memory_bytes=8 * GIB, driver=None, vendor="amd"))
    assert "RX 7600" in checks(plan("rtx3060"), host)["gpu-missing"].summary
    assert checks(plan("vulkan"), host)["card"].status == "ok"


def test_a_card_that_is_too_small_only_warns() -> None:
    small = replace(RTX_3060, memory_bytes=5 * GIB, memory_free_bytes=5 * GIB)
    memory = checks(plan("rtx3060"), with_card(small))["memory"]
    assert memory.status == "warning"


def test_weights_larger_than_the_card_are_refused_unless_forced() -> None:
    tiny = replace(RTX_3060, memory_bytes=2 * GIB, memory_free_bytes=2 * GIB)
    assert checks(plan("rtx3060"), with_card(tiny))["memory-short"].status == "failed"
    forced = checks(plan("rtx3060"), with_card(tiny), force=True)
    assert forced["memory-short"].status == "warning"


def test_a_context_beyond_the_model_is_refused_unless_forced() -> None:
    asked = plan("smoke", "model.context=16384")
    refused = checks(asked, facts())["context-too-long"]
    assert refused.status == "failed"
    assert refused.hint == "deployctl up --profile smoke --set model.context=8192"
    assert checks(asked, facts(), force=True)["context-too-long"].status == "warning"


def test_with_a_shorter_context_the_answer_is_shorter_too() -> None:
    asked = plan("smoke", "model.context=16384", "model.max_tokens=10000")
    hint = checks(asked, facts())["context-too-long"].hint
    sets = ("model.context=8192", "model.max_tokens=4096")
    assert hint == f"deployctl up --profile smoke --set {' --set '.join(sets)}"
    assert plan("smoke", *sets).max_tokens == 4096


def test_a_context_of_llama_cpp_is_rounded_up_to_whole_blocks_and_said_so() -> None:
    odd = plan("smoke", "model.context=3000")
    assert (odd.context, odd.asked_context) == (3072, 3000)
    command = odd.service("engine").command
    assert command[command.index("--ctx-size") + 1] == str(2 * 3072)
    assert odd.load == plan("smoke", "model.context=3072").load
    assert checks(odd, facts())["context"].summary.startswith("3072 tokens, rounded up from 3000: ")
    whole = plan("smoke")
    assert (whole.context, whole.asked_context) == (2048, 2048)
    assert plan("smoke-vllm", "model.context=1000").context == 1000


def test_memory_that_others_use_now_warns_but_not_when_it_is_our_own() -> None:
    busy = facts(memory_available_bytes=GIB // 2)
    assert checks(plan("smoke"), busy)["memory"].status == "warning"
    assert checks(plan("smoke"), busy, running=True)["memory"].status == "ok"


def test_what_is_needed_says_how_it_is_known() -> None:
    small = ("addons.jupyter.enabled=true", "addons.jupyter.memory=64MiB")
    limited = checks(plan("smoke", *small), facts())["limit"]
    assert "110 MiB are needed (measured)" in limited.summary


def test_a_limit_below_what_is_needed_is_told_with_one_that_is_enough() -> None:
    limited = checks(plan("smoke", "engine.memory=120MiB"), facts())["limit"]
    assert limited.status == "warning"
    assert "engine.memory lets it use 120 MiB" in limited.summary
    assert limited.hint.endswith("--set engine.memory=512MiB")  # what a failure would say too
    frontend = checks(plan("smoke", "frontend.memory=1MiB"), facts())["limit"]
    assert "--set frontend.memory=" in frontend.hint


def test_no_limit_is_proposed_that_is_more_than_the_machine_has() -> None:
    short = plan("smoke-vllm", "engine.memory=1GiB")
    assert "limit" not in checks(short, facts(memory_total_bytes=2 * GIB))
    tight = checks(short, facts(memory_total_bytes=3 * GIB))["limit"]
    assert tight.hint.endswith("--set engine.memory=3GiB")


def test_more_processors_than_there_are_is_refused() -> None:
    refused = checks(plan("smoke", "engine.cpus=1000"), facts())["cpus-too-many"]
    assert refused.status == "failed"
    assert refused.hint.endswith(f"--set engine.cpus={facts().cores}")


def test_one_command_moves_all_the_ports_that_are_held() -> None:
    asked = plan("smoke", "ports.webui=17900", "ports.engine=17901")
    here = facts(busy_ports={17900: "process a", 17901: "process b", 17902: "process c"})
    found = preflight(
        asked,
        here,
        None,
        first=False,
        force=False,
        selection=Selection(profile="smoke", sets=("ports.webui=17900", "ports.engine=17901")),
        again=lambda selection: " ".join(("deployctl up", *selection.words)),
    )
    held = [check.hint for check in found if check.code == "port-taken"]
    assert held == 2 * [
        "deployctl up --profile smoke --set ports.engine=17903 --set ports.webui=17904"
    ]


def test_an_address_of_another_machine_is_refused() -> None:
    lan = plan("smoke", "exposure=lan", "ports.address=192.0.2.9")
    here = facts(addresses=("127.0.0.1", "192.0.2.2", "fe80::1"))
    refused = checks(lan, here)["address-missing"]
    assert "which has 192.0.2.2." in refused.summary
    assert refused.hint == "deployctl up --profile smoke --set ports.address=192.0.2.2"
    nowhere = checks(lan, facts(addresses=("127.0.0.1",)))["address-missing"]
    assert nowhere.hint.startswith("ip -brief address")
    assert "address" not in checks(lan, facts(addresses=("192.0.2.9",)))


def test_a_built_image_stands_in_only_for_what_it_was_made_for() -> None:
    def recipes(*sets: str) -> list[str | None]:
        return [service.image.recipe for service in plan("smoke", *sets).services]

    assert recipes() == ["llama-cpp", "open-webui"]
    assert recipes("engine.image=mirror.example:5000/ghcr/ggml-org/llama.cpp:server-b11434") == [
        "llama-cpp",
        "open-webui",
    ]
    assert recipes("engine.image=ghcr.io/ggml-org/llama.cpp:server-b1") == [None, "open-webui"]
    assert recipes("frontend.image=foo/bar:2") == ["llama-cpp", None]
