"""Checks of monitoring: it sees everything, keeps what it sees, and its alerts work. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deployctl.prometheus import (
    LOG_LINES,
    SERVICE,
    Prometheus,
    alert_of,
    make_room,
    said_full,
    told_full,
)
from deployctl.verify.ask import dig, good, told
from deployctl.verify.nouns import Check, Seen, doubtful, failed, ok, skipped

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.secret import Secret
    from deployctl.verify.nouns import Subject

_PROMETHEUS, _GRAFANA = SERVICE, "grafana"

#: What Grafana was given (deployctl/addons/monitored); named here, so that no check has to be
#: imported with the dashboards.
_USER, SOURCE_UID = "admin", "deployctl-prometheus"
BOARD_UIDS = ("deployctl-engine", "deployctl-machine")

#: A look at everything happens within this many seconds of Prometheus' own start.
_FIRST_LOOKS_S, _LOOK_EVERY_S = 30.0, 1.0

#: By then it has looked again at everything, the engine too, which it asks every ten.
_NEXT_LOOKS_S = 15.0

#: One answer may take this long.
_PATIENCE_S = 10


def _published(subject: Subject, service: str) -> str:
    """``address:port`` of this machine at which one of them is asked."""
    found = subject.wanted.service(service)
    published = found.published if found is not None else ()
    if not published:
        raise LookupError(service)
    address, port = published[0]
    return f"{address}:{port}"


def _prometheus(subject: Subject) -> Prometheus:
    url = f"http://{_published(subject, _PROMETHEUS)}"
    return Prometheus(http=subject.ports.http, url=url, timeout_s=_PATIENCE_S)


def _grafana(
    subject: Subject, path: str, body: object = None, *, admin: Secret | None = None
) -> Reply:
    """Ask Grafana, as nobody or, by HTTP's basic scheme, as its user."""
    who = "" if admin is None else f"{_USER}:{quote(admin.reveal(), safe='')}@"
    url = f"http://{who}{_published(subject, _GRAFANA)}{path}"
    return subject.ports.http.call(url, body=body, timeout_s=_PATIENCE_S)


def _logs(subject: Subject, service: str) -> str:
    return f"deployctl logs {service} --stack {shlex.quote(subject.stack)}"


# ── Prometheus ────────────────────────────────────────────────────────────────────────────────


def ready(subject: Subject) -> Seen:
    """``monitoring-ready``: Prometheus has read its configuration and its data."""
    reply = _prometheus(subject).get("/-/ready")
    if good(reply):
        return ok("Prometheus is ready")
    return failed(f"Prometheus is not ready: {told(reply)}", _logs(subject, _PROMETHEUS))


def targets(subject: Subject) -> Seen:
    """``monitoring-targets``: everything that is looked at answers, and so do the pages probed."""
    return _after_next_looks(subject, _targets)


def _after_next_looks(subject: Subject, look: Callable[[Subject], Seen]) -> Seen:
    """What is seen, once it is well or Prometheus has looked again at everything.

    What it knows of a service that has just come back is of the time before.
    """
    until = subject.ports.clock.now() + _NEXT_LOOKS_S
    while (seen := look(subject)).status == "failed" and subject.ports.clock.now() < until:
        subject.ports.clock.sleep(_LOOK_EVERY_S)
    return seen


def _targets(subject: Subject) -> Seen:
    rows = _active(subject)
    silent = [_silent(row) for row in rows if dig(row, "health") != "up"]
    silent += [_UNSEEN] if _unseen(subject) else []
    silent += [
        f"{labels.get('service')}: its page does not answer the probe ({labels.get('instance')})"
        for labels, _ in _prometheus(subject).query("probe_success == 0") or ()
    ]
    if silent or not rows:
        return failed(
            _told_silent(silent, rows),
            _GROUPS if silent == [_UNSEEN] else _next(subject, rows),
            details=tuple(silent),
        )
    return ok(f"all {len(rows)} that are looked at answer")


