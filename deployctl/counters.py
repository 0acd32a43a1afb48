"""What an engine has counted since its start, or in a stretch of it: Prometheus text → a tally.

Pure. Beside ``metrics.py``, which reads what ``status`` needs of the same text. Names as of vLLM
0.32 and of llama.cpp's server b11434, which exports no histogram, no reasons and no preemptions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from deployctl.metrics import SIX_DIGITS, SURE, answer_rate, samples

# ── histograms ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Observations by their size: how many were at most as large as each bound; seconds."""

    bounds: tuple[float, ...]  # the last is infinite
    counts: tuple[float, ...]  # of each bound, those below it included
    sum_s: float

    @property
    def count(self) -> float:
        """All observations."""
        return self.counts[-1]

    def quantile(self, share: float) -> float | None:
        """The size that ``share`` of the observations do not exceed; ``None`` without any.

        As Prometheus' ``histogram_quantile`` has it: as if they lay evenly in each bucket, so it is
        right to within the width of one; what is larger than every bound counts as the largest.
        """
        if self.count <= 0:
            return None
        rank = share * self.count
        below, lower = 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and not math.isinf(bound):
                return lower + (bound - lower) * (rank - below) / (count - below)
            if not math.isinf(bound):
                below, lower = count, bound
        return lower or None

    def since(self, earlier: Histogram) -> Histogram | None:
        """What was observed after ``earlier``; ``None`` where that was another engine's."""
        if self.bounds != earlier.bounds:
            return None
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        if min(counts) < 0:
            return None
        return Histogram(bounds=self.bounds, counts=counts, sum_s=self.sum_s - earlier.sum_s)


_LE = re.compile(r'[{,]le="([^"]*)"')


def _histogram(rows: Iterable[tuple[str, str, float]], name: str) -> Histogram | None:
    """The histogram of this name, those of several engines behind one server added up."""
    found: dict[float, float] = {}
    total: float | None = None
    for sample, labels, value in rows:
        if sample == f"{name}_sum":
            total = (total or 0.0) + value
        elif sample == f"{name}_bucket" and (le := _LE.search(labels)):
            try:
                bound = float(le[1])
            except ValueError:
                continue
            found[bound] = found.get(bound, 0.0) + value
    bounds = tuple(sorted(found))
    counts = tuple(found[bound] for bound in bounds)
    if total is None or not bounds or not math.isinf(bounds[-1]):
        return None
    if any(now < below for below, now in pairwise(counts)):
        return None
    return Histogram(bounds=bounds, counts=counts, sum_s=total)


# ── counters ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """One look at all that only grows; what the engine does not export is not there."""

    numbers: Mapping[str, float] = field(default_factory=dict)  # by our names, below
    finished: Mapping[str, float] | None = None  # requests by why they ended, in vLLM's words
    histograms: Mapping[str, Histogram] = field(default_factory=dict)  # by our names
    six_digits: bool = False  # it writes no more of a number

    def since(self, earlier: Counters) -> Counters | None:
        """What was counted after ``earlier``; ``None`` where the engine began anew meanwhile.

        A difference that is not much more than the digits left out says nothing: it is not there.
        """
        grown = {name: now - earlier.numbers.get(name, 0.0) for name, now in self.numbers.items()}
        if min((*grown.values(), 0.0)) < 0:
            return None
        numbers = {
            name: more for name, more in grown.items() if not 0 < more < SURE * self._off(name)
        }
        before = earlier.finished or {}
        finished = {name: n - before.get(name, 0.0) for name, n in (self.finished or {}).items()}
        histograms: dict[str, Histogram] = {}
        for name, now in self.histograms.items():
            then = earlier.histograms.get(name)
            more = now if then is None else now.since(then)
            if more is None:
                return None
            histograms[name] = more
        if min((*finished.values(), 0.0)) < 0:
            return None
        return Counters(
            numbers=numbers,
            finished=None if self.finished is None else finished,
            histograms=histograms,
        )

    def _off(self, name: str) -> float:
        """By how much the difference of two looks at a number may be wrong."""
        number = self.numbers[name]
        exact = not self.six_digits or (number < _SIX_WHOLE and not name.endswith("_s"))
        return 0.0 if exact else 2 * SIX_DIGITS * number


#: Whole numbers below it have no more than six digits.
_SIX_WHOLE = 1e6


#: Our name for a counter → the engines' for what is added up, and for what is taken from that.
_NUMBERS: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "llama.cpp": {
        # It counts those of an answer when that has ended.
        "generated": (("llamacpp:tokens_predicted_total",), ()),
        "timed": (("llamacpp:tokens_predicted_total",), ()),
        "generated_s": (("llamacpp:tokens_predicted_seconds_total",), ()),
        # "excluding cached tokens", says its own help text.
        "read": (("llamacpp:prompt_tokens_total",), ()),
        "read_s": (("llamacpp:prompt_seconds_total",), ()),
        "cached": (("llamacpp:prompt_tokens_cached_total",), ()),
        "looked_up": (("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"), ()),
    },
    "vllm": {
        "generated": (("vllm:generation_tokens_total",), ()),
        "timed": (("vllm:inter_token_latency_seconds_count",), ()),
        "generated_s": (("vllm:inter_token_latency_seconds_sum",), ()),
        # Its prompt tokens are all of them, wherever they came from.
        "read": (("vllm:prompt_tokens_total",), ("vllm:prompt_tokens_cached_total",)),
        "cached": (("vllm:prefix_cache_hits_total",), ()),
        "looked_up": (("vllm:prefix_cache_queries_total",), ()),
        "preemptions": (("vllm:num_preemptions_total",), ()),
    },
}

