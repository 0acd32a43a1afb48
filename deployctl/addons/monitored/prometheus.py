"""Prometheus as a service of the stack. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored import scrape
from deployctl.addons.monitored.exporters import RECIPE, VOLUME, asked_by_wget, need
from deployctl.addons.monitored.rules import rules_yaml
from deployctl.model import Image, Mount, Service, StackFile, Tmpfs, Variable
from deployctl.reach import LOOPBACK, url
from deployctl.services.common import NO_PROXIES, checked, generated, here, reach

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope
    from deployctl.profiles.schema import ProfileSpec

IMAGE = "docker.io/prom/prometheus:v3.15.0"

_MIB = 1024**2

NEED = need("Prometheus", 40, "after ten minutes, with the 840 series of a small stack")

#: The operator's own rules lie in this folder beside the stack's file.
OWN_RULES = "./rules"

#: The engine's key, from the environment into memory: no file of the stack's folder has it, and no
#: command line. Prometheus itself does not have it in its environment.
_START = (
    'umask 077 && printf %s "$ENGINE_KEY" >' + scrape.KEY_FILE + " && unset ENGINE_KEY && "
    'exec /bin/prometheus "$@"'
)

#: Samples that one question may touch, 16 bytes each: else one is enough to end it.
_MOST_SAMPLES = 5_000_000

#: So many questions at once, each with samples of its own; more wait their turn. The default, 20,
#: times the samples above would be more than its memory.
_MOST_QUESTIONS = 4


def prometheus(spec: ProfileSpec, scope: Scope) -> Service:
    """Prometheus, with what it watches and warns of."""
    hops, egress = reach(spec, "monitoring")
    chosen = spec.addons.monitoring
    return Service(
        name="prometheus",
        image=Image(service="prometheus", reference=IMAGE, recipe=RECIPE),
        entrypoint=("/bin/sh", "-c", _START, "prometheus"),
        command=_flags(spec),
        environment=(
            ("ENGINE_KEY", generated("DEPLOYCTL_ENGINE_KEY")),
            # Its collector of garbage starts in time, not at twice of what is in use.
            ("GOMEMLIMIT", str(chosen.memory * 9 // 10)),
            *NO_PROXIES,
            # Read by nobody: other rules of the operator's must give a new container.
            ("DEPLOYCTL_RULES", Variable(name="DEPLOYCTL_RULES", default="none")),
        ),
        ports=(here(chosen.port, scrape.PROMETHEUS, key="addons.monitoring.port"),),
        mounts=(
            Mount(kind="volume", source=VOLUME, target="/prometheus", read_only=False),
            Mount(kind="bind", source=OWN_RULES, target=scrape.OWN_RULES, read_only=True),
        ),
        files=(
            StackFile(
                name="prometheus.yaml", target=scrape.CONFIG, text=scrape.prometheus_yaml(scope)
            ),
            StackFile(name="rules.yaml", target=scrape.RULES, text=rules_yaml(scope)),
        ),
        tmpfs=(Tmpfs(target="/tmp", size_bytes=4 * _MIB),),  # noqa: S108  # in the container
        memory_bytes=chosen.memory,
        memory_key="addons.monitoring.memory",
        need=NEED,
        hops=hops,
        egress=egress,
        # After a crash it reads its log of the last hours again before it is ready.
        healthcheck=checked(asked_by_wget(scrape.PROMETHEUS, "/-/ready"), start_s=300),
        stop_grace_s=30,
    )


def _flags(spec: ProfileSpec) -> tuple[str, ...]:
    chosen = spec.addons.monitoring
    return (
        f"--config.file={scrape.CONFIG}",
        "--storage.tsdb.path=/prometheus",
        f"--storage.tsdb.retention.time={chosen.retention}s",
        f"--storage.tsdb.retention.size={chosen.retention_size}B",
        f"--query.max-samples={_MOST_SAMPLES}",
        f"--query.max-concurrency={_MOST_QUESTIONS}",
        f"--web.listen-address=0.0.0.0:{scrape.PROMETHEUS}",
        f"--web.external-url={url(LOOPBACK, chosen.port)}/",
        # The default lets every page that is open in a browser of this machine read all figures.
        "--web.cors.origin=nobody",
    )
