"""The recipe of ``eval``: asks the running engine every question that is not answered yet, marks.

Every answer is a row of a journal, on the disk as soon as it is whole. The journal's name is made
of all that answers depend on, so that another model's, or other words', are never mixed in.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.deploy.asking import ask_all
from deployctl.deploy.chat import connect
from deployctl.deploy.evalreport import EvalReport, EvalRequest, Group, Refusal
from deployctl.deploy.evalsubject import Subject, subject_of
from deployctl.deploy.evalwatch import Watch, counters, wait_for_idle, written_for_others
from deployctl.errors import DeployctlError, Fault
from deployctl.evals.figures import rate, tokens
from deployctl.evals.nouns import Marked, Question, Row
from deployctl.evals.questions import Way
from deployctl.evals.reading import thinks
from deployctl.evals.sets import READ, Set, grouped
from deployctl.evals.settings import key_of
from deployctl.journal import Journal
from deployctl.revive import revive

if TYPE_CHECKING:
    from deployctl.datasets import Dataset, Datasets
    from deployctl.deploy.chat import Line
    from deployctl.deploy.evalwatch import Idle
    from deployctl.deploy.world import World
    from deployctl.evals.marking import Judge
    from deployctl.talk import PhaseTalk

#: Raised when rows are written, or questions put, in another way: older rows do not count then.
_VERSION = 2

#: What a row of the journal is called that says who else was asking.
_OTHERS = "others"


@dataclass(slots=True, kw_only=True)
class _Run:
    """One evaluation under way."""

    world: World
    request: EvalRequest
    line: Line
    subject: Subject
    data: Dataset
    all: Set
    chosen: Set
    way: Way
    questions: tuple[Question, ...]
    started: float
    parts: Mapping[str, Any]
    journal: Journal
    kept: dict[str, Row] = dataclasses.field(default_factory=dict)
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)
    passing: set[str] = dataclasses.field(default_factory=set)  # rows that are not kept
    warnings: list[str] = dataclasses.field(default_factory=list)

    def warn(self, text: str) -> None:
        """Say it now, and in the report."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.world.talk.warn(text)

    @property
    def safe(self) -> str:
        """How many answers no end of this run takes away."""
        return f"{len(self.rows) - len(self.passing)} of {len(self.questions)} answers"


def evaluate(world: World, request: EvalRequest, *, sources: Datasets, judge: Judge) -> EvalReport:
    """Ask what is missing and mark all of it; the report says what ended it early, if something.

    Raises what keeps it from beginning: ``stack-unknown``, ``stack-not-running``,
    ``dataset-invalid``, ``dataset-unavailable``, ``tools-off``, ``journal-busy``.
    """
    run = _begun(world, request, sources)
    with run.journal.held(request.typed.removeprefix("deployctl ")):
        if request.anew:
            aside = run.journal.put_aside()
            if aside is not None:
                world.talk.say(f"what was answered so far is kept as {aside}")
        _read(run)
        faults = _ask(run)
    return _report(run, judge, faults)


def _begun(world: World, request: EvalRequest, sources: Datasets) -> _Run:
    started = world.clock.now()
    line = connect(world, request.stack)
    subject = subject_of(world, request.stack, line)
    warnings = subject.refuse_or_warn(world, request.kind, line)
    with world.talk.phase("dataset") as phase:
        data = sources.get(request.kind, request.dataset, progress=phase)
        every = READ[request.kind](data.content, data.file)
        chosen = every.first(request.first)
        phase.finish(f"{data.name}: {every.size} problems, {chosen.size} are asked")
    way = Way(
        engine=subject.wanted.engine,
        sampling=subject.sampling,
        max_tokens=subject.max_tokens(request.max_tokens),
        seed=request.seed,
    )
    parts = _parts(request, subject, data, way, chosen)
    run = _Run(
        world=world,
        request=request,
        line=line,
        subject=subject,
        data=data,
        all=every,
        chosen=chosen,
        way=way,
        questions=chosen.questions(way),
        started=started,
        parts=parts,
        journal=Journal(world.home / "evals" / f"{request.kind}-{key_of(parts)}.jsonl"),
    )
    for text in warnings:
        run.warn(text)
    return run


def _parts(
    request: EvalRequest, subject: Subject, data: Dataset, way: Way, chosen: Set
) -> Mapping[str, Any]:
    """All that an answer depends on. Not how many are asked: asking for more goes on."""
    return {
        "version": _VERSION,
        "kind": request.kind,
        **subject.parts,
        "dataset": data.sha256,
        "words": chosen.words,
        "sampling": dict(way.sampling),
        "max_tokens": way.max_tokens,
        "seed": way.seed,
        "alone": request.at_once == 1,
    }


# ── what is there already ─────────────────────────────────────────────────────────────────────


def _read(run: _Run) -> None:
    found = run.journal.read()
    for line in found.damaged:
        run.warn(f"Line {line} of {run.journal.path} is damaged; what it was is asked again.")
    wanted = {question.id for question in run.questions}
    for data in found.rows:
        if isinstance(others := data.get(_OTHERS), str):
            run.warn(others)
        try:
            row: Row = revive(Row, data, {})
        except (ValueError, TypeError):
            continue
        if row.id in wanted:
            run.kept[row.id] = run.rows[row.id] = row
    if run.kept:
        run.world.talk.say(
            f"{len(run.kept)} of {len(run.questions)} answers are there from an earlier run; "
            f"{len(run.questions) - len(run.kept)} are missing (--again asks all of them anew)"
        )