def _told_silent(silent: list[str], rows: list[Any]) -> str:
    if not rows:
        return "Prometheus looks at nothing"
    if silent == [_UNSEEN]:
        return "the containers are not seen"
    return f"{len(silent)} of {len(rows)} that are looked at do not answer"


#: Where a daemon with a cgroup-parent of its own keeps them, containers.py may not find them.
_UNSEEN = "containers: containers listed, none running"
_GROUPS = "docker info --format '{{.CgroupDriver}}'  # and cgroup-parent in /etc/docker/daemon.json"


def _unseen(subject: Subject) -> bool:
    """Whether the stack's containers are known by name, and the kernel's account of none found."""
    expr = "(sum(container_running) == 0) and (max(containers_listed) > 0)"
    return bool(_prometheus(subject).query(expr))


def _active(subject: Subject) -> list[Any]:
    reply = _prometheus(subject).get("/api/v1/targets?state=active")
    return dig(reply.data, "data", "activeTargets") or []


def _silent(row: object) -> str:
    labels = dig(row, "labels") or {}
    name = labels.get("service") or labels.get("job")
    return f"{name}: {dig(row, 'lastError') or 'not looked at yet'}"


def _next(subject: Subject, rows: list[Any]) -> str:
    """The log of the first that is silent; of Prometheus itself where a page is."""
    for row in rows:
        name = dig(row, "labels", "service") or dig(row, "labels", "job")
        if dig(row, "health") != "up" and subject.container(str(name)) is not None:
            return _logs(subject, str(name))
    return _logs(subject, _PROMETHEUS)


def fresh(subject: Subject) -> Seen:
    """``monitoring-fresh``: what is seen is kept: the last figure is seconds old, none was lost."""
    return _fresh(subject) if _full(subject) else _after_next_looks(subject, _fresh)


def _fresh(subject: Subject) -> Seen:
    prometheus = _prometheus(subject)
    figures, lost = prometheus.figures(), prometheus.lost_writes()
    if figures is None:
        return failed("Prometheus answers no question", _logs(subject, _PROMETHEUS))
    if figures.fresh:
        return ok(figures.told)
    if not _full(subject):
        return failed(
            f"{figures.told}; {lost} could not be written",
            _logs(subject, _PROMETHEUS),
            where=_PROMETHEUS,
        )
    return failed(
        told_full(figures, f"{lost} writes failed"),
        make_room(subject.up),
        where=_PROMETHEUS,
        details=_full(subject)[-2:],
    )


def _full(subject: Subject) -> tuple[str, ...]:
    """What its log says of a full disk."""
    container = subject.container(_PROMETHEUS)
    if container is None:
        return ()
    return said_full(subject.ports.docker.log_tail(container.state.id, LOG_LINES))


def rules(subject: Subject) -> Seen:
    """``monitoring-alerts``: the alert rules are loaded, none of them fails, and what fires."""
    groups = dig(_prometheus(subject).get("/api/v1/rules").data, "data", "groups") or []
    loaded = [rule for group in groups for rule in dig(group, "rules") or []]
    wrong = [
        f"{dig(rule, 'name')}: {dig(rule, 'lastError')}"
        for rule in loaded
        if dig(rule, "health") == "err"
    ]
    alerts = [rule for rule in loaded if dig(rule, "type") == "alerting"]
    if wrong or not alerts:
        return failed(
            f"{len(wrong)} rules fail" if wrong else "there are no alert rules",
            _logs(subject, _PROMETHEUS),
            details=tuple(wrong),
        )
    firing = [rule for rule in alerts if dig(rule, "state") == "firing"]
    if firing:
        names = ", ".join(str(dig(rule, "name")) for rule in firing)
        return doubtful(
            f"{len(alerts)} alerts are watched for, and {names} fires",
            f"deployctl status --stack {shlex.quote(subject.stack)}",
            details=tuple(map(_told_of, firing)),
        )
    return ok(f"{len(alerts)} alerts are watched for, none fires; {len(loaded)} rules work")


