"""The stack's own folder: a broken override, a lock that is held, secrets that are gone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults import clock, gate
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import Terminal, told

#: What is wrong → (the file, what Compose says of it).
BROKEN = {
    "a-key-that-is-none": ("services:\n  engine:\n    no_such_key: true\n", "no_such_key"),
    "not-yaml": ("services: [engine\n", "yaml: line 1"),
    "an-undefined-network": ("services: {engine: {networks: [nowhere]}}\n", "nowhere"),
}


@pytest.mark.parametrize(("text", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_override_names_the_file_and_touches_nothing(
    patient: Patient, text: str, cause: str
) -> None:
    with patient.untouched():
        patient.overridden(text)
        outcome = patient.up()
    file = str(patient.stack.override)
    error = told(outcome, 5, "render-invalid", says=(file, cause), hint=file)
    assert error["where"].startswith(file)
    assert patient.stack.override.read_text(encoding="utf-8") == text
    patient.stack.override.unlink()
    with patient.untouched():
        patient.heals()


def test_a_lock_that_is_held_names_the_holder_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal, tmp_path: Path
) -> None:
    with (
        gate.before(tmp_path, "info") as held,
        patient.stack.product.start(*patient.stack.up_words, env=held.env) as first,
    ):
        held.reached()
        with patient.untouched():
            second = patient.up()
            error = told(
                second,
                5,
                "stack-locked",
                says=(f"(pid {first.pid})",),
                hint=f"deployctl status --stack {patient.name}",
            )
            terminal.follow(error["hint"])
            refused = patient.stack.down()
            told(refused, 5, "stack-locked", says=(f"(pid {first.pid})",), hint="deployctl ")
        held.open()
        assert first.finish().exit_code == 0
    patient.well()


def test_a_lock_of_a_holder_that_was_killed_holds_nobody_up(
    patient: Patient, tmp_path: Path
) -> None:
    with (
        gate.before(tmp_path, "info") as held,
        patient.stack.product.start(*patient.stack.up_words, env=held.env) as first,
    ):
        held.reached()
        first.kill()
        first.finish()
    with patient.untouched():
        patient.heals()


def test_secrets_that_are_gone_are_never_made_anew_and_putting_them_back_heals(
    patient: Patient, tmp_path: Path
) -> None:
    file = patient.stack.folder / "secrets.json"
    aside = tmp_path / "secrets.json"
    with patient.untouched():
        file.rename(aside)
        try:
            outcome = patient.up()
            told(
                outcome,
                5,
                "secrets-lost",
                says=(str(patient.stack.folder), f"{patient.name}_webui-data"),
                hint="put secrets.json back",
            )
            assert not file.exists()
        finally:
            aside.rename(file)
    with patient.untouched():
        patient.heals()


# ── time ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_off_hinders_neither_up_nor_status(
    patient: Patient, tmp_path: Path, days: int
) -> None:
    product = patient.stack.product
    env = clock.made(tmp_path / "clock", days=days).env(product.environment)
    assert patient.up(env=env).data["answer"]["text"].strip()
    status = product.run("status", "--stack", patient.name, "--output", "json", env=env)
    assert status.exit_code == 0, str(status)
    assert patient.stack.down().exit_code == 0
    assert patient.up(env=env).data["changed"] is True
    patient.well()


@pytest.mark.long
@pytest.mark.parametrize("days", [-3, 3])
def test_a_clock_that_jumps_in_the_middle_of_up_changes_no_deadline(
    patient: Patient, tmp_path: Path, days: int
) -> None:
    assert patient.stack.down().exit_code == 0
    product = patient.stack.product
    other = clock.made(tmp_path / "clock", days=0)
    (tmp_path / "bin").mkdir()
    with gate.before(tmp_path / "bin", "compose", "up") as held:
        words = (*patient.stack.up_words, "--output", "json")
        env = {**other.env(product.environment), **held.env}
        with product.start(*words, env=env) as running:
            held.reached()
            other.set_days(days)
            held.open()
            outcome = running.finish()
    assert outcome.data["answer"]["text"].strip()
    assert all(0 <= phase["seconds"] <= outcome.seconds for phase in outcome.data["phases"])
    patient.well()


def test_the_other_clock_is_believed(tmp_path: Path) -> None:
    env = clock.made(tmp_path / "clock", days=400).env({})
    ask = "import time, datetime; print(time.time(), datetime.datetime.now().timestamp())"
    said = machine.run("env", *(f"{k}={v}" for k, v in env.items()), sys.executable, "-c", ask)
    assert all(float(text) - time.time() > 399 * 24 * 3600 for text in said.split())


@pytest.mark.parametrize("expires", [1, 2**31], ids=["expired", "not-ours"])
def test_a_session_that_is_not_valid_any_more_is_replaced_by_a_new_sign_in(
    patient: Patient, expires: int
) -> None:
    key = patient.stack.secrets()["webui_secret"] if expires == 1 else "another"
    (session,) = (path for path in patient.stack.folder.iterdir() if "session" in path.name)
    session.write_text(_token(key, expires), encoding="utf-8")
    with patient.untouched():
        patient.heals()


def _token(key: str, expires: int) -> str:
    def part(data: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'id': 'x', 'exp': expires})}"
    seal = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(seal).decode().rstrip('=')}"
