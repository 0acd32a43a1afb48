"""Flags are real: what we pass goes through the programs' own parsers, in their own images.

A flag that was renamed must fail here, not at the operator's. vLLM's are in test_vllm_flags.py.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import pytest

from deployctl.dockerd import DockerDaemon
from deployctl.engines import engine, llama_cpp
from deployctl.images import ImageStore
from deployctl.model import Service, Text, Variable
from deployctl.profiles.schema import ProfileSpec
from deployctl.runner import SubprocessRunner
from deployctl.services import webui
from deployctl.services.common import NO_PROXIES
from deployctl.sources import parse_source
from tests.imageworld import Said
from tests.profilefiles import CATALOG, shipped

NAMES = tuple(
    name for name in CATALOG.shipped_names() if shipped(name).spec.engine.kind == llama_cpp.KIND
)

#: Beside the shipped profiles: every key that leads to a flag of its own, and a value of each kind.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, ()) for name in NAMES},
    **{
        f"kv_type {kind}": ("smoke", (f"engine.kv_type={kind}",))
        for kind in ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
    },
    "cpus and batch": ("smoke", ("engine.cpus=1.5", "engine.batch=64", "concurrency=16")),
    "no thinking": ("cpu-only", ("engine.reasoning_budget=0",)),
    "no limit to thinking": ("cpu-only", ("engine.reasoning_budget=-1",)),
    "all of sampling": ("smoke", ("model.sampling.top_k=40", "model.sampling.min_p=0.05")),
    "a made-up flag": ("smoke", ("engine.extra_args=[--mlock]",)),  # gone from this build
    "a made-up value": ("smoke", ("engine.extra_args=[--load-mode, made-up]",)),
}
MADE_UP = {
    "a made-up flag": "error: invalid argument: --mlock",
    "a made-up value": "error while handling argument",
}

#: For everybody, by convention: Open WebUI itself does not ask for them, what it is made of does.
CONVENTIONS = {"HOME", "DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "ANONYMIZED_TELEMETRY"}


def image(service: Service) -> str:
    """The image of a service as `up` would take it: what is here, else pulled, else built."""
    store = ImageStore(
        runner=SubprocessRunner(),
        catalog=CATALOG,
        docker=DockerDaemon(),
        environment=os.environ,
    )
    (found,) = store.obtain((service.image,), mode="auto", progress=Said())
    return found.reference


def engine_of(name: str, *sets: str) -> Service:
    spec = shipped(name, *sets).spec
    return engine(spec.engine.kind).service(spec, parse_source(spec.model.source).filename)


def in_container(reference: str, program: str, script: str) -> str:
    """What a script prints in a fresh container without a network, both streams together."""
    words = ("run", "--rm", "--network=none", "--user=10001:10001", f"--entrypoint={program}")
    done = subprocess.run(
        ["docker", *words, reference, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def given(value: Text) -> str:
    return (value.default or "x") if isinstance(value, Variable) else value


def words_of(service: Service) -> str:
    """The command line of an engine with its environment, for a shell."""
    variables = (f"{name}={given(value)}" for name, value in service.environment)
    return shlex.join(("env", *variables, "/app/llama-server", *service.command))


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What llama-server says to each command line. There is no model, so that it ends by itself."""
    services = {case: engine_of(name, *sets) for case, (name, sets) in CASES.items()}
    script = "\n".join(
        f"echo '== {case}'; timeout 20 {words_of(service)} 2>&1; echo \"exit $?\""
        for case, service in services.items()
    )
    output = in_container(image(services["smoke"]), "sh", script)
    found = re.split(r"^== (.*)\n", output, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("case", CASES.keys() - MADE_UP.keys())
def test_llama_server_understands_every_command_line(said: dict[str, str], case: str) -> None:
    """It got as far as looking for the model: the parser was content."""
    assert "failed to open GGUF file '/models/" in said[case]
    assert "error: " not in said[case]
    assert said[case].endswith("exit 1\n")


@pytest.mark.parametrize("case", MADE_UP)
def test_llama_server_refuses_what_is_made_up(said: dict[str, str], case: str) -> None:
    assert MADE_UP[case] in said[case]
    assert "failed to open GGUF file" not in said[case]


def test_llama_server_reads_every_variable_it_is_given() -> None:
    service = engine_of("smoke")
    help_text = in_container(image(service), "sh", "/app/llama-server --help 2>&1")
    known = set(re.findall(r"\(env: (\w+)\)", help_text))
    ours = {name for name, _ in service.environment if name.startswith("LLAMA_")}
    assert ours
    assert ours <= known
    assert "LLAMA_ARG_THREADS_BATCH" not in known  # the list can say no


# ── Open WebUI ────────────────────────────────────────────────────────────────────────────────

#: Prints the quoted words of the two files in which Open WebUI looks at its environment.
_QUOTED = """
import importlib.util, pathlib, re
folder = pathlib.Path(importlib.util.find_spec("open_webui").origin).parent
text = "".join((folder / name).read_text() for name in ("env.py", "config.py"))
print(*sorted(set(re.findall(r"[\\"']([A-Z][A-Z0-9_]+)[\\"']", text))), sep="\\n")
"""


def variants() -> tuple[ProfileSpec, ...]:
    """Profiles that between them set every variable of the frontend."""
    lan = ("exposure=lan", "ports.address=192.168.1.20")
    return tuple(
        shipped("smoke", *sets).spec for sets in ((), lan, ("egress=frontend",), ("egress=all",))
    )


def test_open_webui_looks_for_every_variable_it_is_given() -> None:
    services = [
        webui.service(spec) for spec in (*map(spec_of, CATALOG.shipped_names()), *variants())
    ]
    ours = {name for service in services for name, _ in service.environment}
    ours -= CONVENTIONS | {name for name, _ in NO_PROXIES}
    known = set(in_container(image(services[0]), "python3", _QUOTED).split())
    assert len(ours) > 20
    assert sorted(ours - known) == []
    assert "VLLM_API_BASE" not in known  # the list can say no
    assert "ENABLE_MADE_UP" not in known


def spec_of(name: str) -> ProfileSpec:
    return shipped(name).spec
