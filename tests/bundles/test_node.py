from __future__ import annotations

import json
from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleTarget


@pytest.fixture(scope="module")
def bundle(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node") / "bundle"
    report = pack(tiny_export / "resnet8.onnx", BundleTarget.NODE, folder)
    assert report.commands == ("npm ci", "npm test")
    return folder


def test_the_package_names_one_release(bundle):
    package = json.loads((bundle / "package.json").read_text())
    (version,) = package["dependencies"].values()
    assert version[0].isdigit()
    assert set(package["dependencies"]) == {"onnxruntime-node"}
    tested = json.loads((bundle / "manifest.json").read_text())["runtimes"][0]["made_with"]
    assert [int(part) for part in version.split(".")] <= [
        int(part) for part in tested.split(".")[:3]
    ]


def test_nothing_is_fetched_by_an_install_script(bundle):
    settings = (bundle / ".npmrc").read_text().splitlines()
    assert {"ignore-scripts=true", "omit-lockfile-registry-resolved=true"} <= set(settings)
    package, lock = (
        json.loads((bundle / name).read_text()) for name in ("package.json", "package-lock.json")
    )
    assert lock["packages"][""]["dependencies"] == package["dependencies"]


def test_the_readme_fits_a_page(bundle):
    lines = (bundle / "README.md").read_text().splitlines()
    assert len(lines) <= 105
    assert "npm ci\nnpm test\n" in "\n".join(lines) + "\n"


def test_every_module_that_is_imported_is_there(bundle):
    for module in bundle.rglob("*.m?s"):
        for line in module.read_text().splitlines():
            _, found, path = line.partition(" from './")
            if found:
                assert (module.parent / path.split("'")[0]).is_file(), line


def test_same_input_same_bytes(bundle, tiny_export, tmp_path):
    pack(tiny_export / "resnet8.onnx", BundleTarget.NODE, tmp_path / "again")
    for file in (path for path in bundle.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / file.relative_to(bundle)).read_bytes() == file.read_bytes()
