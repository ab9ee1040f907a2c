from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import contract_of
from resnet_deploy.bundles.golden import Answer, answers, golden_cases, netpbm
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import UnsupportedGraphError


def test_netpbm_is_what_pillow_reads():
    rng = np.random.default_rng(0)
    for shape in [(5, 7, 3), (4, 9)]:
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(netpbm(image)))), image)


def test_cases_hold_the_exact_input(tiny_contract):
    cases = golden_cases(tiny_contract, None, 8, 0)
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    for case in cases:
        files = case.files()
        image = Image.open(io.BytesIO(files[case.image_file])).convert("RGB")
        assert (case.width, case.height) == image.size
        tensor = np.frombuffer(files[case.tensor_file], "<f4").reshape(case.tensor.shape)
        assert np.array_equal(tensor, prepare(image, tiny_contract.preprocess))


def test_real_images_follow_the_synthetic_ones(tiny_contract, tmp_path):
    for index in range(3):
        folder = tmp_path / "set" / "cat"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3000, 40), (index, 80, 80)).save(folder / f"{index}.png")
    cases = golden_cases(tiny_contract, open_dataset(tmp_path / "set"), 2, 0)
    assert [case.name for case in cases[-2:]] == ["real-00", "real-01"]
    assert cases[-1].width == 1024, "larger images are made smaller"


def test_inputs_of_gigabytes_are_not_kept_together(tiny_contract):
    wide = replace(tiny_contract.preprocess, height=4096, width=4096)
    with pytest.raises(UnsupportedGraphError, match="of 4096x4096 pixels take more than"):
        golden_cases(replace(tiny_contract, preprocess=wide), None, 1, 0)


def test_answers_are_those_of_one_image_alone(tiny_export):
    artifact = load(tiny_export / "resnet8.int8.onnx")
    cases = golden_cases(contract_of(artifact), None, 1, 0)
    found = answers(artifact, cases)
    assert len(found) == len(cases)
    for answer in found:
        assert answer.scores.shape == (10,)
        assert answer.top1 == int(answer.scores.argmax())
        assert np.array_equal(np.frombuffer(answer.to_bytes([1]), "<f4"), answer.scores)


def test_answers_of_a_top_k_net(output_exports):
    artifact = load(output_exports / "top-3.onnx")
    (first, *_) = answers(artifact, golden_cases(contract_of(artifact), None, 1, 0))
    assert first.scores.shape == (3,)
    assert first.top1 in range(10)


@pytest.mark.parametrize(("scores", "margin"), [([1, 5, 3], 2.0), ([4], float("inf"))])
def test_margin(scores, margin):
    answer = Answer(outputs=(np.array(scores, dtype=np.float32),), top1=1)
    assert answer.margin == margin
