"""What every service of a stack is made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.model import Healthcheck, Mount, Port, Text, Variable
from deployctl.reach import LOOPBACK

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

#: For every service. Compose copies the proxies of the operator's ``~/.docker/config.json``, their
#: passwords too, into containers that say nothing of their own; these talk to one another, and
#: where the profile lets one reach out, it does so directly.
NO_PROXIES: tuple[tuple[str, Text], ...] = (
    *(
        (name, "")
        for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY")
        for name in (upper, upper.lower())
    ),
    ("NO_PROXY", "*"),
    ("no_proxy", "*"),
)

#: Of a service that mounts files of ours: what is in them.
FILES_LABEL = "io.github.deployctl.files"

#: Of a service of an add-on: which.
ADDON_LABEL = "io.github.deployctl.addon"

#: The volume with chats and accounts.
DATA_VOLUME = "webui-data"

#: The volume for what an engine compiles at its start. It is no data: it can always go.
CACHE_VOLUME = "engine-cache"

#: The first hop of a container's packet is this machine.
_TO_THIS_MACHINE, _TO_ITS_NEIGHBOURS = 1, 2


def asked_by_python(url: str) -> tuple[str, ...]:
    """A healthcheck for images that have Python and perhaps no curl; proxies are not asked."""
    check = f"u.build_opener(u.ProxyHandler({{}})).open('{url}',timeout=4)"
    return ("python3", "-c", f"import urllib.request as u;{check}")


def checked(test: tuple[str, ...], *, start_s: int) -> Healthcheck:
    """Docker's own check of a service that is up within seconds; ``start_s``: its patience."""
    return Healthcheck(
        test=test, interval_s=30, timeout_s=5, retries=3, start_period_s=start_s, start_interval_s=1
    )


def here(host_port: int, container_port: int, *, key: str) -> Port:
    """A port that this machine alone reaches; ``key`` is what says which in the profile."""
    return Port(address=LOOPBACK, host_port=host_port, container_port=container_port, key=key)


def weights_mount(name: str, target: str) -> Mount:
    """The model's file or folder, read-only; `up` says where it lies on this machine."""
    return Mount(
        kind="bind",
        source=Variable(name="DEPLOYCTL_MODEL", default=f"./models/{name}"),
        target=target,
        read_only=True,
    )


def recipe_for(reference: str, made_for: str, recipe: str) -> str | None:
    """The recipe of an image, if this is the image that the recipe builds a stand-in for.

    A mirror's name for it counts too: the last part of the path and the tag are the same.
    """
    same = reference.rpartition("/")[2] == made_for.rpartition("/")[2]
    return recipe if same else None


def generated(name: str) -> Variable:
    """A variable that ``up`` generates a value for; nothing starts without one."""
    return Variable(name=name, required=f"{name} is missing; deployctl up generates it")


def reach(spec: ProfileSpec, service: str) -> tuple[int, bool]:
    """(hops that a packet of the service survives, whether it may reach out).

    A service that may reach out has no such limit, and the number then means nothing. What is
    published to the neighbours needs a second hop: its answers have to get there.
    """
    is_frontend = service == "webui"
    out = spec.egress == "all" or (spec.egress == "frontend" and is_frontend)
    shared = spec.exposure == "lan" and is_frontend
    return _TO_ITS_NEIGHBOURS if shared else _TO_THIS_MACHINE, out
