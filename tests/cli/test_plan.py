"""`plan`, `recommend` and `render` over fakes: what they say, and that they touch nothing."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployctl.cli import run
from deployctl.model import DockerFacts, Gpu
from tests.cli.commandline import deployctl
from tests.fakes import FakeFacts, FakeWeights, facts
from tests.world import Box

GIB = 1024**3


def said(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert deployctl(box, *arguments) == 0
    return capsys.readouterr().out


def data(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(box, capsys, *arguments, "--output", "json"))["data"]
    return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A machine without Docker and without a card."""
    found = facts(docker=DockerFacts(problem="docker-missing"))
    return Box(home=tmp_path, facts=FakeFacts(replace(found, bandwidth_bytes_per_s=40e9)))


def test_a_plan_needs_no_card_and_no_docker(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(box, capsys, "plan", "--profile", "rtx3060")
    assert "at most 116.6 tokens/s" in out
    assert "weights" in out
    assert "3.31 GiB" in out
    assert "needs an NVIDIA card" in out
    assert "deployctl recommend" in out
    assert box.runner.commands == []
    assert list(box.home.iterdir()) == []


def test_the_plan_is_the_same_text_every_time(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("plan", "--profile", "cpu-only")
    assert said(box, capsys, *arguments) == said(box, capsys, *arguments)


def test_what_does_not_fit_comes_with_what_would(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("plan", "--profile", "gpu-6gb", "--set", "model.context=131072")
    out = said(box, capsys, *asked)
    assert "Fit       does not fit" in out
    assert "--set model.context=" in out
    made = said(box, capsys, *asked, "--fit")
    assert "Fit       does not fit" not in made
    assert "Made to fit with --set model.context=" in made
    fitted = data(box, capsys, *asked, "--fit")
    assert fitted["fitting"]["verdict"] in ("fits", "tight")


def test_changes_name_their_lines(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert "engine  create" in said(box, capsys, "plan", "--profile", "smoke")
    box.facts = FakeFacts(facts())
    assert deployctl(box, "up", "--profile", "smoke") == 0
    assert "engine  as last applied" in said(box, capsys, "plan", "--profile", "smoke")
    out = said(box, capsys, "plan", "--profile", "smoke", "--set", "concurrency=5")
    assert "recreate: --parallel 2 → 5 (--set concurrency)" in out


PLAN = ("plan", "--profile", "smoke")
UP = ("up", "--profile", "smoke")


def planned(box: Box, capsys: pytest.CaptureFixture[str], *more: str) -> list[tuple[str, str]]:
    """Each service with its action; Docker is not asked."""
    box.docker.down = True
    found = data(box, capsys, *PLAN, *more)["changes"]
    box.docker.down = False
    return [(change["action"], "; ".join(change["causes"])) for change in found]


@pytest.fixture
def applied(box: Box) -> Box:
    """The same machine with Docker, and a stack on it."""
    box.facts = FakeFacts(facts())
    assert deployctl(box, *UP) == 0
    return box


KEPT = [("keep", ""), ("keep", "")]


def test_after_down_everything_is_made_anew(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert planned(applied, capsys) == KEPT
    assert deployctl(applied, "down") == 0
    assert planned(applied, capsys) == [("create", ""), ("create", "")]
    assert deployctl(applied, *UP) == 0
    assert planned(applied, capsys) == KEPT


def test_a_first_up_that_failed_has_applied_nothing(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.facts = FakeFacts(facts())
    box.runner.fail["start the stack"] = "no space left on device"
    assert deployctl(box, *UP) == 5
    for action, cause in planned(box, capsys):
        assert action == "create"
        assert "did not finish" in cause
    box.runner.fail.clear()
    assert deployctl(box, *UP) == 0
    assert planned(box, capsys) == KEPT


def test_an_up_that_failed_leaves_on_record_what_was_applied_before(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    applied.runner.fail["start the stack"] = "no space left on device"
    assert deployctl(applied, *UP, "--set", "concurrency=3") == 5
    engine, webui = planned(applied, capsys, "--set", "concurrency=3")
    assert engine[0] == "recreate"
    assert "--parallel 2 → 3" in engine[1]
    assert webui[0] == "unknown"
    applied.runner.fail.clear()
    assert deployctl(applied, *UP) == 0
    assert planned(applied, capsys) == KEPT


def test_a_down_that_failed_leaves_a_doubt(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    applied.runner.fail["stop the stack"] = "the daemon went away"
    assert deployctl(applied, "down") == 5
    assert [action for action, _ in planned(applied, capsys)] == ["unknown", "unknown"]
    applied.runner.fail.clear()
    assert deployctl(applied, *UP) == 0  # nothing to do, and that settles it
    assert planned(applied, capsys) == KEPT


def test_an_override_is_a_change_when_it_is_new_edited_and_gone(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    override = applied.home / "stacks/deployctl/compose.override.yaml"
    for cpus, said_of_it in ((1, "is new"), (2, "was edited")):
        override.write_text(f"services: {{engine: {{cpus: {cpus}}}}}\n")
        recreated = ("recreate", f"compose.override.yaml {said_of_it}")
        assert planned(applied, capsys) == [recreated, KEPT[1]]
        assert deployctl(applied, *UP) == 0
        assert planned(applied, capsys) == KEPT
    override.unlink()
    assert planned(applied, capsys)[0] == ("recreate", "compose.override.yaml is gone")


def test_a_model_file_that_was_replaced_is_a_change(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    applied.weights.identity = "another"
    (action, cause), webui = planned(applied, capsys)
    assert (action, webui) == ("recreate", KEPT[1])
    assert cause.startswith("the model file was replaced (profiles/")


def test_what_lies_there_edited_by_hand_is_no_reason_to_fail(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    file = applied.home / "stacks/deployctl/compose.yaml"
    record = applied.home / "stacks/deployctl/manifest.json"
    old = {key: value for key, value in json.loads(record.read_text()).items() if key in OLD}
    for text in ("services: {engine: text, webui: {command: 5}}", "services: [engine]", "- a", "{"):
        file.write_text(text)
        assert planned(applied, capsys) == KEPT  # what was applied is on record
        record.write_text(json.dumps(old))
        assert {action for action, _ in planned(applied, capsys)} <= {"create", "recreate"}
        assert deployctl(applied, *UP) == 0


def test_a_stack_of_an_older_deployctl_is_compared_and_doubted(
    applied: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    record = applied.home / "stacks/deployctl/manifest.json"
    old = {key: value for key, value in json.loads(record.read_text()).items() if key in OLD}
    record.write_text(json.dumps(old))
    for action, cause in planned(applied, capsys):
        assert (action, "no record" in cause) == ("unknown", True)
    assert planned(applied, capsys, "--set", "concurrency=5")[0][0] == "recreate"
    commands = len(applied.runner.commands)
    assert deployctl(applied, *UP) == 0
    assert len(applied.runner.commands) == commands  # only the record was missing
    assert planned(applied, capsys) == KEPT


#: What a manifest held before it told what was carried out whole.
OLD = (
    *("profile", "automatic", "model", "served_name", "fingerprint", "webui_port", "engine_port"),
    *("images", "hashes", "data_owned", "lan_url"),
)


def test_recommend_ranks_for_this_machine(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.weights = FakeWeights(here=False)
    found = data(box, capsys, "recommend")
    names = [item["profile"] for item in found["recommendations"]]
    assert names[0] == "cpu-only"
    assert len(names) >= 11
    assert {item["verdict"] for item in found["recommendations"]} <= {"fits", "tight", "no"}
    assert {m["model"] for m in found["models"]} >= {"qwen2.5-1.5b-instruct"}
    out = said(box, capsys, "recommend")
    assert "Next: deployctl up --profile cpu-only" in out
    assert f"It fetches {found['to_fetch']} first. Nobody was asked" in " ".join(out.split())
    box.weights = FakeWeights(here=True)
    assert data(box, capsys, "recommend")["to_fetch"] is None


def with_card(box: Box) -> None:
    card = Gpu(
        name="NVIDIA GeForce RTX 2060",
        memory_bytes=6 * GIB,
        memory_free_bytes=int(4.5 * GIB),
        compute_capability="7.5",
        driver="550.54.14",
    )
    box.facts = FakeFacts(facts(gpus=(card,), card_access=("cdi",)))


def test_recommend_says_why_a_smaller_profile_stands_in(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    with_card(box)
    found = data(box, capsys, "recommend")
    reason = "gpu-6gb: Only 288 MiB would be left (NVIDIA GeForce RTX 2060)."
    assert found["recommendations"][0]["profile"] == "gpu-6gb-gguf"
    assert found["passed_over"] == [reason]
    assert f"gpu-6gb-gguf stands in for {reason}" in said(box, capsys, "recommend")


def test_plan_shows_what_the_machine_decides_and_why(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    with_card(box)
    out = " ".join(said(box, capsys, "plan", "--profile", "gpu-6gb").split())
    assert "v0.32.0-cu129 (at most 8.00 GiB of memory, one NVIDIA card by CDI)" in out
    assert "image by this machine: driver 550.54.14 is older than 580, which vllm" in out
    assert "way to the card by this machine: Docker knows the card by CDI, and has" in out
    found = data(box, capsys, "plan", "--profile", "gpu-6gb")
    assert [each["key"] for each in found["adapted"]] == ["engine.image", "engine.gpu_access"]
    assert found["services"][0]["gpu_access"] == "cdi"
    assert found["command"] == "deployctl up --profile gpu-6gb"


def test_another_model_in_any_profile(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(box, capsys, "plan", "--profile", "rtx3060", "--model", "llama-3.2-1b-instruct")
    assert "Llama-3.2-1B-Instruct BF16" in out
    assert "gated: the hub asks for HF_TOKEN" in out
    assert "reasoning-parser" not in out
    copy = said(box, capsys, "plan", "--profile", "cpu-only", "--model", "llama-3.2-1b-instruct")
    assert "gated by its authors; this copy asks for no token" in copy


def test_render_prints_writes_and_compares(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(box, capsys, "render", "--profile", "smoke").startswith("# One stack")
    folder = str(tmp_path / "out")
    said(box, capsys, "render", "--all", "--to", folder)
    assert len(list((tmp_path / "out").glob("*.yaml"))) >= 11
    said(box, capsys, "render", "--all", "--to", folder, "--check")
    stack = tmp_path / "out/smoke.yaml"
    stack.write_text(stack.read_text().replace("read_only: true", "read_only: false", 1))
    assert deployctl(box, "render", "--all", "--to", folder, "--check") == 3
    err = capsys.readouterr().err
    assert "[render-drift]" in err
    assert f"deployctl render --profile smoke --to {folder}" in err


def test_the_next_step_of_render_is_a_render(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "my own.yaml"
    mine.write_text("extends: smoke\n")
    folder = tmp_path / "out here"
    asked = ("render", "--profile", str(mine), "--set", "concurrency=3")
    said(box, capsys, *asked, "--to", str(folder))
    (folder / "my own.yaml").write_text("services: {}\n")
    assert deployctl(box, *asked, "--to", str(folder), "--check") == 3
    again = shlex.join(("deployctl", *asked, "--to", str(folder)))
    assert f"next:  {again}\n" in capsys.readouterr().err
    assert deployctl(box, "render", "--profile", "smok") == 3
    assert "next:  deployctl render --profile smoke\n" in capsys.readouterr().err


def test_all_profiles_are_documents_of_one_stream(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = said(box, capsys, "render", "--all")
    assert len(list(yaml.safe_load_all(out))) == len(box.world().catalog.shipped_names())
    monkeypatch.setenv("DEPLOYCTL_PROFILE", "rtx3060")  # the usual one, not asked for here
    assert said(box, capsys, "render", "--all") == out
    assert deployctl(box, "render", "--all", "--profile", "smoke") == 2
    assert "[usage]" in capsys.readouterr().err


def test_check_needs_a_folder(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "render", "--all", "--check") == 2
    assert "--to compose" in capsys.readouterr().err


def test_weights_that_are_here_are_not_downloaded(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "here already" in said(box, capsys, "plan", "--profile", "smoke")
    box.weights = FakeWeights(here=False)
    assert "downloaded, 98 MB (measured)" in said(box, capsys, "plan", "--profile", "smoke")


def test_what_is_made_of_a_file_is_said_with_the_size_that_it_gets(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    vllm = ("plan", "--profile", "smoke-vllm")
    assert "Q4_1.gguf: here already, " in said(box, capsys, *vllm)
    box.weights = FakeWeights(here=False)
    assert "Q4_1.gguf: downloaded, then converted, 269 MB (measured)" in said(box, capsys, *vllm)
    own = (*vllm, "--set", "model.source=bf16:file:/srv/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert "yours, checked at start, then converted, " in said(box, capsys, *own)


def test_a_file_of_the_operator_s_is_checked_or_there_or_not(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--set", "model.source=file:/srv/m.gguf", "--set", "engine.memory=1GiB")
    own = ("plan", "--profile", "smoke", *sets)
    assert "/srv/m.gguf: yours, checked, " in said(box, capsys, *own)
    box.weights = FakeWeights(here=False)
    assert "/srv/m.gguf: yours, checked at start" in said(box, capsys, *own)
    box.weights = FakeWeights(here=False, silent=frozenset({"file"}))
    assert "/srv/m.gguf: yours, and not there" in said(box, capsys, *own)


def test_the_next_step_of_a_plan_that_cannot_be_made_is_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPLOYCTL_HOME", str(tmp_path / "home"))
    page = tmp_path / "m.gguf"
    page.write_text("<!DOCTYPE html>" * 10)
    assert run(["plan", "--profile", "smoke", "--stack", "s", "--model", f"file:{page}"]) == 3
    words = "`deployctl plan --profile smoke --stack s --model hf:ORG/REPO:FILE.gguf`"
    assert words in capsys.readouterr().err


def test_a_setting_of_one_engine_leaves_auto_the_profiles_of_that_engine(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(box, capsys, "plan", "--set", "engine.kv_type=q8_0")
    assert "Profile cpu-only" in out
    assert "--cache-type-k q8_0" in out
    assert deployctl(box, "plan", "--set", "engine.kv_typ=q8_0") == 3
    assert "Did you mean" in capsys.readouterr().err


def test_a_broken_profile_of_one_s_own_does_not_take_the_others_along(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    (box.home / "profiles").mkdir()
    (box.home / "profiles/smoke.yaml").write_text("extends: smoke\nconcurrency: many\n")
    assert "Profile cpu-only" in said(box, capsys, "plan")
    names = [r["profile"] for r in data(box, capsys, "recommend")["recommendations"]]
    assert "smoke" not in names
    assert "cpu-only" in names


def test_the_next_command_is_the_one_that_was_asked_about(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(box, capsys, "plan", "--profile", "smoke", "--fit", "--force")
    assert out.rstrip().endswith("Next: deployctl up --profile smoke --fit --force")


def test_what_an_image_takes_is_told_as_exactly_as_it_is_known(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    card = said(box, capsys, "plan", "--profile", "rtx3060")
    assert "vllm/vllm-openai:v0.32.0: pulled, unless it is here, about 20 GB (predicted)" in card
    assert "unless it is here, 2640 MB (measured)" in said(
        box, capsys, "plan", "--profile", "smoke-vllm"
    )


def test_an_image_that_is_built_for_several_is_counted_once(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("plan", "--profile", "smoke", "--with", "monitoring")
    found = {one["what"]: one for one in data(box, capsys, *words)["fetches"]}
    assert found["prometheus"]["size_bytes"] > 0
    others = {name for name, one in found.items() if one["same_as"] == "prometheus"}
    assert others == {"node-exporter", "containers", "blackbox"}
    assert {found[name]["size_bytes"] for name in others} == {None}
    assert deployctl(box, *words) == 0
    assert capsys.readouterr().out.count("; built, it is one image with prometheus") == len(others)


def test_programs_get_keys_that_stay(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(data(box, capsys, "plan", "--profile", "smoke")) == [
        *("stack", "profile", "files", "description", "chosen_because", "given_up", "model"),
        *(
            "intent",
            "services",
            "changes",
            "fitting",
            "applied",
            "adapted",
            "reach",
            "fetches",
            "checks",
            "command",
        ),
    ]
