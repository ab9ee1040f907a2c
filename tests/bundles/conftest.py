from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import Contract, contract_of
from tests.support.triton_packages import schemas


@pytest.fixture(scope="session")
def tiny_contract(tiny_export: Path) -> Contract:
    """The contract of ``tiny_export``'s fp32 file."""
    return contract_of(load(tiny_export / "resnet8.onnx"))


@pytest.fixture(scope="session")
def schema() -> Any:
    """The module made from ``model_config.proto``, without the client around it."""
    path = schemas() / "tritonclient/grpc/model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # Made by the release before: protobuf reads it, and says so.
        warnings.filterwarnings("ignore", message="Protobuf gencode version")
        spec.loader.exec_module(module)
    return module
