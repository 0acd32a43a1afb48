from typing import Any

import pytest
import yaml

from deployctl.model import Origin
from deployctl.profiles.document import Document, dotted, plain, walk
from deployctl.profiles.source import MAX_BYTES, load, load_setting

LOADERS: list[Any] = [yaml.SafeLoader]
if yaml.__with_libyaml__:
    LOADERS.append(yaml.CSafeLoader)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest) -> Any:
    """libyaml's parser and PyYAML's own: the same file means the same with both."""
    return request.param


def data(document: Document) -> Any:
    assert document.root is not None
    return plain(document.root)


def complaints(text: str | bytes, loader: Any) -> list[str]:
    document = load(text, "f.yaml", loader=loader)
    assert all(fault.code == "profile-syntax" and fault.hint for fault in document.faults)
    return [f"{fault.where}: {fault.message}" for fault in document.faults]


def test_plain_data_with_the_place_of_each_value(loader: Any) -> None:
    text = "# c\na: 1\nb:\n  c: [x, 2.5, true, null]\n  é: 'no'\nd: |\n  two\n  lines\n"
    document = load(text, "f.yaml", loader=loader)
    assert document.faults == ()
    assert document.root is not None
    assert data(document) == {
        "a": 1,
        "b": {"c": ("x", 2.5, True, None), "é": "no"},
        "d": "two\nlines\n",
    }
    places = {
        dotted(path): (node.origin.line, node.origin.column) for path, node in walk(document.root)
    }
    assert places["a"] == (2, 4)
    assert places["b.c.1"] == (4, 10)
    assert places["b.é"] == (5, 6)
    keys = {dotted(path): node.key for path, node in walk(document.root)}
    assert keys["b.é"] == Origin(file="f.yaml", line=5, column=3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "f.yaml:1: The file is empty."),
        ("# only a comment\n", "f.yaml:1: The file is empty."),
        ("- a\n", "f.yaml:1: A profile is a map of keys and values; this file is something else."),
        ("a: 1\na: 2\n", "f.yaml:2: `a` is written twice; the first is on line 1."),
        ("a: &x 1\n", "f.yaml:1: `&x` is an anchor; profiles have none."),
        ("a: *x\n", "f.yaml:1: `*x` is an alias; profiles have none."),
        ("a: !!int 3\n", "f.yaml:1: `!!int` is a YAML tag; profiles have none."),
        ("a: !x 3\n", "f.yaml:1: `!x` is a YAML tag; profiles have none."),
        ("!!map\na: 3\n", "f.yaml:1: `!!map` is a YAML tag; profiles have none."),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2: A second document begins here; a profile is one document.",
        ),
        ("%YAML 1.1\n---\na: 1\n", "f.yaml:1: A profile has no `%` directives."),
        ("? [a]\n: 1\n", "f.yaml:1: A key is a plain word; this one is not."),
        ("a: 'x\nb: 1\n", "f.yaml:1: This quote is never closed."),
        ("a: [1\nb: 2\n", "f.yaml:1: This bracket is never closed, or a comma is missing."),
        ("a: b: c\n", "f.yaml:1: A `: ` stands where no key can be."),
        ("a: 1\nb\nc: 2\n", "f.yaml:2: This line has no `: ` after its key."),
        ("a:\n  b: 1\n c: 2\n", "f.yaml:3: This does not fit what stands before it."),
        ("a: @x\n", "f.yaml:1: No value can begin with this character."),
        ("a: 1\n\tb: 2\n", "f.yaml:2: There is a tab here; profiles have none."),
        ("a: \x07\n", "f.yaml:1: There is an invisible character here, U+0007."),
        ("a: \u202e\n", "f.yaml:1: There is an invisible character here, U+202E."),
        ("a: \u2028\n", "f.yaml:1: There is an invisible character here, U+2028."),
        ('a: "\\0"\n', "f.yaml:1: This text holds a character that no program can be given."),
        ("a:\n", "f.yaml:1: There is no value here."),
        (b"ok: 1\na: \xff\n", "f.yaml:2: The byte 0xff in this line is not UTF-8 text."),
        (b"\xff\xfea\x00", "f.yaml:1: The file is UTF-16; profiles are UTF-8."),
        (b"a" * (MAX_BYTES + 1), "f.yaml:1: The file is larger than 64 KiB; no profile is."),
        ("a: " + "[" * 9000, "f.yaml:1: This is nested deeper than 12 levels; no profile is."),
        (
            "\n".join(" " * n + "k:" for n in range(200)),
            "f.yaml:13: This is nested deeper than 12 levels; no profile is.",
        ),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_refused(text: str | bytes, complaint: str, loader: Any) -> None:
    assert complaints(text, loader) == [complaint]


