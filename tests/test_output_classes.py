"""What predict, evaluate and quantize make of files with and without classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from resnet_deploy import api
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.arrays import array_dataset
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.evaluation import score
from resnet_deploy.prediction import classify
from resnet_deploy.spec import OutputKind
from tests.support.outputs import paths
from tests.support.terminal import printed


def picture(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    return folder / "noise.png"


def test_predictions_do_not_depend_on_the_output(
    output_exports: Path, tiny_export: Path, tmp_path: Path
) -> None:
    image = picture(tmp_path)
    for number in (0, 1):
        logits = (tiny_export / "resnet8.onnx", tiny_export / "resnet8.int8.onnx")[number]
        (right,) = classify(logits, [image], top_k=10)
        for name, listed in (("softmax", 10), ("top-3", 3)):
            (found,) = classify(paths(output_exports, name)[number], [image], top_k=10)
            assert [one.index for one in found.classes] == [
                one.index for one in right.classes[:listed]
            ]
            assert [one.probability for one in found.classes] == pytest.approx(
                [one.probability for one in right.classes[:listed]], rel=1e-4
            )


def test_evaluation_goes_as_far_as_k(output_exports: Path, tiny_export: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    data = array_dataset("noise", pixels, np.arange(20) % 10, tuple("abcdefghij"))
    logits = score(tiny_export / "resnet8.onnx", data)
    top = score(
        paths(output_exports, "top-3")[0], data, against=paths(output_exports, "softmax")[0]
    )
    assert top.predicted == logits.predicted
    assert top.confidences == pytest.approx(logits.confidences, abs=1e-5)
    near = [rank if rank < 3 else None for rank in logits.ranks]
    assert [rank if rank < 3 else None for rank in top.ranks] == near
    assert (top.listed, top.top5) == (3, None)
    assert top.against is not None
    assert top.against.top5 == logits.top5
    assert top.against.agreement == 1.0
    note = "top-3.onnx names 3 classes per image: its top-5 is not known"
    assert note in printed(top)


@pytest.mark.parametrize("name", ["embedding", "features"])
def test_features_have_no_classes(output_exports: Path, name: str, tmp_path: Path) -> None:
    path = paths(output_exports, name)[0]
    with pytest.raises(UnsupportedGraphError, match=f"gives {name}, not classes"):
        classify(path, [picture(tmp_path)])
    data = array_dataset("x", np.zeros((1, 32, 32, 3), np.uint8), np.array([0]), ("a",))
    with pytest.raises(UnsupportedGraphError, match=f"gives {name}, not classes"):
        score(path, data)
    with pytest.raises(SpecError, match=r"compare classes, and .* gives"):
        api.deploy(path, tmp_path / "x.onnx", sensitivity=True)
    with pytest.raises(SpecError, match=r"compare classes, and .* gives"):
        api.deploy(path, tmp_path / "x.onnx", min_agreement=0.9)


def test_a_softmax_put_behind_our_file_is_seen(tiny_export: Path, tmp_path: Path) -> None:
    model = read_model(tiny_export / "resnet8.onnx")
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Softmax", ["raw"], ["logits"]))
    onnx.save(model, tmp_path / "softmax.onnx")
    assert load(tmp_path / "softmax.onnx").output_kind is OutputKind.SOFTMAX
