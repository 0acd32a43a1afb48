"""The checks, by name: the only list. Their order is the order of the report."""

from __future__ import annotations

from dataclasses import replace

from deployctl.verify import (
    answers,
    egress,
    engine,
    exposure,
    frontend,
    gpu,
    hardening,
    keys,
    memory,
    tools,
)
from deployctl.verify.addons import cache, jupyter, monitoring
from deployctl.verify.nouns import Check, Lane, Seen, Subject, skipped

_ENGINE: Lane = "engine"
_UP, _WINDOW_UP, _SIGNED_IN = "engine-answers", "frontend-answers", "sign-in"

CHECKS: tuple[Check, ...] = (
    Check(
        name=_UP,
        promise="The engine's API answers, with its key.",
        look=engine.answers,
        where="engine",
        lane=_ENGINE,
    ),
    Check(
        name="served-model",
        promise="The engine lists the profile's model under its name, and no other.",
        look=engine.served_model,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="chat",
        promise="A question to the engine's API is answered.",
        look=answers.whole,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="streaming",
        promise="A streamed answer comes in pieces, says why it ends and how many tokens it has.",
        look=answers.streaming,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="context-limit",
        promise="A question longer than the context is refused with HTTP 400 that names the limit, "
        "and the engine answers afterwards.",
        look=answers.context_limit,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="max-tokens",
        promise="An answer is as long as allowed and says so; the chat window asks for less than "
        "the context.",
        look=answers.max_tokens,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="reasoning-split",
        promise="Thoughts come apart from the answer; a model that does not think sends none.",
        look=answers.reasoning_split,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="json-schema",
        promise="An answer that must follow a JSON schema does.",
        look=tools.json_schema,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="tool-call-forced",
        promise="Told to call a tool, the model does, with valid arguments.",
        look=tools.forced,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="tool-call-auto",
        promise="Offered a tool that fits, the model calls it; a warning where it does not.",
        look=tools.automatic,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="concurrency",
        promise="As many requests as planned are answered, at the same time.",
        look=engine.concurrency,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="key-required",
        promise="Without a key the engine's API says HTTP 401.",
        look=keys.no_key,
        where="engine",
        needs=(_UP,),
    ),
    Check(
        name="key-wrong",
        promise="With a wrong key it says HTTP 401.",
        look=keys.wrong_key,
        where="engine",
        needs=(_UP,),
    ),
    Check(
        name="metrics",
        promise="The engine's figures are there, under the names that are read.",
        look=engine.metrics_present,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name=_WINDOW_UP,
        promise="The frontend's start is complete, its database included.",
        look=frontend.answers,
        where="webui",
        lane=_ENGINE,
    ),
    Check(
        name=_SIGNED_IN,
        promise="The administrator signs in anew; a warning where the credentials file does not "
        "say how.",
        look=keys.signs_in,
        where="webui",
        lane=_ENGINE,
        needs=(_WINDOW_UP,),
    ),
    Check(
        name="ui-answer",
        promise="A question through the frontend's API is answered by the model.",
        look=frontend.ui_answer,
        where="webui",
        lane=_ENGINE,
        needs=(_UP, _WINDOW_UP, _SIGNED_IN),
    ),
    Check(
        name="ui-browser-path",
        promise="A question as the chat window's page sends it is answered and stored; the engine "
        "is not sent the page's tools unless the profile asks for them.",
        look=frontend.browser_path,
        where="webui",
        lane=_ENGINE,
        needs=("ui-answer",),
    ),
    Check(
        name="ui-settings",
        promise="The chat window's settings are those its container was started with (the "
        "profile's, and what compose.override.yaml changes of them), whatever its database says.",
        look=frontend.ui_settings,
        where="webui",
        lane=_ENGINE,
        needs=(_WINDOW_UP, _SIGNED_IN),
    ),
    Check(
        name="sign-up-closed",
        promise="Nobody can make an account of their own.",
        look=keys.sign_up_closed,
        where="webui",
        needs=(_WINDOW_UP,),
    ),
    Check(
        name="published-loopback",
        promise="Nothing is published beyond loopback unless the profile asks for it.",
        look=exposure.published,
    ),
    Check(
        name="no-egress",
        promise="Nothing gets out of the containers unless the profile lets it.",
        look=egress.no_egress,
    ),
    Check(
        name="hardening",
        promise="Containers run without root, without rights, read-only, and limited.",
        look=hardening.hardening,
    ),
    Check(
        name="secrets-private",
        promise="Files with secrets are 0600; no secret is elsewhere, on a command line or in a "
        "label.",
        look=keys.secrets_private,
    ),
    Check(
        name="model-on-gpu",
        promise="Where the profile asks for a card, the whole model is on it and as fast as that.",
        look=gpu.model_on_gpu,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="processor-threads",
        promise="Where it asks for none, the engine uses the planned threads.",
        look=gpu.processor_threads,
        where="engine",
        lane=_ENGINE,
        needs=(_UP,),
    ),
    Check(
        name="healthchecks",
        promise="Docker's own checks pass, and every container has run on since the checks began.",
        look=hardening.healthchecks,
        lane=_ENGINE,
    ),
    Check(
        name="memory",
        promise="Containers keep to their limits, and nothing was killed for memory.",
        look=memory.memory,
        lane=_ENGINE,
    ),
    *jupyter.CHECKS,
    *monitoring.CHECKS,
    *cache.CHECKS,
)

NAMES = tuple(check.name for check in CHECKS)

#: Those of every stack.
CORE = tuple(check.name for check in CHECKS if check.addon is None)


def chosen(names: tuple[str, ...], addons: frozenset[str] = frozenset()) -> tuple[Check, ...]:
    """The checks of these names, in the order of the list; for no name all that concern the stack.

    ``addons`` are those that it has; a check of another is skipped where it was asked for by name.
    """
    found = (check for check in CHECKS if not names or check.name in names)
    return tuple(
        check if check.addon is None or check.addon in addons else replace(check, look=_absent)
        for check in found
        if names or check.addon is None or check.addon in addons
    )


def _absent(_subject: Subject) -> Seen:
    return skipped("the stack does not have this add-on")
