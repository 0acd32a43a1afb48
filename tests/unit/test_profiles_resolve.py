from dataclasses import replace

import pytest

from deployctl.errors import DeployctlError
from deployctl.model import Origin
from deployctl.profiles.document import NotFound, ProfileText
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.profiles.values import of_networks
from deployctl.sources import parse_source
from tests.profilefiles import SHIPPED, Files, faults, laid, read, readers, refused, told


def test_a_profile_is_what_it_extends_and_what_it_changes() -> None:
    profile = read(
        "extends: smoke\nports:\n  webui: 8080\nrequires:\n  architectures: [arm64]\n",
        "concurrency=4",
    )
    assert profile.name == "mine"
    assert profile.files == ("mine.yaml", "smoke.yaml", "base/llama-cpp.yaml")
    assert profile.spec.ports.webui == 8080
    assert profile.spec.ports.engine == 8000
    assert profile.spec.requires.architectures == ("arm64",)
    assert profile.spec.concurrency == 4
    assert profile.spec.extends == "smoke"


def test_every_value_knows_where_it_was_written() -> None:
    profile = read("extends: smoke\nports:\n  webui: 8080\n", "concurrency=4")
    assert profile.origins["ports.webui"] == Origin(file="mine.yaml", line=3, column=10)
    assert profile.origins["concurrency"] == Origin(file="--set", line=1, column=13)
    assert profile.origins["model.context"].file == "smoke.yaml"
    assert profile.origins["model.name"].file == "profiles/models/smollm2-135m-instruct.yaml"
    assert profile.origins["engine.kind"].file == "base/llama-cpp.yaml"
    assert profile.origins["requires.architectures.1"].file == "smoke.yaml"


def test_a_value_that_was_left_out_is_placed_where_it_would_be() -> None:
    profile = read("extends: smoke\n")
    assert profile.origin("engine.reasoning_budget").file == "base/llama-cpp.yaml"
    assert str(profile.origin("nothing")) == "mine.yaml:1"


def test_a_later_judge_can_point_at_a_value() -> None:
    profile = read("extends: smoke\nengine:\n  extra_args: [--port, '1']\n")
    fault = profile.fault("engine.extra_args.0", "Not this.", "remove it")
    assert told(fault) == (
        "mine.yaml:3: Not this.\n3 |   extra_args: [--port, '1']\n  |                ^\n→ remove it"
    )


def test_a_model_that_is_no_name_is_the_only_fault() -> None:
    found = faults("extends: smoke\nmodel: {use: {a: b}}\n")
    assert [fault.message[:30] for fault in found] == ["`model.use` is a block of keys"]


def test_no_table_is_refused_whatever_is_laid_over_it() -> None:
    (fault,) = faults(
        "extends: smoke\nengine: {images: somewhere}\n", "engine.images={'580': a/b:c}"
    )
    assert fault.where == "mine.yaml:2"


def test_another_kind_of_engine_starts_from_nothing() -> None:
    found = faults("extends: smoke\nengine: {kind: vllm, memory: 1GiB}\n")
    assert [fault.message for fault in found] == [
        "`engine.device` is missing.",
        "`engine.image` is missing.",
    ]
    # The hint names an image of that engine.
    assert found[1].hint == (
        "add `image: vllm/vllm-openai-cpu:v0.32.0-x86_64` below `engine:` in mine.yaml"
    )


def test_a_format_that_was_meant_for_another_engine_or_model_gives_way() -> None:
    engine = "engine: {kind: vllm, device: cpu, image: 'vllm/vllm-openai-cpu:v1'}\n"
    assert read(f"extends: smoke\n{engine}").spec.model.format == "bf16"
    model = "model: {use: qwen2.5-1.5b-instruct}\n"
    assert read(f"extends: smoke\n{model}").spec.model.format == "q4_k_m"
    # In the same layer it is meant.
    (fault,) = faults(f"extends: smoke\nmodel: {{format: q4_1}}\n{engine}")
    assert "does not read `q4_1`" in fault.message


def test_the_same_kind_of_engine_is_joined() -> None:
    profile = read("extends: smoke\nengine: {kind: llama.cpp, memory: 1GiB}\n")
    assert profile.spec.engine.memory == 1 << 30
    assert profile.spec.engine.image.startswith("ghcr.io/ggml-org/llama.cpp:")