# ── asking ────────────────────────────────────────────────────────────────────────────────────


def _ask(run: _Run) -> tuple[Fault, ...]:
    """Ask what is missing; what ended it early, if something did."""
    missing = tuple(question for question in run.questions if question.id not in run.rows)
    if not missing:
        return ()
    world = run.world
    if not run.journal.path.exists():
        run.journal.append({"of": run.parts})  # for whoever looks into it
    watch, before = Watch(world=world, line=run.line), None
    try:
        with world.talk.phase("questions") as phase:
            phase.step("waiting for the engine")
            before = wait_for_idle(world, run.line)
            phase.step("asking", done=len(run.rows), total=len(run.questions), unit="questions")
            ask_all(
                world,
                run.line,
                missing,
                engine=run.way.engine,
                context=run.subject.wanted.context,
                at_once=min(run.request.at_once, len(missing)),
                watch=watch,
                keep=_keeper(run, phase),
            )
            phase.finish(f"{len(missing)} asked · {len(run.rows)} of {len(run.questions)} answered")
    except KeyboardInterrupt:
        return (_interrupted(run),)
    except DeployctlError as problem:
        return tuple(_to_go_on(run, fault) for fault in problem.faults)
    finally:
        # Whatever ended it: the answers that are there came as they came.
        with contextlib.suppress(KeyboardInterrupt):
            _told_of_others(run, before, watch)
    return ()


def _keeper(run: _Run, phase: PhaseTalk) -> Callable[[Row, bool], None]:
    def keep(row: Row, lasting: bool) -> None:  # noqa: FBT001  # called by position
        if lasting:
            run.journal.append(dataclasses.asdict(row))
        else:
            run.passing.add(row.id)
        run.rows[row.id] = row
        phase.step("asking", done=len(run.rows), total=len(run.questions), unit="questions")

    return keep


def _told_of_others(run: _Run, before: Idle | None, watch: Watch) -> None:
    """Warn where the engine wrote more than our answers: those beside them change how they come.

    The warning is kept with the answers, and is theirs from then on.
    """
    text = ""
    if before is None or not (new := [row for id_, row in run.rows.items() if id_ not in run.kept]):
        return
    if before.busy:
        text = "Others asked this engine all the time; a run of its own may give other answers."
    elif before.counted is not None:
        ours = sum(row.tokens or 0 for row in new) + watch.unread
        others = written_for_others(before.counted, counters(run.world, run.line), ours)
        if others:
            text = (
                f"Others asked this engine meanwhile ({others} tokens); a run of its own may give "
                "other answers."
            )
    if text:
        run.warn(text)
        with contextlib.suppress(DeployctlError):  # that it cannot be written was said already
            run.journal.append({_OTHERS: text})


def _interrupted(run: _Run) -> Fault:
    return Fault(
        code="interrupted",
        message=f"Interrupted after {run.safe}, which are kept. "
        "The same command goes on from here.",
        hint=run.request.typed,
    )


def _to_go_on(run: _Run, fault: Fault) -> Fault:
    kept = f"{run.safe} are kept in {run.journal.path}"
    on = f"once the engine answers, the same command goes on: {run.request.typed}"
    return dataclasses.replace(fault, details=(*fault.details, kept, on))


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def _report(run: _Run, judge: Judge, faults: tuple[Fault, ...]) -> EvalReport:
    rows = [run.rows[question.id] for question in run.questions if question.id in run.rows]
    answered = [row for row in rows if row.answered]
    reasons = run.subject.reasons
    if reasons is None:
        reasons = any(map(thinks, answered))
    marks = run.chosen.marks(run.rows, judge, reasons=reasons)
    results = [one for one in marks.results if isinstance(one, Marked)]
    whole = len(rows) == len(run.questions)
    return EvalReport(
        kind=run.request.kind,
        stack=run.request.stack,
        status="failed" if faults and not answered else "degraded" if faults else "ok",
        model=run.subject.model,
        served_name=run.line.at.served_name,
        engine=run.subject.wanted.engine,
        dataset=run.data.name,
        dataset_sha256=run.data.sha256,
        problems=run.all.size,
        asked=run.chosen.size,
        answered=len(answered),
        kept=len(run.kept),
        complete=whole,
        rates=marks.rates,
        truncated=rate(row.finish_reason == "length" for row in answered),
        tokens=tokens(row.tokens for row in answered),
        unjudged=marks.unjudged,
        refused=_refusals(row for row in rows if row.refused),
        too_long=_refusals(row for row in rows if row.too_long),
        broken=_refusals(row for row in rows if row.broken),
        subjects=_groups(results, lambda one: one.subject),
        levels=_groups(results, lambda one: one.level),
        sampling=run.way.sampling,
        max_tokens=run.way.max_tokens,
        seed=run.way.seed,
        at_once=run.request.at_once,
        reasons=reasons,
        seconds=run.world.clock.now() - run.started,
        answer_seconds=sum(row.seconds for row in answered),
        rows_file=run.journal.path,
        warnings=tuple(run.warnings),
        again=run.request.typed,
        results=marks.results,
        faults=faults,
    )


def _refusals(rows: Iterable[Row]) -> tuple[Refusal, ...]:
    return tuple(Refusal(id=row.id, said=row.said) for row in rows)


def _groups(results: list[Marked], by: Callable[[Marked], str | None]) -> tuple[Group, ...]:
    return tuple(Group(name=name, of=of, hits=hits) for name, of, hits in grouped(results, by))
