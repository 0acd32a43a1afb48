"""The gateway of the response cache, for the tests that ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from deployctl.addons import cache
from deployctl.dockerd import DockerDaemon
from deployctl.images import ImageStore
from deployctl.model import Image
from deployctl.runner import SubprocessRunner
from tests.docker.gatewayworld import Gateway, Make
from tests.imageworld import Said
from tests.profilefiles import CATALOG


@pytest.fixture(scope="session")
def gateway_image() -> str:
    """The gateway's image as it is built here; a build, where it is not."""
    store = ImageStore(
        runner=SubprocessRunner(),
        catalog=CATALOG,
        docker=DockerDaemon(),
        environment=os.environ,
    )
    wanted = Image(service="cache", reference=cache.IMAGE, recipe="gateway")
    (found,) = store.obtain((wanted,), mode="build", progress=Said())
    return found.reference


@pytest.fixture(scope="module")
def make(gateway_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Start gateways; they are gone at the end, with their engines and volumes."""
    made: list[Gateway] = []

    def start(**more: Any) -> Gateway:
        made.append(Gateway(image=gateway_image, folder=tmp_path_factory.mktemp("gateway"), **more))
        made[-1].start()
        return made[-1]

    yield start
    for gateway in made:
        gateway.remove()


@pytest.fixture(scope="module")
def gateway(make: Make) -> Gateway:
    """The one that most tests only ask."""
    return make()
