"""What has the right answer: a file, a checkpoint, PyTorch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import SpecError
from resnet_deploy.models.registry import build
from resnet_deploy.reference import reference_for
from resnet_deploy.spec import Family, ModelSpec, resnet_spec
from tests.support.graphs import noise


def test_a_checkpoint_is_a_reference(tiny_export: Path, tmp_path: Path) -> None:
    artifact = load(tiny_export / "resnet8.onnx")
    torch.save(build(resnet_spec(8), seed=0).state_dict(), tmp_path / "same.pth")
    reference = reference_for(artifact, tmp_path / "same.pth")
    x = noise(2, 3, 32, 32)
    own = reference_for(artifact, artifact.path)
    np.testing.assert_allclose(reference.outputs(x)[0], own.outputs(x)[0], atol=1e-4)


def test_no_factory_is_imported_because_a_file_names_it(tiny_export: Path, tmp_path: Path) -> None:
    artifact = load(tiny_export / "resnet8.onnx")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "own.pth")
    assert artifact.card is not None
    named = ModelSpec(family=Family.CUSTOM, num_classes=10, image_size=32, factory="evil:run")
    foreign = replace(artifact, card=replace(artifact.card, model=named))
    with pytest.raises(SpecError, match=r"with --model package\.module:factory"):
        reference_for(foreign, tmp_path / "own.pth")
    with pytest.raises(SpecError, match="of a resnet8: drop --model my:net"):
        reference_for(artifact, tmp_path / "own.pth", factory="my:net")
