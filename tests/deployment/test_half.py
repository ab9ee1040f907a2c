"""``--precision fp16``: the file, its proof, and what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy import api
from resnet_deploy.artifact.model_file import parse_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.reference import default_reference


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of a deployment in float16; tests must not change it."""
    folder = tmp_path_factory.mktemp("half")
    result = api.deploy(api.load(depth=8), folder, precision="fp16", witness=False).check()
    assert set(result.files) == set(result.parity) == {"fp32", "fp16"}
    assert result.verdict is None
    assert any("ARM64" in notice for notice in result.notices)
    return folder


def test_the_file_is_half_as_large_says_what_it_is_and_takes_float32(made: Path) -> None:
    fp32, half = load(made / "resnet8.onnx"), load(made / "resnet8.fp16.onnx")
    assert (fp32.precision, half.precision) == ("fp32", "fp16")
    assert (half.input, half.outputs) == (fp32.input, fp32.outputs)
    assert half.path.stat().st_size < 0.6 * fp32.path.stat().st_size
    assert half.card is not None
    step = half.card.steps[-1]
    assert (step.name, step.options["layers"], step.options["kept_in_float32"]) == (
        "half_precision",
        8,
        {},
    )
    assert half.card.parity["fp16_sqnr_db"] > 50
    assert half.card.parity["fp16_relative"] < 1e-2


def test_it_is_verified_against_the_fp32_file_beside_it_and_may_fail(
    made: Path, tmp_path: Path
) -> None:
    assert "resnet8.onnx" in default_reference(load(made / "resnet8.fp16.onnx")).name
    assert api.verify(made / "resnet8.fp16.onnx").passed
    model = parse_model(made / "resnet8.fp16.onnx")
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4 and t.dims[0] == 64)
    values = onnx.numpy_helper.to_array(weight).copy()
    values *= np.float16(1.1)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "net.fp16.onnx")
    report = api.verify(tmp_path / "net.fp16.onnx", against=made / "resnet8.onnx")
    assert not report.passed


def test_a_file_becomes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    result = api.deploy(made / "resnet8.onnx", tmp_path, precision="fp16").check()
    assert list(result.files) == ["fp16"]
    again = api.deploy(made / "resnet8.onnx", tmp_path, precision="fp16").check()
    assert again.sha256 == result.sha256


@pytest.mark.parametrize(
    ("file", "words", "error", "message"),
    [
        ("fp16", {}, UnsupportedGraphError, "is fp16 already"),
        ("int8", {}, UnsupportedGraphError, "is int8 already"),
        ("", {"input": "uint8-nhwc"}, SpecError, "takes normalised floats, not uint8-nhwc"),
        ("", {"effort": "best"}, SpecError, "quantizes nothing: drop"),
        ("", {"min_agreement": 0.9}, SpecError, "quantizes nothing: drop"),
        ("", {"precision": "fp8"}, SpecError, "'fp8' is none of int8, fp16"),
    ],
)
def test_what_can_not_be_is_refused_in_a_line(
    file, words, error, message, made: Path, tiny_export: Path, tmp_path: Path
) -> None:
    folder = tiny_export if file == "int8" else made
    source = folder / f"resnet8{'.' * bool(file)}{file}.onnx"
    with pytest.raises(error, match=message) as caught:
        api.deploy(source, tmp_path, **{"precision": "fp16", **words})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
