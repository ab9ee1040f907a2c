from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.quantization.count_saturation import count_saturation, sums_can_overflow
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.kernels import (
    can_overflow,
    pair_limits,
    resolve_target,
    uses_matrix_product,
    weight_pairs,
    weight_zero_point,
    windows_of,
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


def quantized(target: TargetIsa, *, allow_overflow: bool = False) -> onnx.ModelProto:
    batches = [noise(8, 128, 6, 6)]
    spec = QuantSpec(target_isa=target, allow_overflow=allow_overflow)
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
        (("sse4.1", "avx2", "avx512f"), TargetIsa.PORTABLE),
        (("sse4.1", "avx2"), TargetIsa.PORTABLE),
        (("asimd",), TargetIsa.PORTABLE),
        (("asimd", "asimddp"), TargetIsa.PORTABLE),
        ((), TargetIsa.PORTABLE),
    ],
)
def test_auto_is_this_cpu(extensions: tuple[str, ...], expected: TargetIsa) -> None:
    assert resolve_target(TargetIsa.AUTO, extensions) is expected
    assert resolve_target(TargetIsa.PORTABLE, extensions) is TargetIsa.PORTABLE


@pytest.mark.parametrize("target", [TargetIsa.PORTABLE, TargetIsa.X86_AMX])
def test_no_file_overflows_unless_that_is_allowed(target: TargetIsa, tmp_path: Path) -> None:
    batches = [noise(8, 128, 6, 6)]
    for allowed in (False, True):
        model = quantized(target, allow_overflow=allowed)
        onnx.save(model, tmp_path / "model.onnx")
        report = count_saturation(tmp_path / "model.onnx", batches, data="noise")
        assert report.always_safe is not allowed
        assert sums_can_overflow(model) is allowed
        assert [layer.name for layer in report.layers] == ["conv1", "conv2", "fc"]


def test_depthwise_convolutions_have_no_limits() -> None:
    weight = np.ones((4, 1, 3, 3), np.float32)
    for group, depthwise in ((4, True), (2, False)):
        channels = 4 if depthwise else 2
        text = (
            f"g (float[N,{channels},8,8] x) => (float[N,a,b,c] y) "
            f"{{ y = Conv<group={group}>(x, w) }}"
        )
        (node,) = to_ir(parse(text, {"w": weight})).graph
        assert isinstance(node, ir.Node)
        assert (pair_limits(node, weight, 0) is None) == depthwise


@pytest.mark.parametrize("channels", [3, 4, 128])
def test_limits_are_those_of_the_stored_codes_of_every_target(channels: int) -> None:
    """Codes in all pairs of an overflow, by every zero point: the limits refuse exactly these."""
    text = f"g (float[N,{channels},8,8] x) => (float[N,a,b,c] y) {{ y = Conv(x, w) }}"
    weight = noise(1, channels, 3, 3)
    (node,) = to_ir(parse(text, {"w": weight})).graph
    assert isinstance(node, ir.Node)
    limits = pair_limits(node, weight, 0)
    assert limits is not None
    codes = np.random.default_rng(0).integers(-70, 71, (500, *weight.shape[1:]))
    codes[:, 0, 0, 0] = 127 * np.sign(codes[:, 0, 0, 0])
    codes[::2] = np.sign(codes[::2]) * np.minimum(np.abs(codes[::2]), 64)
    expected = np.zeros(len(codes), np.bool_)
    for target in (TargetIsa.PORTABLE, TargetIsa.X86_AMX):
        stored = codes + weight_zero_point(node, target)
        expected |= can_overflow(weight_pairs(stored)).any(axis=1)
    found = limits.exceeded(codes.reshape(len(codes), -1))
    np.testing.assert_array_equal(found, expected)
    assert channels > 4 or not found.all()


CODES = st.integers(-128, 127)


@given(CODES, CODES)
def test_overflow_is_decided_as_if_all_activations_were_tried(first: int, second: int) -> None:
    corners = [a * first + b * second for a in (0, 255) for b in (0, 255)]
    expected = max(corners) > 32767 or min(corners) < -32768
    assert can_overflow(np.array([first, second], np.int8)) == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((127, 1), False),
        ((127, 2), True),
        ((64, 64), False),
        ((64, 65), True),
        ((127, -127), False),
        ((-128, 127), False),
        ((-64, -64), False),
        ((-64, -65), True),
        ((-128, 0), False),
        ((-128, -1), True),
    ],
)
def test_limits(codes: tuple[int, int], expected: bool) -> None:
    assert can_overflow(np.array(codes, np.int8)) == expected


def test_neighbouring_inputs_of_one_tap_are_pairs() -> None:
    weight = np.array([0, 1, 10, 11, 20, 21, 30, 31]).reshape(1, 4, 1, 2)  # input, tap
    assert weight_pairs(weight).tolist() == [[[0, 10], [20, 30], [1, 11], [21, 31]]]


def test_an_odd_number_of_inputs_pairs_across_taps() -> None:
    weight = np.array([0, 1, 2, 10, 11, 12, 20, 21, 22]).reshape(1, 3, 1, 3)
    assert weight_pairs(weight).tolist() == [[[0, 10], [20, 1], [11, 21], [2, 12], [22, 0]]]


def test_pairs_of_a_linear_layer_lie_along_its_inputs() -> None:
    weight = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert weight_pairs(weight).tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert weight_pairs(weight.T, axis=1).tolist() == weight_pairs(weight).tolist()


def node_with(attributes: str) -> ir.Node:
    text = (
        f"g (float[1,1,4,5] x, float[1,1,2,2] w) => (float[n,m,h,k] y) {{ y = {attributes}(x, w) }}"
    )
    (node,) = to_ir(parse(text)).graph
    assert isinstance(node, ir.Node)
    return node


@pytest.mark.parametrize(
    ("attributes", "first", "last", "size"),
    [
        ("Conv", [[0, 1], [5, 6]], [[13, 14], [18, 19]], (3, 4)),
        ("Conv<pads=[1,0,0,1]>", [[9, 9], [0, 1]], [[14, 9], [19, 9]], (4, 5)),
        ("Conv<strides=[2,3]>", [[0, 1], [5, 6]], [[13, 14], [18, 19]], (2, 2)),
        ("Conv<dilations=[3,2]>", [[0, 2], [15, 17]], [[2, 4], [17, 19]], (1, 3)),
        ('Conv<auto_pad="SAME_UPPER">', [[0, 1], [5, 6]], [[19, 9], [9, 9]], (4, 5)),
        ('Conv<auto_pad="SAME_LOWER">', [[9, 9], [9, 0]], [[13, 14], [18, 19]], (4, 5)),
        ('Conv<auto_pad="VALID">', [[0, 1], [5, 6]], [[13, 14], [18, 19]], (3, 4)),
    ],
)
def test_every_output_pixel_sees_its_inputs(
    attributes: str, first: list[list[int]], last: list[list[int]], size: tuple[int, int]
) -> None:
    codes = np.arange(20, dtype=np.uint8).reshape(1, 1, 4, 5)
    windows = windows_of(node_with(attributes), codes, (2, 2), zero_point=9)
    assert windows.shape == (1, 1, *size, 2, 2)
    assert windows[0, 0, 0, 0].tolist() == first
    assert windows[0, 0, -1, -1].tolist() == last
