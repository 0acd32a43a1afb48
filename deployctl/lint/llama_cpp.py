"""Rules about llama.cpp's server. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint import gone
from deployctl.lint.change import drop_variable, required, set_variable
from deployctl.lint.flags import Flag, add, drop, flags_of, place, replace
from deployctl.lint.images import pinned
from deployctl.lint.interpolation import known, resolved
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.tree import Scalar, text_of
from deployctl.lint.writing import Edit

#: The server's own cache of prompts, in MiB, where nothing is said.
_CACHE_RAM_MIB = 8192

#: Fewer tokens than this hold no conversation; whoever shares out more may well mean it.
_LEAST_CONTEXT = 2048


def _server(service: Service) -> bool:
    return not service.tag.startswith(("full", "light")) and "entrypoint" not in service.keys


def current(service: Service) -> bool:
    """Whether it is a build that was tried, or what a moving tag brings."""
    build = re.search(r"-b(\d+)$", service.tag)
    return known(service.tag) and not service.tag.startswith("@") and (
        int(build[1]) >= gone.LLAMA_CPP_SINCE if build else True
    )  # fmt: skip


def _gone(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service)
    if flags is None or flags.argv is None or service.built or not current(service):
        return
    for flag in flags.all:
        instead = gone.LLAMA_CPP.get(flag.name)
        if instead is None:
            continue
        said = " ".join(instead)
        yield Found(
            at=place(stack, flags.argv, flag.word),
            message=f"llama.cpp has no `{flag.name}` any more and stops at it: `{said}` has "
            "replaced it.",
            edits=(_instead(stack, service, flag, instead),),
            service=service,
        )


def _instead(stack: Stack, service: Service, flag: Flag, words: tuple[str, ...]) -> Edit | None:
    argv = service.argv
    assert argv is not None
    if len(words) == 1:
        joined = "" if flag.joined is None else f"={flag.joined}"
        return replace(stack, argv, flag.word, f"{words[0]}{joined}")
    if flag.word.item is None:
        return replace(stack, argv, flag.word, " ".join(words))
    line = stack.text.lines[flag.word.at.line - 1]
    head = line[: flag.word.at.column - 1]
    if head.strip() != "-":
        return _two(stack, flag, words)
    number = flag.word.at.line
    return Edit(first=number, last=number, lines=(f"{head}{words[0]}", f"{head}{words[1]}"))


def _two(stack: Stack, flag: Flag, words: tuple[str, ...]) -> Edit | None:
    """Two words in place of one of a list in brackets."""
    item = flag.word.item
    if item is None or not isinstance(item.value, Scalar):
        return None
    return stack.pen.put(item.value, f'"{words[0]}", "{words[1]}"')


def bytes_of(text: str) -> int | None:
    """A size as Compose writes it: ``4g``, ``512mb``, ``1073741824``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        return None
    return int(float(found[1]) * 1024 ** ("kmgt".index(found[2]) + 1 if found[2] else 0))


def memory_limit(stack: Stack, service: Service) -> int | None:
    """A service's memory limit in bytes, where the file tells one."""
    limit = service.keys.get("mem_limit") or stack.key(
        service.entry.value, "deploy", "resources", "limits", "memory"
    )
    return bytes_of(resolved(text_of(limit))) if limit else None


def _prompt_cache(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service)
    limit = memory_limit(stack, service)
    if flags is None or limit is None or not _server(service) or not flags.whole:
        return
    if flags.get("--cache-ram", "-cram") or not service.lacks("LLAMA_ARG_CACHE_RAM"):
        return
    if limit >= (_CACHE_RAM_MIB + 4096) * 1024**2:
        return
    yield Found(
        at=service.at,
        message=f"{service.name} may keep 8192 MiB of prompts beside the model, and its memory "
        f"limit is {limit // 1024**2} MiB: it is killed when they grow.",
        edits=add(stack, service, "--cache-ram", "0"),
        service=service,
    )


def _more_room(
    stack: Stack, service: Service, context: Flag, count: int
) -> tuple[Edit | None, ...]:
    """One pool for all; of an older build, which may not know that, a larger one."""
    assert service.argv is not None
    if current(service) or service.tag.startswith("@"):
        return add(stack, service, "--kv-unified")
    tokens = str(_LEAST_CONTEXT * count)
    text = tokens if context.joined is None else f"{context.name}={tokens}"
    return (replace(stack, service.argv, context.value_word, text),)


def _split(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service)
    if (
        flags is None
        or flags.argv is None
        or not flags.whole
        or not service.lacks("LLAMA_ARG_KV_UNIFIED")
    ):
        return
    slots, context = flags.get("-np", "--parallel"), flags.get("-c", "--ctx-size")
    if slots is None or context is None or flags.get("-kvu", "--kv-unified"):
        return
    count, tokens = slots.value or "", context.value or ""
    if not (count.isdigit() and tokens.isdigit()) or int(count) < 2 or int(tokens) < 1:
        return
    each_ = int(tokens) // int(count)
    if each_ >= _LEAST_CONTEXT:
        return
    yield Found(
        at=place(stack, flags.argv, slots.word),
        message=f"{tokens} tokens are shared out: each of the {count} conversations has {each_}.",
        edits=_more_room(stack, service, context, int(count)),
        service=service,
    )


