"""``kserve.yaml`` by a schema of KServe's InferenceService, and the schema by KServe's package."""

from __future__ import annotations

import ast
import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.triton import GRACE_SECONDS
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.tiny_model import save_colour_model
from tests.support.triton_models import resizing_model
from tests.support.triton_packages import schemas

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "support/kserve_inference_service.json").read_text()
)
TYPES = {"str": "string", "int": "integer", "bool": "boolean"}


def service_of(model: Path, folder: Path, runtime: BundleRuntime = BundleRuntime.AUTO) -> Any:
    pack(model, BundleTarget.TRITON, folder, runtime=runtime)
    return yaml.safe_load((folder / "kserve.yaml").read_text(encoding="utf-8"))


def check(service: Any) -> None:
    jsonschema.validate(service, SCHEMA, jsonschema.Draft202012Validator)


@pytest.fixture(scope="module")
def service(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return service_of(tiny_export / "resnet8.int8.onnx", tmp_path_factory.mktemp("kserve") / "b")


def test_a_service_of_any_batch_size(service: Any) -> None:
    check(service)
    assert service["metadata"] == {"name": "resnet8-int8"}
    predictor = service["spec"]["predictor"]
    assert predictor["scaleTarget"] == 8
    model = predictor["model"]
    assert model["storageUri"].endswith("/model_repository")
    assert model["resources"]["limits"]["cpu"] == "4"


def test_services_of_other_bundles(tiny_export: Path, tmp_path: Path) -> None:
    fixed = save_colour_model(tmp_path / "net.onnx", shape=(4, 3, 8, 8)).path
    hostile = resizing_model(tmp_path / "yes: &a [*b, 'x' #.onnx")
    check(service_of(fixed, tmp_path / "fixed"))
    check(service_of(hostile, tmp_path / "hostile"))
    openvino = service_of(
        tiny_export / "resnet8.int8.onnx", tmp_path / "openvino", BundleRuntime.OPENVINO
    )
    check(openvino)
    assert openvino["spec"]["predictor"]["scaleTarget"] == 1


def test_the_cluster_lets_triton_end(service: Any, tiny_export: Path, tmp_path: Path) -> None:
    """Triton waits 30 seconds, which is when Kubernetes would kill it, and Docker after 10."""
    assert GRACE_SECONDS > 30
    assert service["spec"]["predictor"]["terminationGracePeriodSeconds"] == GRACE_SECONDS
    report = pack(tiny_export / "resnet8.int8.onnx", BundleTarget.TRITON, tmp_path / "b")
    assert re.search(rf" --stop-timeout {GRACE_SECONDS} ", report.commands[0])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "predictor", "minReplica"), 1),
        (("spec", "predictor", "minReplicas"), "1"),
        (("spec", "predictor", "scaleMetric"), "requests"),
        (("spec", "predictor", "model", "storageURI"), "pvc://x"),
        (("spec", "predictor", "model", "modelFormat", "version"), 2),
        (("spec", "predictor", "model", "resources", "limits", "memory"), "2 GB"),
        (("metadata", "name"), "Resnet_8"),
        (("apiVersion",), "serving.kserve.io/v1alpha1"),
        (("spec", "predictor", "model", "modelFormat"), None),
    ],
)
def test_the_schema_refuses(service: Any, place: tuple[str, ...], value: Any) -> None:
    changed = copy.deepcopy(service)
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(changed)


def test_the_schema_is_that_of_kserve() -> None:
    check_kind(SCHEMA, "V1beta1InferenceService")


def check_kind(schema: Any, kind: str) -> None:
    """Compare a part of the schema with what KServe's Python package says about the class."""
    types, keys = fields(kind)
    attributes = {key: attribute for attribute, key in keys.items()}
    assert schema["properties"].keys() <= attributes.keys(), kind
    for key, inner in schema["properties"].items():
        said = types[attributes[key]]
        if said.startswith("V1beta1"):
            assert inner == {"$ref": f"#/$defs/{said}"}, (kind, key)
            check_kind(SCHEMA["$defs"][said], said)
        elif said in TYPES and "const" not in inner:
            assert inner["type"] == TYPES[said], (kind, key)


def fields(kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return type and key by attribute, read from the source: importing it needs a cluster's."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind)
    path = schemas() / f"kserve/models/{words.strip('_')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {
        target.id: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return found["openapi_types"], found["attribute_map"]
