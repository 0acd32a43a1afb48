"""Pulls one image through ``docker pull``, through the operator's mirror where there is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployctl.errors import DeployctlError
from deployctl.images.board import Say
from deployctl.images.reference import host_of, parse_reference
from deployctl.outcomes import Command
from deployctl.runner import STOPPED, StoppableRunner

#: Until a registry has described the image Docker says nothing; then one line per layer. The
#: daemon's own limit is 15 s per address it tries, so a longer silence means that none is coming.
_FIRST_WORD_S = 45.0

#: Several GB over a slow line: Docker retries by itself, so only a hopeless pull reaches this.
_PULL_TIMEOUT_S = 6 * 3600.0

_LAYER = re.compile(r"([0-9a-f]{12}): (.+)")
_LAYER_DONE = ("Pull complete", "Already exists")

_LOGIN = "docker login {host}"
_NO_TAG = "the registry has no image of this name and tag"
_NO_PLATFORM = "there is none for this processor architecture"
_LOG_IN_FIRST = "the registry wants you to log in"
_REFUSED = "the registry refuses access to it"
_DEAD = "it does not answer"

#: The daemon's words (moby and the registries; several spellings) → their meaning, a next command.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("no matching manifest", _NO_PLATFORM, ""),
    ("does not match the specified platform", _NO_PLATFORM, ""),
    ("toomanyrequests", "the registry limits how often one may pull", _LOGIN),
    ("manifest unknown", _NO_TAG, ""),
    ("repository does not exist", "the registry refuses it, or has none of this name", _LOGIN),
    ("not found", _NO_TAG, ""),
    ("unauthorized", _LOG_IN_FIRST, _LOGIN),
    ("authentication required", _LOG_IN_FIRST, _LOGIN),
    ("no basic auth", _LOG_IN_FIRST, _LOGIN),
    ("denied", _REFUSED, _LOGIN),
    ("forbidden", _REFUSED, _LOGIN),
    ("no space left", "the disk is full", "docker system df"),
    (
        "gave http response to https",
        "it speaks plain HTTP, which Docker accepts from this machine only",
        "docker info  # its last lines list the registries that may speak plain HTTP",
    ),
    (
        "x509",
        "Docker does not trust its certificate",
        "ls /etc/docker/certs.d/{host}  # its authority belongs there, as ca.crt",
    ),
    ("no such host", "its name is not known here", ""),
    ("connection refused", "it refuses connections", ""),
    ("timeout", _DEAD, ""),
    ("deadline exceeded", _DEAD, ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What to pull: ``reference`` as it will be known here, ``source`` as it is asked for."""

    service: str
    reference: str
    source: str

    @property
    def host(self) -> str:
        """The registry that is asked, as Docker writes it."""
        return parse_reference(self.source).registry

    @property
    def api_host(self) -> str:
        """Where that registry's API answers."""
        return host_of(self.host)

    @property
    def known_as(self) -> str:
        """What the image can be run as afterwards: a digest belongs to where it was pulled."""
        return self.source if "@" in self.reference else self.reference


def pull_for(service: str, reference: str, mirrors: Mapping[str, str]) -> Pull:
    """Decide where an image is asked for: at its registry, or at the mirror in its stead."""
    parsed = parse_reference(reference)
    mirror = mirrors.get(parsed.registry)
    source = parsed.through(mirror) if mirror else reference
    return Pull(service=service, reference=reference, source=source)


def run_pull(
    pull: Pull,
    runner: StoppableRunner,
    *,
    say: Say,
    stop: Callable[[], bool],
    now: Callable[[], float],
    fallback_hint: str,
) -> None:
    """Pull, and tag as the original; ``image-pull-failed`` with the registry's words."""
    say(f"asking {pull.host}")
    watch = _Watch(say=say, stop=stop, now=now, started=now())
    result = runner.run(
        Command(
            argv=("docker", "pull", pull.source),
            label=f"pull {pull.source}",
            timeout_s=_PULL_TIMEOUT_S,
        ),
        on_line=watch.line,
        stop=watch.hopeless,
    )
    if not result.ok:
        words = _said(result.output)
        if result.exit_code == STOPPED and not stop():
            words = (f"{pull.host} has not described the image within {_FIRST_WORD_S:.0f} s.",)
            raise failure(pull, "it does not answer", words, fallback_hint)
        reason, hint = meaning(" ".join(words), pull.host)
        raise failure(pull, reason, words, hint or fallback_hint)
    if pull.source != pull.known_as:
        _tag(pull, runner)


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Follows the lines of ``docker pull``: how many layers, and whether any came at all."""

    say: Say
    stop: Callable[[], bool]
    now: Callable[[], float]
    started: float
    layers: dict[str, bool] = field(default_factory=dict)
    spoke: bool = False

    def line(self, line: str) -> None:
        self.spoke = True
        found = _LAYER.match(line)
        if found is None:
            return
        self.layers[found[1]] = found[2].startswith(_LAYER_DONE)
        self.say(f"pulling {sum(self.layers.values())}/{len(self.layers)} layers")

    def hopeless(self) -> bool:
        silent = not self.spoke and self.now() - self.started > _FIRST_WORD_S
        return silent or self.stop()


def _tag(pull: Pull, runner: StoppableRunner) -> None:
    """Give the image its original name too, so that the rendered stack need not know of mirrors.

    The mirror's name stays beside it: with it would go the digest that says what was pulled.
    """
    result = runner.run(
        Command(
            argv=("docker", "tag", pull.source, pull.reference),
            label=f"tag {pull.reference}",
            timeout_s=30.0,
        )
    )
    if not result.ok:
        hint = f"docker tag {pull.source} {pull.reference}"
        raise failure(pull, "it could not be tagged", _said(result.output), hint)


def _said(output: str) -> tuple[str, ...]:
    """Docker's complaint: the lines that are not progress, the last few of them."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return tuple(line for line in lines if not _LAYER.match(line))[-5:]


def meaning(words: str, host: str) -> tuple[str, str]:
    """What the daemon's words mean, and the next command (empty: none in particular)."""
    low = words.lower()
    for sign, reason, hint in _MEANINGS:
        if sign in low:
            return reason, hint.format(host=host)
    return "Docker says why below", ""


def failure(pull: Pull, reason: str, words: tuple[str, ...], hint: str) -> DeployctlError:
    """The operator's error for a pull that failed; names the mirror when one was asked."""
    origin = parse_reference(pull.reference).registry
    at = (
        pull.host
        if pull.host == origin
        else f"{pull.source.partition('/')[0]}, the mirror of {origin}"
    )
    return DeployctlError(
        f"The image {pull.reference} could not be pulled from {at}: {reason}.",
        code="image-pull-failed",
        where=pull.service,
        hint=hint,
        details=words,
    )
