"""``deployctl recommend``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from deployctl.cli.options import DEFAULT_STACK_NAME, DebugOption, Output, OutputOption

if TYPE_CHECKING:
    from deployctl.choice import Recommendation
    from deployctl.deploy.recommend import ModelAdvice, RecommendReport

_WORDS = {"fits": "fits", "tight": "tight", "no": "no"}
_WIDTH = 96


def recommend(
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say which profiles this machine can run, best first."""
    from deployctl.cli.session import Session
    from deployctl.deploy.recommend import recommendations

    session = Session.open("recommend", output, quiet=True)
    report = recommendations(session.world(DEFAULT_STACK_NAME))
    return session.emit(report, text(report))


def text(report: RecommendReport) -> str:
    """Write the report for people."""
    from deployctl.cli.table import columns

    profiles = [("PROFILE", "VERDICT", "TOKENS/S", "MODEL")]
    profiles += [
        (item.profile, _WORDS[item.verdict], _speed(item), item.model)
        for item in report.recommendations
    ]
    models = [("MODEL", "VERDICT", "TOKENS/S", "LICENCE")]
    models += [(m.model, _WORDS[m.on.verdict], _speed(m.on), _licence(m)) for m in report.models]
    best = report.recommendations[0]
    return "\n".join(
        [
            *columns(profiles, indent=0, right=frozenset({2})),
            "",
            *(line for item in report.recommendations for line in _why(item)),
            *_instead(report),
            "",
            f"Models in {best.profile}",
            *columns(models, indent=0, right=frozenset({2})),
            "",
            *(line for m in report.models for line in _about(m.model, m.summary)),
            "",
            "TOKENS/S is the ceiling for one answer at a time (predicted); real speeds are lower.",
            "On a processor it follows from a measurement; a busy machine measures too little.",
            *_fetched_first(report),
            f"Next: {best.command}",
        ]
    )


def _fetched_first(report: RecommendReport) -> list[str]:
    if report.to_fetch is None:
        return []
    text = (
        f"It fetches {report.to_fetch} first. Nobody was asked whether that can be had from here; "
        "`deployctl detect` asks."
    )
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


def _instead(report: RecommendReport) -> list[str]:
    """Why the first is not the one that such a machine gets at its best."""
    best = report.recommendations[0].profile
    lines = [
        line
        for text in report.passed_over
        for line in textwrap.wrap(f"{best} stands in for {text}", _WIDTH, subsequent_indent="  ")
    ]
    return ["", *lines] if lines else []


def _licence(advice: ModelAdvice) -> str:
    return f"{advice.license}, gated" if advice.gated else advice.license


def _speed(item: Recommendation) -> str:
    return "unknown" if item.speed is None else f"≤ {item.speed.tokens_per_s:.0f}"


def _why(item: Recommendation) -> list[str]:
    return _about(item.profile, item.reason)


def _about(name: str, sentence: str) -> list[str]:
    return textwrap.wrap(
        f"{name}: {sentence}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )
