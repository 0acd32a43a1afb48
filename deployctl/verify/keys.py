"""Checks of who gets in: keys, sign-in, sign-up, and where the secrets lie."""

from __future__ import annotations

import json
import shlex
from http import HTTPStatus
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.readiness import sign_in
from deployctl.secret import Secret
from deployctl.verify.ask import question, told
from deployctl.verify.nouns import Container, KeptFile, Seen, doubtful, failed, ok, skipped

if TYPE_CHECKING:
    from deployctl.drift import Drift
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

#: The setting that opens sign-up.
_SIGN_UP = "ui.enable_signup"

_NOBODYS = Secret("deployctl-verify-nobodys-key")


def no_key(subject: Subject) -> Seen:
    """``key-required``: without a key the engine's API gives nothing."""
    return _refused(subject, None, "no key")


def wrong_key(subject: Subject) -> Seen:
    """``key-wrong``: nor with a key that is not ours."""
    return _refused(subject, _NOBODYS, "a wrong key")


def _refused(subject: Subject, key: Secret | None, what: str) -> Seen:
    http, base = subject.ports.http, subject.at.engine
    chat = question(subject, max_tokens=1)
    asked: tuple[tuple[str, object], ...] = (
        ("/v1/models", None),
        ("/v1/chat/completions", chat),
        ("/metrics", None),
    )
    if subject.wanted.engine == "vllm":  # whose own key leaves these to everybody
        asked += (("/invocations", chat), ("/tokenize", {"prompt": "a"}))
    for path, body in asked:
        reply: Reply = http.call(f"{base}{path}", token=key, body=body, timeout_s=30)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return failed(f"{path} with {what} gave {told(reply)}, not HTTP 401", subject.up)
    return ok(f"with {what} {', '.join(path for path, _ in asked)} say HTTP 401")


def signs_in(subject: Subject) -> Seen:
    """``sign-in``: the administrator gets in anew, with what the credentials file says.

    `up` and the other checks are content with the session of an earlier sign-in. In Open WebUI
    0.12.4 a changed password ends that one, a changed e-mail address does not.
    """
    at = subject.at
    try:
        subject.session.token = sign_in(subject.ports.http, at)
    except DeployctlError as problem:
        if problem.faults[0].code != "sign-in-limited":
            raise
        return skipped("the frontend takes no more sign-ins for now: 15 in three minutes")
    sheet = next((file.text for file in subject.files if file.name == "credentials"), None)
    if sheet is None:
        return doubtful("secrets.json signs in, and the credentials file is gone", subject.up)
    says = {line.partition(":")[2].strip() for line in sheet.splitlines()}
    if not {at.admin_email, at.admin_password.reveal().strip()} <= says:
        return doubtful("secrets.json signs in, and the credentials file differs", subject.up)
    return ok(f"{at.admin_email} signs in as the credentials file says")


def sign_up_closed(subject: Subject) -> Seen:
    """``sign-up-closed``: nobody makes an account of their own.

    Open WebUI 0.12 looks whether sign-up is open before it looks at the address (signup in
    routers/auths.py). This one is no address at all, so that no account is made where it is open.
    """
    reply = subject.ports.http.call(
        f"{subject.at.webui}/api/v1/auths/signup",
        body={"name": "nobody", "email": "no address", "password": "nothing"},
        timeout_s=30,
    )
    if reply.status == HTTPStatus.FORBIDDEN:
        return ok("making an account says HTTP 403")
    if reply.status != HTTPStatus.BAD_REQUEST:  # which is about the address: it was open
        return failed(f"making an account gave {told(reply)}, not HTTP 403", subject.up)
    changed = next((each for each in _settings(subject) if each.name == _SIGN_UP), None)
    if changed is not None:
        return failed(f"sign-up is open: {changed.what}", changed.hint)
    return failed(
        "sign-up is open: the frontend was started so",
        f"remove ENABLE_SIGNUP from compose.override.yaml, then: {subject.up}",
    )


def _settings(subject: Subject) -> tuple[Drift, ...]:
    try:
        return subject.settings()
    except DeployctlError:  # `ui-settings` says that they could not be read
        return ()


#: Files that hold secrets or may; their mode must leave out everybody else.
_PRIVATE = (".env", "secrets.json", "credentials", "session", "manifest.json", "proved.json")

#: Files that secrets must not be written into.
_SPEAKING = (
    *("compose.yaml", "compose.override.yaml", "manifest.json", "proved.json"),
    "deployctl.log",
)


def secrets_private(subject: Subject) -> Seen:
    """``secrets-private``: files 0600 and ours; no secret in a file, an argv or a label."""
    by_name = {file.name: file for file in subject.files}
    wrong = [*_modes(by_name), *_written(subject, by_name)]
    for container in subject.containers:
        wrong += [
            f"{name} is on a command line or in a label of {container.service}"
            for name, secret in subject.secrets.items()
            if secret.reveal() in _spoken(container)
        ]
    if wrong:
        return failed(
            f"{len(wrong)} secrets or files with secrets can be seen by others",
            _remedy(by_name, subject),
            details=tuple(wrong),
        )
    private = sum(name in by_name for name in _PRIVATE)
    return ok(
        f"{private} files 0600, {len(subject.secrets)} secrets in no other file, "
        "command line or label"
    )


def _remedy(files: dict[str, KeptFile], subject: Subject) -> str:
    """What puts modes right, and a log aside; the rest is written anew by `up`."""
    folder = shlex.quote(files["."].text if "." in files else ".")
    log = files.get("deployctl.log")
    spoken = log is not None and any(s.reveal() in log.text for s in subject.secrets.values())
    remove = f"rm {folder}/deployctl.log; " if spoken else ""
    return f"chmod -R go-rwx {folder}; {remove}{subject.up}"


def _modes(files: dict[str, KeptFile]) -> list[str]:
    return [
        f"{name} has mode {file.mode:04o}" + ("" if file.ours else " and belongs to another user")
        for name in (*_PRIVATE, ".")
        if (file := files.get(name)) is not None and (file.mode & 0o077 or not file.ours)
    ]


def _written(subject: Subject, files: dict[str, KeptFile]) -> list[str]:
    return [
        f"{secret_name} is written in {name}"
        for name in _SPEAKING
        for secret_name, secret in subject.secrets.items()
        if name in files and secret.reveal() in files[name].text
    ]


def _spoken(container: Container) -> str:
    """All of a container's configuration that others see in a list of processes or containers."""
    config, seen = container.seen.get("Config") or {}, container.seen
    parts = (seen.get("Path"), seen.get("Args"), config.get("Cmd"), config.get("Entrypoint"))
    return json.dumps((*parts, config.get("Healthcheck"), config.get("Labels")))