def test_another_source_drops_what_was_said_of_the_former_file() -> None:
    model = read("extends: smoke\n", "model.source=file:/m/x.gguf").spec.model
    assert (model.source, model.sha256, model.size) == ("file:/m/x.gguf", None, None)
    # Nobody can look into it, and it has another name: it may be another model.
    assert (model.name, model.license, model.shape, model.format) == ("x", "unknown", None, None)


def test_what_is_said_of_the_new_file_stays_in_any_order() -> None:
    sets = ("model.sha256=" + "a" * 64, "model.source=file:/m/x.gguf", "model.size=5B")
    model = read("extends: smoke\n", *sets).spec.model
    assert (model.sha256, model.size) == ("a" * 64, 5)


def test_the_same_source_again_keeps_them() -> None:
    source = read("extends: smoke\n").spec.model.source
    assert read("extends: smoke\n", f"model.source={source}").spec.model.sha256


def test_null_takes_back_what_was_inherited() -> None:
    assert read("extends: smoke\nauto: null\n").spec.auto is None


def test_the_later_of_two_settings_wins() -> None:
    ports = read("extends: smoke\n", "ports.webui=1", "ports={webui: 2, engine: 3}").spec.ports
    assert (ports.webui, ports.engine) == (2, 3)
    assert read("extends: smoke\n", "ports.webui=1", "ports.webui=2").spec.ports.webui == 2


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "engine:\n  memmory: 12GiB\n",
            "mine.yaml:3: `engine.memmory` is not a key of a profile. "
            "Did you mean `engine.memory`?\n"
            "3 |   memmory: 12GiB\n  |   ^\n→ write `memory:`",
        ),
        (
            "engine:\n  memory: 12\n",
            "mine.yaml:3: `engine.memory` is `12`. A size needs its unit.\n"
            "3 |   memory: 12\n  |           ^\n→ write `memory: 12GiB`",
        ),
        (  # laid over the catalog's text, which it must not lose to in silence
            "model:\n  name: {a: 1}\n",
            "mine.yaml:3: `model.name` is a block of keys. It should be text; text that looks like "
            "something else goes in quotes.\n"
            "3 |   name: {a: 1}\n  |   ^\n→ write `name: SmolLM2-135M-Instruct Q4_1`",
        ),
        (
            "context: 4096\n",
            "mine.yaml:2: `context` is not a key of a profile. Did you mean `model.context`?\n"
            "2 | context: 4096\n  | ^\n→ write it below `model:`",
        ),
        (
            "ports:\n  description: 1\n",
            "mine.yaml:3: `ports.description` is not a key of a profile. "
            "Did you mean `description`?\n"
            "3 |   description: 1\n  |   ^\n→ write it at the left margin",
        ),
        (
            "ports:\n  qqqq: 1\n",
            "mine.yaml:3: `ports.qqqq` is not a key of a profile.\n"
            "3 |   qqqq: 1\n  |   ^\n→ remove it; the keys here are webui, engine, address",
        ),
        (
            "deadlines: {proof: 300}\n",
            "mine.yaml:2: `deadlines.proof` is `300`. A duration needs its unit.\n"
            "2 | deadlines: {proof: 300}\n  |                    ^\n→ write `proof: 5m`",
        ),
        (
            "ports:\n  webui: 8000\n  engine: 8000\n",
            "mine.yaml:4: `ports.engine` is `8000`. `ports.webui` is the same, and one port "
            "serves one of them.\n4 |   engine: 8000\n  |           ^\n→ write `engine: 8001`",
        ),
        (
            "ports: {webui: 70000}\n",
            "mine.yaml:2: `ports.webui` is `70000`. It should be at most 65535.\n"
            "2 | ports: {webui: 70000}\n  |                ^\n→ write `webui: 7860`",
        ),
        (
            "model: {max_tokens: 2048}\n",
            "mine.yaml:2: `model.max_tokens` is `2048`. It must be less than `model.context`, "
            "2048.\n2 | model: {max_tokens: 2048}\n  |                     ^\n"
            "→ write `max_tokens: 1024`",
        ),
        (
            "engine: {reasoning_budget: 512}\n",
            "mine.yaml:2: `engine.reasoning_budget` is `512`. It leaves nothing of "
            "`model.max_tokens`, 512, to say.\n2 | engine: {reasoning_budget: 512}\n"
            "  |                            ^\n→ write `reasoning_budget: 256`",
        ),
        (
            "model: {size_about: 94MiB}\n",
            "mine.yaml:2: `model.size_about` is `94MiB`. The exact `model.size` is given too, "
            "and one of them is enough.\n2 | model: {size_about: 94MiB}\n"
            "  |                     ^\n→ delete `size_about`",
        ),
        (
            "frontend: {image: 'ghcr.io/open-webui/open-webui:main-slim'}\n",
            "mine.yaml:2: `frontend.image` is `ghcr.io/open-webui/open-webui:main-slim`. "
            "The tag `main-slim` is another image every day; a profile names one.\n"
            "2 | frontend: {image: 'ghcr.io/open-webui/open-webui:main-slim'}\n"
            "  |                   ^\n→ name the tag of one release, like `v0.12.4`",
        ),
        (
            "model: {name: 7}\n",
            "mine.yaml:2: `model.name` is `7`. It should be text; text that looks like something "
            'else goes in quotes.\n2 | model: {name: 7}\n  |               ^\n→ write `name: "7"`',
        ),
        (
            "model: {served_name: 'my model!'}\n",
            "mine.yaml:2: `model.served_name` is `my model!`. Clients, logs and metrics know the "
            "model by it: letters, digits, `.`, `_`, `-`.\n2 | model: {served_name: 'my model!'}\n"
            "  |                      ^\n→ write `served_name: my-model`",
        ),
        (
            "model: {source: 'hf:org/repo/m.gguf'}\n",
            "mine.yaml:2: The model source `hf:org/repo/m.gguf` cannot be used: it does not name a "
            "file of the repository (put it after a second colon).\n"
            "2 | model: {source: 'hf:org/repo/m.gguf'}\n"
            "  |                 ^\n→ write `source: hf:org/repo:m.gguf`",
        ),
        (
            "engine:\n  extra_args: --threads\n",
            "mine.yaml:3: `engine.extra_args` is `--threads`. It should be a list.\n"
            '3 |   extra_args: --threads\n  |               ^\n→ write `extra_args: ["--threads"]`',
        ),
        (
            "requires: {architectures: [amd46]}\n",
            "mine.yaml:2: `requires.architectures.0` is `amd46`. It should be `amd64` or "
            "`arm64`.\n2 | requires: {architectures: [amd46]}\n  |                            ^\n"
            "→ write `amd64` in the list",
        ),
        (
            "requires: {architectures: [arm64, arm64]}\n",
            "mine.yaml:2: `requires.architectures` is a list. It names one twice.\n"
            "2 | requires: {architectures: [arm64, arm64]}\n  |                           ^\n"
            "→ keep one of the two",
        ),
        (
            "frontend: big\n",
            "mine.yaml:2: `frontend` is `big`. It should be a block of keys: image, memory, "
            "background_tasks.\n2 | frontend: big\n  |           ^\n"
            "→ write `frontend:` alone and below it, indented, its keys",
        ),
        (
            "engine: {device: gpu}\n",
            "mine.yaml:2: `engine.device` is `gpu`. It should be `cpu`, `cuda` or `vulkan`.\n"
            "2 | engine: {device: gpu}\n  |                  ^\n→ write `device: cpu`",
        ),
        (
            "concurrency: true\n",
            "mine.yaml:2: `concurrency` is `true`. It should be a whole number.\n"
            "2 | concurrency: true\n  |              ^\n→ write `concurrency: 2`",
        ),
        (
            "model: {sha256: ABC}\n",
            "mine.yaml:2: `model.sha256` is `ABC`. A checksum is 64 digits 0-9 and a-f.\n"
            "2 | model: {sha256: ABC}\n  |                 ^\n→ sha256sum FILE.gguf",
        ),
    ],
    ids=lambda value: value.split("\n")[0][:30],
)
def test_one_fault(lines: str, expected: str) -> None:
    (fault,) = faults(f"extends: smoke\n{lines}")
    assert told(fault) == expected


