"""The composition root: builds the World of real ports for one command."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from deployctl.cli import console
from deployctl.cli.envelope import envelope
from deployctl.cli.options import Output
from deployctl.deploy.names import DEFAULT_STACK, is_stack_name
from deployctl.deploy.world import World
from deployctl.errors import DeployctlError, ExitCode, Fault
from deployctl.visible import harmless

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.catalog import Catalog
    from deployctl.dockerd import Docker
    from deployctl.images import ImageStore
    from deployctl.kernellog import KilledFor
    from deployctl.loopback import Http
    from deployctl.meters import Meters
    from deployctl.model import HostFacts
    from deployctl.outcomes import ContainerState, Status
    from deployctl.profiles.resolve import Profile
    from deployctl.profiles.selection import Resolver, Selection
    from deployctl.runner import Runner
    from deployctl.talk import Talk
    from deployctl.weights import WeightsStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One command being run: how it talks, and how it hands out its result."""

    command: str
    output: Output
    quiet: bool
    environment: Mapping[str, str]
    again: str  # what to type to try the same again

    @classmethod
    def open(
        cls, command: str, output: Output, *, quiet: bool = False, again: str | None = None
    ) -> Session:
        """Open a session over this process's environment."""
        return cls(
            command=command,
            output=output,
            quiet=quiet,
            environment=os.environ,
            again=again or f"deployctl {command}",
        )

    def talk(self) -> Talk:
        """How this command talks."""
        return console.talk_for(
            quiet=self.quiet,
            json=self.output is Output.JSON,
            environment=self.environment,
            stream=sys.stderr,
        )

    def emit(
        self,
        data: object,
        text: str,
        *,
        status: Status = "ok",
        exit_code: ExitCode = ExitCode.OK,
        faults: tuple[Fault, ...] = (),
    ) -> int:
        """Hand out the result on stdout; returns the exit code. ``faults`` are for programs."""
        if self.output is Output.JSON:
            console.out(
                envelope(
                    command=self.command,
                    status=status,
                    exit_code=exit_code,
                    data=data,
                    faults=faults,
                )
            )
        else:
            console.out(harmless(text))
        return exit_code

    def world(self, stack: str) -> World:
        """The ports of this command, for one stack; ``usage`` when that is no name for a stack."""
        check_stack_name(stack)
        return _builder.get()(self, stack)


def real_world(session: Session, stack: str) -> World:
    """Build the real ports. Heavy modules are imported here, by the commands that need them."""
    from deployctl import folders, workspace
    from deployctl.clock import SystemClock
    from deployctl.runner import SubprocessRunner

    environment = session.environment
    home = folders.home_folder(environment)
    log = workspace.Workspace(home, stack).open_log()
    # Only what changes something is logged: logs and status would log what they print.
    changes = session.command in ("up", "down", "smoke", "compare", "tune")
    runner = SubprocessRunner(log) if changes else SubprocessRunner()
    docker = cast("Docker", _Late(_docker))
    models = home / "models"

    def catalog_there() -> object:
        from deployctl.catalog import Catalog

        return Catalog(environment)

    def weights_there() -> object:
        from deployctl.weights import WeightsStore

        return WeightsStore(models, environment=environment, runner=runner, again=session.again)

    catalog = cast("Catalog", _Late(catalog_there))
    weights = cast("WeightsStore", _Late(weights_there))

    def facts(
        ports: tuple[int, ...],
        *,
        own_project: str | None,
        cards: bool = False,
        thorough: bool = False,
    ) -> HostFacts:
        from deployctl.host import gather_host

        if session.command in ("up", "smoke", "compare", "tune"):
            threading.Thread(target=_import_ahead, daemon=True).start()
        found = gather_host(
            runner,
            models_dir=models,
            ports=ports,
            environment=environment,
            own_project=own_project,
            gpus=cards or thorough,
        )
        return _with_bandwidth(found, home, again=True) if thorough else found

    def local(*, measure: bool = False) -> HostFacts:
        from deployctl.host import gather_local

        found = gather_local(runner, models_dir=models, environment=environment)
        return _with_bandwidth(found, home, again=False) if measure else found

    def images() -> object:
        from deployctl.images import ImageStore

        return ImageStore(
            runner=runner,
            catalog=catalog,
            environment=environment,
            docker=docker,
            again=session.again,
        )

    return World(
        home=home,
        catalog=catalog,
        runner=runner,
        docker=docker,
        http=cast("Http", _Late(_http)),
        images=cast("ImageStore", _Late(images)),
        weights=weights,
        facts=facts,
        local=local,
        resolve=_resolver(catalog, weights, environment),
        clock=SystemClock(),
        talk=session.talk(),
        doing=session.command,
        meters=_meters(runner, environment),
        killed_for=_killed_for,
    )


