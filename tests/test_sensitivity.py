"""Which layer int8 ruins, on ONNX Runtime's real kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.errors import DatasetError
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images
from resnet_deploy.quantization.quantized import excluding
from resnet_deploy.quantization.static import QuantizedNet, quantize_static
from resnet_deploy.sensitivity import MixedPrecision, int8_layers, rank_layers, unseen_images
from resnet_deploy.spec import InputContract, QuantSpec, SessionSpec
from tests.support.graphs import noise, parse
from tests.support.ruined_net import RUINED, SIZE, ruined_net
from tests.support.sensitivity import same_turns

PREPROCESS = InputContract.for_size(SIZE)


def quantized(model: onnx.ModelProto) -> QuantizedNet:
    batches = [noise(8, *(dim.dim_value for dim in _shape(model)[1:]))]
    return quantize_static(model, QuantSpec(), batches, images=8)


def _shape(model: onnx.ModelProto):
    return model.graph.input[0].type.tensor_type.shape.dim


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruined")
    ruined_net(folder / "net.onnx", folder / "data")
    return folder


def test_the_ruined_layer_comes_first(
    ruined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_deploy.sensitivity.take_turns", same_turns)
    images = calibration_images(ruined / "data", PREPROCESS)
    net = quantize_static(
        read_model(ruined / "net.onnx"),
        QuantSpec(),
        images,
        images=len(images),
        preprocess=PREPROCESS,
    )
    test = all_images(ruined / "data", PREPROCESS, seed=0)
    baseline = Fp32Baseline(load(ruined / "net.onnx"), test, labelled=True)
    seen: list[tuple[str, int, int]] = []

    with MixedPrecision(net, (), tmp_path, threads=1) as bench:
        report = rank_layers(
            bench, baseline, model="net.onnx", progress=lambda *step: seen.append(step)
        )

    first = report.layers[0]
    assert (first.name, first.modules) == (RUINED, (RUINED, "add"))
    assert first.sqnr_gain_db > 15
    assert first.noise_removed > 0.9
    assert first.top1_gain is not None
    assert first.top1_gain > 10
    assert first.mixed.drop == pytest.approx(0, abs=5)
    assert {layer.name for layer in report.layers} == {
        "conv1",
        "layer1.conv1",
        RUINED,
        "conv3",
        "fc",
    }
    assert (report.batch_size, report.threads) == (1, 1)
    assert seen[-1] == ("measuring layers", 5, 5)


def test_the_fp32_file_is_its_own_equal(ruined: Path) -> None:
    from resnet_deploy.runners.ort_runner import OrtRunner

    test = all_images(ruined / "data", PREPROCESS, seed=0)
    baseline = Fp32Baseline(load(ruined / "net.onnx"), test, labelled=True)
    file = ruined / "net.onnx"
    found = baseline.fidelity(OrtRunner(file), file, SessionSpec())
    assert (found.samples, found.agreement, found.drop) == (64, 1.0, 0.0)
    assert found.sqnr_db > 100


def test_large_data_is_decoded_every_time(ruined: Path) -> None:
    from resnet_deploy.runners.ort_runner import OrtRunner

    test = all_images(ruined / "data", PREPROCESS, seed=0)
    opened = OrtRunner(ruined / "net.onnx"), ruined / "net.onnx", SessionSpec()
    kept = Fp32Baseline(load(ruined / "net.onnx"), test, labelled=True)
    streamed = Fp32Baseline(load(ruined / "net.onnx"), test, labelled=True, kept_bytes=0)
    assert streamed.fidelity(*opened) == kept.fidelity(*opened)


def test_classes_that_do_not_fit(ruined: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, file in enumerate(sorted((ruined / "data/0").iterdir())[:3]):
        target = data / f"kind{number}" / file.name
        target.parent.mkdir(parents=True)
        target.write_bytes(file.read_bytes())
    images = all_images(data, PREPROCESS, seed=0)
    with pytest.raises(DatasetError, match=r"net\.onnx on data: the data has 3 classes"):
        Fp32Baseline(load(ruined / "net.onnx"), images, labelled=True)


def test_unseen_images_are_others_than_those_of_calibration(ruined: Path) -> None:
    seen = calibration_images(ruined / "data", PREPROCESS, samples=8)
    unseen = unseen_images(seen, seed=0)
    assert len(unseen) == 64
    assert unseen.indices[:8] != seen.indices


def test_a_fixed_batch_size(tmp_path: Path) -> None:
    text = """
    g (float[4,3,16,16] x) => (float[4,5] y) {
      a = Conv<kernel_shape=[3,3]>(x, conv1.weight)
      r = Relu(a)
      b = Conv<kernel_shape=[3,3]>(r, conv2.weight)
      p = GlobalAveragePool(b)
      f = Flatten(p)
      y = Gemm<transB=1>(f, fc.weight)
    }
    """
    weights = {
        "conv1.weight": noise(8, 3, 3, 3) / 5,
        "conv2.weight": noise(8, 8, 3, 3) / 8,
        "fc.weight": noise(5, 8),
    }
    model = parse(text, weights)
    onnx.save(model, tmp_path / "net.onnx")
    from resnet_deploy.data.calibration import synthetic_calibration

    images = synthetic_calibration(PREPROCESS, samples=6, batch_size=6)
    baseline = Fp32Baseline(load(tmp_path / "net.onnx"), images, labelled=False)
    with MixedPrecision(quantized(model), (), tmp_path, threads=1) as bench:
        trial = bench.measure(("conv2",), baseline)
        assert bench.batch_size == 4
    assert trial.fidelity.samples == 6
    assert trial.fidelity.drop is None
    assert trial.times is not None
    assert len(trial.times.int8_ns) == len(trial.times.mixed_ns) == 20
    assert np.isfinite(trial.times.slowdown)


def test_names_are_no_globs() -> None:
    assert excluding(("layer4.*",), ("a[0]*",)) == ("layer4.*", "a[[]0][*]")


def test_excluded_layers_and_copies_are_not_ranked() -> None:
    text = """
    g (float[N,8,8,8] x) => (float[N,16] y) {
      c = Conv<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x, block.conv.weight)
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
        "block.conv.weight": noise(16, 8, 3, 3) / 8,
        "fc.weight": noise(16, 16),
        "start": np.zeros(2, np.int64),
        "end": np.full(2, 2**31 - 1, np.int64),
        "axes": np.array([2, 3], np.int64),
        "step": np.array([2, 2], np.int64),
        "pads": np.array([0, 4, 0, 0, 0, 4, 0, 0], np.int64),
    }
    net = quantized(parse(text, weights))
    assert int8_layers(net, ()) == {"block.conv": ("block.conv", "add"), "fc": ("fc",)}
    assert set(int8_layers(net, ("block*",))) == {"fc"}
