"""Runtimes that come along: what of the installed wheels, from where, and for whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.bundles import third_party
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.third_party import onnxruntime_library, shipped
from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.spec import BundleRuntime, BundleTarget

ORT = Runtime(kind=BundleRuntime.ORT, min_version="1.20", made_with="1.31")
OPENVINO = Runtime(kind=BundleRuntime.OPENVINO, min_version="2026.0", made_with="2026.4")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with headers, as an unpacked release has them."""
    folder = tmp_path / "release/include"
    folder.mkdir(parents=True)
    for name in ("onnxruntime_c_api.h", "onnxruntime_cxx_api.h"):
        (folder / name).write_text(f"// {name}\n")
    (folder / "notes.txt").write_text("no header")
    (tmp_path / "secret.h").write_text("not of the release")
    (folder / "leads_out.h").symlink_to(tmp_path / "secret.h")
    return tmp_path / "release"


def test_a_bundle_with_onnxruntime_lists_and_names_it(release, tiny_export, tmp_path):
    folder = tmp_path / "bundle"
    report = pack(
        tiny_export / "resnet8.onnx",
        BundleTarget.CPP,
        folder,
        with_runtime=True,
        runtime_headers=release,
    )
    root = folder / "third_party/onnxruntime"
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*")) == [
        "include/onnxruntime_c_api.h",
        "include/onnxruntime_cxx_api.h",
        "lib/libonnxruntime.so.1",
    ]
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    library = "third_party/onnxruntime/lib/libonnxruntime.so.1"
    assert listed[library] == sha256_of(folder / library) == sha256_of(onnxruntime_library())
    assert report.sizes[library] == onnxruntime_library().stat().st_size
    assert "MB of ONNX Runtime" in report.notes[0]
    assert report.commands[0] == "cmake -S . -B build"
    assert f"{root.relative_to(folder)}/ holds" in (folder / "THIRD_PARTY_LICENSES").read_text()

    # What is not asked for again goes.
    pack(tiny_export / "resnet8.onnx", BundleTarget.CPP, folder)
    assert not (folder / "third_party").exists()


def test_openvino_comes_without_what_a_cpu_does_not_need():
    (runtime,) = shipped([OPENVINO])
    libraries = [Path(name).name for name in runtime.copies if "/lib/" in name]
    names = {name.partition(".so")[0] for name in libraries}
    assert {"libopenvino", "libopenvino_onnx_frontend", "libtbb"} < names
    assert not any(word in name for name in names for word in ("gpu", "npu", "pytorch", "proxy"))
    assert "third_party/openvino/include/openvino/openvino.hpp" in runtime.copies
    assert 50e6 < runtime.library_bytes < 150e6
    config = runtime.files["third_party/openvino/cmake/OpenVINOConfig.cmake"].decode()
    assert f'"${{_root}}/lib/{libraries[0]}"' in config


@pytest.mark.parametrize("target", sorted(set(BundleTarget) - {BundleTarget.CPP}))
def test_other_targets_bring_their_own(target, tmp_path):
    with pytest.raises(SpecError, match=rf"not for {target.value}, whose runtime .*: leave it out"):
        pack(tmp_path / "no.onnx", target, tmp_path / "bundle", with_runtime=True)


def test_headers_that_are_none_are_refused(release, tmp_path):
    with pytest.raises(SpecError, match=r"holds no onnxruntime_c_api.h and .*: name the folder"):
        shipped([ORT], tmp_path)
    with pytest.raises(SpecError, match="which this bundle does not run on"):
        shipped([OPENVINO], release)
    with pytest.raises(SpecError, match="go with --with-runtime"):
        pack(tmp_path / "no.onnx", BundleTarget.CPP, tmp_path / "b", runtime_headers=release)
    with (release / "include/huge.h").open("wb") as stream:
        stream.truncate(10_000_000)
    with pytest.raises(SpecError, match="is not a folder of headers"):
        shipped([ORT], release)


def test_headers_that_can_not_be_fetched_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"apt-get is not .* with --runtime-headers"):
        shipped([ORT])


def test_a_wheel_without_the_library_is_named(release, tmp_path, monkeypatch):
    monkeypatch.setattr(third_party, "_package", lambda name: tmp_path)
    with pytest.raises(MissingDependencyError, match="on Linux with the wheel of ONNX Runtime"):
        shipped([ORT], release)
    with pytest.raises(MissingDependencyError, match="on Linux with the wheel of OpenVINO"):
        shipped([OPENVINO])
