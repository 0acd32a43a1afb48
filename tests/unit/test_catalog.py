from pathlib import Path

import pytest

from deployctl.catalog import Catalog
from deployctl.errors import DeployctlError, ExitCode
from deployctl.profiles.document import NotFound, ProfileText
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from tests.profilefiles import ROOT


def found(result: ProfileText | NotFound) -> ProfileText:
    assert isinstance(result, ProfileText)
    return result


def own(folder: Path, name: str, text: str) -> None:
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / name).write_text(text)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog({"DEPLOYCTL_HOME": str(tmp_path)})


def test_a_checkout_has_its_data_beside_the_package() -> None:
    catalog = Catalog({})
    assert catalog.templates_dir == ROOT / "templates"
    assert catalog.images_dir == ROOT / "compose/images"
    assert catalog.template("compose.yaml.j2").startswith("#")
    assert {"smoke", "cpu-only"} <= set(catalog.profile_names())


def test_a_wheel_has_its_data_inside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages/deployctl"
    for folder in ("profiles/base", "templates", "images"):
        (package / "data" / folder).mkdir(parents=True)
    (package / "data/profiles/tiny.yaml").write_text("a: 1\n")
    # Somebody else's folder of the same name beside the package is none of ours.
    (tmp_path / "site-packages/profiles/base").mkdir(parents=True)
    catalog = Catalog({}, package=package)
    assert catalog.profile_names() == ("tiny",)
    assert found(catalog.read_profile("tiny")).file == "profiles/tiny.yaml"
    assert catalog.images_dir == package / "data/images"
    assert catalog.evals_dir == package / "data/evals"


def test_an_installation_without_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeployctlError) as caught:
        Catalog({}, package=tmp_path / "deployctl")
    assert caught.value.exit_code is ExitCode.BUG


def test_parts_to_extend_are_not_offered(catalog: Catalog) -> None:
    assert not [name for name in catalog.profile_names() if "base" in name]
    refused = catalog.read_profile("base/llama-cpp")
    assert isinstance(refused, NotFound)
    assert "names no model" in refused.message
    smoke = found(catalog.read_profile("smoke"))
    assert found(catalog.read_profile("base/llama-cpp", asker=smoke)).content


def test_an_operators_profile_stands_in_front(catalog: Catalog, tmp_path: Path) -> None:
    own(tmp_path, "smoke.yaml", "extends: smoke\nconcurrency: 3\n")
    own(tmp_path, "mine.yml", "extends: smoke\n")
    text = found(catalog.read_profile("smoke"))
    assert text.file == str(tmp_path / "profiles/smoke.yaml")
    assert text.shadows == "profiles/smoke.yaml"
    assert set(catalog.profile_names()) == {"mine", *catalog.shipped_names()}
    assert "mine" not in catalog.shipped_names()
    # Its own name after `extends:` is the shipped one; for everybody else it is the operator's.
    assert resolve(Selection(profile="smoke"), catalog.readers()).spec.concurrency == 3
    assert resolve(Selection(profile="mine"), catalog.readers()).spec.concurrency == 3


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"DEPLOYCTL_HOME": "/d", "XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/d/profiles"),
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/deployctl/profiles"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/deployctl/profiles"),
        ({"HOME": "/h"}, "/h/.config/deployctl/profiles"),
    ],
)
def test_where_the_operators_profiles_are(environment: dict[str, str], folder: str) -> None:
    assert Catalog(environment).operator_folder == Path(folder)


def test_a_path_is_read_as_typed_and_extends_its_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Catalog
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.yaml").write_text("extends: ../b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: smoke\nconcurrency: 7\n")
    monkeypatch.chdir(tmp_path)
    profile = resolve(Selection(profile="sub/a.yaml"), catalog.readers())
    assert (profile.name, profile.file) == ("sub/a.yaml", "sub/a.yaml")
    assert profile.spec.concurrency == 7
    assert profile.origins["concurrency"].file == str(tmp_path / "sub/../b.yaml")


def test_a_circle_is_seen_through_other_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Catalog
) -> None:
    (tmp_path / "a.yaml").write_text("extends: ./x/../a.yaml\n")
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeployctlError) as caught:
        resolve(Selection(profile="./a.yaml"), catalog.readers())
    assert [fault.code for fault in caught.value.faults] == ["profile-cycle"]


def test_home_is_understood_in_a_path(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("extends: smoke\n")
    catalog = Catalog({"HOME": str(tmp_path)})
    assert found(catalog.read_profile("~/p.yaml")).file == "~/p.yaml"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("smok", "There is no profile `smok`."),
        ("", "is not the name of a profile"),
        ("..", "is not the name of a profile"),
        ("a b", "is not the name of a profile"),
        ("base/../smoke", "is not the name of a profile"),
        ("x\ny", "`x\\ny` is not the name of a profile"),
        ("./nothing.yaml", "No such file or directory"),
        ("/", "Is a directory"),
        ("a\0b.yaml", "it is not a file name"),
        ("x" * 5000 + ".yaml", "File name too long"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_not_found_is_said(catalog: Catalog, name: str, part: str) -> None:
    refused = catalog.read_profile(name)
    assert isinstance(refused, NotFound)
    assert part in refused.message
    assert refused.message.isprintable()


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "big.yaml").write_bytes(b"#" * (1 << 20))
    assert len(found(catalog.read_profile(str(tmp_path / "big.yaml"))).content) == 64 * 1024 + 1
