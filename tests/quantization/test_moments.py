import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch.nn import functional as F

from resnet_deploy.passes import run_passes
from resnet_deploy.quantization.moments import Moments, layer_moments
from resnet_deploy.quantization.plan import make_plan
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.weights import layer_inputs
from tests.support.graphs import noise, parse, to_ir

FINE = QuantizationParameters(np.float32(1 / 4096), np.uint8(128))


def test_means_and_covariances_are_those_of_numpy() -> None:
    rows = noise(2, 5000, 6) * 3 + 40  # far from zero, where float32 sums cancel
    moments = Moments(covariance=True)
    for part in np.split(rows, 7 * [0] + [1234, 3000], axis=1):
        if part.size:
            moments.add(part, part)
    for group in range(2):
        np.testing.assert_allclose(moments.mean[group], rows[group].mean(axis=0), rtol=1e-5)
        expected = np.cov(rows[group].T, bias=True)
        covariance = moments.covariances()[group]
        assert covariance is not None
        np.testing.assert_allclose(covariance, expected, atol=1e-3)
        np.testing.assert_allclose(moments.variance[group], np.diagonal(expected), rtol=1e-3)


def test_without_covariance_only_variances_are_kept() -> None:
    rows = noise(1, 500, 6)
    moments = Moments(covariance=False)
    moments.add(rows, rows)
    assert moments.covariances() == [None]
    np.testing.assert_allclose(moments.variance[0], rows[0].var(axis=0), rtol=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_rows_times_weights_are_the_convolution(groups: int) -> None:
    weight = noise(4, 4 // groups, 3, 3)
    text = f"""
    g (float[N,4,9,9] x) => (float[N,4,5,5] y) {{
      y = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], group={groups}>(x, w)
    }}
    """
    graph = to_ir(parse(text, {"w": weight}))
    [(_, layer)] = layer_inputs(graph, make_plan(graph), {"x": FINE, "y": FINE}).items()
    x = noise(2, 4, 9, 9, seed=1)

    rows = layer.rows(x, 1000)  # (groups, N * 25, depth)

    by_group = weight.reshape(groups, 4 // groups, -1)
    y = np.concatenate([r @ w.T for r, w in zip(rows, by_group, strict=True)], axis=1)
    expected = F.conv2d(torch.tensor(x), torch.tensor(weight), stride=2, padding=1, groups=groups)
    np.testing.assert_allclose(
        y.reshape(2, 25, 4).transpose(0, 2, 1).reshape(2, 4, 5, 5), expected.numpy(), atol=1e-5
    )


def test_layers_are_met_at_their_own_inputs() -> None:
    text = """
    g (float[N,3,8,8] x) => (float[N,5] y) {
      a = Conv<kernel_shape=[1,1]>(x, w1)
      r = Relu(a)
      p = GlobalAveragePool(r)
      f = Flatten(p)
      y = Gemm<transB=1>(f, w2)
    }
    """
    model = parse(text, {"w1": noise(4, 3, 1, 1), "w2": noise(5, 4)})
    graph = to_ir(model)
    run_passes(graph)
    plan = make_plan(graph)
    wide = QuantizationParameters(np.float32(0.05), np.uint8(128))
    codes = {str(value.name): wide for value in plan.tensors}
    batches = [noise(4, 3, 8, 8, seed=seed) for seed in range(3)]

    found = dict(
        layer_moments(
            ir.to_proto(graph),
            layer_inputs(graph, plan, codes),
            batches,
            images=12,
            covariance=True,
        )
    )

    assert sorted(moments.mean.shape for moments in found.values()) == [(1, 3), (1, 4)]
    stem = next(moments for moments in found.values() if moments.mean.shape == (1, 3))
    every = np.concatenate(batches).transpose(0, 2, 3, 1).reshape(-1, 3)
    np.testing.assert_allclose(stem.mean_exact[0], every.mean(axis=0), atol=1e-5)


def test_some_rows_are_taken_from_everywhere() -> None:
    text = "g (float[N,1,32,32] x) => (float[N,1,32,32] y) { y = Conv<kernel_shape=[1,1]>(x, w) }"
    graph = to_ir(parse(text, {"w": noise(1, 1, 1, 1)}))
    [(_, layer)] = layer_inputs(graph, make_plan(graph), {"x": FINE, "y": FINE}).items()
    number = np.arange(2 * 32 * 32, dtype=np.float32).reshape(2, 1, 32, 32)

    taken = layer.rows(number, 64).ravel().astype(int)

    assert len(set(taken)) == 64
    assert len(set(taken % 32)) > 24  # columns
    assert np.ptp(np.histogram(taken, 8, (0, 2048))[0]) <= 1


def test_a_fixed_batch_size_larger_than_the_batches() -> None:
    text = "g (float[8,3,4,4] x) => (float[8,2,4,4] y) { y = Conv<kernel_shape=[1,1]>(x, w) }"
    model = parse(text, {"w": noise(2, 3, 1, 1)})
    graph = to_ir(model)
    run_passes(graph)
    plan = make_plan(graph)
    inputs = layer_inputs(graph, plan, {"x": FINE, "y": FINE})
    batches = [noise(2, 3, 4, 4, seed=seed) for seed in range(2)]

    [(_, found)] = layer_moments(ir.to_proto(graph), inputs, batches, images=4, covariance=False)

    assert found.rows == 4 * 16
    every = np.concatenate(batches).transpose(0, 2, 3, 1).reshape(-1, 3)
    np.testing.assert_allclose(found.mean_exact[0], every.mean(axis=0), atol=1e-5)
