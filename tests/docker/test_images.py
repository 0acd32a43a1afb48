"""Images on a real daemon: pulled from a real registry on loopback, built with real secrets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployctl.clock import SystemClock
from deployctl.deploy.names import ImageMode
from deployctl.deploy.world import ResolvedImage
from deployctl.dockerd import DockerDaemon
from deployctl.errors import DeployctlError, Fault
from deployctl.images import ImageStore
from deployctl.model import Image
from deployctl.provision.apply import ensure_packages
from deployctl.runner import SubprocessRunner
from tests.imageworld import Said

PREFIX = "dctl-test-images"
TINY = f"ghcr.io/{PREFIX}/tiny:1"
SHIPPED = Path(__file__).parents[2] / "compose/images"

#: A recipe that adds nothing to the base.
PLAIN = "# disk: 0.1 GB\nARG BASE=localhost/deployctl/base:x\nFROM ${BASE}\n"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ── a registry ────────────────────────────────────────────────────────────────────────────────

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

#: User "op", password "pw", as `htpasswd -B` writes it.
HTPASSWD = "op:$2y$04$FSNrPmYXEUJS4kPcmI8bhOy2bXpEUxFH7X6Zxr8LjV.o3j0gYzBeS\n"
WITH_LOGIN = "auth: {{htpasswd: {{realm: here, path: {folder}/htpasswd}}}}\n"


@pytest.fixture(scope="module")
def registry_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian's docker-registry: installed, or unpacked from its package, which starts nothing."""
    if found := shutil.which("docker-registry"):
        return found
    folder = tmp_path_factory.mktemp("registry")
    for words in (["apt-get", "download", "docker-registry"], ["sh", "-c", "dpkg-deb -x *.deb ."]):
        subprocess.run(words, cwd=folder, capture_output=True, timeout=120)
    unpacked = folder / "usr/bin/docker-registry"
    if unpacked.exists():
        return str(unpacked)
    try:
        ensure_packages(
            SubprocessRunner(),
            ("docker-registry",),
            Said(),
            environment=os.environ,
            clock=SystemClock(),
        )
    except DeployctlError as error:
        message = f"docker-registry cannot be had: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return "/usr/bin/docker-registry"


