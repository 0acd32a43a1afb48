"""Checks of the response cache: it answers, remembers what it may, and only for those with a key.

Whether an answer was made or remembered is read off the answer: every one that an engine makes has
an id of its own. Pure but for the ports it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.reach import LOOPBACK, url
from deployctl.secret import Secret
from deployctl.verify.ask import PATIENCE_S, SHORT, dig, good, question, told
from deployctl.verify.nouns import Check, Lane, Seen, failed, ok, skipped

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

_ENGINE: Lane = "engine"
_UP = "cache-answers"
_NOBODYS = Secret("deployctl-verify-nobodys-key")
_CHAT = "/v1/chat/completions"

#: Warm enough that an engine does not say the same by chance; its answer has another id anyway.
_WARM = 0.8


def _at(subject: Subject) -> str:
    """Its address on this machine, as the applied file publishes it."""
    service = subject.wanted.service("cache")
    published = service.published if service is not None else ()
    return url(LOOPBACK, published[0][1]) if published else ""


def _logs(subject: Subject) -> str:
    return f"deployctl logs cache --stack {subject.stack}"


def _ask(subject: Subject, path: str, body: object = None, key: Secret | None = None) -> Reply:
    return subject.ports.http.call(
        f"{_at(subject)}{path}", token=key, body=body, timeout_s=PATIENCE_S
    )


def _new(subject: Subject, **more: object) -> dict[str, Any]:
    """A question that nobody asked before: the cache outlives containers, stacks and restarts."""
    container = subject.container("cache")
    asker = container.state.id[:12] if container is not None else subject.stack
    text = f"Say hello to number {subject.ports.clock.now():.6f} of {asker}."
    return question(subject, text, max_tokens=SHORT, **more)


def _figure(text: str, name: str) -> int | None:
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def answers(subject: Subject) -> Seen:
    """``cache-answers``: it is there, and hands on what it does not keep."""
    reply = _ask(subject, "/v1/models", key=subject.at.engine_key)
    names = [dig(each, "id") for each in dig(reply.data, "data") or ()]
    if not good(reply) or subject.at.served_name not in names:
        return failed(f"/v1/models by way of the cache gave {told(reply)}", _logs(subject))
    return ok(f"{_at(subject)}/v1 lists {subject.at.served_name}")


def hit(subject: Subject) -> Seen:
    """``cache-hit``: the same question is answered with the very same bytes."""
    if _told(subject, "ENGINE_SAMPLES") and not _told(subject, "CACHE_SAMPLED"):
        return skipped("nothing is kept unasked: engine.extra_args samples at temperature 0 too")
    key, asked = subject.at.engine_key, _new(subject)
    before = _figure(_ask(subject, "/metrics", key=key).text, _counter("hit"))
    first, second = (_ask(subject, _CHAT, asked, key) for _ in range(2))
    page = _ask(subject, "/metrics", key=key).text
    after, kept = _figure(page, _counter("hit")), _figure(page, "deployctl_cache_size_bytes")
    if not (good(first) and good(second)):
        return failed(f"gave {told(first)}, then {told(second)}", _logs(subject))
    if first.text != second.text:
        if _figure(page, "deployctl_cache_store_usable") == 0:
            return failed(
                "nothing is kept: its volume is full or cannot be written",
                "docker system df --verbose  # what takes the room",
            )
        return failed("the same question was answered anew", _logs(subject))
    if before is None or after is None or after <= before:
        return failed(f"a hit was not counted: {before}, then {after}", _logs(subject))
    return ok(f"the same {len(second.text)} bytes twice, {after} hits, {kept} bytes kept")


def _told(subject: Subject, name: str) -> bool:
    """Whether a switch of the gateway is on, in the environment that its container has."""
    container = subject.container("cache")
    environment = container.get("Config", "Env") if container is not None else ()
    return f"{name}=true" in (environment or ())


def _counter(result: str) -> str:
    return f'deployctl_cache_requests_total{{result="{result}"}}'


def sampled(subject: Subject) -> Seen:
    """``cache-sampled-not-kept``: chance stays chance, unless the profile wants it kept."""
    asked = _new(subject, temperature=_WARM)
    first, second = (_ask(subject, _CHAT, asked, subject.at.engine_key) for _ in range(2))
    if not (good(first) and good(second)):
        return failed(f"gave {told(first)}, then {told(second)}", _logs(subject))
    wanted, same = _told(subject, "CACHE_SAMPLED"), first.text == second.text
    if same != wanted:
        done = "kept" if same else "not kept"
        return failed(f"an answer at temperature {_WARM} was {done}", subject.up)
    if wanted:
        return ok(f"an answer at temperature {_WARM} was kept, as the profile wants")
    return ok(f"two answers at temperature {_WARM} have ids of their own")


def key_required(subject: Subject) -> Seen:
    """``cache-key-required``: what is remembered is not for those without the key."""
    asked = _new(subject)
    known = _ask(subject, _CHAT, asked, subject.at.engine_key)
    if not good(known):
        return failed(f"gave {told(known)}", _logs(subject))
    for key, what in ((None, "no key"), (_NOBODYS, "a wrong key")):
        for path, body in ((_CHAT, asked), ("/v1/models", None), ("/metrics", None)):
            reply = _ask(subject, path, body, key)
            if reply.status != HTTPStatus.UNAUTHORIZED:
                return failed(f"{path} with {what} gave {told(reply)}, not HTTP 401", subject.up)
    return ok("with no key and with a wrong one a question that is kept says HTTP 401")


def _check(name: str, promise: str, look: Callable[[Subject], Seen], *needs: str) -> Check:
    return Check(
        name=name,
        promise=promise,
        look=look,
        where="cache",
        lane=_ENGINE,
        needs=needs,
        addon="cache",
    )


CHECKS: tuple[Check, ...] = (
    _check(_UP, "The cache hands on what it does not keep.", answers, "engine-answers"),
    _check(
        "cache-hit",
        "A question at temperature 0 that was asked before is answered with the same bytes.",
        hit,
        _UP,
    ),
    _check(
        "cache-sampled-not-kept",
        "An answer at a temperature above 0 is kept only where the profile says so.",
        sampled,
        _UP,
    ),
    _check(
        "cache-key-required",
        "Without the engine's key nothing is answered, whether it is kept or not.",
        key_required,
        _UP,
    ),
)
