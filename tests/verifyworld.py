"""A stack of fakes that passes every check, with knobs for what can be wrong with it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployctl.deploy.subject import running, subject_of
from deployctl.deploy.up import up
from deployctl.deploy.verify import VerifyReport, verify
from deployctl.deploy.world import UpRequest, World
from deployctl.loopback import Reply
from deployctl.outcomes import CheckResult, Command, CommandResult
from deployctl.planner import build_plan
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.verify.nouns import Seen, Subject
from deployctl.verify.registry import chosen
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp, FakeRunner, container, failed, ok
from tests.world import Box

MODEL = "smollm2-135m"
CONTEXT = 2048
#: What each engine tells beside how many requests are under way.
_FIGURES = {
    "llama.cpp": (
        *("tokens_predicted_total", "tokens_predicted_seconds_total", "requests_deferred"),
        *("n_decode_total", "n_busy_slots_per_decode"),
    ),
    "vllm": (
        *("generation_tokens_total", "num_requests_waiting", "kv_cache_usage_perc"),
        *("inter_token_latency_seconds_count", "inter_token_latency_seconds_sum"),
    ),
}

#: Real seconds after which a request of the fake engine ends though nobody looked: a test fails.
_ALONE_S = 2.0
PAINT = '{"colour": "blue", "count": 3}'


def reply(value: object, status: int = 200) -> Reply:
    return Reply(status=status, text=value if isinstance(value, str) else json.dumps(value))


@dataclass
class FakeStack:
    """Engine and frontend over HTTP. A knob that is not turned is as it should be."""

    key: Secret = field(default_factory=lambda: Secret("unset"))
    models: tuple[str, ...] = (MODEL,)
    up: bool = True
    ready: bool = True
    answer: str = "Hello there, nice to see you."
    thoughts: str = ""
    thoughts_name: str = "reasoning_content"
    paint: str = PAINT
    limit: int | None = CONTEXT  # None: a question of any length is taken
    after_refusal: int = 200
    tokens_over: int = 0
    reason: str = "length"
    stream_done: bool = True
    stream_usage: bool = True
    stream_breaks: bool = False
    slots: int = 2  # by its own word
    places: int = 2  # that it really answers at once
    kind: str = "llama.cpp"
    keyless: bool = False
    metrics: bool = True
    template_tools: bool = False
    calls_tools: bool = True
    sign_up: Reply = field(default_factory=lambda: reply({"detail": "prohibited"}, 403))
    ui_params: Mapping[str, object] = field(default_factory=lambda: {"function_calling": "legacy"})
    ui_metadata: Mapping[str, object] = field(default_factory=dict)
    ui_error: object = None
    ui_answer: str = "Hello from the page."
    ui_tokens: int = 37
    ui_busy: int = 2  # looks until nobody works on the chat any more
    listening: tuple[tuple[str, int], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    chats: dict[str, str] = field(default_factory=dict)  # id → the answer's name
    deleted: list[str] = field(default_factory=list)
    undeletable: bool = False
    page_reply: Reply | None = None  # what comes back of the page's request, made all the same
    sign_in: Reply = field(default_factory=lambda: reply({"token": "t0ken"}))
    sign_ins: int = 0
    opening: str = '<tool_call>\n{"name": "'  # how the template begins a call
    holds_to_grammar: bool = True  # an answer that is begun as a call is ended as one
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._work = threading.Condition()
        self._under_way = self._seen_full = 0

    # ── the port ─────────────────────────────────────────────────────────────────────────────

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        path = re.sub(r"^http://[^/]+", "", url)
        if path.startswith(("/api", "/ready")):
            return self._frontend(path, token, body)
        if not self.up:
            return Reply(status=0, text="connection refused")
        if token != self.key and not self.keyless:
            return reply({"error": {"message": "Invalid API Key"}}, 401)
        if path == "/v1/models":
            return reply({"data": [{"id": name} for name in self.models]})
        if path == "/props":
            caps = {"supports_tools": self.template_tools}
            return reply({"total_slots": self.slots, "chat_template_caps": caps})
        if path == "/apply-template":
            return self._written(body)
        if path == "/metrics":
            return reply(self._metrics()) if self.metrics else reply({"error": "off"}, 501)
        assert isinstance(body, dict), path
        return self._chat(body)

    def request(
        self, method: str, url: str, *, token: Secret, body: object = None, timeout_s: float
    ) -> Reply:
        assert method == "DELETE"
        if self.undeletable:
            return reply({"detail": "no"}, 500)
        self.deleted.append(url.rpartition("/")[2])
        self.chats.pop(self.deleted[-1], None)
        return reply("true")

    def listens(self, address: str, port: int, *, timeout_s: float) -> bool:
        return (address, port) in self.listening

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        for part in (self.thoughts, *self.answer.split(" ")):
            name = self.thoughts_name if part == self.thoughts else "content"
            if part:
                yield json.dumps({"choices": [{"delta": {name: f"{part} "}}]})
        if self.stream_breaks:
            raise OSError("connection reset")
        yield json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        if self.stream_usage:
            yield json.dumps({"choices": [], "usage": {"completion_tokens": 9}})
        if self.stream_done:
            yield "[DONE]"

    # ── the engine ───────────────────────────────────────────────────────────────────────────

    def _metrics(self) -> str:
        vllm = self.kind == "vllm"
        head, labels = ("vllm:", '{model_name="m"}') if vllm else ("llamacpp:", "")
        rows = [f"{head}{name}{labels} 7" for name in _FIGURES[self.kind]]
        with self._work:
            busy = min(self._under_way, self.places)
            self._seen_full += busy == min(self.places, self.slots)
            self._work.notify_all()
        rows += [
            f"{head}{'num_requests_running' if vllm else 'requests_processing'}{labels} {busy}"
        ]
        return "\n".join(("# HELP x", *rows))

    def _work_on_it(self) -> None:
        """Be under way until somebody has seen all places taken; more wait for a place."""
        with self._work:
            self._under_way += 1
            seen = self._seen_full
            self._work.wait_for(lambda: self._seen_full > seen, timeout=_ALONE_S)
            self._under_way -= 1

    def _written(self, body: object) -> Reply:
        assert isinstance(body, dict)
        text = "<user>x<assistant>"
        if len(body["messages"]) > 1:
            text += f'{self.opening}record_paint", "arguments": {{}}}}<tool>done<assistant>'
        return reply({"prompt": text})

    def _chat(self, body: dict[str, Any]) -> Reply:
        self.asked.append(body)
        words = len(body["messages"][0]["content"].split())
        if self.limit is not None and words > self.limit:
            self.after, said = self.after_refusal, f"exceeds the context size ({self.limit} tokens)"
            return reply({"error": {"message": said}}, 400)
        if getattr(self, "after", 200) != 200:
            return reply({"error": {"message": "dead"}}, self.after)
        if body["messages"][0]["content"].startswith("Question "):
            self._work_on_it()
        message: dict[str, Any] = {"role": "assistant", "content": self.answer}
        begun = self.holds_to_grammar and body["messages"][-1]["role"] == "assistant"
        if "response_format" in body:
            message["content"] = self.paint
        if "tools" in body and (self.calls_tools or begun):
            function = {"name": body["tools"][0]["function"]["name"], "arguments": self.paint}
            message |= {"content": None, "tool_calls": [{"function": function}]}
        usage = {"completion_tokens": body["max_tokens"] + self.tokens_over, "prompt_tokens": 37}
        choice = {"message": message, "finish_reason": self.reason}
        return reply({"choices": [choice], "usage": usage})

    # ── the frontend ─────────────────────────────────────────────────────────────────────────

    def _frontend(self, path: str, token: Secret | None, body: object) -> Reply:
        if path == "/api/v1/auths/signup":
            return self.sign_up
        if path == "/api/v1/auths/signin":
            self.sign_ins += 1
            return self.sign_in
        if path == "/ready":
            return reply({"status": True}) if self.ready else Reply(status=503, text="")
        if token != Secret("t0ken"):
            return reply({"detail": "Not authenticated"}, 401)
        if path == "/api/chat/completions":
            assert isinstance(body, dict)
            chat_id = f"chat-{len(self.asked)}"
            self.chats[chat_id] = body["id"]
            self.asked.append(body)
            if self.page_reply is not None:
                return self.page_reply
            return reply({"status": True, "task_ids": ["t"], "chat_id": chat_id})
        if path.startswith("/api/tasks/chat/"):
            self.ui_busy -= 1
            return reply({"task_ids": ["t"] if self.ui_busy > 0 else []})
        if path == "/api/v1/chats/new":
            self.chats["saved"] = "saved"
            return reply({"id": "saved"})
        if path.startswith("/api/v1/chats/?"):
            return reply([{"id": one, "title": "New Chat"} for one in self.chats])
        if path.startswith("/api/v1/chats/"):
            message: dict[str, Any] = {"content": self.ui_answer, "done": True}
            message |= {"usage": {"input_tokens": self.ui_tokens}}
            if self.ui_error is not None:
                message |= {"error": self.ui_error, "content": ""}
            name = self.chats[path.rpartition("/")[2]]
            return reply({"chat": {"history": {"messages": {name: message}}}})
        pages: dict[str, object] = {
            "/api/models": {"data": [{"id": name} for name in self.models]},
            "/api/v1/configs/models": {
                "DEFAULT_MODEL_PARAMS": self.ui_params,
                "DEFAULT_MODEL_METADATA": self.ui_metadata,
            },
            "/api/v1/configs/export": self.settings,
            "/api/v1/models/base": [],
            "/api/v1/functions/": [],
        }
        return reply(pages[path])


CLOSED = {
    "gateway": "172.21.0.1",
    "ttl": 1,
    "tries": {"TCP to 198.51.100.1": "stopped", "UDP to 198.51.100.1": "stopped"},
    "ipv6": "no-route",
    "name": None,
}

KEPT = """\
uid 10001
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
NoNewPrivs:\t1
refused
refused"""


class InsideRunner(FakeRunner):
    """Plays what is run in and beside containers; everything else as :class:`FakeRunner`."""

    way_out: Mapping[str, Any] | None = CLOSED
    seen_inside: str = KEPT
    oom_kills: int = 0
    card: str = "GPU 0: NVIDIA GeForce RTX 3060"
    card_lost: str = "Failed to initialize NVML: Unknown Error"

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        words = command.argv
        if words[:2] == ("docker", "run"):
            assert command.stdin is not None
            assert "import socket" in command.stdin
            if self.way_out is None:
                return failed(command, "no such image", 125)
            return ok(command, json.dumps(self.way_out))
        if words[:2] == ("docker", "logs"):
            return ok(command, "\n".join(self.docker.tails.get(words[-1], ())))
        if words[:2] == ("docker", "exec") and words[-1] == "-L":
            return ok(command, self.card) if self.card else failed(command, self.card_lost)
        if words[:2] == ("docker", "exec"):
            if "oom_kill" in words[-1] or "memory.events" in words[-1]:
                return ok(command, f"oom_kill {self.oom_kills}")
            return ok(command, self.seen_inside)
        return super().run(command, on_line=on_line)


NETWORK: Mapping[str, Any] = {
    "Id": "n1",
    "Name": "deployctl_default",
    "Options": {"com.docker.network.bridge.enable_ip_masquerade": "false"},
}


def inspected(service: str, port: int, memory: int) -> dict[str, Any]:
    """What Docker says of a container that is as we make them."""
    return {
        "Id": f"id-{service}",
        "Path": "/app/start",
        "Args": [],
        "Config": {
            "User": "10001:10001",
            "Env": ["ENABLE_SIGNUP=false"],
            "Labels": {},
            "Cmd": None,
        },
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": memory,
            "PidsLimit": 512,
            "Dns": ["127.0.0.1"],
        },
        "Mounts": [],
        "NetworkSettings": {
            "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]},
            "Networks": {"deployctl_default": {"NetworkID": "n1"}},
        },
    }


@dataclass
class VerifyBox(Box):
    """A machine of fakes on which the smoke stack is up and well."""

    stack: FakeStack = field(default_factory=FakeStack)

    def __post_init__(self) -> None:
        self.runner = InsideRunner(self.docker)
        self.inside = self.runner

    def bring_up(self, profile: str = "smoke", *sets: str, model: str | None = None) -> VerifyBox:
        selection = Selection(profile=profile, sets=sets, model=model)
        plan = build_plan(super().world().resolve(selection))
        served = plan.served_name
        self.http = FakeHttp(served)
        up(super().world(), UpRequest(stack="deployctl", selection=selection))
        self.stack.models = (served,)
        self.stack.kind = plan.engine
        self.http = self.stack  # type: ignore[assignment]  # the port, not the other fake
        self.stack.key = Workspace(self.home, "deployctl").secrets().engine_key
        self.docker.states = {name: container(name, f"hash-{name}") for name in ("engine", "webui")}
        self.docker.nets = (NETWORK,)
        self.docker.used = {"id-engine": 200 * 1024**2, "id-webui": 300 * 1024**2}
        self.docker.tails = {"id-engine": ("init: llama threadpool init, n_threads = 2",)}
        self.docker.inspected = {
            "id-engine": inspected("engine", 8000, plan.service("engine").memory_bytes),
            "id-webui": inspected("webui", 7860, plan.service("webui").memory_bytes),
        }
        return self

    def change(self, service: str, *path: str, to: object) -> None:
        """Have Docker say something else at a place of its answer."""
        whole = deepcopy({name: dict(value) for name, value in self.docker.inspected.items()})
        place: Any = whole[f"id-{service}"]
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = to
        self.docker.inspected = whole

    def world(self, doing: str = "verify") -> World:
        return super().world(doing)

    def verify(self, *only: str) -> VerifyReport:
        return verify(self.world(), "deployctl", only)

    def look(self, name: str, before: Callable[[Subject], Subject | None]) -> Seen:
        """What one check sees of a stack to which something happens after the checks began."""
        world, space = self.world(), Workspace(self.home, "deployctl")
        subject = subject_of(world, space, *running(world, space))
        (check,) = chosen((name,))
        return check.look(before(subject) or subject)

    def one(self, name: str) -> CheckResult:
        """The result of one check alone."""
        (found,) = self.verify(name).checks
        return found


def verify_box(home: Path) -> VerifyBox:
    return VerifyBox(home=home).bring_up()