def test_all_faults_in_file_order() -> None:
    text = (
        "extends: smoke\n"
        "descripton: x\n"
        "engine:\n"
        "  memory: 12\n"
        "  memory: 13\n"
        "concurrency: yes\n"
        "model: {context: two}\n"
    )
    found = faults(text, "ports.webui=x", "nonsense", "port.webui=1")
    assert [fault.where for fault in found] == [
        *("mine.yaml:2", "mine.yaml:4", "mine.yaml:5", "mine.yaml:6", "mine.yaml:7"),
        *("--set nonsense", "--set ports.webui", "--set port.webui"),
    ]


def test_an_inherited_fault_shows_the_parent_and_the_way_there() -> None:
    parent = "extends: smoke\nengine:\n  memory: 12\n"
    (fault,) = faults("extends: parent\n", parent=parent)
    assert told(fault) == (
        "parent.yaml:3: `engine.memory` is `12`. A size needs its unit.\n"
        "3 |   memory: 12\n"
        "  |           ^\n"
        "inherited through `extends:` in mine.yaml:1\n"
        "→ write `memory: 12GiB`"
    )


def test_own_faults_come_before_inherited_ones() -> None:
    parent = "extends: smoke\nengine:\n  memory: 12\n"
    found = faults("extends: parent\n\n\n\nconcurrency: 0\n", parent=parent)
    assert [fault.where for fault in found] == ["mine.yaml:5", "parent.yaml:3"]


