"""Nobody uses the stack without what was generated for it."""

from __future__ import annotations

import pytest

from tests.e2e import machine
from tests.e2e.product import Stack

CHAT = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("token", [None, "wrong", ""], ids=["no key", "wrong key", "empty key"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/metrics"),
        ("GET", "/props"),
    ],
)
def test_the_engine_refuses_who_has_not_its_key(
    stack: Stack, method: str, path: str, token: str | None
) -> None:
    body = CHAT if method == "POST" else None
    answer = machine.http(method, f"{stack.engine}{path}", token=token, body=body)
    assert answer.status_code == 401


def test_the_engine_answers_with_the_key_of_the_sign_in_sheet(stack: Stack) -> None:
    sheet = stack.credentials()
    assert sheet["OpenAI API"] == f"{stack.engine}/v1"
    answer = machine.http(
        "POST",
        f"{sheet['OpenAI API']}/chat/completions",
        token=sheet["API key"],
        body={**CHAT, "model": sheet["model"], "max_tokens": 16},
    )
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].strip()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/models"), ("POST", "/api/chat/completions"), ("GET", "/openai/config")],
)
def test_the_frontend_refuses_who_has_not_signed_in(stack: Stack, method: str, path: str) -> None:
    body = CHAT if method == "POST" else None
    assert machine.http(method, f"{stack.webui}{path}", body=body).status_code in (401, 403)


def test_a_wrong_password_does_not_sign_in(stack: Stack) -> None:
    body = {"email": stack.credentials()["email"], "password": "wrong"}
    answer = machine.http("POST", f"{stack.webui}/api/v1/auths/signin", body=body)
    assert answer.status_code == 400


def test_nobody_can_sign_up(stack: Stack) -> None:
    assert sign_up(stack) == 403


def test_the_generated_account_is_the_administrator(stack: Stack) -> None:
    answer = machine.http("GET", f"{stack.webui}/api/v1/auths/", token=stack.sign_in())
    assert answer.json()["role"] == "admin"


def sign_up(stack: Stack) -> int:
    """Try to make an account; returns the HTTP status."""
    body = {"name": "Eve", "email": "eve@example.invalid", "password": "a-long-password"}
    return machine.http("POST", f"{stack.webui}/api/v1/auths/signup", body=body).status_code
