"""What a file needs; the figures are what released packages load, from 1.15.1 to 1.31.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.errors import SpecError
from resnet_deploy.graph.releases import min_onnxruntime, newest_opset, release_numbers
from resnet_deploy.rewrites.opset import MAX_OPSET, MIN_OPSET, choose_opset, set_opset
from tests.support.graphs import noise, parse

FLOATS = "g (float[N,3,4,4] x) => (float[N,3,4,4] y) { z = Min(x, w) y = Max(z, w) }"
BYTES = FLOATS.replace("float", "uint8")


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [
        (13, 7, "1.7"),
        (17, 8, "1.12"),
        (18, 8, "1.14"),
        (19, 8, "1.15"),
        (19, 9, "1.15"),
        (20, 9, "1.17"),
        (17, 10, "1.18"),
        (22, 10, "1.21"),
        (23, 11, "1.23"),
        (25, 13, "1.24"),
        (99, 99, "1.25"),
    ],
)
def test_operator_set_and_ir_version(opset: int, ir_version: int, release: str) -> None:
    model = parse(FLOATS, {"w": noise(3, 1, 1)})
    model.opset_import[0].version, model.ir_version = opset, ir_version
    assert min_onnxruntime(model) == release


def test_min_and_max_of_bytes_came_late() -> None:
    model = parse(BYTES, {"w": np.zeros((3, 1, 1), np.uint8)})
    assert min_onnxruntime(model) == "1.24"


def test_the_opset_of_every_release() -> None:
    """ONNX Runtime's documentation, "ONNX opset support"; from 1.24 on what the releases load."""
    opsets = [13, 14, 15, 15, 16, 17, 17, 18, 19, 19, 20, 21, 21, 21, 22, 22, 23, 25, 26, 26, 26]
    assert [newest_opset(f"1.{minor}") for minor in range(7, 28)] == opsets
    assert newest_opset("1.16.3") == 19


def test_the_first_release_of_every_opset_and_ir_version() -> None:
    firsts = [
        ("1.7", 13, 7),
        ("1.8", 14, 7),
        ("1.9", 15, 8),
        ("1.11", 16, 8),
        ("1.12", 17, 8),
        ("1.14", 18, 8),
        ("1.15", 19, 9),
        ("1.17", 20, 9),
        ("1.18", 21, 10),
        ("1.21", 22, 10),
        ("1.23", 23, 11),
        ("1.24", 25, 13),
        ("1.25", 26, 13),
    ]
    model = parse(FLOATS, {"w": noise(3, 1, 1)})
    for release, opset, ir_version in firsts:
        model.opset_import[0].version, model.ir_version = opset, ir_version
        assert min_onnxruntime(model) == release


@pytest.mark.parametrize("release", ["1.6", "2.7", "1.x", "1.", "new", ""])
def test_what_is_no_known_release(release: str) -> None:
    with pytest.raises(SpecError, match=r"name a version from 1\.7 on"):
        newest_opset(release)


def test_the_two_questions_have_one_answer() -> None:
    for minor in range(7, 32):
        opset = choose_opset(MAX_OPSET, f"1.{minor}")
        assert MIN_OPSET <= opset <= MAX_OPSET
        model = set_opset(parse(FLOATS, {"w": noise(3, 1, 1)}), opset)
        assert release_numbers(min_onnxruntime(model)) <= (1, minor)
    assert choose_opset(MAX_OPSET, "1.25") == MAX_OPSET


def test_releases_are_compared_as_numbers() -> None:
    assert release_numbers("1.9") < release_numbers("1.12.1") == release_numbers("1.12")


def test_exported_files_say_so(tiny_export: Path) -> None:
    for name in ("resnet8.onnx", "resnet8.int8.onnx"):
        assert min_onnxruntime(read_model(tiny_export / name)) == "1.12"
