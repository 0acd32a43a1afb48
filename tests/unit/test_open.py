"""Which browser ``open`` tries where, and what it says where there is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deployctl.deploy.open import _DETACHED, Seat, programs, tunnel

URL = "http://127.0.0.1:7860"
SSH = "192.0.2.7 51000 192.0.2.9 22"


def seat(platform: str = "linux", **environment: str) -> Seat:
    return Seat(environment=environment, platform=platform, user="ann")


@pytest.mark.parametrize(
    ("where", "tried"),
    [
        (seat(), ()),
        (seat(DISPLAY=":0"), (("xdg-open",),)),
        (seat(WAYLAND_DISPLAY="wayland-0"), (("xdg-open",),)),
        (seat(WSL_DISTRO_NAME="Debian"), (("wslview",),)),
        (seat(WSL_DISTRO_NAME="Debian", DISPLAY=":0"), (("wslview",), ("xdg-open",))),
        (seat("darwin"), (("open",),)),
        (seat(BROWSER="firefox --new-tab %s:links"), (("firefox", "--new-tab", "%s"), ("links",))),
        # a display that SSH forwards is not where the operator's browser is
        (seat(SSH_CONNECTION=SSH, DISPLAY="localhost:10.0"), ()),
        # an editor's remote session brings a program that opens at home
        (seat(SSH_CONNECTION=SSH, BROWSER="/opt/helper.sh"), (("/opt/helper.sh",),)),
    ],
)
def test_programs(where: Seat, tried: tuple[tuple[str, ...], ...]) -> None:
    assert programs(where) == tried


@pytest.mark.parametrize(
    ("connection", "command"),
    [
        (SSH, "ssh -L 7860:127.0.0.1:7860 ann@192.0.2.9"),
        ("192.0.2.7 5 2001:db8::1 2222", "ssh -p 2222 -L 7860:127.0.0.1:7860 ann@2001:db8::1"),
        ("", None),
        ("strange", None),
    ],
)
def test_the_way_home(connection: str, command: str | None) -> None:
    assert tunnel(seat(SSH_CONNECTION=connection), 7860) == command


@pytest.mark.parametrize(("program", "code"), [("true", 0), ("false", 1), ("no-such-program", 127)])
def test_what_an_opener_that_ends_at_once_says_is_believed(program: str, code: int) -> None:
    done = subprocess.run(["sh", "-c", _DETACHED, "sh", program, URL], check=False)
    assert done.returncode == code


def test_an_opener_outlives_the_command(tmp_path: Path) -> None:
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho $$ "$1" > {tmp_path}/said\nexec sleep 30\n')
    opener.chmod(0o755)
    done = subprocess.run(["sh", "-c", _DETACHED, "sh", str(opener), URL], check=False)
    assert done.returncode == 0
    pid, said = (tmp_path / "said").read_text().split()
    assert said == URL
    assert os.getsid(int(pid)) != os.getsid(0)
    os.kill(int(pid), 15)
