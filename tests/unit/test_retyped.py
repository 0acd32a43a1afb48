"""Hints that keep what was typed, and the command line's library in our words."""

from __future__ import annotations

import pytest

from deployctl.cli.retyped import in_our_words, mended
from deployctl.diagnosis.signs import evidence
from deployctl.errors import Fault
from deployctl.gguf.reader import _legible
from deployctl.profiles.models import _close


@pytest.mark.parametrize(
    ("typed", "code", "hint", "whole"),
    [
        (
            "plan --profile smok --stack oper -o json",
            "profile-unknown",
            "deployctl up --profile smoke",
            "deployctl plan --profile smoke --stack oper -o json",
        ),
        ("up -psmok", "profile-unknown", "deployctl up --profile smoke", "deployctl up -p smoke"),
        (
            "up --profile=smok --fit",
            "profile-unknown",
            "deployctl up --profile smoke",
            "deployctl up --profile smoke --fit",
        ),
        (
            "up --stack oper",  # the profile came from the environment
            "profile-unknown",
            "deployctl up --profile smoke",
            "deployctl up --stack oper --profile smoke",
        ),
        (
            "verify --only chatt --only no-egress --stack oper",
            "usage",
            "deployctl verify --only chat,no-egress",
            "deployctl verify --only chat,no-egress --stack oper",
        ),
        ("up --stack OPER --fit", "usage", "--stack oper", "deployctl up --stack oper --fit"),
        (
            "smoke --stack a -p smoke",
            "stack-locked",
            "deployctl smoke --stack a-2  # or wait",
            "deployctl smoke --stack a-2 -p smoke  # or wait",
        ),
        (
            "report --stack oper --file /a",
            "report-unwritable",
            "deployctl report --file /b",
            "deployctl report --stack oper --file /b",
        ),
        (
            "chat --stack OPER -- what is --stack for",
            "usage",
            "--stack oper",
            "deployctl chat --stack oper -- what is --stack for",
        ),
        (
            "chat -- hello",  # the name came from the environment
            "usage",
            "--stack oper",
            "deployctl chat --stack oper -- hello",
        ),
        (
            "status --stack oper",
            "stack-unknown",
            "deployctl up --stack oper",
            "deployctl up --stack oper",
        ),
        (
            "plan",
            "model-unreadable",
            "--model X, or write a profile",
            "--model X, or write a profile",
        ),
    ],
)
def test_a_hint_keeps_the_command_and_its_options(
    typed: str, code: str, hint: str, whole: str
) -> None:
    assert mended(Fault(code=code, message="m", hint=hint), typed.split()).hint == whole


@pytest.mark.parametrize(
    ("typed", "theirs", "ours", "meant"),
    [
        (
            "up --on-failure rolback -q",
            "Invalid value for '--on-failure': Value error, 'rolback' is not one of 'keep', "
            "'down', 'rollback'.",
            "--on-failure is keep, down or rollback, not 'rolback'. Did you mean rollback?",
            "deployctl up --on-failure rollback -q",
        ),
        (
            "up -o jsn",
            "Invalid value for '--output' / '-o': 'jsn' is not one of 'text', 'json'.",
            "--output is text or json, not 'jsn'. Did you mean json?",
            "deployctl up -o json",
        ),
        (
            "reconcile engine",
            "Invalid value for 'part': 'engine' is not one of 'webui'.",
            "part is webui, not 'engine'.",
            None,
        ),
        (
            "pu --fit",
            "No such command 'pu'.",
            "No such command 'pu'. Did you mean 'up'?",
            "deployctl up --fit",
        ),
        (
            "reconcile",
            "Missing argument 'part'. Choose from:\n\twebui",
            "The argument PART is missing: webui.",
            None,
        ),
        (
            "chat --temperature hot",
            "Invalid value for '--temperature': Input should be a valid number, unable to parse "
            "string as a number",
            "Invalid value for '--temperature': it is not a number.",
            None,
        ),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_in_our_words(
    typed: str, theirs: str, ours: str, meant: str | None
) -> None:
    assert in_our_words(theirs, typed.split(), ("up", "down", "plan")) == (ours, meant)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("smolm", ["smollm2-135m-instruct"]),
        ("qwen", ["qwen2.5-1.5b-instruct"]),
        ("xyzzy", []),
    ],
)
def test_the_beginning_of_a_model_s_name_is_near_enough(asked: str, meant: list[str]) -> None:
    names = ("deepseek-r1-distill-qwen-1.5b", "qwen2.5-1.5b-instruct", "smollm2-135m-instruct")
    assert _close(asked, names) == meant


def test_bytes_are_legible() -> None:
    assert _legible(b"<htm") == "`<htm`"
    assert _legible(b"\x8f\x00AB") == "the bytes 8f 00 41 42"


def test_the_warning_of_every_start_is_no_evidence() -> None:
    lines = (
        "warn: LLAMA_ARG_HOST environment variable is set, but will be overwritten by command "
        "line argument --host",
        "error: invalid argument: --zz",
    )
    assert evidence(lines, {0, 1}, 1) == ("error: invalid argument: --zz",)