def test_a_fault_that_is_overridden_is_none() -> None:
    parent = "extends: smoke\nengine:\n  memory: 12\n"
    assert read("extends: parent\nengine: {memory: 1GiB}\n", parent=parent)


def test_what_is_missing_names_an_example() -> None:
    text = "extends: base/llama-cpp\nengine: {memory: 1GiB}\n"
    found = {fault.message: fault.hint for fault in faults(text)}
    assert found["`concurrency` is missing."] == "add `concurrency: 2` in mine.yaml"
    assert found["`model` is missing."] == "add `model:` in mine.yaml"


def test_a_file_that_extends_nothing_is_told_about_extends() -> None:
    first, *_ = faults("engine: {kind: llama.cpp}\n")
    assert told(first) == (
        "mine.yaml:1: `description` is missing.\n"
        "→ add `description: Any machine with 4 GiB of memory.`, "
        "or begin with `extends: smoke` and inherit it"
    )


@pytest.mark.parametrize(
    ("typed", "where", "message", "hint"),
    [
        (
            "ports.webui=12.5",
            "--set ports.webui",
            "`ports.webui` is `12.5`. It should be a whole number.",
            "--set ports.webui=7860",
        ),
        (
            "model.contxt=4096",
            "--set model.contxt",
            "`model.contxt` is not a key of a profile. Did you mean `model.context`?",
            "--set model.context=4096",
        ),
        (
            "memory=3GiB",
            "--set memory",
            "`memory` is not a key of a profile. Did you mean `engine.memory`?",
            "--set engine.memory=3GiB",
        ),
        (
            "engine.memory=12",
            "--set engine.memory",
            "`engine.memory` is `12`. A size needs its unit.",
            "--set engine.memory=12GiB",
        ),
        (  # next to nothing of what it has by itself: typed, it would throw figures away
            "addons.monitoring.retention=15",
            "--set addons.monitoring.retention",
            "`addons.monitoring.retention` is `15`. A duration needs its unit.",
            "--set addons.monitoring.retention=360h",
        ),
        (
            "addons.monitoring.retention=864000",
            "--set addons.monitoring.retention",
            "`addons.monitoring.retention` is `864000`. A duration needs its unit.",
            "--set addons.monitoring.retention=240h",
        ),
        (
            "addons.monitoring.retention=2y",
            "--set addons.monitoring.retention",
            "`addons.monitoring.retention` is `2y`. This is longer than a year.",
            "--set addons.monitoring.retention=8760h",
        ),
        (
            "addons.monitoring.retention=3 fortnights",
            "--set addons.monitoring.retention",
            "`addons.monitoring.retention` is `3 fortnights`. A duration is a whole number and one "
            "of s, m or h, without a space.",
            "--set addons.monitoring.retention=360h",
        ),
        (
            "addons.monitoring.retention_size=0GiB",
            "--set addons.monitoring.retention_size",
            "`addons.monitoring.retention_size` is `0GiB`. It should be more than 0.",
            "--set addons.monitoring.retention_size=1GiB",
        ),
        (
            "addons.monitoring.retention_size=5000000",
            "--set addons.monitoring.retention_size",
            "`addons.monitoring.retention_size` is `5000000`. A size needs its unit.",
            "--set addons.monitoring.retention_size=1GiB",
        ),
        (
            "model.size=5000000",  # it has no default, and of a file only its own size is right
            "--set model.size",
            "`model.size` is `5000000`. A size needs its unit.",
            "--set model.size=5000000B",
        ),
        (
            "deadlines.engine=0s",
            "--set deadlines.engine",
            "`deadlines.engine` is `0s`. It should be more than 0.",
            "--set deadlines.engine=5m",
        ),
        (
            "ports=3",
            "--set ports",
            "`ports` is `3`. It should be a block of keys: webui, engine, address.",
            "--set ports.webui=7860",
        ),
        (
            "port.webui=1234",
            "--set port.webui",
            "`port` is not a key of a profile. Did you mean `ports.webui`?",
            "--set ports.webui=1234",
        ),
        (
            "modle.sampling.temp=0.5",
            "--set modle.sampling.temp",
            "`modle` is not a key of a profile. Did you mean `model.sampling.temperature`?",
            "--set model.sampling.temperature=0.5",
        ),
        (
            "engine.extra_arg=[a, b]",
            "--set engine.extra_arg",
            "`engine.extra_arg` is not a key of a profile. Did you mean `engine.extra_args`?",
            '--set \'engine.extra_args=["a", "b"]\'',
        ),
        (
            "model.context=2000000",
            "--set model.context",
            "`model.context` is `2000000`. It should be at most 1048576.",
            "--set model.context=4096",
        ),
        (
            "extends=smoke",
            "--set extends",
            "What a profile extends is written in its file, not on the command line.",
            "--set ports.webui=7861  # the form is KEY.KEY=VALUE",
        ),
        (
            "a..b=1",
            "--set a..b",
            "`a..b` is not a key of a profile.",
            "--set ports.webui=7861  # the form is KEY.KEY=VALUE",
        ),
        (
            "ports.webui=",
            "--set ports.webui",
            "There is no value here.",
            "--set ports.webui=7860",
        ),
        (
            "ports.webui",
            "--set ports.webui",
            "`ports.webui` has no `=` and no value.",
            "--set ports.webui=7861  # the form is KEY.KEY=VALUE",
        ),
        (
            "model.source=file:~x",
            "--set model.source",
            "The model source `file:~x` cannot be used: the path is not complete, and it would "
            "mean different files in different folders.",
            "Did you mean `file:$PWD/~x`?",
        ),
    ],
)
def test_wrong_settings(typed: str, where: str, message: str, hint: str) -> None:
    (fault,) = faults("extends: smoke\n", typed)
    assert (fault.where, fault.message, fault.hint) == (where, message, hint)