@pytest.mark.parametrize(
    "text", ["a: ${HOME}\n", "a: x${HOME:-y}\n", "a: '{{ x }}'\n", "a: {{ x }}\n", "a: {% x %}\n"]
)
def test_nothing_is_filled_in(text: str, loader: Any) -> None:
    (complaint,) = complaints(text, loader)
    assert complaint.startswith("f.yaml:1: `")
    assert "a profile" in complaint


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("yes", 'write `true` or `"yes"`'),
        ("Off", 'write `false` or `"Off"`'),
        ("n", 'write `false` or `"n"`'),
        ("True", 'write `true` or `"True"`'),
        ("~", 'write `null` or `"~"`'),
        ("010", 'write `10` or `"010"`'),
        ("0x1F", 'write `31` or `"0x1F"`'),
        ("1_000", 'write `1000` or `"1_000"`'),
        ("+5", 'write `5` or `"+5"`'),
        (".5", 'write `0.5` or `".5"`'),
        ("1e3", 'write `1000` or `"1e3"`'),
        (".inf", 'write `".inf"`'),
        ("12:30:00", 'write `"12:30:00"`'),
        ("8000:80", None),
        ("2026-01-02", 'write `"2026-01-02"`'),
        ("9" * 5000, 'write `"' + "9" * 39 + '…"`'),
    ],
)
def test_words_that_mean_two_things(word: str, instead: str | None, loader: Any) -> None:
    document = load(f"a: {word}\n", "f.yaml", loader=loader)
    if instead is None:  # out of range for base 60, so everyone reads text
        assert data(document) == {"a": word}
        return
    (fault,) = document.faults
    assert fault.hint == instead
    quoted = load(f'a: "{word}"\n', "f.yaml", loader=loader)
    assert (quoted.faults, data(quoted)) == ((), {"a": word})


def test_all_faults_of_a_file_at_once_with_the_line_and_a_caret(loader: Any) -> None:
    document = load("名: {a: yes}\nb: &x 1\nb: 2\n", "f.yaml", loader=loader)
    assert [(fault.where, fault.details) for fault in document.faults] == [
        ("f.yaml:1", ("1 | 名: {a: yes}", "  |         ^")),
        ("f.yaml:2", ("2 | b: &x 1", "  |    ^")),
        ("f.yaml:3", ("3 | b: 2", "  | ^")),
    ]


def test_a_long_line_is_shown_around_the_place() -> None:
    document = load(f"a: [{'x, ' * 200}yes]\n", "f.yaml")
    shown, caret = document.faults[0].details
    assert len(shown) < 110
    assert shown[caret.index("^") :].startswith("yes]")


def test_line_ends_of_windows_and_a_byte_order_mark_are_fine() -> None:
    document = load(b"\xef\xbb\xbfa: 1\r\nb: x\r\n", "f.yaml")
    assert (document.faults, data(document)) == ((), {"a": 1, "b": "x"})


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("a=7861", 7861),
        ("a=x=y", "x=y"),
        ("a=file:/m/x #1: b.gguf", "file:/m/x #1: b.gguf"),
        ("a=*x", "*x"),
        ("a=true", True),
        ("a=null", None),
        ("a=[x, 2]", ("x", 2)),
        ("a={b: 1}", {"b": 1}),
        ('a="7"', "7"),
        ("a=''", ""),
    ],
)
def test_settings(typed: str, value: object) -> None:
    node, found = load_setting((typed,), 0)
    assert (plain(node), found) == (value, ())


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("a.b=", "There is no value here.", "--set a.b=null  # or --set 'a.b=\"\"'"),
        ("a.b= x", "The value begins or ends with a space.", "--set a.b=x"),
        ("a.b=x\ny", "The value has more than one line.", "use a profile for it"),
        ("a.b='x", "This quote is never closed.", "close it before the end of the line"),
        ("a.b=[no]", "`no` is a truth value to some readers of YAML and text to others.", None),
        ("a.b=[1] [2]", "Nothing can follow here.", "put the whole value in quotes"),
        ("a.b=x\x1b[2J", "There is an invisible character here, U+001B.", None),
    ],
)
def test_wrong_settings(typed: str, message: str, hint: str | None) -> None:
    _, (fault,) = load_setting(("other=1", typed), 1)
    assert (fault.where, fault.message) == ("--set a.b", message)
    assert hint is None or fault.hint == hint
    assert all(line.isprintable() for line in fault.details)
