"""``export --output`` as a user calls it, and what the other verbs say of such files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from tests.support.cli import refused, run

QUICK = ("--no-int8", "--no-simplify")


def test_top_k_from_export_to_prediction(tmp_path: Path) -> None:
    made = run("export", "--depth", 8, "--output", "top-3", "-o", tmp_path, *QUICK)
    assert made.exit_code == 0, made.output
    path = tmp_path / "resnet8.onnx"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "black.png")
    found = run("predict", path, tmp_path / "black.png", "--top-k", 5, "--json")
    assert len(json.loads(found.stdout)["predictions"][0]["classes"]) == 3
    assert "classes (N, 3) int64" in run("summary", path).output
    report = json.loads(run("verify", path, "--json").stdout)
    assert report["passed"] is True
    assert [one["name"] for one in report["cases"][0]["outputs"]] == ["probabilities"]
    assert report["cases"][0]["agreement"] == 1.0


def test_features_have_a_file_and_no_classes(tmp_path: Path) -> None:
    options = ("--output", "features", "--image-size", 33, "--output-stride", 16)
    made = run("export", "--depth", 18, "-o", tmp_path, *QUICK, *options)
    assert made.exit_code == 0, made.output
    path = tmp_path / "resnet18.onnx"
    assert [one.shape[1:] for one in load(path).outputs] == [
        (64, 9, 9),
        (128, 5, 5),
        (256, 3, 3),
        (512, 3, 3),
    ]
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "black.png")
    refused(run("predict", path, tmp_path / "black.png"), "gives features, not classes")
    refused(run("quantize", path, "--sensitivity"), "compare classes", "without them")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--output", "best"), ("no output 'best'", "top-5")),
        (("--output", "top-99"), ("resnet8 has 10 classes only",)),
        (("--output-stride", 16), ("not for resnet8", "drop it")),
        (("--output", "embedding", "--labels", "LABELS"), ("no classes to name",)),
    ],
)
def test_what_can_t_be_is_one_line(
    options: tuple[object, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join("abcdefghij"))
    given = [tmp_path / "labels.txt" if one == "LABELS" else one for one in options]
    refused(run("export", "--depth", 8, "-o", tmp_path / "out", *given), *words)
    assert not (tmp_path / "out").exists()