# ── extends ───────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_profile() -> None:
    with pytest.raises(DeployctlError) as caught:
        resolve(Selection(profile="smok"), readers(Files()))
    (fault,) = caught.value.faults
    assert fault.code == "profile-unknown"
    assert told(fault) == (
        "--profile smok: There is no profile `smok`. Did you mean `smoke`?\n"
        f"profiles: {', '.join(SHIPPED)}\n"
        "→ deployctl up --profile smoke"
    )


def test_an_unknown_parent_is_shown_where_it_is_named() -> None:
    (fault,) = faults("# mine\nextends: cpu-onli\n")
    assert fault.code == "profile-unknown"
    assert fault.where == "mine.yaml:2"
    assert fault.hint == "write `extends: cpu-only`"


def test_a_circle_is_shown() -> None:
    (fault,) = faults("extends: a\n", a="extends: b\n", b="# b\nextends: a\n")
    assert fault.code == "profile-cycle"
    assert told(fault) == (
        "b.yaml:2: `extends:` leads in a circle: mine.yaml → a.yaml → b.yaml → a.yaml.\n"
        "2 | extends: a\n"
        "  |          ^\n"
        "→ extend a profile further up, or delete this line"
    )


def test_three_parents_and_not_four() -> None:
    parents = {"a": "extends: smoke\n", "b": "extends: a\n"}
    assert len(read("extends: a\n", **parents).files) == 4
    (fault,) = faults("extends: b\n", **parents)
    assert fault.code == "profile-cycle"
    assert fault.where == "smoke.yaml:3"
    assert "more than 3 files" in fault.message


