"""What is imported is declared, and every list of it says the same."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from resnet_deploy.dependencies import INSTALL, MAKING
from tests.support.requirements import ROOT, RUNTIME, lines_of, name_of, normalised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = ROOT / "resnet_deploy"
DISTRIBUTIONS = {"google": ["protobuf"], "PIL": ["pillow"], "tomli": ["tomli"]}
"""Module -> distribution, where the installed metadata does not tell the one that is meant."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {"cluster", "data", "openvino", "train"}
"""The extras that a part of the package imports from."""


def imported() -> dict[str, Path]:
    """Return every third-party module that the package imports, and one file that does."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                found[name.partition(".")[0]] = path
    known = {*sys.stdlib_module_names, PACKAGE.name}
    return {name: path for name, path in found.items() if name not in known}


def test_every_import_is_of_a_declared_dependency():
    declared = {name_of(need) for need in PROJECT["dependencies"]}
    for extra in OPTIONAL:
        declared |= {name_of(need) for need in PROJECT["optional-dependencies"][extra]}
    installed = packages_distributions()
    for module, path in imported().items():
        names = DISTRIBUTIONS.get(module) or installed.get(module, [module])
        assert declared & {normalised(name) for name in names}, f"{path} imports {module}"


def test_every_declared_dependency_is_imported():
    installed = packages_distributions()
    used = {
        normalised(name)
        for module in imported()
        for name in DISTRIBUTIONS.get(module) or installed.get(module, [module])
    }
    # PyTorch's exporter imports onnxscript; onnxsim runs in a process of its own.
    assert {name_of(need) for need in PROJECT["dependencies"]} - used <= {"onnxscript", "onnxsim"}


def test_a_host_that_makes_no_networks_needs_the_rest():
    making = [need for need in PROJECT["dependencies"] if name_of(need) in MAKING]
    assert [name_of(need) for need in making] == list(MAKING)
    assert lines_of(RUNTIME) == [need for need in PROJECT["dependencies"] if need not in making]


def test_the_install_command_names_what_such_a_host_lacks():
    assert INSTALL.split() == ["pip", "install", *MAKING]


def test_the_constraints_name_dependencies():
    declared = {name_of(need) for need in PROJECT["dependencies"]}
    for extra in ("cluster", "dev", "docs", "openvino", "timm"):
        declared |= {name_of(need) for need in PROJECT["optional-dependencies"][extra]}
    pins = lines_of(ROOT / "constraints.txt")
    assert {name_of(pin) for pin in pins} <= declared
    assert set(MAKING) <= {name_of(pin) for pin in pins}


def test_the_licence_is_the_one_that_the_metadata_names():
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    for section in range(1, 10):
        assert f"\n   {section}. " in text
