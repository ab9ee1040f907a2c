"""What is refused before the work begins, and what is known of a network before it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnet_deploy import api
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.deployment.plan import for_cpu
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.models.registry import build
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import (
    Effort,
    InputFormat,
    InputOptions,
    QuantSpec,
    ResidualStream,
    Runtime,
    TargetIsa,
    resnet_spec,
)
from resnet_deploy.weights.weights_file import write_weights
from tests.support.cards import full_card
from tests.support.exports import exported
from tests.support.states import state_of


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_an_output_folder_that_is_a_file_is_refused_before_the_work(out, tmp_path):
    (tmp_path / "file").write_text("mine")
    steps: list[str] = []
    network = api.load(depth=8)
    with pytest.raises(ArtifactError, match=r"file is a file, not a folder"):
        api.deploy(network, tmp_path / out, progress=lambda stage, done, total: steps.append(stage))
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
    made = exported(out, weights=weights, verify=False)
    card = load(out / "resnet8.int8.onnx").card
    assert card is not None
    notice = next(text for text in made.notices if "no calibration images" in text)
    data = card.steps[-1].options["data"]
    assert ("BatchNorm statistics" in notice) == (data == "batchnorm statistics") == trained
    assert ("synthetic images" in notice) == (data == "synthetic") == (not trained)


TRAINED = full_card(activation_ranges={})
"""What training says of a ResNet-8 with 3 classes on 16 pixels."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training run; tests must not change it."""
    folder = tmp_path_factory.mktemp("run")
    write_weights(folder / "model.safetensors", state_of(TRAINED.model), TRAINED)
    return folder


def cards(run: Path, out: Path, **options: Any) -> dict[str, Card | None]:
    """Export the run, and return the cards of the files."""
    made = exported(out, weights=run, **options)
    return {kind: load(Path(path)).card for kind, path in made.files.items()}


def test_what_training_knows_is_in_both_files(run, tmp_path):
    found = cards(run, tmp_path, input="uint8-nhwc")
    # Without ranges of its own the training's int8 network is not the one that is written.
    for kind, accuracy in (("fp32", TRAINED.accuracy), ("int8", ())):
        card = found[kind]
        assert card is not None
        assert (card.model, card.labels) == (TRAINED.model, TRAINED.labels)
        assert card.preprocess == replace(TRAINED.preprocess, format=InputFormat.UINT8_NHWC)
        assert card.licence == TRAINED.licence
        assert card.accuracy == accuracy
        assert card.weights.file == "model.safetensors"


def test_what_the_user_says_goes_first(run, tmp_path):
    said = InputOptions(std=1.0, resize=16)
    labels = ("a", "b", "c")
    card = cards(run, tmp_path, int8=False, labels=labels, licence="MIT", input_options=said)[
        "fp32"
    ]
    assert card is not None
    assert card.preprocess == replace(TRAINED.preprocess, std=(1.0,) * 3, resize=(16, 16))
    assert (card.labels, card.licence) == (labels, "MIT")
    assert card.accuracy == (), "that was measured on other inputs"


@pytest.mark.parametrize(
    "options",
    [
        {"verify": False},
        {"output": "embedding"},
        {"image_size": 24},
    ],
    ids=["unproven", "classless", "resized"],
)
def test_accuracy_that_may_not_hold_is_not_claimed(run, tmp_path, options):
    card = cards(run, tmp_path, int8=False, **options)["fp32"]
    assert card is not None
    assert (card.accuracy, card.licence) == ((), TRAINED.licence)


@pytest.mark.parametrize(
    ("runtime", "isa", "target"),
    [
        (Runtime.ORT, ("avx2", "amx_int8"), TargetIsa.X86_AMX),
        (Runtime.ORT, ("avx2", "avx512_vnni"), TargetIsa.PORTABLE),
        # OpenVINO runs the weights that ONNX Runtime's kernels for AMX want in float.
        (Runtime.OPENVINO, ("avx2", "amx_int8"), TargetIsa.PORTABLE),
    ],
)
def test_the_default_target_follows_cpu_and_runtime(runtime, isa, target):
    stream = ResidualStream.FLOAT32
    asked = QuantSpec(target_isa=TargetIsa.AUTO, runtime=runtime, residual_stream=stream)
    here = replace(environment(""), isa=isa)
    assert for_cpu(asked, here).target_isa is target


def test_a_target_of_another_runtime_is_refused():
    with pytest.raises(SpecError, match="chooses kernels of ONNX Runtime"):
        QuantSpec(
            target_isa=TargetIsa.X86_AMX,
            runtime=Runtime.OPENVINO,
            residual_stream=ResidualStream.FLOAT32,
        )


@pytest.mark.parametrize(
    ("effort", "edge", "samples"),
    [
        (Effort.FAST, 32, 512),
        (Effort.BEST, 32, 2048),
        (Effort.BEST, 160, 1003),
        (Effort.BEST, 224, 512),
        # Larger photos are not fewer.
        (Effort.BEST, 448, 512),
    ],
)
def test_best_takes_more_images_where_they_are_small(effort, edge, samples):
    assert QuantSpec(effort=effort).samples_of(edge * edge) == samples
    assert QuantSpec(effort=effort, samples=7).samples_of(edge * edge) == 7


def test_ranges_of_no_images_are_refused():
    with pytest.raises(SpecError, match="cannot calibrate on 0 images: ask for at least one"):
        QuantSpec(samples=0)