@pytest.mark.parametrize("value", ["[a, b]", "3", "{a: 1}", "''", "no", "${X}"])
def test_a_parent_is_a_name(value: object) -> None:
    assert any(fault.where == "mine.yaml:1" for fault in faults(f"extends: {value}\n"))


def test_faults_of_an_unreadable_parent_and_of_settings_come_together() -> None:
    found = faults("extends: a\nx: yes\n", "y", a="a: 'x\n")
    assert [fault.where for fault in found] == ["mine.yaml:2", "a.yaml:1", "--set y"]


def test_an_operators_profile_says_what_it_shadows() -> None:
    def reader(name: str, *, asker: ProfileText | None = None) -> ProfileText | NotFound:
        found = Files()(name, asker=asker)
        assert isinstance(found, ProfileText)
        if asker is None:
            return ProfileText(
                name=name,
                file="/home/op/smoke.yaml",
                content=b"extends: smoke\nconcurrency: 1\n",
                identity="/home/op/smoke.yaml",
                shadows="profiles/smoke.yaml",
            )
        return found

    profile = resolve(Selection(profile="smoke"), readers(reader))
    assert (profile.file, profile.shadows) == ("/home/op/smoke.yaml", "profiles/smoke.yaml")
    assert profile.spec.concurrency == 1


def test_a_profile_is_not_told_to_extend_itself() -> None:
    (fault,) = faults("extends: mina\n")
    assert "Did you mean" not in fault.message
    assert fault.hint == "write `extends: smoke`"
    (fault,) = faults("extends: b\n", b="extends: bb\n", bbb="extends: smoke\n")
    assert fault.hint == "write `extends: bbb`"


# ── between blocks ────────────────────────────────────────────────────────────────────────────


#: A card for llama.cpp; vLLM wants everything of its own.
CARD = "requires: {gpu: {memory: 6GiB, compute_capability: '7.5'}}\n"
VLLM = f"engine: {{kind: vllm, device: cuda, image: 'vllm/vllm-openai:v1', dtype: DTYPE}}\n{CARD}"


@pytest.mark.parametrize(
    ("lines", "where", "sentence", "hint"),
    [
        (
            VLLM.replace("DTYPE", "bfloat16") + "model: {format: bf16}\n",
            2,
            "A card of compute capability 7.5 has no bfloat16; that begins with 8.0.",
            "write `dtype: float16`",
        ),
        (
            "engine: {device: cuda}\n",
            2,
            "It needs a card, and `requires.gpu` names none.",
            "write `gpu: {memory: 6GiB}` below `requires:`",
        ),
        (
            f"model: {{max_tokens: 256}}\n{CARD}",
            3,
            "The engine computes on the processor (`engine.device: cpu`): it would idle.",
            "write `gpu: null`, or change engine.device",
        ),
        (
            "model:\n  tools: true\n",
            3,
            "never shows tools to the model.",
            "write `tools: false`",
        ),
        (
            "model:\n  max_tokens: 4096\n",
            3,
            "It must be less than `model.context`, 2048.",
            "write `max_tokens: 1024`",
        ),
        (
            "exposure: lan\n",
            2,
            "Which of this machine's networks? `ports.address` does not say.",
            "write `address: 192.168.1.20` below `ports:`, with this machine's own address",
        ),
        (
            "exposure: lan\nports: {address: 0.0.0.0}\n",
            3,
            "That would be every network this machine is in; name the address in one of them.",
            "ip -brief address  # shows the addresses of this machine",
        ),
        (
            "addons:\n  monitoring:\n    enabled: true\n    gpu: always\n",
            5,
            "The engine computes on no NVIDIA card (`engine.device: cpu`).",
            "write `gpu: auto`",
        ),
        (
            "engine: {kv_cache: 1GiB}\n",
            2,
            "Only vLLM knows it, and `engine.kind` is `llama.cpp`.",
            "delete `kv_cache`",
        ),
    ],
)
def test_what_contradicts_itself(lines: str, where: int, sentence: str, hint: str) -> None:
    (fault,) = faults(f"extends: smoke\n{lines}")
    assert fault.where == f"mine.yaml:{where}"
    assert fault.message.endswith(sentence)
    assert fault.hint == hint


