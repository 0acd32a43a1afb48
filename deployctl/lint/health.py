"""Rules about healthchecks and who waits for them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployctl.lint.checks import PATIENCE, good
from deployctl.lint.flags import flags_of
from deployctl.lint.interpolation import UNKNOWN, resolved
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.ports import port_of
from deployctl.lint.tree import Entry, Listing, Mapping, Scalar, text_of
from deployctl.lint.writing import Edit, block

#: Less than this is less than a start takes where something is fetched first.
_LEAST_S = 180

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:\d+ms)?")


_NONE = {
    "vllm": "no healthcheck is written and the image brings none, so nothing says when the model "
    "is loaded.",
    "llama.cpp": "no healthcheck is written; the image's own asks port 8080 whatever `--port` "
    "says, and gives a model 90 s to load.",
    "webui": "no healthcheck is written; the image's own asks `/health`, which answers before the "
    "database does.",
}


def _none(stack: Stack, service: Service) -> Iterator[Found]:
    entry = service.keys.get("healthcheck")
    if entry is None:
        if service.missing("healthcheck") and not service.built:
            edit = stack.pen.add(service.entry, "healthcheck", good(service))
            message = f"Of {service.name} {_NONE[service.kind]}"
            refused = service.kind == "vllm" and waiting_for(stack, service)
            if refused:
                message += _NEVER
            yield Found(
                at=service.at,
                message=message,
                edits=(edit,),
                service=service,
                severity="error" if refused else None,
            )
    elif disabled(stack, entry):
        refused = waiting_for(stack, service)
        yield Found(
            at=entry.key.start,
            message=f"The healthcheck of {service.name} is switched off."
            + (_NEVER if refused else ""),
            edits=(_anew(stack, service, entry),),
            service=service,
            severity="error" if refused else None,
        )


_NEVER = " Others wait for it to be healthy, which it never is: they do not start."


def waiting_for(stack: Stack, service: Service) -> tuple[str, ...]:
    """The services that do not start until this one is healthy."""
    found = []
    for one in stack.services:
        held = stack.key(one.entry.value, "depends_on", service.name)
        optional = held and text_of(stack.key(held.value, "required")).lower() == "false"
        condition = text_of(stack.key(held.value, "condition")) if held else ""
        if condition == "service_healthy" and not optional:
            found.append(one.name)
    return tuple(found)


def disabled(stack: Stack, entry: Entry) -> bool:
    """Whether a healthcheck is written only to switch off the image's own."""
    test = stack.key(entry.value, "test")
    off = resolved(text_of(stack.key(entry.value, "disable"))).lower() == "true"
    return off or (test is not None and _words(test)[:1] == ["NONE"])


def _anew(stack: Stack, service: Service, entry: Entry) -> Edit | None:
    if entry.alias:
        return None
    return stack.pen.key(entry, block("healthcheck", good(service), entry.key.start.column - 1))


def _words(entry: Entry) -> list[str]:
    value = entry.value
    if isinstance(value, Listing):
        return [resolved(i.value.text) for i in value.items if isinstance(i.value, Scalar)]
    return ["CMD-SHELL", resolved(text_of(entry))]


# ── a healthcheck that is there ───────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    entry: Entry
    check: Entry
    text: str
    port: str | None
    path: str


_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(?P<port>[\d" + UNKNOWN + r"]+))?"
    r"(?P<path>/[\w./-]*)?"
)


def _test(stack: Stack, service: Service) -> _Test | None:
    check = service.keys.get("healthcheck")
    test = stack.key(check.value, "test") if check else None
    if check is None or test is None or disabled(stack, check):
        return None
    text = " ".join(_words(test))
    url = _URL.search(text)
    port = (url["port"] or "80") if url else None
    return _Test(
        entry=test, check=check, text=text, port=port, path=(url["path"] or "/") if url else ""
    )


def _wrong(stack: Stack, service: Service) -> Iterator[Found]:
    test = _test(stack, service)
    if test is None or service.built:
        return
    said = (
        _wrong_port(service, test) or _no_tool(service, test) or _no_failure(service, test)
        or _wants_key(service, test)
    )  # fmt: skip
    if said:
        yield Found(
            at=test.entry.at,
            message=said,
            edits=(_anew(stack, service, test.check),),
            service=service,
            last=test.entry.last,
        )


def _wrong_port(service: Service, test: _Test) -> str | None:
    port = port_of(service)
    if test.port is None or port is None or not test.port.isdigit() or test.port == port:
        return None
    return (
        f"The healthcheck asks port {test.port}, and {service.name} listens on {port} in its "
        "container: it never gets healthy."
    )


