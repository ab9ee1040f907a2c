"""From a request to the moment before the first step: weights, pictures, network."""

from __future__ import annotations

from dataclasses import replace

import torch

from resnet_deploy.errors import SpecError
from resnet_deploy.models.checkpoint import resolve
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress
from resnet_deploy.runners.cpu import has_bfloat16, isa
from resnet_deploy.spec import Preprocess
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.spec.training import Precision
from resnet_deploy.training.data import TrainingData, open_training_data
from resnet_deploy.training.distributed import Crew
from resnet_deploy.training.loop import Training
from resnet_deploy.training.network import Trainee, new_network, trained_network
from resnet_deploy.training.qat import QatNet, calibration_sample, prepare_qat
from resnet_deploy.training.whole_batchnorm import synchronize_batchnorm


def prepare(request: TrainRequest, crew: Crew, progress: Progress) -> Training:
    """Return the training that ``request`` asks for, before its first step.

    Raises:
        SpecError: the request contradicts itself, its weights or its data.
        DatasetError: the pictures can't be used.
        CheckpointError: the weights can't be read, or don't fit.
        UnsupportedGraphError: a network that can't be trained through int8.
    """
    loaded = _load(request, progress)
    preprocess = _preprocess(request, loaded)
    data = open_training_data(
        request.data,
        preprocess,
        progress=progress,
        limit=request.limit,
        follow_links=request.follow_links,
    )
    trainee = _trainee(request, loaded, data)
    qat = _fake_quantized(request, trainee, preprocess, data, progress)
    if crew.world > 1 and request.recipe.sync_batchnorm:
        trainee = synchronize_batchnorm(trainee)
    return Training(
        trainee=trainee,
        data=data,
        recipe=request.recipe,
        seed=request.seed,
        crew=crew,
        precision=_precision(request),
        qat=qat,
    )


def _load(request: TrainRequest, progress: Progress) -> Network | None:
    if request.weights == "random":
        return None
    loaded = resolve(replace(request.model, num_classes=None), request.weights, progress=progress)
    if loaded.card is not None and loaded.card.activation_ranges and not request.qat:
        raise SpecError(
            f"--weights {request.weights} were trained with --qat, which leaves no BatchNorm to "
            "train with: add --qat, or start from the weights that it started from"
        )
    return loaded


def _preprocess(request: TrainRequest, loaded: Network | None) -> Preprocess:
    """Return how pictures are evaluated: as asked for, as the weights' card says, or as usual."""
    if loaded is None:
        usual = Preprocess.for_size(request.model.spec().image_size)
    else:
        usual = loaded.preprocess
    return replace(usual, mean=request.mean or usual.mean, std=request.std or usual.std)


def _trainee(request: TrainRequest, loaded: Network | None, data: TrainingData) -> Trainee:
    model, recipe = request.model, request.recipe
    if loaded is None:
        return new_network(model, data.classes, recipe, request.seed)
    return trained_network(loaded, model, data.classes, recipe, request.seed)


def _fake_quantized(
    request: TrainRequest,
    trainee: Trainee,
    preprocess: Preprocess,
    data: TrainingData,
    progress: Progress,
) -> QatNet | None:
    if not request.qat:
        return None
    return prepare_qat(
        trainee.module,
        trainee.spec,
        preprocess,
        calibration_sample(data.train, request.seed),
        threads=torch.get_num_threads(),
        progress=progress,
    )


def _precision(request: TrainRequest) -> Precision:
    if request.recipe.precision is not Precision.AUTO:
        return request.recipe.precision
    fits = not request.qat and has_bfloat16(isa())
    return Precision.BFLOAT16 if fits else Precision.FLOAT32
