"""What a file needs; the figures are what released packages load, from 1.15.1 to 1.31.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.artifact.onnx_file import read_model
from resnet_deploy.graph.releases import min_onnxruntime, release_numbers
from resnet_deploy.rewrites.opset import MAX_OPSET, MIN_OPSET, OPSET_OF_ORT, set_opset
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


def test_it_agrees_with_what_target_ort_writes() -> None:
    for minor, opset in OPSET_OF_ORT.items():
        model = set_opset(parse(FLOATS, {"w": noise(3, 1, 1)}), opset)
        assert release_numbers(min_onnxruntime(model)) <= (1, minor)
    assert (min(OPSET_OF_ORT.values()), max(OPSET_OF_ORT.values())) == (MIN_OPSET, MAX_OPSET)


def test_releases_are_compared_as_numbers() -> None:
    assert release_numbers("1.9") < release_numbers("1.12.1") == release_numbers("1.12")


def test_exported_files_say_so(tiny_export: Path) -> None:
    for name in ("resnet8.onnx", "resnet8.int8.onnx"):
        assert min_onnxruntime(read_model(tiny_export / name)) == "1.12"
