from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save as save_artifact
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.spec import (
    BlockKind,
    Family,
    InputContract,
    ModelSpec,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    resnet_spec,
    uniform_design,
    vgg19_spec,
)
from resnet_deploy.summarize import summarize_artifact, summarize_spec
from tests.support.cli import refused, run
from tests.support.graphs import noise, parse

TOTALS = [
    (resnet_spec(18), 11_689_512, 1.814, 1.8e9),
    (resnet_spec(34), 21_797_672, 3.664, 3.6e9),
    (resnet_spec(50), 25_557_032, 4.089, 3.8e9),
    (resnet_spec(101), 44_549_160, 7.801, 7.6e9),
    (resnet_spec(152), 60_192_808, 11.514, 11.3e9),
    (vgg19_spec(), 143_667_240, 19.632, 19.6e9),
]


@pytest.mark.parametrize(("spec", "parameters", "giga_macs", "flops"), TOTALS)
def test_totals_of_table_1(
    spec: ModelSpec, parameters: int, giga_macs: float, flops: float
) -> None:
    summary = summarize_spec(spec)
    assert summary.parameters == parameters
    assert round(summary.macs / 1e9, 3) == giga_macs
    assert summary.paper_flops == flops


def test_rows_of_table_1() -> None:
    rows = [(s.name, s.output_size, s.layers) for s in summarize_spec(resnet_spec(50)).stages]
    assert rows == [
        ("conv1", "112x112", "7x7, 64, stride 2"),
        ("conv2_x", "56x56", "3x3 max pool, stride 2; [1x1, 64; 3x3, 64; 1x1, 256] x 3"),
        ("conv3_x", "28x28", "[1x1, 128; 3x3, 128; 1x1, 512] x 4"),
        ("conv4_x", "14x14", "[1x1, 256; 3x3, 256; 1x1, 1024] x 6"),
        ("conv5_x", "7x7", "[1x1, 512; 3x3, 512; 1x1, 2048] x 3"),
        ("fc", "1x1", "average pool; 1000-d fc"),
    ]


def test_the_papers_v1_has_the_papers_flops() -> None:
    summary = summarize_spec(resnet_spec(50, variant=Variant.V1))
    assert summary.macs / 1e9 == pytest.approx(3.858, abs=1e-3)


def test_rows_of_a_cifar_net() -> None:
    summary = summarize_spec(resnet_spec(20))
    rows = [(s.name, s.output_size, s.layers) for s in summary.stages]
    assert rows == [
        ("conv1", "32x32", "3x3, 16"),
        ("conv2_x", "32x32", "[3x3, 16; 3x3, 16] x 3"),
        ("conv3_x", "16x16", "[3x3, 32; 3x3, 32] x 3"),
        ("conv4_x", "8x8", "[3x3, 64; 3x3, 64] x 3"),
        ("fc", "1x1", "average pool; 10-d fc"),
    ]
    assert summary.parameters == 269_722
    assert summary.paper_flops is None


def test_rows_of_vgg19() -> None:
    stages = summarize_spec(vgg19_spec()).stages
    assert [s.name for s in stages] == ["conv1_x", "conv2_x", "conv3_x", "conv4_x", "conv5_x", "fc"]
    assert stages[2].layers == "[3x3, 256] x 4; 2x2 max pool, stride 2"
    assert stages[5].layers == "average pool; [4096-d fc] x 2; 1000-d fc"


def test_plain_has_fewer_parameters_only_by_its_projections() -> None:
    residual, plain = (summarize_spec(resnet_spec(34, plain=p)) for p in (False, True))
    free = summarize_spec(resnet_spec(34, shortcut=Shortcut.A))
    assert plain.parameters == free.parameters < residual.parameters
    assert [s.layers for s in plain.stages] == [s.layers for s in residual.stages]


def test_the_papers_flops_are_for_its_input_only() -> None:
    assert summarize_spec(resnet_spec(18, image_size=96)).paper_flops is None
    assert summarize_spec(resnet_spec(18, stem=Stem.CIFAR)).paper_flops is None


