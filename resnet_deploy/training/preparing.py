"""From a request to the moment before the first step: weights, images, network."""

from __future__ import annotations

from dataclasses import replace

import torch

from resnet_deploy.errors import SpecError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.packaged import spec_of
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress
from resnet_deploy.runners.cpu import has_bfloat16, isa
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.input_words import Numbers
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.spec.training import Precision
from resnet_deploy.training.data import MEMORY, open_training_data
from resnet_deploy.training.distributed import Crew
from resnet_deploy.training.loop import Training
from resnet_deploy.training.network import check_trainable, new_network, trained_network
from resnet_deploy.training.qat import calibration_sample, prepare_qat
from resnet_deploy.training.whole_batchnorm import synchronize_batchnorm


def prepare(
    request: TrainRequest, crew: Crew, progress: Progress, *, dry_run: bool = False
) -> Training:
    """Return the training that ``request`` asks for, before its first step.

    In a ``dry_run`` no image is decoded, and the network computes in float with ``--qat`` as well.

    Raises:
        SpecError: the request contradicts itself, its weights or its data.
        DatasetError: the images can't be used.
        CheckpointError: the weights can't be read, or don't fit.
        UnsupportedGraphError: a network that can't be trained through int8.
    """
    model, recipe = request.model, request.recipe
    loaded = _load(request, progress, download=not dry_run)
    if loaded is None and model.is_custom:
        # A package says what size of pictures its net is for.
        model = replace(model, image_size=spec_of(model).image_size)
    if loaded is None:
        wanted = model.spec()
        check_trainable(wanted, qat=False)
        # A factory's net takes what was asked for, or RGB: see new_network.
        usual = InputContract.for_size(wanted.image_size, channels=wanted.in_channels or 3)
    else:
        check_trainable(loaded.spec, qat=request.qat)
        usual = loaded.preprocess
    # Whatever the start was assumed to want: what is trained on is so by definition.
    preprocess = replace(
        usual,
        mean=_each(request.mean, usual.mean),
        std=_each(request.std, usual.std),
        learned={},
    )
    data = open_training_data(
        request.data,
        preprocess,
        progress=progress,
        limit=request.limit,
        follow_links=request.follow_links,
        memory=0 if dry_run else MEMORY,
    )
    if loaded is None:
        trainable = new_network(model, data.classes, recipe, request.seed)
    else:
        trainable = trained_network(loaded, model, data.classes, recipe, request.seed)
    if trainable.spec.in_channels != preprocess.channels:
        raise SpecError(
            f"{trainable.spec.name} takes {trainable.spec.in_channels} channels: say --in-channels "
            f"{trainable.spec.in_channels}"
        )
    qat = None
    if request.qat and not dry_run:
        qat = prepare_qat(
            trainable.module,
            trainable.spec,
            preprocess,
            calibration_sample(data.train, request.seed),
            threads=torch.get_num_threads(),
            progress=progress,
        )
    if crew.world > 1 and recipe.sync_batchnorm:
        synchronize_batchnorm(trainable.module)
    precision = recipe.precision
    if precision is Precision.AUTO:
        fits = not request.qat and has_bfloat16(isa())
        precision = Precision.BFLOAT16 if fits else Precision.FLOAT32
    return Training(
        trainable=trainable,
        data=data,
        recipe=recipe,
        seed=request.seed,
        crew=crew,
        precision=precision,
        qat=qat,
    )


def _each(given: Numbers | None, usual: Numbers) -> Numbers:
    """Return ``given``, one number a channel or one for all of them; without it ``usual``."""
    if given is None:
        return usual
    return given * len(usual) if len(given) == 1 else given


def _load(request: TrainRequest, progress: Progress, *, download: bool) -> Network | None:
    if request.weights == "random":
        return None
    model = replace(request.model, num_classes=None)
    loaded = resolve(model, request.weights, download=download, progress=progress)
    if loaded.card is not None and loaded.card.activation_ranges and not request.qat:
        raise SpecError(
            f"--weights {request.weights} were trained with --qat, which leaves no BatchNorm to "
            "train with: add --qat, or start from the weights that it started from"
        )
    return loaded
