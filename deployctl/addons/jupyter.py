"""Jupyter: notebooks in the stack, set up for its engine. Pure.

Its image is built from packages. The official base image has no OpenAI client, and installing one
at every start needs the way out that no container of a stack has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from deployctl.addons.nouns import Addon, Page
from deployctl.engines import engine
from deployctl.model import Image, Mount, Service, StackFile, Text, Tmpfs
from deployctl.profiles.block import Block
from deployctl.profiles.values import PortNumber, Size
from deployctl.services.common import NO_PROXIES, asked_by_python, checked, generated, here, reach
from deployctl.sizing import Part

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

PORT = 8888
VOLUME = "jupyter-data"

#: Where the volume lies. The server, its notebooks and its terminals begin here.
WORK = "/home/jovyan/work"

#: JupyterLab's version is the image's.
IMAGE = "localhost/deployctl/jupyter:4.6.6"

#: The notebook that the image's start script copies to the volume where there is none.
STARTER = "start.ipynb"

#: As Docker counts it: 68 MiB after the start, 75 with its page open, 110 with a notebook open, 135
#: when that one has asked the model; some 60 for each further one, 90 with matplotlib and pandas.
NEED = Part(
    place="ram",
    name="Jupyter",
    bytes=110 * 1024**2,
    basis="measured",
    why="JupyterLab and one open notebook",
)


class JupyterSpec(Block):
    """Notebooks with an OpenAI client that is set up for the engine."""

    enabled: bool = Field(default=False, description="Whether it runs.", examples=[True])
    port: PortNumber = Field(default=8888, description="Its port on this machine.", examples=[8888])
    memory: Size = Field(
        default="1GiB",
        validate_default=True,
        description="Memory that it and all its notebooks may use.",
        examples=["1GiB"],
    )
    code_interpreter: bool = Field(
        default=False,
        description="Whether the chat window runs code here that people and models write.",
        examples=[False],
    )


def _services(spec: ProfileSpec) -> tuple[Service, ...]:
    own = spec.addons.jupyter
    hops, egress = reach(spec, "jupyter")
    return (
        Service(
            name="jupyter",
            image=Image(service="jupyter", reference=IMAGE, recipe="jupyter"),
            environment=_environment(spec),
            ports=(here(own.port, PORT, key="addons.jupyter.port"),),
            mounts=(Mount(kind="volume", source=VOLUME, target=WORK, read_only=False),),
            files=(
                StackFile(
                    name=f"jupyter-{STARTER}",
                    target=f"/opt/jupyter/{STARTER}",
                    template=f"jupyter/{STARTER}",
                ),
            ),
            # What the server and the kernels write beside notebooks: HOME is here.
            tmpfs=(Tmpfs(target="/tmp", size_bytes=256 * 1024**2),),  # noqa: S108  # in the container
            memory_bytes=own.memory,
            memory_key="addons.jupyter.memory",
            need=NEED,
            hops=hops,
            egress=egress,
            healthcheck=checked(asked_by_python(f"http://127.0.0.1:{PORT}/api"), start_s=120),
            stop_grace_s=10,
        ),
    )


def _environment(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    return (
        # The client library reads the first two by itself, the starter notebook all of them. The
        # engine is asked, not the response cache: a notebook that measures must not be told what
        # was measured before.
        ("OPENAI_BASE_URL", f"http://engine:{engine(spec.engine.kind).PORT}/v1"),
        ("OPENAI_API_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
        ("OPENAI_MODEL", spec.model.served_name),
        ("OPENAI_MAX_TOKENS", str(spec.model.max_tokens)),
        ("JUPYTER_TOKEN", generated("DEPLOYCTL_JUPYTER_TOKEN")),
        ("HOME", "/tmp"),  # noqa: S108  # inside the container
        *NO_PROXIES,
    )


def _pages(spec: ProfileSpec) -> tuple[Page, ...]:
    return (
        Page(
            label="Jupyter",
            port=spec.addons.jupyter.port,
            path=f"/lab/tree/{STARTER}",
            # By another name than the chat window's: its cookie goes to every port of its host,
            # and what runs in a notebook is the same user as the server that gets it.
            host="localhost",
            secret="jupyter_token",  # noqa: S106  # its name
        ),
    )


def _frontend(spec: ProfileSpec) -> tuple[tuple[str, Text], ...]:
    """What has the chat window run code here: what a person starts, and what a model does.

    Open WebUI 0.12.4 has a setting for each, and takes what the second leaves out from the first
    (config.py). Left alone, it runs Python in the browser of who asks.
    """
    if not spec.addons.jupyter.code_interpreter:
        return ()
    return tuple(
        pair
        for which in ("CODE_EXECUTION", "CODE_INTERPRETER")
        for pair in (
            (f"{which}_ENGINE", "jupyter"),
            (f"{which}_JUPYTER_URL", f"http://jupyter:{PORT}"),
            (f"{which}_JUPYTER_AUTH", "token"),
            (f"{which}_JUPYTER_AUTH_TOKEN", generated("DEPLOYCTL_JUPYTER_TOKEN")),
        )
    )


ADDON: Addon = Addon(
    name="jupyter",
    title="Jupyter",
    services=_services,
    pages=_pages,
    secrets=("jupyter_token",),
    frontend=_frontend,
)
