"""A linear layer on every pixel is a 1x1 convolution, and takes the LayerScale behind it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from resnet_deploy.arrays import Array
from resnet_deploy.passes.affine_into_layer import affine_into_layer
from resnet_deploy.passes.matmul_to_conv import matmul_to_conv
from tests.support.graphs import noise, parse


def test_layer_scale_goes_into_the_layer_in_front() -> None:
    model = parse(
        """
        g (float[N, 4, 3, 3] x) => (float[N, 4, 3, 3] y) {
            last = Transpose<perm = [0, 2, 3, 1]>(x)
            product = MatMul(last, w)
            linear = Add(product, b)
            first = Transpose<perm = [0, 3, 1, 2]>(linear)
            scaled = Mul(gamma, first)
            y = Add(scaled, x)
        }
        """,
        {"w": noise(4, 4, seed=0), "b": noise(4, seed=1), "gamma": noise(4, 1, 1, seed=2)},
    )
    x = noise(2, 4, 3, 3, seed=3)

    def run(data: bytes) -> Array:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"x": x})[0])

    before = run(model.SerializeToString())
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    assert matmul_to_conv(graph).count == 1
    assert affine_into_layer(graph).count == 1
    assert [node.op_type for node in graph.graph] == ["Transpose", "Transpose", "Conv", "Add"]
    np.testing.assert_allclose(run(ir.to_proto(graph).SerializeToString()), before, atol=1e-5)
