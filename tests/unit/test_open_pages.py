"""What ``open`` opens by which name, what it refuses, and that no secret is handed to a program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons import ADDONS, NAMES
from deployctl.catalog import Catalog
from deployctl.deploy.open import OpenReport, Seat, open_window
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.loopback import Reply
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Adaptation, Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp
from tests.world import Box

CATALOG = Catalog({"HOME": "/nonexistent"})
NO_GRAFANA = Adaptation(key="addons.monitoring.grafana", value="never", reason="it is not here")
SSH = "192.0.2.7 51000 192.0.2.9 22"
SEAT = Seat(environment={}, platform="linux", user="ann")


class Pages(FakeHttp):
    """The core as ever, and add-ons that answer everything the same."""

    says = 302

    def call(self, url: str, **more: Any) -> Reply:
        reply = super().call(url, **more)
        return Reply(status=self.says, text="") if reply.status == 404 else reply


def bring_up(tmp_path: Path, *addons: str, adapted: tuple[Adaptation, ...] = ()) -> Box:
    box = Box(home=tmp_path, http=Pages())
    selection = Selection(profile="smoke", addons=addons, adapted=adapted)
    plan = build_plan(resolve(selection, CATALOG.readers()))
    box.runner.services = tuple(service.name for service in plan.services)
    up(box.world(), UpRequest(stack="s", selection=selection))
    return box


@pytest.fixture
def full(tmp_path: Path) -> Box:
    """A stack with every add-on, Grafana too."""
    return bring_up(tmp_path, *NAMES)


def opened(box: Box, page: str | None, seat: Seat = SEAT) -> OpenReport:
    return open_window(box.world("open"), "s", seat, page)


def refused(box: Box, page: str | None) -> tuple[Fault, int]:
    with pytest.raises(DeployctlError) as caught:
        opened(box, page)
    (fault,) = caught.value.faults
    return fault, int(caught.value.exit_code)


@pytest.mark.parametrize(
    ("typed", "page", "addon", "url", "signed_in"),
    [
        (None, "Chat window", None, "http://127.0.0.1:7860", True),
        ("webui", "Chat window", None, "http://127.0.0.1:7860", True),
        ("jupyter", "Jupyter", "jupyter", "http://localhost:8888/lab/tree/start.ipynb", True),
        ("monitoring", "Prometheus", "monitoring", "http://127.0.0.1:9090/", False),
        ("Prometheus", "Prometheus", "monitoring", "http://127.0.0.1:9090/", False),
        ("grafana", "Grafana", "monitoring", "http://127.0.0.1:3000/", True),
    ],
)
def test_what_is_opened_by_which_name(
    full: Box, typed: str | None, page: str, addon: str | None, url: str, signed_in: bool
) -> None:
    report = opened(full, typed)
    assert (report.page, report.addon, report.url) == (page, addon, url)
    sheet = Workspace(full.home, "s").credentials_file
    assert report.credentials_file == (sheet if signed_in else None)


def test_every_page_of_every_addon_is_opened_by_its_service(full: Box) -> None:
    selection = Selection(profile="smoke", addons=NAMES)
    spec = resolve(selection, CATALOG.readers()).spec
    for addon in ADDONS:
        ports = {p.host_port: s.name for s in addon.services(spec) for p in s.ports}
        for page in addon.pages(spec):
            if page.path == "/v1":
                assert refused(full, ports[page.port])[0].code == "usage"
                continue
            report = opened(full, ports[page.port])
            assert (report.page, report.url, report.addon) == (page.label, page.url, addon.name)
            assert (report.credentials_file is None) == (page.secret is None)


@pytest.mark.parametrize(("page", "port"), [(None, 7860), ("jupyter", 8888), ("grafana", 3000)])
def test_over_ssh_the_page_s_own_port_is_led_home(full: Box, page: str | None, port: int) -> None:
    seat = replace(SEAT, environment={"SSH_CONNECTION": SSH})
    assert opened(full, page, seat).ssh_command == (f"ssh -L {port}:127.0.0.1:{port} ann@192.0.2.9")


@pytest.mark.parametrize("page", ["jupyter", "grafana"])
def test_no_program_is_given_a_secret(full: Box, page: str) -> None:
    """Its command line is in the process list, and the address in the browser's history."""
    report = opened(full, page, replace(SEAT, environment={"BROWSER": "browse"}))
    assert report.opened_with == "browse"
    argv = full.runner.commands[-1].argv
    assert argv[-2:] == ("browse", report.url)
    secrets = json.loads(Workspace(full.home, "s").secrets_file.read_text())
    given = f"{report!r} {argv}"
    assert [name for name, value in secrets.items() if str(value) in given] == []


