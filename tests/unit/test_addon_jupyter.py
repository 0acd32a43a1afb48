"""Jupyter: its service, what the chat window is told, the starter notebook, and its checks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployctl.addons.jupyter import ADDON, IMAGE, PORT, STARTER, VOLUME, WORK
from deployctl.deploy.subject import running, subject_of
from deployctl.deploy.verify import of_running
from deployctl.loopback import Reply
from deployctl.model import Service, Text, Variable
from deployctl.outcomes import Command, CommandResult
from deployctl.profiles.resolve import resolve
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.services.common import NO_PROXIES
from deployctl.verify.addons import jupyter as checks
from deployctl.verify.nouns import Container, Seen, Subject
from deployctl.verify.wanted import WantedService
from deployctl.workspace import Workspace
from tests.fakes import FakeRunner, container, failed, ok
from tests.profilefiles import CATALOG
from tests.verifyworld import VerifyBox, verify_box

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "compose" / "images" / "jupyter"
NOTEBOOK = json.loads((ROOT / "templates" / "jupyter" / STARTER).read_text(encoding="utf-8"))


def spec(*sets: str, profile: str = "smoke") -> ProfileSpec:
    """A profile with Jupyter on."""
    sets = ("addons.jupyter.enabled=true", *sets)
    return resolve(Selection(profile=profile, sets=sets), CATALOG.readers()).spec


def service(*sets: str, profile: str = "smoke") -> Service:
    (found,) = ADDON.services(spec(*sets, profile=profile))
    return found


# ── the service ───────────────────────────────────────────────────────────────────────────────


def names(environment: tuple[tuple[str, Text], ...]) -> dict[str, str]:
    """An environment with variables written by their name alone."""
    return {
        name: f"${value.name}" if isinstance(value, Variable) else value
        for name, value in environment
        if (name, value) not in NO_PROXIES
    }


def test_the_environment_leads_to_the_engine_and_holds_no_secret() -> None:
    made = service()
    assert names(made.environment) == {
        "OPENAI_BASE_URL": "http://engine:8080/v1",
        "OPENAI_API_KEY": "$DEPLOYCTL_ENGINE_KEY",
        "OPENAI_MODEL": "smollm2-135m",
        "OPENAI_MAX_TOKENS": "512",
        "JUPYTER_TOKEN": "$DEPLOYCTL_JUPYTER_TOKEN",
        "HOME": "/tmp",
    }
    assert set(NO_PROXIES) <= set(made.environment)


def test_the_engine_of_the_other_kind_is_found_at_its_own_port() -> None:
    assert names(service(profile="smoke-vllm").environment)["OPENAI_BASE_URL"] == (
        "http://engine:8000/v1"
    )


def test_it_asks_the_engine_where_the_cache_is_on_too() -> None:
    with_cache = service("addons.cache.enabled=true", "addons.cache.frontend=true")
    assert with_cache.environment == service().environment


def test_it_is_published_on_loopback_whatever_the_exposure() -> None:
    for sets in ((), ("exposure=lan", "ports.address=192.0.2.7")):
        (port,) = service("addons.jupyter.port=18888", *sets).ports
        assert (port.address, port.host_port, port.container_port) == ("127.0.0.1", 18888, PORT)
        assert port.key == "addons.jupyter.port"


def test_it_may_reach_out_only_where_everything_may() -> None:
    assert [service(f"egress={way}").egress for way in ("none", "frontend", "all")] == [
        False,
        False,
        True,
    ]


def test_notebooks_are_in_a_volume_and_everything_else_is_in_memory() -> None:
    made = service()
    (mount,) = made.mounts
    assert (mount.kind, mount.source, mount.target) == ("volume", VOLUME, WORK)
    (tmpfs,) = made.tmpfs
    assert tmpfs.target == "/tmp"
    assert tmpfs.size_bytes < made.memory_bytes
    (file,) = made.files
    assert (ROOT / "templates" / file.template).is_file()


def test_it_needs_less_than_it_may_use() -> None:
    made = service("addons.jupyter.memory=512MiB")
    assert made.memory_bytes == 512 * 1024**2
    assert made.memory_key == "addons.jupyter.memory"
    assert made.need is not None
    assert made.need.bytes < made.memory_bytes


def test_the_token_is_shown_with_the_page_and_is_generated() -> None:
    (page,) = ADDON.pages(spec("addons.jupyter.port=18888"))
    assert (page.port, page.path) == (18888, "/lab/tree/start.ipynb")
    assert page.secret in ADDON.secrets


# ── the chat window ───────────────────────────────────────────────────────────────────────────


def test_the_chat_window_is_told_nothing_unless_asked() -> None:
    assert ADDON.frontend(spec()) == ()


def test_the_chat_window_runs_code_here_when_asked() -> None:
    told = names(ADDON.frontend(spec("addons.jupyter.code_interpreter=true")))
    for which in ("CODE_EXECUTION", "CODE_INTERPRETER"):
        assert told[f"{which}_ENGINE"] == "jupyter"
        assert told[f"{which}_JUPYTER_URL"] == "http://jupyter:8888"
        assert told[f"{which}_JUPYTER_AUTH"] == "token"
        assert told[f"{which}_JUPYTER_AUTH_TOKEN"] == "$DEPLOYCTL_JUPYTER_TOKEN"
    assert len(told) == 8


# ── the image ─────────────────────────────────────────────────────────────────────────────────


def test_the_image_is_named_after_the_version_it_is_built_with() -> None:
    version = IMAGE.rpartition(":")[2]
    locked = (RECIPE / "requirements.txt").read_text(encoding="utf-8")
    assert f"\njupyterlab=={version} \\\n" in locked
    assert f"jupyterlab=={version}\n" in (RECIPE / "requirements.in").read_text(encoding="utf-8")
    dockerfile = (RECIPE / "Dockerfile").read_text(encoding="utf-8")
    assert f'org.opencontainers.image.version="{version}"' in dockerfile


def test_everything_that_is_asked_for_is_locked() -> None:
    asked = re.findall(r"^([a-z]+)", (RECIPE / "requirements.in").read_text("utf-8"), re.MULTILINE)
    locked = re.findall(r"^([\w-]+)==", (RECIPE / "requirements.txt").read_text("utf-8"), re.M)
    assert set(asked) <= set(locked)


class Settings(dict[str, "Settings"]):
    """What Jupyter hands to a file of settings: any name of a class, then any of its settings."""

    def __getattr__(self, name: str) -> Any:
        return self.setdefault(name, Settings())

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def test_the_server_answers_to_its_own_names_only_and_asks_nobody() -> None:
    c = Settings()
    text = (RECIPE / "jupyter_server_config.py").read_text(encoding="utf-8")
    exec(compile(text, "config", "exec"), {"get_config": lambda: c})
    assert c.ServerApp.port == PORT
    assert c.ServerApp.allow_remote_access is False
    assert c.ServerApp.local_hostnames == ["localhost", "jupyter"]
    assert c.ServerApp.root_dir == WORK
    assert c.LabApp.news_url is None
    assert c.LabApp.extension_manager == "readonly"
    assert "token" not in text.replace("JUPYTER_TOKEN", "").split("c.ServerApp.ip")[1]


# ── the starter notebook ──────────────────────────────────────────────────────────────────────


def test_the_notebook_is_clean() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", each) for each in ids)
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code] == [
        *("setup", "chat", "stream", "schema", "tool", "timing")
    ]
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert "assert " in "".join(cell["source"])


def test_the_notebook_is_written_as_jupyter_writes_it() -> None:
    text = (ROOT / "templates" / "jupyter" / STARTER).read_text(encoding="utf-8")
    assert text == json.dumps(NOTEBOOK, indent=1, ensure_ascii=False) + "\n"


class BadRequestError(Exception):
    """As the client's: it has what the engine said."""

    message = "tools need a parser"


