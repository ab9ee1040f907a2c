from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.kernels import (
    resolve_target,
    safe_scale,
    smallest_weight_scale,
    uses_matrix_product,
    weight_zero_point,
)
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.spec import QuantSpec, TargetIsa
from tests.support.graphs import noise, parse, run, to_ir

DEEP = """
g (float[N,128,6,6] x) => (float[N,10] y) {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, conv1.weight)
  r = Relu(a)
  b = Conv<kernel_shape=[1,1]>(r, conv2.weight)
  p = GlobalAveragePool(b)
  f = Flatten(p)
  y = Gemm<transB=1>(f, fc.weight)
}
"""
WEIGHTS = {
    "conv1.weight": noise(64, 128, 3, 3) / 34,
    "conv2.weight": noise(32, 64, 1, 1) / 8,
    "fc.weight": noise(10, 32),
}


def quantized(target: TargetIsa) -> onnx.ModelProto:
    batches = [noise(8, 128, 6, 6)]
    spec = QuantSpec(target_isa=target)
    return quantize_static(parse(DEEP, WEIGHTS), spec, batches, images=8).write()


def zero_points(model: onnx.ModelProto) -> dict[str, set[int]]:
    return {
        tensor.name: set(onnx.numpy_helper.to_array(tensor).ravel().tolist())
        for tensor in model.graph.initializer
        if tensor.name.endswith("weight.zero_point")
    }


def test_only_deep_convolutions_go_to_the_matrix_product() -> None:
    assert zero_points(quantized(TargetIsa.X86_AMX)) == {
        "conv1.weight.zero_point": {-1},
        "conv2.weight.zero_point": {0},
        "fc.weight.zero_point": {0},
    }
    assert set.union(*zero_points(quantized(TargetIsa.PORTABLE)).values()) == {0}
    assert uses_matrix_product(quantized(TargetIsa.X86_AMX))
    assert not uses_matrix_product(quantized(TargetIsa.PORTABLE))


def test_both_kinds_of_file_give_the_same_bits(tmp_path: Path) -> None:
    portable, amx = (quantized(target) for target in (TargetIsa.PORTABLE, TargetIsa.X86_AMX))
    x = noise(5, 128, 6, 6, seed=3)
    np.testing.assert_array_equal(run(amx, x, optimise=True), run(portable, x, optimise=True))
    onnx.save(amx, tmp_path / "amx.onnx")
    assert inspect_int8(tmp_path / "amx.onnx").passed


@pytest.mark.parametrize(
    ("shape", "group", "expected"),
    [
        ((128, 128, 3, 3), 1, -1),
        ((64, 64, 3, 3), 1, 0),
        ((128, 512, 1, 1), 1, -1),
        ((256, 64, 1, 1), 1, 0),
        ((128, 128, 3, 3), 2, 0),
    ],
)
def test_rule(shape: tuple[int, ...], group: int, expected: int) -> None:
    channels = shape[1] * group
    text = (
        f"g (float[N,{channels},8,8] x) => (float[N,a,b,c] y) {{ y = Conv<group={group}>(x, w) }}"
    )
    (node,) = to_ir(parse(text, {"w": noise(*shape)})).graph
    assert isinstance(node, ir.Node)
    assert weight_zero_point(node, TargetIsa.X86_AMX) == expected
    assert weight_zero_point(node, TargetIsa.PORTABLE) == 0


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        (("avx2", "avx512f", "avx512_vnni", "amx_int8"), TargetIsa.X86_AMX),
        (("avx2", "avx512f", "avx512_vnni"), TargetIsa.PORTABLE),
        (("avx2", "avx_vnni"), TargetIsa.PORTABLE),
        (("sse4.1", "avx2", "avx512f"), TargetIsa.X86_AVX2),
        (("sse4.1", "avx2"), TargetIsa.X86_AVX2),
        (("sse4.1",), TargetIsa.X86_AVX2),
        (("asimd",), TargetIsa.PORTABLE),
        (("asimd", "asimddp"), TargetIsa.PORTABLE),
        ((), TargetIsa.PORTABLE),
    ],
)
def test_auto_is_this_cpu(extensions: tuple[str, ...], expected: TargetIsa) -> None:
    assert resolve_target(TargetIsa.AUTO, extensions) is expected
    assert resolve_target(TargetIsa.PORTABLE, extensions) is TargetIsa.PORTABLE


def test_the_file_for_avx2_cannot_overflow(tmp_path: Path) -> None:
    reports = {}
    for target in (TargetIsa.X86_AVX2, TargetIsa.PORTABLE):
        model = quantized(target)
        onnx.save(model, tmp_path / "model.onnx")
        batches = [noise(8, 128, 6, 6)]
        reports[target] = count_saturation(tmp_path / "model.onnx", batches, data="noise")
    assert set.union(*zero_points(quantized(TargetIsa.X86_AVX2)).values()) == {0}
    assert reports[TargetIsa.X86_AVX2].always_safe
    assert not reports[TargetIsa.PORTABLE].always_safe
    names = [layer.name for layer in reports[TargetIsa.PORTABLE].layers]
    assert names == ["conv1", "conv2", "fc"]


def test_only_channels_with_pairs_that_overflow_get_a_larger_scale() -> None:
    scales = [
        {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in quantized(target).graph.initializer
            if tensor.name.endswith("weight.scale")
        }
        for target in (TargetIsa.X86_AVX2, TargetIsa.PORTABLE)
    ]
    for name, weight in WEIGHTS.items():
        avx2, portable = (by_name[f"{name}.scale"] for by_name in scales)
        smallest = safe_scale(np.asarray(weight))
        np.testing.assert_array_equal(avx2, np.maximum(portable, smallest))
    assert (scales[0]["fc.weight.scale"] == scales[1]["fc.weight.scale"]).any()


def test_depthwise_convolutions_keep_their_scale() -> None:
    weight = np.ones((4, 1, 3, 3), np.float32)
    for group, depthwise in ((4, True), (2, False)):
        channels = 4 if depthwise else 2
        text = (
            f"g (float[N,{channels},8,8] x) => (float[N,a,b,c] y) "
            f"{{ y = Conv<group={group}>(x, w) }}"
        )
        (node,) = to_ir(parse(text, {"w": weight})).graph
        assert isinstance(node, ir.Node)
        scale = smallest_weight_scale(node, weight, 0, TargetIsa.X86_AVX2)
        assert (scale is None) == depthwise
        assert smallest_weight_scale(node, weight, 0, TargetIsa.PORTABLE) is None