def _port(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service)
    if flags is None or not flags.whole or pinned(service) or not _server(service) or service.open:
        return
    if flags.get("--port") or not service.lacks("LLAMA_ARG_PORT"):
        return
    yield Found(
        at=service.at,
        message=f"{service.name} says no `--port`, and the server announces that its default will "
        "change from 8080 to 9931; with a tag that moves it changes by itself.",
        edits=add(stack, service, "--port", "8080"),
        service=service,
    )


_NUMBERS = re.compile(
    r"LLAMA_ARG_(?:CTX_SIZE|N_PARALLEL|THREADS|PORT|N_GPU_LAYERS|BATCH|UBATCH|CACHE_RAM"
    r"|CACHE_REUSE|THREADS_HTTP|THINK_BUDGET)"
)


def _empty_number(stack: Stack, service: Service) -> Iterator[Found]:
    for name, variable in service.environment.items():
        if _NUMBERS.fullmatch(name) and variable.value == "":
            yield Found(
                at=variable.at,
                message=f"`{name}` is empty, and {service.name} stops at it: `stoi`.",
                edits=(drop_variable(stack, service, variable),),
                service=service,
            )


# ── keys, of either engine ────────────────────────────────────────────────────────────────────


def _empty_key(stack: Stack, service: Service) -> Iterator[Found]:
    name = "VLLM_API_KEY" if service.kind == "vllm" else "LLAMA_API_KEY"
    message = f"An empty key is none: {service.name} answers everybody, and says nothing about it."
    variable = service.environment.get(name)
    if variable is not None and variable.value == "":
        edit = set_variable(stack, variable, required(name))
        yield Found(at=variable.at, message=message, edits=(edit,), service=service)
    flags = flags_of(service, dashes=service.kind == "vllm")
    flag = flags.get("--api-key") if flags else None
    if flags is None or flags.argv is None or flag is None or not flags.whole or flag.value != "":
        return
    word = flag.value_word
    text = required(name) if flag.joined is None else f"--api-key={required(name)}"
    if word.item is None:
        edits = drop(stack, flags.argv, (flag.word, *flag.values))
    else:
        edits = (replace(stack, flags.argv, word, text),)
    yield Found(at=place(stack, flags.argv, word), message=message, edits=edits, service=service)


RULES = (
    Rule(
        id="llama-flag-gone",
        about="llama.cpp",
        severity="error",
        what="`--mlock`, `--no-mmap`, `--mmap`, `--direct-io`, `--draft-max`; only where the tag "
        f"moves or names build {gone.LLAMA_CPP_SINCE} or later",
        why="The server prints `invalid argument` and stops.",
        fix="`--load-mode mlock`, `none`, `mmap` or `dio`; `--spec-draft-n-max`",
        basis="run",
        check=each(_gone, "llama.cpp"),
    ),
    Rule(
        id="llama-prompt-cache",
        about="llama.cpp",
        severity="warning",
        what="a memory limit below 12 GiB and no `--cache-ram`",
        why="The server keeps up to 8192 MiB of old prompts in main memory unless told otherwise.",
        fix="`--cache-ram 0`, or as many MiB as there are to spare",
        basis="source",
        check=each(_prompt_cache, "llama.cpp"),
    ),
    Rule(
        id="llama-context-shared",
        about="llama.cpp",
        severity="warning",
        what="`-np N` with a `-c` that leaves each conversation less than 2048 tokens",
        why="`-c` is the pool of all conversations; with `-np` written, each has its N-th part.",
        fix="`--kv-unified`, with which each may use all of it, or a larger `-c`",
        basis="run",
        check=each(_split, "llama.cpp"),
    ),
    Rule(
        id="llama-default-port",
        about="llama.cpp",
        severity="warning",
        what="no `--port`, with a tag that moves",
        why="The server says at each start that its default port will become 9931.",
        fix="`--port 8080`",
        basis="source",
        check=each(_port, "llama.cpp"),
    ),
    Rule(
        id="llama-empty-number",
        about="llama.cpp",
        severity="error",
        what="`LLAMA_ARG_CTX_SIZE=` and other numbers left empty",
        why="The server reads a number there, finds none and stops: `stoi`.",
        fix="a number, or no such line",
        basis="run",
        check=each(_empty_number, "llama.cpp"),
    ),
    Rule(
        id="empty-api-key",
        about="Secrets",
        severity="error",
        what="`LLAMA_API_KEY=`, `VLLM_API_KEY=` or `--api-key` with nothing behind it",
        why="An empty key switches the check off, without a word in the log.",
        fix='`"${LLAMA_API_KEY:?put it into .env}"`, with which nothing starts without one',
        basis="run",
        check=each(_empty_key, "vllm", "llama.cpp"),
    ),
)
