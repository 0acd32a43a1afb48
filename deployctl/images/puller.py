"""Pulls for one command: where to ask, who answers at all, and then ``docker pull``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deployctl.dockerinfo import docker_info
from deployctl.images.again import with_images
from deployctl.images.board import Say
from deployctl.images.mirrors import mirrors_file, read_mirrors
from deployctl.images.pull import Pull, failure, pull_for, run_pull
from deployctl.images.reference import DOCKER_HUB, is_loopback
from deployctl.images.registry import Silence, ask, ask_all
from deployctl.runner import StoppableRunner


class Puller:
    """Knows the mirror map and which registries answer. Safe from several threads.

    Raises ``mirrors-invalid`` when the operator's map cannot be used.
    """

    def __init__(
        self,
        *,
        runner: StoppableRunner,
        environment: Mapping[str, str],
        stop: Callable[[], bool],
        now: Callable[[], float],
        asker: Callable[[str, float], Silence] = ask,
    ) -> None:
        self._runner = runner
        self._environment = environment
        self._stop = stop
        self._now = now
        self._asker = asker
        self._mirrors_file = mirrors_file(environment)
        self._mirrors = read_mirrors(self._mirrors_file)
        self._silent: dict[str, Silence] = {}
        self._info: Mapping[str, Any] | None = None
        self._lock = threading.Lock()

    def pull_for(self, service: str, reference: str) -> Pull:
        """Where this image is asked for."""
        return pull_for(service, reference, self._mirrors)

    def ask(self, pulls: Iterable[Pull]) -> None:
        """Ask the registries of these pulls whether they answer, all at once; takes seconds."""
        with self._lock:
            hosts = {pull.api_host for pull in pulls} - self._silent.keys()
            self._silent.update(ask_all(hosts, asker=self._asker))

    def fetch(self, pull: Pull, say: Say, *, hint: str) -> None:
        """Pull; ``image-pull-failed``, at once where nobody answers. ``hint``: what else to do."""
        self.ask((pull,))
        why = self._silent[pull.api_host]
        if why is not None and not self._daemon_has_own_way(pull):
            words = (f"https://{pull.api_host}/v2/: {why}", *self._advice(pull))
            raise failure(pull, "it does not answer", words, hint)
        run_pull(pull, self._runner, say=say, stop=self._stop, now=self._now, fallback_hint=hint)

    def _advice(self, pull: Pull) -> tuple[str, ...]:
        if pull.source != pull.reference:
            return (f"The mirror is named in {self._mirrors_file}.",)
        return (f"A mirror of {pull.host} can be named in {self._mirrors_file}.",)

    def _daemon_has_own_way(self, pull: Pull) -> bool:
        """Whether Docker may reach what this process cannot: it is elsewhere, or has a proxy."""
        if self._environment.get("DOCKER_HOST", "").startswith(("tcp://", "ssh://")):
            return True
        if is_loopback(pull.api_host):
            return False
        info = self._docker_info()
        mirrors = (info.get("RegistryConfig") or {}).get("Mirrors")
        return bool(
            info.get("HttpProxy") or info.get("HttpsProxy") or (pull.host == DOCKER_HUB and mirrors)
        )

    def _docker_info(self) -> Mapping[str, Any]:
        with self._lock:
            if self._info is None:
                self._info = docker_info(self._runner, "docker", timeout_s=15.0)[1]
            return self._info


def pull_hint(*, recipe: str | None, reference: str, again: str) -> str:
    """What to type when an image cannot be pulled."""
    if recipe:
        return with_images(again, "build")
    return (
        "deployctl detect  # which registries answer; where this one does not, bring the image: "
        f"docker save {reference} on a machine that has it, docker load here"
    )
