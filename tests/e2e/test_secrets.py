"""Where the secrets are, who can read them, and where they are not."""

from __future__ import annotations

import stat

import pytest

from tests.e2e import machine
from tests.e2e.product import Stack


@pytest.mark.parametrize("name", [".env", "secrets.json", "credentials", "manifest.json"])
def test_the_file_is_for_its_owner_alone(stack: Stack, name: str) -> None:
    assert stat.S_IMODE((stack.folder / name).stat().st_mode) == 0o600


def test_the_folder_is_for_its_owner_alone(stack: Stack) -> None:
    assert stat.S_IMODE(stack.folder.stat().st_mode) == 0o700


def test_the_log_is_for_its_owner_alone(stack: Stack) -> None:
    assert stat.S_IMODE((stack.folder / "deployctl.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["compose.yaml", "manifest.json", "deployctl.log"])
def test_the_file_contains_no_secret(stack: Stack, name: str) -> None:
    text = (stack.folder / name).read_text(encoding="utf-8")
    assert [key for key, secret in stack.secrets().items() if secret in text] == []


def test_secrets_are_long_and_each_its_own(stack: Stack) -> None:
    secrets = list(stack.secrets().values())
    assert all(len(secret) >= 24 for secret in secrets)
    assert len(set(secrets)) == len(secrets)


def test_the_frontend_and_the_engine_do_not_log_secrets(stack: Stack) -> None:
    for service in ("engine", "webui"):
        _, said = machine.attempt("docker", "logs", stack.container(service)["Id"])
        assert [key for key, secret in stack.secrets().items() if secret in said] == []
