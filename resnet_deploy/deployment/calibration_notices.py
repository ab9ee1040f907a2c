"""What calibration images tell of a net in passing: too few of them, or none is recognised."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import DatasetError
from resnet_deploy.evaluation import matched_outputs
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.results.chance import chance_share, chance_text, is_at_chance
from resnet_deploy.runners.classes import class_scores
from resnet_deploy.runners.ort_runner import OrtRunner

FEW_IMAGES = 32
"""Fewer of them hardly show where the range of an activation ends."""

_MOST_IMAGES = 64
_FEWEST_IMAGES = 20
_PIXELS = 32 * 224 * 224
"""Of all images that are looked at: about half a second of a ResNet-34."""


def calibration_notices(
    fp32: Artifact, images: CalibrationImages, *, threads: int = 0
) -> tuple[str, ...]:
    """Return what the user must know of ``images``, which set the ranges of ``fp32``.

    Raises:
        DatasetError: an image can't be read.
        RunnerError: ONNX Runtime can't run the file.
    """
    if images.synthetic:
        return ()
    found = []
    if len(images) < FEW_IMAGES:
        found.append(
            f"{len(images)} calibration images are too few to set int8 ranges: give at least "
            f"{FEW_IMAGES}, spread over the classes"
        )
    chance = _chance(fp32, images, threads)
    return (*found, *([chance] if chance else []))


def _chance(fp32: Artifact, images: CalibrationImages, threads: int) -> str | None:
    """Return what to say if labelled ``images`` are recognised no better than by chance."""
    if not images.dataset.labelled or fp32.untrained or not fp32.output_kind.has_classes:
        return None
    count = max(_FEWEST_IMAGES, min(_MOST_IMAGES, _PIXELS // images.preprocess.pixels))
    some = replace(images, indices=images.indices[:count])
    with closing(OrtRunner(fp32.plain, quiet_session(threads))) as runner:
        logits = np.concatenate([class_scores(fp32, runner, batch) for batch in some])
    try:
        outputs = matched_outputs(fp32, images.dataset, logits.shape[1])
    except DatasetError:
        return None  # images of other classes may set ranges as well
    truth = [outputs[images.dataset.label(index)] for index in some.indices]
    predicted = logits.argmax(axis=1).tolist()
    right = sum(map(int.__eq__, truth, predicted))
    chance = chance_share(truth, predicted, logits.shape[1])
    if not is_at_chance(right, len(truth), chance):
        return None
    return f"{fp32.path.name}: {chance_text(right, len(truth), chance, images.preprocess)}"
