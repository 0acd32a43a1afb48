"""One ``tune``: what was asked, what is known of it so far, and the report that is made of it.

Decides nothing and touches nothing: ``deploy/tuning.py`` does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.bench.nouns import Shape
from deployctl.deploy.names import DEFAULT_STACK, ImageMode
from deployctl.deploy.world import UpRequest
from deployctl.errors import Fault
from deployctl.profiles.selection import Selection
from deployctl.profiles.units import format_duration
from deployctl.tuning.figures import load, remarks
from deployctl.tuning.knobs import KEYS, KV_CACHE
from deployctl.tuning.nouns import Goal, Slo, Target, Tried
from deployctl.tuning.slo import reachable, rounds, words

if TYPE_CHECKING:
    from deployctl.deploy.select import Selected
    from deployctl.journal import Journal
    from deployctl.model import HostFacts
    from deployctl.overlayfile import Written
    from deployctl.tuning.nouns import Found, Knob, Value
    from deployctl.tuning.overlay import About
    from deployctl.tuning.search import Search

#: The stack that is measured: never the operator's.
STACK = "deployctl-tune"

#: The load of one candidate: long enough to tell, short enough to try many.
SHAPE = Shape(streams=(), prompt_tokens=128, output_tokens=64, rounds=2)

#: How long it may measure unless the operator says, seconds.
BUDGET_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What the operator asked of ``tune``. ``slo`` as typed; ``streams``: ``None`` is the goal's.

    The overlay goes to ``write``, else to a file that is not there yet in ``folder``. ``anew``:
    what is on record counts for nothing, and is put aside.
    """

    goal: Goal
    folder: Path
    selection: Selection = field(default_factory=Selection)
    slo: tuple[str, ...] = ()
    streams: int | None = None
    budget_s: int = BUDGET_S
    write: Path | None = None
    anew: bool = False
    images: ImageMode = "auto"
    force: bool = False

    @property
    def again(self) -> str:
        """The command line that goes on with the same."""
        return self.again_with(self.selection)

    def written_to(self, path: Path) -> str:
        """The command line that writes to another file."""
        return replace(self, write=path).again

    def with_time(self, seconds: float, *, written: Written | None = None) -> str:
        """The command line with twice the budget, and at least so much, in whole minutes.

        Where an overlay is ``written`` already, to the next free file.
        """
        more = max(2.0 * self.budget_s, seconds)
        write = written.other if written and self.write else self.write
        return replace(self, budget_s=-(-int(more) // 60) * 60, write=write).again

    def again_with(self, selection: Selection) -> str:
        """The same with another profile or model; without what candidates set."""
        own = {text.partition("=")[0] for text in self.selection.sets}
        typed = tuple(
            text
            for text in selection.sets
            if (name := text.partition("=")[0]) in own or name not in (*KEYS, KV_CACHE)
        )
        options = (
            *("--goal", self.goal),
            *(word for text in self.slo for word in ("--slo", text)),
            *(() if self.streams is None else ("--streams", str(self.streams))),
            *(() if self.budget_s == BUDGET_S else ("--budget", format_duration(self.budget_s))),
            *(() if self.write is None else ("--write", str(self.write))),
            *(() if self.images == "auto" else ("--images", self.images)),
            *(("--force",) if self.force else ()),
        )
        chosen = replace(selection, sets=typed).words
        return shlex.join(("deployctl", "tune", *chosen, *options))


def load_of(slo: Slo) -> Shape:
    """The load that measurements on record depend on: with the rounds of one stream."""
    return replace(SHAPE, rounds=rounds(1, slo, least=SHAPE.rounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be tuned, and where: decided before anything is measured."""

    chosen: Selected
    facts: HostFacts
    target: Target
    knobs: tuple[Knob, ...]
    fixed: tuple[str, ...]  # keys that the operator set
    about: About
    journal: Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The overlay that was found, which `up` would take: its text and its values."""

    text: str
    settings: tuple[tuple[str, Value], ...]


@dataclass(slots=True)
class Tuning:
    """One ``tune`` under way. ``made`` and not ``written``: it could not be."""

    request: TuneRequest
    started: float
    task: Task | None = None
    search: Search | None = None
    made: Made | None = None
    written: Written | None = None

    @property
    def tried(self) -> tuple[Tried, ...]:
        """What was measured so far."""
        return self.search.tried if self.search else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport:
    """What came of it. ``faults`` are what ended it, if anything did.

    ``overlay_text`` is there as well where ``overlay``, its file, could not be written. ``command``
    uses the overlay, ``longer`` goes on with more time. ``on_record``: how many of the
    measurements are of earlier runs.
    """

    profile: str | None
    model: str | None
    goal: Goal
    slo: tuple[str, ...]
    streams: int | None
    load: str
    machine: str
    tried: tuple[Tried, ...]
    on_record: int
    found: Found | None
    settings: tuple[tuple[str, Value], ...]
    lossy: tuple[str, ...]  # of their keys, those that cost some of the answers' quality
    overlay: Path | None
    overlay_text: str
    command: str
    longer: str
    journal: Path | None
    seconds: float
    warnings: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


# ── what is made of it ────────────────────────────────────────────────────────────────────────


def unreached(tuning: Tuning) -> tuple[Fault, ...]:
    """The fault where nothing keeps to the SLO."""
    found = tuning.search.found if tuning.search else None
    if found is None or found.reached or tuning.task is None:
        return ()
    target = tuning.task.target
    slo = words(target.slo)
    at_once = "even one" if target.goal == "people" else f"{target.streams} at once"
    levels = [each.outcome.level for each in tuning.tried if each.outcome.level]
    near = replace(tuning.request, slo=reachable(levels, target.slo, target.goal) or slo)
    return (
        Fault(
            code="slo-unreachable",
            message=f"Nothing that was tried keeps to {' and '.join(slo)} with {at_once} on this "
            "machine.",
            where="--slo",
            hint=f"{near.again}  # what it can keep to",
        ),
    )


def interrupted(tuning: Tuning) -> Fault:
    """The fault that Ctrl-C is: nothing that was measured is lost."""
    done = sum(each.outcome.level is not None for each in tuning.tried)
    kept = f"what was measured ({done}) is on record, and the same command goes on from there"
    return Fault(
        code="interrupted",
        message=f"Interrupted; {kept if done else 'nothing was measured yet'}.",
        hint=tuning.request.again,
    )


def report_of(tuning: Tuning, *, now: float, faults: tuple[Fault, ...]) -> TuneReport:
    """Sum it up, as far as it came."""
    request, task, made, written = tuning.request, tuning.task, tuning.made, tuning.written
    needed_s = tuning.search.needed_s if tuning.search else 0
    return TuneReport(
        profile=task.chosen.profile.name if task else None,
        model=task.chosen.plan.model if task else None,
        goal=request.goal,
        slo=words(task.target.slo) if task else (),
        streams=task.target.streams if task else request.streams,
        load=load(SHAPE, task.target.streams, task.target.slo) if task else "",
        machine=task.about.machine if task else "",
        tried=tuning.tried,
        on_record=sum(each.outcome.earlier for each in tuning.tried),
        found=tuning.search.found if tuning.search else None,
        settings=made.settings if made else (),
        lossy=_lossy(task.knobs, made.settings) if task and made else (),
        overlay=written.path if written else None,
        overlay_text=made.text if made else "",
        command=_using(task.chosen.selection, written) if task and written else "",
        longer=request.with_time(needed_s, written=written),
        journal=task.journal.path if task else None,
        seconds=now - tuning.started,
        warnings=remarks(tuning.tried),
        faults=faults,
    )


def _using(selection: Selection, written: Written) -> str:
    """What to type to have the overlay, with all else that was typed."""
    over = replace(selection, overlays=(*selection.overlays, str(written.path)))
    return UpRequest(stack=DEFAULT_STACK, selection=over).again


def _lossy(knobs: tuple[Knob, ...], settings: tuple[tuple[str, Value], ...]) -> tuple[str, ...]:
    lossy = {(knob.key, value) for knob in knobs for value in knob.lossy}
    return tuple(key for key, value in settings if (key, value) in lossy)
