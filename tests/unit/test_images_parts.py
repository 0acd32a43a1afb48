"""The image store's parts: references, registries, pulls, recipes, build output, inputs."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deployctl.errors import DeployctlError
from deployctl.images.board import Board
from deployctl.images.build import Builder
from deployctl.images.inputs import (
    Inputs,
    apt_proxies,
    build_apt_conf,
    ca_text,
    debian_sources,
    gather_inputs,
    lenient,
    one_line,
    parse_pip,
    pip_text,
)
from deployctl.images.pull import Pull, meaning, run_pull
from deployctl.images.recipes import load_recipe
from deployctl.images.reference import host_of, parse_reference
from deployctl.images.registry import Silence, ask, ask_all
from deployctl.images.steps import BuildLog
from deployctl.provision.apt import parse_sources
from deployctl.provision.model import AptSource
from tests.imageworld import ImageDocker, ImageRunner, Recipes, Said
from tests.scripted import ScriptedRunner

# ── references ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "full", "mirrored"),
    [
        ("debian", "docker.io/library/debian:latest", "m:5000/x/library/debian:latest"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim",
         "m:5000/x/library/debian:bookworm-slim"),
        ("vllm/vllm-openai:v1", "docker.io/vllm/vllm-openai:v1", "m:5000/x/vllm/vllm-openai:v1"),
        ("ghcr.io/a/b/c:1", "ghcr.io/a/b/c:1", "m:5000/x/a/b/c:1"),
        ("127.0.0.1:5000/a:1", "127.0.0.1:5000/a:1", "m:5000/x/a:1"),
        ("localhost/a", "localhost/a:latest", "m:5000/x/a:latest"),
        ("q.io/a:1@sha256:0f", "q.io/a@sha256:0f", "m:5000/x/a@sha256:0f"),
    ],
)  # fmt: skip
def test_a_reference_is_read_as_docker_reads_it(written: str, full: str, mirrored: str) -> None:
    reference = parse_reference(written)
    assert (reference.full, reference.through("m:5000/x")) == (full, mirrored)


def test_dockers_own_registry_answers_elsewhere() -> None:
    assert host_of("docker.io") == "registry-1.docker.io"
    assert host_of("mirror.example:5000/hub") == "mirror.example:5000"


# ── who answers ───────────────────────────────────────────────────────────────────────────────


def test_all_registries_are_asked_at_the_same_time() -> None:
    barrier = threading.Barrier(3)

    def asker(host: str, timeout_s: float) -> Silence:
        barrier.wait(10)
        return None if host == "a" else f"{host} says no"

    assert ask_all(["a", "b", "c", "b"], asker=asker) == {
        "a": None,
        "b": "b says no",
        "c": "c says no",
    }


def test_one_that_hangs_is_not_waited_for() -> None:
    never = threading.Event()

    def asker(host: str, timeout_s: float) -> Silence:
        if host == "hung":
            never.wait(60)
        return None

    found = ask_all(["hung", "good"], asker=asker, timeout_s=0.1)
    never.set()
    assert found == {"hung": "no answer within 0 s", "good": None}


class _LogInFirst(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _LogInFirst)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_that_wants_a_login_is_one_that_answers(registry: str) -> None:
    assert ask(registry, 5) is None


def test_a_closed_port_and_a_mute_one_are_told_apart() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert ask(f"127.0.0.1:{mute.getsockname()[1]}", 0.2) == "no answer within 0 s"
        port = mute.getsockname()[1]
    assert ask(f"127.0.0.1:{port}", 1) == "Connection refused"


def test_a_name_that_does_not_exist_is_said_in_words() -> None:
    silence = ask("registry.invalid", 3)
    assert silence
    assert "object at" not in silence


# ── pulls ─────────────────────────────────────────────────────────────────────────────────────

PULL = Pull(service="engine", reference="ghcr.io/org/engine:1", source="m.example/org/engine:1")


def pull(runner: ImageRunner, *, now: float = 0.0, stop: bool = False) -> None:
    run_pull(
        PULL,
        runner,
        say=lambda _text: None,
        stop=lambda: stop,
        now=iter((0.0, *[now] * 1_000_000)).__next__,
        fallback_hint="deployctl up --images build",
    )


@pytest.mark.parametrize(
    ("words", "reason", "hint"),
    [
        ("manifest for x not found: manifest unknown: manifest unknown",
         "the registry has no image of this name and tag", "deployctl up --images build"),
        ("Head \"https://m.example/v2/x\": no basic auth credentials",
         "the registry wants you to log in", "docker login m.example"),
        ("pull access denied for x, repository does not exist or may require 'docker login'",
         "the registry refuses it, or has none of this name", "docker login m.example"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries",
         "there is none for this processor architecture", "deployctl up --images build"),
        ("toomanyrequests: You have reached your pull rate limit",
         "the registry limits how often one may pull", "docker login m.example"),
        ("http: server gave HTTP response to HTTPS client",
         "it speaks plain HTTP, which Docker accepts from this machine only",
         "docker info  # its last lines list the registries that may speak plain HTTP"),
        ("something quite new", "Docker says why below", "deployctl up --images build"),
    ],
)  # fmt: skip
def test_what_the_registry_says_is_explained_and_kept(words: str, reason: str, hint: str) -> None:
    runner = ImageRunner(ImageDocker(set()))
    line = f"Error response from daemon: {words}"
    runner.output = {"pull m.example/org/engine:1": f"{'a' * 12}: Waiting\n{line}"}
    with pytest.raises(DeployctlError) as caught:
        pull(runner)
    fault = caught.value.faults[0]
    assert fault.message == (
        "The image ghcr.io/org/engine:1 could not be pulled from m.example, the mirror of ghcr.io: "
        f"{reason}."
    )
    assert (fault.code, fault.where, fault.hint) == ("image-pull-failed", "engine", hint)
    assert fault.details == (line,)


def test_every_meaning_is_a_phrase() -> None:
    assert meaning("X509: unknown authority", "h")[1].startswith("ls /etc/docker/certs.d/h ")


def test_a_pull_in_which_nothing_happens_is_given_up() -> None:
    runner = ImageRunner(ImageDocker(set()))
    runner.held = {"pull m.example/org/engine:1"}
    with pytest.raises(DeployctlError, match="it does not answer") as caught:
        pull(runner, now=46.0)
    assert caught.value.faults[0].details == ("m.example has not described the image within 45 s.",)


# ── recipes ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    return Recipes(tmp_path / "images")


def tags(recipes: Recipes, root: Path) -> dict[str, str]:
    return {
        n: load_recipe(recipes.images_dir, n, root=root).tag for n in ("base", "engine", "webui")
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_changed_file_means_another_image(recipes: Recipes, tmp_path: Path) -> None:
    before = tags(recipes, tmp_path)
    recipes.write("webui/requirements.txt", "x==1\n")
    middle = tags(recipes, tmp_path)
    recipes.write("webui/requirements.txt", "x==2\n")
    assert changed(before, middle) == changed(middle, tags(recipes, tmp_path)) == {"webui"}


def test_a_changed_base_means_other_images_on_it(recipes: Recipes, tmp_path: Path) -> None:
    before = tags(recipes, tmp_path)
    recipes.write("base/rootfs.sh", "exec mmdebstrap --quiet\n")
    assert changed(before, tags(recipes, tmp_path)) == {"base", "engine", "webui"}


def test_caches_of_editors_and_pythons_do_not_matter(recipes: Recipes, tmp_path: Path) -> None:
    before = tags(recipes, tmp_path)
    recipes.write("webui/__pycache__/x.pyc", "x")
    recipes.write("webui/.start.sh.swp", "x")
    assert tags(recipes, tmp_path) == before


def test_what_a_recipe_says_of_itself(recipes: Recipes, tmp_path: Path) -> None:
    base, engine, webui = (
        load_recipe(recipes.images_dir, name, root=tmp_path) for name in ("base", "engine", "webui")
    )
    assert (base.start_argument, base.starts_from, base.on_base) == (
        "DEBIAN_IMAGE",
        "debian:bookworm-slim",
        False,
    )
    assert (engine.start_argument, engine.on_base) == ("BASE", True)
    assert (engine.disk_bytes, webui.disk_bytes) == (3_500_000_000, 2_000_000_000)


def test_a_recipe_that_does_not_exist_is_a_broken_installation(recipes: Recipes) -> None:
    with pytest.raises(DeployctlError, match="no recipe for building nope"):
        load_recipe(recipes.images_dir, "nope")


# ── what buildx prints ────────────────────────────────────────────────────────────────────────

FAILED_BUILD = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [compile 1/3] FROM localhost/deployctl/base:0f
#4 DONE 0.0s
#5 [compile 2/3] RUN --mount=type=secret,id=pip   python3 fetch.py
#5 CACHED
#6 [stage-1 2/4] COPY start.sh ./
#7 [compile 3/3] RUN --mount=type=bind,target=/x cmake -S .     && ninja
#7 0.145 [1/90] Building CXX object a.o
#6 DONE 0.1s
#7 12.30 ninja: build stopped
#7 ERROR: process "/bin/sh -c cmake" did not complete successfully: exit code: 1
------
 > [compile 3/3] RUN --mount=type=bind,target=/x cmake -S .     && ninja:
12.30 ninja: build stopped
------
ERROR: failed to solve: process "/bin/sh -c cmake" did not complete successfully: exit code: 1"""


