"""Measurements made up for tests: whole ones, and some that were ended."""

from __future__ import annotations

from typing import Any

from deployctl.bench.nouns import Level, Measured, Shape, Spread, Subject, Used

SHAPE = Shape(streams=(1, 4), rounds=3)


def spread(median: float, width: float = 0.02) -> Spread:
    """So much, with rounds that lie ``width`` of it apart."""
    half = median * width / 2
    return Spread(median=median, low=median - half, high=median + half)


def level(streams: int, rate: float, **changes: Any) -> Level:
    """One level: ``rate`` is of one answer; together they have three quarters of it each."""
    together = rate if streams == 1 else rate * streams * 0.75
    values: dict[str, Any] = {
        "streams": streams,
        "requests": 3 * streams,
        "prompt_tokens": 128.0,
        "output_tokens": 128.0,
        "first_token_p50_s": 4 / rate,
        "first_token_p95_s": 4.1 / rate,
        "inter_token_p50_s": 1 / rate,
        "inter_token_p95_s": 1.1 / rate,
        "stream_rate": spread(rate),
        "total_rate": spread(together),
        "used": Used(seconds=3.0),
        "ceiling_share": 0.42,
    }
    return Level(**{**values, **changes})


def measured(rate: float = 100.0, *, shape: Shape = SHAPE, **changes: Any) -> Measured:
    """A whole measurement of something that writes ``rate`` tokens/s."""
    values: dict[str, Any] = {
        "subject": Subject(
            host="box",
            stack="deployctl-compare",
            profile="smoke",
            model="m",
            served_name="m",
            engine="llama.cpp",
            images={"engine": "sha256:1"},
            weights="w",
            settings="d",
        ),
        "at": "2026-11-22T10:00:00Z",
        "shape": shape,
        "seed": 1,
        "load_s": 1.25,
        "memory_bytes": int(2e6 * rate),
        "memory_place": "ram",
        "levels": tuple(level(streams, rate) for streams in shape.streams),
    }
    return Measured(**{**values, **changes})
