import errno
import json
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.atomic import usable
from deployctl.errors import DeployctlError
from deployctl.folders import home_folder
from deployctl.log import Log
from deployctl.model import Bundle, BundleFile
from deployctl.secret import Secret
from deployctl.workspace import Manifest, Workspace

BUNDLE = Bundle(files=(BundleFile(name="compose.yaml", text="services: {}\n"),), digest="d")

MANIFEST = Manifest(
    profile="smoke",
    automatic=True,
    model="m",
    served_name="s",
    fingerprint="f",
    webui_port=1,
    engine_port=2,
    images={"engine": "i"},
    hashes={"engine": "h"},
    data_owned=True,
)


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file grow: every write fails in the kernel, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_own_then_xdg_then_default() -> None:
    assert home_folder({"DEPLOYCTL_HOME": "/a", "HOME": "/h"}) == Path("/a")
    assert home_folder({"XDG_DATA_HOME": "/x", "HOME": "/h"}) == Path("/x/deployctl")
    assert home_folder({"HOME": "/h"}) == Path("/h/.local/share/deployctl")


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    first = space.make_secrets()
    assert space.make_secrets() == first
    assert Workspace(tmp_path, "s").secrets() == first
    assert len({first.engine_key, first.webui_secret, first.admin_password}) == 3
    assert mode(space.folder / "secrets.json") == 0o600
    assert mode(space.folder) == 0o700


ENV = (
    ("DEPLOYCTL_ENGINE_KEY", "k3y"),
    ("DEPLOYCTL_WEBUI_SECRET", "s3cret"),
    ("DEPLOYCTL_ADMIN_PASSWORD", "it's a \\ $5"),
)


@pytest.mark.parametrize(
    ("damaged", "says", "line"),
    [
        (b"", "line 1, column 1: Expecting value", ":1"),
        (b'{\n "engine_key": "a",\n "webui_secret" "b"\n}', "line 3, column 17: Expecting", ":3"),
        (b'{"engine_key": "a",\n "webui_secret": "\xff"}', "line 2: this is not text in", ":2"),
        (b"[]", "line 1: this is no JSON object", ":1"),
        (b'{"engine_key": "a", "webui_secret": 7}', '"webui_secret" is missing, or is no', ""),
    ],
)
def test_damaged_secrets_are_said_not_replaced(
    tmp_path: Path, damaged: bytes, says: str, line: str
) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    space.secrets_file.write_bytes(damaged)
    with pytest.raises(DeployctlError, match="cannot be read") as refused:
        space.secrets("deployctl up --profile p --stack s")
    (fault,) = refused.value.faults
    assert fault.code == "secrets-damaged"
    assert says in fault.message
    assert fault.where == f"{space.secrets_file}{line}"
    assert fault.hint.endswith("  # mend it there, then: deployctl up --profile p --stack s")
    assert space.put_secrets_back() is None
    assert space.secrets_file.read_bytes() == damaged


