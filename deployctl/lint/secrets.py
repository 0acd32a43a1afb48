"""Keys and passwords that stand in the file: found to be told, and so that none is shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployctl.lint import inline
from deployctl.lint.change import quoted, required, set_variable, variable_named
from deployctl.lint.flags import flags_of, place, replace
from deployctl.lint.interpolation import UNKNOWN, defaults, known, resolved
from deployctl.lint.masking import TOKEN
from deployctl.lint.nouns import Argv, Found, Rule, Service, Stack, Variable, Word, each
from deployctl.lint.services import build_arguments, nodes
from deployctl.lint.tree import Mapping, Place, Scalar
from deployctl.redact import users
from deployctl.secretshapes import harmless, secret_name

#: Names that end so hold a key or a password, and nothing about one.
_HOLDS = re.compile(
    r"(?i)(?:^|[_.-])(?:API_?KEYS?|(?:SECRET|ACCESS|PRIVATE|ENCRYPTION|MASTER|SIGNING|LICENSE"
    r"|SERVICE|AUTH)_?KEYS?|SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIALS?)$"
)

#: Open WebUI takes several values of such a variable.
_SEVERAL = re.compile(r"(?i)(?:KEYS|SECRETS|TOKENS|PASSWORDS|CREDENTIALS)$")

#: What programs are told where no key is needed; it keeps nobody out and is no secret.
NOTHING = re.compile(
    r"(?i)(?:sk-)?(?:empty|none|null|nil|dummy|fake|na|n/a|unused|not[-_ ]?(?:needed|required|used)"
    r"|no[-_ ]?(?:api[-_ ]?)?key(?:[-_ ]?(?:needed|required))?|anything|ignored|local|vllm|ollama"
    r"|llama(?:\.cpp)?|lm-studio|user_provided|0+|x)?"
)

#: Invitations to write the key into the file.
_FILL_IN = re.compile(
    r"(?i)<.*>|\[.*\]|x{3,}|(?:hf_|sk-)(?:x+|\.+|\*+|your.*|<.*>)|.*your[-_ ].*"
    r"|.*(?:change|replace)[-_ ]?(?:me|this|it).*|\.{3,}|\*+"
    r"|.*(?:token|key|password|secret)[-_ ]?here.*"
)

#: What programs are told their key with, under names that say less.
_GIVEN = ("authorization", "requirepass", "masterauth")

_FLAGS = ("--api-key", "--hf-token", "-hft")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secret:
    """A secret as written: its value as written, where, and which variable it becomes."""

    value: str
    at: Place
    name: str
    service: Service
    variable: Variable | None = None
    word: Word | None = None
    argv: Argv | None = None


def _is_secret(name: str, value: str) -> bool:
    """Whether a value behind a name is one; not where the name is of a client that needs none."""
    text = value.strip().strip("'\"")
    if not text or not known(text) or harmless(text) or NOTHING.fullmatch(text):
        return False
    if text.startswith(("/run/secrets/", "/var/run/secrets/")) or re.fullmatch(
        r"[\d.]+[a-z]?", text
    ):
        return bool(_HOLDS.search(name)) and text.isdigit() and "TOKENS" not in name.upper()
    if TOKEN.search(text):
        return True
    return bool(_HOLDS.search(name)) and secret_name(name)


def _values(name: str, value: str) -> list[str]:
    """The values of a variable: a plural one holds several, with ``;`` between them."""
    return value.split(";") if _SEVERAL.search(name) else [value]


def _of_variables(stack: Stack, service: Service) -> Iterator[_Secret]:
    for variable in (*service.environment.values(), *build_arguments(stack, service)):
        value = variable.value or ""
        secret = any(_is_secret(variable.name, one) for one in _values(variable.name, value))
        if secret or (variable.known and any(users(value))):
            yield _Secret(
                value=value,
                at=variable.at,
                name=variable.name,
                service=service,
                variable=variable,
            )


def _of_flags(service: Service) -> Iterator[_Secret]:
    flags = flags_of(service)
    if flags is None or flags.argv is None:
        return
    for flag in flags.all:
        words = flag.values if flag.joined is None else (flag.word,)
        for word in words if flag.name.replace("_", "-") in _FLAGS else ():
            value = flag.joined if flag.joined is not None else word.text
            if _is_secret("API_KEY", value):
                yield _Secret(
                    value=value,
                    at=word.at,
                    name=_variable_for(service, flag.name),
                    service=service,
                    word=word,
                    argv=flags.argv,
                )


def _variable_for(service: Service, flag: str) -> str:
    if flag != "--api-key":
        return "HF_TOKEN"
    return {"vllm": "VLLM_API_KEY", "llama.cpp": "LLAMA_API_KEY"}.get(service.kind, "API_KEY")


def _plain(stack: Stack, service: Service) -> Iterator[Found]:
    for secret in (*_of_variables(stack, service), *_of_flags(service)):
        if secret.argv is not None and secret.word is not None:
            at = place(stack, secret.argv, secret.word)
            text = secret.word.text.replace(secret.value, required(secret.name))
            edit = replace(stack, secret.argv, secret.word, text)
            of = "the command line"
        else:
            assert secret.variable is not None
            at, of = secret.at, f"`{secret.name}`"
            edit = set_variable(stack, secret.variable, required(secret.name))
        if _FILL_IN.fullmatch(secret.value.strip("'\"")):
            message = f"{of} waits for a secret to be written into this file."
        elif secret.variable and defaults(secret.variable.raw):
            message = f"{of} has a secret as its default, which whoever sets nothing shares."
        else:
            message = f"{of} holds a secret in plain text."
        if secret.variable and len(_values(secret.name, secret.value)) > 1:
            message += " In `.env` its values stand as here, with `;` between them."
        yield Found(at=at, message=message[0].upper() + message[1:], edits=(edit,), service=service)


def _in_text(stack: Stack, service: Service) -> Iterator[Found]:
    """Secrets that other programs, and healthchecks, are given on their command lines."""
    told = {
        (place(stack, secret.argv, secret.word).line, secret.value)
        for secret in _of_flags(service)
        if secret.argv is not None and secret.word is not None
    }
    for key in ("command", "entrypoint", "healthcheck"):
        entry = service.keys.get(key)
        for name, value, node in inline.below(entry.value) if entry else ():
            at = _where(stack, node, value)
            if at is None or (at.line, value) in told or not _names_one(name, value):
                continue
            told.add((at.line, value))
            here = required(_name_in_text(service, name))
            edit = (
                stack.pen.put(node, quoted(here))
                if node.text == value
                else stack.pen.swap(at, value, here)
            )
            what = "the healthcheck" if key == "healthcheck" else "the command line"
            message = f"{what.capitalize()} of {service.name} holds a secret in plain text."
            yield Found(at=at, message=message, edits=(edit,), service=service, last=at.line)


def _names_one(name: str, value: str) -> bool:
    """Fewer names than are masked: what is masked in vain harms nobody, a false alarm does."""
    plain = name.replace("-", "_")
    holds = bool(_HOLDS.search(plain)) or plain.lower() in _GIVEN
    return holds and _is_secret("API_KEY", value)


def _where(stack: Stack, node: Scalar, value: str) -> Place | None:
    for number in range(node.start.line, node.last + 1):
        start = node.start.column - 1 if number == node.start.line else 0
        column = stack.text.lines[number - 1].find(value, start)
        if column >= 0:
            return Place(number, column + 1)
    return None


def _name_in_text(service: Service, name: str) -> str:
    if service.kind in ("vllm", "llama.cpp"):
        return _variable_for(service, "--api-key")
    if name.isupper():
        return name
    about = "KEY" if name.lower() == "authorization" else name
    return variable_named(service.name, about)


def _plain_or_in_text(stack: Stack) -> Iterator[Found]:
    yield from each(_plain)(stack)
    yield from each(_in_text)(stack)


def _elsewhere(stack: Stack) -> Iterator[Found]:
    """Tokens in comments and labels, wherever they stand."""
    told = {line for line, _ in _told(stack)}
    told |= {found.at.line for found in each(_in_text)(stack)}
    for number, line in enumerate(stack.text.lines, start=1):
        found = TOKEN.search(line)
        if found and number not in told and not _FILL_IN.fullmatch(found[0]):
            yield Found(
                at=Place(number, found.start() + 1),
                message="This line holds a token in plain text.",
                edits=(stack.pen.swap(Place(number, found.start() + 1), found[0], "…"),)
                if "#" in line[: found.start()]
                else (),
                last=number,
            )


def _told(stack: Stack) -> Iterator[tuple[int, str]]:
    for service in stack.services:
        for secret in _of_variables(stack, service):
            for line in range(secret.at.line, secret.variable.part.last + 1):  # type: ignore[union-attr]
                yield line, secret.value
        for secret in _of_flags(service):
            if secret.argv is not None and secret.word is not None:
                first = place(stack, secret.argv, secret.word)
                yield first.line, secret.value


def values(stack: Stack) -> dict[int, list[str]]:
    """Line → everything on it that may be a secret: more than is told, so that nothing is shown."""
    found: dict[int, list[str]] = {}
    for line, value in _told(stack):
        _note(found, line, line, value)
    for node in nodes(stack.root):
        if isinstance(node, Mapping):
            for entry in node.entries:
                if isinstance(entry.value, Scalar) and secret_name(entry.key.text):
                    _note(found, entry.at.line, entry.last, entry.value.text)
        elif isinstance(node, Scalar):
            name, equals, value = node.text.partition("=")
            if equals and "\n" not in name and secret_name(name):
                _note(found, node.start.line, node.last, value)
            for user in users(node.text):
                _note(found, node.start.line, node.last, user)
    for _, inside, text in inline.below(stack.root):
        _note(found, text.start.line, text.last, inside)
    for comment in stack.comments:
        for _, inside in inline.within(comment.text, comment=True):
            _note(found, comment.at.line, comment.at.line, inside)
    return found


def _note(found: dict[int, list[str]], first: int, last: int, raw: str) -> None:
    value = resolved(raw).strip()
    parts = {value, value.strip("'\""), raw, *defaults(raw)} if UNKNOWN not in value else {
        *defaults(raw), *value.replace(UNKNOWN, "\n").split("\n")
    }  # fmt: skip
    lines = {line for part in parts for line in part.split("\n")}
    kept = [
        text
        for text in lines
        if text and text.strip() and not harmless(text) and "${" not in text
        and not NOTHING.fullmatch(text) and not re.fullmatch(r"\d{1,3}", text)
    ]  # fmt: skip
    for line in range(first, last + 1):
        found.setdefault(line, []).extend(kept)


RULES = (
    Rule(
        id="secret-in-plain-text",
        about="Secrets",
        severity="error",
        what="a key, token or password in the file: in a variable, in an argument of a build, "
        "behind `--api-key` or `--password`, in a healthcheck, in an address, as the default of "
        "`${KEY:-…}`, or a place that waits for one",
        why="Compose files are shared, committed and pasted; a key in one is everybody's.",
        fix='`"${KEY:?put it into .env}"`, with the value in `.env`, mode 0600, and not committed',
        basis="docs",
        check=_plain_or_in_text,
    ),
    Rule(
        id="token-in-file",
        about="Secrets",
        severity="error",
        what="text that has the form of a token (`hf_…`, `sk-…`, `ghp_…`) in a comment or anywhere "
        "else",
        why="A token in a comment is as public as one in a value, and has to be revoked once seen.",
        fix="take it out, and make a new one where it came from",
        basis="docs",
        check=_elsewhere,
    ),
)
