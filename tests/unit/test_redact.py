"""No secret survives: in any spelling of a known one, and in the usual shapes of unknown ones."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from deployctl.redact import Redactor, harvest, redacted
from deployctl.secretshapes import by_shape, counts, harmless, secret_name, without_users

SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="*", exclude_categories=("Cc", "Zs", "Zl")),
    min_size=6,
    max_size=40,
)
AROUND = st.text(max_size=30)


def spellings(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "raw": secret,
        "url": quote(secret, safe=""),
        "url, some kept": quote(secret),
        "form": quote_plus(secret),
        "url twice": quote(quote(secret, safe=""), safe=""),
        "json": json.dumps(secret)[1:-1],
        "json, whole letters": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps(secret))[3:-3],
        "python": repr(secret)[1:-1],
        "html": html.escape(secret),
        "compose": secret.replace("$", "$$"),
        "yaml": secret.replace("'", "''"),
        "shell": shlex.quote(secret),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "base64": base64.b64encode(raw).decode(),
        "base64, second byte": base64.b64encode(b"u:" + raw + b":").decode(),
        "base64, third byte": base64.b64encode(b"x" + raw).decode(),
        "base64, for addresses": base64.urlsafe_b64encode(b"\xff" + raw).decode(),
    }


@given(secret=SECRETS, before=AROUND, after=AROUND)
@example(secret="p@ss w'\"\\$ord/é", before="", after="")
@example(secret="100%25safe&sound+1", before="?a=", after="&b=2")
def test_a_known_secret_survives_in_no_spelling(secret: str, before: str, after: str) -> None:
    assume(secret == secret.strip() and not harmless(secret))
    redactor = Redactor([secret])
    for name, spelling in spellings(secret).items():
        cleaned = redactor.text(f"{before} {spelling} {after}")
        assert spelling not in cleaned, name
        assert secret not in cleaned, name


def test_what_is_below_a_secrets_name_is_masked_whole() -> None:
    data = {"api_keys": ["abc", {"x": "def"}], "auth": {"enabled": "true"}, "a_tokens": 4096}
    assert redacted(data, Redactor(())) == {
        "api_keys": ["***", {"x": "***"}],
        "auth": {"enabled": "true"},
        "a_tokens": 4096,
    }
    assert set(harvest(data)) == {"abc", "def", "true"}


@given(st.text())
def test_what_is_clean_stays_clean(text: str) -> None:
    """What was cleaned once is not changed again: nothing grows, nothing is eaten step by step."""
    redactor = Redactor(["correct horse battery"])
    once = redactor.text(text)
    assert redactor.text(once) == once


@given(st.recursive(st.text() | st.integers(), lambda inside: st.dictionaries(st.text(), inside)))
def test_data_stays_data(data: object) -> None:
    json.dumps(redacted(data, Redactor(["correct horse battery"])))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("HF_TOKEN=abc next", "HF_TOKEN=***"),
        ("  MY_SECRET: a long phrase here", "  MY_SECRET: ***"),
        ('password: it\'s "x" y', "password: ***"),
        ('{"password": "a \\" b", "x": 1}', '{"password": "***", "x": 1}'),
        ('{"a": "{\\"api_key\\": \\"s3cret\\"}"}', '{"a": "{\\"api_key\\": \\"***\\"}"}'),
        ("{'token': 'it\\'s', 'x': 1}", "{'token': '***', 'x': 1}"),
        ('"password": "cut sho', '"password": "***'),
        ('   "MY_PASSWORD=a b\'c d",', '   "MY_PASSWORD=***",'),
        ('"api_keys": [\n "***"\n]', '"api_keys": [\n "***"\n]'),
        ("run --api-key hunter22 --port 1", "run --api-key *** --port 1"),
        ('"--api-key", "hunter22"', '"--api-key", "***"'),
        ("https://u:p/w@mirror.example/x", "https://***@mirror.example/x"),
        ("https://tok3n@mirror.example/x", "https://***@mirror.example/x"),
        ("GET /x?token=abc&page=2", "GET /x?token=***&page=2"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEi.abc_d y", "x *** y"),
        ("sent bearer abcdefghijk1 on", "sent bearer *** on"),
        ("key hf_abcdefghijkl and sk-abcdefghij", "key *** and ***"),
        ("to bob.builder@example.com", "to ***@***"),
        ("in /home/bob/x and C:\\Users\\Bob\\x", "in /home/***/x and C:\\Users\\***\\x"),
        ("8.8.8.8 and 2001:4860:4860::8888", "*** and ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx", "***\nx"),
        ("GPU-12345678-1234-1234-1234-123456789abc", "***"),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, cleaned: str) -> None:
    assert by_shape(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("api_keys: ['abc', \"d e\"] x", "api_keys: [***] x"),
        ('"api_keys": ["abc", "d"], "n": 1', '"api_keys": [***], "n": 1'),
        ("credentials={a: 'b c', d: e}", "credentials={***}"),
        ("HF_TOKENS=abc,def", "HF_TOKENS=***"),
        ("HF_TOKENS: ['a b', 'c']", "HF_TOKENS: [***]"),
        ("GITHUB_PAT=xyz12", "GITHUB_PAT=***"),
        ("SLACK_HOOK=https://h.example/x/y", "SLACK_HOOK=***"),
        ("OPENAI_KEY=abc", "OPENAI_KEY=***"),
    ],
)
def test_names_that_mean_a_secret_too(text: str, cleaned: str) -> None:
    assert by_shape(text) == cleaned
    assert by_shape(cleaned) == cleaned


@given(
    st.sampled_from(["HF_TOKENS", "api_keys", "GITHUB_PAT", "SLACK_HOOK", "AWS_SECRET_ACCESS_KEY"]),
    st.lists(st.from_regex(r"[A-Za-z0-9/+_.~-]{6,40}", fullmatch=True), min_size=1, max_size=4),
)
def test_no_value_after_such_a_name_survives(name: str, secrets: list[str]) -> None:
    assume(not any(harmless(s) or counts(name, s) or s in name for s in secrets))
    for line in (
        f"{name}: {json.dumps(secrets)}",
        f"{name}: {secrets}",
        f"x {name}={secrets[0]} y",
        f"{name}=/{secrets[0]}",
    ):
        cleaned = by_shape(line)
        assert not [s for s in secrets if s in line and s in cleaned], line


@pytest.mark.parametrize(
    "text",
    [
        "foo_tokens: 12",
        "cached_tokens=abc max_new_tokens=def",
        "PATH=/usr/bin:/bin public_key=abc cache-key: y patch: z webui-hooked: 1",
        "max_tokens: 256, n_tokens = 12, tokens per second 7.5",
        'LLAMA_API_KEY: "${DEPLOYCTL_ENGINE_KEY:-is missing; deployctl up makes it}"',
        'WEBUI_AUTH: "true"',
        '   "WEBUI_AUTH=true",',
        "HF_TOKEN_PATH=/x/y credentials_file: /a/b",
        "127.0.0.1 10.0.0.2 172.18.0.1 192.168.1.4 ::1 fe80::1 0.0.0.0",
        "/tmp/x/home/stacks/s1",
        "utils.auth:get_user:12 utils.session_pool:make",
        "driver 580.65.06, 2026-11-22T10:00:00, sha256:0123456789abcdef",
        "author: x, passed: 3, key: v, monkey=1",
    ],
)
def test_what_explains_a_bug_stays(text: str) -> None:
    assert by_shape(text) == text


def test_in_a_log_nobody_reads_what_was_said() -> None:
    line = (
        """{"role": "user", "content": "my \\"own\\" words", "n": 1} {'prompt': 'mine', 'n': 2}"""
    )
    cleaned = Redactor([]).text(line, log=True)
    assert "own" not in cleaned
    assert "mine" not in cleaned
    assert '"role": "user"' in cleaned
    assert Redactor([]).text(line) == line


def test_names_of_people_and_machines_are_replaced_as_words() -> None:
    redactor = Redactor([], {"bob": "<user>", "box.lan": "<this machine>", "/srv/bob": "~"})
    assert redactor.text("/srv/bob/x bob bobby box.lan") == "~/x <user> bobby <this machine>"


def test_harvest_finds_what_its_key_calls_a_secret() -> None:
    found = set(
        harvest(
            {
                "services": {"x": {"environment": ["A=1", "MY_TOKEN=abc", "U=${MY_TOKEN}"]}},
                "labels": {"operator.api-token": "lab", "plain": "no"},
                "credentials": {"anything": "inside"},
                "url": "smtp://u:p%21w@h",
                "command": ["--port", "1", "--api-key", "arg"],
                "token": "${REFERENCE}",
                "password": 123456,
                "auth": True,
            }
        )
    )
    assert found == {"abc", "lab", "inside", "p%21w", "p!w", "arg", "123456"}


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "dbPassword", "api-key", "HF_TOKENS", "GITHUB_PAT", "X_HOOK"]
)
def test_names_of_secrets(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "HF_TOKEN_PATH", "key", "monkey", "tokenizer"])
def test_names_of_none(name: str) -> None:
    assert not secret_name(name)


def test_addresses_keep_all_but_their_users() -> None:
    assert (
        without_users("http://a:b@p.example:1/x http://p/x")
        == "http://***@p.example:1/x http://p/x"
    )


def test_a_value_that_says_nothing_is_not_taken_for_a_secret() -> None:
    assert Redactor(["true", "abc", ""]).text("read_only: true abc") == "read_only: true abc"


@pytest.mark.parametrize("piece", ["a", "-a", "\\", ".a", "eyJ", "token", '"', "a@", "://", "&"])
def test_a_long_line_ends(piece: str) -> None:
    """Each pattern looks a bounded way ahead; else such a line would take hours."""
    redactor = Redactor(["correct horse battery staple", "\\\\\\\\"])
    redactor.text(piece * 20_000, log=True)
