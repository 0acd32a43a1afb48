"""Rules about what is between Open WebUI and its engines: addresses, keys, tools. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.addresses import OPENAI, asked, chats, chatting, in_variable, reached, wanted
from deployctl.lint.change import add_variable, required
from deployctl.lint.flags import flags_of
from deployctl.lint.frontend import no_such
from deployctl.lint.health import has_key
from deployctl.lint.interpolation import UNKNOWN, known
from deployctl.lint.nouns import Found, Rule, Service, Stack, Variable, each
from deployctl.lint.ports import on_host, port_of
from deployctl.lint.writing import Edit


def engines(stack: Stack) -> tuple[Service, ...]:
    """The engines of the file that speak OpenAI's protocol."""
    return stack.of("vllm", "llama.cpp")


def _own(service: Service, *names: str) -> Variable | None:
    return next((service.environment[n] for n in names if n in service.environment), None)


def _ollama(stack: Stack, service: Service) -> Iterator[Found]:
    if not service.lacks("ENABLE_OLLAMA_API", "OLLAMA_BASE_URL", "OLLAMA_BASE_URLS"):
        return
    if any(name.startswith(("OLLAMA_", "USE_OLLAMA")) for name in service.environment):
        return
    elsewhere = stack.of("ollama") or stack.including or "ollama" in service.tag or on_host(service)
    if elsewhere or not (engines(stack) or _own(service, *OPENAI)):
        return
    yield Found(
        at=service.at,
        message=f"{service.name} looks for an Ollama that is not here, and waits for it whenever "
        "models are listed.",
        edits=(add_variable(stack, service, "ENABLE_OLLAMA_API", "false"),),
        service=service,
    )


def _not_connected(stack: Stack, service: Service) -> Iterator[Found]:
    there = chatting(stack)
    if not there or not service.lacks(*OPENAI) or stack.of("ollama"):
        return
    if any(no_such(name) == "OPENAI_API_BASE_URL" for name in service.environment):
        return  # told already
    if any("litellm" in one.repository for one in stack.services):
        return
    off = service.environment.get("ENABLE_OPENAI_API")
    if off is not None and off.off:
        return
    engine = there[0]
    port = port_of(engine) or ("8000" if engine.kind == "vllm" else "8080")
    url = f"http://{engine.name}:{port}/v1"
    yield Found(
        at=service.at,
        message=f"{service.name} is not told where {engine.name} is, and asks api.openai.com.",
        edits=(add_variable(stack, service, "OPENAI_API_BASE_URL", url),),
        service=service,
    )


def _no_key(stack: Stack, service: Service) -> Iterator[Found]:
    variable = asked(service)
    if variable is None or not service.lacks("OPENAI_API_KEY", "OPENAI_API_KEYS"):
        return
    if any(no_such(name) == "OPENAI_API_KEY" for name in service.environment):
        return
    there = [reached(stack, service, one) for one in in_variable(variable, openai=True)]
    keyed = next((one for one in there if one in engines(stack) and has_key(one)), None)
    if keyed is None:
        return
    name = "OPENAI_API_KEYS" if ";" in variable.raw else "OPENAI_API_KEY"
    value = ";".join(_key_of(one) for one in there)
    told = len(there) == len((variable.value or "").split(";"))
    yield Found(
        at=variable.at,
        message=f"{keyed.name} wants a key and {service.name} has none: every question gets 401.",
        edits=(add_variable(stack, service, name, value) if told else None,),
        service=service,
    )


def _key_of(engine: Service | None) -> str:
    """The key to give for an engine; of those without one Open WebUI wants some word."""
    if engine is None or engine.kind not in ("vllm", "llama.cpp") or not has_key(engine):
        return "none"
    name = "VLLM_API_KEY" if engine.kind == "vllm" else "LLAMA_API_KEY"
    own = engine.environment.get(name)
    return own.raw if own and own.value and UNKNOWN in own.value else required(name)


