"""The comparison itself must be able to fail."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ArtifactError, RunnerError
from resnet_deploy.graph.layers import Layer
from resnet_deploy.reference import FileReference, default_reference, fp32_beside
from resnet_deploy.spec import FP32_TOLERANCE, InputContract, InputFormat, Tolerance
from resnet_deploy.verification import (
    compare,
    compare_layers,
    default_tolerance,
    verification_images,
)
from tests.support.graphs import noise

IMAGES = noise(8, 3, 32, 32)


class Shifted:
    """The right answer, off by a share of the largest logit."""

    def __init__(self, path: Path, share: float) -> None:
        self.name = "shifted"
        self._file = FileReference(path, runner="ort", threads=1)
        self.format = self._file.format
        self._share = share

    def outputs(self, images: Array) -> tuple[Array, ...]:
        (logits,) = self._file.outputs(images)
        return (logits + np.abs(logits).max() * np.float32(self._share),)

    def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
        return self._file.layer_values(images, layers)


def fp32(folder: Path) -> Path:
    return folder / "resnet8.onnx"


def int8(folder: Path) -> Path:
    return folder / "resnet8.int8.onnx"


def test_pytorch_and_onnx_runtime_agree(tiny_export: Path) -> None:
    for path in (fp32(tiny_export), int8(tiny_export)):
        reference = default_reference(load(path))
        assert "torch" in reference.name
        report = compare(path, reference, IMAGES, data="noise", meaningful=False, per_layer=True)
        assert report.passed
        assert {(case.optimization, case.batch_size) for case in report.cases} == {
            (optimization, size) for optimization in ("off", "all") for size in (1, 2, 5)
        }
        names = [layer.name for layer in report.layers]
        assert names[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]
        assert "layer3.0" in names
        assert report.first_drift is None


@pytest.mark.parametrize(("share", "passes"), [(0.5e-5, True), (2e-5, False)])
def test_just_under_and_just_over_the_tolerance(
    tiny_export: Path, share: float, passes: bool
) -> None:
    path = fp32(tiny_export)
    report = compare(path, Shifted(path, share), IMAGES, data="noise", meaningful=False)
    assert report.passed is passes


def test_nothing_to_compare(tiny_export: Path) -> None:
    path = fp32(tiny_export)
    with pytest.raises(RunnerError, match="nothing to compare"):
        compare(path, Shifted(path, 0), IMAGES[:0], data="none", meaningful=False)


def test_a_broken_layer_is_named(tiny_export: Path, tmp_path: Path) -> None:
    for path in (fp32(tiny_export), int8(tiny_export)):
        shutil.copy(path, tmp_path)
    model = onnx.load(int8(tmp_path))
    for tensor in model.graph.initializer:
        if tensor.name == "layer2.0.conv1.weight.scale":
            broken = onnx.numpy_helper.to_array(tensor) * np.float32(3)
            tensor.CopyFrom(onnx.numpy_helper.from_array(broken, tensor.name))
    onnx.save(model, int8(tmp_path))

    reference = FileReference(fp32(tmp_path), runner="ort")
    report = compare(
        int8(tmp_path),
        reference,
        IMAGES,
        data="noise",
        meaningful=False,
        tolerance=Tolerance(min_sqnr_db=15),
        per_layer=True,
    )
    assert not report.passed
    assert report.first_drift == "layer2.0.conv1"


def test_nan_logits_fail(tiny_export: Path, tmp_path: Path) -> None:
    model = onnx.load(fp32(tiny_export))
    for tensor in model.graph.initializer:
        if tensor.name == "fc.bias":
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.full(10, np.nan, np.float32), tensor.name)
            )
    path = tmp_path / "nan.onnx"
    onnx.save(model, path)
    reference = FileReference(fp32(tiny_export), runner="ort")
    report = compare(path, reference, IMAGES, data="noise", meaningful=False)
    assert not report.passed


def test_no_layer_in_common(tiny_export: Path) -> None:
    class Strange(Shifted):
        def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
            return {}

    path = fp32(tiny_export)
    with pytest.raises(RunnerError, match="no layer in common"):
        compare_layers(load(path), Strange(path, 0), IMAGES[:2])


def test_an_int8_file_alone_has_no_reference(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copy(int8(tiny_export), tmp_path)
    with pytest.raises(ArtifactError, match="name it with --against"):
        fp32_beside(load(int8(tmp_path)))


def test_agreement_is_asked_of_enough_real_images_only(tiny_export: Path) -> None:
    artifact: Artifact = load(int8(tiny_export))
    assert default_tolerance(artifact, 100, meaningful=True).min_agreement == 0.9
    assert default_tolerance(artifact, 99, meaningful=True).min_agreement is None
    assert default_tolerance(artifact, 1000, meaningful=False).min_agreement is None
    assert default_tolerance(load(fp32(tiny_export)), 1, meaningful=False) == FP32_TOLERANCE


def test_many_images_get_a_case_of_their_own(tiny_export: Path) -> None:
    path = fp32(tiny_export)
    report = compare(path, Shifted(path, 0), noise(20, 3, 32, 32), data="noise", meaningful=False)
    assert [case.samples for case in report.cases] == [1, 2, 5, 1, 2, 5, 20]
    assert report.samples == 20


def test_the_file_is_not_changed_by_reading(tiny_export: Path) -> None:
    before = fp32(tiny_export).read_bytes()
    read_model(fp32(tiny_export))
    assert fp32(tiny_export).read_bytes() == before


@pytest.mark.parametrize(
    ("count", "calibrated", "seen"),
    [(150, 20, False), (150, 60, True), (90, 90, True), (150, 0, False)],
)
def test_images_that_set_ranges_are_left_out_while_enough_others_remain(
    tmp_path: Path, count: int, calibrated: int, seen: bool
) -> None:
    for index in range(count):
        Image.fromarray(np.full((4, 4, 3), index, np.uint8)).save(tmp_path / f"{index:03}.png")
    contract = InputContract(height=4, width=4, resize=(4, 4), format=InputFormat.UINT8_NHWC)
    found = verification_images(tmp_path, contract, calibrated=range(calibrated))
    assert found.calibrated is seen
    assert set(found.images[:, 0, 0, 0]).isdisjoint(range(calibrated)) is not seen
    assert len(found.images) == min(128, count if seen else count - calibrated)
