"""Rules about Open WebUI's variables and its port. Pure. Read in its release 0.12.4."""

from __future__ import annotations

from collections.abc import Iterator

from deployctl.lint.change import (
    add_variable,
    add_variables,
    drop_variable,
    required,
    set_variable,
)
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.ports import on_host, open_ports, port_of
from deployctl.lint.tree import Item, Scalar
from deployctl.lint.urls import with_v1
from deployctl.lint.writing import Edit

#: Variables that people set, and that its source has nowhere → the one that is meant.
NO_SUCH = {
    **dict.fromkeys(
        (
            *("VLLM_API_BASE", "VLLM_API_BASE_URL", "VLLM_BASE_URL", "VLLM_URL", "VLLM_API_URL"),
            *("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_URL", "OPENAI_URL"),
            *("OPENAI_API_HOST", "OPENAI_BASE", "LLM_API_BASE", "LLM_BASE_URL", "LLM_URL"),
            *("API_BASE_URL", "API_BASE", "LLAMA_CPP_URL", "LLAMA_CPP_BASE_URL", "LLAMA_API_BASE"),
            *("LLAMACPP_URL", "LLAMA_SERVER_URL"),
        ),
        "OPENAI_API_BASE_URL",
    ),
    **dict.fromkeys(
        ("VLLM_API_KEY", "LLAMA_API_KEY", "OPENAI_KEY", "LLM_API_KEY"), "OPENAI_API_KEY"
    ),
    **dict.fromkeys(("OLLAMA_HOST", "OLLAMA_URL", "OLLAMA_API_URL"), "OLLAMA_BASE_URL"),
    **dict.fromkeys(("DEFAULT_MODEL", "MODEL_NAME", "MODEL"), "DEFAULT_MODELS"),
}

#: Kept in its database from the first start on, whatever the file says later.
PERSISTED = (
    *("OPENAI_API_BASE_URL", "OPENAI_API_BASE_URLS", "OPENAI_API_KEY", "OPENAI_API_KEYS"),
    *("ENABLE_OPENAI_API", "ENABLE_OLLAMA_API", "OLLAMA_BASE_URL", "OLLAMA_BASE_URLS"),
    *("ENABLE_SIGNUP", "DEFAULT_USER_ROLE", "DEFAULT_MODELS", "DEFAULT_MODEL_PARAMS"),
    *("DEFAULT_MODEL_METADATA", "ENABLE_TITLE_GENERATION", "ENABLE_TAGS_GENERATION", "WEBUI_URL"),
)


def no_such(name: str) -> str | None:
    """The variable that is meant by one that Open WebUI does not have."""
    if name.startswith("RAG_") or name in ("OLLAMA_API_BASE_URL",):
        return None
    return NO_SUCH.get(name)


def _unknown(stack: Stack, service: Service) -> Iterator[Found]:
    proposed: set[str] = set()
    for name, variable in service.environment.items():
        meant = no_such(name)
        if meant is None:
            continue
        there = bool({meant, f"{meant}S"} & {*service.environment, *proposed})
        proposed.add(meant)
        value = with_v1(variable.raw) if meant == "OPENAI_API_BASE_URL" else variable.raw
        if there:
            edit = drop_variable(stack, service, variable)
        else:
            edit = set_variable(stack, variable, value or required(meant), name=meant)
        yield Found(
            at=variable.at,
            message=f"Open WebUI has no variable `{name}` and does not look at it; `{meant}` is "
            "the one.",
            edits=(edit,),
            service=service,
        )


def _port(stack: Stack, service: Service) -> Iterator[Found]:
    listens = port_of(service)
    if listens is None or on_host(service) or service.built:
        return
    for port in service.ports:
        if not port.target.isdigit() or port.target == listens:
            continue
        yield Found(
            at=port.at,
            message=f"Open WebUI listens on {listens} in its container; on {port.target} nobody "
            "answers.",
            edits=(_to(stack, port.part, port.target, listens),),
            service=service,
            last=port.part.last,
        )


def _to(stack: Stack, part: Item, old: str, new: str) -> Edit | None:
    if part.alias:
        return None
    if isinstance(part.value, Scalar):
        text = part.value.text.strip()
        head, slash, protocol = text.partition("/")
        if not head.endswith(old):
            return None
        before = head[: -len(old)] or f"{old}:"
        return stack.pen.put(part.value, f'"{before}{new}{slash}{protocol}"')
    target = stack.pairs.of(part.value).get("target")
    if target is None or not isinstance(target.value, Scalar):
        return None
    return stack.pen.put(target.value, new)


# ── who comes in ──────────────────────────────────────────────────────────────────────────────


def _no_sign_in(stack: Stack, service: Service) -> Iterator[Found]:
    variable = service.environment.get("WEBUI_AUTH")
    reached = on_host(service) or any(True for _ in open_ports(service))
    if variable is None or not variable.off or not reached:
        return
    yield Found(
        at=variable.at,
        message="Nobody has to sign in, and the whole network reaches the port.",
        edits=(set_variable(stack, variable, "true"),),
        service=service,
    )


