import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.passes.space_to_depth_stem import space_to_depth_stem
from tests.support.graphs import noise, op_types, parse, run, to_ir


def stem(kernel: tuple[int, int], pads: list[int], size: tuple[int, int], channels: int) -> str:
    return f"""
    g (float[N,{channels},{size[0]},{size[1]}] x) => (float[N,5,h,w] y) {{
      y = Conv<kernel_shape={list(kernel)}, pads={pads}, strides=[2,2]>(x, conv1.weight, b)
    }}
    """


@given(
    kernel=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    pads=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    size=st.tuples(st.integers(4, 7).map(lambda n: 2 * n), st.integers(4, 7).map(lambda n: 2 * n)),
    channels=st.integers(1, 3),
)
def test_the_rewritten_stem_computes_the_same(
    kernel: tuple[int, int], pads: list[int], size: tuple[int, int], channels: int
) -> None:
    weights = {"conv1.weight": noise(5, channels, *kernel), "b": noise(5, seed=1)}
    model = parse(stem(kernel, pads, size, channels), weights)
    graph = to_ir(model)

    assert space_to_depth_stem(graph) == PassResult(1)

    assert op_types(graph) == ["SpaceToDepth", "Conv"]
    x = noise(2, channels, *size, seed=2)
    np.testing.assert_allclose(run(graph, x), run(model, x), rtol=1e-4, atol=1e-4)


def test_the_stem_of_resnet_gets_twelve_channels_and_a_4x4_kernel() -> None:
    weights = {"conv1.weight": noise(5, 3, 7, 7), "b": noise(5)}
    graph = to_ir(parse(stem((7, 7), [3, 3, 3, 3], (224, 224), 3), weights))
    space_to_depth_stem(graph)

    conv = graph.graph[1]
    assert conv.inputs[1] is not None
    assert conv.inputs[1].const_value is not None
    assert tuple(conv.inputs[1].const_value.shape) == (5, 12, 4, 4)
    assert list(conv.attributes["pads"].as_ints()) == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            stem((7, 7), [3, 3, 3, 3], (225, 224), 3),
            "the image's height or width is odd or dynamic",
        ),
        (
            stem((7, 7), [3, 3, 3, 3], (224, 224), 3).replace("3,224,224", "3,H,W"),
            "the image's height or width is odd or dynamic",
        ),
        # They suit the fast kernel as they are.
        (
            stem((7, 7), [3, 3, 3, 3], (224, 224), 4),
            "its 4 input channels are a multiple of four already",
        ),
        (
            stem((3, 3), [1, 1, 1, 1], (32, 32), 3).replace("strides=[2,2]", "strides=[1,1]"),
            "its stride is not 2",
        ),
        (
            stem((7, 7), [3, 3, 3, 3], (32, 32), 3).replace("strides", "dilations=[2,2], strides"),
            "it has groups or dilations",
        ),
        (
            stem((7, 7), [3, 3, 3, 3], (32, 32), 3).replace(
                "pads=[3, 3, 3, 3]", 'auto_pad="SAME_UPPER"'
            ),
            "its padding is SAME_UPPER",
        ),
    ],
    ids=["odd", "dynamic", "four channels", "stride 1", "dilations", "auto_pad"],
)
def test_refuses_other_stems(text: str, reason: str) -> None:
    channels = 4 if "N,4" in text else 3
    kernel = 3 if "strides=[1,1]" in text else 7
    graph = to_ir(parse(text, {"conv1.weight": noise(5, channels, kernel, kernel), "b": noise(5)}))
    assert space_to_depth_stem(graph) == PassResult(refusals=(Refusal("y", reason),))
