import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.passes.space_to_depth_stem import space_to_depth_stem
from resnet_deploy.rewrites.pixel_input import pixel_input
from tests.support.contracts import square
from tests.support.graphs import noise, op_types, parse, run, to_ir

PHOTO = square(16)
PLAIN = square(16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def stem(pads: list[int], stride: int = 1, kernel: int = 3) -> str:
    return f"""
    g (float[N,3,16,16] x) => (float[N,5,h,w] y) {{
      y = Conv<kernel_shape=[{kernel},{kernel}], pads={pads}, strides=[{stride},{stride}]>(x, w, b)
    }}
    """


def photo(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 16, 16))
    mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (PHOTO.mean, PHOTO.std))
    return pixels, ((pixels / 255 - mean) / std).astype(np.float32)


@given(pads=st.lists(st.integers(0, 2), min_size=4, max_size=4), stride=st.integers(1, 3))
def test_the_convolution_of_pixels_computes_the_same(pads: list[int], stride: int) -> None:
    model = parse(stem(pads, stride), {"w": noise(5, 3, 3, 3), "b": noise(5, seed=1)})
    graph = to_ir(model)

    assert pixel_input(graph, PHOTO) == PassResult(1)

    assert op_types(graph)[-3:] == ["Mul", "Add", "Conv"]
    _, x = photo()
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=2e-4)


def test_the_stem_behind_space_to_depth_too() -> None:
    model = parse(stem([3, 3, 3, 3], 2, 7), {"w": noise(5, 3, 7, 7), "b": noise(5, seed=1)})
    graph = to_ir(model)
    space_to_depth_stem(graph)

    assert pixel_input(graph, PHOTO) == PassResult(1)

    assert op_types(graph) == ["SpaceToDepth", "Pad", "Mul", "Add", "Conv"]
    _, x = photo()
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-3)


def test_the_convolution_reads_the_pixels_themselves() -> None:
    model = parse(stem([1, 1, 1, 1]), {"w": noise(5, 3, 3, 3), "b": noise(5, seed=1)})
    graph = to_ir(model)
    pixel_input(graph, PHOTO)
    pixels, x = photo()
    proto = ir.to_proto(graph)
    proto.graph.output[0].name = proto.graph.node[2].output[0]

    got = run(proto, x)[:, :, 1:-1, 1:-1]

    np.testing.assert_allclose(got, pixels, atol=1e-4)


def test_without_a_mean_the_convolution_pads_by_itself() -> None:
    model = parse(stem([1, 1, 1, 1]), {"w": noise(5, 3, 3, 3), "b": noise(5, seed=1)})
    graph = to_ir(model)
    pixel_input(graph, PLAIN)
    assert op_types(graph) == ["Mul", "Add", "Conv"]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (
            stem([1, 1, 1, 1]).replace("float[N,3,16,16] x", "float[N,6,16,16] x"),
            Refusal("x", "it is not known to be images of 3 channels"),
        ),
        (
            stem([1, 1, 1, 1]).replace("pads=[1, 1, 1, 1]", 'auto_pad="SAME_UPPER"'),
            Refusal("y", "it has groups or automatic padding, or is not over height and width"),
        ),
        (
            """
        g (float[N,3,16,16] x) => (float[N,5,16,16] y) {
          r = Relu(x)
          y = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, w, b)
        }
        """,
            Refusal("r", "it reads the images, and is not a convolution but Relu"),
        ),
        (
            """
        g (float[N,3,16,16] x) => (float[N,3,16,16] y) {
          r = Relu(x)
          y = Add(r, x)
        }
        """,
            Refusal("x", "several operators read it"),
        ),
        (
            stem([1, 1, 1, 1]).replace("16] x)", "16] x, float[5,3,3,3] w)"),
            Refusal("y", "its weights are computed at run time"),
        ),
    ],
    ids=["six channels", "auto_pad", "not the input", "two readers", "computed"],
)
def test_other_stems_are_left_alone(text: str, refusal: Refusal) -> None:
    channels = 6 if "N,6" in text else 3
    weights = {"w": noise(5, channels, 3, 3), "b": noise(5)}
    graph = to_ir(parse(text, {k: v for k, v in weights.items() if f"] {k})" not in text}))
    before = op_types(graph)
    assert pixel_input(graph, PHOTO) == PassResult(refusals=(refusal,))
    assert op_types(graph) == before
