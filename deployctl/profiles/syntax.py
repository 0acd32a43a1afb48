"""What is wrong with a file, in plain words: the YAML parser's complaints, translated. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Complaint:
    """A sentence and the edit to make; ``at_start``: point at where the construct began."""

    sentence: str
    hint: str
    at_start: bool = False


INDENT = "give keys of the same block the same indentation, and every key its `: `"
WRITE_OUT = "write the value itself here"
EXTEND = "begin it with `extends: smoke` and change what should differ"
USE_EXTENDS = "name the profile to start from with `extends:` at the top of the file"

#: Signs of template languages, and what is said about them.
TEMPLATES = {
    "${": "`${…}` is not filled in here; a profile means what it says on every machine.",
    "{{": "`{{…}}` is not filled in here; a profile is plain YAML, not a template.",
    "{%": "`{%…%}` is not carried out here; a profile is plain YAML, not a template.",
}

#: Characters that are invisible, end a line for some programs only, or reorder the text around
#: them: what is seen would not be what is read.
UNWELCOME = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    r"\ufeff\ufffe\uffff\ud800-\udfff]"
)

#: Words of the parser (libyaml's and PyYAML's own) → what they mean to the person editing.
_COMPLAINTS = (
    (
        "escape",
        Complaint(
            "After a backslash in double quotes only an escape like \\n can follow.",
            "use single quotes, in which a backslash is a backslash",
        ),
    ),
    (
        "mapping values are not allowed",
        Complaint(
            "A `: ` stands where no key can be.",
            "put text that contains `: ` in quotes, or check the indentation of this line",
        ),
    ),
    (
        "quoted scalar",
        Complaint(
            "This quote is never closed.", "close it before the end of the line", at_start=True
        ),
    ),
    (
        "flow",
        Complaint(
            "This bracket is never closed, or a comma is missing.", "close it", at_start=True
        ),
    ),
    (
        "cannot start any token",
        Complaint("No value can begin with this character.", "put the value in quotes"),
    ),
    ("directive", Complaint("A profile has no `%` directives.", "delete the line")),
    ("tag", Complaint("No value can begin with `!`.", "put the value in quotes")),
    ("alias", Complaint("No value can begin with `*`.", "put the value in quotes")),
    ("anchor", Complaint("No value can begin with `&`.", "put the value in quotes")),
    ("expected ':'", Complaint("This line has no `: ` after its key.", INDENT, at_start=True)),
    (
        "block scalar",
        Complaint("Nothing else can stand in a line after `|` or `>`.", "write the text below it"),
    ),
    (
        "block",
        Complaint(
            "This does not fit what stands before it.",
            f"{INDENT}; nothing follows a closing quote or bracket",
        ),
    ),
    ("document start", Complaint("Nothing can follow here.", "put the whole value in quotes")),
)


def complaint(words: str) -> Complaint:
    """Translate what the parser says."""
    for part, meaning in _COMPLAINTS:
        if part in words:
            return meaning
    return Complaint("From here on this is not YAML that can be read.", INDENT)
