"""What Prometheus asks besides the engine: machine, containers, probes, card. Pure.

None of them is published, none has a way out, none has Docker's socket: who may ask it is root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored import scrape
from deployctl.addons.monitored.scope import with_card
from deployctl.addons.monitored.scrape import blackbox_yaml
from deployctl.model import Image, Mount, Service, StackFile, Tmpfs
from deployctl.services.common import NO_PROXIES, asked_by_python, checked, reach
from deployctl.sizing import Part

if TYPE_CHECKING:
    from deployctl.model import Text
    from deployctl.profiles.schema import ProfileSpec

_MIB = 1024**2

#: All that packages can replace come from one recipe, laid out as their makers' images are.
RECIPE = "monitoring"
_NODE = "quay.io/prometheus/node-exporter:v1.9.1"
_BLACKBOX = "quay.io/prometheus/blackbox-exporter:v0.27.0"
_PYTHON = "docker.io/library/python:3.13-slim-bookworm"
GPU_IMAGE = "docker.io/utkuozdemir/nvidia_gpu_exporter:1.9.1"
_GPU_PROGRAM = "/usr/bin/nvidia_gpu_exporter"

#: Where the two disks show in the node exporter, and what it passes over: all that is no place.
VOLUME = "prometheus-data"
_DOCKERS, _STATE = "/place/docker", "/place/state"
_NO_PLACES = "^/($|[^p]|proc)"

#: A folder beside the stack's own file; after each start the ids of its containers are there.
EXPORTED = "./exported"


def asked_by_wget(port: int, path: str = "/") -> tuple[str, ...]:
    """A healthcheck for images made of busybox, as Prometheus' own are.

    Docker ends it in time: Debian's busybox (1.35) crashes when wget is given a timeout (-T).
    """
    url = f"http://127.0.0.1:{port}{path}"
    return ("wget", "-q", "-Y", "off", "-O", "/dev/null", url)


def need(name: str, mib: int, why: str) -> Part:
    """What a service of monitoring takes of the memory."""
    return Part(place="ram", name=name, bytes=mib * _MIB, basis="measured", why=why)


def exporters(spec: ProfileSpec) -> tuple[Service, ...]:
    """Those that a profile's stack has."""
    hops, egress = reach(spec, "monitoring")
    made = (_node(hops, egress), _containers(hops, egress), _blackbox(hops, egress))
    return (*made, _gpu(hops, egress)) if with_card(spec) else made


def _exporter(
    name: str,
    image: Image,
    argv: tuple[str, ...],
    *,
    check: tuple[str, ...],
    takes: Part,
    reaches: tuple[int, bool],
    memory: int = 64 * _MIB,
    environment: tuple[tuple[str, Text], ...] = (),
    mounts: tuple[Mount, ...] = (),
    files: tuple[StackFile, ...] = (),
    gpu: bool = False,
) -> Service:
    """What they have in common: small, nothing published, nothing written but a little memory."""
    hops, egress = reaches
    return Service(
        name=name,
        image=image,
        entrypoint=argv[:1],
        command=argv[1:],
        environment=(*environment, *NO_PROXIES),
        mounts=mounts,
        files=files,
        tmpfs=(Tmpfs(target="/tmp", size_bytes=4 * _MIB),),  # noqa: S108  # in the container
        memory_bytes=memory,
        need=takes,
        gpu=gpu,
        hops=hops,
        egress=egress,
        healthcheck=checked(check, start_s=60),
        stop_grace_s=5,
    )


def _node(hops: int, egress: bool) -> Service:  # noqa: FBT001  # as `reach` gives them
    """The machine's processors, memory and two disks.

    Nothing of the host is mounted for the first two: a container's own /proc counts the whole
    machine. Of a disk only how full it is matters, and any folder on it tells that: a volume that
    lies where Docker keeps everything, and a folder of the stack's own.
    """
    return _exporter(
        "node-exporter",
        Image(service="node-exporter", reference=_NODE, recipe=RECIPE),
        (
            "/bin/node_exporter",
            f"--web.listen-address=0.0.0.0:{scrape.NODE}",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in ("cpu", "meminfo", "loadavg", "vmstat")),
            "--collector.filesystem",
            f"--collector.filesystem.mount-points-exclude={_NO_PLACES}",
            "--collector.filesystem.fs-types-exclude=^$",  # whatever Docker's disk is
        ),
        check=asked_by_wget(scrape.NODE),
        takes=need("node exporter", 8, "after ten minutes"),
        reaches=(hops, egress),
        mounts=(
            Mount(kind="volume", source=VOLUME, target=_DOCKERS, read_only=True),
            Mount(kind="bind", source=EXPORTED, target=_STATE, read_only=True),
        ),
    )


def _containers(hops: int, egress: bool) -> Service:  # noqa: FBT001  # as `reach` gives them
    """What the stack's containers take, from the kernel's own accounts of them."""
    return _exporter(
        "containers",
        Image(service="containers", reference=_PYTHON, recipe=RECIPE),
        ("python3", "-B", "-u", "/opt/deployctl/containers.py"),
        check=asked_by_python(f"http://127.0.0.1:{scrape.CONTAINERS}/metrics"),
        takes=need("container exporter", 11, "after ten minutes"),
        reaches=(hops, egress),
        mounts=(
            Mount(kind="bind", source="/sys/fs/cgroup", target="/host/cgroup", read_only=True),
            Mount(kind="bind", source=EXPORTED, target="/exported", read_only=True),
        ),
        files=(
            StackFile(
                name="containers.py",
                target="/opt/deployctl/containers.py",
                template="monitoring/containers.py",
            ),
        ),
    )


def _blackbox(hops: int, egress: bool) -> Service:  # noqa: FBT001  # as `reach` gives them
    """Asks the stack's pages from inside, as its users ask them."""
    config = "/etc/prometheus/blackbox.yaml"
    return _exporter(
        "blackbox",
        Image(service="blackbox", reference=_BLACKBOX, recipe=RECIPE),
        (
            "/bin/blackbox_exporter",
            f"--config.file={config}",
            f"--web.listen-address=0.0.0.0:{scrape.BLACKBOX}",
        ),
        check=asked_by_wget(scrape.BLACKBOX, "/-/healthy"),
        takes=need("probes", 10, "after ten minutes"),
        reaches=(hops, egress),
        files=(StackFile(name="blackbox.yaml", target=config, text=blackbox_yaml()),),
    )


def _gpu(hops: int, egress: bool) -> Service:  # noqa: FBT001  # as `reach` gives them
    """Asks the card's driver.

    Its image has no shell, and nvidia-smi comes with the card: where that was not put into the
    container, a check by it would end `up`. So Docker's check only says that the program can be
    run (--version: claimed); alerts say whether the card answers (GPULost) and whether the exporter
    does (TargetDown). Any user may ask (nvidia_gpu_exporter 1.9, INSTALL.md).
    """
    return _exporter(
        "gpu-exporter",
        Image(service="gpu-exporter", reference=GPU_IMAGE, recipe=None),
        (_GPU_PROGRAM, f"--web.listen-address=:{scrape.GPU}"),
        check=(_GPU_PROGRAM, "--version"),
        takes=Part(
            place="ram",
            name="card exporter",
            bytes=32 * _MIB,
            basis="claimed",
            why="never run here; it starts nvidia-smi each time",
        ),
        reaches=(hops, egress),
        memory=128 * _MIB,
        environment=(("NVIDIA_DRIVER_CAPABILITIES", "utility"),),
        gpu=True,
    )
