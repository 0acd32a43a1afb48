"""What was typed, once more with one word mended: hints that keep all its options. Pure.

A cause knows the better word, not what else was typed; only the command line knows that.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployctl.errors import Fault

#: Options whose value a hint may mend, under each of their names.
_MENDED = {
    "--profile": ("--profile", "-p"),
    "--model": ("--model",),
    "--stack": ("--stack",),
    "--with": ("--with",),
    "--only": ("--only",),
    "--file": ("--file",),
    "--prompt-tokens": ("--prompt-tokens",),
    "--output-tokens": ("--output-tokens",),
}

#: A hint that is one option, alone or behind a command, and perhaps a remark.
_ONE_OPTION = re.compile(
    r"(?:deployctl (?P<command>\w+) )?"
    r"(?P<option>--(?:profile|model|stack|with|only|file|prompt-tokens|output-tokens)) "
    r"(?P<value>[^\s'\"`]+|'[^']*')(?P<remark>\s+#.*)?"
)

#: Commands that have `--set`; those without arguments that have `--profile`, or only `--stack`.
_WITH_SET = ("up", "smoke", "plan", "render", "profile", "compare", "tune")
_WITH_PROFILE = ("up", "smoke", "plan", "render", "doctor")
_WITH_STACK = ("open", "status", "metrics", "watch", "verify", "down", "report")

#: Commands that do something else when their other options are left out.
_SAME = ("up", "smoke", "verify", "report", "compare")

_NO_CHOICE = re.compile(
    r"Invalid value for (?P<names>'.+?'): (?:Value error, )?'(?P<typed>.*)' is not one of "
    r"(?P<choices>'.+')\."
)
_NO_COMMAND = re.compile(r"No such command '(?P<typed>[^']*)'\.(?: Did you mean .*)?", re.DOTALL)
_TOO_MANY = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<words>.*)\)", re.DOTALL)
_MISSING = re.compile(
    r"Missing argument '(?P<name>[^']+)'\.(?:\s*Choose from:\s*(?P<of>.+))?", re.S
)

#: Words of the library that reads the command line → ours.
_WORDS = (
    (r": Value error, ", ": "),
    (r"Input should be a valid number, unable to parse string as a number", "it is not a number."),
    (r"Input should be a valid integer, .*", "it is not a whole number."),
    (r"Input should be (?P<how>greater|less) than or equal to (?P<n>[\d.]+)", None),
    (r"^Invalid value: --", "--"),
)


def retyped(arguments: Iterable[str], names: Iterable[str], value: str) -> str:
    """The command line as it was typed, with ``value`` for the option that has these names."""
    arguments, names = tuple(arguments), tuple(names)
    end = arguments.index("--") if "--" in arguments else len(arguments)  # no options behind it
    words, kept, set_ = iter(arguments[:end]), ["deployctl"], False
    for word in words:
        long = word.partition("=")[0]
        if word in names:
            next(words, None)
        elif not (word[:2] in names or ("=" in word and long in names)):  # -pNAME, --profile=NAME
            kept.append(word)
            continue
        if not set_:
            kept += [word if word in names else long if long in names else word[:2], value]
        set_ = True
    if not set_:
        kept += [names[0], value]
    return shlex.join((*kept, *arguments[end:]))


def mended(fault: Fault, arguments: list[str]) -> Fault:
    """The fault; a hint that is but one option becomes the whole command line with it."""
    typed = next((w for w in arguments if not w.startswith("-")), "")
    if fault.hint.startswith("--set ") and typed in _WITH_SET:
        return _reset(fault, arguments)
    found = _ONE_OPTION.fullmatch(fault.hint)
    if found is None:
        return fault
    command = found["command"]
    same = command is None or (command == typed and typed in _SAME)
    if not same and not (fault.code == "profile-unknown" and found["option"] == "--profile"):
        return fault
    value = shlex.split(found["value"])[0]
    line = retyped(arguments, _MENDED[found["option"]], value)
    return replace(fault, hint=f"{line}{found['remark'] or ''}")


def _reset(fault: Fault, arguments: Sequence[str]) -> Fault:
    """The fault; a hint that is one `--set` becomes the command line with it, the wrong one gone.

    Wrong is a setting of the same key, or the one that the fault is about where its key is none,
    or is what the right one stands below.
    """
    said, remark, why = fault.hint.partition("  #")
    try:
        words = shlex.split(said)
    except ValueError:  # what was typed has a quote that does not end
        return fault
    if len(words) != 2 or "=" not in words[1]:
        return fault
    key = words[1].partition("=")[0]
    about = (fault.where or "").removeprefix("--set ")
    none = "is not a key" in fault.message or "has no `=`" in fault.message
    wrong = (key, about) if none or key.startswith(f"{about}.") else (key,)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest, kept = iter(arguments[:end]), ["deployctl"]
    for word in rest:
        option, equals, joined = word.partition("=")
        if option != "--set":
            kept.append(word)
        elif (value := joined if equals else next(rest, "")).partition("=")[0] not in wrong:
            kept += ["--set", value]
    line = shlex.join((*kept, *words, *arguments[end:]))
    return replace(fault, hint=f"{line}{remark}{why}")


def in_our_words(
    message: str, arguments: list[str], commands: Iterable[str]
) -> tuple[str, str | None]:
    """What is wrong with what was typed, and the command line that was meant, if that is near."""
    if found := _NO_CHOICE.fullmatch(message):
        choices = re.findall(r"'([^']*)'", found["choices"])
        names = re.findall(r"'([^']*)'", found["names"])
        several = f"{', '.join(choices[:-1])} or " if choices[1:] else ""
        said = f"{names[0]} is {several}{choices[-1]}, not {found['typed']!r}."
        near = difflib.get_close_matches(found["typed"].lower(), choices, n=1, cutoff=0.5)
        if not near or not names[0].startswith("-"):
            return said, None
        return f"{said} Did you mean {near[0]}?", retyped(arguments, names, near[0])
    if found := _NO_COMMAND.fullmatch(message):
        near = difflib.get_close_matches(found["typed"], tuple(commands), n=1, cutoff=0.5)
        if not near or "Did you mean" in message or found["typed"] not in arguments:
            return message, None
        at = arguments.index(found["typed"])
        meant = shlex.join(("deployctl", *arguments[:at], near[0], *arguments[at + 1 :]))
        return f"{message} Did you mean {near[0]!r}?", meant
    if found := _TOO_MANY.fullmatch(message):
        return _as_option(found["words"], arguments)
    if found := _MISSING.fullmatch(message):
        which = ", ".join((found["of"] or "").replace(",", " ").split())
        return f"The argument {found['name'].upper()} is missing{which and f': {which}'}.", None
    message = " ".join(message.split())  # choices stand in lines of their own
    for theirs, ours in _WORDS:
        message = re.sub(theirs, _bound if ours is None else ours, message)
    return message, None


def _as_option(words: str, arguments: list[str]) -> tuple[str, str | None]:
    """What is too much, and which option it was meant for, where the command has one."""
    said = f"Nothing goes here: {words}."
    command = next((w for w in arguments if not w.startswith("-")), "")
    if command not in (*_WITH_PROFILE, *_WITH_STACK) or arguments.count(words) != 1:
        return said, None
    named = {"--profile": command in _WITH_PROFILE, "--stack": command != "render"}
    options = [option for option, has in named.items() if has]
    at = arguments.index(words)
    rest = [*arguments[:at], *arguments[at + 1 :]]
    said += " " + ", ".join(f"{option} names the {option[2:]}" for option in options) + "."
    typed = next((name for name in options if not _given(rest, _MENDED[name])), None)
    return said, None if typed is None else retyped(rest, _MENDED[typed], words)


def _given(arguments: Iterable[str], names: Iterable[str]) -> bool:
    """Whether one of these options was typed."""
    words = {word.partition("=")[0] for word in arguments}
    return any(name in words for name in names)


def _bound(found: re.Match[str]) -> str:
    return f"it should be at {'least' if found['how'] == 'greater' else 'most'} {found['n']}."
