"""Checks through the frontend: as a program asks it, and as its own page in the browser does."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.drift import because_of
from deployctl.errors import DeployctlError, Fault
from deployctl.readiness import QUESTION, probe_frontend, prove, sign_in
from deployctl.verify import chats
from deployctl.verify.ask import chat, content, dig, good, question, quoted, told
from deployctl.verify.nouns import Seen, doubtful, failed, ok

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.secret import Secret
    from deployctl.verify.nouns import Subject

#: Seconds for the whole, and between two looks at the chat.
_PATIENCE_S, _LOOK_EVERY_S = 180.0, 0.05

#: The chat window's 28 tools are some 5000 tokens; a system prompt of the operator's is fewer.
_TOOLS_AT_LEAST = 1000


def answers(subject: Subject) -> Seen:
    """``frontend-answers``: its start is complete, database included."""
    probe = probe_frontend(subject.ports.http, subject.at)
    if probe.ok:
        return ok(f"ready at {subject.at.webui}")
    return failed(f"not ready at {subject.at.webui}: {probe.seen}", _logs(subject))


def ui_answer(subject: Subject) -> Seen:
    """``ui-answer``: a question through the frontend's API is answered by the model."""
    plan = subject.plan
    try:
        answer, token = prove(
            subject.ports.http,
            subject.at,
            clock=subject.ports.clock,
            deadline_s=plan.deadlines.proof_s if plan else _PATIENCE_S,
            reasoning=bool(plan and plan.reasoning),
            max_tokens=subject.wanted.max_tokens or 512,
            kept=subject.session.token,
        )
    except DeployctlError as problem:
        fault = _blamed(subject, problem.faults[0])
        return failed(fault.message, fault.hint, where=fault.where, details=fault.details)
    subject.session.token = token
    return ok(f"{quoted(answer.text)} after {answer.seconds:.1f} s")


def browser_path(subject: Subject) -> Seen:
    """``ui-browser-path``: the same as the chat window's page sends it, and the answer is stored.

    Only a request with a session gets the chat window's own tools (process_chat_payload in
    utils/middleware.py), so only this one shows whether the engine is sent them. The answer is
    read back from the chat, which is then deleted: the history stays as it was.
    """
    http, base = subject.ports.http, subject.at.webui
    token, named = _token(subject), str(uuid.uuid4())
    body = _as_browser(subject, named)
    before = chats.ids(http, base, token)
    chat_id, gone = None, None
    try:
        sent = http.call(f"{base}/api/chat/completions", token=token, body=body, timeout_s=60)
        found = dig(sent.data, "chat_id")
        if not good(sent) or not isinstance(found, str):
            return _failed(subject, f"the chat window's request gave {told(sent)}")
        chat_id = found
        answer = _answer(subject, token, chat_id, named)
    finally:
        # Without a good reply the chat may be there all the same, under an id that nobody told.
        chat_id = chat_id or chats.holding(subject.ports, base, token, body["id"], before)
        if chat_id is not None:
            gone = chats.delete(http, base, token, chat_id)
    if gone is not None and not good(gone):
        return failed(
            f"the chat of this check could not be deleted again: {told(gone)}",
            f"delete the chat “New Chat” at {base}",
        )
    return _judged(subject, token, answer)


def ui_settings(subject: Subject) -> Seen:
    """``ui-settings``: what the frontend goes by now is what its container was started with.

    That is the profile, and what the operator's override changes of it: not the profile alone.
    What people have set for the model itself may be meant so: it is a warning.
    """
    found = subject.settings()
    details = tuple(f"{each.what} {each.lasts}" for each in found)
    if changed := [each for each in found if each.place == "setting"]:
        return failed(
            f"{len(changed)} settings of the chat window are not as its container was told",
            changed[0].hint,
            details=details,
        )
    if found:
        return doubtful(
            f"{len(found)} things set in the chat window win over what its container was told",
            found[0].hint,
            details=details,
        )
    return ok("the chat window's settings are those its container was started with")


def _token(subject: Subject) -> Secret:
    """The kept session while it is valid, else a new sign-in."""
    kept = subject.session.token
    url = f"{subject.at.webui}/api/models"  # it also fills the list that requests are held against
    if kept is None or not good(subject.ports.http.call(url, token=kept, timeout_s=30)):
        kept = sign_in(subject.ports.http, subject.at, timeout_s=30)
        subject.ports.http.call(url, token=kept, timeout_s=30)
        subject.session.token = kept
    return kept