def test_damaged_secrets_are_put_back_from_what_the_stack_was_given(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.write(BUNDLE, ENV)
    assert space.put_secrets_back() is None
    assert not space.has_secrets
    space.secrets_file.write_text('{"engine_key": "k3y",}')
    space.secrets_file.chmod(0o644)
    with pytest.raises(DeployctlError) as refused:
        space.secrets("deployctl up --profile p --stack s")
    assert refused.value.faults[0].hint.startswith("deployctl up --profile p --stack s  # puts ")
    mended = space.put_secrets_back()
    assert mended is not None
    wrong, aside = mended
    assert wrong.startswith("line 1, column ")
    found = space.secrets()
    values = (found.engine_key, found.webui_secret, found.admin_password)
    assert values == tuple(Secret(value) for _, value in ENV)
    assert aside.read_text() == '{"engine_key": "k3y",}'
    assert (mode(space.secrets_file), mode(aside)) == (0o600, 0o600)
    assert space.put_secrets_back() is None


def test_the_log_masks_secrets_whose_file_is_damaged(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.write(BUNDLE, ENV)
    space.secrets_file.write_text("{")
    space.open_log()("key=k3y")
    assert space.log_file.read_text() == "key=***\n"


def test_reading_secrets_never_makes_any(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    with pytest.raises(DeployctlError) as refused:
        space.secrets()
    (fault,) = refused.value.faults
    assert fault.code == "secrets-lost"
    assert fault.hint.startswith("deployctl up --stack s2  # under another name; or put secrets.")
    assert not space.has_secrets


def test_write_leaves_the_override_alone(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    (space.folder / "compose.override.yaml").write_text("mine")
    space.write(BUNDLE, (("A", "it's $5"),))
    assert (space.folder / ".env").read_text() == "A='it\\'s $5'\n"
    assert mode(space.folder / ".env") == 0o600
    space.forget()
    assert sorted(p.name for p in space.folder.iterdir()) == ["compose.override.yaml"]


def test_fingerprint_sees_bundle_variables_and_override(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    plain = space.fingerprint(BUNDLE, (("A", "1"),))
    assert space.fingerprint(BUNDLE, (("A", "2"),)) != plain
    (space.folder / "compose.override.yaml").write_text("services: {}")
    assert space.fingerprint(BUNDLE, (("A", "1"),)) != plain


def test_the_second_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with (
        Workspace(tmp_path, "s").lock("up"),
        pytest.raises(DeployctlError) as refused,
        Workspace(tmp_path, "s").lock("down"),
    ):
        pass
    assert refused.value.faults[0].code == "stack-locked"
    assert "`deployctl up` (pid " in refused.value.faults[0].message
    with Workspace(tmp_path, "s").lock("down"):
        pass


def test_manifest_comes_back_or_is_none(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    assert space.manifest() is None
    space.ensure()
    manifest = replace(MANIFEST, data_owned=False)
    space.save_manifest(manifest)
    assert space.manifest() == manifest
    (space.folder / "manifest.json").write_text('{"from": "the future"}')
    assert space.manifest() is None


def test_a_manifest_of_an_older_deployctl_is_read_and_knows_of_nothing_applied(
    tmp_path: Path,
) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    space.save_manifest(replace(MANIFEST, standing="applied", compose="x", override={"": "y"}))
    path = space.folder / "manifest.json"
    data = json.loads(path.read_text())
    for name in ("standing", "compose", "weights", "variables", "override"):
        del data[name]
    path.write_text(json.dumps(data))
    assert space.manifest() == MANIFEST
    assert (MANIFEST.standing, MANIFEST.compose) == ("unknown", None)


def test_an_unwritable_home_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployctlError) as refused:
        Workspace(tmp_path / "file", "s").ensure()
    assert refused.value.faults[0].code == "workspace-unwritable"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "df -h {}"),
        (errno.EROFS, "findmnt --target {}  # make it writable, then the same command again"),
        (errno.EACCES, "ls -ld {}  # make it yours, then the same command again; for new "),
    ],
)
def test_what_the_system_has_against_a_file_is_to_be_looked_at(
    tmp_path: Path, number: int, hint: str
) -> None:
    with pytest.raises(DeployctlError) as refused, usable(tmp_path / "no" / "such" / "file"):
        raise OSError(number, "why")
    assert refused.value.faults[0].hint.startswith(hint.format(tmp_path))


def test_the_log_masks_secrets(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(path, lambda: (Secret("hush"),))("key=hush")
    assert path.read_text() == "key=***\n"
    assert mode(path) == 0o600


def test_the_log_masks_secrets_that_are_made_after_it_was_opened(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    log = space.open_log()
    log("before there is a folder")
    key = Workspace(tmp_path, "s").make_secrets().engine_key.reveal()
    log(f"started with {key}")
    assert space.log_file.read_text() == "started with ***\n"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("index https://me:p%40ss@host/simple ok", "index https://***@host/simple ok"),
        ("--proxy=http://tok@en@host:1", "--proxy=http://***@host:1"),
        ("https://host/a@b http://h", "https://host/a@b http://h"),
        ("debian@sha256:0f", "debian@sha256:0f"),
    ],
)
def test_the_log_masks_who_signs_in_to_an_address(tmp_path: Path, line: str, kept: str) -> None:
    path = tmp_path / "log"
    Log(path)(line)
    assert path.read_text() == f"{kept}\n"


def test_a_full_disk_does_not_stop_the_log() -> None:
    Log(Path("/dev/full"))("a line")


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    for write in (
        space.make_secrets,
        lambda: space.save_manifest(MANIFEST),
        lambda: space.write(BUNDLE, ()),
        lambda: space.write_credentials("sheet"),
    ):
        with pytest.raises(DeployctlError) as refused, no_room():
            write()
        (fault,) = refused.value.faults
        assert fault.code == "workspace-unwritable"
        assert fault.where is not None
        assert fault.where.startswith(str(space.folder))
        assert list(space.folder.iterdir()) == []


def test_a_full_disk_does_not_stop_who_frees_it(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    with no_room(), space.lock("down"):
        pass


def test_state_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    space = Workspace(tmp_path, "s")
    space.ensure()
    for name in ("lock", "manifest.json", "secrets.json"):
        (space.folder / name).mkdir()  # not even root reads a folder as a file
    for read in (space.secrets, space.manifest, lambda: space.lock("up").__enter__()):
        with pytest.raises(DeployctlError) as refused:
            read()
        assert refused.value.faults[0].code == "workspace-unwritable"
    space.open_log()("works all the same")
