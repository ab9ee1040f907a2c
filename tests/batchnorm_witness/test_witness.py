"""What BatchNorms tell, when they keep silent, and what follows from it.

Long because a wrong answer would be worse than none: each question has its net, and its silence.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import helper, numpy_helper

from resnet_deploy import api
from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.batchnorm_witness.hypotheses import WELL_KNOWN, TrainingCrop, fed, scalings
from resnet_deploy.batchnorm_witness.testimony import (
    as_told,
    ask_file,
    ask_network,
    told_of_pictures,
    told_of_spec,
)
from resnet_deploy.batchnorm_witness.trial import rebuilt
from resnet_deploy.batchnorm_witness.witness import witness
from resnet_deploy.cli.main import cli
from resnet_deploy.data.arrays import ArrayDataset
from resnet_deploy.data.calibration import calibration_images, synthetic_calibration
from resnet_deploy.errors import CheckFailed, SpecError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.init import initialize
from resnet_deploy.models.network import Network
from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.results import Finding, Question, WitnessReport, from_dict, to_dict
from resnet_deploy.spec import (
    BlockKind,
    ChannelOrder,
    InputContract,
    InputFormat,
    Learned,
    ModelSpec,
    Shortcut,
    Stem,
    Variant,
    resnet_spec,
    uniform_design,
)
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.remembering import (
    SIDE,
    coloured_pictures,
    grey_in_colour,
    pictures,
    remember,
    remembering,
)
from tests.support.terminal import printed


def same(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


USUAL = InputContract.for_size(SIDE)
HALF = replace(USUAL, mean=(0.5,) * 3, std=(0.5,) * 3)
BYTES_BGR = replace(
    USUAL,
    channel_order=ChannelOrder.BGR,
    range=(0.0, 255.0),
    mean=(103.939, 116.779, 123.68),
    std=(1.0,) * 3,
)


def asked(report: WitnessReport, name: str) -> Question:
    return next(question for question in report.questions if question.name == name)


@pytest.mark.parametrize(
    ("true", "contract", "scaling"),
    [
        (resnet_spec(8), USUAL, "ImageNet's mean and std"),
        (resnet_spec(8, shortcut=Shortcut.A_END), HALF, "-1 to 1"),
        (resnet_spec(8, stem=Stem.CIFAR_POOL), BYTES_BGR, "0 to 255 minus Caffe's mean"),
    ],
)
def test_it_tells_how_a_net_is_fed_and_built(
    true: ModelSpec, contract: InputContract, scaling: str
) -> None:
    right = remembering(true, contract)
    held = resnet_spec(8)
    network = Network(
        module=rebuilt(right)(held),
        spec=held,
        preprocess=USUAL.as_assumed(),
        source=WeightsSource(kind="file"),
    )
    report = ask_network(network, pictures(USUAL))
    assert report.alike
    assert report.winner("channel order") == contract.channel_order.value
    assert report.winner("scaling") == scaling
    assert report.winner("shortcut") == true.shortcut.value
    assert report.winner("stem") == true.stem.value
    assert report.winner("activation") in (None, "ReLU")
    assert report.passed is ((true, contract) == (held, USUAL))
    told = as_told(network, report)
    assert told.spec == true
    assert told.preprocess == contract
    assert told.preprocess.learned["mean"] is Learned.WITNESS
    assert told.preprocess.learned["layout"] is Learned.ASSUMED
    x = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(told.module(x), right(x))


def test_bottlenecks_tell_where_they_stride() -> None:
    spec = resnet_spec(50, stem=Stem.CIFAR, variant=Variant.V1)

    def small(other: ModelSpec) -> torch.nn.Module:
        net = ResNet(
            uniform_design(BlockKind.BOTTLENECK, (1, 1, 1), num_classes=2, base=8),
            NetOptions(
                stem=other.stem, variant=other.variant, pool=other.pool, padding=other.padding
            ),
        )
        net.load_state_dict(state, strict=False)
        return net.eval()

    state: dict[str, torch.Tensor] = {}
    right = small(spec)
    initialize(right, 0)
    state = dict(remember(right, USUAL).state_dict())
    report = witness(
        right, pictures(USUAL), USUAL, spec, stated=frozenset({"variant"}), rebuild=small
    )
    found = asked(report, "variant")
    assert (found.held, found.stated, found.layers[0][:8]) == ("v1", True, "layer2.0")
    assert found.candidates[0].name == "v1"
    assert told_of_spec(report, spec).variant is Variant.V1


def test_what_was_stated_is_contradicted_with_the_layer_that_tells() -> None:
    spec = resnet_spec(8, shortcut=Shortcut.A_END)
    right = remembering(spec, USUAL)
    held = resnet_spec(8)
    report = witness(
        rebuilt(right)(held), pictures(USUAL), USUAL, held, stated=frozenset({"shortcut"})
    )
    found = asked(report, "shortcut")
    assert (found.finding, found.winner, found.layers[0]) == (
        Finding.CONTRADICTED,
        "A-end",
        "layer2.0.bn1",  # where a net without shortcuts would differ
    )
    assert found.sentence.startswith("shortcut: A-end, not A (stated): layer3.0.bn")
    assert asked(report, "scaling").finding is Finding.CONFIRMED
    with pytest.raises(CheckFailed, match=r"the net: shortcut: A-end, not A \(stated\)"):
        report.check()
    network = Network(module=right, spec=held, preprocess=USUAL, source=WeightsSource(kind="file"))
    assert as_told(network, report).spec == held  # its user decides


def test_without_a_witness_nothing_is_said() -> None:
    spec = resnet_spec(8)
    right = remembering(spec, USUAL)
    silences = {
        "synthetic": witness(right, synthetic_calibration(USUAL, samples=64), USUAL, spec),
        "8 pictures are too few": witness(right, pictures(USUAL, 8), USUAL, spec),
        "never trained": witness(torch.nn.BatchNorm2d(3).eval(), pictures(USUAL), USUAL),
        "folded": witness(fold_batchnorm(right)[0], pictures(USUAL), USUAL, spec),
    }
    for words, report in silences.items():
        assert words in report.silent
        assert report.passed is None
        assert report.check() is report
        assert told_of_spec(report, spec) == spec
        assert not told_of_pictures(report, USUAL).says_something
        assert "no witness" in printed(report)


def test_pictures_without_colours_do_not_tell_their_order() -> None:
    right = remembering(resnet_spec(8), USUAL)
    grey = ArrayDataset(name="grey", images=grey_in_colour(64))
    report = witness(right, calibration_images(grey, USUAL), USUAL.as_assumed(), resnet_spec(8))
    found = asked(report, "channel order")
    assert found.finding is Finding.UNDECIDED
    assert found.winner is None


def test_an_unknown_scaling_is_never_taken_for_a_known_one() -> None:
    strange = replace(USUAL, mean=(0.1, 0.6, 0.9), std=(0.05, 0.09, 0.04))
    right = remembering(resnet_spec(8), strange)
    report = witness(right, pictures(USUAL), USUAL.as_assumed(), resnet_spec(8))
    assert report.winner("scaling") is None
    assert report.winner("channel order") is None
    held = witness(right, pictures(USUAL), strange, resnet_spec(8))
    assert asked(held, "scaling").finding is Finding.CONFIRMED


def test_the_order_of_pictures_does_not_matter() -> None:
    right = remembering(resnet_spec(8), HALF)
    images = pictures(USUAL)
    turned = replace(images, indices=images.indices[::-1], batch_size=7)
    first = witness(right, images, HALF)
    second = witness(right, turned, HALF)
    assert first.questions[0].candidates[0].name == second.questions[0].candidates[0].name
    assert np.allclose(first.divergences, second.divergences, rtol=1e-4)


def small_onnx(
    path: Path, right: torch.nn.Module, *, activation: str = "Relu", norm: bool = True
) -> None:
    """Write the stem of ``right`` as operators, BatchNormalization included."""
    state = {key: value.numpy() for key, value in right.state_dict().items()}
    statistics = [f"bn1.{key}" for key in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", *statistics], ["b"], name="bn"),
        helper.make_node(activation, ["b" if norm else "c"], ["r"], name="activation"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], name="pool"),
        helper.make_node("Flatten", ["g"], ["y"], name="flatten"),
    ]
    if not norm:
        del nodes[1]
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", float32, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", float32, ["N", 16])],
        [numpy_helper.from_array(state[name], name) for name in ("conv1.weight", *statistics)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_an_onnx_file_that_holds_batch_normalization_tells_as_well(tmp_path: Path) -> None:
    right = remembering(resnet_spec(8), BYTES_BGR)
    path = tmp_path / "small.onnx"
    small_onnx(path, right)
    report = ask_file(load(path), pictures(USUAL), simplify=same)
    assert report.model == "small.onnx"
    assert [question.name for question in report.questions] == ["channel order", "scaling"]
    assert report.layers == ("bn",)
    assert told_of_pictures(report, USUAL).over(USUAL, Learned.WITNESS) == BYTES_BGR
    small_onnx(path, right, activation="Celu")  # what no module is rebuilt of
    assert "no PyTorch counterpart" in ask_file(load(path), pictures(USUAL), simplify=same).silent
    small_onnx(path, right, norm=False)
    folded = ask_file(load(path), pictures(USUAL), simplify=same)
    assert "folded: ask its checkpoint" in folded.silent


def test_one_picture_at_a_time_where_the_file_takes_no_more(tmp_path: Path) -> None:
    class Single(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = remembering(resnet_spec(8), USUAL)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.inner(x.reshape(1, 3, SIDE, SIDE))
            return found

    report = witness(Single().eval(), pictures(USUAL, 20), USUAL)
    assert len(report.divergences) == 7
    large = replace(USUAL, height=24, width=24, resize=(24, 24))
    with pytest.raises(SpecError, match="can't run on pictures of shape"):
        witness(Single().eval(), pictures(large, 20), large)


def test_random_weights_remember_nothing() -> None:
    network = resolve(ModelRequest(depth=8))
    assert "random" in ask_network(network, pictures(network.preprocess)).silent


def test_scalings_that_are_the_same_are_tried_once() -> None:
    same = replace(USUAL, range=(-1.0, 1.0), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert next(iter(scalings(same))) == "-1 to 1"
    assert len(scalings(same)) == len(WELL_KNOWN)
    own = scalings(replace(USUAL, mean=(0.3,) * 3))
    assert next(iter(own)) == "0 to 1, mean 0.3, std 0.229 0.224 0.225"
    assert len(own) == len(WELL_KNOWN) + 1
    grey = replace(USUAL, channel_order=ChannelOrder.GREY, mean=(0.1307,), std=(0.3081,))
    assert next(iter(scalings(grey))) == "MNIST's"


@pytest.mark.parametrize("contract", [USUAL, HALF, BYTES_BGR])
def test_pictures_are_fed_as_they_are_prepared(contract: InputContract) -> None:
    as_bytes = pictures(
        replace(contract, format=InputFormat.UINT8_NCHW, channel_order=ChannelOrder.RGB), 3
    )
    pixels = torch.from_numpy(np.concatenate(list(as_bytes)))
    expected = np.concatenate(list(pictures(contract, 3)))
    assert np.allclose(fed(pixels, contract, TrainingCrop.NONE), expected, rtol=1e-4, atol=1e-4)
    assert fed(pixels, contract, TrainingCrop.BLACK).shape == expected.shape
    last = replace(contract, format=InputFormat.FLOAT_NHWC)
    assert fed(pixels, last, TrainingCrop.ZEROS).shape == (3, SIDE, SIDE, 3)


def test_the_report_shows_findings_and_comes_back_from_json() -> None:
    right = remembering(resnet_spec(8), HALF)
    report = witness(right, pictures(USUAL), USUAL.as_assumed(), resnet_spec(8), name="net.pth")
    shown = printed(report)
    assert "scaling: -1 to 1, not ImageNet's mean and std (assumed)" in shown
    assert "96 pictures of coloured" in shown
    assert from_dict(WitnessReport, to_dict(report)) == report
    assert to_dict(report)["questions"][1]["finding"] == "contradicted"


def test_the_pretrained_resnet20_contradicts_nothing_on_real_pictures(cifar10_test: Path) -> None:
    network = resolve(ModelRequest(), "cifar10")
    contract = network.preprocess.as_assumed()
    images = calibration_images(cifar10_test, contract, samples=64)
    report = witness(network.module, images, contract, network.spec)
    assert report.alike
    assert not report.contradicted
    assert report.winner("shortcut") == "A"
    assert report.winner("stem") == "cifar"
    held = replace(network.spec, shortcut=Shortcut.A_END)
    wrong = replace(contract, mean=(0.0,) * 3, std=(1.0,) * 3, range=(0.0, 255.0))
    report = witness(rebuilt(network.module)(held), images, wrong, held)
    assert report.winner("shortcut") == "A"
    assert asked(report, "scaling").finding is Finding.CONTRADICTED


def test_verify_asks_a_network_a_file_and_a_checkpoint(tmp_path: Path) -> None:
    network = Network(
        module=remembering(resnet_spec(8), HALF),
        spec=resnet_spec(8, image_size=SIDE),
        preprocess=USUAL.as_assumed(),
        source=WeightsSource(kind="file", file="net.pth"),
    )
    pixels = coloured_pictures(96, seed=1)
    report = api.witness(network, data=pixels)
    assert report.passed is False
    assert report.environment is not None
    file = api.save(api.export(network), tmp_path / "net.onnx")
    assert "folded" in api.witness(file, data=pixels).silent
    assert api.witness(file, data=pixels, against=network).winner("scaling") == "-1 to 1"
    failed = CliRunner().invoke(cli, ["verify", str(file.path), "--witness"])
    assert failed.exit_code == 2
    assert "--witness asks about real pictures" in failed.output
    np.savez(tmp_path / "pixels.npz", images=pixels.images)
    arguments = ["verify", str(file.path), "--witness", "--data", str(tmp_path / "pixels.npz")]
    shown = CliRunner().invoke(cli, arguments)
    assert (shown.exit_code, "no witness" in shown.output) == (0, True), shown.output
