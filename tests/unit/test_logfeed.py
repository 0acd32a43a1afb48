"""A log that is followed: no line twice, none lost, whatever becomes of the stream."""

import threading
from collections.abc import Iterator

import pytest

from deployctl.logfeed import FollowedLog, LogStream, Place, lines_of, said_since

T1, T2, T3 = (f"2026-11-22T09:36:1{n}.470000000Z" for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r", b"\ntw", b"o"], ["one", "two"]),
        ([b"bar 1%\rbar 2%\rbar 3%\n"], ["bar 1%", "bar 2%", "bar 3%"]),
        ([b"\xc3", b"\xa4\n\n"], ["ä"]),
        ([b"x" * 20_000], ["x" * 20_000]),
        ([], []),
    ],
)
def test_chunks_are_cut_into_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert list(lines_of(chunks)) == lines


def taken(place: Place, *lines: str) -> list[str]:
    place.opened()
    return [text for line in lines if (text := place.new(line)) is not None]


def test_a_stream_opened_again_shows_only_what_is_new() -> None:
    place = Place()
    assert taken(place, f"{T1} one", f"{T2} two", f"{T2} too") == ["one", "two", "too"]
    assert place.since == T2
    again = taken(place, f"{T1} one", f"{T2} two", f"{T2} too", f"{T2} new", f"{T3} three")
    assert again == ["new", "three"]
    assert taken(place, f"{T3} three") == []


def test_the_rest_of_a_cut_line_goes_with_its_beginning() -> None:
    place = Place()
    assert taken(place, f"{T1} long", "er") == ["long", "er"]
    assert taken(place, f"{T1} long", "er", f"{T2} two", "rest") == ["two", "rest"]


def test_what_was_before_the_beginning_is_not_taken() -> None:
    assert taken(Place(since=T2), f"{T1} of an earlier start", f"{T2} now") == ["now"]


def test_what_was_said_since_a_moment_keeps_all_its_words() -> None:
    raw = f"{T1} of an earlier start\nrest of it\n{T2} \rbar of 1%\rbar of 2%\n{T3} long\ner\n"
    assert said_since(T2, raw.encode()) == ("", "bar of 1%", "bar of 2%", "long", "er")


def test_a_clock_that_is_set_back_deafens_nobody() -> None:
    place = Place(since=T2)
    assert taken(place, f"{T1} before", f"{T3} one", f"{T1} two", f"{T1} three") == [
        *("one", "two", "three"),
    ]
    again = taken(place, f"{T1} two", f"{T1} three", f"{T1} four")
    assert again == ["four"]


class Stream:
    """Chunks, then an end, or a breach; open while it is held."""

    def __init__(self, *chunks: bytes, breaks: bool = False, held: bool = False) -> None:
        self.chunks, self.breaks = chunks, breaks
        self.closed, self.reached = threading.Event(), threading.Event()
        self.held = held

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.held:
            self.reached.set()
            self.closed.wait(10)
        if self.breaks:
            raise ConnectionResetError

    def close(self) -> None:
        self.closed.set()


class Log:
    """Opens one stream after the other; says when all were read, then the container is gone."""

    def __init__(self, *streams: Stream) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.gone = threading.Event()

    def __call__(self, since: str) -> LogStream | None:
        self.asked.append(since)
        if not self.streams:
            self.gone.set()
            return None
        return self.streams.pop(0)


def test_a_log_is_followed_across_restarts_and_breaches() -> None:
    log = Log(
        Stream(f"{T1} one\n".encode(), breaks=True),
        Stream(f"{T1} one\n{T2} two\n".encode()),
    )
    feed = FollowedLog(log)
    assert log.gone.wait(10)
    assert feed.drain() == ("one", "two")
    assert feed.drain() == ()
    assert log.asked == ["", T1, T2]


def test_a_slow_reader_loses_the_oldest_lines_not_the_memory() -> None:
    log = Log(Stream(*(f"{T1} {n}\n".encode() for n in range(6000))))
    feed = FollowedLog(log)
    assert log.gone.wait(10)
    lines = feed.drain()
    assert len(lines) == 5000
    assert lines[-1] == "5999"


def test_closing_ends_a_stream_that_says_nothing() -> None:
    stream = Stream(f"{T1} one\n".encode(), held=True)
    log = Log(stream)
    feed = FollowedLog(log)
    assert stream.reached.wait(10)
    feed.close()
    assert stream.closed.is_set()
    assert log.asked == [""]
