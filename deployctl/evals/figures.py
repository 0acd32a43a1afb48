"""Shares and their confidence, and how long answers were. Pure arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from math import sqrt

from deployctl.evals.nouns import Rate, Tokens

#: Of the normal distribution: 95 % lie within so many standard deviations.
_Z = 1.959963984540054


def rate(hits: Iterable[bool]) -> Rate:
    """How many are true, with Wilson's interval at 95 %.

    That one, and not the mean ± 1.96 standard errors: it stays within 0 and 1, and says something
    of 0 of 20 too (Wilson 1927; Brown, Cai, DasGupta 2001).
    """
    told = tuple(hits)
    count, of = sum(told), len(told)
    if not of:
        return Rate(hits=0, of=0, share=None, low=0.0, high=1.0)
    share, square = count / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    # At the ends it is exact; arithmetic leaves a trace beyond.
    low = 0.0 if not count else max(0.0, middle - half)
    high = 1.0 if count == of else min(1.0, middle + half)
    return Rate(hits=count, of=of, share=share, low=low, high=high)


def tokens(counts: Iterable[int | None]) -> Tokens | None:
    """Mean, median and sum; ``None`` where nothing was counted."""
    known = [count for count in counts if count is not None]
    if not known:
        return None
    return Tokens(
        mean=statistics.fmean(known), median=float(statistics.median(known)), total=sum(known)
    )
