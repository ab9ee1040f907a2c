"""Weights in a second file, in the cache of a hub and where they may not be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from resnet_deploy.artifact.model_file import bytes_of, read_model
from resnet_deploy.errors import ArtifactError
from tests.support.cards import tiny


def saved(folder: Path, **entries: str) -> Path:
    """Return a model in ``folder`` whose first weights lie in ``m.data``, or where entries say."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny()
    tensor = model.graph.initializer[0]
    (folder / "m.data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "m.data", **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def hub(root: Path, data: str = "../../blobs/bb") -> Path:
    """Return the model of a snapshot that is links into a folder of blobs."""
    path = saved(root / "blobs")
    path.rename(root / "blobs" / "aa")
    (root / "blobs" / "m.data").rename(root / "blobs" / "bb")
    snapshot = root / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "m.onnx").symlink_to("../../blobs/aa")
    (snapshot / "m.data").symlink_to(data)
    return snapshot / "m.onnx"


def test_the_cache_of_a_hub_loads_as_in_onnx_runtime(tmp_path: Path) -> None:
    path = hub(tmp_path)
    found = onnx.numpy_helper.to_array(read_model(path).graph.initializer[0])
    np.testing.assert_array_equal(found, onnx.numpy_helper.to_array(tiny().graph.initializer[0]))
    assert bytes_of(path) == sum(file.stat().st_size for file in (tmp_path / "blobs").iterdir())
    ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1 << 12))
    path = hub(tmp_path / "cache", data=str(tmp_path / "secret"))
    with pytest.raises(ArtifactError, match="points outside the model's folder"):
        read_model(path)


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({"offset": "-1"}, "another size"),
        ({"offset": "4"}, "ends before"),
        ({"offset": "99999999999999999999"}, "ends before"),
        ({"length": "8"}, "another size"),
        ({"length": "many"}, "another size"),
        ({"checksum": "0" * 40}, "not the file whose SHA-1"),
        ({"location": "none.data"}, "no such file"),
        ({"location": "m\0.data"}, "outside"),
        ({"location": "a" * 5000}, "can't be read"),
    ],
)
def test_what_is_wrong_is_one_short_line(
    tmp_path: Path, entries: Mapping[str, str], what: str
) -> None:
    path = saved(tmp_path, **entries)
    with pytest.raises(ArtifactError, match=what) as found:
        read_model(path)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < len(str(path)) + 300


def test_many_weights_of_the_same_bytes_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    model = onnx.ModelProto.FromString(path.read_bytes())
    for number in range(8):
        model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
        model.graph.initializer[-1].name = f"again{number}"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="same bytes"):
        read_model(path)


def test_a_checksum_that_is_stated_is_that_of_the_file(tmp_path: Path) -> None:
    digest = hashlib.sha1(tiny().graph.initializer[0].raw_data, usedforsecurity=False).hexdigest()
    assert read_model(saved(tmp_path, checksum=digest.upper())).graph.initializer[0].raw_data