def _as_browser(subject: Subject, named: str) -> dict[str, Any]:
    """What the page of Open WebUI 0.12.4 sends for the first message of a new chat.

    The page makes the messages' names up; the answer's is ``named``.
    """
    model = subject.at.served_name
    message = {"id": str(uuid.uuid4()), "parentId": None, "childrenIds": [named]}
    return {
        "stream": True,
        "model": model,
        "params": {},
        "features": {},
        "variables": {},
        "messages": [{"role": "user", "content": QUESTION}],
        "session_id": "deployctl-verify",
        "id": named,
        "parent_id": None,
        "user_message": {**message, "role": "user", "content": QUESTION, "models": [model]},
        "background_tasks": {
            "title_generation": True,
            "tags_generation": True,
            "follow_up_generation": True,
        },
    }


def _answer(subject: Subject, token: Secret, chat_id: str, named: str) -> dict[str, Any]:
    """Wait until nobody works on the chat any more; returns the message with the answer."""
    http, clock, base = subject.ports.http, subject.ports.clock, subject.at.webui
    deadline = clock.now() + _PATIENCE_S
    while True:
        tasks = http.call(f"{base}/api/tasks/chat/{chat_id}", token=token, timeout_s=30)
        busy = not good(tasks) or bool(dig(tasks.data, "task_ids"))
        if not busy or clock.now() >= deadline:
            break
        clock.sleep(_LOOK_EVERY_S)
    kept = http.call(f"{base}/api/v1/chats/{chat_id}", token=token, timeout_s=30)
    found = dig(kept.data, "chat", "history", "messages", named)
    return found if isinstance(found, dict) else {}


def _judged(subject: Subject, token: Secret, answer: dict[str, Any]) -> Seen:
    problem = dig(answer, "error", "content") or dig(answer, "error")
    if problem:
        said = problem if isinstance(problem, str) else json.dumps(problem)
        return _failed(subject, f"the chat window shows an error: {quoted(said, 200)}")
    said = content(answer)
    if not said.strip():
        return _failed(subject, "the chat window's question got no answer")
    if not subject.wanted.tools and (sends := _sends_tools(subject, token)):
        return failed(sends, subject.up)
    read = _tokens_read(answer)
    direct = dig(chat(subject, question(subject, max_tokens=1)).data, "usage", "prompt_tokens")
    if read is None or not isinstance(direct, int):
        return ok(f"answered {quoted(said)}; the chat was deleted again")
    if not subject.wanted.tools and read - direct >= _TOOLS_AT_LEAST:
        return failed(
            f"the engine read {read} tokens for a question of {direct} (measured): the chat window "
            "adds its tools, and the profile says that the model has no use for them",
            subject.up,
        )
    return ok(
        f"answered {quoted(said)}; the engine read {read} tokens, {direct} without the frontend "
        "(measured); the chat was deleted again"
    )


def _tokens_read(answer: dict[str, Any]) -> int | None:
    """Tokens of the question as the engine counted them, as Open WebUI stored it."""
    for name in ("input_tokens", "prompt_tokens"):
        if isinstance(found := dig(answer, "usage", name), int):
            return found
    return None


def _sends_tools(subject: Subject, token: Secret) -> str | None:
    """Whether the frontend's settings, as they are now, let it add tools to every message.

    Some templates leave out what they are given of tools, and then no count of tokens shows them.
    """
    reply: Reply = subject.ports.http.call(
        f"{subject.at.webui}/api/v1/configs/models", token=token, timeout_s=30
    )
    if reply.status != HTTPStatus.OK:
        return f"the frontend does not tell its settings: {told(reply)}"
    params, metadata = (
        dig(reply.data, name) for name in ("DEFAULT_MODEL_PARAMS", "DEFAULT_MODEL_METADATA")
    )
    off = dig(params, "function_calling") == "legacy"
    off = off or dig(metadata, "capabilities", "builtin_tools") is False
    if off:
        return None
    return (
        "the chat window adds its tools to every message, and the profile says that the model has "
        "no use for them"
    )


def _blamed(subject: Subject, fault: Fault) -> Fault:
    """The fault with the setting of the chat window that is why, if one is."""
    try:
        return because_of(fault, subject.settings())
    except DeployctlError:  # `ui-settings` says that they could not be read
        return fault


def _failed(subject: Subject, summary: str) -> Seen:
    """The page got no answer: by a setting, or else what its log says."""
    fault = _blamed(subject, Fault(code="proof-failed", message=summary, hint=_logs(subject)))
    return failed(fault.message, fault.hint, details=fault.details)


def _logs(subject: Subject) -> str:
    return f"deployctl logs webui --stack {subject.stack}"
