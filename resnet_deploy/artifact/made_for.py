"""Which runtime an int8 file was laid out for, and whether its residual stream is float."""

from __future__ import annotations

import logging

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.spec import ResidualStream, Runtime

logger = logging.getLogger(__name__)


def is_for_openvino(artifact: Artifact) -> bool:
    """Whether ``artifact`` is an int8 file that is laid out for OpenVINO, as its card says."""
    return _option(artifact, "runtime") == Runtime.OPENVINO.value


def has_float_stream(artifact: Artifact) -> bool:
    """Whether ``artifact`` is an int8 file with its residual stream in float."""
    return _option(artifact, "residual_stream") == ResidualStream.FLOAT32.value


def warn_on_onnxruntime(artifact: Artifact) -> None:
    """Say so if ``artifact`` is for OpenVINO, and ONNX Runtime is about to run it."""
    if is_for_openvino(artifact):
        logger.warning(
            "%s is laid out for OpenVINO: ONNX Runtime, which runs it here, gives the same answers "
            "except for rounding, with the convolutions in front of its sums in float, slowly",
            artifact.path.name,
        )


def _option(artifact: Artifact, name: str) -> object:
    steps = () if artifact.card is None else artifact.card.steps
    made = [step.options for step in steps if step.name == "quantize"]
    return made[-1].get(name) if made else None