def test_the_current_step_is_the_one_that_began_last_and_is_not_done() -> None:
    log = BuildLog()
    seen = []
    for line in FAILED_BUILD.splitlines():
        log.line(line, 0.0)
        seen.append(str(log.current))
    assert list(dict.fromkeys(seen)) == [
        "None",
        "[compile 1/3] FROM localhost/deployctl/base:0f",
        "[compile 2/3] RUN python3 fetch.py",
        "[stage-1 2/4] COPY start.sh ./",
        "[compile 3/3] RUN cmake -S . && ninja",
    ]


def build(runner: ImageRunner, recipes: Recipes, said: Said, times: Iterator[float]) -> None:
    builder = Builder(
        runner=runner,
        stop=lambda: False,
        now=times.__next__,
        instance="default",
        again="deployctl up",
    )
    inputs = Inputs(
        secrets={"pip": Path("/run/x/pip")},
        proxies=(("https_proxy", "http://user:pw@proxy.example"),),
        host_network=False,
        apt_proxies=(),
    )
    recipe = load_recipe(recipes.images_dir, "webui")
    runner_secrets = Path("/run/x/pip")
    assert not runner_secrets.exists()
    builder.build(
        recipe, inputs, start="localhost/deployctl/base:0f", say=Board(said).line("webui")
    )


