"""What a stack's Prometheus says: what fires, how old its figures are, that it cannot write. Pure.

It touches nothing but the HTTP port that it is given. ``verify`` and ``status`` both ask by it. Of
an alert's texts some are the operator's own rules', with whatever the figures' labels hold: they
are made harmless here, put on one line, and cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from deployctl.metrics import samples
from deployctl.verify.ask import dig
from deployctl.visible import harmless
from deployctl.vitals import moment

if TYPE_CHECKING:
    from deployctl.loopback import Http, Reply

#: Its service in the stack, and what its page is called where pages are listed.
SERVICE, PAGE = "prometheus", "Prometheus"

#: Most figures are looked at every 5 s: three of these may be missed.
_OLDEST_S = 15.0

#: Lines of its log in which a full disk would be told.
LOG_LINES = 200

#: Of somebody's text so much is kept, characters; and so many labels of an alert.
_NAME, _SENTENCE, _PARAGRAPH, _LABELS = 32, 160, 400, 8

#: What a label of an alert may be called that says what it is about, the plainest first.
_ABOUT = ("service", "mountpoint", "instance", "job")

_GRAVEST = ("critical", "warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """An alert that fires. ``since``: from then on its condition was true, before it fired."""

    name: str
    severity: str = ""
    since: datetime | None = None  # in UTC
    summary: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # but for its name and severity

    @property
    def service(self) -> str | None:
        """The service it is about, where it is about one."""
        return self.labels.get("service")

    @property
    def about(self) -> str:
        """What it is about, by the label that says so; may be empty."""
        return next((self.labels[name] for name in _ABOUT if name in self.labels), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How old the youngest figure is, seconds; ``None``: there is none."""

    age_s: float | None

    @property
    def fresh(self) -> bool:
        """Whether what is seen is kept."""
        return self.age_s is not None and self.age_s <= _OLDEST_S

    @property
    def told(self) -> str:
        """The same as a clause."""
        if self.age_s is None:
            return "there are no figures"
        return f"the last figures are {self.age_s:.0f} s old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus at an address (no slash at its end); it wants no password."""

    http: Http
    url: str
    timeout_s: float

    def get(self, path: str) -> Reply:
        """Ask for one of its pages."""
        return self.http.call(f"{self.url}{path}", timeout_s=self.timeout_s)

    def query(self, expr: str) -> list[tuple[Mapping[str, str], float]] | None:
        """(labels, value) of what a question finds; ``None`` when it was not answered."""
        reply = self.get(f"/api/v1/query?query={quote(expr, safe='')}")
        rows = dig(reply.data, "data", "result")
        if reply.status != HTTPStatus.OK or not isinstance(rows, list):
            return None
        found = ((dig(row, "metric") or {}, _number(dig(row, "value", 1))) for row in rows)
        return [(labels, value) for labels, value in found if value is not None]

    def figures(self) -> Figures | None:
        """How old its figures are; ``None`` when it did not say."""
        # The youngest: of what is not looked at any more Prometheus tells for five more minutes.
        ages = self.query("time() - max(timestamp(up))")
        if ages is None:
            return None
        return Figures(age_s=ages[0][1] if ages else None)

    def lost_writes(self) -> int:
        """How many writes failed. It says so itself: it cannot keep such a figure."""
        reply = self.get("/metrics")
        return int(
            sum(
                value
                for name, _, value in samples(reply.text if reply.status == HTTPStatus.OK else "")
                if name == "prometheus_tsdb_wal_writes_failed_total"
            )
        )

    def firing(self, mask: Callable[[str], str] = str) -> tuple[Firing, ...] | None:
        """What fires now, the gravest and oldest first; ``None`` when it did not say.

        ``mask`` takes out of its texts what nobody is to see.
        """
        reply = self.get("/api/v1/alerts")
        rows = dig(reply.data, "data", "alerts")
        if reply.status != HTTPStatus.OK or not isinstance(rows, list):
            return None
        found = [alert_of(row, mask) for row in rows if dig(row, "state") == "firing"]
        return tuple(sorted(found, key=_order))


def _number(text: object) -> float | None:
    try:
        return float(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _order(one: Firing) -> tuple[int, float, str, str]:
    grave = _GRAVEST.index(one.severity) if one.severity in _GRAVEST else len(_GRAVEST)
    since = one.since.timestamp() if one.since is not None else float("inf")
    return grave, since, one.name, one.about


def alert_of(row: object, mask: Callable[[str], str] = str) -> Firing:
    """Read one alert, whose state is not looked at; ``mask``: see :meth:`Prometheus.firing`."""
    labels = dict(_texts(dig(row, "labels"), _SENTENCE, mask))
    said = dict(_texts(dig(row, "annotations"), _PARAGRAPH, mask))
    since = _in_utc(moment(_text(dig(row, "activeAt"), _NAME)))
    return Firing(
        name=_text(labels.pop("alertname", ""), _NAME) or "unnamed",
        severity=_text(labels.pop("severity", ""), _NAME),
        since=since,
        summary=_text(said.get("summary"), _SENTENCE),
        description=said.get("description", ""),
        labels=dict(list(labels.items())[:_LABELS]),
    )


def _in_utc(at: datetime | None) -> datetime | None:
    """The same moment, where it is one: without a zone, or at the end of all times, it is none."""
    if at is None or at.tzinfo is None:
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return None


def _texts(found: object, length: int, mask: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    pairs = found.items() if isinstance(found, dict) else ()
    # Masked when harmless, since what is taken out may part a secret, and whole: of what is cut
    # nobody would know it again.
    return ((_text(name, _NAME), _text(mask(harmless(str(text))), length)) for name, text in pairs)


def _text(text: object, length: int) -> str:
    """Somebody's text, harmless, in one line that is no longer than so many characters."""
    line = " ".join(harmless(text if isinstance(text, str) else "").split())
    return f"{line[: length - 1]}…" if len(line) > length else line


# ── a full disk ───────────────────────────────────────────────────────────────────────────────


def said_full(log: Iterable[str]) -> tuple[str, ...]:
    """The lines of its log that say that its disk is full."""
    return tuple(line for line in log if "no space left on device" in line)


def told_full(figures: Figures, failed: str) -> str:
    """A full disk as a sentence; ``failed`` says what could not be done."""
    return f"the disk is full: {figures.told}, and {failed}. Engine and chat window go on"


def make_room(up: str) -> str:
    """What to type about a full disk; ``up`` brings the stack up as it was."""
    return f"docker system df  # make room where Docker keeps its volumes, then: {up}"
