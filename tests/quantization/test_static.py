"""The graph that ONNX Runtime really runs, for the shapes that ResNets are made of.

Long because each shape is written out as a graph.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.data.formats import encode
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY
from resnet_deploy.runners.compare import difference
from resnet_deploy.spec import ChannelOrder, FirstConv, InputContract, InputFormat, QuantSpec
from tests.support.graphs import noise, parse, run

BLOCK = """
g (float[N,3,16,16] x) => (float[N,10] logits) {
  s = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, conv1.weight, b16)
  r = Relu(s)
  m = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(m, layer1.0.conv1.weight, b16)
  ar = Relu(a)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(ar, layer1.0.conv2.weight, b16)
  d = Add(c, m)
  dr = Relu(d)
  p = GlobalAveragePool(dr)
  f = Flatten(p)
  logits = Gemm<transB=1>(f, fc.weight, fc.bias)
}
"""
WEIGHTS = {
    "conv1.weight": noise(16, 3, 3, 3) / 5,
    "layer1.0.conv1.weight": noise(16, 16, 3, 3, seed=1) / 12,
    "layer1.0.conv2.weight": noise(16, 16, 3, 3, seed=2) / 12,
    "b16": noise(16, seed=3) / 5,
    "fc.weight": noise(10, 16, seed=4),
    "fc.bias": noise(10, seed=5),
}


def quantize(model: onnx.ModelProto, shape: tuple[int, ...], spec: QuantSpec | None = None):
    batches = [noise(8, *shape, seed=seed) for seed in range(2)]
    return quantize_static(model, spec or QuantSpec(), batches, images=16).write(
        spec.exclude if spec else ()
    )


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.int8.onnx"
    onnx.save(model, path)
    return path


def test_a_residual_block_runs_in_int8_throughout(tmp_path: Path) -> None:
    """The bias is shared on purpose: exporters merge the zero biases of untrained nets."""
    model = parse(BLOCK, WEIGHTS)
    quantized = quantize(model, (3, 16, 16))

    inspection = inspect_int8(saved(quantized, tmp_path))

    assert inspection.passed, inspection.float_ops
    assert inspection.op_counts["QLinearConv"] == 3
    assert inspection.op_counts["QLinearAdd"] == 1
    assert "DequantizeLinear" not in inspection.op_counts
    x = noise(16, 3, 16, 16, seed=7)
    expected = run(model, x)
    for optimise in (False, True):
        got = run(quantized, x, optimise=optimise)
        assert difference("y", expected, got).sqnr_db > 25


def test_option_a_shortcut_stays_int8(tmp_path: Path) -> None:
    text = """
    g (float[N,8,8,8] x) => (float[N,16] y) {
      c = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x, conv.weight, bias)
      s = Slice(x, start, end, axes, step)
      p = Pad(s, pads)
      d = Add(c, p)
      r = Relu(d)
      g = GlobalAveragePool(r)
      f = Flatten(g)
      y = Gemm<transB=1>(f, fc.weight)
    }
    """
    weights = {
        "conv.weight": noise(16, 8, 3, 3) / 8,
        "bias": noise(16),
        "fc.weight": noise(16, 16),
        "start": np.zeros(2, np.int64),
        "end": np.full(2, 2**31 - 1, np.int64),
        "axes": np.array([2, 3], np.int64),
        "step": np.array([2, 2], np.int64),
        "pads": np.array([0, 4, 0, 0, 0, 4, 0, 0], np.int64),
    }
    inspection = inspect_int8(saved(quantize(parse(text, weights), (8, 8, 8)), tmp_path))
    assert inspection.passed, inspection.float_ops
    assert inspection.op_counts["QLinearConv"] == 2


def test_a_stride_2_stem_over_three_channels_reads_blocks(tmp_path: Path) -> None:
    text = """
    g (float[N,3,32,32] x) => (float[N,16] y) {
      c = Conv<kernel_shape=[7,7], pads=[3,3,3,3], strides=[2,2]>(x, conv1.weight, bias)
      r = Relu(c)
      g = GlobalAveragePool(r)
      f = Flatten(g)
      y = Gemm<transB=1>(f, fc.weight)
    }
    """
    weights = {"conv1.weight": noise(16, 3, 7, 7), "bias": noise(16), "fc.weight": noise(16, 16)}
    inspection = inspect_int8(saved(quantize(parse(text, weights), (3, 32, 32)), tmp_path))
    assert inspection.passed, inspection.float_ops
    assert inspection.op_counts["SpaceToDepth"] == 1


def test_batchnorm_of_a_foreign_file_is_folded_first(tmp_path: Path) -> None:
    text = """
    g (float[N,4,8,8] x) => (float[N,4] y) {
      c = Conv<kernel_shape=[1,1]>(x, w)
      b = BatchNormalization(c, one, one, one, one)
      r = Relu(b)
      m = ReduceMean<axes=[2,3], keepdims=0>(r)
      y = Gemm<transB=1>(m, v)
    }
    """
    weights = {"w": noise(4, 4, 1, 1), "one": np.ones(4, np.float32), "v": noise(4, 4)}
    inspection = inspect_int8(saved(quantize(parse(text, weights), (4, 8, 8)), tmp_path))
    assert inspection.passed, inspection.float_ops


def test_an_operator_without_int8_kernel_is_named(tmp_path: Path) -> None:
    text = BLOCK.replace("dr = Relu(d)", "dr = Elu(d)")
    inspection = inspect_int8(saved(quantize(parse(text, WEIGHTS), (3, 16, 16)), tmp_path))

    assert not inspection.passed
    reasons = {operator.op_type: operator.reason for operator in inspection.float_ops}
    assert "no int8 kernel for Elu" in reasons["Elu"]


def test_excluded_layers_stay_float(tmp_path: Path) -> None:
    spec = QuantSpec(exclude=("layer1.0.conv2",))
    inspection = inspect_int8(saved(quantize(parse(BLOCK, WEIGHTS), (3, 16, 16), spec), tmp_path))
    convs = {operator.layer for operator in inspection.float_ops if "Conv" in operator.op_type}
    assert convs == {"layer1.0.conv2"}


def test_a_glob_that_matches_nothing() -> None:
    with pytest.raises(SpecError, match=r"'layer9\.\*' matches no layer"):
        quantize(parse(BLOCK, WEIGHTS), (3, 16, 16), QuantSpec(exclude=("layer9.*",)))


def test_a_file_that_is_int8_already() -> None:
    quantized = quantize(parse(BLOCK, WEIGHTS), (3, 16, 16))
    with pytest.raises(UnsupportedGraphError, match="int8 already"):
        quantize(quantized, (3, 16, 16))


def test_nothing_to_quantize() -> None:
    text = "g (float[N,3,4,4] x) => (float[N,3,4,4] y) { y = Elu(x) }"
    with pytest.raises(UnsupportedGraphError, match="no convolution"):
        quantize(parse(text), (3, 4, 4))


def test_a_fixed_batch_size_is_fed_whole(tmp_path: Path) -> None:
    model = parse(BLOCK.replace("[N,", "[3,"), WEIGHTS)
    quantized = quantize(model, (3, 16, 16))
    assert inspect_int8(saved(quantized, tmp_path)).passed


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (
        quantize(parse(BLOCK, WEIGHTS), (3, 16, 16)).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second


def test_the_broken_pattern_is_explained(tmp_path: Path) -> None:
    """A zero point other than 0 behind a ReLU leaves the convolution in float, silently."""
    quantized = quantize(parse(BLOCK, WEIGHTS), (3, 16, 16))
    (zero_point,) = (t for t in quantized.graph.initializer if t.name == "relu_1.zero_point")
    zero_point.CopyFrom(onnx.numpy_helper.from_array(np.array(3, np.uint8), zero_point.name))
    inspection = inspect_int8(saved(quantized, tmp_path))
    reasons = [operator.reason for operator in inspection.float_ops if "Conv" in operator.op_type]
    assert any("zero point other than 0" in reason for reason in reasons)


def test_every_image_counts_for_a_model_of_batch_size_1() -> None:
    text = "g (float[1,3,4,4] x) => (float[1,3,4,4] y) { c = Conv(x, w)\n y = Relu(c) }"
    batch = np.zeros((4, 3, 4, 4), np.float32)
    batch[3] = 100.0
    model = parse(text, {"w": noise(3, 3, 1, 1)})
    histograms = observe(model, ["x", "y"], [batch], images=4)
    assert histograms["x"].high == 100.0
    assert histograms["y"].high > 10.0


def test_excluded_layers_give_the_same_bytes_every_time() -> None:
    spec = QuantSpec(exclude=("layer1.0.conv2", "conv1", "layer1.0.conv1"))
    models = {
        quantize(parse(BLOCK, WEIGHTS), (3, 16, 16), spec).SerializeToString(deterministic=True)
        for _ in range(4)
    }
    assert len(models) == 1


def test_only_what_was_excluded_may_run_in_float(tmp_path: Path) -> None:
    text = BLOCK.replace("dr = Relu(d)", "dr = Elu(d)")
    spec = QuantSpec(exclude=("conv1",))
    path = saved(quantize(parse(text, WEIGHTS), (3, 16, 16), spec), tmp_path)
    inspection = inspect_int8(path, spec.exclude)
    assert not inspection.passed
    operators = inspection.float_ops
    assert {operator.op_type for operator in operators if not operator.requested} >= {"Elu"}
    assert any(operator.layer == "conv1" and operator.requested for operator in operators)
    path = saved(quantize(parse(BLOCK, WEIGHTS), (3, 16, 16), spec), tmp_path)
    assert inspect_int8(path, spec.exclude).passed


def test_a_weight_of_two_layers(tmp_path: Path) -> None:
    text = """
    g (float[N,4,8,8] x) => (float[N,4] y) {
      a = Conv<kernel_shape=[1,1]>(x, w)
      r = Relu(a)
      b = Conv<kernel_shape=[1,1]>(r, w)
      p = GlobalAveragePool(b)
      f = Flatten(p)
      y = Gemm<transB=1>(f, v)
    }
    """
    model = parse(text, {"w": noise(4, 4, 1, 1), "v": noise(4, 4)})
    assert inspect_int8(saved(quantize(model, (4, 8, 8)), tmp_path)).passed


def test_arithmetic_on_shapes_is_left_alone(tmp_path: Path) -> None:
    text = """
    g (float[N,4,2,2] x) => (float[a,b] y) {
      c = Conv<kernel_shape=[1,1]>(x, w)
      shape = Shape(c)
      n = Gather(shape, zero)
      d = Gather(shape, one)
      four = Mul(d, d4)
      target = Concat<axis=0>(n, minus)
      r = Reshape(c, target)
      y = Gemm<transB=1>(r, v)
    }
    """
    weights = {
        "w": noise(4, 4, 1, 1),
        "v": noise(3, 16),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "d4": np.array([4], np.int64),
        "minus": np.array([-1], np.int64),
    }
    model = parse(text, weights)
    x = noise(2, 4, 2, 2)
    assert run(quantize(model, (4, 2, 2)), x).shape == run(model, x).shape


STEM = """
g (float[N,3,32,32] x) => (float[N,8] y) {
  c = Conv<kernel_shape=[7,7], pads=[3,3,3,3], strides=[2,2]>(x, conv1.weight, b)
  r = Relu(c)
  p = GlobalAveragePool(r)
  y = Flatten(p)
}
"""


@pytest.mark.parametrize(
    "contract",
    [
        InputContract.for_size(16),
        replace(InputContract.for_size(16), mean=(0.5,) * 3, std=(0.5,) * 3),
        replace(InputContract.for_size(16), range=(-1.0, 1.0), mean=(0.0,) * 3, std=(1.0,) * 3),
        replace(InputContract.for_size(16), range=(0.0, 255.0), mean=(0.0,) * 3, std=(1.0,) * 3),
        replace(
            InputContract.for_size(16),
            range=(0.0, 255.0),
            channel_order=ChannelOrder.BGR,
            mean=(103.939, 116.779, 123.68),
            std=(1.0,) * 3,
        ),
        replace(
            InputContract.for_size(16), channel_order=ChannelOrder.GREY, mean=(0.5,), std=(0.25,)
        ),
        replace(InputContract.for_size(16), format=InputFormat.FLOAT_NHWC),
    ],
)
def test_the_codes_of_an_input_are_the_pixels(contract: InputContract) -> None:
    """Every grey level has its own code; means of a half would make a tie of each."""
    channels, last = contract.channels, contract.format.channels_last
    shape = "N,16,16,C" if last else "N,C,16,16"
    front = "t = Transpose<perm=[0,3,1,2]>(x)" if last else "t = Identity(x)"
    text = f"""g (float[{shape.replace("C", str(channels))}] x) => (float[N,8,14,14] y) {{
        {front}
        y = Conv<kernel_shape=[3,3]>(t, w)
    }}"""
    model = parse(text, {"w": noise(8, channels, 3, 3)})
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(channels, -1)
    x = encode(pixels, contract)
    net = quantize_static(
        model, QuantSpec(first_conv=FirstConv.PLAIN), [x], images=1, preprocess=contract
    )
    quantized = net.write()
    codes = next(node for node in quantized.graph.node if node.op_type == "QuantizeLinear")
    del quantized.graph.output[:]
    quantized.graph.output.append(
        onnx.helper.make_tensor_value_info(
            codes.output[0], onnx.TensorProto.UINT8, ["N", channels, 16, 16]
        )
    )
    np.testing.assert_array_equal(run(quantized, x), pixels.transpose(0, 3, 1, 2))


def test_an_assumed_normalisation_gives_the_input_a_range_like_any_other() -> None:
    model = parse(STEM, {"conv1.weight": noise(8, 3, 7, 7) / 12, "b": noise(8, seed=1)})
    contract = InputContract.for_size(32).as_assumed(["mean"])
    net = quantize_static(
        model,
        QuantSpec(first_conv=FirstConv.PLAIN),
        [noise(8, 3, 32, 32)],
        images=8,
        preprocess=contract,
    )
    assert not any(PIXELS_KEY in str(node.metadata_props) for node in net.prepared.graph.node)
    quantized = net.write()
    x = noise(8, 3, 32, 32, seed=7)
    assert difference("y", run(model, x), run(quantized, x)).sqnr_db > 25


def test_a_plain_first_convolution_stays_as_it_is(tmp_path: Path) -> None:
    model = parse(STEM, {"conv1.weight": noise(8, 3, 7, 7) / 12, "b": noise(8, seed=1)})
    net = quantize_static(
        model,
        QuantSpec(first_conv=FirstConv.PLAIN),
        [noise(8, 3, 32, 32)],
        images=8,
        preprocess=InputContract.for_size(32),
    )
    quantized = net.write()

    front = [node.op_type for node in quantized.graph.node][:3]
    assert front == ["Pad", "QuantizeLinear", "DequantizeLinear"]  # the border, exact pixels
    arrays = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer
    }
    dequantize = quantized.graph.node[2]
    assert arrays[dequantize.input[1]] == 1  # a code is a pixel
    assert arrays[dequantize.input[2]] == 0
    assert any(array.shape == (8, 3, 7, 7) for array in arrays.values())
    inspection = inspect_int8(saved(quantized, tmp_path))
    assert inspection.passed, inspection.float_ops
    x = noise(8, 3, 32, 32, seed=7)
    assert difference("y", run(model, x), run(quantized, x)).sqnr_db > 25
