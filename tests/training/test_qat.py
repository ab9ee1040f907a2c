"""A fake-quantized network computes what ONNX Runtime makes of its exported int8 file."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.artifact.weights_card import OVERFLOW_KEY, WeightsCard
from resnet_deploy.data.calibration import synthetic_calibration
from resnet_deploy.errors import CheckpointError, SpecError, UnsupportedGraphError
from resnet_deploy.exporter import export_graph
from resnet_deploy.models.fold import fold_batchnorm, folded_norms, pair_batchnorms, unfold
from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.quantization.count_saturation import sums_can_overflow
from resnet_deploy.quantization.ranges import QuantizationParameters, Range
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.rewrites.opset import DEFAULT_OPSET
from resnet_deploy.spec import (
    BlockKind,
    Effort,
    Family,
    FirstConv,
    InputContract,
    InputFormat,
    ModelSpec,
    QuantSpec,
    Shortcut,
    Stem,
    TargetIsa,
    resnet_spec,
    uniform_design,
)
from resnet_deploy.training.qat import QatNet, prepare_qat
from resnet_deploy.weights.weights_file import write_weights
from tests.support.exports import exported
from tests.support.graphs import run

SIZE = 16
PREPROCESS = InputContract.for_size(SIZE)
CALIBRATION = synthetic_calibration(PREPROCESS, samples=16)
IMAGES = np.concatenate(list(synthetic_calibration(PREPROCESS, samples=24, seed=1)))
BATCH = torch.from_numpy(IMAGES)
TARGETS = torch.arange(len(BATCH)) % 3
SPEC = ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=SIZE, factory="tests:net")

NETS = {
    # Zero-padded shortcuts, projections with blocks that have none, and the 7x7 stem.
    "option-a": lambda: ResNet(
        uniform_design(BlockKind.BASIC, (1, 1), num_classes=3, base=8),
        NetOptions(stem=Stem.CIFAR, shortcut=Shortcut.A),
    ),
    "projections": lambda: ResNet(
        uniform_design(BlockKind.BASIC, (2, 1), num_classes=3, base=8),
        NetOptions(stem=Stem.CIFAR),
    ),
    "bottleneck": lambda: ResNet(
        uniform_design(BlockKind.BOTTLENECK, (1, 1), num_classes=3, base=8)
    ),
}


def trained(module: nn.Module) -> nn.Module:
    """Give the BatchNorms something to fold."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.empty(norm.num_features).normal_(0, 0.1, generator=generator)
            norm.running_var = torch.empty(norm.num_features).uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(norm.bias, -0.2, 0.2, generator=generator)
    return module.eval()


def loss_of(net: nn.Module) -> Tensor:
    return F.cross_entropy(net(BATCH), TARGETS)


@dataclass(frozen=True)
class Case:
    module: nn.Module
    net: QatNet
    graph: onnx.ModelProto  # fp32, of the net's float state

    def int8(self, spec: QuantSpec | None = None) -> onnx.ModelProto:
        ranges = json.loads(json.dumps(self.net.activation_ranges()))
        net = quantize_static(
            self.graph, spec or QuantSpec(), (), images=0, preprocess=PREPROCESS, trained=ranges
        )
        return net.write(spec.exclude if spec else ())

    def logits(self) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(self.net(BATCH))


@pytest.fixture(scope="module", params=NETS)
def case(request: pytest.FixtureRequest) -> Case:
    """A network after a few steps of training."""
    torch.manual_seed(0)
    module = trained(NETS[request.param]())
    net = prepare_qat(module, SPEC, PREPROCESS, CALIBRATION, threads=1).train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02)
    before = loss_of(net).item()
    for _ in range(3):
        optimiser.zero_grad()
        torch.autograd.backward(loss_of(net))
        optimiser.step()
    assert loss_of(net).item() < before
    again = copy.deepcopy(module)
    again.load_state_dict(net.float_state())
    folded, _ = fold_batchnorm(again)
    return Case(module, net, export_graph(folded, image_size=SIZE, opset=DEFAULT_OPSET))


def test_onnx_runtime_gives_the_very_logits(case: Case) -> None:
    assert np.array_equal(run(case.int8(), IMAGES, optimise=True), case.logits())


def test_kernels_of_amx_give_them_too(case: Case) -> None:
    model = case.int8(QuantSpec(target_isa=TargetIsa.X86_AMX))
    assert np.array_equal(run(model, IMAGES, optimise=True), case.logits())


@pytest.mark.parametrize("first", FirstConv)
def test_no_layout_of_the_image_lets_a_trained_sum_overflow(case: Case, first: FirstConv) -> None:
    """Twelve channels of bytes, blocks of pixels, or as it was trained: the pairs are others."""
    bytes_ = replace(PREPROCESS, format=InputFormat.UINT8_NHWC)
    for graph, taken in ((case.graph, PREPROCESS), (bake_input(case.graph, bytes_), bytes_)):
        net = quantize_static(
            graph,
            QuantSpec(first_conv=first),
            (),
            images=0,
            preprocess=taken,
            trained=case.net.activation_ranges(),
        )
        assert not sums_can_overflow(net.write())


def test_without_optimisations_codes_differ_by_little(case: Case) -> None:
    """The pairs are then computed in float32, where halves may round to either side."""
    logits = case.logits()
    found = run(case.int8(), IMAGES, optimise=False)
    assert np.abs(found - logits).max() < 0.1 * np.abs(logits).max()


