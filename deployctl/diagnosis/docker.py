"""What Docker says when it refuses to start a container. Pure.

Seen with Docker 26.1 and Compose 2.26: ports, addresses, mounts, devices, networks, limits, images,
platforms, no daemon. Known from reports of others: the words of Docker 28 and 29 about ports and
about a daemon that is not reached, a full disk, mounts denied by Docker Desktop, exhausted address
pools, control groups.
"""

from __future__ import annotations

from deployctl.diagnosis import docker_cards, docker_ports
from deployctl.diagnosis.remedies import (
    HOME,
    more_memory,
    recommend,
    same,
)
from deployctl.diagnosis.signs import BROAD, Found, Sign, pattern
from deployctl.errors import DOCKER_PROBLEMS


def _network(found: Found) -> str:
    again = found.way.same()
    return f"docker network prune && {again}" if found.words.get("full") else again


def _fewer_cpus(found: Found) -> str:
    return found.way.with_set(("engine.cpus", found.word("most").partition(".")[0] or "1"))


def _own_program(found: Found) -> str:
    """The profile's own image, where another was named; else what the override asks for."""
    way = found.way
    if way.sets("engine.image"):
        return way.without_set("engine.image")
    asked = "-e image -e entrypoint -e command -e user"
    return (
        f"grep -n {asked} {HOME}/stacks/{way.stack}/compose.override.yaml"
        f"  # correct it; then: {way.same()}"
    )


SIGNS = (
    Sign(
        code="start-docker-lost",
        about="docker",
        pattern=pattern(
            r"Cannot connect to the Docker daemon|error during connect:"
            r"|failed to connect to the docker API at (?!.*permission denied)"
        ),
        seen="Cannot connect to the Docker daemon · failed to connect to the docker API",
        cause=DOCKER_PROBLEMS["docker-unreachable"],
        way_out="`deployctl setup` starts it",
        remedy=lambda _found: "deployctl setup",
        sample="Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "
        "daemon running?",
    ),
    Sign(
        code="docker-denied",
        about="docker",
        pattern=pattern(
            r"permission denied while trying to connect to the (?:Docker daemon|docker API)"
            r"|failed to connect to the docker API at .*permission denied"
        ),
        seen="permission denied while trying to connect to the Docker daemon · the docker API",
        cause=DOCKER_PROBLEMS["docker-denied"],
        way_out="`sudo usermod -aG docker $USER`, and sign in again",
        remedy=lambda _found: "sudo usermod -aG docker $USER  # then sign in again",
        sample="permission denied while trying to connect to the Docker daemon socket at "
        "unix:///var/run/docker.sock",
    ),
    *docker_ports.SIGNS,
    *docker_cards.SIGNS,
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
        code="start-cpus-too-many",
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
            r'|exec: "(?P<program>(?!docker-credential-)[^"]*)": '
            r"(?:stat|executable file|permission denied|no such)"
        ),
        seen='exec: "…": executable file not found · unable to find user …',
        cause="The image lacks the program or the user that the container is to start with: "
        "another image, or `compose.override.yaml`, asks for it.",
        way_out="the profile's own image; look what `compose.override.yaml` asks for",
        remedy=_own_program,
        sample="OCI runtime create failed: runc create failed: unable to start container process: "
        'exec: "/app/llama-server": stat /app/llama-server: no such file or directory: unknown',
        rank=BROAD,
    ),
)

#: What is said in the container's own log instead: its program cannot even begin.
IN_LOGS = tuple(sign for sign in SIGNS if sign.code == "start-platform")
