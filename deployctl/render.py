"""Plan + templates → Bundle: the files of a stack, in memory.

Decides nothing: every value comes from the plan, every shape from ``templates/``, all quoting from
``yamlsafe``. After rendering, the text is parsed again and compared with the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deployctl import yamlsafe
from deployctl.libyaml import LOADER
from deployctl.model import (
    Bundle,
    BundleFile,
    CardAccess,
    Mount,
    Plan,
    Port,
    Service,
    StackFile,
    Text,
    Tmpfs,
    Variable,
)
from deployctl.reach import authority
from deployctl.services.common import ADDON_LABEL, FILES_LABEL

#: uid:gid of every container: no such user on the host, so nothing on the host is its own.
CONTAINER_USER = "10001:10001"

#: How many hops packets of a container survive. One, with the masquerade switched off, makes "no
#: egress" fail at once instead of after a minute of SYN retries. Replies to the host's own port
#: proxy and between the containers cross no hop; a neighbour's reply crosses one.
HOP_LIMIT = "net.ipv4.ip_default_ttl"

#: What Docker is asked for, by the way to the card. One card: which one is for the driver to say,
#: since a stack is made for a machine with one. By CDI there is no name for it that every machine
#: has but all of them; the engine's environment holds it to the first. `devices:` would take that
#: name too, but an older Compose reads a file's path there.
_RESERVED: Mapping[CardAccess, tuple[Mapping[str, Any], ...]] = {
    "reservation": ({"driver": "nvidia", "count": 1, "capabilities": ("gpu",)},),
    "cdi": ({"driver": "cdi", "device_ids": ("nvidia.com/gpu=all",), "capabilities": ("gpu",)},),
    "runtime": (),
}

#: Names outside the stack resolve nowhere: Docker's resolver is sent to the container's own,
#: closed port 53, never to the host's resolver.
DNS = ("127.0.0.1",)

_PIDS_LIMIT = 512


def render(plan: Plan, templates: Path) -> Bundle:
    """Render ``plan`` with the templates of a folder.

    Raises ``ValueError`` when the text does not say what the plan says (a bug of ours).
    """
    environment = yamlsafe.environment(templates)
    made = {
        file.name: _file(file, templates) for service in plan.services for file in service.files
    }
    beside = tuple(made.values())
    text = environment.get_template("compose.yaml.j2").render(
        services=[_service(service, made) for service in plan.services],
        volumes=plan.volumes,
        user=CONTAINER_USER,
        dns=DNS,
        egress=any(service.egress for service in plan.services),
        pids_limit=_PIDS_LIMIT,
    )
    _compare(plan, text)
    files = (BundleFile(name="compose.yaml", text=text), *beside)
    return Bundle(files=files, digest=_digest(files))


def _file(file: StackFile, templates: Path) -> BundleFile:
    """A file that a service mounts, as it is written beside the stack's own."""
    if file.text is not None:
        text = file.text
    elif file.template.endswith(".j2"):
        text = yamlsafe.plain(templates).get_template(file.template).render(dict(file.values))
    else:
        text = (templates / file.template).read_text(encoding="utf-8")
    return BundleFile(name=file.name, text=text)


def folders(plan: Plan, bundle: Bundle | None = None) -> tuple[str, ...]:
    """The folders beside the stack's file that its services mount, by name.

    With ``bundle`` those alone that are none of its files: a plan that an older deployctl wrote
    down has these among the mounts.
    """
    files = () if bundle is None else tuple(file.name for file in bundle.files)
    sources = (
        mount.source.removeprefix("./")
        for service in plan.services
        for mount in service.mounts
        if mount.kind == "bind" and isinstance(mount.source, str) and mount.source[0] == "."
    )
    return tuple(dict.fromkeys(name for name in sources if name not in files))


def image_variable(service: Service) -> Variable:
    """The variable that carries the image a service really runs; its default is the registry's."""
    return Variable(
        name=f"DEPLOYCTL_IMAGE_{service.name.upper().replace('-', '_')}",
        default=service.image.reference,
    )