def test_folding_gives_the_trained_weights_to_the_last_bit(case: Case) -> None:
    state = case.net.float_state()
    assert list(state) == list(case.module.state_dict())
    again = copy.deepcopy(case.module)
    again.load_state_dict(state)
    folded, left = fold_batchnorm(again)
    assert not left
    found = dict(folded.named_parameters())
    assert found.keys() == dict(case.net.named_parameters()).keys()
    for name, parameter in case.net.named_parameters():
        assert torch.equal(found[name], parameter), name


def test_gradients_are_nearly_those_of_the_float_network(case: Case) -> None:
    again = copy.deepcopy(case.module)
    again.load_state_dict(case.net.float_state())
    folded, _ = fold_batchnorm(again)
    case.net.zero_grad()
    for net in (folded.requires_grad_(True), case.net):
        torch.autograd.backward(loss_of(net))
    expected = dict(folded.named_parameters())
    for name, parameter in case.net.named_parameters():
        assert parameter.grad is not None
        wanted = expected[name].grad
        assert wanted is not None
        likeness = F.cosine_similarity(parameter.grad.flatten(), wanted.flatten(), dim=0)
        assert float(likeness) > 0.9, name
    case.net.zero_grad()


def test_ranges_come_back_as_the_same_codes(case: Case) -> None:
    ranges = json.loads(json.dumps(case.net.activation_ranges()))
    scales = {float(scale) for scale in case.net.scales}
    assert not any(name.endswith("pixels") for name in ranges)
    for low, high in ranges.values():
        codes = QuantizationParameters.of(Range(low, high))
        assert codes.covered == (low, high)
        assert float(codes.scale) in scales


def test_copies_and_checkpoints_compute_the_same(case: Case) -> None:
    """A moving average is a copy; a resumed training loads its state into a fresh network."""
    twin = copy.deepcopy(case.net)
    fresh = copy.deepcopy(case.net)
    for tensor in fresh.state_dict().values():
        tensor.fill_(1)
    fresh.load_state_dict(case.net.state_dict())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for net in (twin, fresh.eval()):
            assert np.array_equal(np.asarray(net(BATCH)), case.logits())
        next(twin.parameters()).zero_()
        assert not np.array_equal(np.asarray(twin(BATCH)), case.logits())


def test_weights_that_are_no_numbers_give_logits_that_are_none(case: Case) -> None:
    broken = copy.deepcopy(case.net)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[0] = torch.nan
        assert bool(broken(BATCH).isnan().all())


def test_other_weights_than_were_trained_are_refused(case: Case) -> None:
    with pytest.raises(SpecError, match="leave it out"):
        case.int8(QuantSpec(effort=Effort.BEST))
    ranges = {"logits": (0.0, 1.0)}
    with pytest.raises(CheckpointError, match="no trained range for relu: it is of another net"):
        quantize_static(
            case.graph, QuantSpec(), (), images=0, preprocess=PREPROCESS, trained=ranges
        )


class Twice(nn.Module):
    """Normalises what no convolution of its own gave."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.bn(x))
        return y.mean((2, 3))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Twice(), "every BatchNorm folded: bn: its input is x"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.ELU(), nn.Flatten()), "can't train 1: Elu"),
    ],
    ids=["batchnorm", "operator"],
)
def test_networks_that_are_not_int8_throughout_are_refused(module, message) -> None:
    with pytest.raises(UnsupportedGraphError, match=message):
        prepare_qat(module.eval(), SPEC, PREPROCESS, CALIBRATION, threads=1)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
def test_unfolding_convolutions_with_a_bias(affine: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=affine, eps=1e-3))
    pairs, _ = pair_batchnorms(module)
    wanted = {"0.weight": torch.randn(8, 3, 3, 3), "0.bias": torch.randn(8)}
    module.load_state_dict(unfold(dict(module.state_dict()), wanted, folded_norms(module, pairs)))
    folded, _ = fold_batchnorm(module)
    for name, found in folded.named_parameters():
        assert torch.equal(found, wanted[name])


def test_export_takes_the_ranges_from_the_card_of_the_weights(tmp_path: Path) -> None:
    from resnet_deploy.models.registry import build

    spec = resnet_spec(8, num_classes=3, image_size=SIZE)
    net = prepare_qat(trained(build(spec, seed=0)), spec, PREPROCESS, CALIBRATION, threads=1)
    weights = tmp_path / "model.safetensors"
    found = (Accuracy(data="test", samples=24, top1=0.5),)
    card = WeightsCard(
        model=spec,
        preprocess=PREPROCESS,
        int8_accuracy=found,
        activation_ranges=net.activation_ranges(),
    )
    write_weights(weights, net.float_state(), card)
    with pytest.raises(SpecError, match=r"earlier release.*add --allow-overflow"):
        exported(tmp_path, weights=weights, threads=1)
    write_weights(weights, net.float_state(), replace(card, training={OVERFLOW_KEY: "never"}))
    made = exported(tmp_path, weights=weights, threads=1, simplify=True)
    assert not any("int8 ranges" in notice for notice in made.notices)
    artifact = load(tmp_path / "resnet8.int8.onnx")
    assert artifact.card is not None
    assert artifact.card.accuracy == found
    (step,) = (step.options for step in artifact.card.steps if step.name == "quantize")
    assert (step["data"], step["method"]) == ("quantization-aware training", "as trained")
    with torch.no_grad():
        assert np.array_equal(
            run(read_model(artifact.path), IMAGES, optimise=True), net(BATCH).numpy()
        )
    floats = {"exclude": ("layer1.*",), "allow_float_ops": True}
    exported(tmp_path, weights=weights, threads=1, simplify=True, name="mixed", **floats)
    mixed = load(tmp_path / "mixed.int8.onnx").card
    assert mixed is not None
    assert mixed.accuracy == (), "that was measured with all layers in int8"
