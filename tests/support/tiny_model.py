"""Classifiers small enough to know their answers: the mean of each colour is a logit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from resnet_deploy.artifact import onnx_file as artifact
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.spec import Family, InputContract, ModelSpec
from tests.support.contracts import square

COLOURS = ("red", "green", "blue")


def colour_model(
    weights: np.ndarray | None = None,
    *,
    shape: tuple[int | str, ...] = ("N", 3, 8, 8),
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    """GlobalAveragePool and Gemm; ``weights`` is ``(classes, 3)``, the identity by default."""
    weights = np.eye(3) if weights is None else weights
    nodes = [
        helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["floats"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weight"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (shape[0], len(weights)))],
        [numpy_helper.from_array(weights.astype(np.float32), "weight")],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def save_colour_model(
    path: Path,
    weights: np.ndarray | None = None,
    *,
    labels: tuple[str, ...] = COLOURS,
    preprocess: InputContract | None = None,
    shape: tuple[int | str, ...] = ("N", 3, 8, 8),
) -> Artifact:
    """Write :func:`colour_model` with a card."""
    model = colour_model(weights, shape=shape)
    classes = 3 if weights is None else len(weights)
    preprocess = preprocess or square(8, mean=(0, 0, 0), std=(1, 1, 1))
    card = Card(
        model=ModelSpec(
            family=Family.CUSTOM,
            num_classes=classes,
            image_size=preprocess.height,
            in_channels=preprocess.channels,
        ),
        preprocess=preprocess,
        weights=WeightsSource(kind="random", seed=0),
        labels=labels,
    )
    return artifact.save(model, path, card)
