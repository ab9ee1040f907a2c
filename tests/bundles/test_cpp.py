from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleTarget


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cpp") / "bundle"


@pytest.fixture(scope="module")
def report(tiny_export: Path, folder: Path) -> BundleReport:
    return pack(tiny_export / "resnet8.onnx", BundleTarget.CPP, folder)


def test_the_readme_fits_a_page_and_has_the_commands(report, folder):
    text = (folder / "README.md").read_text()
    assert len(report.commands) == 3
    assert "\n".join(report.commands) in text
    assert len(text.splitlines()) <= 90


def test_files_lie_where_cmake_looks(report, folder):
    cmake = (folder / "CMakeLists.txt").read_text()
    assert "src/resnet_classifier.cpp" in cmake
    assert {"classify.cpp", "resnet_classifier.cpp", "selftest.cpp"} == {
        file.name for file in (folder / "src").iterdir()
    }


def test_same_input_same_bytes(report, folder, tiny_export, tmp_path):
    pack(tiny_export / "resnet8.onnx", BundleTarget.CPP, tmp_path / "again")
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / file.relative_to(folder)).read_bytes() == file.read_bytes()
