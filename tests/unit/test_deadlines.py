"""Deadlines follow from bytes and tokens; what is written in the profile wins."""

import pytest

from deployctl.catalog import Catalog
from deployctl.model import Deadlines, Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.silence import usual_s

CATALOG = Catalog({"HOME": "/nonexistent"})


def plan(profile: str, *sets: str) -> Plan:
    return build_plan(resolve(Selection(profile=profile, sets=sets), CATALOG.readers()))


def minutes(found: Deadlines) -> tuple[float, float, float]:
    return found.engine_s / 60, found.frontend_s / 60, found.proof_s / 60


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("smoke", (3, 5, 3)),  # 94 MB in any time
        ("arm64", (3, 5, 8)),  # thinks, on the slowest memory
        ("cpu-only", (3, 5, 15)),  # thinks twice as long
        ("cpu-vllm", (12, 5, 3)),  # 3 GB, Python's libraries, and it compiles
        ("rtx3060", (12, 5, 4)),  # and compiles
    ],
)
def test_they_follow_from_the_profile(profile: str, expected: tuple[float, float, float]) -> None:
    assert minutes(plan(profile).deadlines) == expected


def test_what_is_written_wins_and_leaves_the_others_alone() -> None:
    found = plan("smoke", "deadlines.engine=20m", "deadlines.proof=90s").deadlines
    assert minutes(found) == (20, 5, 1.5)


def test_a_proof_has_as_long_as_the_model_may_think() -> None:
    none, some, unlimited, engines = (
        plan("cpu-only", f"engine.reasoning_budget={budget}").deadlines.proof_s
        for budget in (0, 512, -1, "null")
    )
    assert none < some < unlimited == engines


def test_compiling_takes_longer() -> None:
    eager, compiled = (
        plan("rtx3060", f"engine.eager={eager}").deadlines.engine_s for eager in ("true", "false")
    )
    assert compiled - eager == 5 * 60


def test_docker_is_more_patient_than_we_are() -> None:
    found = plan("smoke")
    assert found.service("engine").healthcheck.start_period_s == 4 * found.deadlines.engine_s
    assert found.service("webui").healthcheck.start_period_s == 4 * found.deadlines.frontend_s


def test_a_longer_deadline_changes_no_container_until_it_is_beyond_dockers_patience() -> None:
    usual = plan("smoke").services
    assert plan("smoke", "deadlines.engine=12m", "deadlines.frontend=20m").services == usual
    found = plan("smoke", "deadlines.engine=13m", "deadlines.frontend=21m")
    assert found.service("engine").healthcheck.start_period_s == 13 * 60
    assert found.service("webui").healthcheck.start_period_s == 21 * 60


def test_the_engine_has_whole_minutes_so_that_few_bytes_change_no_container() -> None:
    small, large = (
        plan("cpu-only", f"model.format={form}").deadlines.engine_s for form in ("q4_k_m", "q8_0")
    )
    assert small % 60 == large % 60 == 0
    assert small == large == 4 * 60 or small < large


def test_usual_silence_grows_with_the_weights_and_is_shorter_than_the_deadline() -> None:
    small, large = plan("smoke"), plan("cpu-only")
    assert usual_s(small, "engine", "loading weights") == pytest.approx(11, abs=0.1)
    assert usual_s(large, "engine", "loading weights") == pytest.approx(21, abs=1)
    for each in (small, large, plan("rtx3060")):
        for step in ("starting", "loading weights", "compiling", "no such step"):
            assert 0 < usual_s(each, "engine", step) < each.deadlines.engine_s
            assert 0 < usual_s(each, "webui", step) < each.deadlines.frontend_s