def _with_bandwidth(facts: HostFacts, home: Path, *, again: bool) -> HostFacts:
    """Add the memory's bandwidth: measured ``again``, or as an earlier command has measured it."""
    from deployctl.bandwidth import bandwidth_of
    from deployctl.clock import SystemClock

    measured = bandwidth_of(facts, home, clock=SystemClock().now, again=again)
    return replace(facts, bandwidth_bytes_per_s=measured)


def _killed_for(state: ContainerState) -> KilledFor:
    """What the kernel says of a container's last end."""
    from deployctl.clock import utc_now
    from deployctl.kernellog import killed_for
    from deployctl.vitals import moment

    ended = moment(state.finished_at)
    return "neither" if ended is None else killed_for(state.id, (utc_now() - ended).total_seconds())


def _meters(runner: Runner, environment: Mapping[str, str]) -> Meters:
    from deployctl.meters import meters

    return meters(runner, environment)


def _import_ahead() -> None:
    """Import what `up` needs later while it waits for what Docker says of itself."""
    with contextlib.suppress(ImportError):  # whoever needs it will say so
        import deployctl.deploy.proving
        import deployctl.deploy.start
        import deployctl.dockerd
        import deployctl.render  # noqa: F401


def _docker() -> object:
    from deployctl.dockerd import DockerDaemon

    return DockerDaemon()


def _http() -> object:
    from deployctl.loopback import RequestsHttp

    return RequestsHttp()


def _resolver(catalog: Catalog, weights: WeightsStore, environment: Mapping[str, str]) -> Resolver:
    """Resolve through the catalog; the file of a model is looked into where one is named."""

    def late(selection: Selection) -> Profile:
        from deployctl.profiles.resolve import resolve

        return resolve(selection, replace(catalog.readers(inspect), addresses=addresses))

    def addresses() -> tuple[str, ...]:
        from pathlib import Path

        from deployctl.ports import local_addresses
        from deployctl.profiles.values import of_networks

        return of_networks(local_addresses(Path("/")))

    def inspect(source: str, *, strict: bool, need: bool = False) -> Mapping[str, Any] | None:
        from deployctl.inspect import ModelInspector

        inspector = ModelInspector(weights, environment)
        return inspector.strict(source, need=need) if strict else inspector(source)

    return late


class _Late:
    """A port that is imported and built when it is first used: ``down`` needs no HTTP.

    Built once, though a look uses it from several threads at the same moment.
    """

    def __init__(self, build: Callable[[], object]) -> None:
        self._build = build
        self._port: object = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> object:
        with self._lock:
            if self._port is None:
                self._port = self._build()
        return getattr(self._port, name)


WorldBuilder = Callable[[Session, str], World]
_builder: ContextVar[WorldBuilder] = ContextVar("world builder", default=real_world)


@contextlib.contextmanager
def building(builder: WorldBuilder) -> Iterator[None]:
    """Build worlds with ``builder`` for a while: how tests put fakes behind the command line."""
    token = _builder.set(builder)
    try:
        yield
    finally:
        _builder.reset(token)


def _nearest_name(stack: str) -> str:
    """A name for a stack that looks like what was typed."""
    return re.sub(r"[^a-z0-9_-]+", "-", stack.lower()).strip("-_")[:63] or DEFAULT_STACK


def check_stack_name(stack: str) -> None:
    """Refuse a name that Compose would refuse; ``usage``."""
    if not is_stack_name(stack):
        raise DeployctlError(
            f"{stack!r} is not a stack name: lower-case letters, digits, - and _, "
            "starting with a letter or digit, at most 63.",
            code="usage",
            where="--stack",
            # the error boundary puts what else was typed around it
            hint=f"--stack {_nearest_name(stack)}",
        )
