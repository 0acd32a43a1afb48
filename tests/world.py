"""A whole World of fakes around the real catalog, profiles, planner, renderer and workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deployctl.catalog import Catalog
from deployctl.deploy.world import World
from deployctl.profiles.resolve import resolve
from tests.fakes import (
    FakeClock,
    FakeDocker,
    FakeFacts,
    FakeHttp,
    FakeImages,
    FakeRunner,
    FakeTalk,
    FakeWeights,
)


@dataclass
class Box:
    """A machine made of fakes; change a part, then build the world."""

    home: Path
    docker: FakeDocker = field(default_factory=FakeDocker)
    http: FakeHttp = field(default_factory=FakeHttp)
    images: FakeImages = field(default_factory=FakeImages)
    weights: FakeWeights = field(default_factory=FakeWeights)
    facts: FakeFacts = field(default_factory=FakeFacts)
    clock: FakeClock = field(default_factory=FakeClock)
    talk: FakeTalk = field(default_factory=FakeTalk)

    def __post_init__(self) -> None:
        self.runner = FakeRunner(self.docker)

    def world(self, doing: str = "up") -> World:
        catalog = Catalog({"DEPLOYCTL_HOME": str(self.home)})
        return World(
            home=self.home,
            catalog=catalog,
            runner=self.runner,
            docker=self.docker,
            http=self.http,
            images=self.images,
            weights=self.weights,
            facts=self.facts,
            local=lambda measure=False: self.facts.facts,
            resolve=lambda selection: resolve(selection, catalog.readers()),
            clock=self.clock,
            talk=self.talk,
            doing=doing,
        )
