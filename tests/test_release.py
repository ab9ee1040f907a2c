"""What a release is checked against and made of."""

from __future__ import annotations

import configparser
import io
import re
import sys
import tarfile
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet
from trove_classifiers import classifiers

from release.__main__ import main
from release.advisories import complaints, read_advisories
from release.archives import check_metadata, level, sha256
from release.sbom import as_json, bill_of_materials

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[1]
TIME = 1_700_000_000


def advisory(package: str, affected: str) -> dict[str, str]:
    return {"package": package, "id": "CVE-0", "affected": affected, "what": "it breaks"}


def test_no_dependency_has_a_known_fault() -> None:
    assert complaints() == []
    assert len(read_advisories()) > 15


def test_a_fault_of_a_pinned_or_of_the_lowest_release_is_told() -> None:
    assert complaints([advisory("torch", "==2.13.0")]) == [
        "constraints.txt: torch 2.13.0 has CVE-0 (it breaks): it affects ==2.13.0"
    ]
    assert complaints([advisory("Jinja2", "<3.1.7")]) == [
        "pyproject.toml: jinja2 3.1.6 has CVE-0 (it breaks): it affects <3.1.7"
    ]
    assert complaints([{**advisory("torch", "<99"), "unreached": "for a reason"}]) == []


def test_who_packed_an_sdist_does_not_show(tmp_path: Path) -> None:
    for name, order, when in (("a", ("x", "y"), 5), ("b", ("y", "x"), 9)):
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
            for member in order:
                entry = tarfile.TarInfo(member)
                entry.size, entry.mtime, entry.uname, entry.uid = 1, when, name, when
                archive.addfile(entry, io.BytesIO(b"1"))
        level(tmp_path / f"{name}.tar.gz", TIME)
    assert sha256(tmp_path / "a.tar.gz") == sha256(tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.getnames() == ["x", "y"]


def test_the_bill_names_what_comes_along(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(b"wheel")
    bill = bill_of_materials([wheel], TIME)
    assert (bill["specVersion"], bill["metadata"]["timestamp"]) == (
        "1.6",
        "2023-11-14T22:13:20+00:00",
    )
    own = bill["metadata"]["component"]
    assert own["externalReferences"][0]["hashes"][0]["content"] == sha256(wheel)
    parts = {part["name"]: part for part in bill["components"]}
    assert {"torch", "onnx", "numpy", "pillow", "resnet20-cifar10"} <= set(parts)
    assert "pytest" not in parts
    assert parts["onnx"]["purl"].startswith("pkg:pypi/onnx@")
    refs = {own["bom-ref"], *(part["bom-ref"] for part in bill["components"])}
    for link in bill["dependencies"]:
        assert {link["ref"], *link["dependsOn"]} <= refs
    assert as_json(bill) == as_json(bill_of_materials([wheel], TIME))


def test_an_archive_that_an_index_would_show_wrongly_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "some-1-py3-none-any.whl"
    metadata = "Metadata-Version: 2.4\nName: some\nVersion: 1\n"
    for description in ("", "Description-Content-Type: text/markdown\n\n# Some\n"):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("some-1.dist-info/METADATA", metadata + description)
        if description:
            check_metadata([wheel])
        else:
            with pytest.raises(SystemExit, match="`long_description` missing"):
                check_metadata([wheel])


@pytest.mark.skipif(sys.platform == "win32", reason="make dist is for Unix")
def test_archives_built_twice_are_equal_and_say_what_they_are(tmp_path: Path) -> None:
    main(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        read = {
            name: archive.read(f"{wheel.name.rsplit('-', 3)[0]}.dist-info/{name}").decode()
            for name in ("METADATA", "entry_points.txt")
        }
    assert {"resnet_deploy/py.typed", "resnet_deploy/cli/main.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "release", "bench"))]
    assert len(list(tmp_path.glob("*.cdx.json"))) == 1
    said = Metadata.from_email(read["METADATA"], validate=True)
    assert (said.license_expression, said.description_content_type) == (
        "Apache-2.0",
        "text/markdown",
    )
    assert said.description == (PROJECT / "README.md").read_text(encoding="utf-8")
    points = configparser.ConfigParser()
    points.read_string(read["entry_points.txt"])
    assert dict(points["console_scripts"]) == {"resnet-deploy": "resnet_deploy.__main__:main"}
    point = EntryPoint(
        "resnet-deploy", points["console_scripts"]["resnet-deploy"], "console_scripts"
    )
    assert callable(point.load())


def test_the_metadata_lets_people_find_the_package() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = project["classifiers"]
    assert set(stated) <= classifiers
    assert "Typing :: Typed" in stated
    assert len(project["keywords"]) == len(set(project["keywords"])) > 5
    assert all(url.startswith("https://") for url in project["urls"].values())
    # Each Python that is claimed is one that is let in, and the lowest is among them.
    numbers = [each.rpartition(" ")[2] for each in stated if re.search(r":: 3\.\d+$", each)]
    lets_in = SpecifierSet(project["requires-python"])
    assert all(number in lets_in for number in numbers)
    assert project["requires-python"] == f">={numbers[0]}"
