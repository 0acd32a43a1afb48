"""For any text: a source that keeps its promises, or a fault with a hint. Never anything else."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deployctl.errors import DeployctlError
from deployctl.model import Source
from deployctl.runner import SubprocessRunner
from deployctl.sources import parse_source
from deployctl.weights import WeightsStore

ROOT = Path("/store")
PIECES = st.lists(
    st.sampled_from(
        [
            "hf:",
            "file:",
            "https://",
            "http://",
            "wheel:",
            "bf16:",
            "a",
            "b.gguf",
            "/",
            "//",
            ":",
            "@",
            "==",
            "..",
            ".",
            "~",
            "%2e",
            "?",
            "#",
            " ",
            "\x00",
            "127.0.0.1",
            "é",
            "[",
            "]",
            "-",
            "$",
        ]
    ),
    max_size=12,
).map("".join)


def parsed(text: str) -> Source | None:
    try:
        return parse_source(text)
    except DeployctlError as error:
        (fault,) = error.faults
    assert fault.code == "source-invalid"
    assert fault.hint
    assert fault.message.isprintable()
    return None


@given(st.one_of(st.text(), PIECES))
def test_any_text_is_a_source_or_a_fault(text: str) -> None:
    source = parsed(text)
    if source is not None:
        assert source.text == text
        assert source.filename not in ("", ".", "..")


@given(PIECES)
def test_no_source_leads_out_of_the_store(text: str) -> None:
    source = parsed(text)
    if source is None or source.kind == "file":
        return
    store = WeightsStore(ROOT, environment={}, runner=SubprocessRunner())
    path = store.path_of(source)
    assert ".." not in path.parts
    assert path.is_relative_to(ROOT)
    assert ":" not in str(path)


NAME = st.from_regex(r"[a-z0-9]([a-z0-9._]?[a-z0-9]){0,5}", fullmatch=True).filter(
    lambda name: ".." not in name
)


@given(NAME, NAME, NAME, st.lists(NAME, min_size=1, max_size=3))
def test_what_is_put_together_is_taken_apart_again(
    org: str, repo: str, revision: str, path: list[str]
) -> None:
    inner = "/".join(path)
    source = parse_source(f"hf:{org}/{repo}@{revision}:{inner}")
    assert (source.repo, source.revision, source.path) == (f"{org}/{repo}", revision, inner)
    whole = parse_source(f"hf:{org}/{repo}@{revision}") if not repo.endswith(".gguf") else source
    assert (whole.repo, whole.revision) == (f"{org}/{repo}", revision)
    assert whole is source or whole.path == ""
    source = parse_source(f"wheel:{org}=={revision}:{inner}")
    assert (source.repo, source.revision, source.path) == (org, revision, inner)