@dataclass
class Model:
    """Plays the client library: a model that calls tools, thinks, or can do neither."""

    calls: bool = True
    refuses_tools: bool = False
    thinks: bool = False
    says_nothing_in: tuple[str, ...] = ()  # "tools", "response_format" or "", neither
    ends: str = "stop"  # how it ends there
    asked: list[dict[str, Any]] = field(default_factory=list)

    def create(self, **body: Any) -> Any:
        self.asked.append(body)
        if body.get("stream"):
            return self._pieces()
        if "tools" in body and self.refuses_tools:
            raise BadRequestError
        content: str | None = "A bow of colours."
        calls = None
        if "tools" in body and self.calls:
            content, calls = None, [Call()]
        elif "response_format" in body:
            content = json.dumps(_instance(body["response_format"]["json_schema"]["schema"]))
        more, ended = {"reasoning_content": "Hm."} if self.thinks else {}, "stop"
        asks_in = next((each for each in ("tools", "response_format") if each in body), "")
        if asks_in in self.says_nothing_in:
            content, ended = None, self.ends
            calls = calls and [Call(arguments='{"operation": "mul')]
        message = SimpleNamespace(content=content, tool_calls=calls, model_extra=more)
        choice = SimpleNamespace(message=message, finish_reason=ended)
        return SimpleNamespace(choices=[choice])

    def _pieces(self) -> Iterator[Any]:
        for text in ("Red, ", "green, ", "blue."):
            extra, content = ({"reasoning": text}, None) if self.thinks else ({}, text)
            delta = SimpleNamespace(content=content, model_extra=extra)
            yield SimpleNamespace(usage=None, choices=[SimpleNamespace(delta=delta)])
        yield SimpleNamespace(usage=SimpleNamespace(completion_tokens=9), choices=[])

    def module(self) -> Any:
        """What ``import openai`` gives."""
        models = SimpleNamespace(list=lambda: [SimpleNamespace(id="m")])
        chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))
        client = SimpleNamespace(models=models, chat=chat, base_url="http://engine:8080/v1/")
        return SimpleNamespace(OpenAI=lambda: client, BadRequestError=BadRequestError)