def test_an_exporter_of_a_card_is_no_fault_where_none_runs_or_there_is_one() -> None:
    asked = "addons.monitoring.gpu=always"
    laid("extends: smoke\n", sets=(asked,))  # monitoring is off
    laid("extends: rtx3060\n", sets=(asked, "addons.monitoring.enabled=true"))


def test_all_contradictions_at_once() -> None:
    text = "extends: smoke\nexposure: lan\nengine: {device: cuda, reasoning_budget: 512}\n"
    assert [fault.where for fault in faults(text)] == ["mine.yaml:2", "mine.yaml:3", "mine.yaml:3"]


@pytest.mark.parametrize(
    ("over", "sets", "hint"),
    [
        ((), ("model.context=512",), "--set model.max_tokens=256"),
        (("model: {context: 512}\n",), (), "write `max_tokens: 256` below `model:` in o0.yaml"),
    ],
)
def test_the_edit_is_where_the_other_value_was_changed(
    over: tuple[str, ...], sets: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(DeployctlError) as caught:
        laid("extends: smoke\n", *over, sets=sets)
    (fault,) = caught.value.faults
    assert str(fault.where).startswith("smoke.yaml:")
    assert fault.hint == hint
    (fault,) = faults("extends: smoke\nmodel: {context: 512}\n")
    assert fault.hint == "write `max_tokens: 256` below `model:` in mine.yaml"


def test_a_pool_must_hold_all_conversations() -> None:
    text = "extends: smoke\nmodel: {format: bf16}\n" + VLLM.replace("DTYPE", "float16").replace(
        "}\n", ", kv_cache: 64MiB}\n", 1
    )
    (fault,) = faults(text)
    # 2 conversations × 2048 tokens × 30 layers × 2 × 3 heads × 64 × 2 bytes = 90 MiB.
    assert "2 conversations of 2048 tokens need 90 MiB (predicted)." in fault.message
    assert fault.hint == "write `kv_cache: 90MiB`"
    assert read(text.replace("64MiB", "90MiB"))


def test_a_thinking_model_without_a_parser_is_refused_for_vllm() -> None:
    text = "extends: cpu-only\nengine: {kind: vllm, device: cpu, image: 'x/vllm:v1'}\n"
    model = "model: {use: deepseek-r1-distill-qwen-1.5b, format: bf16, reasoning_parser: null}\n"
    (fault,) = faults(text + model)
    assert fault.message.startswith("`model.reasoning` is `true`. vLLM splits thinking")
    assert fault.hint == "write `reasoning_parser: deepseek_r1` beside it"


# ── overlays and other models ─────────────────────────────────────────────────────────────────


def test_overlays_lie_over_the_profile_and_below_settings() -> None:
    profile = laid(
        "extends: smoke\nconcurrency: 3\nports: {webui: 1000}\n",
        "concurrency: 4\nports: {engine: 2000}\n",
        "concurrency: 5\n",
        sets=("ports.engine=3000",),
    )
    ports = profile.spec.ports
    assert (profile.spec.concurrency, ports.webui, ports.engine) == (5, 1000, 3000)
    assert str(profile.origin("concurrency")) == "o1.yaml:1"
    assert profile.files == ("mine.yaml", "smoke.yaml", "base/llama-cpp.yaml")


def test_an_overlay_extends_nothing() -> None:
    (fault,) = refused("extends: smoke\n", "extends: cpu-only\n")
    assert (fault.where, fault.hint) == (
        "o0.yaml:1",
        "delete this line, or make it a profile of its own",
    )


def test_faults_of_overlays_come_after_the_profile_s() -> None:
    found = refused("extends: smoke\nconcurrency: 0\n", "\nports: {webui: 12x}\n")
    assert [fault.where for fault in found] == ["mine.yaml:2", "o0.yaml:2"]


def test_another_model_keeps_what_the_profile_intends() -> None:
    model = laid("extends: smoke\n", model="deepseek-r1-distill-qwen-1.5b:q8_0").spec.model
    assert model.source.endswith("Q8_0.gguf")
    assert (model.context, model.max_tokens, model.sha256) == (2048, 512, None)
    assert (model.reasoning, model.sampling.temperature) == (True, 0.6)
    # A format that the other model does not come in was chosen for the former one.
    other = laid("extends: smoke\n", model="deepseek-r1-distill-qwen-1.5b").spec.model
    assert other.format == "q4_k_m"


def test_what_stands_in_the_file_wins_over_the_catalog() -> None:
    model = read("extends: smoke\nmodel: {sampling: {temperature: 1.0}}\n").spec.model
    assert (model.sampling.temperature, model.sampling.top_p) == (1.0, 0.9)


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        (
            "smolm2-135m-instruct",
            "The catalog has no model `smolm2-135m-instruct`. "
            "Did you mean `smollm2-135m-instruct`?",
            "--model smollm2-135m-instruct",
        ),
        (
            "smollm2-135m-instruct:q9",
            "SmolLM2-135M-Instruct does not come as `q9`: ",
            "--model smollm2-135m-instruct:q4_1",
        ),
        (
            "smollm2-135m-instruct:bf16",
            "llama.cpp does not read `bf16`, but: q4_1.",
            "--model smollm2-135m-instruct:q4_1",
        ),
    ],
)
def test_a_model_that_there_is_not(model: str, message: str, hint: str | None) -> None:
    (fault,) = refused("extends: smoke\n", model=model)
    assert fault.message.startswith(message)
    assert hint is None or fault.hint == hint
    assert fault.where is not None
    assert fault.where.startswith("--model")


