"""Nets with a ResNet's tensors that compute something else become int8 files, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.spec import Padding, Pool
from tests.support.exports import exported


@pytest.mark.parametrize(
    "words",
    [{"pool": "blur"}, {"pool": "avg", "padding": "tf", "bn_eps": 1e-3}],
    ids=["blur", "avg and tf"],
)
def test_all_of_int8_runs_in_int8(tmp_path: Path, words: dict[str, Any]) -> None:
    """A layer that ONNX Runtime leaves in float would have been refused."""
    made = exported(tmp_path, depth=8, stem="cifar-pool", image_size=32, threads=1, **words)
    assert all(report.passed for report in made.parity.values())
    for path in made.files.values():
        card = load(Path(path)).card
        assert card is not None
        said = (card.model.pool, card.model.padding, card.model.bn_eps)
        assert said == (
            Pool(words["pool"]),
            Padding(words.get("padding", "torch")),
            words.get("bn_eps", 1e-5),
        )
