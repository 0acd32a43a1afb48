"""The doctor's edges: small file trees, scripted commands, replies that never came."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from deployctl.doctor.look_docker import look_at_daemon, probe_card
from deployctl.doctor.look_outside import Clocks, ask_apt, ask_pip, look_at_proxies
from deployctl.doctor.look_state import look_at_place, look_at_state, mount_of
from deployctl.doctor.look_system import look_at_system, nameservers
from tests.scripted import ScriptedRunner

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def write(path: Path, text: str = "x", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_system_is_read_from_its_files(tmp_path: Path) -> None:
    write(tmp_path / "proc/sys/kernel/osrelease", "6.12.0-1-amd64\n")
    write(tmp_path / "proc/sys/net/ipv4/ip_forward", "0\n")
    write(tmp_path / "proc/swaps", "Filename Type\n/dev/zram0 partition 1 0 100\n")
    write(tmp_path / "proc/modules", "nouveau 1 0 - Live\next4 2 1 - Live\n")
    write(tmp_path / "proc/self/limits", "Max open files            1024     4096     files\n")
    write(tmp_path / "proc/77/comm", "firewalld\n")
    write(tmp_path / "sys/fs/selinux/enforce", "1")
    write(tmp_path / "etc/resolv.conf", "# x\nnameserver 127.0.0.53\noptions edns0\n")
    write(tmp_path / "etc/ufw/ufw.conf", "ENABLED=yes\n")
    found = look_at_system(ScriptedRunner({}), tmp_path, {"PATH": ""}, uid=1000)
    assert found.kernel == "6.12.0-1-amd64"
    assert found.settings == {"net.ipv4.ip_forward": "0"}
    assert found.swaps == ("/dev/zram0",)
    assert found.modules == {"nouveau", "ext4"}
    assert found.open_files == 1024
    assert (found.selinux, found.ufw, found.firewalld) == ("enforcing", True, True)
    assert found.nameservers == ("127.0.0.53",)
    assert found.docker_chain is None


def test_an_empty_machine_says_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    found = look_at_system(ScriptedRunner({}), tmp_path, {"PATH": ""}, uid=1000)
    assert (found.kernel, found.ntp, found.open_files, found.selinux) == ("", None, None, None)
    assert nameservers("nameserver\n\nsearch x\n") == ()


MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw,nosuid,nodev - nfs4 server:/home rw
31 22 0:31 / /home/ada\040b rw - xfs /dev/sdb rw
32 22 0:32 / /home ro - tmpfs tmpfs rw
"""


def test_the_mount_of_a_place_is_the_nearest_and_the_last() -> None:
    assert mount_of(Path("/etc"), MOUNTS)[0] == "ext4"
    assert mount_of(Path("/home/x"), MOUNTS) == ("tmpfs", ("ro",))
    assert mount_of(Path("/home/ada b/x"), MOUNTS)[0] == "xfs"
    assert mount_of(Path("/x"), "") == ("", ())


def test_a_place_that_is_not_there_yet_is_the_one_above(tmp_path: Path) -> None:
    found = look_at_place(tmp_path / "a/b/c", Path("/"))
    assert found.free_bytes
    assert found.path == tmp_path / "a/b/c"
    assert found.device == tmp_path.stat().st_dev


def test_the_state_folder(tmp_path: Path) -> None:
    write(tmp_path / "models/hf/a.gguf")
    closed = write(tmp_path / "models/hf/b.gguf", mode=0o600)
    write(tmp_path / "models/hf/.b.json", mode=0o600)
    whole = write(tmp_path / "models/hf-whole/r/config.json", mode=0o640)
    stack = tmp_path / "stacks/s"
    write(stack / ".env", mode=0o644)
    write(stack / "secrets.json", mode=0o600)
    write(stack / "manifest.json", "{broken")
    mine = look_at_state(tmp_path, Path("/"), uid=os.geteuid())
    assert set(mine.unreadable) == {closed, whole}
    assert mine.models == 3
    assert (mine.exists, mine.writable, mine.strangers) == (True, True, ())
    (found,) = mine.stacks
    assert (found.name, found.open_files, found.standing) == ("s", (".env",), "unknown")
    other = look_at_state(tmp_path, Path("/"), uid=os.geteuid() + 1)
    assert closed in other.strangers


def test_a_state_folder_that_is_not_there(tmp_path: Path) -> None:
    found = look_at_state(tmp_path / "none", Path("/"))
    assert (found.exists, found.writable, found.stacks, found.models) == (False, True, (), 0)


# ── Docker ────────────────────────────────────────────────────────────────────────────────────


def docker(tmp_path: Path) -> dict[str, str]:
    write(tmp_path / "bin/docker", mode=0o755)
    return {"PATH": str(tmp_path / "bin")}


def test_what_the_daemon_keeps_is_sorted_by_project(tmp_path: Path) -> None:
    runner = ScriptedRunner(
        {
            "info": json.dumps({"ServerVersion": "26.1"}),
            " ps ": "a\tengine\trunning\t/h/stacks/a\t\tUp 3 minutes\t\n"
            "a\twebui\texited\t/h/stacks/a\tFalse\tExited (0) 3 minutes ago\t\n"
            "a\tcache\texited\t/h/stacks/a\t\tExited (0) 3 minutes ago\tcache\n"
            "a\tjob\texited\t/h/stacks/a\t\tExited (0) 3 minutes ago\t\n"
            "a\tfailed\texited\t/h/stacks/a\t\tExited (1) 3 minutes ago\t\n"
            "a\twebui\trunning\t/h/stacks/a\tTrue\tUp 3 minutes\t\n",
            "volume": "a\ta_webui-data\nb\tb_webui-data\n",
            "network": "\tbridge\tbridge\na\ta_default\tbridge\n\thost\thost\n",
        }
    )
    found = look_at_daemon(runner, docker(tmp_path))
    assert found.info == {"ServerVersion": "26.1"}
    assert found.bridges == 2
    assert found.holdings is not None
    a, b = found.holdings
    assert a.services == ("cache", "engine", "failed", "job", "webui")
    assert (a.running, a.folder) == (1, "/h/stacks/a")
    assert a.stopped == ("cache", "failed", "webui")  # the job is done
    assert (a.volumes, a.networks) == (("a_webui-data",), ("a_default",))
    assert (b.project, b.services, b.volumes) == ("b", (), ("b_webui-data",))


