import pytest

from deployctl.profiles.units import (
    UnitError,
    far_below,
    format_duration,
    format_size,
    is_bare,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1B", 1),
        ("98362432B", 98362432),
        ("4KiB", 4096),
        ("512MiB", 512 << 20),
        ("12GiB", 12 << 30),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes(written: str, size: int) -> None:
    assert parse_size(written) == size
    assert format_size(size) == written


@pytest.mark.parametrize(
    ("written", "seconds"), [("1s", 1), ("90s", 90), ("15m", 900), ("2h", 7200)]
)
def test_durations(written: str, seconds: int) -> None:
    assert parse_duration(written) == seconds
    assert format_duration(seconds) == written


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        (12, "12GiB"),
        (1.5, "1536MiB"),
        (512, "512MiB"),
        (2048, "2GiB"),
        (536870912, "512MiB"),
        ("12", "12GiB"),
        ("12GB", "12GiB"),
        ("12 GiB", "12GiB"),
        ("12gib", "12GiB"),
        ("512m", "512MiB"),
        ("1.5GiB", "1536MiB"),
        ("100 bytes", "100B"),
        ("0GiB", "12GiB"),
        ("-1GiB", "12GiB"),
        ("lots", "12GiB"),
        ("12parsecs", "12GiB"),
        ("", "12GiB"),
        ("12GiB\n", "12GiB"),
        ("9999999TiB", "12GiB"),
        (True, "12GiB"),
        (None, "12GiB"),
        ((), "12GiB"),
        ("٣GiB", "12GiB"),
        (float(1 << 60), "12GiB"),
        (-5, "12GiB"),
    ],
)
def test_a_wrong_size_comes_with_the_right_one(written: object, suggestion: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_size(written)
    assert caught.value.suggestion == suggestion
    assert parse_size(suggestion)


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        (300, "5m"),
        (90, "90s"),
        ("90", "90s"),
        ("5 minutes", "5m"),
        ("5min", "5m"),
        ("1h30m", "90m"),
        ("1m 30s", "90s"),
        ("0.5h", "30m"),
        ("0s", "15m"),
        ("soon", "15m"),
        ("3 days", "72h"),
        ("15d", "360h"),
        ("2weeks", "336h"),
        ("3 moons", "15m"),
        (True, "15m"),
        (None, "15m"),
        ("2y", "8760h"),
        ("6 months", "4320h"),
        ("99999999h", "8760h"),
        ("99999999 h", "8760h"),
        ("99999999999999999999h", "8760h"),
        (99999999999, "15m"),
        (0, "15m"),
    ],
)
def test_a_wrong_duration_comes_with_the_right_one(written: object, suggestion: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration(written)
    assert caught.value.suggestion == suggestion
    assert parse_duration(suggestion)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("0s", "It should be more than 0."),
        ("0h0m", "It should be more than 0."),
        (0, "It should be more than 0."),
        ("-3h", "It should be more than 0."),
        ("99999999999999999999h", "This is longer than a year."),
        ("8761h", "This is longer than a year."),
        ("2y", "This is longer than a year."),
        (15, "A duration needs its unit."),
        ("15", "A duration needs its unit."),
        ("15 m", "A duration is a whole number and one of s, m or h, without a space."),
        ("2parsecs", "A duration is a whole number and one of s, m or h, without a space."),
        (True, "A duration is a whole number and its unit."),
    ],
)
def test_what_is_wrong_with_a_duration(written: object, sentence: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration(written)
    assert caught.value.sentence == sentence


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("0GiB", "It should be more than 0."),
        ("-1GiB", "It should be more than 0."),
        (0, "It should be more than 0."),
        ("9999TiB", "This size is larger than any machine."),
        ("99999999999999999999GiB", "This size is larger than any machine."),
        ("9999TB", "This size is larger than any machine."),
        (5, "A size needs its unit."),
        (1 << 4000, "A size needs its unit."),
        (float("nan"), "A size is a whole number and its unit."),
        ("12 GiB", "A size is a whole number and one of B, KiB, MiB, GiB or TiB, without a space."),
        (None, "A size is a whole number and its unit."),
    ],
)
def test_what_is_wrong_with_a_size(written: object, sentence: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_size(written)
    assert caught.value.sentence == sentence


def test_where_nothing_tells_what_was_meant_the_example_is_the_caller_s() -> None:
    for parse, example in ((parse_size, "1GiB"), (parse_duration, "360h")):
        for written in ("lots", 0, None, ""):
            with pytest.raises(UnitError) as caught:
                parse(written, example)
            assert caught.value.suggestion == example


@pytest.mark.parametrize(
    ("written", "bare"), [(15, True), ("15", True), (0.5, True), ("15m", False), (True, False)]
)
def test_a_number_without_a_unit_is_bare(written: object, *, bare: bool) -> None:
    assert is_bare(written) == bare


@pytest.mark.parametrize(
    ("suggestion", "usual", "far"),
    [
        ("15s", "360h", True),
        ("24h", "360h", False),
        ("6h", "360h", False),  # a sixtieth
        ("5m", "1h", False),
        ("30s", "1h", True),
        ("5000000B", "1GiB", True),
        ("500MiB", "1GiB", False),
        ("15s", "1GiB", False),  # not of one kind
    ],
)
def test_a_guess_that_is_a_unit_too_small(suggestion: str, usual: str, *, far: bool) -> None:
    assert far_below(suggestion, usual) == far
