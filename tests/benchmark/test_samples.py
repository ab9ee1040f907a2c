"""Subjects get the pictures that a file is compared on when it is made without others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load, save
from resnet_deploy.benchmark import default_subjects, open_models
from resnet_deploy.benchmark.samples import samples_for
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.spec import BenchSpec
from resnet_deploy.verification import verification_images

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
FILES = [ARTIFACTS / "resnet20-cifar10.onnx", ARTIFACTS / "resnet20-cifar10.int8.onnx"]


def test_parity_is_on_the_images_of_export(tmp_path: Path) -> None:
    spec = BenchSpec(batch_size=3)
    fp32, int8 = default_subjects(open_models(FILES), ("ort",), spec)
    found = [samples_for(subject, spec, tmp_path) for subject in (fp32, int8)]
    assert found[0].content == found[1].content
    assert {samples.shown for samples in found} == {"8 synthetic images"}
    assert (found[0].card_sqnr_db, found[1].card_sqnr_db) == (None, 33.4)
    assert found[1].card_images == 128
    images = np.load(found[0].file)
    expected = verification_images(None, input_preprocess(load(FILES[0]))).images
    np.testing.assert_array_equal(images[:8], expected)
    assert len(images) == 9  # whole batches
    np.testing.assert_array_equal(images[8], expected[0])


def test_files_of_one_size_see_the_same_pixels_however_they_resize(tmp_path: Path) -> None:
    artifact = load(FILES[0])
    assert artifact.card is not None
    contract = replace(artifact.preprocess, resize=(40, 40))
    card = replace(artifact.card, preprocess=contract)
    other = save(read_model(FILES[0]), tmp_path / "other.onnx", card)
    spec = BenchSpec()
    subjects = default_subjects(open_models([FILES[0], other.path]), ("ort",), spec)
    first, second = (samples_for(subject, spec, tmp_path) for subject in subjects)
    assert first.content == second.content
    np.testing.assert_array_equal(np.load(first.file), np.load(second.file))
