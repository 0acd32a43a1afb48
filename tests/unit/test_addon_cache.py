"""The response cache: what the plan makes of its profile block, and what its checks tell apart."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from deployctl.addons.cache import ADDON, PORT
from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.model import Bundle, Service, Variable
from deployctl.outcomes import CheckStatus
from deployctl.planner import build_plan
from deployctl.readiness import Endpoints
from deployctl.render import render
from deployctl.secret import Secret
from deployctl.verify.addons.cache import CHECKS
from deployctl.verify.nouns import Container, Ports, Seen, Subject
from deployctl.verify.wanted import Wanted, WantedService
from tests.fakes import FakeClock, container, facts
from tests.profilefiles import CATALOG, shipped

ON = "addons.cache.enabled=true"


def service(*sets: str, profile: str = "smoke") -> Service:
    return build_plan(shipped(profile, ON, *sets)).service("cache")


def rendered(*sets: str, profile: str = "smoke") -> Bundle:
    return render(build_plan(shipped(profile, ON, *sets)), CATALOG.templates_dir)


def environment(*sets: str) -> dict[str, Any]:
    return dict(service(*sets).environment)


# ── the plan ──────────────────────────────────────────────────────────────────────────────────


def test_it_is_published_on_loopback_with_a_volume_of_its_own() -> None:
    made = service("addons.cache.port=8123", "addons.cache.memory=200MiB")
    (port,) = made.ports
    assert (port.address, port.host_port, port.container_port) == ("127.0.0.1", 8123, PORT)
    assert port.key == "addons.cache.port"
    (mount,) = made.mounts
    assert (mount.kind, mount.source, mount.read_only) == ("volume", "cache-data", False)
    assert (made.memory_bytes, made.memory_key) == (200 * 1024**2, "addons.cache.memory")
    assert made.need is not None
    assert made.need.bytes < made.memory_bytes
    assert made.egress is False


def test_nothing_starts_without_the_engines_key() -> None:
    key = environment()["ENGINE_KEYS"]
    assert isinstance(key, Variable)
    assert key.name == "DEPLOYCTL_ENGINE_KEY"
    assert key.required


@pytest.mark.parametrize(
    ("profile", "engine"), [("smoke", "engine:8080"), ("smoke-vllm", "engine:8000")]
)
def test_the_configuration_names_the_engines_port_and_the_bounds(profile: str, engine: str) -> None:
    sets = ("addons.cache.ttl=90s", "addons.cache.size=5MiB")
    text = rendered(*sets, profile=profile).text("gateway.conf")
    assert f'set $engine "{engine}";' in text
    assert "max_size=5242880 inactive=90s;" in text
    assert "proxy_cache_valid 200 90s;" in text
    assert "{{" not in text


def test_every_file_that_it_mounts_lies_beside_the_stacks_own() -> None:
    bundle = rendered()
    assert [bundle.text(file.name) != "" for file in service().files] == [True] * 6
    assert len({file.target for file in service().files}) == 6


def test_another_model_or_way_to_run_it_has_no_answers_yet() -> None:
    """What an answer may depend on is in the salt of every key."""
    same = [environment(*sets)["ENGINE_STARTED_AS"] for sets in ((), ("addons.cache.ttl=1m",))]
    assert same[0] == same[1]
    others = (
        ("model.context=1024",),
        ("model.served_name=another",),
        ("model.sampling.top_p=0.5",),
        ("engine.image=ghcr.io/ggml-org/llama.cpp:server-b11435",),
    )
    found = {environment(*sets)["ENGINE_STARTED_AS"] for sets in others}
    assert len(found | set(same)) == len(others) + 1
    assert environment()["ENGINE_WEIGHTS"] == Variable(name="DEPLOYCTL_WEIGHTS", default="as-named")


@pytest.mark.parametrize(
    ("profile", "words", "samples"),
    [
        ("smoke", '["--threads-http", "4"]', "false"),
        ("smoke", '["--xtc-probability", "0.5"]', "true"),
        ("smoke", '["--samplers", "top_k"]', "true"),
        ("smoke", '["--sampling_seq", "k"]', "true"),
        ("smoke", '["--mirostat", "2"]', "true"),
        ("smoke", '["--dynatemp-range", "0.5"]', "true"),
        ("smoke-vllm", '["--max-logprobs", "4"]', "false"),
        ("smoke-vllm", '["--logits-processors=a.B"]', "true"),
        ("smoke-vllm", '["--logits_proc", "a.B"]', "true"),
    ],
)
def test_an_engine_that_samples_at_temperature_0_is_known(
    profile: str, words: str, samples: str
) -> None:
    made = service(f"engine.extra_args={words}", profile=profile)
    assert dict(made.environment)["ENGINE_SAMPLES"] == samples


def test_a_size_in_which_next_to_nothing_fits_is_refused() -> None:
    with pytest.raises(DeployctlError) as refused:
        shipped("smoke", ON, "addons.cache.size=1048575B")
    (fault,) = refused.value.faults
    assert "Next to nothing fits in less than 1MiB." in fault.message
    assert "1MiB" in fault.hint
    assert environment("addons.cache.size=1MiB")["CACHE_LIMIT_BYTES"] == str(1024**2)


def test_it_is_told_its_memory() -> None:
    made = environment("addons.cache.memory=200MiB")
    assert made["CACHE_MEMORY_BYTES"] == str(200 * 1024**2)


def test_flags_are_words_for_lua() -> None:
    names = ("CACHE_SAMPLED", "CACHE_SHARED")
    assert [environment()[name] for name in names] == ["false", "false"]
    on = environment("addons.cache.sampled=true", "addons.cache.shared=true")
    assert [on[name] for name in names] == ["true", "true"]


def test_the_chat_window_asks_through_it_only_if_asked() -> None:
    def window(*sets: str) -> object:
        plan = build_plan(shipped("smoke", ON, *sets))
        return dict(plan.service("webui").environment)["OPENAI_API_BASE_URL"]

    assert window() == "http://engine:8080/v1"
    assert window("addons.cache.frontend=true") == f"http://cache:{PORT}/v1"


def test_its_page_is_the_api() -> None:
    (page,) = ADDON.pages(shipped("smoke", ON, "addons.cache.port=8123").spec)
    assert (page.label, page.port, page.path, page.secret) == ("API, cached", 8123, "/v1", None)


# ── the checks ────────────────────────────────────────────────────────────────────────────────

KEY = Secret("the-key")


@dataclass
class FakeGateway:
    """A gateway over HTTP. A knob that is not turned is as it should be."""

    keeps: bool = True
    keeps_chance: bool = False
    counts: bool = True
    usable: bool = True
    open_paths: tuple[str, ...] = ()  # answered without a key
    models: tuple[str, ...] = ("m",)
    down: bool = False
    known: dict[str, Reply] = field(default_factory=dict)
    hits: int = 4
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        assert url.startswith("http://127.0.0.1:8123/")
        path = url.removeprefix("http://127.0.0.1:8123")
        if self.down:
            return Reply(status=0, text="connection refused")
        if token != KEY and path not in self.open_paths:
            return Reply(status=401, text="{}")
        if path == "/v1/models":
            return Reply(status=200, text=json.dumps({"data": [{"id": n} for n in self.models]}))
        if path == "/metrics":
            return Reply(status=200, text=self._page())
        assert isinstance(body, dict)
        return self._answer(body)

    def _page(self) -> str:
        return (
            f'deployctl_cache_requests_total{{result="hit"}} {self.hits}\n'
            f"deployctl_cache_size_bytes 512\ndeployctl_cache_store_usable {int(self.usable)}\n"
        )

    def _answer(self, body: dict[str, Any]) -> Reply:
        asked = json.dumps(body, sort_keys=True)
        keeps = self.keeps_chance if body["temperature"] else self.keeps
        if keeps and asked in self.known:
            self.hits += self.counts
            return self.known[asked]
        self.known[asked] = Reply(status=200, text=json.dumps({"id": next(self.numbers)}))
        return self.known[asked]


def look(name: str, gateway: FakeGateway, *variables: str) -> Seen:
    """What one check says of a stack with this gateway."""
    wanted = WantedService(
        name="cache", published=(("127.0.0.1", 8123),), egress=False, hops=1, memory_bytes=1
    )
    at = Endpoints(
        stack="s",
        webui="http://127.0.0.1:1",
        engine="http://127.0.0.1:2",
        served_name="m",
        secrets_file="x",
        engine_key=KEY,
        admin_email="a",
        admin_password=Secret("p"),
        again="deployctl up",
    )
    subject = Subject(
        at=at,
        wanted=cast("Wanted", _Services(cache=wanted)),
        containers=(
            Container(
                service="cache",
                state=container("cache"),
                seen={"Config": {"Env": list(variables)}},
            ),
        ),
        networks=(),
        facts=facts(),
        ports=cast("Ports", _Ports(http=gateway, clock=FakeClock())),
        way=cast("Any", _Way()),
        settings=lambda: (),
    )
    (check,) = (check for check in CHECKS if check.name == name)
    return check.look(subject)


@dataclass
class _Services:
    cache: WantedService

    def service(self, name: str) -> WantedService | None:
        return self.cache if name == "cache" else None


@dataclass
class _Ports:
    http: FakeGateway
    clock: FakeClock


class _Way:
    selection = None

    def again(self, _selection: object) -> str:
        return "deployctl up --with cache"


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_gateway_that_is_well_passes(name: str) -> None:
    seen = look(name, FakeGateway())
    assert seen.status == "ok", seen.summary


@pytest.mark.parametrize(
    ("name", "gateway", "says"),
    [
        ("cache-answers", FakeGateway(down=True), "no answer"),
        ("cache-answers", FakeGateway(models=("other",)), "HTTP 200"),
        ("cache-hit", FakeGateway(keeps=False), "answered anew"),
        ("cache-hit", FakeGateway(keeps=False, usable=False), "its volume is full"),
        ("cache-hit", FakeGateway(counts=False), "was not counted"),
        ("cache-hit", FakeGateway(down=True), "no answer"),
        ("cache-sampled-not-kept", FakeGateway(keeps_chance=True), "was kept"),
        ("cache-key-required", FakeGateway(open_paths=("/metrics",)), "/metrics with no key"),
        (
            "cache-key-required",
            FakeGateway(open_paths=("/v1/chat/completions",)),
            "/v1/chat/completions with no key",
        ),
    ],
)
def test_a_check_fails_for_what_it_is_there_for(name: str, gateway: FakeGateway, says: str) -> None:
    seen = look(name, gateway)
    expected: CheckStatus = "failed"
    assert (seen.status, says in seen.summary) == (expected, True), seen.summary
    assert seen.hint


@pytest.mark.parametrize(("keeps", "status"), [(True, "ok"), (False, "failed")])
def test_where_the_profile_wants_chance_kept_it_has_to_be(keeps: bool, status: str) -> None:
    gateway = FakeGateway(keeps_chance=keeps)
    assert look("cache-sampled-not-kept", gateway, "CACHE_SAMPLED=true").status == status


def test_where_the_engine_samples_at_temperature_0_no_hit_is_wanted() -> None:
    gateway, samples = FakeGateway(keeps=False), "ENGINE_SAMPLES=true"
    assert look("cache-hit", gateway, samples).status == "skipped"
    assert look("cache-hit", gateway, samples, "CACHE_SAMPLED=true").status == "failed"


def test_the_checks_are_the_add_ons_own() -> None:
    assert {check.addon for check in CHECKS} == {"cache"}
    assert all(check.where == "cache" for check in CHECKS)