def test_a_daemon_that_does_not_answer_keeps_nobody_knows_what(tmp_path: Path) -> None:
    assert look_at_daemon(ScriptedRunner({}), docker(tmp_path)).holdings is None
    assert look_at_daemon(ScriptedRunner({}), {"PATH": ""}).info == {}


def test_the_probe_of_a_card_pulls_nothing() -> None:
    runner = ScriptedRunner(
        {
            "image ls": "stranger:1\n<none>:<none>\nlocalhost/deployctl/base:abc\nours/engine:1\n",
            "run": "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n",
        }
    )
    found = probe_card(runner, "docker", {"Runtimes": {"nvidia": {}}}, ["ours/engine:1"])
    assert found is not None
    assert (found.ok, found.image) == (True, "localhost/deployctl/base:abc")
    (run,) = (command.argv for command in runner.commands if "run" in command.argv)
    assert {"--rm", "--gpus", "never"} <= set(run)


def test_the_probe_of_a_card_that_fails_shows_why() -> None:
    runner = ScriptedRunner({"image ls": "ours:1\n", "run": (125, "", "could not select driver")})
    found = probe_card(runner, "docker", {}, ["ours:1"])
    assert found is not None
    assert (found.ok, found.said) == (False, ("could not select driver",))


def test_without_an_image_of_ours_no_container_is_run() -> None:
    runner = ScriptedRunner({"image ls": "stranger:1\n"})
    assert probe_card(runner, "docker", {}, ["ours:1"]) is None


# ── the outside ───────────────────────────────────────────────────────────────────────────────


def test_a_clock_is_compared_with_the_nearest_of_those_that_answered() -> None:
    clocks = Clocks(lambda: NOW)
    clocks.compare({"Date": "Sun, 22 Nov 2026 09:50:00 GMT"})
    assert clocks.ahead_s == 600
    clocks.compare({"Date": "Sun, 22 Nov 2026 09:50:00 GMT", "Age": "590"})
    assert clocks.ahead_s == 10
    clocks.compare({"Date": "yesterday"})
    clocks.compare({})
    assert clocks.ahead_s == 10


class _Asked(BaseHTTPRequestHandler):
    """Notes who the one that asks says they are."""

    saw: ClassVar[list[str | None]] = []

    def do_HEAD(self) -> None:
        self.saw.append(self.headers.get("Authorization"))
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # theirs
        pass


def test_a_password_of_netrc_is_sent_to_nobody_who_is_only_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write(tmp_path / "netrc", "default login ada password planted\n", mode=0o600)
    monkeypatch.setenv("NETRC", str(kept))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    clocks = Clocks(lambda: NOW)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert clocks.ask(f"http://127.0.0.1:{server.server_port}/", 10.0, {}) is None
        server.shutdown()
    assert _Asked.saw == [None]
    assert clocks.ahead_s is not None


def test_apt_is_asked_as_apt_would(tmp_path: Path) -> None:
    write(
        tmp_path / "etc/apt/sources.list",
        "deb http://a.example/debian trixie main\ndeb http://b.example/x ./\n"
        "deb file:///mnt trixie main\n",
    )
    runner = ScriptedRunner({"apt-config": 'Acquire::http::Proxy "http://p.example:3142";\n'})
    asked: dict[str, Mapping[str, str]] = {}

    def ask(url: str, _timeout_s: float, proxies: Mapping[str, str]) -> str | None:
        asked[url] = proxies
        return None if "a.example" in url else "no answer"

    found = ask_apt(runner, tmp_path, Clocks(lambda: NOW), ask=ask)
    assert (found.asked, found.answering) == (2, 1)
    assert "http://a.example/debian/dists/trixie/InRelease" in asked
    assert {"http_proxy": "http://p.example:3142"} in asked.values()


def test_pip_is_asked_by_pip_itself() -> None:
    assert ask_pip(ScriptedRunner({"index versions": "pip (26.0)"})).answering == 1
    silent = ask_pip(ScriptedRunner({"index versions": (1, "", "No matching distribution")}))
    assert (silent.asked, silent.answering) == (1, 0)
    assert ask_pip(ScriptedRunner({"pip": (1, "", "No module named pip")})).asked == 0
    assert ask_pip(ScriptedRunner({})).asked == 0


def test_proxies_are_told_without_their_passwords(tmp_path: Path) -> None:
    config = {"proxies": {"default": {"httpProxy": "http://u:secret@c:1", "noProxy": "x"}}}
    write(tmp_path / "home/ada/.docker/config.json", json.dumps(config))
    found = look_at_proxies(
        {"HOME": "/home/ada", "HTTPS_PROXY": "http://u:secret@p:1"},
        {"HttpProxy": "http://u:secret@d:1", "NoProxy": ""},
        tmp_path,
    )
    assert found.environment == {"https_proxy": "http://***@p:1"}
    assert found.daemon == {"http_proxy": "http://***@d:1"}
    assert found.client == {"http_proxy": "http://***@c:1", "no_proxy": "x"}
