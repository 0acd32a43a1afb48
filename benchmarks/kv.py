"""Predicted tokens of the conversations against what vLLM's own log says that it keeps.

The engine runs from its image with exactly the words of the plan, with no network, until it has
said so. It says how many tokens conversations of the planned length can fill: where one is not
whole blocks, less than is kept.

    python -m benchmarks.kv
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.containers import docker, log, refuse_ended
from deployctl.catalog import Catalog
from deployctl.folders import home_folder
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.runner import SubprocessRunner
from deployctl.sizing import kv_bytes_per_token, pool_bytes
from deployctl.weights import WeightsStore

#: Seconds for a start, which is most of the time three Pythons that load torch.
_PATIENCE_S = 300

_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")

#: What the engine needs to know of where it runs, as in the plan; no key, for nobody can ask it.
_GIVEN = (
    *("HOME=/tmp", "USER=engine", "VLLM_HOST_IP=127.0.0.1", "HF_HUB_OFFLINE=1"),
    "VLLM_ENABLE_V1_MULTIPROCESSING=0",  # one process less that starts
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How many conversations of how many tokens, and how large a pool where one is asked for."""

    concurrency: int
    context: int
    pool: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The same for `plan` and `up`."""
        given = {"concurrency": self.concurrency, "model.context": self.context}
        sets = given | ({"engine.kv_cache": self.pool} if self.pool else {})
        return tuple(word for key, value in sets.items() for word in ("--set", f"{key}={value}"))

    def __str__(self) -> str:
        pool = f" in {self.pool}" if self.pool else ""
        return f"{self.concurrency} x {self.context}{pool}"


#: Whole blocks, parts of blocks, and more room than is needed.
SETTINGS = (
    Setting(concurrency=4, context=1024),
    Setting(concurrency=3, context=1500),
    Setting(concurrency=1, context=4096, pool="256MiB"),
)


def measured_tokens(image: str, weights: str, command: Sequence[str]) -> int:
    """Start the engine and wait for what it says of its own conversations; tokens."""
    name = f"deployctl-kv-{uuid.uuid4().hex[:12]}"
    isolated = ("--network=none", "--read-only", "--tmpfs=/tmp:exec", "--cap-drop=ALL", "--init")
    given = [word for pair in _GIVEN for word in ("--env", pair)]
    mount = f"type=bind,src={weights},dst={command[0]},readonly"
    words = ("run", "--detach", "--name", name, *isolated, "--shm-size=512m", "--memory=4g")
    docker(*words, *given, "--mount", mount, image, *command)
    try:
        return _said(name)
    finally:
        docker("rm", "--force", name)


def _said(name: str) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        said = log(name)
        if found := _TOKENS.search(said):
            return int(found[1].replace(",", ""))
        refuse_ended(name)
        time.sleep(0.5)
    sys.exit(f"The engine said nothing within {_PATIENCE_S} s:\n{said[-2000:]}")


def main() -> int:
    """Print a table: setting, predicted, measured, ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="smoke-vllm")
    parser.add_argument("--image", help="default: the newest localhost/deployctl/vllm-cpu")
    asked = parser.parse_args()
    ours = docker("images", "--quiet", "localhost/deployctl/vllm-cpu").split()
    image = asked.image or next(iter(ours), None)
    if image is None:
        sys.exit(f"no image of vLLM here; next: deployctl up --profile {asked.profile}")
    weights = _weights(_planned(asked.profile, SETTINGS[0]))
    print("| setting | predicted tokens | vLLM's log | ratio |\n|---|---|---|---|")
    for setting in SETTINGS:
        plan = _planned(asked.profile, setting)
        assert plan.load is not None
        predicted = pool_bytes(plan.load) // kv_bytes_per_token(plan.load.shape, plan.load.kv_type)
        measured = measured_tokens(image, weights, plan.service("engine").command)
        print(f"| {setting} | {predicted} | {measured} | {predicted / measured:.3f} |", flush=True)
    return 0


def _planned(profile: str, setting: Setting) -> Plan:
    sets = setting.words[1::2]
    return build_plan(resolve(Selection(profile=profile, sets=sets), Catalog(os.environ).readers()))


def _weights(plan: Plan) -> str:
    """The folder of the model, fetched or made where it is not here yet."""
    store = WeightsStore(
        home_folder(os.environ) / "models", environment=os.environ, runner=SubprocessRunner()
    )
    return str(store.fetch(plan.weights, progress=lambda *_words, **_figures: None).path)


if __name__ == "__main__":
    sys.exit(main())
