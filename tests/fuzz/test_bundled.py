"""A short run over the C++ core and the JavaScript decoders, and what the engines must see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.bundled import JAVASCRIPT, SHARES
from tests.fuzz.engines import CppFuzzer, JavaScriptFuzzer
from tests.support import npm
from tests.support.native_toolchain import tool

INPUTS = 300


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> CppFuzzer:
    tool("g++", "g++")
    return CppFuzzer(tmp_path_factory.mktemp("fuzz"), compiler="g++", optimize="-O0")


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> JavaScriptFuzzer:
    return JavaScriptFuzzer(tmp_path_factory.mktemp("fuzz"), npm.find_node())


@pytest.mark.parametrize("surface", SHARES)
def test_nothing_is_found_in_cpp(cpp: CppFuzzer, surface: str) -> None:
    tally = cpp.run(surface, inputs=INPUTS, seconds=0, seed=0)
    assert tally.findings == []
    assert tally.inputs >= INPUTS


@pytest.mark.parametrize("surface", JAVASCRIPT)
def test_nothing_is_found_in_javascript(javascript: JavaScriptFuzzer, surface: str) -> None:
    tally = javascript.run(surface, inputs=INPUTS, seconds=0, seed=0)
    assert tally.findings == []
    assert tally.inputs >= INPUTS


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("read behind the end", "heap-buffer-overflow"),
        ("overflow of an int", "signed integer overflow"),
        ("memory of 3 GiB", "exceeds maximum"),
        ("time without end", "timeout"),
        ("exception of another type", "abort"),
        ("lines, two of them", "wrong: two"),
    ],
)
def test_the_program_is_ended_by(cpp: CppFuzzer, tmp_path: Path, fault: str, what: str) -> None:
    (tmp_path / "seed").write_text(fault)
    arguments = ("-runs=1", f"-artifact_prefix={tmp_path}/", str(tmp_path / "seed"))
    (found,) = cpp.read("faults", *arguments, timeout=1).findings
    assert what in found
    (kept,) = tmp_path.glob("crash-*")
    assert kept.read_text() == fault


def test_the_loop_sees_another_exception(javascript: JavaScriptFuzzer) -> None:
    """A thread of its own reads, and what it throws that is no ``ClassifierError`` is told."""
    tally = javascript.run("faults", inputs=1, seconds=0, seed=0)
    assert len(tally.findings) == 1