class Call:
    id = "call1"

    def __init__(self, arguments: str = '{"operation": "multiply", "a": 23, "b": 17}') -> None:
        self.function = SimpleNamespace(arguments=arguments)

    def model_dump(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function"}


def _instance(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: each["enum"][0] if "enum" in each else 3
        for name, each in schema["properties"].items()
    }


@pytest.fixture
def played(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Model], dict[str, str]]:
    """Runs the notebook's cells against a model; what each printed."""

    def play(model: Model) -> dict[str, str]:
        monkeypatch.setitem(sys.modules, "openai", model.module())
        monkeypatch.setenv("OPENAI_MODEL", "m")
        monkeypatch.setenv("OPENAI_MAX_TOKENS", "64")
        said, shared = {}, {"__name__": "__main__"}
        for cell in NOTEBOOK["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), shared)
                said[cell["id"]] = capsys.readouterr().out
        return said

    return play


def test_a_model_that_calls_tools_has_the_result_told(
    played: Callable[[Model], dict[str, str]],
) -> None:
    model = Model()
    said = played(model)
    assert '"multiply", "a": 23, "b": 17}) = 391' in said["tool"]
    assert "schema instead" not in said["tool"]
    assert "small models" not in said["tool"]
    told = next(body for body in model.asked if body["messages"][-1]["role"] == "tool")
    assert told["messages"][-1]["content"] == "391"
    assert all(body["max_tokens"] == 64 for body in model.asked)


@pytest.mark.parametrize("model", [Model(calls=False), Model(refuses_tools=True)])
def test_where_no_tool_can_be_called_the_schema_does_and_it_is_said(
    played: Callable[[Model], dict[str, str]], model: Model
) -> None:
    said = played(model)["tool"]
    assert "(no call of a tool: asked by the schema instead)" in said
    assert "= 6\n(not what was asked: small models choose badly)" in said
    assert (BadRequestError.message in said) is model.refuses_tools


def test_a_model_that_thinks_is_followed_as_well(
    played: Callable[[Model], dict[str, str]],
) -> None:
    said = played(Model(thinks=True))
    assert "(thought for 3 characters)" in said["chat"]
    assert "3 pieces, 9 tokens" in said["stream"]
    assert "tokens/s (9 tokens)" in said["timing"]


@pytest.mark.parametrize("where", ["tools", "response_format"])
def test_a_model_that_is_cut_short_is_said_to_need_more_tokens(
    played: Callable[[Model], dict[str, str]], where: str
) -> None:
    with pytest.raises(AssertionError, match="64 tokens were too few; set MAX_TOKENS higher"):
        played(Model(thinks=True, says_nothing_in=(where,), ends="length"))


def test_where_there_are_only_thoughts_there_is_no_answer_yet(
    played: Callable[[Model], dict[str, str]],
) -> None:
    said = played(Model(thinks=True, says_nothing_in=("",), ends="length"))
    for cell in ("chat", "tool"):
        assert said[cell].endswith("(no answer yet)\n")
    with pytest.raises(AssertionError, match="ended without an answer"):
        played(Model(thinks=True, says_nothing_in=("response_format",)))


# ── the checks ────────────────────────────────────────────────────────────────────────────────

TOKEN = Secret("jupyters-own")


@dataclass
class FakeJupyter:
    """Jupyter's API and the chat window's page that runs code. Unturned, all is as it should be."""

    up: bool = True
    open_to: tuple[Secret | None, ...] = ()  # besides its token
    starter: bool = True
    ran: Mapping[str, str] = field(default_factory=lambda: {"stdout": "42 abc", "stderr": ""})

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        if url.endswith("/api/v1/utils/code/execute"):
            return Reply(status=200, text=json.dumps(self.ran))
        assert url.startswith("http://127.0.0.1:18888/api")
        if not self.up:
            return Reply(status=0, text="connection refused")
        if token != TOKEN and token not in self.open_to:
            return Reply(status=403, text='{"message": "Forbidden", "reason": null}')
        if "start.ipynb" in url and not self.starter:
            return Reply(status=404, text='{"message": "no such file"}')
        return Reply(status=200, text='{"kernels": 2}')


class Notebooks(FakeRunner):
    """Plays what is run in Jupyter's container."""

    said: str | None = '["smollm2-135m"]'

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        assert command.argv[:3] == ("docker", "exec", "id-jupyter")
        if self.said is None:
            return failed(command, "openai.AuthenticationError: Error code: 401")
        return ok(command, self.said)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> VerifyBox:
    return verify_box(tmp_path_factory.mktemp("home"))


def subject(
    box: VerifyBox,
    http: FakeJupyter | None = None,
    said: str | None = Notebooks.said,
    *,
    asked_for: bool = True,
) -> Subject:
    """The smoke stack with Jupyter beside it."""
    world, space = box.world(), Workspace(box.home, "deployctl")
    core = subject_of(world, space, *running(world, space))
    runner = Notebooks(box.docker)
    runner.said = said
    own = WantedService(
        name="jupyter",
        published=(("127.0.0.1", 18888),),
        egress=False,
        hops=1,
        memory_bytes=1,
        addon="jupyter",
    )
    environment = ["CODE_EXECUTION_ENGINE=jupyter"] if asked_for else []
    return replace(
        core,
        wanted=replace(core.wanted, services=(*core.wanted.services, own)),
        containers=(
            Container(
                service="webui",
                state=container("webui", "h"),
                seen={"Config": {"Env": environment}},
            ),
            Container(
                service="jupyter",
                state=container("jupyter", "h"),
                seen={"Config": {"Hostname": "abc"}},
            ),
        ),
        ports=replace(core.ports, http=http or FakeJupyter(), runner=runner),  # type: ignore[arg-type]  # one call
        secrets={**core.secrets, "jupyter_token": TOKEN},
    )


def status(seen: Seen) -> tuple[str, bool]:
    return seen.status, bool(seen.hint)


def test_all_is_well_where_all_is_as_it_should_be(box: VerifyBox) -> None:
    for check in checks.CHECKS:
        assert check.addon == "jupyter"
        assert check.look(subject(box)).status == "ok", check.name


def test_it_does_not_answer(box: VerifyBox) -> None:
    seen = checks.answers(subject(box, FakeJupyter(up=False)))
    assert status(seen) == ("failed", True)
    assert "connection refused" in seen.summary


def test_what_fails_while_its_container_does_not_run_says_so_with_the_way_back(
    box: VerifyBox,
) -> None:
    whole = subject(box, FakeJupyter(up=False))
    answers = checks.CHECKS[0]
    seen = checks.answers(whole)
    assert of_running(whole, answers, seen) == seen  # it runs, and does not answer
    stopped = tuple(
        replace(each, state=replace(each.state, status="exited"))
        if each.service == "jupyter"
        else each
        for each in whole.containers
    )
    told = of_running(replace(whole, containers=stopped), answers, seen)
    assert told.summary.endswith("; jupyter is exited")
    assert told.hint == whole.up


@pytest.mark.parametrize(
    ("open_to", "what"),
    [(None, "no token"), (Secret("deployctl-verify-nobodys-token"), "a wrong token")],
)
def test_it_lets_somebody_in_without_its_token(
    box: VerifyBox, open_to: Secret | None, what: str
) -> None:
    seen = checks.token_required(subject(box, FakeJupyter(open_to=(open_to,))))
    assert status(seen) == ("failed", True)
    assert seen.summary == f"/api/contents with {what} gave HTTP 200, not HTTP 403"


@pytest.mark.parametrize("said", [None, '["another"]', "no JSON"])
def test_a_notebook_does_not_find_the_model(box: VerifyBox, said: str | None) -> None:
    seen = checks.notebook(subject(box, said=said))
    assert status(seen) == ("failed", True)
    assert "smollm2-135m" in seen.summary


def test_the_starter_was_removed(box: VerifyBox) -> None:
    seen = checks.notebook(subject(box, FakeJupyter(starter=False)))
    assert status(seen) == ("warning", True)


def test_the_chat_window_runs_code_in_another_place(box: VerifyBox) -> None:
    for ran, said in (
        ({"stdout": "42 elsewhere", "stderr": ""}, "42 elsewhere"),
        ({"stdout": "", "stderr": "Error: 403"}, "Error: 403"),
    ):
        seen = checks.code(subject(box, FakeJupyter(ran=ran)))
        assert status(seen) == ("failed", True)
        assert said in seen.summary


def test_nothing_is_run_where_the_profile_does_not_ask_for_it(box: VerifyBox) -> None:
    assert checks.code(subject(box, asked_for=False)).status == "skipped"
