"""What the scenarios share: one home, warm images, one stack that most of them only look at."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import chatting, evidence
from tests.e2e.browser import Conversation
from tests.e2e.faults.telling import Terminal
from tests.e2e.product import Outcome, Product, Stack

ROOT = Path(__file__).parents[2]

#: Looking first, changing later, installing last; one file, one subject.
ORDER = (
    "test_first_up",
    "test_ground_rules",
    "test_secrets",
    "test_access",
    "test_egress",
    "test_exposure",
    "test_browser",
    "test_verify",
    "test_chat",
    "test_smoke",
    "test_bench",
    "test_eval",
    "test_compare",
    "test_tune",
    "test_addons",
    "test_addon_jupyter",
    "test_addon_monitoring",
    "test_addon_cache",
    "test_again",
    "test_metrics",
    "test_status",
    "test_intent",
    "test_bad_input",
    "test_override",
    "test_report",
    "test_wheel",
    # tests/e2e/vllm: the same with the other engine
    "test_vllm_first_up",
    "test_vllm_api",
    "test_vllm_chat",
    "test_vllm_verify",
    "test_vllm_again",
    "test_vllm_metrics",
    "test_vllm_tools",
    "test_vllm_kv",
    "test_vllm_faults",
    "test_vllm_down",
    # tests/e2e/faults: what breaks the least comes first, the daemon's own last
    "test_stack_folder",
    "test_weights",
    "test_engine",
    "test_docker",
    "test_leaving",
    "test_frontend",
    "test_interruption",
    "test_daemon",
)

#: Building both images from packages on two cores takes about five minutes; once per machine.
COLD_PATIENCE_S = 15 * 60

_HOME = pytest.StashKey[Path]()
_STARTED = pytest.StashKey[float]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: number for number, name in enumerate(ORDER)}
    items.sort(key=lambda item: places.get(item.path.stem, -1))


# ── evidence ──────────────────────────────────────────────────────────────────────────────────


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_STARTED] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed and item.get_closest_marker("e2e"):
        evidence.keep(
            ROOT / "artifacts" / evidence.folder_name(item.nodeid),
            home=item.config.stash.get(_HOME, None),
            since=item.stash[_STARTED],
            failure=f"{report.when}\n{report.longreprtext}",
        )
    return report  # type: ignore[return-value]


# ── the product ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Product:
    """The working tree, run as a user would: from an empty folder, with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    request.config.stash[_HOME] = home
    return Product(
        argv=(sys.executable, "-m", "deployctl"),
        home=home,
        cwd=tmp_path_factory.mktemp("cwd"),
        environment={"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="session")
def new_stack(product: Product) -> Iterator[Callable[[str], Stack]]:
    """Make stacks by a short name; whatever comes of them is gone at the end."""
    made: list[Stack] = []
    with contextlib.ExitStack() as cleanup:  # one that cannot be cleared keeps no other

        def make(short: str, of: Product = product) -> Stack:
            made.append(Stack.on_free_ports(of, f"dctl-e2e-{os.getpid()}-{short}"))
            cleanup.callback(made[-1].clear)
            return made[-1]

        yield make
    left = [name for stack in made for names in stack.leftovers().values() for name in names]
    assert left == [], "the tests left something behind"


def _to_terminal(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


@pytest.fixture(scope="session")
def cold(
    new_stack: Callable[[str], Stack], request: pytest.FixtureRequest
) -> tuple[Stack, Outcome]:
    """The first ``up`` of all, in words, its progress on the terminal: it may build the images."""
    stack = new_stack("cold")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stderr.write(f"\n$ deployctl {' '.join(stack.up_words)}\n")
        with stack.product.start(*stack.up_words, patience_s=COLD_PATIENCE_S) as running:
            outcome = running.finish(on_line=_to_terminal)
    return stack, outcome


@pytest.fixture(scope="session")
def images(cold: tuple[Stack, Outcome]) -> None:
    """From here on images and weights are warm."""
    _, outcome = cold
    if outcome.exit_code:
        pytest.fail(f"the first `up` of all failed, see test_first_up:\n{outcome}", pytrace=False)


@pytest.fixture(scope="session")
def first_up(new_stack: Callable[[str], Stack], images: None) -> tuple[Stack, Outcome]:
    """The stack that most scenarios only look at, and what its first ``up`` said."""
    stack = new_stack("main")
    return stack, stack.up()


@pytest.fixture(scope="session")
def stack(first_up: tuple[Stack, Outcome]) -> Stack:
    """A stack that is up and healthy by Docker's own checks as well."""
    found, outcome = first_up
    if outcome.exit_code:
        pytest.fail(f"the stack's first `up` failed:\n{outcome}", pytrace=False)
    return found.settled()


@pytest.fixture(scope="session")
def changing(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack whose profile is another in each scenario that uses it; not up yet."""
    return new_stack("changing")


@pytest.fixture(scope="session")
def conversation(stack: Stack) -> Conversation:
    """One question in the chat window, asked by a real browser, and its answer."""
    return chatting.converse(stack, ROOT / "artifacts" / "browser.png")


@pytest.fixture(scope="session")
def terminal(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A shell to type hints in."""
    return Terminal(product=product, folder=tmp_path_factory.mktemp("terminal"))
