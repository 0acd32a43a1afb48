"""Ports that are built when they are first used."""

from __future__ import annotations

import threading

from deployctl.cli.session import _Late


class _Port:
    name = "port"


def test_a_port_is_built_once_though_several_threads_ask_first() -> None:
    built: list[_Port] = []
    all_there = threading.Barrier(4)

    second = threading.Event()

    def build() -> _Port:
        if built:
            second.set()
        built.append(_Port())
        second.wait(0.1)  # another thread, were it let in
        return built[-1]

    late = _Late(build)
    seen: list[object] = []

    def ask() -> None:
        all_there.wait()
        seen.append(late.name)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, len(built)) == (["port"] * 4, 1)
