"""The recipe of ``tune`` over fakes: what it makes and takes down, keeps, writes, and says."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.bench.nouns import Level, Measured, Shape, Subject
from deployctl.cli.tunetext import text
from deployctl.deploy.tunereport import STACK, TuneReport, TuneRequest
from deployctl.deploy.tuning import tune
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError, Fault
from deployctl.overlayfile import write
from deployctl.profiles.selection import Selection
from deployctl.profiles.units import parse_duration
from deployctl.talk import PhaseTalk
from tests.fakes import FakeFacts, facts
from tests.tuningworld import level
from tests.world import Box
from tests.yamltext import parsed

pytestmark = pytest.mark.slow

Flags = dict[str, str]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path / "home", facts=FakeFacts(facts(physical_cores=2)))


class Meter:
    """Measures by what the stack's engine was started with; remembers what that was."""

    def __init__(self, box: Box, figures: Callable[[Flags, int], Level]) -> None:
        self.box, self.figures = box, figures
        self.seen: list[tuple[Flags, int]] = []
        self.seeds: list[int] = []
        self.hook: Callable[[], None] = lambda: None
        self.takes_s: Callable[[Flags], float] = lambda _flags: 10.0
        self.rounds: list[int] = []

    def __call__(
        self,
        world: World,
        name: str,
        shape: Shape,
        seed: int,
        phase: PhaseTalk,
        seconds: float | None,
    ) -> Measured:
        assert name == STACK
        rendered = parsed((self.box.home / "stacks" / name / "compose.yaml").read_text())
        command = rendered["services"]["engine"]["command"]
        flags = dict(zip(command, [*command[1:], ""], strict=True))
        (streams,) = shape.streams
        self.seen.append((flags, streams))
        self.seeds.append(seed)
        self.rounds.append(shape.rounds)
        self.hook()
        took_s = self.takes_s(flags)
        in_time = seconds is None or took_s <= seconds
        world.clock.sleep(took_s if in_time else seconds or 0.0)
        phase("measuring")
        return Measured(
            subject=SUBJECT,
            at="2026-11-22T23:00:00Z",
            shape=shape,
            seed=seed,
            load_s=1.0,
            memory_bytes=None,
            memory_place="ram",
            levels=(self.figures(flags, streams),) if in_time else (),
            ended="" if in_time else "time",
        )


SUBJECT = Subject(
    host="box",
    stack=STACK,
    profile="smoke",
    model="tiny",
    served_name="tiny",
    engine="llama.cpp",
    images={},
    weights="w",
    settings="s",
)


def more_at_once_is_better(flags: Flags, streams: int) -> Level:
    at_once = int(flags["--parallel"])
    return level(100.0 + 10 * at_once, first_s=4.0 / at_once, streams=min(streams, 8), spread=0.01)


def ask(box: Box, tmp_path: Path, **changes: object) -> TuneRequest:
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    asked = TuneRequest(
        goal="throughput",
        folder=folder,
        selection=Selection(profile="smoke"),
        streams=8,
        budget_s=3600,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def tuned(box: Box, request: TuneRequest, meter: Meter) -> TuneReport:
    return tune(box.world("tune"), request, shield=contextlib.nullcontext, measure=meter)


def left(box: Box) -> list[str]:
    there = (box.home / "stacks" / STACK, box.home / "trial")
    return [*box.docker.states, *(str(each) for each in there if each.exists())]


def test_what_is_better_is_an_overlay_that_up_takes(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path), meter)
    assert report.faults == ()
    assert report.settings == (("concurrency", 8),)
    path = tmp_path / "here" / "smoke-tuned.yaml"
    assert report.overlay == path
    assert parsed(path.read_text()) == {"concurrency": 8}
    assert report.command == f"deployctl up --profile smoke --overlay {path}"
    assert left(box) == []
    selection = Selection(profile="smoke", overlays=(str(path),))
    assert up(box.world(), UpRequest(stack="mine", selection=selection)).profile == "smoke"


