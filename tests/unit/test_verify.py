"""Each check of ``verify`` passes on a stack that is well, and fails for what it is there for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.model import Gpu
from deployctl.verify.nouns import Subject
from deployctl.verify.registry import CHECKS, CORE, NAMES
from tests.fakes import FakeFacts, container, facts
from tests.verifyworld import CLOSED, KEPT, NETWORK, VerifyBox, reply, verify_box

GIB = 1024**3
QWEN = "qwen2.5-1.5b-instruct"


@pytest.fixture
def box(tmp_path: Path) -> VerifyBox:
    return verify_box(tmp_path)


def names(report_checks: object, status: str) -> list[str]:
    return [check.name for check in report_checks if check.status == status]  # type: ignore[attr-defined]


# ── all of them ───────────────────────────────────────────────────────────────────────────────


def test_a_stack_that_is_well_passes_every_check(box: VerifyBox) -> None:
    report = box.verify()
    assert names(report.checks, "failed") == names(report.checks, "warning") == []
    assert names(report.checks, "skipped") == ["tool-call-forced", "tool-call-auto", "model-on-gpu"]
    assert [check.name for check in report.checks] == list(CORE)
    assert (report.status, report.failed, report.passed) == ("ok", 0, len(CORE) - 3)


def test_there_are_enough_checks_and_each_says_what_it_promises() -> None:
    assert len(CHECKS) >= 18
    assert len(set(NAMES)) == len(CHECKS)
    assert all(check.promise.endswith(".") for check in CHECKS)
    for place, check in enumerate(CHECKS):  # what it needs runs before it
        assert set(check.needs) <= set(NAMES[:place])


def test_every_failed_check_has_a_command_to_type(box: VerifyBox) -> None:
    box.stack.tokens_over, box.stack.keyless = 5, True
    box.inside.way_out = CLOSED | {"ttl": 64}
    bad = [check for check in box.verify().checks if check.status == "failed"]
    assert [check.name for check in bad] == [
        "max-tokens",
        "key-required",
        "key-wrong",
        "no-egress",
    ]
    for check in bad:
        assert check.code == "check-failed"
        assert "deployctl" in check.hint


def test_an_engine_that_does_not_answer_fails_once_and_the_rest_of_it_is_skipped(
    box: VerifyBox,
) -> None:
    box.stack.up = False
    report = box.verify()
    assert names(report.checks, "failed") == ["engine-answers"]
    skipped = {check.name: check.summary for check in report.checks if check.status == "skipped"}
    assert skipped["chat"] == skipped["key-required"] == "engine-answers failed"
    assert skipped["ui-answer"] == skipped["ui-browser-path"] == "engine-answers failed"
    assert "no-egress" in names(report.checks, "ok")


def test_a_frontend_that_is_not_ready_fails_once(box: VerifyBox) -> None:
    box.stack.ready = False
    report = box.verify()
    assert names(report.checks, "failed") == ["frontend-answers"]
    skipped = {check.name for check in report.checks if check.summary == "frontend-answers failed"}
    assert skipped == {
        *("sign-in", "ui-answer", "ui-browser-path", "ui-settings", "sign-up-closed"),
    }


def test_only_runs_only_these_in_the_order_of_the_list(box: VerifyBox) -> None:
    assert [check.name for check in box.verify("memory", "chat").checks] == ["chat", "memory"]


def test_a_check_that_does_not_exist_is_named_with_the_nearest(box: VerifyBox) -> None:
    with pytest.raises(DeployctlError, match="did you mean no-egress") as refused:
        box.verify("no-egres")
    (fault,) = refused.value.faults
    assert (fault.code, fault.hint) == ("usage", "deployctl verify --only no-egress")
    assert all(name in fault.details[0] for name in NAMES)


@pytest.mark.parametrize("missing", ["engine", "webui"])
def test_a_stack_that_does_not_run_is_said_so_with_the_command_that_starts_it(
    box: VerifyBox, missing: str
) -> None:
    box.docker.states[missing] = container(missing, status="exited")
    with pytest.raises(DeployctlError) as refused:
        box.verify()
    (fault,) = refused.value.faults
    assert (fault.code, int(refused.value.exit_code)) == ("stack-not-running", 6)
    assert fault.hint == "deployctl up --profile smoke"
    assert fault.details == (f"{missing}: exited",)


def test_a_stack_that_never_was_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(DeployctlError) as refused:
        VerifyBox(home=tmp_path).verify()
    assert refused.value.faults[0].code == "stack-unknown"


def test_a_bug_of_ours_is_not_a_failed_check(box: VerifyBox) -> None:
    box.stack.metrics = True
    box.stack._metrics = None  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError):
        box.verify("metrics")


def test_a_profile_that_is_another_by_now_is_not_used(box: VerifyBox) -> None:
    mine = box.home / "mine.yaml"
    mine.write_text("extends: smoke\n")
    fresh = VerifyBox(home=box.home).bring_up(str(mine))
    mine.write_text("extends: smoke\nmodel: {context: 1024}\n")
    said = fresh.one("memory").summary
    assert said.endswith("nothing predicted: its profile says something else by now")
    assert fresh.verify().failed == 0


# ── each of them ──────────────────────────────────────────────────────────────────────────────

#: name of the check, knob of the fake, its value, what the summary then says
KNOBS: list[tuple[str, str, Any, str]] = [
    ("served-model", "models", ("smollm2-135m", "other"), "serves smollm2-135m, other"),
    ("served-model", "models", (), "serves no model"),
    ("chat", "answer", " ", "it is empty"),
    ("streaming", "stream_usage", False, "a count of its tokens"),
    ("streaming", "stream_done", False, "the closing [DONE]"),
    ("streaming", "stream_breaks", True, "the stream broke"),
    ("streaming", "answer", "One", "more than 1 pieces"),
    ("context-limit", "limit", None, "not a clear refusal"),
    ("context-limit", "limit", 1024, "does not name 2048 tokens"),
    ("context-limit", "after_refusal", 500, "after a refusal the engine said HTTP 500"),
    ("max-tokens", "tokens_over", 5, "21 tokens came (measured) where 16 were asked for"),
    ("max-tokens", "tokens_over", -5, "ended after 11 of 16 tokens"),
    ("max-tokens", "reason", "stop", "with reason stop"),
    ("reasoning-split", "answer", "<think>Hm.</think> Hello.", "contains <think>"),
    ("reasoning-split", "thoughts", "Hm, well.", "does not think, and 10 characters"),
    ("json-schema", "paint", "Blue, three.", "no JSON"),
    ("json-schema", "paint", '{"colour": "blue"}', "not the two keys"),
    ("json-schema", "paint", '{"colour": "pink", "count": 1}', "none of red, green, blue"),
    ("json-schema", "paint", '{"colour": "red", "count": true}', "no whole number"),
    ("concurrency", "slots", 3, "room for 3 conversations at once (measured), where 2 were"),
    ("concurrency", "places", 1, "at most 1 at the same time"),
    ("key-required", "keyless", True, "not HTTP 401"),
    ("key-wrong", "keyless", True, "not HTTP 401"),
    ("metrics", "metrics", False, "/metrics says HTTP 501"),
    ("sign-up-closed", "sign_up", reply({"detail": "invalid email"}, 400), "sign-up is open"),
    ("ui-browser-path", "ui_params", {}, "adds its tools to every message"),
    ("ui-browser-path", "ui_tokens", 5037, "read 5037 tokens for a question of 37"),
    ("ui-browser-path", "ui_error", {"content": "no parser"}, "shows an error: “no parser”"),
    ("ui-browser-path", "ui_answer", "", "got no answer"),
    ("ui-browser-path", "page_reply", Reply(status=0, text="timed out"), "request gave no answer"),
    ("ui-browser-path", "page_reply", reply({"status": True}), "request gave HTTP 200"),
    ("ui-browser-path", "undeletable", True, "could not be deleted again"),
    ("ui-settings", "settings", {"ui.enable_signup": True}, "1 settings of the chat window"),
]


@pytest.mark.parametrize(("name", "knob", "value", "says"), KNOBS)
def test_a_check_fails_for_what_it_is_there_for(
    box: VerifyBox, name: str, knob: str, value: object, says: str
) -> None:
    assert box.one(name).status == "ok"
    setattr(box.stack, knob, value)
    seen = box.one(name)
    assert (seen.status, seen.code) == ("failed", "check-failed")
    assert says in seen.summary
    assert seen.hint


def test_the_question_of_the_page_is_deleted_again_even_after_an_error(box: VerifyBox) -> None:
    box.stack.ui_error = {"content": "no"}
    box.one("ui-browser-path")
    assert (len(box.stack.deleted), box.stack.chats) == (1, {})
    (sent,) = (body for body in box.stack.asked if "session_id" in body)
    assert {"id", "parent_id", "user_message", "background_tasks", "session_id"} <= set(sent)


def test_the_frontend_that_refuses_the_administrator_fails_with_its_own_hint(
    box: VerifyBox,
) -> None:
    (box.home / "stacks/deployctl/session").unlink()
    box.stack.sign_in = reply({"detail": "The password is incorrect"}, 400)
    seen = box.one("ui-answer")
    assert seen.status == "failed"
    assert "refused the stored administrator" in seen.summary
    assert "write the new one into admin_password" in seen.hint


def test_credentials_that_do_not_sign_in_fail_once_and_are_tried_once(box: VerifyBox) -> None:
    (box.home / "stacks/deployctl/session").write_text("of before the password was changed")
    box.stack.sign_in = reply({"detail": "The password is incorrect"}, 400)
    report = box.verify()
    assert names(report.checks, "failed") == ["sign-in"]
    skipped = {check.name for check in report.checks if check.summary == "sign-in failed"}
    assert skipped == {"ui-answer", "ui-browser-path", "ui-settings"}
    seen = next(check for check in report.checks if check.name == "sign-in")
    assert "refused the stored administrator" in seen.summary
    assert "write the new one into admin_password of " in seen.hint
    assert seen.hint.endswith("secrets.json, then: deployctl up --profile smoke")
    assert box.stack.sign_ins == 1


def test_a_session_that_outlives_the_credentials_does_not_pass_for_them(box: VerifyBox) -> None:
    box.stack.sign_in = reply({"detail": "The email is incorrect"}, 400)
    assert box.one("ui-answer").status == "ok"
    assert box.one("sign-in").status == "failed"


def test_a_credentials_file_that_is_not_what_signs_in_is_a_warning(box: VerifyBox) -> None:
    sheet = box.home / "stacks/deployctl/credentials"
    assert box.one("sign-in").summary.endswith("signs in as the credentials file says")
    sheet.write_text(sheet.read_text().replace("password:", "password: x"))
    seen = box.one("sign-in")
    assert (seen.status, seen.hint) == ("warning", "deployctl up --profile smoke")
    assert seen.summary == "secrets.json signs in, and the credentials file differs"
    sheet.unlink()
    assert box.one("sign-in").summary.endswith("the credentials file is gone")


def test_too_many_sign_ins_skip_it_and_no_answer_fails_it(box: VerifyBox) -> None:
    box.stack.sign_in = Reply(status=429, text="")
    seen = box.one("sign-in")
    assert (seen.status, "15 in three minutes" in seen.summary) == ("skipped", True)
    assert box.verify("sign-in", "ui-answer").passed == 1  # with the session of before
    box.stack.sign_in = Reply(status=0, text="timed out")
    seen = box.one("sign-in")
    assert (seen.status, seen.hint) == ("failed", "deployctl status --stack deployctl")


def test_an_empty_answer_through_the_frontend_fails(box: VerifyBox) -> None:
    box.stack.answer = ""
    seen = box.one("ui-answer")
    assert (seen.status, seen.hint) == ("failed", "deployctl logs --stack deployctl")


@pytest.mark.parametrize("page", [Reply(status=0, text="timed out"), reply({"detail": "x"}, 500)])
def test_a_chat_whose_making_nobody_confirmed_is_found_and_deleted(
    box: VerifyBox, page: Reply
) -> None:
    box.stack.chats = {"mine": "another-message"}
    box.stack.page_reply = page
    assert box.one("ui-browser-path").status == "failed"
    assert len(box.stack.deleted) == 1
    assert list(box.stack.chats) == ["mine"]


# ── models that think, models with tools ──────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_are_accepted_under_both_names(tmp_path: Path, name: str) -> None:
    box = VerifyBox(home=tmp_path).bring_up("smoke", "model.reasoning=true")
    assert box.one("reasoning-split").status == "failed"  # it is to think, and does not
    box.stack.thoughts, box.stack.thoughts_name = "Hm, well.", name
    seen = box.one("reasoning-split")
    assert (seen.status, seen.summary[:27]) == ("ok", "10 characters of thoughts i")


def test_a_model_that_can_use_tools_is_asked_to(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("cpu-only", "model.tools=true", model=QWEN)
    box.stack.template_tools = True
    forced, automatic = box.verify("tool-call-forced", "tool-call-auto").checks
    assert forced.status == automatic.status == "ok"
    assert '"count": 3' in forced.summary
    box.stack.calls_tools = False
    forced, automatic = box.verify("tool-call-forced", "tool-call-auto").checks
    assert (forced.status, automatic.status) == ("ok", "warning")
    asked = next(body for body in box.stack.asked if body.get("tool_choice") == "required")
    assert asked["messages"][-1] == {"role": "assistant", "content": '<tool_call>\n{"name": "'}
    box.stack.holds_to_grammar = False  # then it is the engine that does not do as it is told
    assert box.one("tool-call-forced").status == "failed"
    box.stack.opening = "</s><assistant>"
    box.stack.calls_tools, box.stack.paint = True, '{"colour": 3}'
    forced, automatic = box.verify("tool-call-forced", "tool-call-auto").checks
    assert forced.status == automatic.status == "failed"
    assert "arguments are wrong" in forced.summary


def test_vllm_holds_a_model_to_the_tool_that_is_named(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("cpu-vllm", "model.tools=true", model=QWEN)
    assert box.one("tool-call-forced").status == "ok"
    choice = box.stack.asked[-1]["tool_choice"]
    assert choice == {"type": "function", "function": {"name": "record_paint"}}
    assert box.stack.asked[-1]["tools"][0]["function"]["strict"] is True
    box.stack.calls_tools = False
    assert box.one("tool-call-forced").status == "failed"


def test_a_stack_with_vllm_passes_too(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("smoke-vllm")
    box.docker.tails = {}  # vLLM's log does not say how many threads it uses; its environment does
    box.change("engine", "Config", "Env", to=["OMP_NUM_THREADS=2"])
    report = box.verify()
    assert names(report.checks, "failed") == []
    assert "2 threads as planned" in box.one("processor-threads").summary
    skipped = {check.name: check.summary for check in report.checks if check.status == "skipped"}
    assert "started without a parser for tool calls" in skipped["tool-call-forced"]


def test_a_chat_window_that_sends_its_tools_may_where_the_profile_says_so(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("cpu-only", "model.tools=true", model=QWEN)
    box.stack.ui_params, box.stack.ui_tokens = {}, 5037
    assert box.one("ui-browser-path").status == "ok"


# ── containers ────────────────────────────────────────────────────────────────────────────────

RULES: list[tuple[str, str, object, str]] = [
    ("Config", "User", "", "its user is root"),
    ("Config", "User", "0:0", "its user is 0:0"),
    ("HostConfig", "ReadonlyRootfs", False, "root file system can be written"),
    ("HostConfig", "CapDrop", None, "it keeps capabilities"),
    ("HostConfig", "CapAdd", ["NET_RAW"], "it is given capabilities"),
    ("HostConfig", "Privileged", True, "it is privileged"),
    ("HostConfig", "SecurityOpt", [], "may gain privileges"),
    ("HostConfig", "Memory", 0, "its memory is not limited"),
    ("HostConfig", "PidsLimit", None, "its processes are not limited"),
    ("HostConfig", "NetworkMode", "host", "shares a namespace"),
]


@pytest.mark.parametrize(("block", "key", "value", "says"), RULES)
def test_a_ground_rule_that_docker_was_not_told_fails(
    box: VerifyBox, block: str, key: str, value: object, says: str
) -> None:
    box.change("engine", block, key, to=value)
    seen = box.one("hardening")
    assert seen.status == "failed"
    assert (seen.where, len(seen.details)) == ("engine", 1)
    assert says in seen.details[0]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("uid 10001", "uid 0", "its programs are root"),
        ("CapEff:\t0000000000000000", "CapEff:\t0000000000000400", "CapEff is 0000000000000400"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "privileges can be gained"),
        ("refused\nrefused", "refused\nwrote /var/tmp", "could be written in /var/tmp"),
        (KEPT, "", "could not be looked into"),
        (KEPT, "uid 10001\nrefused", "could not be looked into"),  # no `grep` in there
    ],
)
def test_what_is_seen_inside_counts_whatever_docker_says(
    box: VerifyBox, before: str, after: str, says: str
) -> None:
    box.inside.seen_inside = KEPT.replace(before, after)
    seen = box.one("hardening")
    assert seen.status == "failed"
    assert any(says in line for line in seen.details)


def test_unhealthy_fails_and_starting_is_waited_for(box: VerifyBox) -> None:
    box.docker.states["webui"] = container("webui", health="unhealthy")
    seen = box.one("healthchecks")
    assert (seen.status, seen.summary, seen.where) == ("failed", "webui is unhealthy", "webui")
    assert box.clock.seconds == 0
    box.docker.states["webui"] = container("webui", health="starting")
    assert box.one("healthchecks").status == "failed"
    assert box.clock.seconds >= 15


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"status": "exited", "exit_code": 137, "oom_killed": True}, "needed more memory than its"),
    ({"status": "exited", "exit_code": 1}, "is exited (exit code 1), not running"),
    ({"restarts": 1}, "was restarted by Docker while it was checked, 1 times"),
    ({"oom_killed": True}, "needed more memory than its limit"),
    ({"id": "id-another"}, "is another container than when the checks began"),
    ({"started_at": "2026-11-22T12:00:00Z"}, "was started again while it was checked"),
    ({"status": "restarting"}, "is restarting, not running"),
]


@pytest.mark.parametrize("name", ["healthchecks", "memory"])
@pytest.mark.parametrize(("change", "says"), CHANGES)
def test_an_engine_that_ended_while_it_was_checked_fails(
    box: VerifyBox, name: str, change: dict[str, Any], says: str
) -> None:
    def killed(subject: Subject) -> None:
        box.docker.states["engine"] = replace(box.docker.states["engine"], **change)

    seen = box.look(name, killed)
    assert (seen.status, seen.where) == ("failed", "engine")
    assert f"engine {says}" in seen.summary or says in seen.summary


def test_a_wanted_service_without_a_container_fails(box: VerifyBox) -> None:
    def removed(subject: Subject) -> None:
        del box.docker.states["webui"]

    assert box.look("healthchecks", removed).summary == "webui has no container"


def test_memory_is_measured_against_prediction_and_limit(box: VerifyBox) -> None:
    said = box.one("memory").summary
    assert "engine 200 MiB measured" in said
    assert "predicted, limit 448 MiB" in said
    box.docker.used = {"id-engine": 460_000_000, "id-webui": 1}
    seen = box.one("memory")
    assert (seen.status, seen.where) == ("failed", "engine")
    assert "98% of its limit" in seen.details[0]
    assert seen.hint == "deployctl plan --profile smoke"


def test_a_process_that_was_killed_for_memory_fails_it(box: VerifyBox) -> None:
    box.inside.oom_kills = 2
    assert "killed 2 of its processes" in box.one("memory").details[0]


def test_a_limit_that_is_not_the_plans_fails_it(box: VerifyBox) -> None:
    box.change("webui", "HostConfig", "Memory", to=GIB)
    assert "limit is 1.0 GiB, the plan's is 2.0 GiB" in box.one("memory").details[0]


# ── published ─────────────────────────────────────────────────────────────────────────────────


def test_published_beyond_loopback_fails_by_dockers_word(box: VerifyBox) -> None:
    ports = {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}]}
    box.change("engine", "NetworkSettings", "Ports", to=ports)
    seen = box.one("published-loopback")
    assert seen.status == "failed"
    assert seen.details == ("engine is published at 0.0.0.0:9000 (Docker)",)
    assert seen.summary.endswith("ask for it: 1 place")


def test_published_beyond_loopback_fails_by_trying(box: VerifyBox) -> None:
    box.facts = FakeFacts(facts(addresses=("127.0.0.1", "192.168.1.20")))
    assert "2 tries at 1 other address of" in box.one("published-loopback").summary
    box.stack.listening = (("192.168.1.20", 8000),)
    seen = box.one("published-loopback")
    assert seen.details == ("something answers at 192.168.1.20:8000 (tried)",)


def test_a_program_of_somebody_else_at_that_port_is_named_and_no_failure(box: VerifyBox) -> None:
    box.facts = FakeFacts(facts(addresses=("127.0.0.1", "192.168.1.20")))
    box.stack.listening = (("192.168.1.20", 7860),)

    def proxy(subject: Subject) -> Subject:
        def holder(address: str, port: int) -> str | None:
            return "process nginx (pid 812)" if port == 7860 else None

        return replace(subject, ports=replace(subject.ports, holder=holder))

    seen = box.look("published-loopback", proxy)
    assert seen.status == "warning"
    assert seen.details == ("process nginx (pid 812) listens at 192.168.1.20:7860 (tried)",)
    box.stack.listening = (("192.168.1.20", 7860), ("192.168.1.20", 8000))
    seen = box.look("published-loopback", proxy)
    assert seen.status == "failed"
    assert seen.details == ("something answers at 192.168.1.20:8000 (tried)",)


def test_what_the_profile_publishes_in_the_network_is_as_asked(tmp_path: Path) -> None:
    sets = ("exposure=lan", "ports.address=192.168.1.20")
    here = facts(addresses=("127.0.0.1", "192.168.1.20"))
    box = VerifyBox(home=tmp_path, facts=FakeFacts(here)).bring_up("smoke", *sets)
    box.stack.listening = (("192.168.1.20", 7860),)
    both = [{"HostIp": ip, "HostPort": "7860"} for ip in ("127.0.0.1", "192.168.1.20")]
    box.change("webui", "NetworkSettings", "Ports", to={"8080/tcp": both})
    seen = box.one("published-loopback")
    assert (seen.status, "at 192.168.1.20:7860" in seen.summary) == ("ok", True)
    box.stack.listening = (("192.168.1.20", 7860), ("192.168.1.20", 8000))
    assert box.one("published-loopback").status == "failed"


# ── egress ────────────────────────────────────────────────────────────────────────────────────


def tried(**ends: str) -> dict[str, Any]:
    return CLOSED | {"tries": {way: end.replace("_", "-") for way, end in ends.items()}}


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (tried(TCP="answered"), "TCP was answered"),
        (tried(TCP="refused"), "refused by somebody beyond"),
        (tried(UDP="silent"), "went out and nobody said no"),
        (tried(UDP="far"), "stopped by somebody beyond"),
        (CLOSED | {"ttl": 64}, "survive 64 hops, not 1"),
        (CLOSED | {"name": "93.184.216.34"}, "resolves to 93.184.216.34"),
        (CLOSED | {"ipv6": "route"}, "a way out by IPv6"),
    ],
)
def test_a_way_out_fails_however_it_shows(box: VerifyBox, seen: dict[str, Any], says: str) -> None:
    box.inside.way_out = seen
    result = box.one("no-egress")
    assert result.status == "failed"
    assert [line.partition(":")[0] for line in result.details] == ["engine", "webui"]
    assert says in result.details[0]


def test_networks_that_lead_out_and_open_resolvers_fail(box: VerifyBox) -> None:
    box.docker.nets = (NETWORK, {"Id": "n2", "Name": "deployctl_internet", "Options": {}})
    box.change("webui", "NetworkSettings", "Networks", "deployctl_internet", to={"NetworkID": "n2"})
    box.change("engine", "HostConfig", "Dns", to=["127.0.0.1", "9.9.9.9"])
    details = box.one("no-egress").details
    assert details == (
        "engine: its resolver asks 127.0.0.1, 9.9.9.9 (Docker)",
        "webui: it is in network deployctl_internet, which leads out (Docker)",
    )


def test_a_network_of_others_fails_too(box: VerifyBox) -> None:
    box.change("webui", "NetworkSettings", "Networks", "proxy", to={"NetworkID": "n9"})
    assert "network proxy, which is not the stack's" in box.one("no-egress").details[0]


def test_on_a_machine_without_a_way_out_it_is_judged_by_what_closes_it(box: VerifyBox) -> None:
    box.inside.way_out = tried(TCP="unknown_here", UDP="no_route")
    assert "this machine has no way out itself; judged by" in box.one("no-egress").summary
    box.inside.way_out = tried(TCP="unknown_here", UDP="no_route") | {"ttl": 64}
    assert box.one("no-egress").status == "failed"


def test_not_being_able_to_look_is_no_pass(box: VerifyBox) -> None:
    box.inside.way_out = None
    seen = box.one("no-egress")
    assert (seen.status, seen.summary) == ("failed", "could not look from inside the containers")
    assert "no such image" in seen.details[0]


def test_a_closed_service_without_a_container_is_no_pass(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("smoke", "egress=frontend")

    def without(subject: Subject) -> Subject:
        kept = tuple(c for c in subject.containers if c.service != "engine")
        return replace(subject, containers=kept)

    seen = box.look("no-egress", without)
    assert (seen.status, seen.where) == ("failed", "engine")
    assert "no running container to look from" in seen.summary


def test_who_may_reach_out_by_the_profile_is_not_held_to_it(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("smoke", "egress=frontend")
    seen = box.one("no-egress")
    assert (seen.status, seen.summary.endswith("webui may, as asked")) == ("ok", True)
    box.inside.way_out = CLOSED | {"ttl": 64}
    assert box.one("no-egress").details == (
        "engine: its packets survive 64 hops, not 1 (measured)",
    )
    opened = VerifyBox(home=tmp_path).bring_up("smoke", "egress=all").one("no-egress")
    assert opened.status == "skipped"


# ── secrets ───────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_others_can_read_fails(box: VerifyBox) -> None:
    (box.home / "stacks/deployctl/.env").chmod(0o644)
    seen = box.one("secrets-private")
    assert seen.status == "failed"
    assert seen.details == (".env has mode 0644",)
    assert seen.hint.startswith("chmod ")


def test_a_folder_with_a_blank_in_its_name_can_be_typed(tmp_path: Path) -> None:
    box = verify_box(tmp_path / "my home")
    (box.home / "stacks/deployctl/.env").chmod(0o644)
    folder = f"'{box.home}/stacks/deployctl'"
    assert box.one("secrets-private").hint.startswith(f"chmod -R go-rwx {folder}; ")


def test_a_secret_in_a_log_or_on_a_command_line_fails_and_is_not_repeated(box: VerifyBox) -> None:
    key = box.stack.key.reveal()
    log = box.home / "stacks/deployctl/deployctl.log"
    log.write_text(f"key {key}\n")
    (box.home / "stacks/deployctl/proved.json").write_text(f'{{"x": "{key}"}}\n')
    box.change("engine", "Args", to=["--api-key", key])
    seen = box.one("secrets-private")
    assert seen.details == (
        "engine_key is written in proved.json",
        "engine_key is written in deployctl.log",
        "engine_key is on a command line or in a label of engine",
    )
    assert key not in str(seen)


# ── what it computes on ───────────────────────────────────────────────────────────────────────


def test_threads_other_than_planned_fail(tmp_path: Path) -> None:
    box = VerifyBox(home=tmp_path).bring_up("smoke", "engine.cpus=2")
    assert "2 threads as planned" in box.one("processor-threads").summary
    box.docker.tails = {"id-engine": ("x: n_threads = 1",)}
    seen = box.one("processor-threads")
    assert seen.status == "failed"
    assert "uses 1 threads (its log), planned are 2" in seen.summary
    box.docker.tails = {}
    seen = box.one("processor-threads")
    assert seen.status == "failed"
    assert "does not say how many threads it uses (its environment)" in seen.summary
    box.change("engine", "Config", "Env", to=["LLAMA_ARG_THREADS=2"])
    assert box.one("processor-threads").status == "ok"


ON_CARD = ("load_tensors: offloaded 29/29 layers to GPU",)
CARD = Gpu(
    name="NVIDIA GeForce RTX 3060",
    memory_bytes=12 * GIB,
    memory_free_bytes=4 * GIB,
    driver="580.1",
    compute_capability="8.6",
)


@pytest.fixture
def on_card(tmp_path: Path) -> VerifyBox:
    """A stack of fakes whose profile asks for a card, with that card."""
    here = facts(gpus=(CARD,), container_toolkit=True)
    box = VerifyBox(home=tmp_path, facts=FakeFacts(here)).bring_up("gpu-6gb-gguf")
    box.docker.tails = {"id-engine": ON_CARD}
    box.change("engine", "HostConfig", "DeviceRequests", to=[{"Capabilities": [["gpu"]]}])
    box.docker.states["engine"] = replace(
        box.docker.states["engine"], started_at="2026-11-22T12:00:00Z"
    )
    clock = box.clock
    asked = box.stack._chat

    def slowly(body: dict[str, Any]) -> Any:
        clock.sleep(0.5)
        return asked(body)

    box.stack._chat = slowly  # type: ignore[method-assign]
    return box


def test_a_model_on_its_card_passes_with_what_shows_it(on_card: VerifyBox) -> None:
    seen = on_card.one("model-on-gpu")
    assert seen.status == "ok", seen
    for part in ("29 of 29 layers", "8.0 GiB of NVIDIA", "48 tokens/s measured"):
        assert part in seen.summary
    assert on_card.one("processor-threads").status == "skipped"


def test_the_way_to_the_card_is_named_and_each_counts(on_card: VerifyBox) -> None:
    assert on_card.one("model-on-gpu").summary.startswith("given by a reservation; ")
    on_card.change("engine", "HostConfig", "DeviceRequests", to=[{"Driver": "cdi"}])
    assert on_card.one("model-on-gpu").summary.startswith("given by CDI; ")
    on_card.change("engine", "HostConfig", "DeviceRequests", to=None)
    on_card.change("engine", "HostConfig", "Runtime", to="nvidia")
    on_card.change("engine", "Config", "Env", to=["NVIDIA_VISIBLE_DEVICES=all"])
    seen = on_card.one("model-on-gpu")
    assert (seen.status, seen.summary[:25]) == ("ok", "given by NVIDIA's runtime")
    on_card.inside.card = ""
    assert "had a card and lost it" in on_card.one("model-on-gpu").details[0]


def test_a_model_that_is_only_partly_on_the_card_fails(on_card: VerifyBox) -> None:
    on_card.docker.tails = {"id-engine": ("load_tensors: offloaded 12/29 layers to GPU",)}
    assert "Only 12 of the model's 29 layers" in on_card.one("model-on-gpu").details[0]


def test_an_engine_that_found_no_card_fails(on_card: VerifyBox) -> None:
    on_card.docker.tails = {"id-engine": ("warning: no usable GPU found, …",)}
    assert "computes on the processor" in on_card.one("model-on-gpu").details[0]


def test_a_container_that_was_given_no_card_fails(on_card: VerifyBox) -> None:
    on_card.change("engine", "HostConfig", "DeviceRequests", to=None)
    assert "was given no card (Docker)" in on_card.one("model-on-gpu").details[0]


def test_an_empty_card_fails(on_card: VerifyBox) -> None:
    empty = replace(CARD, memory_free_bytes=12 * GIB)
    on_card.facts = FakeFacts(facts(gpus=(empty,)))
    assert "are in use (measured), the weights alone need" in on_card.one("model-on-gpu").details[0]


def test_a_card_that_the_container_has_lost_fails(on_card: VerifyBox) -> None:
    on_card.inside.card = ""
    assert "had a card and lost it" in on_card.one("model-on-gpu").details[0]


def test_the_speed_of_a_processor_fails(on_card: VerifyBox) -> None:
    asked = on_card.stack._chat
    clock = on_card.clock

    def crawling(body: dict[str, Any]) -> Any:
        clock.sleep(30)
        return asked(body)

    on_card.stack._chat = crawling  # type: ignore[method-assign]
    assert "it computes on the processor" in on_card.one("model-on-gpu").details[0]


def test_an_open_sign_up_is_closed_by_what_opened_it(box: VerifyBox) -> None:
    box.stack.sign_up = reply({"detail": "The email format is wrong."}, 400)
    by_override = box.one("sign-up-closed")
    assert by_override.hint.startswith("remove ENABLE_SIGNUP from compose.override.yaml, then: ")
    box.stack.settings = {"ui.enable_signup": True}
    seen = box.one("sign-up-closed")
    assert seen.summary.startswith("sign-up is open: Admin Settings > General > New Sign Ups")
    assert seen.hint == "deployctl reconcile webui --stack deployctl"


def test_no_answer_by_a_setting_names_it_and_the_way_back(box: VerifyBox) -> None:
    url = "OPENAI_API_BASE_URL=http://engine:8080/v1"
    box.docker.inspected["id-webui"]["Config"]["Env"].append(url)
    box.stack.settings = {"openai.enable": False}
    box.stack.ui_error = {"content": "Model not found"}
    page = box.one("ui-browser-path")
    box.stack.answer = " "
    for seen in (page, box.one("ui-answer")):
        assert "Admin Settings > Connections > OpenAI API (openai.enable) is off" in seen.summary
        assert seen.hint == "deployctl reconcile webui --stack deployctl"
