"""Nets with the parts that came after the paper run in int8 from the pixels to the logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from resnet_deploy.exporter import export_graph
from resnet_deploy.interpreter.module import module_from_onnx
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.spec import QuantSpec
from tests.support import family
from tests.support.graphs import noise, run

SIZE = 32


def sqnr(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


@pytest.mark.parametrize(
    ("make", "float_operators"),
    [
        (family.attention_net, set()),
        (family.sampling_net, set()),
        (family.norm_first_net, set()),
        (family.activation_net, set()),
        # A third power takes 24 bits: the pool stays in float, with its neighbours.
        (
            family.gem_net,
            {"Clip", "Pow", "GlobalAveragePool", "QuantizeLinear", "DequantizeLinear"},
        ),
    ],
)
def test_all_of_int8_runs_in_int8(
    make: Callable[[], nn.Module], float_operators: set[str], tmp_path: Path
) -> None:
    net = make().eval()
    fp32 = export_graph(fold_batchnorm(net)[0], image_size=SIZE, opset=17)
    x, images = noise(3, 3, SIZE, SIZE, seed=1), noise(16, 3, SIZE, SIZE, seed=2)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(x)).numpy()
        rebuilt = module_from_onnx(fp32)(torch.from_numpy(x))[0].numpy()
    largest = np.abs(wanted).max()
    for batch in (1, 3):
        for optimise in (False, True):
            found = run(fp32, x[:batch], optimise=optimise)
            np.testing.assert_allclose(found, wanted[:batch], atol=2e-6 * largest)
    np.testing.assert_allclose(rebuilt, wanted, atol=2e-6 * largest)

    int8 = quantize_static(fp32, QuantSpec(), [images], images=16, threads=1).write()

    onnx.save(int8, tmp_path / "net.int8.onnx")
    inspection = inspect_int8(tmp_path / "net.int8.onnx")
    assert {operator.op_type for operator in inspection.float_ops} == float_operators
    logits = run(int8, x, optimise=True)
    assert sqnr(wanted, logits) > 25
    with torch.inference_mode():
        emulated = module_from_onnx(int8)(torch.from_numpy(x))[0].numpy()
    assert sqnr(emulated, logits) > 25
