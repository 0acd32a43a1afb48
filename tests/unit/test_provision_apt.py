"""Reading apt's configuration and what apt says."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from deployctl.outcomes import Command
from deployctl.provision import apt
from deployctl.provision.model import AptSource, typed

RECORDS = Path(__file__).parent / "records"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

DEB822 = f"""\
# comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}
Check-Valid-Until: no

Enabled: no
Types: deb
URIs: http://off.example/
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example/
Suites: bookworm
Components: main
"""

EMBEDDED = """\
Types: deb
URIs: https://vendor.example/apt
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit2ioBEADhWpZ8
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = f"""\
# deb http://off.example/debian bookworm main
deb [arch=amd64,arm64 signed-by={KEYRING}] https://mirror.example/debian bookworm main contrib # x
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
"""


def source(uri: str, *suites: str, key: str = "") -> AptSource:
    options = (("Signed-By", key),) if key else ()
    return AptSource(uris=(uri,), suites=suites, components=("main",), options=options)


def test_deb822() -> None:
    assert apt.parse_sources("debian.sources", DEB822) == (
        AptSource(
            uris=("http://mirror.example/debian",),
            suites=("bookworm", "bookworm-updates"),
            components=("main", "contrib"),
            options=(("Signed-By", KEYRING), ("Check-Valid-Until", "no")),
        ),
    )


def test_one_line() -> None:
    assert apt.parse_sources("sources.list", ONE_LINE) == (
        AptSource(
            uris=("https://mirror.example/debian",),
            suites=("bookworm",),
            components=("main", "contrib"),
            options=(("Architectures", "amd64 arm64"), ("Signed-By", KEYRING)),
        ),
        source("http://mirror.example/security", "bookworm-security"),
    )


@pytest.mark.parametrize("text", [DEB822, EMBEDDED])
def test_what_is_written_reads_back_the_same(text: str) -> None:
    sources = apt.parse_sources("x.sources", text)
    assert sources
    assert apt.parse_sources("x.sources", apt.sources_text(sources)) == sources


def test_one_line_becomes_deb822() -> None:
    sources = apt.parse_sources("sources.list", ONE_LINE)
    assert apt.parse_sources("x.sources", apt.sources_text(sources)) == sources


def newer(*sources: AptSource) -> list[tuple[str, tuple[str, ...]]]:
    found = apt.newer_suite(sources, codename="bookworm", newer="trixie")
    return [(each.uris[0], each.suites) for each in found]


def test_the_newer_suite_is_offered_beside_main_and_security() -> None:
    assert newer(
        source("http://m/debian", "bookworm", "bookworm-updates", "bookworm-backports"),
        source("http://m/security", "bookworm-security"),
    ) == [
        ("http://m/debian", ("bookworm", "bookworm-updates", "trixie")),
        ("http://m/security", ("bookworm-security", "trixie-security")),
    ]


def test_vendors_with_debians_suite_names_stay_out() -> None:
    vendor = source("https://vendor.example", "bookworm", key="/etc/apt/keyrings/vendor.gpg")
    signed = source("http://m/debian", "bookworm", key=KEYRING)
    unsigned = source("http://m/debian", "bookworm")
    expected = [("http://m/debian", ("bookworm", "trixie"))]
    assert newer(vendor, signed) == expected
    assert newer(vendor, unsigned) == expected


def test_discs_and_other_releases_are_no_mirror() -> None:
    assert newer(source("cdrom:[Debian]/", "bookworm"), source("http://m/debian", "bullseye")) == []


def test_candidates() -> None:
    text = (RECORDS / "apt-policy-trixie.txt").read_text()
    assert apt.parse_candidates(text) == {
        "docker.io": "26.1.5+dfsg1-9+deb13u1",
        "docker-cli": "26.1.5+dfsg1-9+deb13u1",
        "docker-buildx": "0.13.1+ds1-3",
        "docker-compose": "2.26.1-4",
    }


def test_only_what_is_whole_counts_as_installed() -> None:
    text = "un  docker-ce \nii  docker-cli 26.1.5\niF  docker.io 26.1.5\nrc  runc 1.1.5\n"
    assert apt.parse_installed(text) == {"docker-cli": "26.1.5"}


def test_apts_own_places_are_left_alone() -> None:
    text = apt.private_config(PurePosixPath("/w"))
    assert 'Dir::State::lists "/w/lists";' in text
    assert 'Dir::Cache "/w/cache";' in text
    assert 'Dir::Etc::sourcelist "/dev/null";' in text


@pytest.mark.parametrize(
    ("argv", "stdin", "expected"),
    [
        (("rm", "-f", "a b"), None, "rm -f 'a b'"),
        (("sh", "-c", "x >y & echo $!"), None, "sh -c 'x >y & echo $!'"),
        (("sudo", "sh", "-c", "echo 'a'"), None, "sudo sh -c 'echo '\"'\"'a'\"'\"''"),
        (("tee", "/a"), "one\ntwo\n", "tee /a >/dev/null <<'EOF'\none\ntwo\nEOF"),
    ],
)
def test_commands_can_be_typed(argv: tuple[str, ...], stdin: str | None, expected: str) -> None:
    assert typed(Command(argv=argv, label="x", timeout_s=1, stdin=stdin)) == expected
