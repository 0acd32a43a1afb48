"""The mirror map: what may stand in it, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.errors import DeployctlError
from deployctl.images.mirrors import mirrors_file, parse_mirrors, read_mirrors

FILE = "/home/op/.config/deployctl/mirrors.yaml"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DEPLOYCTL_HOME": "/srv/d", "XDG_CONFIG_HOME": "/c"}, "/srv/d/mirrors.yaml"),
        ({"XDG_CONFIG_HOME": "/c", "HOME": "/home/op"}, "/c/deployctl/mirrors.yaml"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/home/op"}, FILE),
        ({"HOME": "/home/op"}, FILE),
    ],
)
def test_where_it_lies(environment: dict[str, str], expected: str) -> None:
    assert str(mirrors_file(environment)) == expected


def test_what_may_stand_in_it() -> None:
    text = (
        "\ufeff# our mirrors\n\n"
        "ghcr.io: mirror.example:5000/ghcr   # with a path\n"
        '"docker.io": "127.0.0.1:5000"\r\n'
        "quay.io: 'mirror.example/a/b-c_d.e'\n"
        "registry.example:8443: [::1]:5000/x\n"
    )
    assert parse_mirrors(text.removeprefix("\ufeff"), FILE) == (
        {
            "ghcr.io": "mirror.example:5000/ghcr",
            "docker.io": "127.0.0.1:5000",
            "quay.io": "mirror.example/a/b-c_d.e",
            "registry.example:8443": "[::1]:5000/x",
        },
        (),
    )


FORM = "write one `registry: mirror` per line, for example `ghcr.io: mirror.example:5000/ghcr`"


@pytest.mark.parametrize(
    ("line", "column", "message", "hint"),
    [
        ("ghcr.io mirror.example", 1, "`ghcr.io mirror.example` is not an entry of a mirror map.",
         FORM),
        ("ghcr.io:", 1, "`ghcr.io:` is not an entry of a mirror map.", FORM),
        ("  - ghcr.io", 3, "`- ghcr.io` is not an entry of a mirror map.", FORM),
        ("ghcr.io: {a: b}", 1, "`ghcr.io: {a: b}` is not an entry of a mirror map.", FORM),
        ("ghcr.io: https://m.example/x/", 10,
         "A mirror is written without `https://`; Docker decides how to speak to it.",
         "write `m.example/x`"),
        ("ghcr.io: m.example/", 10, "A mirror does not end with `/`.", "write `m.example`"),
        ("ghcr.io: me@m.example", 10, "A mirror is written without a user name.",
         "docker login m.example"),
        ("ghcr.io: Mirror.example", 10,
         "`Mirror.example` is not a host with an optional port and path, all in lower case.", FORM),
        ("ghcr.io/org: m.example", 1, "`ghcr.io/org` is more than the name of a registry.",
         "write `ghcr.io:`"),
        ("https://ghcr.io: m.example", 1, "`https://ghcr.io` is more than the name of a registry.",
         "write `ghcr.io:`"),
        ("index.docker.io: m.example", 1,
         "Docker's own registry is called docker.io, not `index.docker.io`.", "write `docker.io:`"),
        ("ghcr: m.example", 1, "`ghcr` is not the name of a registry.", FORM),
        ("quay.io: m.example", 1, "`quay.io` is written twice; the first is on line 1.",
         "keep one of the two"),
    ],
)  # fmt: skip
def test_what_may_not(line: str, column: int, message: str, hint: str) -> None:
    _, faults = parse_mirrors(f"quay.io: m.example\n{line}\n", FILE)
    (fault,) = faults
    assert (fault.code, fault.where) == ("mirrors-invalid", f"{FILE}:2")
    assert (fault.message, fault.hint) == (message, hint)
    assert fault.details[0] == f"2 | {line}"
    assert fault.details[1].index("^") == 3 + column


def test_all_wrong_lines_are_told_in_order() -> None:
    _, faults = parse_mirrors("a\nghcr.io: m.example\nb\n", FILE)
    assert [fault.where for fault in faults] == [f"{FILE}:1", f"{FILE}:3"]


def test_no_file_is_no_mirrors(tmp_path: Path) -> None:
    assert read_mirrors(tmp_path / "mirrors.yaml") == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00", "is not UTF-8 text"), (b"#" * 20_000, "is larger than 16 KiB")],
)
def test_a_file_that_is_no_map_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_bytes(content)
    with pytest.raises(DeployctlError, match=said):
        read_mirrors(path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployctlError, match="cannot be read: Is a directory"):
        read_mirrors(tmp_path)