def _signup(stack: Stack, service: Service) -> Iterator[Found]:
    persistent = service.environment.get("ENABLE_PERSISTENT_CONFIG")
    signup = service.environment.get("ENABLE_SIGNUP")
    auth = service.environment.get("WEBUI_AUTH")
    if persistent is None or not persistent.off or (auth is not None and auth.off):
        return
    if signup is None and (service.open or service.environment_open):
        return
    if signup is not None and (signup.off or not signup.known):
        return
    edit = (
        add_variable(stack, service, "ENABLE_SIGNUP", "false")
        if signup is None
        else set_variable(stack, signup, "false")
    )
    yield Found(
        at=persistent.at,
        message="With `ENABLE_PERSISTENT_CONFIG=false` sign-up is open again after every restart, "
        "though the first account closed it.",
        edits=(edit,),
        service=service,
    )


def _frozen(stack: Stack, service: Service) -> Iterator[Found]:
    if not service.lacks("ENABLE_PERSISTENT_CONFIG", "RESET_CONFIG_ON_START"):
        return
    first = next((v for n, v in service.environment.items() if n in PERSISTED), None)
    if first is None:
        return
    wanted = {"ENABLE_PERSISTENT_CONFIG": "false"}
    if "ENABLE_SIGNUP" not in service.environment:
        wanted["ENABLE_SIGNUP"] = "false"
    yield Found(
        at=first.at,
        message=f"`{first.name}` is read at the first start only, and kept in the database: what "
        "is changed here later changes nothing.",
        edits=(add_variables(stack, service, wanted),),
        service=service,
    )


def _secret_key(stack: Stack, service: Service) -> Iterator[Found]:
    variable = service.environment.get("WEBUI_SECRET_KEY")
    if variable is not None and variable.value == "":
        edit = set_variable(stack, variable, required("WEBUI_SECRET_KEY"))
        at = variable.at
    elif service.lacks("WEBUI_SECRET_KEY", "WEBUI_SECRET_KEY_FILE", "WEBUI_JWT_SECRET_KEY"):
        if "entrypoint" in service.keys or service.built:
            return
        edit = add_variable(stack, service, "WEBUI_SECRET_KEY", required("WEBUI_SECRET_KEY"))
        at = service.at
    else:
        return
    yield Found(
        at=at,
        message=f"{service.name} makes its own `WEBUI_SECRET_KEY` where no volume is: with each "
        "new container everybody is signed out.",
        edits=(edit,),
        service=service,
    )


RULES = (
    Rule(
        id="webui-variable-unknown",
        about="Open WebUI",
        severity="error",
        what="`VLLM_API_BASE`, `OPENAI_API_BASE`, `OPENAI_BASE_URL`, `VLLM_API_KEY`, "
        "`DEFAULT_MODEL` and other names that Open WebUI does not have",
        why="It looks at none of them. Without `OPENAI_API_BASE_URL` it asks api.openai.com.",
        fix="`OPENAI_API_BASE_URL=http://ENGINE:PORT/v1`, `OPENAI_API_KEY`, `DEFAULT_MODELS`",
        basis="source",
        check=each(_unknown, "webui"),
    ),
    Rule(
        id="webui-port",
        about="Open WebUI",
        severity="error",
        what="a port published to 7860, 3000 or anything but 8080 of the container",
        why="Open WebUI listens on 8080, or on what `PORT` says; 7860 stands nowhere in it.",
        fix='`"127.0.0.1:3000:8080"`: the left is free to choose, the right is not',
        basis="source",
        check=each(_port, "webui"),
    ),
    Rule(
        id="webui-no-sign-in",
        about="Open WebUI",
        severity="error",
        what="`WEBUI_AUTH=false` and a port that the network reaches",
        why="Everybody who reaches it is the administrator, and an administrator runs Python in "
        "the container.",
        fix="`WEBUI_AUTH=true`, or the port on `127.0.0.1`",
        basis="run",
        check=each(_no_sign_in, "webui"),
    ),
    Rule(
        id="webui-signup-reopens",
        about="Open WebUI",
        severity="warning",
        what="`ENABLE_PERSISTENT_CONFIG=false` without `ENABLE_SIGNUP=false`",
        why="That the first account closes sign-up is kept in the database, then not read.",
        fix="`ENABLE_SIGNUP=false`; the very first account can be made all the same",
        basis="run",
        check=each(_signup, "webui"),
    ),
    Rule(
        id="webui-settings-frozen",
        about="Open WebUI",
        severity="warning",
        what="settings as variables, and no `ENABLE_PERSISTENT_CONFIG`",
        why="At its first start Open WebUI copies some 370 settings into its database and reads "
        "them only there from then on.",
        fix="`ENABLE_PERSISTENT_CONFIG=false` with `ENABLE_SIGNUP=false`; then the file rules, and "
        "changes in the admin panel last until the next start",
        basis="run",
        check=each(_frozen, "webui"),
    ),
    Rule(
        id="webui-secret-key",
        about="Open WebUI",
        severity="warning",
        what="no `WEBUI_SECRET_KEY`, or an empty one",
        why="The image makes one up beside the program, where no volume is.",
        fix='`WEBUI_SECRET_KEY: "${WEBUI_SECRET_KEY:?put it into .env}"`',
        basis="docs",
        check=each(_secret_key, "webui"),
    ),
)
