"""What no linter checks: which modules of the tests import which, and what modules are called."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import resnet_deploy

TESTS = Path(__file__).parent
PACKAGE = Path(resnet_deploy.__file__).parent

_IN_A_STRING = re.compile(r"^\s*(?:from|import) (tests\.[\w.]+)", re.MULTILINE)


def imports(file: Path) -> Iterator[str]:
    """Yield the full names of what ``file`` imports, and of tests in its programs in strings."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _IN_A_STRING.findall(node.value)


def is_shared(name: str, file: Path) -> bool:
    """Whether ``file`` may import ``name``: the program ``tests/fuzz`` is of several modules."""
    own = {"fuzz"} & set(file.relative_to(TESTS).parts)
    return not {"support", "conftest", *own}.isdisjoint(name.split("."))


def test_test_modules_share_only_what_is_in_support() -> None:
    wrong = {
        f"{file.relative_to(TESTS)}: {name}"
        for file in TESTS.rglob("*.py")
        for name in imports(file)
        if name.startswith("tests.") and not is_shared(name, file)
    }
    assert not wrong


def test_imports_are_found_in_every_form(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    text = 'import {0}.a\nfrom {0}.b import c\nCODE = f"""{{file}}\nfrom {0}.d import e"""\n'
    file.write_text(text.format("tests"))
    assert set(imports(file)) == {"tests.a", "tests.b.c", "tests.d"}


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    files = [file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py")]
    modules = [file for file in files if "templates" not in file.parts]
    names = {file: file.parent.name if file.stem == "__init__" else file.stem for file in modules}
    assert not [str(file) for file in modules if names[file] in sys.stdlib_module_names]
