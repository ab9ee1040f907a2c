"""What is on an image: the most likely classes with their probabilities."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.made_for import warn_on_onnxruntime
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.data.images import read_image
from resnet_deploy.data.labels import has_background
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.evaluation import Logits, check_finite, class_names, softmax
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results import Prediction, ScoredClass
from resnet_deploy.runners.classes import check_has_names, class_scores, listed_classes
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import (
    LABEL_THRESHOLD,
    NOTHING_TOLD,
    ChannelOrder,
    OutputKind,
    SessionSpec,
    Told,
)

logger = logging.getLogger(__name__)

_BATCH_SIZE = 8


def classify(
    path: Path | Artifact,
    images: Sequence[Path],
    *,
    top_k: int = 5,
    told: Told = NOTHING_TOLD,
    threads: int = 0,
    progress: Progress = silent,
) -> tuple[Prediction, ...]:
    """Return the ``top_k`` classes of each image file, most likely first.

    Probabilities are the softmax of the logits, in float64 (of labels the sigmoid), or what the net
    itself gives when it ends in a softmax or a sigmoid. A model of fewer classes gives all of
    them, one that names its best K classes no more than those, and one of labels all whose
    probability is 0.5 or more. One unreadable image refuses the whole call.

    ``told`` is what the user says of the file.

    Raises:
        ArtifactError, RunnerError: the model can't be read or run, or gives NaN.
        UnsupportedGraphError: the model does not take RGB images in float32, or gives features.
        DatasetError: no images, or one that can't be read.
        SpecError: ``top_k`` is not positive.
    """
    if top_k < 1:
        raise SpecError(f"top-k is {top_k}: ask for at least one class")
    if not images:
        raise DatasetError("there are no images to classify: name image files or a folder")
    artifact = opened_file(path, told)
    check_has_names(artifact)
    warn_on_onnxruntime(artifact)
    top_k = min(top_k, listed_classes(artifact) or top_k)
    spec = input_preprocess(artifact)
    if spec.channel_order is ChannelOrder.BANDS:
        raise UnsupportedGraphError(
            f"{artifact.path} takes {spec.channels} bands, and a picture has no such channels: "
            "evaluate it on arrays in an .npz file"
        )
    files = _Files(tuple(images))
    indices = range(len(images))
    found: list[Prediction] = []
    with closing(OrtRunner(artifact.plain, SessionSpec(threads=threads, spin=False))) as runner:
        for batch in prepared_batches(files, indices, [spec], batch_size=_BATCH_SIZE):
            logits = class_scores(artifact, runner, batch.inputs[0]).astype(np.float64)
            classes = class_names(artifact, logits.shape[1])
            names = [str(images[index]) for index in batch.indices]
            check_finite(artifact, logits, names.__getitem__)
            found += [
                Prediction(image=name, classes=_best(artifact, row, top_k, classes))
                for name, row in zip(names, logits, strict=True)
            ]
            progress(ImageStage("classifying"), len(found), len(images))
    if not artifact.class_names and not classes[0].startswith("class "):
        logger.warning(
            "%s names no classes: its %d outputs are taken for ImageNet's%s",
            artifact.path.name,
            len(classes),
            ", the first for the background" if has_background((), len(classes)) else "",
        )
    return tuple(found)


def sigmoid(logits: Logits) -> Logits:
    """Return the probability of each of ``logits``, for itself."""
    # tanh does not overflow, as exp() of a large logit would.
    found: Logits = 0.5 * (1 + np.tanh(logits / 2))
    return found


def _best(
    artifact: Artifact, logits: Logits, top_k: int, classes: Sequence[str]
) -> tuple[ScoredClass, ...]:
    several = artifact.output_kind is OutputKind.MULTI_LABEL
    probabilities = logits
    if not artifact.gives_probabilities:
        probabilities = sigmoid(logits) if several else softmax(logits)
    # By descending logit; of equal ones the lower class first, as argmax has it.
    best = np.argsort(-logits, kind="stable")
    best = best[probabilities[best] >= LABEL_THRESHOLD] if several else best[:top_k]
    return tuple(
        ScoredClass(
            index=int(index),
            label=classes[index],
            probability=float(probabilities[index]),
            logit=float(logits[index]),
        )
        for index in best
    )


@dataclass(frozen=True)
class _Files:
    """Some image files as an unlabelled dataset."""

    paths: tuple[Path, ...]
    name: str = "images"
    classes: tuple[str, ...] = ()
    labelled: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Image.Image:
        return read_image(self.paths[index])

    def label(self, index: int) -> int:
        raise DatasetError(f"{self.paths[index]} has no label")

    def fingerprint(self) -> str:
        raise DatasetError("single image files have no fingerprint")
