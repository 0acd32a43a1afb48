"""What `auto` takes and `recommend` says, on machines that are not ours."""

from dataclasses import replace

import pytest

from deployctl.catalog import Catalog
from deployctl.choice import Candidate, choose, passed_over, recommend
from deployctl.errors import DeployctlError
from deployctl.model import Gpu, HostFacts
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from tests.fakes import facts

CATALOG = Catalog({"HOME": "/nonexistent"})
GIB = 1024**3


def shipped() -> tuple[Candidate, ...]:
    found = []
    for name in CATALOG.shipped_names():
        profile = resolve(Selection(profile=name), CATALOG.readers())
        rank = profile.spec.auto.rank if profile.spec.auto else 0
        found.append(Candidate(rank=rank, plan=build_plan(profile)))
    return tuple(found)


def host(
    card: str | None = None,
    gigabytes: float = 0,
    capability: str = "8.6",
    *,
    free: float | None = None,
) -> HostFacts:
    if card is None:
        return facts()
    size = int(gigabytes * GIB)
    gpu = Gpu(
        name=card,
        memory_bytes=size,
        memory_free_bytes=size - GIB // 4 if free is None else int(free * GIB),
        compute_capability=capability,
        driver="580.95.05",
    )
    return replace(facts(), gpus=(gpu,), container_toolkit=True)


@pytest.mark.parametrize(
    ("machine", "best"),
    [
        (host(), "cpu-only"),
        (host("NVIDIA GeForce RTX 3060", 12), "rtx3060"),
        (host("NVIDIA GeForce RTX 4060", 8, "8.9"), "gpu-8gb"),
        (host("NVIDIA GeForce GTX 1660", 6, "7.5"), "gpu-6gb-gguf"),
        (host("NVIDIA GeForce GTX 1650", 4, "7.5"), "gpu-4gb"),
        (replace(facts(), architecture="arm64"), "arm64"),
    ],
)
def test_each_machine_gets_its_profile(machine: HostFacts, best: str) -> None:
    ranked = recommend(shipped(), machine)
    assert ranked[0].profile == best
    assert len(ranked) == len(CATALOG.shipped_names())
    assert all(item.limit for item in ranked if item.verdict == "no")


def six(card: str, free: float, capability: str = "7.5") -> HostFacts:
    return host(card, 6, capability, free=free)


@pytest.mark.parametrize(
    ("machine", "best", "instead"),
    [
        (six("NVIDIA GeForce RTX 2060", 5.7), "gpu-6gb", ()),
        (six("NVIDIA GeForce RTX 2060", 5.0), "gpu-6gb", ()),
        (
            six("NVIDIA GeForce RTX 2060", 4.5),  # a desktop has 1.5 GiB
            "gpu-6gb-gguf",
            ("gpu-6gb: Only 288 MiB would be left (NVIDIA GeForce RTX 2060).",),
        ),
        (
            six("NVIDIA GeForce RTX 2060", 4.0),
            "gpu-6gb-gguf",
            ("gpu-6gb: 4.2 GiB are needed; only 4.0 GiB are free now (NVIDIA GeForce RTX 2060).",),
        ),
        (
            six("NVIDIA GeForce GTX 1660 Ti", 5.7),
            "gpu-6gb-gguf",
            (
                "gpu-6gb: NVIDIA GeForce GTX 1660 Ti has no tensor cores, and vLLM is slow without "
                "them (claimed).",
            ),
        ),
        (six("NVIDIA GeForce RTX 3060 Laptop GPU", 5.7, "8.6"), "gpu-6gb", ()),
        (six("NVIDIA RTX A2000", 5.5, "8.6"), "gpu-6gb", ()),
    ],
)
def test_on_6_gb_vllm_gives_way_where_it_is_crowded_or_slow_and_that_is_said(
    machine: HostFacts, best: str, instead: tuple[str, ...]
) -> None:
    assert recommend(shipped(), machine)[0].profile == best
    assert passed_over(shipped(), machine) == instead
    choice = choose(tuple(c for c in shipped() if c.rank), machine, again=str)
    assert choice.profile == best
    assert set(instead) <= set(choice.given_up)


def test_a_crowded_card_that_no_profile_fits_gets_the_best_that_could() -> None:
    full = six("NVIDIA GeForce RTX 2060", 0.3)
    choice = choose(tuple(c for c in shipped() if c.rank), full, again=str)
    assert choice.profile == "cpu-only"
    gpus = tuple(c for c in shipped() if c.plan.requirements.card is not None and c.rank)
    assert choose(gpus, full, again=str).profile == "gpu-6gb"


def test_a_limit_is_a_reason_and_a_ceiling_a_number() -> None:
    ranked = {item.profile: item for item in recommend(shipped(), host())}
    assert "needs an NVIDIA card" in (ranked["rtx3060"].limit or "")
    speed = ranked["rtx3060"].speed
    assert speed is not None
    assert round(speed.tokens_per_s, 1) == 116.6


def test_auto_takes_the_card_only_when_it_is_there() -> None:
    def again(name: str) -> str:
        return f"up {name}"

    candidates = tuple(c for c in shipped() if c.rank)
    assert choose(candidates, host(), again=again).profile == "cpu-only"
    assert choose(candidates, host(), again=again).given_up == ()
    chosen = choose(candidates, host("NVIDIA GeForce RTX 3060", 12), again=again)
    assert chosen.profile == "rtx3060"
    assert "RTX 3060" in chosen.reason


def test_nothing_fits_nowhere() -> None:
    with pytest.raises(DeployctlError) as refused:
        choose(shipped(), facts(architecture="riscv64"), again=str)
    assert refused.value.faults[0].code == "memory-short"


def test_auto_prefers_what_fits_the_memory_that_is_free_now() -> None:
    busy = facts(memory_total_bytes=4 * GIB, memory_available_bytes=int(1.3 * GIB))
    candidates = tuple(c for c in shipped() if c.rank)
    choice = choose(candidates, busy, again=str)
    assert choice.profile == "smoke"
    assert any("free now" in text for text in choice.given_up)
    nearly = facts(memory_total_bytes=4 * GIB, memory_available_bytes=GIB // 2)
    assert choose(candidates, nearly, again=str).profile == "cpu-only"


def test_the_memory_that_decides_is_the_one_that_is_shown() -> None:
    machine = replace(
        host("NVIDIA GeForce RTX 3060", 12), memory_available_bytes=2 * GIB, disk_free_bytes=None
    )
    ranked = {item.profile: item for item in recommend(shipped(), machine)}
    assert "memory of this machine" in ranked["rtx3060"].reason


def test_nothing_that_can_be_had_is_said_as_that_not_as_too_little_memory() -> None:
    candidates = tuple(c for c in shipped() if c.plan.profile == "cpu-only")
    source = candidates[0].plan.weights.source.text
    with pytest.raises(DeployctlError) as refused:
        choose(candidates, replace(facts(), reachable={source: False}), again=str)
    assert refused.value.faults[0].code == "weights-unreachable"
    assert "model.source=file:" in refused.value.faults[0].hint