def test_the_overlay_says_where_its_figures_are_from(box: Box, tmp_path: Path) -> None:
    report = tuned(box, ask(box, tmp_path), Meter(box, more_at_once_is_better))
    written = " ".join(line.removeprefix("# ") for line in report.overlay_text.splitlines())
    for said in (
        "Laid over the profile smoke",
        "deployctl tune --profile smoke --goal throughput --streams 8 --budget 1h",
        "2026-11-22",
        "2 cores",
        "ghcr.io/ggml-org/llama.cpp:server-b11434",
        "8 answers at once, of 64 tokens each to questions of 128; 2 rounds, so 16 answers",
        "120.0 → 180.0 tokens/s, first token (p95) 2.00 s → 0.50 s; 1.50 times the tokens/s",
        "Answered at the same time; more wait in line. Measured, 2 → 8: 120.0 → 180.0 tokens/s",
    ):
        assert said in written, written


def test_what_is_lossy_is_said_to_be(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        narrow = flags.get("--cache-type-k") == "q8_0"
        return level(200.0 if narrow else 100.0, streams=streams)

    report = tuned(box, ask(box, tmp_path), Meter(box, figures))
    assert report.settings == (("engine.kv_type", "q8_0"),)
    assert report.lossy == ("engine.kv_type",)
    assert "What conversations are kept in. Measured, f16 → q8_0:" in " ".join(
        report.overlay_text.replace("\n  # ", " ").split()
    )
    assert "It is lossy" in report.overlay_text.replace("\n  # ", " ")


def test_every_candidate_keeps_what_the_operator_chose(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    chosen = Selection(profile="smoke", sets=("engine.batch=256", "model.context=4096"))
    report = tuned(box, ask(box, tmp_path, selection=chosen), meter)
    assert report.settings == (("concurrency", 8),)
    for flags, _ in meter.seen:
        assert flags["--batch-size"] == "256"
        assert int(flags["--ctx-size"]) == 4096 * int(flags["--parallel"])
    assert "--set engine.batch=256 --set model.context=4096" in report.command


def test_no_two_measurements_ask_the_same_questions(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    tuned(box, ask(box, tmp_path), meter)
    assert len(set(meter.seeds)) == len(meter.seeds) > 3


def test_where_nothing_is_better_nothing_is_written(box: Box, tmp_path: Path) -> None:
    report = tuned(box, ask(box, tmp_path), Meter(box, lambda _flags, _n: level(100, spread=0.02)))
    assert (report.faults, report.overlay, report.settings) == ((), None, ())
    assert report.found is not None
    assert "beyond the spread" in report.found.why
    assert list((tmp_path / "here").iterdir()) == []


def test_a_second_run_measures_nothing_anew_and_says_the_same(box: Box, tmp_path: Path) -> None:
    first = tuned(box, ask(box, tmp_path), Meter(box, more_at_once_is_better))
    meter = Meter(box, more_at_once_is_better)
    again = tuned(box, ask(box, tmp_path), meter)
    assert meter.seen == []
    assert again.found == first.found
    assert again.on_record == len(again.tried) == len(first.tried)
    assert again.overlay == first.overlay  # it says the same already
    assert len(list((tmp_path / "here").iterdir())) == 1


def test_measured_anew_the_old_record_is_put_aside(box: Box, tmp_path: Path) -> None:
    tuned(box, ask(box, tmp_path), Meter(box, more_at_once_is_better))
    meter = Meter(box, more_at_once_is_better)
    again = tuned(box, ask(box, tmp_path, anew=True), meter)
    assert (len(meter.seen), again.on_record) == (len(again.tried), 0)
    names = sorted(path.name for path in (box.home / "tune").iterdir())
    assert sum(".old-" in name for name in names) == 1
    assert sum(name.endswith(".jsonl") for name in names) == 2


def test_another_overlay_gets_the_next_free_name(box: Box, tmp_path: Path) -> None:
    request = ask(box, tmp_path)
    mine = request.folder / "smoke-tuned.yaml"
    mine.write_text("concurrency: 3\n")
    report = tuned(box, request, Meter(box, more_at_once_is_better))
    assert report.overlay == request.folder / "smoke-tuned-2.yaml"
    assert mine.read_text() == "concurrency: 3\n"


def test_a_file_that_is_there_is_refused_before_anything_is_made(box: Box, tmp_path: Path) -> None:
    there = tmp_path / "mine.yaml"
    there.write_text("concurrency: 3\n")
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path, write=there), meter)
    assert [fault.code for fault in report.faults] == ["overlay-exists"]
    asked = "--goal throughput --streams 8 --budget 1h"
    other = tmp_path / "mine-2.yaml"
    assert report.faults[0].hint == f"deployctl tune --profile smoke {asked} --write {other}"
    assert (meter.seen, there.read_text()) == ([], "concurrency: 3\n")


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────


def died(code: str = "engine-crashed") -> DeployctlError:
    return DeployctlError.of((Fault(code=code, message="The engine crashed.", hint="x"),))


def test_an_engine_that_dies_under_a_candidate_costs_only_that(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        if flags["--parallel"] == "8":
            raise died()
        return more_at_once_is_better(flags, streams)

    report = tuned(box, ask(box, tmp_path), Meter(box, figures))
    assert report.faults == ()
    assert report.settings == (("concurrency", 6),)
    (failed,) = (each for each in report.tried if each.outcome.failed)
    assert failed.verdict == "failed: The engine crashed. [engine-crashed]"
    again = Meter(box, figures)
    assert tuned(box, ask(box, tmp_path), again).on_record == len(report.tried)
    assert again.seen == []


def test_what_failed_as_a_candidate_is_tried_again_as_a_profile(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        if flags["--parallel"] == "8":
            raise died()
        return more_at_once_is_better(flags, streams)

    assert tuned(box, ask(box, tmp_path), Meter(box, figures)).faults == ()
    chosen = Selection(profile="smoke", sets=("concurrency=8",))
    report = tuned(box, ask(box, tmp_path, selection=chosen), Meter(box, figures))
    assert [fault.code for fault in report.faults] == ["engine-crashed"]


def test_a_profile_that_does_not_run_as_it_is_ends_it(box: Box, tmp_path: Path) -> None:
    def figures(_flags: Flags, _streams: int) -> Level:
        raise died()

    report = tuned(box, ask(box, tmp_path), Meter(box, figures))
    assert [fault.code for fault in report.faults] == ["engine-crashed"]
    assert (report.tried, left(box)) == ((), [])


def test_a_docker_that_is_gone_ends_it_with_its_cause(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)

    def gone() -> None:
        if len(meter.seen) == 3:
            box.docker.down = True
            raise died()

    meter.hook = gone
    report = tuned(box, ask(box, tmp_path), meter)
    assert {fault.code for fault in report.faults} == {"docker-unreachable"}  # down needs it, too
    assert len(report.tried) == 2


def test_ctrl_c_keeps_what_was_measured_and_the_next_goes_on(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)

    def interrupted() -> None:
        if len(meter.seen) == 4:
            raise KeyboardInterrupt

    meter.hook = interrupted
    report = tuned(box, ask(box, tmp_path), meter)
    assert [fault.code for fault in report.faults] == ["interrupted"]
    assert "measured (3) is on record" in report.faults[0].message
    assert len(report.tried) == 3
    assert left(box) == []
    going_on = Meter(box, more_at_once_is_better)
    whole = tuned(box, ask(box, tmp_path), going_on)
    assert whole.on_record == 3
    straight = Box(home=tmp_path / "other", facts=box.facts)
    assert tuned(straight, ask(box, tmp_path), Meter(straight, more_at_once_is_better)).found == (
        replace(whole.found) if whole.found else None
    )


def test_two_of_the_same_at_once_are_one_too_many(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    request = ask(box, tmp_path)
    seen: list[TuneReport] = []

    def another() -> None:
        meter.hook = lambda: None
        seen.append(tuned(box, request, meter))

    meter.hook = another
    tuned(box, request, meter)
    (fault,) = seen[0].faults
    assert (fault.code, fault.hint) == ("journal-busy", f"{request.again}  # once that has ended")


def test_an_unreachable_slo_is_said_with_one_that_can_be_kept(box: Box, tmp_path: Path) -> None:
    request = ask(box, tmp_path, slo=("ttft=100ms",))
    report = tuned(box, request, Meter(box, more_at_once_is_better))
    (fault,) = report.faults
    assert fault.code == "slo-unreachable"
    assert "--slo ttft=600ms" in fault.hint
    assert report.overlay is None


def test_candidates_that_do_not_fit_are_not_started(box: Box, tmp_path: Path) -> None:
    box.facts = FakeFacts(
        facts(physical_cores=2, memory_total_bytes=2 * 1024**3, memory_available_bytes=2 * 1024**3)
    )
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path, streams=64), meter)
    skipped = [each for each in report.tried if each.outcome.skipped]
    assert skipped
    assert all("it does not fit" in each.verdict for each in skipped)
    assert "64" not in {flags["--parallel"] for flags, _ in meter.seen}


def test_a_limit_of_the_profile_is_not_overrun(box: Box, tmp_path: Path) -> None:
    chosen = Selection(profile="smoke", sets=("engine.memory=384MiB",))
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path, selection=chosen), meter)
    assert {flags["--parallel"] for flags, _ in meter.seen} == {"2", "4"}
    assert any("engine.memory" in each.verdict for each in report.tried)


