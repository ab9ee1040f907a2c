"""Acceptance: ONNX Runtime computes what PyTorch computes, for every network of the paper."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.errors import ExportError
from resnet_deploy.exporter import export_graph
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.registry import build
from resnet_deploy.reference import ModuleReference
from resnet_deploy.spec import InputContract, Shortcut, Variant, resnet_spec, vgg19_spec
from resnet_deploy.verification import compare

pytestmark = pytest.mark.usefixtures("traced_anew")

# 64 pixels, not 224: the same graph, a twelfth of the time.
NETS = {
    "resnet18": resnet_spec(18, image_size=64),
    "resnet34": resnet_spec(34, image_size=64),
    "resnet50": resnet_spec(50, image_size=64),
    "resnet50-v1": resnet_spec(50, image_size=64, variant=Variant.V1),
    "resnet101": resnet_spec(101, image_size=64),
    "resnet152": resnet_spec(152, image_size=64),
    "plain34": resnet_spec(34, image_size=64, plain=True),
    "resnet18, option A": resnet_spec(18, image_size=64, shortcut=Shortcut.A),
    "resnet18, zeros behind": resnet_spec(18, image_size=64, shortcut=Shortcut.A_END),
    "resnet18, option C": resnet_spec(18, image_size=64, shortcut=Shortcut.C),
    "cifar resnet20": resnet_spec(20),
    "cifar plain20": resnet_spec(20, plain=True),
    "cifar resnet110": resnet_spec(110),
    "vgg19": vgg19_spec(image_size=224, num_classes=10),
}


@pytest.mark.parametrize("name", NETS)
def test_fp32_parity_with_pytorch(name: str, tmp_path: Path) -> None:
    spec = NETS[name]
    module = build(spec, seed=3)
    folded, left = fold_batchnorm(module)
    assert left == ()
    graph = export_graph(folded, image_size=spec.image_size, opset=17)
    card = Card(
        model=spec,
        preprocess=InputContract.for_size(spec.image_size),
        weights=WeightsSource(kind="random", seed=3),
    )
    artifact = save(graph, tmp_path / "net.onnx", card)
    shape = (5, 3, spec.image_size, spec.image_size)  # as many as the largest batch
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    report = compare(
        artifact.path, ModuleReference(module, "PyTorch"), images, data="noise", meaningful=False
    )

    assert report.passed, [case.failures for case in report.cases]
    assert {case.optimization for case in report.cases} == {"off", "all"}
    assert {case.batch_size for case in report.cases} == {1, 2, 5}


def exported(module: nn.Module | None = None, **options: int) -> onnx.ModelProto:
    net = module or fold_batchnorm(build(resnet_spec(8)))[0]
    return export_graph(net.eval(), **{"image_size": 32, "opset": 17, **options})  # type: ignore[arg-type]


def test_the_graph_holds_only_what_it_needs() -> None:
    graph = exported().graph
    kinds = {node.op_type for node in graph.node}
    assert kinds == {"Conv", "Relu", "Add", "Slice", "Pad", "GlobalAveragePool", "Flatten", "Gemm"}
    names = [node.name for node in graph.node]
    assert "layer2.0.conv1" in names
    assert len(set(names)) == len(names)
    weights = {tensor.name for tensor in graph.initializer}
    assert {"layer2.0.conv1.weight", "layer2.0.conv1.bias", "fc.bias"} <= weights


def test_nothing_of_the_exporting_machine_is_in_the_file() -> None:
    text = exported().SerializeToString().decode("latin-1")
    assert "site-packages" not in text
    assert str(Path.cwd()) not in text


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_opset(opset: int) -> None:
    model = exported(opset=opset)
    assert opset_of(model) == opset
    onnx.checker.check_model(model)


def test_a_fixed_batch_size() -> None:
    graph = exported(batch_size=3).graph
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    assert graph.output[0].type.tensor_type.shape.dim[0].dim_value == 3


def test_two_exports_are_byte_identical() -> None:
    first, second = (exported().SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


class FixesBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 32 * 32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.view(2, -1))  # type: ignore[no-any-return]


class BatchNormFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 10, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.bn(x)).flatten(1)  # type: ignore[no-any-return]


def test_a_batchnorm_in_front_goes_into_the_convolution() -> None:
    graph = exported(BatchNormFirst())
    assert [node.op_type for node in graph.graph.node] == ["Conv", "Flatten"]


class DependsOnValues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (FixesBatch(), "fixes the batch size"),
        (DependsOnValues(), "torch can't trace the module"),
    ],
)
def test_modules_that_cant_be_exported(module: nn.Module, message: str) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        exported(module)
    assert "\n" not in str(caught.value)