def _no_tool(service: Service, test: _Test) -> str | None:
    program = re.search(r"(?:CMD|CMD-SHELL|^)\s*(python3?|wget)\b", test.text)
    if service.kind != "llama.cpp" or program is None:
        return None
    return (
        f"The healthcheck of {service.name} runs `{program[1]}`, which llama.cpp's image does not "
        "have: it never gets healthy."
    )


def _no_failure(service: Service, test: _Test) -> str | None:
    lenient = re.search(r"\|\|\s*(?:true|exit 0)\b|;\s*(?:true|exit 0)\s*$", test.text)
    curl = re.search(r"\bcurl\b(?P<rest>[^|;&]*)", test.text)
    failing = curl and re.search(r"\s(?:--fail\b|--fail-with-body\b|-[a-zA-Z]*f)", curl["rest"])
    if lenient or (curl and not failing and "|" not in test.text and "-w" not in curl["rest"]):
        what = (
            "its last word is always success"
            if lenient
            else "curl without `-f` takes a 503 for an answer"
        )
        return f"The healthcheck of {service.name} cannot fail: {what}."
    return None


def _wants_key(service: Service, test: _Test) -> str | None:
    if service.kind == "webui" or not test.path.startswith("/v1/") or test.path == "/v1/health":
        return None
    if re.search(r"(?i)authorization|x-api-key|bearer", test.text) or not has_key(service):
        return None
    return (
        f"The healthcheck asks {test.path} without the key that {service.name} wants, and gets 401."
    )


def has_key(service: Service) -> bool:
    """Whether an engine is given a key that is not empty."""
    flags = flags_of(service)
    flag = flags.get("--api-key", "--api-key-file") if flags else None
    if flag is not None:
        return bool(flag.value)
    names = {"vllm": "VLLM_API_KEY", "llama.cpp": "LLAMA_API_KEY"}
    variable = service.environment.get(names.get(service.kind, ""))
    return variable is not None and variable.value != ""


def seconds(text: str) -> float | None:
    """A duration as Compose writes it: ``90s``, ``1m30s``."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not text.strip() or UNKNOWN in text:
        return None
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def _impatient(stack: Stack, service: Service) -> Iterator[Found]:
    check = service.keys.get("healthcheck")
    if check is None or not isinstance(check.value, Mapping) or disabled(stack, check):
        return
    flags = flags_of(service)
    if service.kind == "llama.cpp" and (
        flags is None or flags.get("-hf", "-hfr", "--hf-repo") is None
    ):
        return
    parts = {"start_period": "0s", "interval": "30s", "retries": "3"}
    told = {k: resolved(text_of(stack.key(check.value, k))) or v for k, v in parts.items()}
    period, interval = seconds(told["start_period"]), seconds(told["interval"])
    if period is None or interval is None or not told["retries"].isdigit():
        return
    patience = period + interval * int(told["retries"])
    if patience >= _LEAST_S:
        return
    yield Found(
        at=check.key.start,
        message=f"The healthcheck calls {service.name} unhealthy after {patience:.0f} s; a first "
        "start, which fetches the model, takes longer.",
        edits=(_longer(stack, service, check),),
        service=service,
        last=check.last,
    )


def _longer(stack: Stack, service: Service, check: Entry) -> Edit | None:
    written = stack.key(check.value, "start_period")
    period = PATIENCE[service.kind]
    if written is not None and isinstance(written.value, Scalar):
        return stack.pen.put(written.value, period)
    return stack.pen.add(check, "start_period", period)


RULES = (
    Rule(
        id="no-healthcheck",
        about="Health",
        severity="warning",
        what="an engine or a chat window without `healthcheck:`, or with one that is switched off; "
        "an error where others wait for a check that nobody makes",
        why="Without one a container counts as up while it still loads, and when it hangs. vLLM's "
        "image brings none; what llama.cpp's and Open WebUI's bring says too little.",
        fix="a healthcheck of its own, with a long `start_period`",
        basis="source",
        check=each(_none, "vllm", "llama.cpp", "webui"),
    ),
    Rule(
        id="healthcheck-wrong",
        about="Health",
        severity="error",
        what="a healthcheck that asks another port, runs a program the image does not have, cannot "
        "fail, or asks without the key",
        why="It says healthy of what is not, or never of what is, and whoever waits for it waits "
        "for ever.",
        fix="`/health` of the engine, `/ready` of Open WebUI, on the port inside the container",
        basis="source",
        check=each(_wrong, "vllm", "llama.cpp", "webui"),
    ),
    Rule(
        id="healthcheck-impatient",
        about="Health",
        severity="warning",
        what="a healthcheck that gives an engine less than three minutes, download included",
        why="A first start fetches the model, loads and compiles it; unhealthy until then, it lets "
        "`depends_on: service_healthy` fail.",
        fix="`start_period: 20m`; failures in it do not count, and the first success ends it",
        basis="docs",
        check=each(_impatient, "vllm", "llama.cpp"),
    ),
)