def test_a_failed_build_names_recipe_and_step_and_shows_its_last_lines(recipes: Recipes) -> None:
    runner = ImageRunner(ImageDocker(set()))
    runner.output = {"build webui": FAILED_BUILD}
    runner.lines = {"build webui": tuple(FAILED_BUILD.splitlines())}
    said = Said()
    with pytest.raises(DeployctlError) as caught:
        build(runner, recipes, said, iter(float(n) for n in range(1000)))
    fault = caught.value.faults[0]
    assert fault.message == (
        "The image webui could not be built: the build failed in step "
        "[compile 3/3] RUN cmake -S . && ninja."
    )
    assert (fault.code, fault.where) == ("image-build-failed", "webui")
    assert fault.details == (
        "[1/90] Building CXX object a.o",
        "ninja: build stopped",
        'failed to solve: process "/bin/sh -c cmake" did not complete successfully: exit code: 1',
    )
    assert said.texts[0] == "webui: preparing the build"
    assert said.texts[-1].startswith("webui: [compile 3/3] RUN cmake -S . && ninja, ")


def test_a_build_command_shows_no_proxy(recipes: Recipes) -> None:
    runner = ImageRunner(ImageDocker(set()))
    runner.output = {"build webui": "stop here"}
    with pytest.raises(DeployctlError):
        build(runner, recipes, Said(), iter(float(n) for n in range(1000)))
    recipe = load_recipe(recipes.images_dir, "webui")
    command = runner.commands[0]
    assert command.argv == (
        *("docker", "buildx", "build", "--builder=default", "--progress=plain", "--load"),
        f"--tag={recipe.tag}",
        f"--label=deployctl.recipe={recipe.digest}",
        "--build-arg=BASE=localhost/deployctl/base:0f",
        "--secret=id=pip,src=/run/x/pip",
        "--build-arg=https_proxy",
        str(recipe.folder),
    )
    assert ("https_proxy", "http://user:pw@proxy.example") in command.env


def test_a_docker_without_the_build_command_is_sent_to_set_up(recipes: Recipes) -> None:
    runner = ImageRunner(ImageDocker(set()))
    runner.output = {"build webui": "docker: unknown command: docker buildx\n\nRun 'docker --help'"}
    with pytest.raises(DeployctlError) as caught:
        build(runner, recipes, Said(), iter(float(n) for n in range(1000)))
    assert caught.value.faults[0].code == "buildx-missing"


# ── what a build sees of this machine ─────────────────────────────────────────────────────────


def test_pips_settings_are_merged_as_pip_merges_them() -> None:
    text = (
        ":env:.timeout='60'\n"
        "global.cert='/etc/ca.pem'\n"
        "global.extra-index-url='file:///srv/simple\\nhttps://b.example/simple'\n"
        "global.find-links='/srv/wheels https://c.example/links'\n"
        "global.index-url='https://a.example/simple'\n"
        "global.timeout='15'\n"
        "install.user='yes'\n"
        "nonsense"
    )
    settings = parse_pip(text)
    assert settings["cert"] == "/etc/ca.pem"
    assert pip_text(settings) == (
        "[global]\n"
        "index-url = https://a.example/simple\n"
        "extra-index-url = https://b.example/simple\n"
        "find-links = https://c.example/links\n"
        "timeout = 60\n"
    )


