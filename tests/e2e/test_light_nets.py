"""Every verb on real nets of other tools: it works, or one line says what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import Result
from PIL import Image

from resnet_deploy.arrays import Array
from tests.support.cli import run
from tests.support.light_nets import drawn, names, narrowed

HEAVY = ("densenet121", "inception_v2", "resnet50", "vgg19")
"""To rebuild them in PyTorch takes many seconds."""

CPP = re.compile(r"Assertion|\.(cc|cpp|h):\d+|ONNXRuntimeError|terminate called|No Adapter")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, labelled as ImageNet's classes are."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for wordnet_id in ("n01440764", "n01443537"):
        (folder / wordnet_id).mkdir()
        coarse = random.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
        picture.save(folder / wordnet_id / "picture.png")
    return folder


def right(result: Result) -> Result:
    """A verdict or a refusal of one line, no traceback and nothing of C++."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert not CPP.search(result.output), result.output
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        errors = [line for line in result.stderr.splitlines() if "resnet-deploy: error: " in line]
        assert len(errors) == 1, result.stderr
        assert "--runner" not in errors[0]  # advice names only what every verb has
    return result


def worked(result: Result) -> Result:
    assert right(result).exit_code == 0, result.output
    return result


def runtime(model: onnx.ModelProto, array: Array) -> Array:
    """Return the first output of ``model`` as it is, on plain ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found: Array = session.run(None, {session.get_inputs()[0].name: array})[0]
    return found.reshape(len(array), -1)


def seen_and_mirrored(path: Path) -> tuple[Array, Array]:
    """The middle of a picture as ImageNet's nets take it: (1, 3, 224, 224)."""
    pixels = np.asarray(Image.open(path), np.float32)[16:240, 16:240] / 255
    normalised = ((pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).astype(np.float32)
    array = np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])
    return array, np.ascontiguousarray(array[..., ::-1])


@pytest.mark.parametrize("name", names())
def test_every_verb(name: str, pictures: Path, tmp_path: Path) -> None:
    # Of one weight everywhere, all answers are equal: what compares answers has to refuse.
    model = narrowed(name)
    path = tmp_path / f"{name}.onnx"
    onnx.save(model, path)
    picture = pictures / "n01440764" / "picture.png"
    worked(run("summary", path))
    told = json.loads(worked(run("predict", path, picture, "--json", "-q")).stdout)
    expected = runtime(model, np.zeros((1, 3, 224, 224), np.float32)).max()
    if model.graph.node[-1].op_type == "Softmax":
        top = told["predictions"][0]["classes"][0]["probability"]
        assert top == pytest.approx(float(expected), rel=1e-3)
    worked(run("evaluate", path, "--data", pictures, "--threads", 1))
    worked(run("bundle", path, "--target", "cpp", "-o", tmp_path / "app", "--pictures", 1))
    if name not in HEAVY:
        assert "the same for all" in right(run("verify", path, "--data", pictures)).output


@pytest.mark.parametrize("name", ["bvlc_alexnet", "squeezenet"])
def test_int8_computes_what_the_file_does(name: str, pictures: Path, tmp_path: Path) -> None:
    model = drawn(narrowed(name))
    path, int8 = tmp_path / f"{name}.onnx", tmp_path / "int8.onnx"
    onnx.save(model, path)
    options = ("--calibration", pictures, "--threads", 1, "--no-verify", "--no-calibration-cache")
    worked(run("quantize", path, "-o", int8, *options))
    inputs = [array for seen in pictures.rglob("*.png") for array in seen_and_mirrored(seen)]
    fp32 = np.concatenate([runtime(model, array) for array in inputs])
    quantized = np.concatenate([runtime(onnx.load(int8), array) for array in inputs])
    assert np.corrcoef(fp32.ravel(), quantized.ravel())[0, 1] > 0.99
