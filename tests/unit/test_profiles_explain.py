"""Profiles shown, explained, compared and begun."""

import pytest

from deployctl.errors import DeployctlError
from deployctl.profiles.compare import differences
from deployctl.profiles.explain import annotated, explain, shown
from deployctl.profiles.fresh import fresh
from deployctl.profiles.resolve import Profile
from tests.profilefiles import CATALOG, ROOT, laid, read, shipped

MODEL = "models/smollm2-135m-instruct.yaml"
MINE = """\
extends: smoke

# Four of us, since Berta came.
concurrency: 4  # and sometimes a guest

ports:
  # 7860 is taken here.
  webui: 8080
engine:
  extra_args: ["--threads-http", 'a # b: c']
"""


def at(file: str, start: str) -> str:
    """``file:line`` of the line of a shipped file that begins so."""
    written = (ROOT / "profiles" / file).read_text(encoding="utf-8").splitlines()
    (line,) = (number for number, text in enumerate(written, 1) if text.startswith(start))
    return f"{file}:{line}"


# ── shown ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_what_is_shown_is_the_same_profile_again(name: str) -> None:
    profile = shipped(name)
    again = read(shown(profile))
    assert again.spec == profile.spec.model_copy(update={"extends": None})
    assert shown(again) == shown(profile)
    assert again.files == ("mine.yaml",)


def test_units_and_defaults_are_written_out() -> None:
    text = shown(read(MINE))
    for line in ("exposure: loopback", "  memory: 2GiB", "  engine: 8000", "concurrency: 4"):
        assert line in text.splitlines()
    assert "extends" not in text
    assert '  extra_args: ["--threads-http", "a # b: c"]' in text.splitlines()


def test_a_small_number_is_not_written_as_a_power() -> None:
    profile = read(MINE, "model.sampling.min_p=0.00001")
    assert "    min_p: 0.00001" in shown(profile).splitlines()
    assert read(shown(profile)).spec.model.sampling.min_p == 0.00001


# ── explained ─────────────────────────────────────────────────────────────────────────────────


def test_every_value_has_its_place_behind_it() -> None:
    lines = annotated(read(MINE, "ports.engine=9000")).splitlines()
    for line in (
        "concurrency: 4  # mine.yaml:4",
        "exposure: loopback  # default",
        "  webui: 8080  # mine.yaml:8",
        "  engine: 9000  # --set ports.engine",
        f"  kind: llama.cpp  # {at('base/llama-cpp.yaml', '  kind:')}",
        f"  served_name: smollm2-135m  # profiles/{at(MODEL, 'served_name:')}",
    ):
        assert line in lines
    paths = {line.split(":")[0] for line in lines if " # " in line}
    assert {"concurrency", "  webui", "  disk", "    layers"} <= paths


def test_the_annotated_profile_is_still_that_profile() -> None:
    profile = read(MINE)
    again = read(annotated(profile))
    assert again.spec == profile.spec.model_copy(update={"extends": None})


def test_one_value_says_why_and_what_it_overrides() -> None:
    profile = laid(MINE, "concurrency: 5\n", sets=("concurrency=6",))
    found = explain(profile, "concurrency")
    assert (found.value, found.where) == ("6", "--set concurrency")
    assert [(one.value, one.where) for one in found.overrides] == [
        ("5", "o0.yaml:1"),
        ("4", "mine.yaml:4"),
        ("2", at("smoke.yaml", "concurrency:")),
    ]
    assert found.description.startswith("How many people")


def test_the_reason_is_the_comment_above_and_behind() -> None:
    found = explain(read(MINE), "concurrency")
    assert found.reason == "Four of us, since Berta came. and sometimes a guest"
    assert explain(read(MINE), "ports.webui").reason == "7860 is taken here."
    assert explain(read(MINE), "engine.extra_args").reason == ""
    assert explain(read(MINE), "engine.extra_args.1").value == '"a # b: c"'


def test_a_value_without_a_comment_has_its_block_s() -> None:
    found = explain(shipped("smoke"), "ports.webui")
    assert (found.reason_of, found.value) == ("ports", "7860")
    assert found.reason.startswith("Both on 127.0.0.1 only.")


def test_what_is_not_written_is_explained_too() -> None:
    found = explain(read(MINE), "engine.cpus")
    assert (found.value, found.where, found.overrides) == (None, None, ())
    assert "physical cores" in found.description
    assert explain(read(MINE), "exposure").where == "default"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("port.webui", "ports.webui"),
        ("webui", "ports.webui"),
        ("model.sampling.temprature", "model.sampling.temperature"),
        ("engine.extra_args.7", "engine.extra_args.1"),
        ("concurrency.x", "concurrency"),
        ("", None),
        ("zzzzzz", None),
    ],
)
def test_a_path_that_there_is_not(path: str, meant: str | None) -> None:
    with pytest.raises(DeployctlError) as caught:
        explain(read(MINE), path)
    (fault,) = caught.value.faults
    assert fault.code == "profile-key-unknown"
    assert ("Did you mean" in fault.message) is (meant is not None)
    assert fault.hint == f"deployctl profile explain mine {meant or 'ports.webui'}"


# ── compared ──────────────────────────────────────────────────────────────────────────────────


def lines(a: Profile, b: Profile) -> list[str]:
    return [
        f"{one.path} {one.a and one.a.value} {one.a and one.a.where} "
        f"{one.b and one.b.value} {one.b and one.b.where}"
        for one in differences(a, b)
    ]


def test_what_differs_and_who_wrote_it() -> None:
    assert lines(shipped("smoke"), read(MINE)) == [
        f"concurrency 2 profiles/{at('smoke.yaml', 'concurrency:')} 4 mine.yaml:4",
        f"engine.extra_args [] profiles/{at('base/llama-cpp.yaml', '  extra_args:')} "
        '["--threads-http", "a # b: c"] mine.yaml:10',
        f"ports.webui 7860 profiles/{at('base/llama-cpp.yaml', '  webui:')} 8080 mine.yaml:8",
    ]


def test_spellings_do_not_differ() -> None:
    same = "extends: smoke\nfrontend: {memory: 2048MiB}\nrequires: {disk: 8192MiB}\n"
    assert differences(read(same), shipped("smoke")) == ()


def test_a_value_that_one_has_not() -> None:
    changed = "extends: smoke\nauto: null\nengine: {cpus: 2}\n"
    assert lines(shipped("smoke"), read(changed)) == [
        "engine.cpus None None 2 mine.yaml:3",
        f"auto.rank 10 profiles/{at('smoke.yaml', '  rank:')} None None",
    ]


# ── begun ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CATALOG.shipped_names())
def test_a_new_profile_changes_nothing_commented_or_not(name: str) -> None:
    parent = shipped(name)
    text = fresh("box", parent, name)
    head, _, rest = text.partition("\n\n")
    assert head.splitlines()[0] == "# yaml-language-server: $schema=profile.schema.json"
    told = {"extends": name, "description": "My own box."}
    assert read(text).spec == parent.spec.model_copy(update=told)
    bare = "\n".join(line.removeprefix("# ") for line in rest.splitlines()) + "\n"
    assert "# concurrency:" in text
    assert "\nconcurrency:" in bare
    # What is a default may be written down now, and means the same.
    assert read(bare).spec == parent.spec.model_copy(update=told)


def test_a_new_profile_gives_the_reasons() -> None:
    text = fresh("box", shipped("cpu-only"), "cpu-only")
    assert "#   # 4 bits a weight: on a processor the memory's speed is the limit" in text
    assert "\n#   format: q4_k_m\n" in text
    assert max(map(len, text.splitlines())) <= 100