def _told_of(rule: object) -> str:
    """The first that fires of one rule: its others say the same of something else."""
    firing = (row for row in dig(rule, "alerts") or () if dig(row, "state") != "pending")
    first = alert_of(next(firing, None))
    words = (first.summary, first.description)
    return " ".join((f"{dig(rule, 'name')}:", *words)).strip()


# ── Grafana ───────────────────────────────────────────────────────────────────────────────────


def grafana(subject: Subject) -> Seen:
    """``monitoring-grafana``: it answers, shows nothing to strangers, and takes its password."""
    if subject.wanted.service(_GRAFANA) is None:
        return skipped("this stack has no Grafana; Prometheus shows the same figures")
    health = _grafana(subject, "/api/health")
    if not good(health):
        return failed(f"Grafana does not answer: {told(health)}", _logs(subject, _GRAFANA))
    stranger = _grafana(subject, "/api/search")
    if stranger.status != HTTPStatus.UNAUTHORIZED:
        return failed(
            f"Grafana shows its dashboards without a password: {told(stranger)}", subject.up
        )
    password = subject.secrets.get("grafana_password")
    if password is None:
        return ok("Grafana answers, and says HTTP 401 without a password")
    signed_in = _grafana(subject, "/login", {"user": _USER, "password": password.reveal()})
    if not good(signed_in):
        return failed(
            "Grafana does not take the password of the credentials file: its data is older",
            f"docker exec {shlex.quote(subject.stack)}-grafana-1 grafana cli admin "
            "reset-admin-password NEW  # or take the password it was first started with",
        )
    until = subject.ports.clock.now() + _FIRST_LOOKS_S  # it takes them up after its own start
    while missing := _not_shown(subject, password):
        if subject.ports.clock.now() < until:
            subject.ports.clock.sleep(_LOOK_EVERY_S)
            continue
        return failed(
            "Grafana takes its password, and does not show the stack's figures",
            _logs(subject, _GRAFANA),
            details=missing,
        )
    return ok("Grafana shows the stack's figures for its password, and says HTTP 401 without one")


def _not_shown(subject: Subject, password: Secret) -> tuple[str, ...]:
    """What it was given and does not have: its data source answers, and both dashboards are there.

    By Grafana's documentation (13.2) alone; it was never run here.
    """
    source = _grafana(subject, f"/api/datasources/uid/{SOURCE_UID}/health", admin=password)
    found = []
    if not good(source) or dig(source.data, "status") != "OK":
        found.append(f"the data source {SOURCE_UID}: {told(source)}")
    for uid in BOARD_UIDS:
        board = _grafana(subject, f"/api/dashboards/uid/{uid}", admin=password)
        if not good(board):
            found.append(f"the dashboard {uid}: {told(board)}")
    return tuple(found)


_READY = "monitoring-ready"

CHECKS: tuple[Check, ...] = (
    Check(
        name=_READY,
        promise="Prometheus answers.",
        look=ready,
        where=_PROMETHEUS,
        addon="monitoring",
    ),
    Check(
        name="monitoring-targets",
        promise="Everything that Prometheus looks at answers, and every page of the stack answers "
        "its probe.",
        look=targets,
        where=_PROMETHEUS,
        needs=(_READY,),
        addon="monitoring",
    ),
    Check(
        name="monitoring-fresh",
        promise="What Prometheus sees is kept: the last figures are seconds old.",
        look=fresh,
        where=_PROMETHEUS,
        needs=(_READY,),
        addon="monitoring",
    ),
    Check(
        name="monitoring-alerts",
        promise="The alert rules are loaded and none of them fails; what fires is said.",
        look=rules,
        where=_PROMETHEUS,
        needs=(_READY,),
        addon="monitoring",
    ),
    Check(
        name="monitoring-grafana",
        promise="Grafana answers, shows the stack's figures for its password, and nothing without.",
        look=grafana,
        where=_GRAFANA,
        addon="monitoring",
    ),
)
