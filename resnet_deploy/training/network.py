"""The network that is trained: new or from a checkpoint, with its head and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.models.init import initialize_for_training, initialize_head
from resnet_deploy.models.network import Network
from resnet_deploy.models.packages import packaged
from resnet_deploy.models.registry import build_custom, skeleton
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.spec import Attention, Downsample, ModelSpec, Order, Pool
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Recipe

_NEW_AND_SLOW = (
    "the weights are new, and the recipe freezes parts of them or slows them down, which is for "
    "trained ones: name some with --weights"
)


@dataclass(frozen=True, kw_only=True)
class TrainableNetwork:
    """A network at the start of its training, in train mode.

    ``parts`` are the modules that can be frozen or slowed down, from the image to the classifier;
    ``loaded`` is where its weights came from, None when they are new.
    """

    module: nn.Module
    spec: ModelSpec
    parts: tuple[tuple[nn.Module, ...], ...]
    loaded: Network | None = None
    notices: tuple[str, ...] = ()


def check_trainable(spec: ModelSpec, *, qat: bool) -> None:
    """Refuse what no option can train, before any image is read.

    Raises:
        SpecError: a net for faces has no classes to learn.
        UnsupportedGraphError: with ``qat``, layers have no int8-aware form.
    """
    if not spec.is_residual:
        return
    if spec.residual.order is Order.IRESNET:
        raise SpecError(
            f"{spec.name} gives an embedding, for which images of classes have no loss: train it "
            "in code of your own, and export its weights"
        )
    if qat and (layers := _float_in_training(spec)):
        raise UnsupportedGraphError(
            f"--qat can't train {' and '.join(layers)}, which {spec.name} has: train without "
            "--qat, and give export --calibration"
        )


def _float_in_training(spec: ModelSpec) -> tuple[str, ...]:
    """Return which layers of ``spec`` have no int8-aware form, in words."""
    design = spec.residual
    weighed = {
        Attention.NONE: "",
        Attention.ECA: "efficient channel attention",
        Attention.SE: "squeeze-and-excitation",
        Attention.SE_RELU: "squeeze-and-excitation",
    }
    averaged = design.downsample is Downsample.AVG and not spec.plain
    names = (
        weighed[design.attention],
        "BatchNorm in front of convolutions" if design.order is Order.PRE else "",
        "average-pool shortcuts" if averaged else "",
        "filtered halving" if spec.pool is not Pool.PLAIN else "",
        "a maximum beside the mean" if design.concat_pool else "",
    )
    return tuple(name for name in names if name)


def new_network(
    request: ModelRequest, classes: Sequence[str], recipe: Recipe, seed: int
) -> TrainableNetwork:
    """Return an untrained network with one output for each of ``classes``.

    Raises:
        SpecError: the request names no network, or another number of classes; or ``recipe`` asks
            for what the network does not have.
    """
    _check_classes(request.num_classes, classes, "--num-classes")
    if request.is_custom:
        if recipe.zero_init:
            raise SpecError(f"zero_init is for the paper's nets, not for {request.model}")
        # A package builds its nets with any head; a factory's net is as its owner wrote it.
        own = None if packaged(request.model) is None else len(classes)
        module, spec = build_custom(replace(request, num_classes=own).spec(), seed=seed)
        _check_classes(spec.num_classes, classes, str(request.model))
    else:
        spec = replace(request, num_classes=len(classes)).spec()
        module = skeleton(spec)
        initialize_for_training(module, seed, zero_init=recipe.zero_init)
    slow = isinstance(module, ResNet) and (recipe.freeze > 0 or recipe.stage_decay != 1)
    return _trainable(module, spec, recipe, None, *((_NEW_AND_SLOW,) if slow else ()))


def trained_network(
    loaded: Network, request: ModelRequest, classes: Sequence[str], recipe: Recipe, seed: int
) -> TrainableNetwork:
    """Return the network of a checkpoint, with a new head unless it knows exactly these classes.

    Raises:
        SpecError: the number of classes is not that of the data, or a user's own net would need a
            new head.
    """
    _check_classes(request.num_classes, classes, "--num-classes")
    module, spec, notices = loaded.module, loaded.spec, []
    if request.is_custom:
        _check_classes(spec.num_classes, classes, str(request.model))
    elif spec.num_classes != len(classes) or loaded.labels not in ((), tuple(classes)):
        _replace_head(module, len(classes), seed)
        known = f"know {spec.num_classes} other classes than the data's {len(classes)}"
        notices.append(f"the head is new: the weights {known if spec.num_classes else 'have none'}")
        spec = spec.with_classes(len(classes))
    return _trainable(module, spec, recipe, loaded, *notices)


def parameter_groups(trainable: TrainableNetwork, recipe: Recipe) -> list[dict[str, Any]]:
    """Return SGD's groups: what decays and what does not, part by part.

    Each group has a ``scale`` by which the step's learning rate is multiplied: 1 at the classifier,
    ``recipe.stage_decay`` less for every part before it. Frozen parameters are in no group.
    """
    groups: list[dict[str, Any]] = []
    layers = trainable.module.modules()
    decaying = {id(layer.weight) for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)}
    for distance, part in enumerate(reversed(trainable.parts)):
        parameters = [p for module in part for p in module.parameters() if p.requires_grad]
        for decays in (True, False):
            chosen = [p for p in parameters if (recipe.decay_norms or id(p) in decaying) is decays]
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "weight_decay": recipe.weight_decay if decays else 0.0,
                        "scale": recipe.stage_decay**distance,
                    }
                )
    return groups


def to_train_mode(trainable: TrainableNetwork, recipe: Recipe) -> None:
    """Set train mode; BatchNorms of frozen parts keep their statistics."""
    trainable.module.train()
    for part in trainable.parts[: recipe.freeze]:
        for module in part:
            module.eval()


def _trainable(
    module: nn.Module,
    spec: ModelSpec,
    recipe: Recipe,
    loaded: Network | None = None,
    *notices: str,
) -> TrainableNetwork:
    parts = _parts(module)
    if len(parts) == 1:
        if recipe.freeze:
            raise SpecError(f"freeze is for ResNets, and {spec.name} is not one: leave it out")
        if recipe.stage_decay != 1:
            notices = (*notices, f"one rate for all of {spec.name}: stage_decay is for ResNets")
    if recipe.freeze >= len(parts):
        raise SpecError(
            f"recipe: freeze = {recipe.freeze} leaves nothing to train: {spec.name} has "
            f"{len(parts)} parts, the classifier included"
        )
    for part in parts[: recipe.freeze]:
        for layer in part:
            layer.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise SpecError(f"{spec.name} has nothing to train: all of its parameters are frozen")
    if loaded is not None:
        notices = (*loaded.notices, *notices)
    return TrainableNetwork(module=module, spec=spec, parts=parts, loaded=loaded, notices=notices)


def _parts(module: nn.Module) -> tuple[tuple[nn.Module, ...], ...]:
    if not isinstance(module, ResNet):
        return ((module,),)
    return module.parts


def _replace_head(module: nn.Module, classes: int, seed: int) -> None:
    linears = [(n, child) for n, child in module.named_modules() if isinstance(child, nn.Linear)]
    if linears:
        name, inputs = linears[-1][0], linears[-1][1].in_features
    else:
        assert isinstance(module, ResNet), "all others have a head"
        name, inputs = "fc", module.design.pooled
    new = nn.Linear(inputs, classes)
    initialize_head(new, torch.Generator().manual_seed(seed))
    module.set_submodule(name, new)


def _check_classes(found: int | None, classes: Sequence[str], what: str) -> None:
    if found not in (None, 0, len(classes)):
        raise SpecError(f"{what} has {found} classes, the data {len(classes)}: they must be equal")