_HISTOGRAMS = {
    "first_token": "vllm:time_to_first_token_seconds",
    "inter_token": "vllm:inter_token_latency_seconds",
}

_FINISHED = "vllm:request_success_total"
_REASON = re.compile(r'[{,]finished_reason="([^"]*)"')


def read_counters(text: str) -> Counters:
    """Read an engine's ``/metrics``; whose it is shows in the names."""
    rows = tuple(samples(text))
    sums: dict[str, float] = {}
    finished: dict[str, float] = {}
    for name, labels, value in rows:
        sums[name] = sums.get(name, 0.0) + value
        if name == _FINISHED and (reason := _REASON.search(labels)):
            finished[reason[1]] = finished.get(reason[1], 0.0) + value
    kind = "llama.cpp" if any(name.startswith("llamacpp:") for name in sums) else "vllm"
    numbers = {
        ours: sum(sums[name] for name in plus) - sum(sums[name] for name in minus)
        for ours, (plus, minus) in _NUMBERS[kind].items()
        if all(name in sums for name in (*plus, *minus))
    }
    read = {ours: _histogram(rows, theirs) for ours, theirs in _HISTOGRAMS.items()}
    return Counters(
        numbers=numbers,
        finished=finished or None,
        histograms={ours: found for ours, found in read.items() if found is not None},
        six_digits=kind == "llama.cpp",
    )


# ── tallies ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Some waits, seconds. Quantiles come from a histogram, see :meth:`Histogram.quantile`."""

    count: int
    mean_s: float | None  # None: there was none
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What an engine did in some time; ``None``: not exported, or there was nothing of the kind."""

    generated_tokens: int | None = None
    read_tokens: int | None = None  # of prompts, computed; those of the cache are not among them
    cached_share: float | None = None  # of the prompts' tokens, 0 to 1: the prefix cache knew them
    answer_tokens_per_s: float | None = None  # of one answer, on average
    reading_tokens_per_s: float | None = None  # while it reads a prompt, on average
    first_token: Latency | None = None
    inter_token: Latency | None = None
    finished: Mapping[str, int] | None = None  # requests, by why they ended
    preemptions: int | None = None


def tally(counted: Counters) -> Tally:
    """What these counters say."""
    numbers = counted.numbers
    return Tally(
        generated_tokens=_whole(numbers.get("generated")),
        read_tokens=_whole(numbers.get("read")),
        cached_share=_ratio(numbers.get("cached"), numbers.get("looked_up")),
        answer_tokens_per_s=answer_rate(numbers.get("timed"), numbers.get("generated_s")),
        reading_tokens_per_s=_ratio(numbers.get("read"), numbers.get("read_s")),
        first_token=_latency(counted.histograms.get("first_token")),
        inter_token=_latency(counted.histograms.get("inter_token")) or _averaged(numbers),
        finished=None
        if counted.finished is None
        else {reason: round(count) for reason, count in counted.finished.items()},
        preemptions=_whole(numbers.get("preemptions")),
    )


def not_exported(counted: Counters, *, kv: bool) -> tuple[str, ...]:
    """The figures that this engine has none of, by the names of :class:`Tally`.

    ``kv``: whether it tells how full the memory for conversations is.
    """
    numbers, waits = counted.numbers, counted.histograms
    told = {
        "kv_share": kv,
        "generated_tokens": "generated" in numbers,
        "read_tokens": "read" in numbers,
        "cached_share": {"cached", "looked_up"} <= set(numbers),
        "answer_tokens_per_s": {"timed", "generated_s"} <= set(numbers),
        "reading_tokens_per_s": {"read", "read_s"} <= set(numbers),
        "first_token": "first_token" in waits,
        "inter_token": "inter_token" in waits or {"timed", "generated_s"} <= set(numbers),
        "inter_token.p50_s": "inter_token" in waits,
        "inter_token.p95_s": "inter_token" in waits,
        "finished": counted.finished is not None,
        "preemptions": "preemptions" in numbers,
    }
    return tuple(name for name, there in told.items() if not there)


def _latency(found: Histogram | None) -> Latency | None:
    if found is None:
        return None
    return Latency(
        count=round(found.count),
        mean_s=_ratio(found.sum_s, found.count),
        p50_s=found.quantile(0.5),
        p95_s=found.quantile(0.95),
    )


def _averaged(numbers: Mapping[str, float]) -> Latency | None:
    """From one token to the next where only sums are told.

    The first token of an answer took none of that time, and is counted: a little too short.
    """
    count, seconds = numbers.get("timed"), numbers.get("generated_s")
    if count is None or seconds is None:
        return None
    return Latency(count=round(count), mean_s=_ratio(seconds, count), p50_s=None, p95_s=None)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
