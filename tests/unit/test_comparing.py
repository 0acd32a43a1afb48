"""``compare`` over fakes: what is measured stays, whatever ends it, and the stack goes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.bench.nouns import Measured, Shape
from deployctl.deploy.comparing import CompareReport, compare, handed_out
from deployctl.deploy.contenders import CompareRequest, contenders
from deployctl.deploy.names import ImageMode
from deployctl.deploy.up import up
from deployctl.deploy.world import ResolvedImage, UpRequest, World
from deployctl.errors import DeployctlError, Fault
from deployctl.marks import TRIAL, held, set_mark
from deployctl.model import HostFacts, Image, Weights, WeightsSpec
from deployctl.outcomes import Command, CommandResult, Progress
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, FakeFacts, FakeImages, facts
from tests.measures import level, measured
from tests.world import Box

NAME = "deployctl-compare"
#: The fake engine serves one name.
SMOKE = Selection(profile="smoke", sets=("model.served_name=smollm2-135m",))
BOTH = ("smollm2-135m-instruct", "qwen2.5-1.5b-instruct")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path / "home")


class Measuring:
    """Measures what stands; ``ends``: what comes of the so-manieth instead."""

    def __init__(self, ends: dict[int, Measured | BaseException] | None = None) -> None:
        self.seen: list[tuple[str, int, int]] = []  # model, context, conversations
        self.ends = ends or {}

    def __call__(self, world: World, name: str, shape: Shape) -> Measured:
        manifest = Workspace(world.home, name).manifest()
        assert manifest is not None
        (engine,) = (c for c in world.docker.containers(name) if c.service == "engine")
        assert engine.status == "running"
        self.seen.append((manifest.model, shape.rounds, max(shape.streams)))
        end = self.ends.get(len(self.seen))
        if isinstance(end, BaseException):
            raise end
        return end or measured(100.0 / len(self.seen), shape=shape)


def run(box: Box, measure: Measuring | None = None, **asked: Any) -> CompareReport:
    """As the command does: what is whole is handed out."""
    world = box.world("compare")
    request = CompareRequest(**{"models": BOTH, "selection": SMOKE, **asked})
    report = compare(world, request, shield=contextlib.nullcontext, measure=measure or Measuring())
    if not report.faults:
        handed_out(world, report)
    return report


def left(box: Box) -> list[str]:
    folders = [box.home / "stacks" / NAME, box.home / "trial", box.home / "compare"]
    there = [str(folder) for folder in folders if folder.exists()]
    return [*box.docker.states, *box.docker.kept_volumes, *there]


def refused(box: Box, **asked: Any) -> tuple[Fault, ...]:
    """What is wrong, before anything is brought up."""
    with pytest.raises(DeployctlError) as problem:
        run(box, **asked)
    assert box.runner.commands == []
    assert left(box) == []
    return problem.value.faults


# ── it goes well ──────────────────────────────────────────────────────────────────────────────


def test_every_model_is_measured_and_nothing_is_left(box: Box) -> None:
    measure = Measuring()
    report = run(box, measure)
    assert (report.status, report.faults) == ("ok", ())
    assert [model for model, _, _ in measure.seen] == [
        "SmolLM2-135M-Instruct Q4_1",
        "Qwen2.5-1.5B-Instruct Q4_K_M",
    ]
    assert [side.name for side in report.sides] == [model for model, _, _ in measure.seen]
    assert report.verdict[0] == (
        "One answer (1 stream): SmolLM2-135M-Instruct Q4_1 has 2.00 × as many tokens/s as "
        "Qwen2.5-1.5B-Instruct Q4_K_M."
    )
    assert [side.kv_bytes_per_token for side in report.sides] == [23_040, 28_672]
    assert left(box) == []


def test_all_have_the_same_context_and_room_for_the_most_streams(box: Box) -> None:
    report = run(box, shape=Shape(streams=(1, 8)))
    assert (report.context, report.concurrency) == (2048, 8)
    assert report.notes[0] == (
        "Every model has 2048 tokens of context and room for 8 conversations at once, for the 8 "
        "streams; profile smoke has 2."
    )


def test_more_room_is_not_taken_away(box: Box) -> None:
    report = run(box, selection=SMOKE.with_set("concurrency", 6))
    assert report.concurrency == 6
    assert report.notes[0].endswith("for 6 conversations at once, as profile smoke has it.")


def test_less_room_that_was_asked_for_stays_and_is_said(box: Box) -> None:
    report = run(box, selection=SMOKE.with_set("concurrency", 2))
    assert report.concurrency == 2
    assert report.notes[1] == ("With --set concurrency=2 some of the 4 streams wait for others.")


def test_the_beginning_of_a_name_is_enough(box: Box) -> None:
    report = run(box, models=("smollm2", "Qwen2.5"))
    assert [side.model for side in report.sides] == list(BOTH)
    assert any("smollm2 is smollm2-135m-instruct" in said for said in box.talk.said)


def test_what_auto_chooses_for_the_first_is_for_all(box: Box) -> None:
    report = run(box, selection=replace(SMOKE, profile="auto"))
    assert report.status == "ok"
    assert report.profile in box.world().catalog.shipped_names()
    assert any(said.startswith("profile auto:") for said in box.talk.said)


def test_two_files_of_one_name_are_told_apart(box: Box) -> None:
    own = SMOKE.with_set("model.name", "Own")
    report = run(box, selection=own)
    assert [side.name for side in report.sides] == [
        "Own (SmolLM2-135M-Instruct.Q4_1.gguf)",
        "Own (qwen2.5-1.5b-instruct-q4_k_m.gguf)",
    ]


def test_warnings_of_a_measurement_name_their_model(box: Box) -> None:
    report = run(box, Measuring({2: replace(measured(), warnings=("too fast",))}))
    assert report.notes[-1] == "Qwen2.5-1.5B-Instruct Q4_K_M: too fast"


# ── before anything ───────────────────────────────────────────────────────────────────────────


def test_all_that_is_wrong_with_any_model_is_said_at_once(box: Box) -> None:
    first, second, third = refused(box, models=("smolm2", "qwen2.5", "llamma", "llama:q9"))
    assert [fault.code for fault in (first, second, third)] == [
        *("model-unknown", "model-unknown", "profile-invalid"),
    ]
    assert first.where == "MODEL smolm2"
    assert (
        first.hint
        == second.hint
        == third.hint
        == (
            "deployctl compare smollm2-135m-instruct qwen2.5 llama-3.2-1b-instruct "
            "llama-3.2-1b-instruct:q8_0 --profile smoke --set model.served_name=smollm2-135m"
        )
    )


def test_a_wrong_profile_is_said_once(box: Box) -> None:
    (fault,) = refused(box, selection=Selection(profile="smok"))
    assert (fault.code, fault.hint) == (
        "profile-unknown",
        "deployctl up --profile smoke",  # the command line makes its own of it
    )


def test_a_context_that_one_was_not_made_for_is_not_shortened(box: Box) -> None:
    (fault,) = refused(box, selection=SMOKE.with_set("model.context", 16384))
    assert (fault.code, "SmolLM2" in fault.message) == ("context-too-long", True)
    assert fault.hint.endswith("--set model.context=8192")
    assert "concurrency" not in fault.hint  # which nobody typed


@pytest.mark.parametrize("answer", [100, 40])
def test_more_tokens_than_the_context_are_refused(box: Box, answer: int) -> None:
    """2040 would fit into 2048 if there were no template around the question."""
    shape = Shape(streams=(1,), prompt_tokens=2000, output_tokens=answer)
    (fault,) = refused(box, shape=shape)
    assert fault.code == "usage"
    assert "2048 tokens" in fault.message


def test_a_load_that_just_fits_is_measured(box: Box) -> None:
    shape = Shape(streams=(1,), prompt_tokens=1944, output_tokens=40)
    assert run(box, shape=shape).status == "ok"


@pytest.mark.parametrize("models", [("smollm2", "smollm2-135m-instruct:q4_1"), ("smollm2",)])
def test_one_model_is_not_compared(box: Box, models: tuple[str, ...]) -> None:
    assert [fault.code for fault in refused(box, models=models)] == ["usage"]


def test_the_command_line_is_kept_whole() -> None:
    request = CompareRequest(
        models=("a", "b"),
        selection=SMOKE,
        load_words=("--rounds", "5"),
        stack="other",
        images="local",
        force=True,
    )
    assert request.again == (
        "deployctl compare a b --profile smoke --set model.served_name=smollm2-135m --rounds 5 "
        "--stack other --images local --force"
    )


def test_a_stack_of_somebody_is_not_touched(box: Box) -> None:
    up(box.world(), UpRequest(stack=NAME, selection=SMOKE))
    before = dict(box.docker.states)
    with pytest.raises(DeployctlError) as problem:
        run(box)
    assert problem.value.faults[0].code == "trial-refused"
    assert box.docker.states == before


# ── one fails ─────────────────────────────────────────────────────────────────────────────────


def failing_start(box: Box, number: int) -> None:
    """Let the so-manieth start fail, and none after it."""
    real, starts = box.runner.run, [0]

    def run(command: Command, **more: Any) -> CommandResult:
        if command.label == "start the stack":
            starts[0] += 1
            box.runner.fail = {"start the stack": "no"} if starts[0] == number else {}
        return real(command, **more)

    box.runner.run = run  # type: ignore[method-assign]


@pytest.mark.parametrize("number", [1, 2])
def test_one_that_does_not_come_up_leaves_the_others(box: Box, number: int) -> None:
    failing_start(box, number)
    report = run(box, models=(*BOTH, "llama-3.2-1b-instruct"))
    (fault,) = report.faults
    bad, good = report.sides[number - 1], [s for s in report.sides if s.fault is None]
    assert report.status == "degraded"
    assert (bad.fault, bad.measured) == (fault, None)
    assert fault.where is not None
    assert fault.where.startswith(bad.name)
    assert fault.hint.endswith(f"--stack {NAME}-look  # alone, to look at it")
    assert len(good) == 2
    assert all(side.measured for side in good)
    assert f"{bad.name} was not measured: {fault.message}" in report.verdict
    assert not box.docker.states


def test_a_file_that_cannot_be_had_is_its_own_fault(box: Box) -> None:
    box.weights.error = DeployctlError("no such file", code="weights-not-found", hint="x")
    report = run(box)
    assert (report.status, {fault.code for fault in report.faults}) == (
        "failed",
        {"weights-not-found"},
    )
    assert len(report.faults) == 2
    assert left(box) == []


def test_a_file_that_cannot_be_had_is_known_before_the_first_is_brought_up(box: Box) -> None:
    real = box.weights.fetch

    def fetch(spec: WeightsSpec, *, progress: Progress) -> Weights:
        if "qwen" in spec.source.text:
            assert box.docker.states == {}
            raise DeployctlError("no such file", code="weights-not-found", hint="x")
        return real(spec, progress=progress)

    box.weights.fetch = fetch  # type: ignore[method-assign]
    report = run(box)
    assert [side.fault is None for side in report.sides] == [True, False]
    assert report.sides[0].measured is not None


def test_an_engine_that_dies_under_the_load_keeps_what_was_measured(box: Box) -> None:
    died = Fault(
        code="engine-oom-killed", message="Killed.", hint=f"deployctl logs engine --stack {NAME}"
    )
    partial = replace(measured(), levels=(level(1, 100.0),), ended="failed", faults=(died,))
    report = run(box, Measuring({1: partial}))
    assert [fault.code for fault in report.faults] == ["engine-oom-killed"]
    assert report.faults[0].hint.startswith("deployctl up --profile smoke --model smollm2")
    assert report.sides[0].measured == partial
    assert report.sides[1].fault is None
    assert left(box)[0].endswith("/compare")  # the second need not be measured again
    assert not box.docker.states


def test_tool_calls_are_the_templates_and_not_what_the_chat_window_offers(box: Box) -> None:
    report = run(box)
    assert [side.tool_template for side in report.sides] == [False, True]
    (row,) = (row for row in report.rows if row.label == "calls tools by its template")
    assert row.cells == ("no", "yes")


def test_a_down_that_fails_hides_nothing(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    report = run(box)
    assert [fault.code for fault in report.faults] == ["compose-failed"]
    assert all(side.measured for side in report.sides)


# ── ended in the middle ───────────────────────────────────────────────────────────────────────


PARTIAL = replace(measured(), levels=(level(1, 100.0),), ended="interrupted")


@pytest.mark.parametrize("end", [PARTIAL, KeyboardInterrupt()])
def test_ctrl_c_keeps_what_was_measured_and_takes_the_stack_down(
    box: Box, end: Measured | BaseException
) -> None:
    report = run(box, Measuring({2: end}))
    (fault,) = report.faults
    assert (fault.code, report.status) == ("interrupted", "degraded")
    assert fault.message == (
        f"Interrupted; stack {NAME} is taken down. 1 of 2 models were measured to the end; the "
        "same command goes on from there."
    )
    assert fault.hint.startswith("deployctl compare smollm2-135m-instruct qwen2.5")
    assert report.sides[0].measured is not None
    assert report.sides[1].measured == (end if isinstance(end, Measured) else None)
    assert not box.docker.states
    assert not (box.home / "trial").exists()


def test_ctrl_c_after_which_the_stack_cannot_be_taken_down_says_both(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    report = run(box, Measuring({2: KeyboardInterrupt()}))
    assert [fault.code for fault in report.faults] == ["interrupted", "compose-failed"]
    assert f"stack {NAME} could not be taken down" in report.faults[0].message
    assert "is taken down" not in report.faults[0].message
    assert report.sides[0].measured is not None


def test_ctrl_c_before_it_is_known_what_to_compare_is_the_callers(box: Box) -> None:
    box.facts = _Interrupted(facts())
    with pytest.raises(KeyboardInterrupt):
        run(box)
    assert left(box) == []


class _Interrupted(FakeFacts):
    """Ctrl-C while this machine is looked at."""

    @property
    def facts(self) -> HostFacts:
        raise KeyboardInterrupt

    @facts.setter
    def facts(self, _facts: HostFacts) -> None: ...


class _PullInterrupted(FakeImages):
    """Ctrl-C while images are pulled."""

    def obtain(
        self, images: tuple[Image, ...], *, mode: ImageMode, progress: Progress
    ) -> tuple[ResolvedImage, ...]:
        raise KeyboardInterrupt


def test_ctrl_c_while_images_are_looked_up_for_what_is_on_record(box: Box) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    box.images = _PullInterrupted()
    report = run(box)
    (fault,) = report.faults
    assert (fault.code, report.status) == ("interrupted", "failed")
    assert fault.message == (
        "Interrupted; no model was brought up. 0 of 2 models were measured to the end; the same "
        "command begins anew."
    )
    assert "SmolLM2-135M-Instruct Q4_1 was not measured." in report.verdict


def test_ctrl_c_while_an_earlier_one_is_taken_away(box: Box) -> None:
    with held(box.home, NAME, TRIAL, doing="compare", hint="x") as mark:
        set_mark(mark)
        up(box.world("compare"), UpRequest(stack=NAME, selection=SMOKE))
    ends = [KeyboardInterrupt()]
    real = box.runner.run

    def run_(command: Command, **more: Any) -> CommandResult:
        if command.label == "stop the stack" and ends:
            raise ends.pop()
        return real(command, **more)

    box.runner.run = run_  # type: ignore[method-assign]
    report = run(box)
    assert [fault.code for fault in report.faults] == ["interrupted"]
    assert "no model was brought up" in report.faults[0].message
    assert left(box) == []


def test_a_disk_that_keeps_nothing_does_not_stop_the_others(box: Box) -> None:
    class Full(Measuring):
        def __call__(self, world: World, name: str, shape: Shape) -> Measured:
            (world.home / "compare").touch()  # by now nothing can be written there
            return super().__call__(world, name, shape)

    measure = Full()
    assert run(box, measure).status == "ok"
    assert len(measure.seen) == 2
    assert sum("is not kept for another try" in said for said in box.talk.warned) == 2


def test_what_was_measured_is_kept_until_it_is_handed_out(box: Box) -> None:
    world, request = box.world("compare"), CompareRequest(models=BOTH, selection=SMOKE)
    for expected in (2, 0):
        measure = Measuring()
        report = compare(world, request, shield=contextlib.nullcontext, measure=measure)
        assert (report.status, len(measure.seen)) == ("ok", expected)
    handed_out(world, report)
    assert left(box) == []


def test_the_same_command_goes_on_from_there(box: Box) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    measure = Measuring()
    report = run(box, measure)
    assert [model for model, _, _ in measure.seen] == ["Qwen2.5-1.5B-Instruct Q4_K_M"]
    assert [side.recorded for side in report.sides] == [True, False]
    assert report.sides[0].measured == measured(shape=Shape(streams=(1, 4)))
    assert report.notes[-1] == (
        "SmolLM2-135M-Instruct Q4_1 was measured at 2026-11-22T10:00:00Z, in a comparison that did "
        "not end whole."
    )
    assert report.status == "ok"
    assert left(box) == []  # whole: the next comparison begins anew


class _BuiltHere(FakeImages):
    """Nothing can be pulled here: images built from packages stand in for all."""

    def obtain(
        self, images: tuple[Image, ...], *, mode: ImageMode, progress: Progress
    ) -> tuple[ResolvedImage, ...]:
        found = super().obtain(images, mode=mode, progress=progress)
        return tuple(replace(each, reference=f"localhost/{each.service}:1") for each in found)


class _OnlyBuilt(FakeDocker):
    """Has those images and no other."""

    def image_id(self, reference: str) -> str | None:
        return super().image_id(reference) if reference.startswith("localhost/") else None


def test_images_that_stand_in_for_others_are_the_same_again(tmp_path: Path) -> None:
    box = Box(home=tmp_path, docker=_OnlyBuilt(), images=_BuiltHere())
    run(box, Measuring({2: KeyboardInterrupt()}))
    measure = Measuring()
    run(box, measure)
    assert len(measure.seen) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"anew": True},
        {"shape": Shape(streams=(1, 4), rounds=5)},
        {"selection": SMOKE.with_set("model.context", 1024)},
    ],
)
def test_another_load_or_setting_is_measured_anew(box: Box, changed: dict[str, Any]) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    measure = Measuring()
    run(box, measure, **changed)
    assert len(measure.seen) == 2


@pytest.mark.parametrize("what", ["image", "file", "machine"])
def test_another_image_file_or_machine_is_measured_anew(box: Box, what: str) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    if what == "image":
        box.docker.image_suffix = "-new"
    elif what == "file":
        box.weights.identity = "2-2"
    else:
        box.facts = FakeFacts(facts(cores=3))
    measure = Measuring()
    run(box, measure)
    assert len(measure.seen) == 2


def test_a_record_that_cannot_be_read_is_measured_anew(box: Box) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    (file,) = (box.home / "compare").glob("*.jsonl")
    file.write_text(file.read_text().replace('"load_s": 1.25', '"load_s": "soon"'))
    measure = Measuring()
    assert run(box, measure).status == "ok"
    assert len(measure.seen) == 2


def test_what_is_decided_does_not_depend_on_the_others(box: Box) -> None:
    one, two = contenders(box.world(), CompareRequest(models=BOTH, selection=SMOKE))
    other, _ = contenders(box.world(), CompareRequest(models=BOTH[::-1], selection=SMOKE))
    assert two.plan == other.plan
    assert one.plan != two.plan


def test_another_comparison_that_ends_leaves_this_ones_record(box: Box) -> None:
    run(box, Measuring({2: KeyboardInterrupt()}))
    run(box, models=(BOTH[0], "llama-3.2-1b-instruct"))
    measure = Measuring()
    run(box, measure, models=BOTH[::-1])  # in another order it is the same
    assert len(measure.seen) == 1
