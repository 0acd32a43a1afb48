import pytest

from deployctl import yamlsafe
from deployctl.model import Variable
from deployctl.secret import Secret
from tests.yamltext import parsed


def interpolated(text: str) -> str:
    """What Compose makes of a scalar without variables: ``$$`` is one dollar."""
    return text.replace("$$", "$")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "no",
        "12:30:00",
        "a: b",
        "# c",
        "tab\there",
        "${HOME}",
        "$5",
        'q"q',
        "\\n",
        "é😀",
    ],
)
def test_text_survives(text: str) -> None:
    assert interpolated(parsed(str(yamlsafe.node(text)))) == text


def test_other_values_are_flow_nodes() -> None:
    assert yamlsafe.node(True) == "true"
    assert yamlsafe.node(7) == "7"
    assert yamlsafe.node(None) == "null"
    assert yamlsafe.node(("a", 1)) == '["a", 1]'
    assert yamlsafe.node({"a": ("b",)}) == '{"a": ["b"]}'


def test_variables_keep_their_dollar() -> None:
    assert yamlsafe.node(Variable(name="A", default="x")) == '"${A:-x}"'


def test_a_required_variable_has_a_default_that_no_environment_can_hold() -> None:
    read = parsed(str(yamlsafe.node(Variable(name="A", required="say so"))))
    assert read == "${A:-\0say so}"


@pytest.mark.parametrize("bad", ["}", "${B}", "two\nlines"])
def test_variables_refuse_what_would_end_them(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot stand inside"):
        yamlsafe.node(Variable(name="A", default=bad))
    with pytest.raises(ValueError, match="cannot stand inside"):
        yamlsafe.node(Variable(name="A", required=bad))


def test_a_secret_is_refused() -> None:
    with pytest.raises(TypeError, match="Secret does not belong"):
        yamlsafe.node(Secret("hush"))


def test_secrets_do_not_show() -> None:
    assert f"{Secret('hush')} {Secret('hush')!r}" == "*** ***"
    with pytest.raises(ValueError, match="empty"):
        Secret("")
