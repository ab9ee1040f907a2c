"""What a release is checked against and made of."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release.__main__ import main
from release.advisories import complaints, read_advisories
from release.archives import level, sha256
from release.sbom import as_json, bill_of_materials

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


@pytest.mark.skipif(sys.platform == "win32", reason="make dist is for Unix")
def test_archives_built_twice_are_equal(tmp_path: Path) -> None:
    main(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"resnet_deploy/py.typed", "resnet_deploy/cli/main.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "release", "bench"))]
    assert len(list(tmp_path.glob("*.cdx.json"))) == 1
