from __future__ import annotations

import json

import pytest

from resnet_deploy.bundles.npm import npm_release, package_lock


@pytest.mark.parametrize(
    ("python", "npm"),
    [
        ("1.12.0", "1.20.0"),
        ("1.20.0", "1.20.0"),
        ("1.23.1", "1.23.0"),
        ("1.28.0", "1.27.0"),
        ("1.30.0", "1.30.0"),
        ("1.31.0.dev20260911001", "1.30.0"),
    ],
)
def test_npm_release(python, npm):
    assert npm_release(python) == npm


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
@pytest.mark.parametrize("release", ["1.20.1", "1.21.0", "1.24.3", "1.26.0", "1.30.0"])
def test_a_lockfile_is_whole_and_names_no_registry(package, release):
    """Every package that one needs is there, with a version and a hash; npm itself takes one."""
    root = {"name": "app", "scripts": {"postinstall": "x"}, "dependencies": {package: release}}
    text = package_lock(json.dumps(root).encode(), package, release).decode()
    assert "resolved" not in text
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert packages.pop("") == {
        "name": "app",
        "dependencies": {package: release},
        "hasInstallScript": True,
    }
    for entry in packages.values():
        assert entry["version"][0].isdigit()
        assert entry["integrity"].startswith("sha512-")
        assert {f"node_modules/{name}" for name in entry.get("dependencies", {})} <= set(packages)
    for name in (package, "onnxruntime-common"):
        assert packages[f"node_modules/{name}"]["version"] == release
    assert packages[f"node_modules/{package}"]["dependencies"]["onnxruntime-common"] == release
