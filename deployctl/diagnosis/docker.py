"""What Docker says when it refuses to start a container. Pure.

Seen with Docker 26.1 and Compose 2.26: ports, addresses, mounts, devices, networks, limits, images,
platforms, no toolkit, no daemon. Known from reports of others: drivers that are too old, a full
disk, mounts denied by Docker Desktop, exhausted address pools, control groups.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import (
    look,
    more_memory,
    older_needs,
    recommend,
    same,
    setup,
)
from deployctl.diagnosis.signs import BROAD, Found, Sign, pattern
from deployctl.errors import DOCKER_PROBLEMS


def _next_port(found: Found) -> str:
    """The same with another port, for the service that wants this one."""
    number = int(_port(found) or 0)
    key = _key_of(found, number)
    plan = found.way.plan
    taken = {p.host_port for s in plan.services for p in s.ports} if plan is not None else set()
    free = number + 1
    while free in taken or free > 65535:
        free = 1025 if free > 65535 else free + 1
    return found.way.with_set((key, str(free)))


def _key_of(found: Found, number: int) -> str:
    for service in found.way.plan.services if found.way.plan is not None else ():
        if any(port.host_port == number for port in service.ports):
            return f"ports.{service.name}"
    return "ports.engine" if found.evidence.service == "engine" else "ports.webui"


def _port(found: Found) -> str:
    at = found.word("at") or found.word("also") or found.word("desktop")
    return at.rpartition(":")[2][:5]


def _port_said(found: Found) -> str:
    return f"Port {_port(found)} is held by something else by now."


def _network(found: Found) -> str:
    again = found.way.same()
    return f"docker network prune && {again}" if found.words.get("full") else again


def _fewer_cpus(found: Found) -> str:
    return found.way.with_set(("engine.cpus", found.word("most").partition(".")[0] or "1"))


SIGNS = (
    Sign(
        code="docker-unreachable",
        about="docker",
        pattern=pattern(r"Cannot connect to the Docker daemon|error during connect:"),
        seen="Cannot connect to the Docker daemon …",
        cause=DOCKER_PROBLEMS["docker-unreachable"],
        way_out="`deployctl setup` starts it",
        remedy=lambda _found: "deployctl setup",
        sample="Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
        "daemon running?",
    ),
    Sign(
        code="docker-denied",
        about="docker",
        pattern=pattern(r"permission denied while trying to connect to the Docker daemon"),
        seen="permission denied while trying to connect to the Docker daemon socket",
        cause=DOCKER_PROBLEMS["docker-denied"],
        way_out="`sudo usermod -aG docker $USER`, and sign in again",
        remedy=lambda _found: "sudo usermod -aG docker $USER  # then sign in again",
        sample="permission denied while trying to connect to the Docker daemon socket at "
        "unix:///var/run/docker.sock",
    ),
    Sign(
        code="start-port-taken",
        about="docker",
        pattern=pattern(
            r"Bind for (?P<at>\S+:\d+) failed: port is already allocated"
            r"|listen tcp[46]? (?P<also>\S+:\d+): bind: address already in use"
            r"|[Pp]orts are not available: .*?(?P<desktop>\S+:\d+)"
        ),
        seen="port is already allocated · bind: address already in use",
        cause="Something else took the port since it was looked at.",
        way_out="`--set ports.webui=` or `--set ports.engine=` another port",
        remedy=_next_port,
        sample="Error response from daemon: driver failed programming external connectivity on "
        "endpoint s-webui-1 (4b7a): Bind for 127.0.0.1:7860 failed: port is already allocated",
        message=_port_said,
    ),
    Sign(
        code="address-missing",
        about="docker",
        pattern=pattern(r"listen tcp[46]? (?P<at>\S+:\d+): bind: cannot assign requested address"),
        seen="bind: cannot assign requested address",
        cause="`ports.address` is not an address of this machine any more.",
        way_out="`--set ports.address=` one that `hostname -I` names",
        remedy=lambda found: f"hostname -I  # write one of them into: {found.way.same()}",
        sample="Error response from daemon: driver failed programming external connectivity on "
        "endpoint s-webui-1 (4279): Error starting userland proxy: listen tcp4 203.0.113.9:7860: "
        "bind: cannot assign requested address",
    ),
    Sign(
        code="start-gpu-driver-old",
        about="docker",
        pattern=pattern(
            r"nvidia-container-cli: requirement error: (?:unsatisfied condition: (?P<needs>[^,]+))?"
        ),
        seen="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0",
        cause="The card's driver is older than the CUDA that the image was made with.",
        way_out="a newer driver, or a profile with an older CUDA: `deployctl recommend`",
        remedy=older_needs,
        sample="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please "
        "update your driver to a newer version, or use an earlier cuda container: unknown",
        message=lambda found: (
            "The card's driver is older than the image needs"
            + (f" ({found.word('needs')})." if found.word("needs") else ".")
        ),
    ),
    Sign(
        code="start-gpu-toolkit-missing",
        about="docker",
        pattern=pattern(
            r"could not select device driver|unknown or invalid runtime name: nvidia"
            r"|nvidia-container-runtime-hook.*not found|unresolvable CDI devices"
            r"|CDI device injection failed"
        ),
        seen='could not select device driver "nvidia" with capabilities: [[gpu]]',
        cause="Docker cannot hand a card to a container: the NVIDIA Container Toolkit is missing, "
        "or Docker does not know of it.",
        way_out="`deployctl setup` says how to get it",
        remedy=setup,
        sample='Error response from daemon: could not select device driver "nvidia" with '
        "capabilities: [[gpu]]",
    ),
    Sign(
        code="start-device-missing",
        about="docker",
        pattern=pattern(
            r'error gathering device information while adding custom device "(?P<device>[^"]*)"'
            r"|nvidia-container-cli: .*?(?:unknown device|no devices? found|driver not loaded)"
            r"|nvml error: driver not loaded|nvidia-smi has failed"
        ),
        seen="error gathering device information while adding custom device …",
        cause="A device that the stack asks for is not on this machine.",
        way_out="a profile that this machine can run: `deployctl recommend`",
        remedy=recommend,
        sample="Error response from daemon: error gathering device information while adding custom "
        'device "/dev/dri": no such file or directory',
    ),
    Sign(
        code="start-mount-denied",
        about="docker",
        pattern=pattern(
            r"bind source path does not exist: (?P<path>\S+)|[Mm]ounts denied"
            r"|error while creating mount source path '(?P<made>[^']*)'"
            r'|error mounting "(?P<over>[^"]*)" to rootfs|is not shared from the host'
        ),
        seen="bind source path does not exist · mounts denied · error mounting … to rootfs",
        cause="Docker cannot mount a file of this machine, the model's above all: it is gone, of "
        "another kind, or not shared with Docker.",
        way_out="the same `up` fetches a model file that is gone; Docker Desktop must share its "
        "folder",
        remedy=same,
        sample='Error response from daemon: invalid mount config for type "bind": bind source path '
        "does not exist: /srv/models/m.gguf",
    ),
    Sign(
        code="start-no-space",
        about="docker",
        pattern=pattern(r"no space left on device|[Dd]isk quota exceeded"),
        seen="no space left on device",
        cause="Docker has no room left on its disk.",
        way_out="`docker system df` says what is on it; `docker image prune` frees unused images",
        remedy=lambda found: (
            f"docker system df  # what to delete: docker image prune; then: {found.way.same()}"
        ),
        sample="Error response from daemon: write /var/lib/docker/overlay2/x: no space left on "
        "device",
    ),
    Sign(
        code="start-platform",
        about="docker",
        pattern=pattern(
            r"does not match the specified platform|[Ee]xec format error|no matching manifest for"
        ),
        seen="exec format error · no matching manifest · does not match the specified platform",
        cause="The image is made for another processor architecture.",
        way_out="a profile that this machine can run: `deployctl recommend`",
        remedy=recommend,
        sample="exec /app/llama-server: exec format error",
    ),
    Sign(
        code="start-network-failed",
        about="docker",
        pattern=pattern(
            r"network \S+ not found|(?P<full>could not find an available, non-overlapping IPv4 "
            r"address pool|all predefined address pools have been fully|Pool overlaps with other)"
            r"|failed to create network|iptables(?: failed|: No chain)|network sandbox"
        ),
        seen="network … not found · … address pools have been fully subnetted · iptables failed",
        cause="Docker cannot make a network of the stack, or one was removed beneath it.",
        way_out="the same `up` makes it anew; `docker network prune` removes those nobody uses",
        remedy=_network,
        sample="failed to create network s_inside: Error response from daemon: all predefined "
        "address pools have been fully subnetted",
    ),
    Sign(
        code="image-missing",
        about="docker",
        pattern=pattern(r"No such image: (?P<image>\S+)|pull access denied for (?P<also>[^,\s]+)"),
        seen="No such image: …",
        cause="An image was removed since it was looked at, or its registry does not give it.",
        way_out="the same `up` gets it again",
        remedy=same,
        sample="Error response from daemon: No such image: localhost/deployctl/llama-cpp:1",
    ),
    Sign(
        code="cpus-too-many",
        about="docker",
        pattern=pattern(r"Range of CPUs is from 0\.01 to (?P<most>[\d.]+)"),
        seen="Range of CPUs is from 0.01 to …",
        cause="`engine.cpus` is more than this machine has.",
        way_out="`--set engine.cpus=` what it has",
        remedy=_fewer_cpus,
        sample="Error response from daemon: Range of CPUs is from 0.01 to 2.00, as there are only "
        "2 CPUs available",
        message="`engine.cpus` is more than this machine's {most}.",
    ),
    Sign(
        code="compose-failed",
        about="docker",
        pattern=pattern(
            r"Minimum memory limit allowed is (?P<least>\S+)|unable to apply cgroup configuration"
            r"|memory\.max: (?:device or resource busy|invalid)"
            r"|container init was OOM-killed \(memory limit too low\?\)"
        ),
        seen="Minimum memory limit allowed is … · container init was OOM-killed",
        cause="The memory limit is too low for a container to begin at all.",
        way_out="`--set engine.memory=` more",
        remedy=more_memory,
        sample="Error response from daemon: Minimum memory limit allowed is 6MB",
    ),
    Sign(
        code="compose-failed",
        about="docker",
        pattern=pattern(
            r"cgroups?: (?:cgroup mountpoint does not exist|cannot|controller)|no such cgroup"
            r"|openat2 /sys/fs/cgroup"
        ),
        seen="cgroups: cgroup mountpoint does not exist",
        cause="The kernel's control groups, by which Docker limits containers, do not work here.",
        way_out="restart Docker: `sudo systemctl restart docker`",
        remedy=lambda found: f"sudo systemctl restart docker && {found.way.same()}",
        sample="Error response from daemon: cgroups: cgroup mountpoint does not exist: unknown",
    ),
    Sign(
        code="compose-failed",
        about="docker",
        pattern=pattern(
            r"unable to find (?:user|group) (?P<who>\S+): no matching entries"
            r'|exec: "(?P<program>[^"]*)": (?:stat|executable file|permission denied|no such)'
        ),
        seen='exec: "…": executable file not found · unable to find user …',
        cause="The image lacks the program or the user that the container is to start with: "
        "another image, or `compose.override.yaml`, asks for it.",
        way_out="the profile's own image; look what `compose.override.yaml` asks for",
        remedy=lambda found: (
            found.way.without_set("engine.image") if found.way.sets("engine.image") else look(found)
        ),
        sample="OCI runtime create failed: runc create failed: unable to start container process: "
        'exec: "/app/llama-server": stat /app/llama-server: no such file or directory: unknown',
        rank=BROAD,
    ),
)

#: What is said in the container's own log instead: its program cannot even begin.
IN_LOGS = tuple(sign for sign in SIGNS if sign.code == "start-platform")
