"""Metadata that says one thing twice."""

from __future__ import annotations

from pathlib import Path

import onnx

from resnet_deploy.artifact.model_file import metadata_of, read_model
from tests.support.graphs import parse

TEXT = """
g (float[N,3,8,8] x) => (float[N,3,1,1] y) {
  y = GlobalAveragePool(x)
}
"""


def test_the_last_entry_of_a_key_counts(tmp_path: Path) -> None:
    model = parse(TEXT, {})
    for key, value in (("names", "a"), ("author", "b"), ("names", "c")):
        model.metadata_props.add(key=key, value=value)
    file = tmp_path / "twice.onnx"
    onnx.save(model, file)
    assert metadata_of(read_model(file)) == {"names": "c", "author": "b"}