@pytest.mark.parametrize(
    ("typed", "where", "hint"),
    [
        ("model.format=bf16", "--set model.format", "--set model.format=q4_k_m"),
        ("model.format=q9", "--set model.format", "--set model.format=q8_0"),
        ("model.use=smolm2", "--set model.use", "--set model.use=smollm2-135m-instruct"),
        (
            "exposure=lan",
            "--set exposure",
            "--set ports.address=192.168.1.20  # this machine's own address there",
        ),
        ("requires.gpu.memory=6GiB", "--set requires.gpu.memory", "--set requires.gpu=null"),
        ("ports.address=10.0.0.1", "--set ports.address", "--set exposure=lan"),
        ("engine.device=cuda", "--set engine.device", "--set requires.gpu.memory=6GiB"),
    ],
)
def test_what_was_typed_is_mended_by_typing(typed: str, where: str, hint: str) -> None:
    (fault,) = faults("extends: cpu-only\n", typed)
    assert (fault.where, fault.hint) == (where, hint)


def test_an_address_that_is_proposed_is_one_of_this_machine() -> None:
    seen = replace(readers(Files()), addresses=lambda: ("10.1.2.3", "192.0.2.9"))
    with pytest.raises(DeployctlError) as caught:
        resolve(Selection(profile="smoke", sets=("exposure=lan",)), seen)
    (fault,) = caught.value.faults
    assert fault.hint == "--set ports.address=10.1.2.3  # this machine's own address there"


def test_the_bridges_of_docker_are_proposed_last() -> None:
    found = ("127.0.0.1", "172.17.0.1", "fe80::1", "::1", "2001:db8::7", "172.16.0.30", "10.0.0.1")
    assert of_networks(found) == ("10.0.0.1", "172.16.0.30", "2001:db8::7", "172.17.0.1")


def test_a_path_after_model_is_no_name_of_the_catalog() -> None:
    def inspect(source: str, *, strict: bool, need: bool = False) -> dict[str, object]:
        return {"name": parse_source(source).text}

    with pytest.raises(DeployctlError) as caught:
        resolve(
            Selection(profile="smoke", model="/tmp/m.gguf"),
            replace(readers(Files()), inspect=inspect),
        )
    (fault,) = caught.value.faults
    assert fault.code == "source-invalid"
    assert "a path needs `file:` before it" in fault.message


def test_a_typed_format_that_vllm_does_not_read() -> None:
    (fault,) = refused("extends: cpu-vllm\n", model="llama-3.2-1b-instruct:q4_k_m")
    assert told(fault) == (
        "--model llama-3.2-1b-instruct:q4_k_m: vLLM does not read `q4_k_m`, but: bf16.\n"
        "--model | llama-3.2-1b-instruct:q4_k_m\n"
        "        | ^\n"
        "→ --model llama-3.2-1b-instruct:bf16"
    )


def test_a_written_format_is_mended_where_it_is_written() -> None:
    (fault,) = faults("extends: cpu-only\nmodel: {format: bf16}\n")
    assert (fault.where, fault.hint) == ("mine.yaml:2", "write `format: q4_k_m`")