def test_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_of_summary_test.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    body = nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), nn.BatchNorm2d(8), nn.ReLU())\n"
        "    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))\n"
    )
    monkeypatch.chdir(tmp_path)
    factory = "net_of_summary_test:net"
    summary = summarize_spec(ModelSpec(family=Family.CUSTOM, factory=factory, num_classes=0))
    assert summary.parameters == 3 * 8 * 9 + 8 + 16 + 45
    assert summary.macs == 222 * 222 * 216 + 40
    assert summary.name == "net"
    with pytest.raises(SpecError, match="has 5 classes, not 1000"):
        summarize_spec(ModelSpec(family=Family.CUSTOM, factory=factory))


SPEC = ModelSpec(family=Family.IMAGENET, depth=18, num_classes=5, image_size=16)


def classifier(*, modules: bool, quantized: bool = False) -> onnx.ModelProto:
    """conv1 (7x7/2 with bias) - max pool - layer1.0.conv1 - average pool - fc."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "w0": rng.normal(size=(4, 3, 7, 7)).astype(np.float32),
        "b0": np.ones(4, np.float32),
        "w1": rng.normal(size=(4, 4, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(5, 4)).astype(np.float32),
        "b2": np.ones(5, np.float32),
        "shape": np.array([0, -1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], strides=[2, 2], pads=[3] * 4),
        helper.make_node("MaxPool", ["c0"], ["p"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w1"], ["c1"], pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c1"], ["g"]),
        helper.make_node("Reshape", ["g", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
    ]
    paths = ("conv1", "maxpool", "layer1.0.conv1", "avgpool", "", "fc")
    for node, path in zip(nodes, paths, strict=True):
        if modules and path:
            node.metadata_props.add(key=MODULE_KEY, value=path)
    if quantized:
        arrays |= {
            "w0": arrays["w0"].astype(np.int8),
            "s": np.full(4, 0.1, np.float32),
            "z": np.zeros(4, np.int8),
            "xs": np.float32(0.1),
            "xz": np.uint8(0),
        }
        nodes[0].input[0], nodes[0].input[1] = "xd", "wd"
        nodes[:0] = [
            helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
            helper.make_node("DequantizeLinear", ["w0", "s", "z"], ["wd"], axis=0),
        ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


PARAMETERS = 4 * 3 * 49 + 4 + 4 * 4 * 9 + 5 * 4 + 5
MACS = 8 * 8 * 4 * 147 + 3 * 3 * 4 * 36 + 20


@pytest.mark.parametrize("quantized", [False, True])
def test_artifact_with_module_names(tmp_path: Path, quantized: bool) -> None:
    card = Card(
        model=residual_spec(
            uniform_design(BlockKind.BASIC, (1,), num_classes=5), image_size=16, plain=True
        ),
        preprocess=InputContract.for_size(16),
        weights=WeightsSource(kind="random", seed=0),
    )
    path = tmp_path / "net.onnx"
    save_artifact(classifier(modules=True, quantized=quantized), path, card)
    summary = summarize_artifact(path)
    assert [(s.name, s.output_size, s.layers, s.parameters) for s in summary.stages] == [
        ("conv1", "8x8", "7x7, 4, stride 2", 592),
        ("conv2_x", "3x3", "3x3 max pool, stride 2; 3x3, 4", 144),
        ("fc", "1x1", "average pool; 5-d fc", 25),
    ]
    assert (summary.parameters, summary.macs) == (PARAMETERS, MACS)
    assert summary.precision == ("int8" if quantized else "fp32")
    assert summary.opset == 17
    assert summary.file_bytes == path.stat().st_size
    assert summary.op_counts["Conv"] == 2
    assert summary.card is not None
    assert summary.card["model"]["depth"] == 4


def test_foreign_artifact_has_rows_by_operator(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(classifier(modules=False), path)
    summary = summarize_artifact(path)
    assert [(s.name, s.layers, s.parameters) for s in summary.stages] == [
        ("Conv", "2 nodes", 736),
        ("MaxPool", "1 node", 0),
        ("GlobalAveragePool", "1 node", 0),
        ("Gemm", "1 node", 25),
    ]
    assert (summary.parameters, summary.macs) == (PARAMETERS, MACS)
    assert summary.card is None


def test_bad_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        summarize_artifact(tmp_path / "nothing.onnx")


def test_a_file_is_summarized_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(classifier(modules=False), tmp_path / "net.onnx")
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert summarize_artifact(tmp_path / "net.onnx").macs == MACS


@pytest.mark.parametrize(
    ("front", "shape", "macs"),
    [
        ("c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)", "N, 3, 8, 6", 8 * 6 * 4 * 27),
        ("t = Transpose<perm=[0,3,1,2]>(x) c = Conv(t, w)", "N, 8, 6, 3", 6 * 4 * 4 * 27),
        (
            'c = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)',
            "N, 3, 8, 6",
            4 * 3 * 4 * 27,
        ),
    ],
)
def test_multiply_accumulates_of_foreign_files(
    tmp_path: Path, front: str, shape: str, macs: int
) -> None:
    text = f"""
    g (float[{shape}] x) => (float[N,5] y) {{
      {front}
      d = Conv<group=4, kernel_shape=[1,1]>(c, deep)
      u = ConvTranspose<group=2, kernel_shape=[2,2], strides=[2,2]>(d, up)
      p = GlobalAveragePool(u)
      f = Flatten(p)
      y = MatMul(f, head)
    }}
    """
    weights = {
        "w": noise(4, 3, 3, 3),
        "deep": noise(4, 1, 1, 1),
        "up": noise(4, 3, 2, 2),
        "head": noise(6, 5),
    }
    onnx.save(parse(text, weights), tmp_path / "net.onnx")
    summary = summarize_artifact(tmp_path / "net.onnx")
    deep = macs // 27
    assert summary.macs == macs + deep + deep * 12 + 30


def test_layers_that_cannot_be_counted_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = """
    g (float[N,3,8,8] x) => (float[N,4,H,W] y) {
      one = NonZero(x)
      size = Cast<to=7>(one)
      half = ReduceMax<keepdims=0, axes=[1]>(size)
      z = Resize<mode="nearest">(x, , , half)
      y = Conv(z, w)
    }
    """
    model = parse(text, {"w": noise(4, 3, 3, 3)})
    onnx.save(model, tmp_path / "net.onnx")
    assert summarize_artifact(tmp_path / "net.onnx").macs == 0
    assert "the shapes of 1 layers can't be inferred, from y on" in caplog.text


def _two_names(model: onnx.ModelProto) -> None:
    model.graph.node[1].name = model.graph.node[0].name = "same"


def _too_many_bytes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data += b"12345678"


def _borrowed_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="group", ref_attr_name="x", type=onnx.AttributeProto.INT)


def _endless(model: onnx.ModelProto) -> None:
    model.graph.node.add(op_type="Loop", name="round", output=["never"])


def _waits_for_itself(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[1].output[0]


def _other_weights(*shape: int, dtype: type = np.float32) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        weight = model.graph.initializer[0]
        weight.CopyFrom(onnx.numpy_helper.from_array(np.ones(shape, dtype), weight.name))

    return change


def _group(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="group", i=-1, type=onnx.AttributeProto.INT)


@pytest.mark.parametrize(
    "damage",
    [
        *(_two_names, _too_many_bytes, _borrowed_attribute, _endless, _waits_for_itself, _group),
        *(_other_weights(4, 5, 1, 1), _other_weights(4, 3)),
        _other_weights(4, 3, 1, 1, dtype=np.int32),
    ],
)
def test_what_no_verb_can_run_is_not_described(
    damage: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    model = parse(
        """
        net (float[N, 3, 8, 8] input) => (float[N, 4] logits)
        {
            c = Conv(input, w)
            r = Relu(c)
            p = GlobalAveragePool(r)
            logits = Flatten(p)
        }
        """,
        {"w": np.ones((4, 3, 1, 1), np.float32)},
    )
    path, picture = tmp_path / "net.onnx", tmp_path / "p.png"
    Image.new("RGB", (8, 8)).save(picture)
    path.write_bytes(model.SerializeToString())
    assert run("summary", path).exit_code == run("predict", path, picture).exit_code == 0
    damage(model)
    path.write_bytes(model.SerializeToString())
    refused(run("summary", path), str(path))
    refused(run("predict", path, picture), str(path))
