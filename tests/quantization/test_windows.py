import numpy as np
import onnx_ir as ir
import pytest

from resnet_deploy.quantization.kernels import windows_of
from tests.support.graphs import parse, to_ir


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