@contextmanager
def running(program: str, folder: Path, *, login: bool = False) -> Iterator[str]:
    """A registry process of our own on a free port; gives its ``host:port``."""
    port = free_port()
    config = folder / "config.yml"
    text = CONFIG + (WITH_LOGIN if login else "")
    config.write_text(text.format(folder=folder, port=port))
    (folder / "htpasswd").write_text(HTPASSWD)
    log = (folder / "log").open("w")
    process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        until_open(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.02)
    pytest.fail(f"the registry did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def registry(
    registry_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """A registry that has the tiny image below ``mirror/``; gives its address and the digest."""
    folder = tmp_path_factory.mktemp("registry-data")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY log /log\nLABEL a=b\n")
    with running(registry_program, folder) as address:
        pushed = f"{address}/mirror/{PREFIX}/tiny:1"
        docker("buildx", "build", "--builder=default", "--load", f"--tag={pushed}", str(folder))
        docker("push", pushed)
        digest = docker("inspect", "--format", "{{index .RepoDigests 0}}", pushed).partition("@")[2]
        docker("rmi", "--force", pushed)
        yield address, digest


# ── the store ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Store:
    """An image store with a home of its own, whose images are removed after the test."""

    home: Path
    said: Said

    def mirror(self, line: str) -> None:
        (self.home / "mirrors.yaml").write_text(f"{line}\n")

    def write(self, recipe: str, dockerfile: str) -> str:
        """Add a recipe beside the shipped base; returns its name."""
        name = f"{PREFIX}-{recipe}"
        folder = self.images_dir / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(dockerfile)
        return name

    @property
    def images_dir(self) -> Path:
        return self.home / "images"

    def obtain(
        self,
        *images: Image,
        mode: ImageMode,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[ResolvedImage, ...]:
        store = ImageStore(
            runner=SubprocessRunner(),
            catalog=self,
            docker=DockerDaemon(),
            environment={**os.environ, "DEPLOYCTL_HOME": str(self.home), **(environment or {})},
        )
        return store.obtain(images, mode=mode, progress=self.said)

    def fault(self, *images: Image, mode: ImageMode) -> Fault:
        with pytest.raises(DeployctlError) as caught:
            self.obtain(*images, mode=mode)
        return caught.value.faults[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(SHIPPED / "base", home / "images/base")
    yield Store(home=home, said=Said())
    listed = docker("images", "--format", "{{.Repository}} {{.ID}}").splitlines()
    if ours := {line.split()[1] for line in listed if PREFIX in line}:
        docker("rmi", "--force", *ours)


def tiny(reference: str = TINY, recipe: str | None = None) -> Image:
    return Image(service="engine", reference=reference, recipe=recipe)


# ── pulling ───────────────────────────────────────────────────────────────────────────────────


def test_a_pull_through_the_mirror_gives_the_image_under_its_own_name(
    store: Store, registry: tuple[str, str]
) -> None:
    address, digest = registry
    store.mirror(f"ghcr.io: {address}/mirror")
    (image,) = store.obtain(tiny(), mode="auto")
    assert image == ResolvedImage(service="engine", reference=TINY, source="pull", built=False)
    (inspected,) = json.loads(docker("inspect", TINY))
    assert {name.partition("@")[2] for name in inspected["RepoDigests"]} == {digest}
    assert TINY in inspected["RepoTags"]
    (again,) = store.obtain(tiny(), mode="local")
    assert again.source == "local"
    assert store.said.texts[0] == f"engine: asking {address}"
    assert store.said.texts[-2:] == ["engine: pulling 1/1 layers", "engine: pulled"]


def test_an_image_named_by_digest_is_pulled_through_the_mirror_too(
    store: Store, registry: tuple[str, str]
) -> None:
    address, digest = registry
    store.mirror(f"ghcr.io: {address}/mirror")
    image = tiny(f"ghcr.io/{PREFIX}/tiny:1@{digest}")
    sources = [store.obtain(image, mode="pull")[0].source for _ in range(2)]
    assert sources == ["pull", "local"]


def test_a_tag_that_does_not_exist_is_told_in_the_registrys_words(
    store: Store, registry: tuple[str, str]
) -> None:
    address, _ = registry
    store.mirror(f"ghcr.io: {address}/mirror")
    fault = store.fault(tiny(f"ghcr.io/{PREFIX}/tiny:nope"), mode="pull")
    assert fault.message == (
        f"The image ghcr.io/{PREFIX}/tiny:nope could not be pulled from {address}, the mirror of "
        "ghcr.io: the registry has no image of this name and tag."
    )
    assert (fault.code, fault.where) == ("image-pull-failed", "engine")
    assert "manifest unknown" in fault.details[-1]


def test_a_registry_that_wants_a_login_says_so(
    store: Store, registry_program: str, tmp_path: Path
) -> None:
    with running(registry_program, tmp_path, login=True) as address:
        store.mirror(f"ghcr.io: {address}")
        fault = store.fault(tiny(), mode="pull")
    assert fault.hint == f"docker login {address}"
    assert "no basic auth credentials" in fault.details[-1]


def test_nobody_waits_for_a_mirror_that_is_mute_or_gone(store: Store) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        store.mirror(f"ghcr.io: 127.0.0.1:{port}\nquay.io: 127.0.0.1:{free_port()}")
        fault = store.fault(tiny(), mode="pull")
        assert fault.details[0] == f"https://127.0.0.1:{port}/v2/: no answer within 4 s"
    fault = store.fault(tiny(f"quay.io/{PREFIX}/tiny:1"), mode="pull")
    assert fault.details[0].endswith(": Connection refused")


# ── building ──────────────────────────────────────────────────────────────────────────────────

#: The patterns are written so that they do not match themselves: the step is in the history.
SECRETS = """\
# disk: 0.1 GB
ARG BASE=localhost/deployctl/base:bookworm
FROM ${BASE}
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca,mode=0444 \\
    grep -q [i]ndex.dctl-test.invalid /run/secrets/pip && \\
    grep -q [R]ENUTC1URVNULUlNQUdFUw /run/secrets/ca && \\
    env | grep -q [p]roxy.dctl-test.invalid && \\
    echo all > /seen
"""

CA = "-----BEGIN CERTIFICATE-----\nRENUTC1URVNULUlNQUdFUw==\n-----END CERTIFICATE-----\n"


def test_what_a_build_sees_of_this_machine_does_not_stay_in_the_image(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(CA)
    plain = store.write("plain", PLAIN)
    store.obtain(tiny(recipe=plain), mode="build")  # the base is made in this machine's own way
    strange = {
        "PIP_INDEX_URL": "https://op:pw@index.dctl-test.invalid/simple",
        "PIP_CERT": str(tmp_path / "ca.pem"),
        "HTTPS_PROXY": "http://op:pw@proxy.dctl-test.invalid:3128",
    }
    secrets = store.write("secrets", SECRETS)
    with pytest.MonkeyPatch.context() as patch:  # pip reads the environment of the process
        for name, text in strange.items():
            patch.setenv(name, text)
        (image,) = store.obtain(tiny(recipe=secrets), mode="build", environment=strange)
    assert (image.source, image.built) == ("build", True)
    assert exported(image.reference, tmp_path)["seen"] == b"all\n"
    everything = [
        docker("history", "--no-trunc", image.reference).encode(),
        docker("inspect", image.reference).encode(),
        *saved(image.reference, tmp_path),
    ]
    for trace in (b"index.dctl-test", b"proxy.dctl-test", b"RENUTC1URVNULUlNQUdFUw", b"op:pw"):
        assert not any(trace in part for part in everything)


def test_the_base_keeps_nothing_of_the_machine_that_made_it(store: Store, tmp_path: Path) -> None:
    plain = store.write("plain", PLAIN)
    (image,) = store.obtain(tiny(recipe=plain), mode="build")
    files = exported(image.reference, tmp_path)
    settings = {n: text for n, text in files.items() if n.startswith("etc/apt/")}
    # Debian's published image names Debian's own servers; one made here names none.
    assert not [n for n in settings if n.endswith(".list")]
    assert not [n for n in settings if "mmdebstrap" in n or "deployctl" in n]
    assert not any(b"/run/secrets" in text for text in settings.values())
    assert socket.gethostname().encode() != files.get("etc/hostname", b"").strip()


def exported(reference: str, folder: Path) -> dict[str, bytes]:
    """The files of a container of the image, small ones only."""
    name = f"{PREFIX}-export"
    docker("create", "--name", name, reference, "true")
    try:
        docker("export", f"--output={folder}/export.tar", name)
    finally:
        docker("rm", "--force", name)
    with tarfile.open(folder / "export.tar") as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member) if member.isfile() and member.size < 9999 else None
            if file is not None:
                found[member.name] = file.read()
        return found


def saved(reference: str, folder: Path) -> Iterator[bytes]:
    """Every layer of the image as it is stored, whole."""
    docker("save", f"--output={folder}/save.tar", reference)
    with tarfile.open(folder / "save.tar") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield file.read()


def test_a_build_is_labelled_and_found_again(store: Store) -> None:
    recipe = store.write("label", PLAIN)
    sources = [store.obtain(tiny(recipe=recipe), mode="auto")[0] for _ in range(2)]
    assert [image.source for image in sources] == ["build", "local"]
    (inspected,) = json.loads(docker("inspect", sources[0].reference))
    digest = inspected["Config"]["Labels"]["deployctl.recipe"]
    assert sources[0].reference == f"localhost/deployctl/{recipe}:{digest[:16]}"


def test_a_failed_build_names_its_step_and_shows_the_end_of_it(store: Store) -> None:
    recipe = store.write(
        "broken",
        "# disk: 0.1 GB\nARG BASE=localhost/deployctl/base:x\nFROM ${BASE}\nENV X=y\n"
        "RUN for n in $(seq 30); do echo line $n; done; exit 3\n",
    )
    fault = store.fault(tiny(recipe=recipe), mode="build")
    assert fault.message == (
        f"The image {recipe} could not be built: the build failed in step "
        "[2/2] RUN for n in $(seq 30); do echo line $n; done; exit 3."
    )
    assert fault.details[:20] == tuple(f"line {n}" for n in range(11, 31))
    assert fault.details[-1].endswith("exit code: 3")


def test_ctrl_c_leaves_no_build_behind(store: Store) -> None:
    nap = "31557.6"  # seconds, and what the process is known by
    recipe = store.write(
        "sleepy",
        f"# disk: 0.1 GB\nARG BASE=localhost/deployctl/base:x\nFROM ${{BASE}}\nRUN sleep {nap}\n",
    )

    class Interrupting(Said):
        def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
            if "RUN sleep" in text and sleeping(nap):
                os.kill(os.getpid(), signal.SIGINT)

    store.said = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        store.obtain(tiny(recipe=recipe), mode="build")
    deadline = time.monotonic() + 60
    while sleeping(nap) and time.monotonic() < deadline:
        threading.Event().wait(0.1)
    assert not sleeping(nap)


def sleeping(nap: str) -> bool:
    """Whether the step's process runs, as this machine sees it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", nap.encode()]:
                return True
        except OSError:
            continue
    return False
