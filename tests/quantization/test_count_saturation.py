import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from resnet_deploy.errors import RunnerError
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.quantization.kernels import can_overflow, weight_pairs
from resnet_deploy.report.views.saturation import sentence
from resnet_deploy.results import LayerSaturation
from tests.support.avx2 import pair_sums, saturated
from tests.support.graphs import parse, run

QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")


def codes(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def pixels(*shape: int, seed: int = 1) -> Any:
    """Whole numbers, which stand for themselves at scale 1."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def model(
    layer: str, weight: Any, size: str, rank: int = 4, *, axis: int = 0, zero_point: int = 0
) -> Any:
    """Return a QDQ graph of one layer; input codes and accumulators have scale 1."""
    names = ",".join("abcd"[:rank])
    text = f"""
    g (float[{size}] x) => (float[{names}] y) {{
      xq = QuantizeLinear(x, one, xz)
      xd = DequantizeLinear(xq, one, xz)
      wd = DequantizeLinear<axis={axis}>(w, ws, wz)
      bd = DequantizeLinear<axis=0>(b, ws, bz)
      c = {layer}
      yq = QuantizeLinear(c, ys, yz)
      y = DequantizeLinear(yq, ys, yz)
    }}
    """
    channels = weight.shape[axis]
    made = parse(
        text,
        {
            "one": np.float32(1),
            "xz": np.uint8(zero_point),
            "w": weight,
            "ws": np.ones(channels, np.float32),
            "wz": np.zeros(channels, np.int8),
            "b": np.zeros(channels, np.int32),
            "bz": np.zeros(channels, np.int32),
            "ys": np.float32(1024),
            "yz": np.uint8(128),
        },
    )
    made.graph.node[4].name = "layer"
    return made


def counted(made: onnx.ModelProto, *batches: Any, folder: Path) -> LayerSaturation:
    onnx.save(made, folder / "made.onnx")
    (layer,) = count_saturation(folder / "made.onnx", batches, data="noise").layers
    return layer


def expected(sums: Any, weight: Any) -> dict[str, int]:
    over = (sums > 32767) | (sums < -32768)
    risky = can_overflow(weight_pairs(weight))  # (channels, pairs)
    candidates = np.where(risky[None, :, None, None], sums, 0)
    return {
        "weight_pairs": risky.size,
        "risky": int(risky.sum()),
        "sums": sums.size,
        "overflows": int(over.sum()),
        "outputs": sums[..., 0].size,
        "touched": int(over.any(axis=-1).sum()),
        "largest": int(np.abs(candidates).max()),
    }


def figures(layer: LayerSaturation) -> dict[str, int]:
    found = {
        name: getattr(layer, name) for name in expected(np.zeros((1, 1, 1, 1, 1)), codes(1, 2))
    }
    return found | {"largest": abs(found["largest"])}


@pytest.mark.parametrize(
    ("shape", "attributes", "options"),
    [
        ((8, 4, 3, 3), "pads=[1,1,1,1]", {"pads": (1, 1, 1, 1)}),
        ((8, 3, 3, 3), "strides=[2,1]", {"strides": (2, 1)}),
        ((4, 2, 3, 3), "group=2, pads=[0,1,2,0]", {"group": 2, "pads": (0, 1, 2, 0)}),
        ((4, 6, 2, 3), "dilations=[2,1]", {"dilations": (2, 1)}),
        ((6, 12, 1, 1), "strides=[2,2]", {"strides": (2, 2)}),
        ((6, 5, 1, 1), 'auto_pad="VALID"', {}),
        (
            (4, 4, 3, 3),
            'auto_pad="SAME_UPPER", strides=[2,2]',
            {"strides": (2, 2), "pads": (0, 0, 1, 1)},
        ),
        ((4, 4, 2, 2), 'auto_pad="SAME_LOWER"', {"pads": (1, 1, 0, 0)}),
    ],
)
@pytest.mark.parametrize("zero_point", [0, 200])
def test_convolutions_are_counted_exactly(
    shape: tuple[int, ...], attributes: str, options: Any, zero_point: int, tmp_path: Path
) -> None:
    weight = codes(*shape)
    channels = shape[1] * options.get("group", 1)
    images = pixels(5, channels, 8, 8)
    made = model(
        f"Conv<{attributes}>(xd, wd, bd)", weight, f"N,{channels},8,8", zero_point=zero_point
    )
    layer = counted(made, images[:3] - zero_point, images[3:] - zero_point, folder=tmp_path)
    sums = pair_sums(images, weight, zero_point=zero_point, **options)
    assert figures(layer) == expected(sums, weight)
    assert layer.overflows


@pytest.mark.parametrize(
    ("operator", "axis"),
    [
        ("Gemm<transB=1>(xd, wd, bd)", 0),
        ("Gemm(xd, wd, bd)", 1),
        ("MatMul(xd, wd)", 1),
    ],
)
def test_linear_layers_are_counted_exactly(operator: str, axis: int, tmp_path: Path) -> None:
    weight, images = codes(6, 7), pixels(9, 7)
    made = model(operator, weight if axis == 0 else weight.T.copy(), "N,7", 2, axis=axis)
    layer = counted(made, images, folder=tmp_path)
    sums = pair_sums(images[:, :, None, None], weight[:, :, None, None])
    assert figures(layer) == expected(sums, weight)


def test_a_model_of_fixed_batch_size_counts_every_image_once(tmp_path: Path) -> None:
    weight, images = codes(4, 4, 1, 1), pixels(5, 4, 3, 3)
    layer = counted(model("Conv(xd, wd, bd)", weight, "2,4,3,3"), images, folder=tmp_path)
    assert figures(layer) == expected(pair_sums(images, weight), weight)


def test_weights_of_a_matrix_product_count_as_they_are_stored(tmp_path: Path) -> None:
    """With zero point -1, ONNX Runtime multiplies the codes and subtracts afterwards."""
    weight = np.full((16, 4, 1, 1), -64, np.int8)
    made = model("Conv(xd, wd, bd)", weight, "N,4,2,2")
    for tensor in made.graph.initializer:
        if tensor.name == "wz":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(16, -1, np.int8), "wz"))
    assert counted(made, folder=tmp_path).risky == 0
    made = model("Conv(xd, wd, bd)", weight - 1, "N,4,2,2")
    assert counted(made, pixels(1, 4, 2, 2), folder=tmp_path).risky == 32


def test_depthwise_convolutions_add_up_in_32_bits(tmp_path: Path) -> None:
    made = model("Conv<group=4>(xd, wd, bd)", codes(4, 1, 3, 3), "N,4,8,8")
    onnx.save(made, tmp_path / "made.onnx")
    with pytest.raises(RunnerError, match="no layers with s8 weights"):
        count_saturation(tmp_path / "made.onnx", [], data="nothing")


def test_safe_weights_need_no_images(tmp_path: Path) -> None:
    weight = np.array([[64, 64, -64, -64], [127, -128, 1, 0]], np.int8)[:, :, None, None]
    onnx.save(model("Conv(xd, wd, bd)", weight, "N,4,2,2"), tmp_path / "made.onnx")
    report = count_saturation(tmp_path / "made.onnx", [], data="nothing")
    assert report.always_safe
    assert report.safe
    assert report.images == 0
    assert sentence(report).endswith("yes, whatever the image")


def test_risky_weights_need_images(tmp_path: Path) -> None:
    made = model("Conv(xd, wd, bd)", np.full((2, 4, 1, 1), 65, np.int8), "N,4,2,2")
    with pytest.raises(RunnerError, match="nothing to count"):
        counted(made, folder=tmp_path)
    onnx.save(made, tmp_path / "made.onnx")
    dark = count_saturation(
        tmp_path / "made.onnx", [np.full((3, 4, 2, 2), 252.0, "f4")], data="dark"
    )
    assert dark.safe
    assert not dark.always_safe
    assert dark.layers[0].largest == 2 * 65 * 252
    assert "yes on 3 images of dark" in sentence(dark)


@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64-static is not installed")
def test_the_real_kernels_add_up_the_same_pairs(tmp_path: Path) -> None:
    """ONNX Runtime's own AVX2 kernels: direct convolution, matrix product, odd inputs, groups."""
    cases = [
        ((16, 4, 3, 3), 1),
        ((16, 8, 1, 1), 1),
        ((4, 3, 3, 3), 1),
        ((16, 3, 3, 3), 1),
        ((6, 5, 1, 1), 1),
        ((8, 6, 3, 3), 2),
        ((8, 1, 3, 3), 4),
    ]
    expected_outputs = []
    for number, (shape, group) in enumerate(cases):
        weight, images = codes(*shape), pixels(2, shape[1] * group, 6, 6)
        made = model(f"Conv<group={group}>(xd, wd, bd)", weight, f"N,{shape[1] * group},6,6")
        onnx.save(made, tmp_path / f"{number}.onnx")
        np.save(tmp_path / f"{number}.npy", images)
        sums = pair_sums(images, weight, group=group)
        expected_outputs.append(rounded(saturated(sums)))
        np.testing.assert_array_equal(run(made, images), rounded(sums.sum(axis=-1)))
    program = (
        "import numpy, onnxruntime\n"
        f"for number in range({len(cases)}):\n"
        "    session = onnxruntime.InferenceSession(f'{number}.onnx')\n"
        "    y = session.run(None, {'x': numpy.load(f'{number}.npy')})[0]\n"
        "    numpy.save(f'{number}.npy', y)\n"
    )
    assert QEMU is not None
    command = [QEMU, "-cpu", "Haswell", sys.executable, "-c", program]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for number, outputs in enumerate(expected_outputs):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), outputs, str(number))


def rounded(accumulators: Any) -> Any:
    """Return what the output's Q and DQ make of int32 accumulators."""
    return np.clip(np.rint(accumulators / 1024), -128, 127).astype(np.float32) * 1024
