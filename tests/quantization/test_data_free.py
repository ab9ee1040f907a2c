"""The distributions that are derived, against formulas, and against a trained net on images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.models.batchnorm_statistics import ChannelStatistics
from resnet_deploy.passes import run_passes
from resnet_deploy.passes.zero_pad_shortcut import zero_pad_shortcut
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.data_free import expected_histograms, expected_moments
from resnet_deploy.quantization.histogram import Histogram
from resnet_deploy.quantization.moments import Moments
from resnet_deploy.quantization.plan import Plan, make_plan
from resnet_deploy.quantization.ranges import QuantizationParameters, Range, choose_range
from resnet_deploy.quantization.weights import layer_inputs
from resnet_deploy.spec import CalibrationMethod, InputContract
from tests.support.graphs import noise, parse


def known(mean: Any, std: Any) -> ChannelStatistics:
    return ChannelStatistics(np.asarray(mean, np.float32), np.asarray(std, np.float32))


def planned(text: str, weights: Mapping[str, Any]) -> tuple[ir.Model, Plan]:
    """Return a graph whose convolutions are called after their weights, and its plan."""
    graph = ir.from_proto(parse(text, weights))
    run_passes(graph)
    zero_pad_shortcut(graph)
    return graph, make_plan(graph)


def net(body: str, channels: int = 4) -> tuple[ir.Model, Plan]:
    """Return ``body``, which makes ``z`` of ``a`` and ``b``, between convolutions."""
    text = f"""
    g (float[N,3,8,8] x) => (float[N,4,h,w] y) {{
      a = Conv<kernel_shape=[1,1]>(x, first.weight)
      b = Conv<kernel_shape=[1,1]>(x, second.weight)
      {body}
      y = Conv<kernel_shape=[1,1]>(z, last.weight)
    }}
    """
    weights = {
        "first.weight": noise(4, 3, 1, 1),
        "second.weight": noise(4, 3, 1, 1),
        "last.weight": noise(4, channels, 1, 1),
        "zero": np.float32(0),
        "six": np.float32(6),
        "offset": np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1, 1),
    }
    return planned(text, weights)


FOUR = {
    "first": known([0, 1, -1, 8], [1, 1, 1, 2]),
    "second": known([1, 0, 0, 0], [2, 1, 1, 1]),
    "last": known([0] * 4, [1] * 4),
}


def into_last(
    graph: ir.Model, plan: Plan, statistics: Mapping[str, ChannelStatistics] = FOUR
) -> tuple[Histogram, Moments]:
    """Return what is expected of ``z``: one histogram, and moments by channel."""
    last = next(node for node in graph.graph if node.metadata_props[MODULE_KEY] == "last")
    tensor = next(str(own.name) for value, own in plan.tensors.items() if value is last.inputs[0])
    codes = {
        str(value.name): QuantizationParameters.of(Range(-1000.0, 1000.0)) for value in plan.ranged
    }
    inputs = layer_inputs(graph, plan, codes)
    moments = dict(expected_moments(graph, plan, statistics, inputs))
    return expected_histograms(graph, plan, statistics)[tensor], moments[str(last.name)]


def mean_of(body: str, channels: int = 4) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = into_last(*net(body, channels))[1].mean_exact[0]
    return mean


def deviation(histogram: Histogram) -> float:
    counts = histogram.counts.astype(float)
    counts[len(counts) // 2] += histogram.zeros
    mean = np.average(histogram.centers, weights=counts)
    return float(np.sqrt(np.average((histogram.centers - mean) ** 2, weights=counts)))


@given(st.floats(-3, 3), st.floats(0.01, 10))
def test_the_mean_behind_a_relu_is_that_of_the_rectified_values(mean: float, std: float) -> None:
    graph, plan = net("z = Relu(a)")
    first = known([mean * std] * 4, [std] * 4)
    _, moments = into_last(graph, plan, {**FOUR, "first": first})
    # E[max(X, 0)] of the sum of two Laplace variables with scale 1/2, |mean| away from zero.
    tail = (3 + 2 * abs(mean)) * np.exp(-2 * abs(mean)) / 8
    assert np.allclose(moments.mean_exact / std, max(mean, 0) + tail, atol=0.06)


def test_a_convolution_has_exactly_the_mean_and_deviation_of_its_batchnorm() -> None:
    graph, plan = net("z = Add(a, b)")
    statistics = {**FOUR, "first": known([3.0] * 4, [2.0] * 4)}
    histogram = expected_histograms(graph, plan, statistics)["first"]
    assert np.average(histogram.centers, weights=histogram.counts) == pytest.approx(3, abs=0.01)
    assert deviation(histogram) == pytest.approx(2, rel=0.001)
    # The extreme of as many normal values would lie at 4 deviations.
    assert 4.5 < (histogram.high - 3) / 2 < 10


def test_the_variances_of_a_residual_sum_add_up() -> None:
    graph, plan = net("z = Add(a, b)")
    statistics = {**FOUR, "first": known([1.0] * 4, [3.0] * 4), "second": known([0] * 4, [4] * 4)}
    histogram, moments = into_last(graph, plan, statistics)
    assert np.allclose(moments.mean_exact, 1, atol=1e-4)
    assert deviation(histogram) == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize(
    ("body", "channels", "expected"),
    [
        ("s = Add(a, b) z = Add(s, offset)", 4, [2, 3, 2, 12]),
        ("s = Add(a, b) z = Mul(s, offset)", 4, [1, 2, -3, 32]),
        ("z = Concat<axis=1>(a, b)", 8, [0, 1, -1, 8, 1, 0, 0, 0]),
        ("z = GlobalAveragePool(a)", 4, [0, 1, -1, 8]),
        ("z = AveragePool<kernel_shape=[3,3]>(a)", 4, [0, 1, -1, 8]),
        ("z = MaxPool<kernel_shape=[1,1]>(a)", 4, [0, 1, -1, 8]),
    ],
)
def test_means_that_do_not_depend_on_the_distribution(
    body: str, channels: int, expected: list[float]
) -> None:
    assert np.allclose(mean_of(body, channels), expected, atol=1e-4)


def test_what_depends_on_itself_is_not_taken_for_independent() -> None:
    """x sigmoid(x) is never below -0.28; of independent factors it would be."""
    graph, plan = net("s = Sigmoid(a)\n z = Mul(a, s)")
    histogram, _ = into_last(graph, plan)
    assert -0.28 < histogram.low < -0.2


def test_a_clip_ends_the_distribution() -> None:
    graph, plan = net("z = Clip(a, zero, six)")
    histogram, moments = into_last(graph, plan)
    assert (histogram.low, histogram.high) == (0, 6)
    assert moments.mean_exact[0, 3] < 6


def test_pooling_windows_hold_values_that_differ() -> None:
    spread = deviation(into_last(*net("z = GlobalAveragePool(b)"))[0])
    assert spread == pytest.approx(deviation(into_last(*net("z = Relu(b)"))[0]), rel=0.5)
    assert (mean_of("z = MaxPool<kernel_shape=[3,3]>(b)") > mean_of("z = Relu(b)")).all()


def test_an_option_a_shortcut_copies_its_channels() -> None:
    graph, plan = planned(
        """
        g (float[N,3,8,8] x) => (float[N,2,8,8] y) {
          a = Conv<kernel_shape=[1,1]>(x, first.weight)
          p = Pad(a, pads)
          b = Conv<kernel_shape=[1,1]>(x, second.weight)
          z = Add(p, b)
          y = Conv<kernel_shape=[1,1]>(z, last.weight)
        }
        """,
        {
            "first.weight": noise(2, 3, 1, 1),
            "second.weight": noise(4, 3, 1, 1),
            "last.weight": noise(2, 4, 1, 1),
            "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0]),
        },
    )
    statistics = {**FOUR, "first": known([5, 6], [1, 1])}
    assert np.allclose(into_last(graph, plan, statistics)[1].mean_exact[0], [1, 5, 6, 0], atol=1e-4)


def test_each_tap_of_a_kernel_has_the_moments_of_its_channel() -> None:
    graph, plan = planned(
        """
        g (float[N,3,8,8] x) => (float[N,4,8,8] y) {
          a = Conv<kernel_shape=[1,1]>(x, first.weight)
          y = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=4>(a, last.weight)
        }
        """,
        {"first.weight": noise(4, 3, 1, 1), "last.weight": noise(4, 1, 3, 3)},
    )
    _, moments = into_last(graph, plan)
    assert moments.mean_exact.shape == (4, 9)
    assert np.allclose(moments.mean_exact, [[0], [1], [-1], [8]] * np.ones(9), atol=1e-4)
    assert np.allclose(moments.variance, [[1], [1], [1], [4]] * np.ones(9), rtol=0.01, atol=6)


def test_the_image_is_left_to_the_preprocessing() -> None:
    graph, plan = net("z = Add(a, b)")
    assert "x" in {value.name for value in plan.ranged}
    assert "x" not in expected_histograms(graph, plan, FOUR)


def test_the_same_statistics_give_the_same_histograms() -> None:
    first, second = (into_last(*net("z = MaxPool<kernel_shape=[2,2]>(a)"))[0] for _ in range(2))
    assert (first.counts == second.counts).all()
    assert (first.low, first.high) == (second.low, second.high)


@pytest.mark.parametrize("missing", ["first", "second"])
def test_a_convolution_without_batchnorm_is_named(missing: str) -> None:
    statistics = {name: layer for name, layer in FOUR.items() if name != missing}
    with pytest.raises(UnsupportedGraphError, match=rf"{missing} has no trained BatchNorm"):
        expected_histograms(*net("z = Add(a, b)"), statistics)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("z = Elu(a)", "Elu"),
        ("z = Concat<axis=2>(a, b)", "Concat"),
        (
            "s = Sigmoid(x)\n t = GlobalAveragePool(s)\n u = Concat<axis=1>(a, b)\n z = Elu(u)",
            "Elu",
        ),
    ],
)
def test_an_operator_that_is_not_known_is_named(body: str, named: str) -> None:
    graph, plan = net(body, 7 if "axis=1" in body else 4)
    with pytest.raises(UnsupportedGraphError, match=rf"\({named}\) can't be derived"):
        expected_histograms(graph, plan, FOUR)


def test_a_trained_net_keeps_its_ranges(shared_data: Path, cifar10_test: Path) -> None:
    """Images and BatchNorm agree within a factor of 2, for every tensor of ResNet-20."""
    from resnet_deploy.exporter import export_graph
    from resnet_deploy.loading.checkpoint import resolve
    from resnet_deploy.models.batchnorm_statistics import batchnorm_statistics
    from resnet_deploy.models.fold import fold_batchnorm
    from resnet_deploy.spec.model_request import ModelRequest

    checkpoint = shared_data / "cifar10/checkpoints/resnet20-12fca82f.th"
    module = resolve(ModelRequest(), str(checkpoint), seed=0).module
    model = export_graph(fold_batchnorm(module)[0], image_size=32, opset=17)
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    run_passes(graph)
    zero_pad_shortcut(graph)
    plan = make_plan(graph)
    expected = expected_histograms(graph, plan, batchnorm_statistics(module))
    images = calibration_images(cifar10_test, InputContract.for_size(32), samples=64)

    observed = observe(ir.to_proto(graph), list(expected), images, images=64)

    assert len(expected) == len(plan.ranged) - 1
    for name, histogram in observed.items():
        ranges = [
            choose_range(found, CalibrationMethod.MSE) for found in (expected[name], histogram)
        ]
        widths = [chosen.high - chosen.low for chosen in ranges]
        assert 0.5 < widths[0] / widths[1] < 2, name
        assert ranges[0].zero_point == 0 or "conv" in name


def test_filters_of_single_channels_are_computed_from_their_weights() -> None:
    graph = ir.from_proto(
        parse(
            """
            g (float[N,3,8,8] x) => (float[N,4,h,w] y) {
              a = Conv<kernel_shape=[1,1]>(x, first.weight)
              m = Conv<group=4, pads=[1,1,1,1], kernel_shape=[3,3]>(a, mean.weight)
              r = Slice(m, start, end, axis)
              l = Concat<axis=2>(r, m)
              s = Conv<group=4, kernel_shape=[1,1]>(l, scale.weight, scale.bias)
              z = LeakyRelu<alpha=0.5>(s)
              y = Conv<kernel_shape=[1,1]>(z, last.weight)
            }
            """,
            {
                "first.weight": noise(4, 3, 1, 1),
                "mean.weight": np.full((4, 1, 3, 3), 1 / 9, np.float32),
                "scale.weight": np.array([1, -2, 3, 1], np.float32).reshape(4, 1, 1, 1),
                "scale.bias": np.array([0, 0, 0, -1000], np.float32),
                "last.weight": noise(4, 4, 1, 1),
                "start": np.array([0]),
                "end": np.array([1]),
                "axis": np.array([2]),
            },
        )
    )
    run_passes(graph)
    statistics = {"first": known([10, 10, 10, 10], [0.1] * 4), "last": FOUR["last"]}

    _, moments = into_last(graph, make_plan(graph), statistics)

    np.testing.assert_allclose(moments.mean_exact[0], [10, -10, 30, -495], rtol=1e-3)


def test_differences_of_pixels_are_not_guessed() -> None:
    graph = ir.from_proto(
        parse(
            """
            g (float[N,3,8,8] x) => (float[N,4,h,w] y) {
              a = Conv<kernel_shape=[1,1]>(x, first.weight)
              z = Conv<group=4, kernel_shape=[3,3]>(a, edge.weight)
              y = Conv<kernel_shape=[1,1]>(z, last.weight)
            }
            """,
            {
                "first.weight": noise(4, 3, 1, 1),
                "edge.weight": noise(4, 1, 3, 3),
                "last.weight": noise(4, 4, 1, 1),
            },
        )
    )
    run_passes(graph)
    with pytest.raises(UnsupportedGraphError, match="no trained BatchNorm behind it"):
        into_last(graph, make_plan(graph))
