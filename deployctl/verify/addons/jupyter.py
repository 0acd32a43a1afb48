"""Checks of Jupyter: that it answers, to whom, and that notebooks in it find the model."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from deployctl.commands import inside
from deployctl.reach import url
from deployctl.secret import Secret
from deployctl.verify.ask import dig, good, told
from deployctl.verify.nouns import Check, Seen, doubtful, failed, ok, skipped

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

_NAME = "jupyter"
_STARTER = "start.ipynb"
_NOBODYS = Secret("deployctl-verify-nobodys-token")

#: Seconds for one answer. Of the chat window, too, which starts a kernel for it.
_PATIENCE_S, _RUN_S = 20.0, 90.0

#: Asked with the environment that notebooks have, and with their Python.
_MODELS = """python3 -c '
import json, openai
print(json.dumps([model.id for model in openai.OpenAI(timeout=20).models.list()]))
'"""

#: Says where it ran: a container is named by the beginning of its id.
_CODE = "import socket; print(6 * 7, socket.gethostname())"


def answers(subject: Subject) -> Seen:
    """``jupyter-answers``: its API answers, with its token."""
    reply = _get(subject, "/api/status", subject.secrets["jupyter_token"])
    kernels = dig(reply.data, "kernels")
    if not good(reply) or not isinstance(kernels, int):
        return failed(f"/api/status gave {told(reply)}", _logs(subject), where=_NAME)
    running = "no notebook is running" if not kernels else f"{kernels} notebooks are running"
    return ok(f"answers at {_address(subject)}; {running}")


def token_required(subject: Subject) -> Seen:
    """``jupyter-token-required``: who has no token, or a wrong one, gets nothing.

    Kernels and terminals run code, contents are what people wrote.
    """
    paths = ("/api/contents", "/api/kernels", "/api/terminals")
    for token, what in ((None, "no token"), (_NOBODYS, "a wrong token")):
        for path in paths:
            reply = _get(subject, path, token)
            if reply.status != HTTPStatus.FORBIDDEN:
                return failed(
                    f"{path} with {what} gave {told(reply)}, not HTTP 403",
                    f"remove what changes jupyter from compose.override.yaml, then: {subject.up}",
                    where=_NAME,
                )
    return ok(f"without a token and with a wrong one {', '.join(paths)} say HTTP 403")


def notebook(subject: Subject) -> Seen:
    """``jupyter-notebook``: the starter is there, and from inside its client finds the model.

    No kernel is started for that: the client asks in a process of its own.
    """
    container = subject.container(_NAME)
    if container is None:
        return failed("its container is not running", _logs(subject), where=_NAME)
    result = subject.ports.runner.run(
        inside(container.state.id, _MODELS, label="ask the model from Jupyter")
    )
    try:
        found = json.loads(result.stdout) if result.ok else None
    except ValueError:
        found = None
    if not isinstance(found, list) or subject.at.served_name not in found:
        return failed(
            f"a notebook does not find {subject.at.served_name}",
            _logs(subject),
            where=_NAME,
            details=result.tail(5),
        )
    token = subject.secrets["jupyter_token"]
    reply = _get(subject, f"/api/contents/{_STARTER}?content=0", token)
    if reply.status == HTTPStatus.NOT_FOUND:
        return doubtful(
            f"a notebook finds the model; {_STARTER} is gone, and comes back when Jupyter starts",
            f"deployctl down --stack {subject.stack} && {subject.up}",
        )
    if not good(reply):
        return failed(f"{_STARTER} gave {told(reply)}", _logs(subject), where=_NAME)
    return ok(f"{_STARTER} is there, and the client inside finds {subject.at.served_name}")


def code(subject: Subject) -> Seen:
    """``jupyter-code``: where it was asked for, the chat window runs code in Jupyter.

    By its own API (execute_code in routers/utils.py of Open WebUI 0.12.4), which is what its page
    asks when somebody presses Run.
    """
    window, container = subject.container("webui"), subject.container(_NAME)
    environment = window.get("Config", "Env") if window is not None else None
    if "CODE_EXECUTION_ENGINE=jupyter" not in (environment or ()):
        return skipped("the profile does not ask for it (addons.jupyter.code_interpreter)")
    reply = subject.ports.http.call(
        f"{subject.at.webui}/api/v1/utils/code/execute",
        token=subject.session.token,
        body={"code": _CODE},
        timeout_s=_RUN_S,
    )
    hostname = container.get("Config", "Hostname") if container is not None else None
    if good(reply) and dig(reply.data, "stdout") == f"42 {hostname}":
        return ok("the chat window had 6 * 7 calculated in Jupyter's container")
    said = dig(reply.data, "stderr") or dig(reply.data, "stdout")
    return failed(
        f"the chat window's code was not run: {said or told(reply)}",
        _logs(subject),
        where=_NAME,
    )


def _address(subject: Subject) -> str:
    """Where it is published, by the stack's file. A check is made only where it is in there."""
    service = subject.wanted.service(_NAME)
    assert service is not None
    return url(*service.published[0])


def _get(subject: Subject, path: str, token: Secret | None) -> Reply:
    return subject.ports.http.call(f"{_address(subject)}{path}", token=token, timeout_s=_PATIENCE_S)


def _logs(subject: Subject) -> str:
    return f"deployctl logs {_NAME} --stack {subject.stack}"


_UP = "jupyter-answers"

CHECKS: tuple[Check, ...] = (
    Check(
        name=_UP,
        promise="Jupyter's API answers, with its token.",
        look=answers,
        where=_NAME,
        addon=_NAME,
    ),
    Check(
        name="jupyter-token-required",
        promise="Without its token, and with a wrong one, Jupyter says HTTP 403.",
        look=token_required,
        where=_NAME,
        needs=(_UP,),
        addon=_NAME,
    ),
    Check(
        name="jupyter-notebook",
        promise="The starter notebook is there, and from inside its client finds the model; a "
        "warning where the notebook was removed.",
        look=notebook,
        where=_NAME,
        needs=(_UP, "engine-answers"),
        addon=_NAME,
    ),
    Check(
        name="jupyter-code",
        promise="Where the profile asks for it, the chat window runs code in Jupyter.",
        look=code,
        where=_NAME,
        needs=(_UP, "sign-in"),
        addon=_NAME,
    ),
)