def test_people_get_as_many_at_once_as_come_in_time(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        keeps = streams <= min(5, int(flags["--parallel"]))
        return level(10.0 * streams, first_s=1.0 if keeps else 3.0, streams=streams)

    report = tuned(box, ask(box, tmp_path, goal="people", streams=None), Meter(box, figures))
    assert report.settings == (("concurrency", 5),)
    assert report.found is not None
    assert report.found.streams == 5
    assert "the first token (p95) came after 1.00 s" in report.overlay_text.replace("\n# ", " ")


# ── what the operator fixed, and what is on record ────────────────────────────────────────────


POOL = "engine.kv_cache=180MiB"


def vllm(*sets: str) -> Selection:
    return Selection(profile="smoke-vllm", sets=sets)


def vllm_is_better_with_more(flags: Flags, streams: int) -> Level:
    return level(100.0 + 10 * int(flags["--max-num-seqs"]), streams=streams)


def test_a_pool_that_was_set_is_not_outgrown(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, vllm_is_better_with_more)
    report = tuned(box, ask(box, tmp_path, selection=vllm(POOL), streams=16), meter)
    assert report.faults == ()
    assert {key for key, _ in report.settings} <= {"engine.cpus", "engine.batch", "engine.eager"}
    assert {flags["--max-num-seqs"] for flags, _ in meter.seen} == {"2"}
    assert any("conversations of" in each.verdict for each in report.tried)


def test_nobody_outgrows_a_pool_that_was_set_for_people_either(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, lambda _flags, n: level(10.0 * n, first_s=1.0, streams=n))
    request = ask(box, tmp_path, goal="people", selection=vllm(POOL), streams=2)
    report = tuned(box, request, meter)
    assert report.faults == ()
    assert report.found is not None
    assert report.found.streams == 4


def test_a_pool_of_the_profile_grows_and_up_takes_the_overlay(box: Box, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("engine:\n  kv_cache: 180MiB\n")
    chosen = Selection(profile="smoke-vllm", overlays=(str(mine),))
    request = ask(box, tmp_path, selection=chosen, streams=16)
    report = tuned(box, request, Meter(box, vllm_is_better_with_more))
    assert dict(report.settings)["engine.kv_cache"] == "720MiB"
    over = replace(chosen, overlays=(*chosen.overlays, str(report.overlay)))
    assert box.world().resolve(over).spec.concurrency == 16


def test_what_was_measured_with_a_growing_pool_is_not_of_a_fixed_one(
    box: Box, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("engine:\n  kv_cache: 180MiB\n")
    chosen = Selection(profile="smoke-vllm", overlays=(str(mine),))
    meter = Meter(box, vllm_is_better_with_more)
    tuned(box, ask(box, tmp_path, selection=chosen, streams=16), meter)
    fixed = replace(chosen, sets=(POOL,))
    again = tuned(box, ask(box, tmp_path, selection=fixed, streams=16), meter)
    assert again.faults == ()
    assert "concurrency" not in dict(again.settings)


def test_what_died_with_a_pool_is_tried_again_with_another(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        if flags["--max-num-batched-tokens"] == "1024":
            raise died()
        return level(100.0, streams=streams)

    def failures(pool: str) -> tuple[int, int]:
        request = ask(box, tmp_path, selection=vllm(f"engine.kv_cache={pool}"), streams=4)
        report = tuned(box, request, Meter(box, figures))
        failed = [each.outcome for each in report.tried if each.outcome.failed]
        return len(failed), sum(each.earlier for each in failed)

    assert failures("1GiB") == (1, 0)
    assert failures("1GiB") == (1, 1)
    assert failures("512MiB") == (1, 0)


def test_what_missed_a_deadline_is_tried_again(box: Box, tmp_path: Path) -> None:
    def figures(flags: Flags, streams: int) -> Level:
        if flags["--parallel"] == "8":
            raise died("engine-not-ready")
        return more_at_once_is_better(flags, streams)

    tuned(box, ask(box, tmp_path), Meter(box, figures))
    report = tuned(box, ask(box, tmp_path), Meter(box, more_at_once_is_better))
    assert report.settings == (("concurrency", 8),)


def test_another_override_of_the_stack_that_is_measured_is_measured_anew(
    box: Box, tmp_path: Path
) -> None:
    request = ask(box, tmp_path)
    tuned(box, request, Meter(box, more_at_once_is_better))
    folder = box.home / "stacks" / STACK
    folder.mkdir(parents=True)
    (folder / "compose.override.yaml").write_text("services: {engine: {cpus: 1}}\n")
    assert tuned(box, request, Meter(box, more_at_once_is_better)).on_record == 0


# ── the overlay is not lost, and no bad one is left ───────────────────────────────────────────


def on_the_last(box: Box, request: TuneRequest, tmp_path: Path) -> Callable[[Meter], int]:
    """How many measurements such a search makes, on another machine like this one."""
    other = Box(home=tmp_path / "other-home", facts=box.facts)
    folder = tmp_path / "other-here"
    folder.mkdir()
    dry = Meter(other, more_at_once_is_better)
    tuned(other, replace(request, folder=folder, write=None), dry)
    return lambda meter: len(dry.seen) - len(meter.seen)


def test_an_overlay_that_up_would_refuse_is_not_left_behind(box: Box, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("model:\n  context: 4096\n")
    chosen = Selection(profile="smoke", overlays=(str(mine),))
    request = ask(box, tmp_path, selection=chosen)
    left_to_do = on_the_last(box, request, tmp_path)
    meter = Meter(box, more_at_once_is_better)

    def broken() -> None:
        if not left_to_do(meter):
            mine.write_text("model:\n  context: many\n")

    meter.hook = broken
    report = tuned(box, request, meter)
    assert [fault.code for fault in report.faults] == ["profile-invalid"]
    assert (report.overlay, report.overlay_text) == (None, "")
    assert list(request.folder.iterdir()) == []
    assert "No overlay is written: `up` would refuse it now." in text(report)


def test_the_command_with_more_time_can_be_typed_once_one_is_written(
    box: Box, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path, write=path, budget_s=50), meter)
    assert report.overlay == path
    assert report.found is not None
    assert not report.found.complete
    assert f"With more it goes on from here: {report.longer}" in text(report)
    words = shlex.split(report.longer)
    options = dict(itertools.pairwise(words))
    other, budget_s = Path(options["--write"]), parse_duration(options["--budget"])
    more = ask(box, tmp_path, write=other, budget_s=budget_s)
    assert more.again == report.longer
    longer = tuned(box, more, meter)
    assert (longer.faults, longer.overlay) == ((), other)


def test_a_stack_that_cannot_be_taken_down_costs_no_overlay(box: Box, tmp_path: Path) -> None:
    request = ask(box, tmp_path)
    left_to_do = on_the_last(box, request, tmp_path)
    meter = Meter(box, more_at_once_is_better)

    def gone() -> None:
        if not left_to_do(meter):
            box.runner.sticky_volumes = True

    meter.hook = gone
    report = tuned(box, request, meter)
    assert [fault.code for fault in report.faults] == ["compose-failed"]
    assert report.overlay == request.folder / "smoke-tuned.yaml"
    assert report.overlay.exists()
    assert "No overlay is written" not in text(report)


def test_a_folder_that_nothing_can_be_written_to_is_refused_before(
    box: Box, tmp_path: Path
) -> None:
    meter = Meter(box, more_at_once_is_better)
    request = ask(box, tmp_path)
    request.folder.rmdir()
    report = tuned(box, request, meter)
    (fault,) = report.faults
    assert (fault.code, meter.seen) == ("workspace-unwritable", [])
    words = shlex.split(fault.hint)
    other = Path(words[words.index("--write") + 1])
    assert re.fullmatch(r"smoke-tuned(-[0-9]+)?\.yaml", other.name)
    assert (other.exists(), other.parent.is_dir()) == (False, True)


def test_an_overlay_that_cannot_be_written_is_printed(box: Box, tmp_path: Path) -> None:
    request = ask(box, tmp_path)
    left_to_do = on_the_last(box, request, tmp_path)
    meter = Meter(box, more_at_once_is_better)

    def gone() -> None:
        if not left_to_do(meter):
            request.folder.rmdir()

    meter.hook = gone
    report = tuned(box, request, meter)
    assert [fault.code for fault in report.faults] == ["workspace-unwritable"]
    assert report.overlay is None
    assert parsed(report.overlay_text) == {"concurrency": 8}
    assert text(report).endswith(f"by hand:\n\n{report.overlay_text.rstrip()}")


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("qwen2.5-1.5b", "qwen2.5-1.5b-tuned.yaml"),
        ("./mine/box.yaml", "box-tuned.yaml"),
        ("box.v2.yml", "box.v2-tuned.yaml"),
    ],
)
def test_the_file_is_called_after_the_whole_profile(
    profile: str, name: str, tmp_path: Path
) -> None:
    made = write("concurrency: 3\n", None, tmp_path, profile, str)
    assert made.path == tmp_path / name
    assert made.other == tmp_path / name.replace("-tuned", "-tuned-2")


# ── time ──────────────────────────────────────────────────────────────────────────────────────


def test_a_candidate_that_goes_over_the_budget_is_ended(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    meter.takes_s = lambda flags: 5000.0 if flags["--parallel"] == "6" else 10.0
    request = ask(box, tmp_path, budget_s=300)
    began = box.clock.now()
    report = tuned(box, request, meter)
    assert box.clock.now() - began <= 300 + 60  # and the frontend's first start
    assert report.faults == ()
    (late,) = (each for each in report.tried if each.outcome.late)
    assert late.verdict == "took longer than the budget"
    assert report.settings == (("concurrency", 8),)  # what was better until then was confirmed
    assert report.found is not None
    assert not report.found.complete
    meter.takes_s = lambda _flags: 10.0
    again = tuned(box, replace(request, budget_s=3600), meter)
    assert not any(each.outcome.late for each in again.tried)


def test_the_profile_as_it_is_has_all_the_time_it_takes(box: Box, tmp_path: Path) -> None:
    meter = Meter(box, more_at_once_is_better)
    meter.takes_s = lambda _flags: 500.0
    report = tuned(box, ask(box, tmp_path, budget_s=60), meter)
    assert [each.verdict for each in report.tried] == ["as it is"]


@pytest.mark.parametrize(
    ("streams", "slo", "rounds"), [(1, (), 4), (1, ("ttft=9s",), 8), (8, (), 2)]
)
def test_few_streams_are_asked_more_often(
    box: Box, tmp_path: Path, streams: int, slo: tuple[str, ...], rounds: int
) -> None:
    meter = Meter(box, more_at_once_is_better)
    report = tuned(box, ask(box, tmp_path, streams=streams, slo=slo), meter)
    assert set(meter.rounds) == {rounds}
    assert f"{rounds} rounds, so {rounds * streams} answers" in report.load
