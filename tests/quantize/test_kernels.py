from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from resnet_deploy.quantize.inspect import inspect_int8
from resnet_deploy.quantize.kernels import resolve_target, uses_matrix_product, weight_zero_point
from resnet_deploy.quantize.static import quantize_static
from resnet_deploy.spec import QuantSpec, TargetIsa
from tests.passes.graphs import noise, parse, run, to_ir

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
    return quantize_static(parse(DEEP, WEIGHTS), spec, batches, images=8)


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


def test_auto_is_this_cpu() -> None:
    assert resolve_target(TargetIsa.AUTO, ("avx2", "amx_int8")) is TargetIsa.X86_AMX
    assert resolve_target(TargetIsa.AUTO, ("avx512_vnni",)) is TargetIsa.PORTABLE
    assert resolve_target(TargetIsa.PORTABLE, ("amx_int8",)) is TargetIsa.PORTABLE
