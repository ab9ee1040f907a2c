from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_deploy.artifact import load
from resnet_deploy.errors import ArtifactError
from resnet_deploy.models.registry import build
from resnet_deploy.models.request import ModelRequest
from resnet_deploy.pipeline import ExportRequest, deploy
from resnet_deploy.results import Environment
from resnet_deploy.spec import resnet_spec

HERE = Environment(command="test", cpu="", isa=(), cores=1, os="", python="", versions={})


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_an_output_folder_that_is_a_file_is_refused_before_the_work(out, tmp_path):
    (tmp_path / "file").write_text("mine")
    steps: list[str] = []
    request = ExportRequest(model=ModelRequest(depth=8), out=tmp_path / out)
    with pytest.raises(ArtifactError, match=r"file is a file, not a folder"):
        deploy(request, HERE, progress=lambda stage, done, total: steps.append(stage))
    assert steps == []
    assert (tmp_path / "file").read_text() == "mine"


def checkpoint(path: Path, *, trained: bool) -> str:
    """Write a ResNet-8 whose BatchNorms have seen what they normalise, or nothing at all."""
    net = build(resnet_spec(8), seed=0)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
            norm.reset_running_stats()
    if trained:
        with torch.no_grad():
            net.train()(torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    torch.save(net.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("trained", [True, False])
def test_without_images_a_trained_net_is_quantized_by_its_batchnorms(trained, tmp_path):
    weights = checkpoint(tmp_path / "net.pth", trained=trained)
    out = tmp_path / "out"
    made = deploy(ExportRequest(model=ModelRequest(), weights=weights, out=out, verify=False), HERE)
    card = load(out / "resnet8.int8.onnx").card
    assert card is not None
    notice = next(one for one in made.notices if "no calibration images" in one)
    data = card.steps[-1].options["data"]
    assert ("BatchNorm statistics" in notice) == (data == "batchnorm statistics") == trained
    assert ("made-up pictures" in notice) == (data == "synthetic") == (not trained)
