"""Files in half and double precision."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from resnet_deploy.artifact.card import CARD_KEY
from resnet_deploy.artifact.model_file import metadata_of, read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.canonical.floats import STORED_KEY, stored_types, widen_floats
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.runners.torch_runner import TorchRunner
from resnet_deploy.verification import FP16_PROBABILITIES, default_tolerance
from tests.support.graphs import noise, parse, run

INSIDE = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  h = Cast<to = 10>(x)
  c = Conv(h, w, b)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  y = Cast<to = 1>(f)
}
"""
THROUGHOUT = """
g (float16[N,3,8,8] x) => (float16[N,4] y) {
  c = Conv(x, w, b)
  p = GlobalAveragePool(c)
  y = Flatten(p)
}
"""
WEIGHTS = {"w": noise(4, 3, 3, 3), "b": noise(4)}


def _half() -> dict[str, object]:
    return {name: array.astype(np.float16) for name, array in WEIGHTS.items()}


def test_weights_are_widened_exactly_and_casts_go() -> None:
    model = parse(INSIDE, _half())
    assert widen_floats(model) > 0
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert (kinds[0], kinds[-1]) == ("Conv", "Identity")
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(weight, WEIGHTS["w"].astype(np.float16).astype(np.float32))
    x = noise(2, 3, 8, 8)
    np.testing.assert_allclose(run(model, x), run(parse(INSIDE, _half()), x), atol=5e-3)


def test_casts_that_mixed_precision_left_in_a_float32_graph_go() -> None:
    text = INSIDE.replace("to = 10", "to = 1")
    model = parse(text, dict(WEIGHTS))
    assert widen_floats(model) == 2
    assert "Cast" not in [node.op_type for node in model.graph.node]
    assert not stored_types(model), "the file is float32"
    x = noise(2, 3, 8, 8)
    np.testing.assert_array_equal(run(model, x), run(parse(text, dict(WEIGHTS)), x))


def test_a_cast_from_bytes_stays() -> None:
    text = INSIDE.replace("float[N,3,8,8] x", "uint8[N,3,8,8] x")
    model = parse(text, _half())
    widen_floats(model)
    assert model.graph.node[0].op_type == "Cast"
    assert model.graph.node[0].attribute[0].i == TensorProto.FLOAT
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("text", [INSIDE, THROUGHOUT])
def test_a_file_says_what_it_is_and_runs_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parse(text, _half()), path)
    artifact = load(path)
    assert artifact.precision == "fp16"
    assert artifact.input.dtype == ("float32" if text is INSIDE else "float16")
    assert input_preprocess(artifact).channels == 3
    x = noise(2, 3, 8, 8)
    with closing(OrtRunner(path)) as runner, closing(TorchRunner(path)) as reference:
        got, right = runner.infer(x), reference.infer(x)
    assert got.dtype == right.dtype == np.float32
    tolerance = default_tolerance(artifact, 2, meaningful=False).max_relative
    assert tolerance == 1e-2
    assert 0 < np.abs(got - right).max() / np.abs(right).max() < tolerance


def test_doubles_of_layers_are_narrowed_and_those_of_sizes_stay() -> None:
    text = THROUGHOUT.replace("float16", "double").replace("y = Flatten(p)", "y = Flatten(p)")
    model = parse(text, {name: array.astype(np.float64) for name, array in WEIGHTS.items()})
    assert widen_floats(model) > 0
    assert stored_types(model)["x"] == "float64"
    sizes = (
        "g (float[N,3,8,8] x) => (float[N,3,8,8] y) { h = Cast<to = 11>(x)\n y = Cast<to = 1>(h) }"
    )
    plain = parse(sizes)
    before = plain.SerializeToString()
    assert widen_floats(plain) == 0
    assert plain.SerializeToString() == before


def test_what_was_stored_is_never_believed_of_a_file_nor_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = parse(INSIDE.replace("10", "1"), WEIGHTS)
    model.metadata_props.add(key=STORED_KEY, value="no json")
    onnx.save(model, path)
    assert STORED_KEY not in metadata_of(read_model(path))
    assert load(path).precision == "fp32"
    assert CARD_KEY not in metadata_of(read_model(path))


def test_probabilities_may_be_further_off_than_logits() -> None:
    assert FP16_PROBABILITIES.max_relative == 0.1


@pytest.mark.parametrize(("name", "number"), [("double", 11), ("float16", 10)])
def test_ends_of_another_type_around_float32_are_widened_too(
    name: str, number: int, tmp_path: Path
) -> None:
    text = THROUGHOUT.replace("float16", name).replace("Conv(x", "Conv(h").replace("y = F", "z = F")
    text = text.replace("{\n", "{\n  h = Cast<to = 1>(x)\n").replace(
        "}", f"  y = Cast<to = {number}>(z)\n}}"
    )
    model = parse(text, WEIGHTS)
    file = tmp_path / "ends.onnx"
    onnx.save(model, file)
    described = load(file)
    dtype = {"double": "float64"}.get(name, name)
    assert (described.input.dtype, described.output.dtype) == (dtype, dtype)
    assert described.precision == "fp32"
    read = read_model(file)
    ends = (*read.graph.input, *read.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
    x = noise(2, 3, 8, 8)
    plain = run(model, x.astype(dtype))
    np.testing.assert_allclose(run(read, x), plain, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("kind", "name"), [("double", "float64"), ("bfloat16", "bfloat16")])
def test_convolutions_that_no_runtime_has_run_in_float32(
    kind: str, name: str, tmp_path: Path
) -> None:
    text = f"""net ({kind}[N,3,4,4] x) => ({kind}[N,5,1,1] y) {{
        c = Conv(x, w)
        y = GlobalAveragePool(c)
    }}"""
    values = noise(5, 3, 3, 3)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind.upper()))
    model = parse(text, {"w": values.astype(dtype)}, opset=22)
    onnx.save(model, tmp_path / "net.onnx")
    artifact = load(tmp_path / "net.onnx")
    assert (artifact.input.dtype, artifact.stored) == ("float32", "float32")
    assert name in artifact.notices[-1]
    plain = parse(text.replace(kind, "float"), {"w": values}, opset=22)
    x = noise(2, 3, 4, 4, seed=1)
    with closing(OrtRunner(artifact.plain)) as runner:
        np.testing.assert_allclose(runner.infer(x), run(plain, x), rtol=2e-2, atol=2e-2)
