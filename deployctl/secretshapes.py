"""What looks like a secret in text: by the name before it, or by its own form. Pure."""

from __future__ import annotations

import ipaddress
import re

MASK = "***"

# ── names that mean a secret ──────────────────────────────────────────────────────────────────

#: Before ``_tokens``: these are counted. Every other plural, as of ``HF_TOKENS``, holds secrets.
_COUNTED = (
    "n|num|max|min|new|total|count|prompt|completion|input|output|context|cached|cache|batched|ubatch"
    "|predicted|predict|reasoning|thinking|budget|special|added|stop|draft|drafted|accepted|eval"
    "|generated|remaining|used|text|image|audio|keep|of|per|and|the"
)

_MEANS = (
    rf"(?<![a-z0-9])(?!(?:{_COUNTED})[_-])[a-z0-9]{{1,30}}[_-]tokens(?![a-z_-])|"
    r"(?<![a-z0-9])pat(?![a-z])|[_-]hooks?(?:[_-]?ur[il])?(?![a-z])"
    r"|(?<!public)(?<!cache)(?<!sort)(?<!foreign)(?<!primary)[_-]keys?(?![a-z_-])|"
    r"pass(?:word|wd|phrase|code)?(?![a-z])|pwd|secret|token(?!s|iz|_?(?:count|id|limit|ttl|type))"
    r"|credential|cookie|jwt|bearer|(?<!\.)session(?:[_-]?(?:id|key|token))?(?![a-z_])"
    r"|(?:api|access|private|signing|encryption|master|auth|engine|license|account|storage)"
    r"[_-]?key|(?<!\.)auth(?:orization)?(?![a-z])|dsn|webhook|client[_-]?id"
)
_SECRET_NAME = re.compile(_MEANS, re.IGNORECASE)

#: Such a name is of where a secret lies, what it is called, or how it is used.
_ABOUT_ONE = re.compile(
    r"(?:file|path|dir|folder|name|type|mode|method|enabled?|ttl|timeout|limit|count|length)s?$",
    re.IGNORECASE,
)


def secret_name(name: str) -> bool:
    """Whether a variable, key or flag of this name holds a secret, as far as a name can say."""
    if _ABOUT_ONE.search(name):
        return False
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _SECRET_NAME.search(plain) is not None


def counts(name: str, value: object) -> bool:
    """Whether this is a number of tokens, of which no list of counted ones knows."""
    if not re.search(r"tokens$", name, re.IGNORECASE):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"[\d.,_]+", value) is not None
    )


#: A value that only says where the value is: ``${NAME}``, ``${NAME:-default}``, ``$NAME``.
REFERENCE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*(?:(?::?[-?+])[^}]*)?\}|\$[A-Z_][A-Z0-9_]*")


# ── what looks like a secret ──────────────────────────────────────────────────────────────────

#: A value after a secret's name: in quotes, escaped or never closed; else one word.
_NAMED_VALUE = re.compile(
    rf"""(?P<name>(?:{_MEANS})[\w.-]{{0,60}})
    (?P<between>\\{{0,8}}["']?\ *[=:]\ *|\\{{0,8}}["']\ *,\ *(?=\\{{0,8}}["']))
    (?:
      (?P<plain>["'])(?P<in_plain>(?:\\.|(?!(?P=plain))[^\\\n])*)(?P=plain)
    | (?P<escaped>\\{{1,8}}["'])(?P<in_escaped>[^\n]*?)(?P=escaped)
    | (?P<open>\\{{0,8}}["'])(?P<to_the_end>[^\n]*)
    | (?P<bare>[^\s"',;&)}}\]\\]+)
    )""",
    re.IGNORECASE | re.VERBOSE,
)

#: `api_keys: ['…', "…"]` and `tokens={…}` in one line: all that is in the brackets.
_SEVERAL = re.compile(
    rf"""(?P<name>(?:{_MEANS})[\w.-]{{0,60}})(?P<between>\\{{0,8}}["']?\ *[=:]\ *)
    (?P<bracket>[\[{{(])(?P<inside>\ *[^\s\]}})][^\]}})\n]*)""",
    re.IGNORECASE | re.VERBOSE,
)

#: `--api-key VALUE` of a command line.
_FLAG = re.compile(
    rf"(?P<name>(?<=-)(?:\w{{1,30}}-){{0,4}}(?:{_MEANS})[\w-]{{0,60}})(?P<between> +)"
    r"""(?P<quote>["']?)(?P<bare>[^\s"'-][^\s"']*)""",
    re.IGNORECASE,
)

#: What follows a secret's name and is none.
_NO_SECRET = re.compile(
    r"[\[{(]?(?:\*\*\*)?|true|false|none|null|yes|no|on|off|required|missing|invalid|expired|0",
    re.IGNORECASE,
)

