"""Markers by folder, and the rule for skipping: never silently, and in CI never everything.

A test under ``tests/docker`` or ``tests/e2e`` needs a daemon; without one it is skipped and says
why. With ``CI=true`` a run in which no such test ran although some were chosen fails.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent


@functools.cache
def docker_problem() -> str | None:
    """Say why tests cannot use Docker here; ``None`` when they can."""
    for words in (("version", "--format", "{{.Server.Version}}"), ("compose", "version")):
        try:
            done = subprocess.run(
                ["docker", *words], capture_output=True, text=True, check=False, timeout=30
            )
        except FileNotFoundError:
            return "no docker client on PATH; next: deployctl setup"
        except subprocess.TimeoutExpired:
            return "the Docker daemon does not answer within 30 s"
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            return f"docker {' '.join(words[:1])}: {last[-1]}; next: deployctl setup"
    return None


def needs_docker(item: pytest.Item) -> bool:
    return item.get_closest_marker("docker") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in ("docker", "e2e"):
            item.add_marker(pytest.mark.docker)
        if folder == "e2e":
            item.add_marker(pytest.mark.e2e)
    wanting = [item for item in items if needs_docker(item)]
    problem = docker_problem() if wanting else None
    if problem:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"needs Docker: {problem}"))


class SkipRule:
    """Counts what became of the tests that need Docker, and fails a CI run that ran none."""

    def __init__(self, *, ci: bool) -> None:
        self._ci = ci
        self._chosen: set[str] = set()
        self._ran: set[str] = set()

    @property
    def broken(self) -> bool:
        return self._ci and bool(self._chosen) and not self._ran

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly:
            self._chosen = {item.nodeid for item in session.items if needs_docker(item)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tried = report.failed or (report.when == "call" and not report.skipped)
        if tried and report.nodeid in self._chosen:
            self._ran.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.broken and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.broken:
            terminalreporter.write_line(
                f"CI: all {len(self._chosen)} tests that need Docker were skipped, so this run "
                "proves nothing about it: failed.",
                red=True,
            )


def pytest_configure(config: pytest.Config) -> None:
    # A shell may have switched these off for what runs in its background; the tests send them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # How long an example takes is the machine's, and no property of what is tested.
    settings.register_profile("untimed", parent=settings(), deadline=None)
    settings.load_profile("untimed")
    config.pluginmanager.register(SkipRule(ci=os.environ.get("CI") == "true"), "docker-skip-rule")
