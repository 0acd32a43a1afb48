"""Texts of real failures → their code, cause and way out."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployctl.catalog import Catalog
from deployctl.deploy.world import UpRequest
from deployctl.diagnosis import Evidence, Way
from deployctl.diagnosis.containers import ENDS
from deployctl.diagnosis.diagnose import SIGNS, diagnose, refused
from deployctl.diagnosis.lifetimes import last_start
from deployctl.diagnosis.questions import QUESTIONS
from deployctl.diagnosis.signs import Found, Sign, best
from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.engines.vllm import KIND as VLLM
from deployctl.errors import CODES, Fault
from deployctl.model import Plan, WeightsSpec
from deployctl.outcomes import ContainerState
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.selection import Selection
from deployctl.sources import parse_source

RECORDS = Path(__file__).parent / "records/failures"
CATALOG = Catalog({"HOME": "/nonexistent"})

#: What a hint may begin with, beside deployctl itself.
SHELL = {"cat", "docker", "nvidia-smi", "chmod", "grep", "sudo", "hostname", "ls", "rm"}


def plan_of(selection: Selection) -> Plan:
    return build_plan(resolve(selection, CATALOG.readers()))


def way(profile: str = "smoke", *sets: str, stack: str = "deployctl") -> Way:
    selection = Selection(profile=profile, sets=sets)
    request = UpRequest(stack=stack, selection=selection)
    return Way(stack=stack, selection=selection, again=request.again_with, plan=plan_of(selection))


def state(service: str = "engine", **parts: object) -> ContainerState:
    values: dict[str, object] = {
        "service": service,
        "id": "c1",
        "status": "exited",
        "health": None,
        "exit_code": 1,
        "oom_killed": False,
        "restarts": 0,
        "config_hash": None,
        "image": "image:tag",
        "image_id": "sha256:1",
        "working_dir": None,
    }
    return ContainerState(**{**values, **parts})  # type: ignore[arg-type]


def lines(name: str) -> tuple[str, ...]:
    return tuple((RECORDS / f"{name}.txt").read_text().splitlines())


def kind(name: str) -> str:
    """Which engine a record is of, by its name."""
    return VLLM if name.startswith("vllm") else LLAMA_CPP


def seen(
    name: str, chosen: Way | None = None, *, service: str = "engine", **parts: object
) -> Fault:
    evidence = Evidence(
        service=service,
        engine=kind(name),
        state=state(service, **parts),
        log=lines(name),
    )
    return diagnose(evidence, chosen or way())


# ── real logs ─────────────────────────────────────────────────────────────────────────────────

LOGS = {
    "llama-server-cut-0": "engine-weights-invalid",
    "llama-server-cut-10": "engine-weights-invalid",
    "llama-server-cut-1000": "engine-weights-invalid",
    "llama-server-cut-1500000": "engine-weights-invalid",
    "llama-server-cut-50000000": "engine-weights-invalid",
    "llama-server-page": "engine-weights-invalid",
    "llama-server-tensor": "engine-weights-invalid",
    "llama-server-version": "engine-model-unsupported",
    "llama-server-arch": "engine-model-unsupported",
    "llama-server-pretok": "engine-model-unsupported",
    "llama-server-tokmodel": "engine-model-unsupported",
    "llama-server-secret": "engine-weights-denied",
    "llama-server-missing": "engine-weights-missing",
    "llama-server-mlock": "engine-flag-unknown",
    "llama-server-nommap": "engine-flag-unknown",
    "llama-server-draft": "engine-flag-unknown",
    "llama-server-noval": "engine-value-invalid",
    "llama-server-badval": "engine-value-invalid",
    "llama-server-badenum": "engine-value-invalid",
    "llama-server-badjson": "engine-value-invalid",
    "llama-server-env": "engine-value-invalid",
    "llama-server-tmpl": "engine-value-invalid",
    "llama-server-lora": "engine-value-invalid",
    "llama-server-kvq": "engine-value-invalid",
    "llama-server-hugectx": "engine-kv-short",
    "llama-server-hostbad": "engine-port-taken",
    "vllm-flag": "engine-flag-unknown",
    "vllm-context": "engine-context-too-long",
    "vllm-pool": "engine-kv-short",
    "open-webui-notdb": "frontend-data-damaged",
    "open-webui-malformed": "frontend-data-damaged",
    "open-webui-newer": "frontend-data-newer",
    "open-webui-nodb": "frontend-data-denied",
    "open-webui-ro2": "frontend-data-denied",
    "open-webui-denied": "frontend-data-denied",
    "open-webui-nokeydenied": "frontend-data-denied",
    "open-webui-full2": "frontend-disk-full",
    "open-webui-badport": "frontend-value-invalid",
    "open-webui-lowport": "frontend-port-taken",
    "open-webui-badhost": "frontend-port-taken",
    "open-webui-dburl": "frontend-crashed",
}

REFUSALS = {
    "port": "start-port-taken",
    "port2": "start-port-taken",
    "port28": "start-port-taken",
    "port28b": "start-port-taken",
    "port28other": "start-port-taken",
    "addr28": "start-address-missing",
    "addr28b": "start-address-missing",
    "api": "start-docker-lost",
    "apidenied": "docker-denied",
    "nvmismatch": "start-gpu-driver-changed",
    "nvlibrary": "start-gpu-driver-changed",
    "addr": "start-address-missing",
    "bind": "start-mount-denied",
    "binddir": "start-mount-denied",
    "gpu": "start-gpu-toolkit-missing",
    "cdi": "start-gpu-toolkit-missing",
    "runtime": "start-gpu-toolkit-missing",
    "dri": "start-device-missing",
    "net": "start-network-failed",
    "subnet": "start-network-failed",
    "image": "image-missing",
    "entry": "compose-failed",
    "notexec": "compose-failed",
    "user": "compose-failed",
    "mem": "compose-failed",
    "plat": "start-platform",
    "cpus": "start-cpus-too-many",
}


@pytest.mark.parametrize(("name", "code"), LOGS.items())
def test_a_real_log_is_understood(name: str, code: str) -> None:
    service = "webui" if name.startswith("open-webui") else "engine"
    fault = seen(name, service=service)
    assert fault.code == code
    assert fault.where == service
    assert 1 <= len(fault.details) <= 8
    assert "unknown" not in fault.message
    # In a loop of restarts the same is found, whatever the exit code is said to be.
    log = lines(name) * 3
    again = Evidence(
        service=service,
        engine=kind(name),
        state=state(service, status="restarting", exit_code=0, restarts=3),
        log=log[-400:],
    )
    assert diagnose(again, way()).code == code
    assert diagnose(again, way()).message == fault.message


@pytest.mark.parametrize(("name", "code"), REFUSALS.items())
def test_a_real_refusal_of_docker_is_understood(name: str, code: str) -> None:
    chosen = way(stack=f"dctl-diag-{name}")
    fault = refused(lines(f"docker-{name}"), chosen)
    assert fault is not None
    assert fault.code == code
    created = state(status="created", error=lines(f"docker-{name}")[-1])
    assert diagnose(Evidence(service="engine", engine=LLAMA_CPP, state=created), chosen).code in (
        code,
        "engine-exited",  # the last line is not the reason where Compose says more after it
    )


def test_what_docker_says_of_nothing_in_particular_is_the_callers() -> None:
    assert (
        refused(("Container s-engine-1  Starting", "Error response from daemon: oh"), way()) is None
    )
    assert refused((), way()) is None
    assert refused(lines("docker-vol"), way()) is None


# ── ways out ──────────────────────────────────────────────────────────────────────────────────


def test_a_flag_that_is_gone_names_what_replaced_it_and_the_rest_of_the_list_stays() -> None:
    chosen = way("smoke", 'engine.extra_args=["--threads-http","4","--mlock"]')
    fault = seen("llama-server-mlock", chosen)
    assert fault.message == (
        "The engine does not know `--mlock`: `--load-mode mlock` has replaced it, and deployctl "
        "sets that flag itself, as the profile's device needs it."
    )
    assert fault.hint == (
        'deployctl up --profile smoke --set \'engine.extra_args=["--threads-http","4"]\''
    )
    assert "error: invalid argument: --mlock" in fault.details


def test_a_flag_with_a_new_name_is_renamed_with_its_value() -> None:
    chosen = way("smoke", 'engine.extra_args=["--draft","4","--threads-http","4"]')
    fault = seen("llama-server-draft", chosen)
    assert "`--spec-draft-n-max`" in fault.message
    assert shlex.split(fault.hint)[-1] == (
        'engine.extra_args=["--spec-draft-n-max","4","--threads-http","4"]'
    )


def test_a_flag_that_many_have_replaced_is_left_out() -> None:
    said = (
        'error while handling argument "--spec-ngram-size-n": the argument has been removed. use '
        "the respective --spec-ngram-*-size-n or --spec-ngram-mod-n-match"
    )
    chosen = way("smoke", 'engine.extra_args=["--spec-ngram-size-n","4","--threads-http","4"]')
    evidence = Evidence(service="engine", engine=LLAMA_CPP, state=state(), log=(said,))
    fault = diagnose(evidence, chosen)
    assert "`--spec-ngram-*-size-n` has replaced it" in fault.message
    assert shlex.split(fault.hint)[-1] == 'engine.extra_args=["--threads-http","4"]'


def test_a_list_written_in_the_profile_is_read_from_the_plan() -> None:
    typed = Selection(profile="smoke", sets=('engine.extra_args=["--mlock","--no-warmup"]',))
    plain = Selection(profile="smoke")
    chosen = Way(
        stack="deployctl",
        selection=plain,
        again=UpRequest(stack="deployctl").again_with,
        plan=plan_of(typed),
    )
    assert shlex.split(seen("llama-server-mlock", chosen).hint)[-1] == (
        'engine.extra_args=["--no-warmup"]'
    )


def test_a_flag_that_the_list_does_not_name_comes_from_elsewhere() -> None:
    chosen = way("smoke", "engine.image=example.org/llama:1")
    assert seen("llama-server-mlock", chosen).hint == "deployctl up --profile smoke"
    assert seen("llama-server-mlock").hint.startswith("grep -n -e --mlock ")


def test_flags_that_vllm_has_given_up_are_all_named_and_left_out() -> None:
    args = '["--swap-space","4","--max-log-len=5","--rope-scaling","{}"]'
    fault = vllm(
        "vllm: error: unrecognized arguments: --swap-space 4 --rope-scaling {}",
        f"engine.extra_args={args}",
    )
    assert fault.code == "engine-flag-unknown"
    assert "`--hf-overrides` has replaced it" in fault.message
    assert shlex.split(fault.hint)[-1] == 'engine.extra_args=["--max-log-len=5"]'


def vllm(*log: str | tuple[str, ...]) -> Fault:
    text, *sets = log
    said = (text,) if isinstance(text, str) else text
    evidence = Evidence(service="engine", engine=VLLM, state=state(), log=said)
    return diagnose(evidence, way("gpu-6gb", *map(str, sets)))


def test_what_vllm_says_would_fit_becomes_the_context_in_whole_steps() -> None:
    fault = vllm(
        "(EngineCore pid=12) ERROR ValueError: To serve at least one request with the model's max "
        "seq len (4096), (0.11 GiB KV cache is needed, which is larger than the available KV cache "
        "memory (0.05 GiB). Based on the available memory, the estimated maximum model length is "
        "1900."
    )
    assert fault.code == "engine-kv-short"
    assert "--set model.context=1792 --set model.max_tokens=896" in fault.hint


def test_the_models_own_length_becomes_the_context() -> None:
    fault = vllm(
        "  Value error, User-specified max_model_len (1000000) is greater than the derived "
        "max_model_len (max_position_embeddings=8192.0 or model_max_length=None)."
    )
    assert fault.code == "engine-context-too-long"
    assert fault.message.endswith("more than the model was made for (8192).")
    assert fault.hint.endswith("--set model.context=8192")


def test_the_cause_wins_over_what_is_around_it() -> None:
    fault = vllm(
        (
            "non-default args: {'model': '/models/m'}",
            "Initializing a V1 LLM engine (v0.32.0) with config: …",
            "(EngineCore pid=9) ERROR torch.OutOfMemoryError: CUDA out of memory. Tried …",
            "(EngineCore pid=9) ValueError: Bfloat16 is only supported on GPUs with compute "
            "capability of at least 8.0. Your RTX 2060 GPU has compute capability 7.5.",
            "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause "
            "above. Failed core proc(s): {}",
        )
    )
    assert fault.code == "engine-dtype-unsupported"
    assert fault.hint == "deployctl up --profile gpu-6gb --set engine.dtype=float16"


def test_a_wrapper_alone_is_unknown() -> None:
    fault = vllm("RuntimeError: Engine core initialization failed. See root cause above.")
    assert fault.code == "engine-exited"
    assert "unknown" in fault.message


def test_only_the_last_start_counts() -> None:
    old = lines("llama-server-cut-0")
    new = lines("llama-server-oom")
    assert last_start((*old, *new), LLAMA_CPP) == new
    evidence = Evidence(
        service="engine",
        engine=LLAMA_CPP,
        state=state(exit_code=137, oom_killed=True),
        log=(*old, *new),
    )
    assert diagnose(evidence, way()).code == "engine-oom-killed"


def test_killed_by_its_limit_gets_half_as_much_again() -> None:
    fault = seen("llama-server-oom", exit_code=137, oom_killed=True)
    limit = way().plan
    assert limit is not None
    assert fault.code == "engine-oom-killed"
    found = re.search(r"engine\.memory=(\d+)MiB", fault.hint)
    assert found is not None
    assert int(found[1]) << 20 >= 1.5 * limit.service("engine").memory_bytes
    fault = seen("open-webui-oomw", service="webui", exit_code=137, oom_killed=True)
    assert (fault.code, fault.hint) == (
        "frontend-oom-killed",
        "deployctl up --profile smoke --set frontend.memory=3GiB",
    )


def test_the_kernel_says_for_which_memory_whatever_docker_calls_it() -> None:
    killed = Evidence(
        service="engine", engine=LLAMA_CPP, state=state(exit_code=137, oom_killed=True)
    )
    assert diagnose(killed, way()).code == "engine-oom-killed"
    fault = diagnose(replace(killed, killed_for="machine"), way())
    assert fault.code == "host-memory-short"
    assert "engine.memory=" not in fault.hint


def test_a_text_that_names_the_cause_wins_over_killed_for_memory() -> None:
    assert seen("llama-server-hugectx", exit_code=137, oom_killed=True).code == "engine-kv-short"
    assert seen("llama-server-cut-0", exit_code=137, oom_killed=True).code == "engine-oom-killed"


@pytest.mark.parametrize(
    ("parts", "engine", "frontend"),
    [
        ({"exit_code": 132}, "engine-cpu-unsupported", "frontend-crashed"),
        ({"exit_code": 134}, "engine-crashed", "frontend-crashed"),
        ({"exit_code": 139}, "engine-crashed", "frontend-crashed"),
        ({"exit_code": 137}, "engine-killed", "frontend-killed"),
        ({"exit_code": 143}, "engine-killed", "frontend-killed"),
        ({"exit_code": 1}, "engine-exited", "frontend-exited"),
        ({"status": "running", "health": "unhealthy"}, "engine-hung", "frontend-hung"),
        ({"status": "running", "health": "starting"}, "engine-not-ready", "frontend-not-ready"),
        ({"status": "paused"}, "engine-hung", "frontend-hung"),
        ({"status": "restarting", "restarts": 4}, "engine-exited", "frontend-exited"),
    ],
)
def test_without_a_word_the_containers_end_speaks(
    parts: dict[str, object], engine: str, frontend: str
) -> None:
    for service, code in (("engine", engine), ("webui", frontend)):
        evidence = Evidence(service=service, engine=LLAMA_CPP, state=state(service, **parts))
        assert diagnose(evidence, way()).code == code


def test_killed_while_the_machine_ran_out_of_memory() -> None:
    evidence = Evidence(service="engine", engine=LLAMA_CPP, state=state(exit_code=137), oom_kills=1)
    fault = diagnose(evidence, way())
    assert fault.code == "host-memory-short"
    assert fault.hint == "deployctl up --profile smoke --set concurrency=1"


def test_a_card_that_is_not_used_is_said_only_where_nothing_worse_is() -> None:
    warning = "W no usable GPU found, --gpu-layers option will be ignored"
    running = Evidence(
        service="engine", engine=LLAMA_CPP, state=state(status="running"), log=(warning,)
    )
    assert diagnose(running, way()).code == "engine-gpu-unused"
    killed = Evidence(
        service="engine", engine=LLAMA_CPP, state=state(exit_code=137), log=(warning,)
    )
    assert diagnose(killed, way()).code == "engine-killed"


def test_an_image_of_another_processor_is_said_in_the_log() -> None:
    for service in ("engine", "webui"):
        evidence = Evidence(
            service=service,
            engine=LLAMA_CPP,
            state=state(service),
            log=("exec /app/llama-server: exec format error",),
        )
        assert diagnose(evidence, way()).code == "start-platform"


def test_a_taken_port_is_named_with_the_next_one() -> None:
    chosen = way("smoke", stack="s")
    for number, key, free in ((7860, "webui", 7861), (8000, "engine", 8001)):
        said = f"Bind for 127.0.0.1:{number} failed: port is already allocated"
        fault = refused((said,), chosen)
        assert fault is not None
        assert fault.message == f"Port {number} is held by something else by now."
        assert fault.hint == f"deployctl up --profile smoke --set ports.{key}={free} --stack s"


def test_the_operators_own_file_is_never_deleted() -> None:
    known = way()
    assert known.plan is not None
    own = parse_source("file:/srv/my model.gguf")
    plan = replace(known.plan, weights=WeightsSpec(source=own))
    chosen = replace(known, plan=plan)
    fault = seen("llama-server-cut-0", chosen)
    assert fault.hint.startswith("ls -lL '/srv/my model.gguf'")
    assert seen("llama-server-secret", chosen).hint.startswith("chmod -R a+rX '/srv/my model.gguf'")


def test_nothing_known_shows_the_last_thirty_lines() -> None:
    log = tuple(f"line {n}" for n in range(100))
    fault = diagnose(Evidence(service="engine", engine=LLAMA_CPP, state=state(), log=log), way())
    assert fault.details == log[-30:]
    assert "unknown" in fault.message
    assert fault.hint == "deployctl logs engine --stack deployctl"


def test_a_service_of_the_operators_own_is_called_by_its_name() -> None:
    evidence = Evidence(service="proxy", engine=LLAMA_CPP, state=state("proxy", exit_code=2))
    assert diagnose(evidence, way()).message.startswith("The proxy stopped with exit code 2")


# ── the table ─────────────────────────────────────────────────────────────────────────────────


def named(sign: Sign) -> str:
    return f"{sign.about}-{sign.code}-{sign.seen[:30]}"


@pytest.mark.parametrize("sign", SIGNS, ids=named)
def test_a_sign_is_found_by_its_own_sample_and_by_no_other(sign: Sign) -> None:
    about = {
        "engine": (LLAMA_CPP, "engine"),
        LLAMA_CPP: (LLAMA_CPP, "engine"),
        VLLM: (VLLM, "engine"),
    }.get(sign.about, (sign.about,))
    beside = tuple(other for other in SIGNS if other.about in about)
    match = best(beside, (sign.sample,))
    assert match is not None
    assert match.sign is sign
    assert sign.code in CODES
    assert sign.cause.endswith(".")


@pytest.mark.parametrize("sign", SIGNS, ids=named)
@pytest.mark.parametrize("known", [True, False])
def test_every_hint_is_a_command_and_every_sentence_one(sign: Sign, *, known: bool) -> None:
    chosen = way("gpu-6gb" if sign.about == VLLM else "smoke")
    if not known:
        chosen = Way(stack="s", selection=Selection(), again=chosen.again)
    match = best((sign,), (sign.sample,))
    assert match is not None
    service = "webui" if sign.about == "webui" else "engine"
    engine = VLLM if sign.about == VLLM else LLAMA_CPP
    found = Found(words=match.words, evidence=Evidence(service=service, engine=engine), way=chosen)
    said = sign.says(found)
    assert said.endswith((".", "…")), said
    assert not re.search(r"[{}]|\(\)|``|None", said), said
    check_command(sign.remedy(found))


def check_command(hint: str) -> None:
    words = shlex.split(hint, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    assert words[0] == "deployctl" or words[0] in SHELL, hint
    sets = tuple(b for a, b in itertools.pairwise(words) if a == "--set")
    typed = tuple(text for text in sets if re.match(r"[a-z_.]+=", text))
    for text in typed:
        # The schema itself is asked: the key is there, and the profile with it is valid.
        key = text.partition("=")[0]
        assert key in KEYS, hint


def keys(block: object, above: str = "") -> set[str]:
    found = set()
    for name, field in getattr(block, "model_fields", {}).items():
        found.add(f"{above}{name}")
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for each in inner:
            found |= keys(each, f"{above}{name}.")
    return found


KEYS = keys(ProfileSpec)


@pytest.mark.parametrize("sets", ["concurrency=3", "concurrency=1", "model.context=512"])
@pytest.mark.parametrize("profile", ["smoke", "cpu-only", "gpu-6gb", "gpu-6gb-gguf", "rtx3060"])
def test_what_a_hint_sets_is_a_valid_profile(profile: str, sets: str) -> None:
    typed = (sets,) if sets != "model.context=512" else (sets, "model.max_tokens=128")
    if profile in ("cpu-only", "gpu-6gb-gguf"):
        typed = (*typed, "engine.reasoning_budget=64")
    chosen = way(profile, *typed)
    kind = VLLM if chosen.plan is not None and chosen.plan.engine == VLLM else LLAMA_CPP
    for sign in (sign for sign in SIGNS if sign.about in (kind, "engine", "docker")):
        match = best((sign,), (sign.sample,))
        assert match is not None
        evidence = Evidence(service="engine", engine=kind)
        hint = sign.remedy(Found(words=match.words, evidence=evidence, way=chosen))
        words = shlex.split(hint, comments=True)
        if "up" in words and words[0] == "deployctl" and "--profile" in words:
            given = tuple(b for a, b in itertools.pairwise(words) if a == "--set")
            plan_of(Selection(profile=profile, sets=given))


def test_every_end_has_its_words() -> None:
    for end in ENDS:
        assert end.code in CODES
        assert end.cause.endswith(".")


def test_every_question_has_commands_that_exist() -> None:
    for question in QUESTIONS:
        for command in question.commands:
            check_command(command)


@pytest.mark.parametrize("profile", ["smoke", "cpu-only", "vulkan", "gpu-6gb", "rtx3060"])
def test_what_a_question_advises_is_a_valid_profile(profile: str) -> None:
    for command in (command for question in QUESTIONS for command in question.commands):
        words = shlex.split(command, comments=True)
        pairs = tuple(itertools.pairwise(words))
        named = next((b for a, b in pairs if a == "--profile"), profile)
        model = next((b for a, b in pairs if a == "--model"), None)
        sets = tuple(b for a, b in pairs if a == "--set")
        if model is None or not model.startswith("file:"):
            plan_of(Selection(profile=named, model=model, sets=sets))


# ── any text ──────────────────────────────────────────────────────────────────────────────────

WORDS = st.sampled_from(
    [
        *(sign.sample for sign in SIGNS),
        "error: invalid argument: ",
        'error while handling argument "',
        "\x1b[31m",
        "\x00",
        "'" * 50,
        "(" * 50,
        "x" * 5000,
    ]
)
LINES = st.lists(st.one_of(st.text(max_size=80), WORDS), max_size=30).map(tuple)


@given(
    log=LINES,
    output=LINES,
    service=st.sampled_from(["engine", "webui", "proxy"]),
    engine=st.sampled_from([LLAMA_CPP, VLLM, "", "other"]),
    exit_code=st.integers(min_value=0, max_value=255),
    status=st.sampled_from(["running", "exited", "restarting", "created", "paused", "dead"]),
)
def test_any_text_ends_in_a_fault_that_can_be_shown(
    log: tuple[str, ...],
    output: tuple[str, ...],
    service: str,
    engine: str,
    exit_code: int,
    status: str,
) -> None:
    for chosen in (ANY, BARE):
        evidence = Evidence(
            service=service,
            engine=engine,
            state=state(service, exit_code=exit_code, status=status),
            log=log,
            output=output,
        )
        fault = diagnose(evidence, chosen)
        assert all(line.isprintable() for line in fault.details)
        assert fault.message.isprintable()
        assert "\n" not in fault.hint


ANY = way("smoke", 'engine.extra_args=["--no-warmup"]')
BARE = Way(stack="s", selection=Selection(), again=UpRequest(stack="s").again_with)


@given(log=st.lists(st.text(alphabet="abcxyz 0123456789.,:-", max_size=60), max_size=40))
def test_plain_prose_stays_unknown(log: list[str]) -> None:
    evidence = Evidence(service="engine", engine=LLAMA_CPP, state=state(), log=tuple(log))
    fault = diagnose(evidence, BARE)
    assert fault.code == "engine-exited"
    assert "unknown" in fault.message


def test_no_pattern_backtracks() -> None:
    """Long lines of what patterns repeat are searched in linear time: this test would not end."""
    for filler in ("a", "'", "CUDA out of memory captur", "error: argument -a", "(", "1."):
        line = filler * (4000 // len(filler))
        for sign in SIGNS:
            head = sign.sample[: len(sign.sample) // 2]
            best((sign,), (line, head + line, head + "'" + line))


def test_a_loop_that_happens_to_run_just_now_is_no_start_that_takes_long() -> None:
    parts = {"status": "running", "health": "starting", "restarts": 2, "exit_code": 0}
    evidence = Evidence(service="engine", engine=LLAMA_CPP, state=state("engine", **parts))
    fault = diagnose(evidence, way())
    assert (fault.code, "again and again" in fault.message) == ("engine-exited", True)
    assert diagnose(replace(evidence, oom_kills=1), way()).code == "engine-oom-killed"


def test_of_a_loop_the_start_before_counts_while_the_last_has_not_ended() -> None:
    whole = lines("llama-server-arch")
    evidence = Evidence(
        service="engine",
        engine=LLAMA_CPP,
        state=state(status="running", restarts=1, exit_code=0),
        log=(*whole, *whole[:9]),
    )
    fault = diagnose(evidence, way())
    assert fault.code == "engine-model-unsupported"
    assert "`zebra`" in fault.message
