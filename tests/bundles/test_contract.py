from __future__ import annotations

from dataclasses import replace

import onnx
import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import contract_of
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.spec import OutputKind


def test_logits(tiny_export):
    contract = contract_of(load(tiny_export / "resnet8.int8.onnx"))
    assert (contract.name, contract.precision) == ("resnet8.int8", "int8")
    assert contract.input_shape == (3, 32, 32)
    assert contract.input_dtype == "float32"
    assert contract.batch is None
    assert contract.output_kind is OutputKind.LOGITS
    assert (contract.num_classes, contract.k) == (10, 0)
    assert not contract.gives_probabilities
    assert contract.labels == tuple(f"class {index}" for index in range(10))


def test_top_k_names_its_classes(output_exports):
    contract = contract_of(load(output_exports / "top-3.onnx"))
    assert (contract.num_classes, contract.k) == (10, 3)
    assert contract.output_names == ("probabilities", "classes")
    assert contract.gives_probabilities


@pytest.mark.parametrize(
    ("output", "names"), [("embedding", ("embedding",)), ("features", ("c2", "c3", "c4"))]
)
def test_arrays_have_names_and_no_classes(output_exports, output, names):
    contract = contract_of(load(output_exports / f"{output}.onnx"))
    assert contract.output_names == names
    assert (contract.has_classes, contract.num_classes, contract.labels) == (False, 0, ())


def test_every_array_must_be_float32(output_exports):
    artifact = load(output_exports / "features.onnx")
    last = replace(artifact.outputs[2], dtype="int64")
    with pytest.raises(UnsupportedGraphError, match="gives int64"):
        contract_of(replace(artifact, outputs=(*artifact.outputs[:2], last)))


def test_a_label_is_one_line(tiny_export):
    artifact = load(tiny_export / "resnet8.onnx")
    assert artifact.card is not None
    card = replace(artifact.card, labels=("a\nb\0\x9b", *"bcdefghij"))
    assert contract_of(replace(artifact, card=card)).labels[0] == "a b"


def test_labels_are_as_many_as_classes(output_exports, tmp_path):
    """A graph that gives the best classes does not say how many there are to name."""
    model = onnx.load(output_exports / "top-3.onnx")
    model.metadata_props.add(key="names", value="['a', 'b']")
    onnx.save(model, tmp_path / "named.onnx")
    artifact = load(tmp_path / "named.onnx")
    with pytest.raises(UnsupportedGraphError, match="2 labels for 10 classes"):
        contract_of(artifact)


def test_other_outputs_than_float32_are_refused(tiny_export):
    artifact = load(tiny_export / "resnet8.onnx")
    output = replace(artifact.output, dtype="float64")
    with pytest.raises(UnsupportedGraphError, match="gives float64"):
        contract_of(replace(artifact, outputs=(output,)))


def test_foreign_top_k_is_refused(output_exports):
    artifact = replace(load(output_exports / "top-3.onnx"), card=None)
    with pytest.raises(UnsupportedGraphError, match="how many classes"):
        contract_of(artifact)