def test_no_settings_make_no_file() -> None:
    assert pip_text({"cert": "/etc/ca.pem", "no-index": "1"}) == ""


PEM = "-----BEGIN CERTIFICATE-----\n{0}\n-----END CERTIFICATE-----"


def test_certificates_come_from_where_pip_is_told_else_from_the_system(tmp_path: Path) -> None:
    system = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    system.parent.mkdir(parents=True)
    system.write_text(f"# a comment\n{PEM.format('system')}\n")
    own = tmp_path / "own.pem"
    own.write_text(PEM.format("own"))
    assert ca_text({}, "", tmp_path) == PEM.format("system") + "\n"
    assert ca_text({"SSL_CERT_FILE": str(own)}, "", tmp_path) == PEM.format("own") + "\n"
    assert ca_text({}, str(own), tmp_path) == PEM.format("own") + "\n"
    assert ca_text({"PIP_CERT": "/nonexistent"}, "", tmp_path) == PEM.format("system") + "\n"
    assert ca_text({}, "", tmp_path / "empty") == ""


SOURCES = """\
Types: deb
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://docker.example/linux/debian
Suites: trixie
Components: stable
Signed-By: /etc/apt/keyrings/docker.asc

Types: deb
URIs: http://archive.example/ubuntu
Suites: noble
Components: main
"""


def test_only_debians_own_mirrors_are_handed_on_for_the_images_release() -> None:
    sources = debian_sources(parse_sources("x.sources", SOURCES), "bookworm")
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert one_line(sources) == (
        f"deb {key} http://mirror.example/debian bookworm main\n"
        f"deb {key} http://mirror.example/debian bookworm-updates main\n"
    )


def test_settings_of_apt_reach_tools_that_read_no_settings() -> None:
    conf = (
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::Check-Date "true";\n'
        'Acquire::http::Proxy "http://apt.example:3142";\n'
        'Acquire::https::Proxy "DIRECT";\n'
    )
    assert lenient(conf) == (("Check-Valid-Until", "no"),)
    assert apt_proxies(conf) == (("http_proxy", "http://apt.example:3142"),)
    source = AptSource(uris=("http://m.example",), suites=("bookworm",), components=("main",))
    assert one_line((source,), lenient(conf)) == (
        "deb [check-valid-until=no] http://m.example bookworm main\n"
    )


def test_apt_in_a_build_is_pointed_at_the_secrets() -> None:
    assert build_apt_conf(sources=False, ca=False) == ""
    assert build_apt_conf(sources=True, ca=True) == (
        'Dir::Etc::sourcelist "/run/secrets/apt_sources";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        'Acquire::https::CaInfo "/run/secrets/ca";\n'
    )


def gathered(
    tmp_path: Path, environment: dict[str, str], pip: str = ""
) -> tuple[Inputs, dict[str, str]]:
    runner = ScriptedRunner(
        {
            "config list": pip,
            "apt-config dump": 'APT "";\nAcquire::http::Proxy "http://apt.example:3142";\n',
        }
    )
    with gather_inputs(runner, environment, "bookworm", root=tmp_path) as inputs:  # type: ignore[arg-type]
        texts = {}
        for name, path in inputs.secrets.items():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            texts[name] = path.read_text()
        return_value = inputs, texts
    assert not any(path.exists() for path in inputs.secrets.values())
    return return_value


def test_secrets_live_in_private_files_as_long_as_the_builds(tmp_path: Path) -> None:
    inputs, texts = gathered(tmp_path, {"HTTPS_PROXY": "http://p.example:1"}, "global.timeout='9'")
    assert texts == {
        "pip": "[global]\ntimeout = 9\n",
        "apt_conf": 'Acquire::http::Proxy "http://apt.example:3142";\n',
    }
    assert inputs.words() == (
        f"--secret=id=pip,src={inputs.secrets['pip']}",
        f"--secret=id=apt_conf,src={inputs.secrets['apt_conf']}",
        "--build-arg=HTTPS_PROXY",
    )


@pytest.mark.parametrize(
    ("environment", "pip"),
    [
        ({"http_proxy": "http://127.0.0.1:3128"}, ""),
        ({"http_proxy": "http://user:pw@localhost:3128"}, ""),
        ({}, "global.index-url='http://[::1]:3141/root/pypi'"),
    ],
)
def test_what_is_on_this_machines_loopback_needs_its_network(
    tmp_path: Path, environment: dict[str, str], pip: str
) -> None:
    inputs, _ = gathered(tmp_path, environment, pip)
    assert inputs.words()[-1] == "--network=host"
