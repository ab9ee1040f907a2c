"""The model repository, by the schemas that Triton and KServe publish."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.manifest import described
from resnet_deploy.bundles.triton import model_name
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.spec import BundleRuntime, BundleTarget, InputFormat
from tests.support.contracts import drawn
from tests.support.tiny_model import save_colour_model
from tests.support.triton_models import resizing_model, top_2_model

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "int64": "TYPE_INT64"}


def bundled(model: Path, folder: Path, runtime: BundleRuntime = BundleRuntime.AUTO) -> Path:
    pack(model, BundleTarget.TRITON, folder, runtime=runtime)
    (repository,) = (folder / "model_repository").iterdir()
    return repository


def config(schema: Any, repository: Path, backend: str = "onnxruntime") -> Any:
    text = (repository / "config.pbtxt").read_text(encoding="ascii")
    found = text_format.Parse(text, schema.ModelConfig())
    assert found.name == repository.name
    assert found.backend == backend
    assert (repository / "1" / found.default_model_filename).is_file()
    assert found.version_policy.latest.num_versions == 1
    return found


def test_a_file_of_any_batch_size(tiny_export: Path, tmp_path: Path, schema: Any) -> None:
    repository = bundled(tiny_export / "resnet8.int8.onnx", tmp_path)
    assert repository.name == "resnet8-int8"
    found, artifact = config(schema, repository), load(repository / "1/model.onnx")

    assert found.max_batch_size == 8
    assert list(found.dynamic_batching.preferred_batch_size) == [4, 8]
    assert 0 < found.dynamic_batching.max_queue_delay_microseconds < 10_000
    (entry,), (output,) = found.input, found.output
    assert (entry.name, tuple(entry.dims)) == (artifact.input.name, artifact.input.shape[1:])
    assert schema.DataType.Name(entry.data_type) == TYPES[artifact.input.dtype]
    assert (output.name, tuple(output.dims)) == (artifact.output.name, artifact.output.shape[1:])
    assert schema.DataType.Name(output.data_type) == TYPES[artifact.output.dtype]
    labels = (repository / output.label_filename).read_text().splitlines()
    assert len(labels) == 10

    (group,) = found.instance_group
    assert group.kind == schema.ModelInstanceGroup.KIND_CPU
    assert (group.count, found.parameters["intra_op_thread_count"].string_value) == (2, "2")
    assert [request.batch_size for request in found.model_warmup] == [1, 8]
    for request in found.model_warmup:
        warm = request.inputs[entry.name]
        assert (warm.data_type, list(warm.dims)) == (entry.data_type, list(entry.dims))
        assert warm.zero_data


def test_top_k_has_two_outputs_and_no_labels(tmp_path: Path, schema: Any) -> None:
    found = config(schema, bundled(top_2_model(tmp_path / "net.onnx"), tmp_path / "b"))
    assert [(output.name, list(output.dims), output.label_filename) for output in found.output] == [
        ("probabilities", [2], ""),
        ("classes", [2], ""),
    ]
    assert schema.DataType.Name(found.output[1].data_type) == "TYPE_INT64"


def test_a_fixed_batch_size_is_a_dimension(tmp_path: Path, schema: Any) -> None:
    model = save_colour_model(tmp_path / "net.onnx", shape=(4, 3, 8, 8)).path
    found = config(schema, bundled(model, tmp_path / "b"))
    assert found.max_batch_size == 0
    assert not found.HasField("dynamic_batching")
    assert [list(found.input[0].dims), list(found.output[0].dims)] == [[4, 3, 8, 8], [4, 3]]
    assert found.output[0].label_filename == ""
    (warm,) = found.model_warmup
    assert (warm.batch_size, list(warm.inputs["input"].dims)) == (1, [4, 3, 8, 8])


def test_images_of_any_size_and_what_tune_found(tmp_path: Path, schema: Any) -> None:
    found = config(schema, bundled(resizing_model(tmp_path / "net.onnx"), tmp_path / "b"))
    assert list(found.input[0].dims) == [-1, -1, 3]
    assert [list(request.inputs["input"].dims) for request in found.model_warmup] == [[8, 8, 3]] * 2
    assert found.instance_group[0].count == 3
    assert found.parameters["intra_op_thread_count"].string_value == "1"


def test_openvino_has_one_batch_size_and_shares_its_threads(
    tiny_export: Path, tmp_path: Path, schema: Any
) -> None:
    model = tiny_export / "resnet8.int8.onnx"
    repository = bundled(model, tmp_path / "b", BundleRuntime.OPENVINO)
    found, artifact = config(schema, repository, "openvino"), load(model)
    assert found.max_batch_size == 1
    assert not found.HasField("dynamic_batching")
    assert list(found.input[0].dims) == list(artifact.input.shape[1:])
    assert found.instance_group[0].count == 2
    assert {key: value.string_value for key, value in found.parameters.items()} == {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": "2",
        "INFERENCE_NUM_THREADS": "4",
        "SKIP_OV_DYNAMIC_BATCHSIZE": "YES",
    }
    assert [request.batch_size for request in found.model_warmup] == [1]
    readme = (tmp_path / "b/README.md").read_text(encoding="utf-8")
    assert "for the openvino backend" in readme
    assert "ONNX Runtime" not in readme.split("## Licence")[0]


def test_what_the_server_can_not_be_told_is_a_note(tmp_path: Path) -> None:
    fast = {"session.dynamic_block_base": "4", "session.intra_op.allow_spinning": "0"}
    model = resizing_model(tmp_path / "net.onnx", options=fast)
    *_, note = pack(model, BundleTarget.TRITON, tmp_path / "b").notes
    assert note == (
        "tune found session.dynamic_block_base=4 and session.intra_op.allow_spinning=0 fastest; "
        "Triton's ONNX Runtime backend has no parameter for it, and the server runs without"
    )


def test_names_out_of_a_model_are_names_only(tmp_path: Path, schema: Any) -> None:
    name = 'a" }] ü\n'
    model = resizing_model(tmp_path / "it's <b>'\";$(x) ü.onnx", name=name)
    repository = bundled(model, tmp_path / "b")
    assert repository.name == "it-s-b-x"
    found = config(schema, repository)
    assert found.input[0].name == name
    assert list(found.model_warmup[0].inputs) == [name]
    readme = (tmp_path / "b/README.md").read_text(encoding="utf-8")
    assert "<b>" not in readme
    # A shell reads one word of it.
    (load_test,) = re.findall("```sh\nperf_analyzer (.*)\n```\n", readme)
    assert load_test.endswith("""--shape $'a" }] ü\\012:8,8,3'""")
    compile((tmp_path / "b/client.py").read_text(encoding="utf-8"), "client.py", "exec")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("resnet20.int8", "resnet20-int8"),
        ("ResNet_50 (v1.5)", "resnet-50-v1-5"),
        ("18", "net-18"),
        ("ü", "net"),
        ("x" * 39 + ".y", "x" * 39),
    ],
)
def test_a_name_fits_everywhere(stem: str, name: str) -> None:
    assert model_name(stem) == name


def test_the_manifest_says_where_things_are(tiny_export: Path, tmp_path: Path) -> None:
    bundled(tiny_export / "resnet8.onnx", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    file = "model_repository/resnet8/1/model.onnx"
    assert manifest["networks"][0]["file"] == file
    assert manifest["labels"] == "model_repository/resnet8/labels.txt"
    assert manifest["golden"][0]["answers"][0]["network"] == file
    assert set(manifest["files"]) >= {file, manifest["labels"]}
    assert (tmp_path / file).read_bytes() == (tiny_export / "resnet8.onnx").read_bytes()
    assert onnx.load(tmp_path / file).graph.node


def test_the_client_prepares_pictures_as_python_does(tmp_path: Path) -> None:
    """Bit for bit, by manifests of every kind of contract."""
    bundled(save_colour_model(tmp_path / "net.onnx").path, tmp_path / "b")
    spec = importlib.util.spec_from_file_location("client", tmp_path / "b/client.py")
    assert spec is not None
    assert spec.loader is not None
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    random = np.random.default_rng(0)
    for number in range(300):
        height, width = (int(side) for side in random.integers(1, 180, 2))
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        contract = drawn(random)
        if number % 10 == 0:
            form = InputFormat.UINT8_NHWC
            contract = replace(contract, format=form, resize_in_graph=True)
        elif number % 10 == 1:
            contract = replace(contract, resize=(height, width))
        made = client.prepare(image, json.loads(json.dumps(described(contract))))
        wanted = prepare(image, contract)
        assert made.dtype == wanted.dtype
        assert np.array_equal(made, wanted), (image.size, contract)