def variables_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Every variable the rendered stack leaves open, with its default ('' when it has none)."""
    found: dict[str, str] = {}
    for service in plan.services:
        words = (*service.entrypoint, *service.command)
        texts: tuple[Text, ...] = (image_variable(service), *words, *service.groups)
        texts += tuple(value for _, value in service.environment)
        for text in (*texts, *(mount.source for mount in service.mounts)):
            if isinstance(text, Variable):
                found[text.name] = text.default or ""
    return tuple(found.items())


def _service(service: Service, made: Mapping[str, BundleFile]) -> dict[str, Any]:
    check = service.healthcheck
    return {
        "name": service.name,
        "image": image_variable(service),
        "entrypoint": service.entrypoint,
        "labels": _labels(service, made),
        "command": service.command,
        "environment": service.environment,
        "groups": service.groups,
        "egress": service.egress,
        "sysctls": ((HOP_LIMIT, str(service.hops)),),
        "ports": [_port(port) for port in service.ports],
        "devices": service.devices,
        "runtime": _runtime(service),
        "gpus": _RESERVED[service.gpu_access] if service.gpu else (),
        "mounts": [_mount(mount) for mount in (*service.mounts, *map(_of_file, service.files))],
        "tmpfs": [_tmpfs(tmpfs) for tmpfs in service.tmpfs],
        "memory_bytes": service.memory_bytes,
        "shm_bytes": service.shm_bytes,
        "cpus": None if service.cpus is None else f"{service.cpus:g}",
        "stop_grace": f"{service.stop_grace_s}s",
        "healthcheck": {
            "test": ("CMD", *check.test),
            "interval": f"{check.interval_s}s",
            "timeout": f"{check.timeout_s}s",
            "retries": check.retries,
            "start_period": f"{check.start_period_s}s",
            "start_interval": f"{check.start_interval_s}s",
        },
    }


def _runtime(service: Service) -> str | None:
    return "nvidia" if service.gpu and service.gpu_access == "runtime" else None


def _port(port: Port) -> str:
    return f"{authority(port.address, port.host_port)}:{port.container_port}"


def _tmpfs(tmpfs: Tmpfs) -> str:
    """Docker forbids executing from it unless it is told otherwise."""
    rights = ",exec" if tmpfs.executable else ""
    return f"{tmpfs.target}:size={tmpfs.size_bytes},mode=1777{rights}"


def _of_file(file: StackFile) -> Mount:
    return Mount(kind="bind", source=f"./{file.name}", target=file.target, read_only=True)


def _labels(service: Service, made: Mapping[str, BundleFile]) -> tuple[tuple[str, str], ...]:
    """What it belongs to; and what makes a new container where only one of its files changes."""
    found = [] if service.addon is None else [(ADDON_LABEL, service.addon)]
    if service.files:
        found.append((FILES_LABEL, _digest(tuple(made[file.name] for file in service.files))[:16]))
    return tuple(found)


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "type": mount.kind,
        "source": mount.source,
        "target": mount.target,
        "read_only": mount.read_only,
    }


def _digest(files: tuple[BundleFile, ...]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\0{file.mode:o}\0{file.text}\0".encode())
    return whole.hexdigest()


def _compare(plan: Plan, text: str) -> None:
    """Read the rendered text back and hold it against the plan."""
    read = yaml.load(text, Loader=LOADER)  # noqa: S506  # a safe one
    names = tuple(read["services"])
    if names != tuple(service.name for service in plan.services):
        raise ValueError(f"rendered services {names} are not the plan's")
    for service in plan.services:
        seen = read["services"][service.name]
        wanted = tuple(_plain(word) for word in service.command)
        command = tuple(_undollar(word) for word in seen.get("command", ()))
        environment = {name: _plain(value) for name, value in service.environment}
        rendered = {_undollar(k): _undollar(v) for k, v in seen["environment"].items()}
        if command != wanted or rendered != environment or not _has_its_card(service, seen):
            raise ValueError(f"rendered {service.name} does not say what the plan says")


def _has_its_card(service: Service, seen: Mapping[str, Any]) -> bool:
    """Whether the card is asked for as planned, and by no other way."""
    reserved = seen.get("deploy", {}).get("resources", {}).get("reservations", {})
    asked = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
        for entry in reserved.get("devices", ())
    ]
    gpus = _RESERVED[service.gpu_access] if service.gpu else ()
    return asked == list(gpus) and seen.get("runtime") == _runtime(service)


def _plain(value: Text) -> str:
    if isinstance(value, Variable):
        read = yaml.load(str(yamlsafe.node(value)), Loader=LOADER)  # noqa: S506
        return _undollar(str(read))
    return value


def _undollar(text: str) -> str:
    return text.replace("$$", "$")