@pytest.mark.parametrize(
    ("typed", "url"),
    [("cache", "http://127.0.0.1:8001/v1"), ("engine", "http://127.0.0.1:8000/v1")],
)
def test_an_api_has_no_page(full: Box, typed: str, url: str) -> None:
    fault, code = refused(full, typed)
    assert (fault.code, code, fault.where) == ("usage", 2, typed)
    assert fault.message == f"The {typed} of stack s has an API for programs and no page: {url}."
    assert fault.hint.startswith(f"cat {Workspace(full.home, 's').credentials_file}")


def test_a_near_miss_is_told_with_all_pages(full: Box) -> None:
    fault, code = refused(full, "jupiter")
    assert (fault.code, code) == ("usage", 2)
    assert fault.message == "Stack s has no page 'jupiter'; did you mean jupyter?"
    assert fault.details == ("its pages: webui, jupyter, monitoring, prometheus, grafana",)
    assert fault.hint == "deployctl open jupyter --stack s"


@pytest.mark.parametrize(
    ("typed", "addon"), [("jupyter", "jupyter"), ("grafana", "monitoring"), ("cache", "cache")]
)
def test_what_an_addon_would_show_comes_with_the_command(
    tmp_path: Path, typed: str, addon: str
) -> None:
    fault, code = refused(bring_up(tmp_path), typed)
    assert (fault.code, code) == ("usage", 2)
    assert fault.message == f"Stack s has no page '{typed}': the add-on {addon} is not switched on."
    assert fault.details == ("its pages: webui",)
    assert fault.hint == f"deployctl up --profile smoke --with {addon} --stack s"


def test_what_would_show_nothing_is_not_offered(tmp_path: Path) -> None:
    fault, _ = refused(bring_up(tmp_path), "node-exporter")
    assert fault.message == "Stack s has no page 'node-exporter'."
    assert fault.hint == "deployctl open --stack s"


def test_a_page_that_up_left_out_is_told_with_its_reason(tmp_path: Path) -> None:
    fault, _ = refused(bring_up(tmp_path, "monitoring", adapted=(NO_GRAFANA,)), "grafana")
    assert fault.message == "Stack s has no page 'grafana', which was left out: it is not here."


def test_the_name_of_a_stack_is_an_option(full: Box) -> None:
    fault, _ = refused(full, "s")
    assert fault.message == "Stack s has no page 's'; --stack names the stack."
    assert fault.hint == "deployctl open --stack s"


@pytest.mark.parametrize("name", ["x" * 300, ".", "..", "a/b", ""])
def test_what_can_be_no_stack_is_no_name_of_one(full: Box, name: str) -> None:
    fault, code = refused(full, name)
    assert (fault.code, code) == ("usage", 2)


def test_a_page_does_not_need_the_chat_window(full: Box) -> None:
    full.http.frontend_ready = False
    del full.docker.states["webui"]
    assert opened(full, "jupyter").page == "Jupyter"
    assert refused(full, None)[0].where == "webui"


def test_one_that_stopped_or_is_gone_is_not_opened(full: Box) -> None:
    full.docker.states["jupyter"] = replace(full.docker.states["jupyter"], status="exited")
    fault, code = refused(full, "jupyter")
    assert (fault.code, code, fault.where) == ("stack-not-running", 6, "jupyter")
    assert fault.message.startswith("Jupyter of stack s is exited")
    assert fault.hint == "deployctl status --stack s"
    del full.docker.states["jupyter"]
    fault, _ = refused(full, "jupyter")
    assert fault.message.startswith("Stack s has no container of jupyter")
    assert fault.hint == "deployctl up --profile smoke --with jupyter,monitoring,cache --stack s"


@pytest.mark.parametrize(("status", "seen"), [(0, "does not answer"), (502, "HTTP 502")])
def test_one_that_does_not_answer_is_not_opened(full: Box, status: int, seen: str) -> None:
    assert isinstance(full.http, Pages)
    full.http.says = status
    fault, code = refused(full, "jupyter")
    assert (fault.code, code, fault.where) == ("addon-not-ready", 6, "jupyter")
    assert seen in fault.message


@pytest.mark.parametrize("status", [200, 302, 401, 403])
def test_one_that_asks_who_is_there_is_opened(full: Box, status: int) -> None:
    assert isinstance(full.http, Pages)
    full.http.says = status
    assert opened(full, "jupyter").url


def test_where_the_file_is_lost_a_page_has_its_label(full: Box) -> None:
    space = Workspace(full.home, "s")
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(replace(manifest, compose=None))
    (space.folder / "compose.yaml").unlink()
    report = opened(full, "jupyter")
    assert (report.page, report.addon) == ("Jupyter", None)
    assert refused(full, "monitoring")[0].details == (
        "its pages: webui, jupyter, prometheus, grafana",
    )
