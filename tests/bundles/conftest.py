from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import Contract, contract_of


@pytest.fixture(scope="session")
def tiny_contract(tiny_export: Path) -> Contract:
    """The contract of ``tiny_export``'s fp32 file."""
    return contract_of(load(tiny_export / "resnet8.onnx"))