#: `key: a phrase of words` and `KEY=a phrase`, alone on their line.
_PHRASE = re.compile(
    rf"""^(?P<name>[ \t]*(?:-\ )?(?P<mark>["']?)[\w.-]{{0,60}}?(?:{_MEANS})[\w.-]{{0,60}}(?P=mark)
    \ *[:=]\ *)
    (?P<value>[^\s"'\[{{|>$*][^\n]*)$""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)

#: `"KEY=a phrase"`, as lists of variables have them.
_LISTED = re.compile(
    rf"""(?P<mark>["'])(?P<name>[\w.-]{{0,60}}?(?:{_MEANS})[\w.-]{{0,60}}=)
    (?P<value>(?:\\.|(?!(?P=mark))[^\\\n])*)(?P=mark)""",
    re.IGNORECASE | re.VERBOSE,
)

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        MASK,
    ),
    # The user and password of an address; a slash in the password is against the rules, and seen.
    (re.compile(r"(?<=://)[^\s/'\"<>@]*@"), f"{MASK}@"),
    (re.compile(r"(?<=://)[^\s/'\"<>:]+:[^\s'\"<>]*@"), f"{MASK}@"),
    # JSON web tokens, whole and cut short.
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}"), MASK),
    # `Bearer …`, `Basic …` of a header.
    (re.compile(r"\b(bearer|basic)(\s+|%20)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # Tokens that say whose they are.
    (
        re.compile(
            r"\b(?:hf_\w{8,}|sk-[\w-]{8,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
            r"|xox[abprs]-[\w-]{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|npm_\w{20,}|nvapi-[\w-]{16,}"
            r"|pypi-[\w-]{16,}|dckr_pat_[\w-]{8,}|ya29\.[\w-]{16,})"
        ),
        MASK,
    ),
    (re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"), f"{MASK}@{MASK}"),
    # Home folders, also Windows' seen from WSL.
    (
        re.compile(r"(?i)((?:(?<![\w.-])/home|/Users|[\\/]Users)[\\/]+)(?!\*)[^\\/\s'\":]+"),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", re.IGNORECASE), MASK),
    (
        re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
        MASK,
    ),
)

#: What people ask and models answer, where a log quotes a request: JSON or Python's own writing.
TALK = re.compile(
    r"""((?:\\{0,8}["'])(?:content|reasoning_content|prompt|input|query|title|text)(?:\\{0,8}["'])\s*:\s*)"""
    r"""(?:\\{0,8}"(?:[^"\\]|\\.)*\\{0,8}"|'(?:[^'\\]|\\.)*')([^\w]|$)""",
    re.IGNORECASE,
)

_ADDRESSES = re.compile(
    r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4})"
    r"(?![\w:])",
    re.IGNORECASE,
)


def by_shape(text: str) -> str:
    """The text without what looks like a secret, a mail address, or a public network address."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    text = _LISTED.sub(_listed, text)
    text = _SEVERAL.sub(_several, text)
    text = _PHRASE.sub(_phrase, text)
    text = _NAMED_VALUE.sub(_named, text)
    text = _FLAG.sub(_flagged, text)
    return _ADDRESSES.sub(_address, text)


def without_users(text: str) -> str:
    """The text with the users and passwords of its addresses masked; everything else stays."""
    for pattern, replacement in _SHAPES[1:3]:
        text = pattern.sub(replacement, text)
    return text


def _several(found: re.Match[str]) -> str:
    if not secret_name(found["name"]) or harmless(found["inside"].strip()):
        return found[0]
    return f"{found['name']}{found['between']}{found['bracket']}{MASK}"


def _listed(found: re.Match[str]) -> str:
    if not secret_name(found["name"].rstrip("=")) or harmless(found["value"]):
        return found[0]
    return f"{found['mark']}{found['name']}{MASK}{found['mark']}"


def _phrase(found: re.Match[str]) -> str:
    value = found["value"].strip()
    name = found["name"].strip(" \t-\"':=")
    if not secret_name(name) or harmless(value.strip(",;")) or counts(name, value):
        return found[0]
    return f"{found['name']}{MASK}"


def _named(found: re.Match[str]) -> str:
    kinds = (("plain", "in_plain"), ("escaped", "in_escaped"), ("open", "to_the_end"))
    quote, value = next(
        ((found[mark], found[inside]) for mark, inside in kinds if found[mark]),
        ("", found["bare"] or ""),
    )
    if not secret_name(found["name"]) or harmless(value) or counts(found["name"], value):
        return found[0]
    closing = "" if found["open"] else quote
    return f"{found['name']}{found['between']}{quote}{MASK}{closing}"


def _flagged(found: re.Match[str]) -> str:
    if harmless(found["bare"]):
        return found[0]
    return f"{found['name']}{found['between']}{found['quote']}{MASK}"


def harmless(value: str) -> bool:
    """Whether it stands after a secret's name and is none: ``true``, ``${NAME}``."""
    return bool(_NO_SECRET.fullmatch(value) or REFERENCE.fullmatch(value))


def _address(found: re.Match[str]) -> str:
    """Addresses that the whole world knows are masked; a home's and a container's tell nothing."""
    try:
        return MASK if ipaddress.ip_address(found[0]).is_global else found[0]
    except ValueError:
        return found[0]