def _tools(stack: Stack, service: Service) -> Iterator[Found]:
    release = re.match(r"v?0\.(\d+)", service.tag)
    if (release and int(release[1]) < 12) or not known(service.tag):
        return
    for name in ("DEFAULT_MODEL_PARAMS", "DEFAULT_MODEL_METADATA"):
        variable = service.environment.get(name)
        if variable is not None and (not variable.known or _without_tools(variable.value or "")):
            return
    if not service.lacks() or service.environment_open or service.open:
        return
    for engine in _asked(stack, service):
        flags = flags_of(engine, dashes=True) if engine.kind == "vllm" and chats(engine) else None
        if flags is None or not flags.lacks("--enable-auto-tool-choice", "--config"):
            continue
        yield Found(
            at=service.at,
            message=f"{service.name} sends tools with every chat, and {engine.name} without "
            "`--enable-auto-tool-choice` answers 400 to each.",
            edits=(_legacy(stack, service),),
            service=service,
        )
        return


def _asked(stack: Stack, service: Service) -> Iterator[Service]:
    """The services that chats go to; where the address has a wrong name, those that it means."""
    variable = asked(service)
    if variable is None and service.lacks(*OPENAI):
        named = (v for n, v in service.environment.items() if no_such(n) == "OPENAI_API_BASE_URL")
        variable = next(named, None)
    for address in in_variable(variable, openai=True) if variable else ():
        there = wanted(stack, service, address)
        if there is not None:
            yield there


def _without_tools(value: str) -> bool:
    return bool(
        re.search(r"function_calling\W+legacy", value) or re.search(r"builtin_tools\W+false", value)
    )


def _legacy(stack: Stack, service: Service) -> Edit | None:
    variable = service.environment.get("DEFAULT_MODEL_METADATA")
    if variable is None:
        value = '{"capabilities":{"builtin_tools":false}}'
        return add_variable(stack, service, "DEFAULT_MODEL_METADATA", value)
    if "DEFAULT_MODEL_PARAMS" in service.environment:
        return None
    return add_variable(stack, service, "DEFAULT_MODEL_PARAMS", '{"function_calling":"legacy"}')


RULES = (
    Rule(
        id="webui-ollama-nowhere",
        about="Open WebUI",
        severity="warning",
        what="`ENABLE_OLLAMA_API` left on with another engine and no Ollama",
        why="It is on by default, and `host.docker.internal:11434` is asked for models.",
        fix="`ENABLE_OLLAMA_API=false`",
        basis="source",
        check=each(_ollama, "webui"),
    ),
    Rule(
        id="webui-not-connected",
        about="Open WebUI",
        severity="error",
        what="vLLM or llama.cpp beside Open WebUI, and no `OPENAI_API_BASE_URL`",
        why="Left empty, the address is https://api.openai.com/v1.",
        fix="`OPENAI_API_BASE_URL=http://ENGINE:PORT/v1`",
        basis="source",
        check=each(_not_connected, "webui"),
    ),
    Rule(
        id="webui-key-missing",
        about="Open WebUI",
        severity="error",
        what="an engine with a key, and Open WebUI without `OPENAI_API_KEY`",
        why="The engine answers 401 to the list of models and to every question.",
        fix="the same `${…}` on both sides",
        basis="run",
        check=each(_no_key, "webui"),
    ),
    Rule(
        id="webui-tools-refused",
        about="Open WebUI",
        severity="error",
        what="Open WebUI 0.12 whose `OPENAI_API_BASE_URL` leads to a vLLM without "
        "`--enable-auto-tool-choice`",
        why="From its window 28 built-in tools go with every chat, and vLLM answers 400 to tools "
        "it has no parser for. Through the API alone nobody sees it.",
        fix='`DEFAULT_MODEL_METADATA={"capabilities":{"builtin_tools":false}}`, or '
        "`--enable-auto-tool-choice --tool-call-parser …` for a model that can",
        basis="run",
        check=each(_tools, "webui"),
    ),
)
