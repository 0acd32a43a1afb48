"""Spoiled profiles that are still profiles: the real Compose accepts what is rendered for them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tests.docker.accepting import refused_by_compose
from tests.mutations import mutant, outcome

#: How many of the valid ones Compose reads: 2 to 5 seconds.
SAMPLE = 60


def test_compose_accepts_what_is_rendered_for_mutants(tmp_path: Path) -> None:
    became = ((seed, outcome(mutant(seed)).stack) for seed in range(10_000, 20_000))
    valid = dict(islice(((seed, stack) for seed, stack in became if stack), SAMPLE))
    assert len(valid) == SAMPLE
    assert refused_by_compose(valid, tmp_path) == {}
