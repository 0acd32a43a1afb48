import pytest

from deployctl.profiles.units import (
    UnitError,
    format_duration,
    format_size,
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
        ("99999999h", "15m"),
        ("99999999 h", "15m"),
        (0, "15m"),
    ],
)
def test_a_wrong_duration_comes_with_the_right_one(written: object, suggestion: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration(written)
    assert caught.value.suggestion == suggestion
    assert parse_duration(suggestion)
