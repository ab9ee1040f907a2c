"""Nets of timm, torchvision and transformers: their weights, pictures and class names.

:func:`build_for` builds one for the tensors of a file; :func:`stated_by_package` tells what its
name says of pictures and classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading.beside import stated_by_module
from resnet_deploy.models.layouts import State, strip_prefixes
from resnet_deploy.models.packages import PackagedNet, named_tensors, packaged
from resnet_deploy.models.registry import build_custom
from resnet_deploy.models.stated import Stated
from resnet_deploy.spec import ChannelOrder, InputOptions, Learned, ModelSpec, ResizeMode
from resnet_deploy.spec.model_request import ModelRequest

_IMAGENET_CLASSES = 1000
_FOLDER_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def spec_of(request: ModelRequest, size: int | None = None) -> ModelSpec:
    """Return the spec of a factory or of a packaged net for pictures of ``size``, or its usual one.

    Raises:
        SpecError: the request contradicts itself.
        MissingDependencyError: the package is not installed.
    """
    net = packaged(request.model)
    size = request.image_size or size or (None if net is None else net.usual_size)
    return replace(request, image_size=size).spec()


def build_for(
    request: ModelRequest, tensors: State, size: int | None, name: str, *, seed: int
) -> tuple[nn.Module, ModelSpec]:
    """Return the net of a factory or of a package, with as many classes and channels as the file.

    A factory's net is as its owner wrote it. No tensor is copied: that they fit is for the caller.

    Args:
        request: names what builds it.
        tensors: of the file.
        size: of the pictures, as a file beside it says.
        name: of the file, for messages.
        seed: of the weights that no file has.

    Raises:
        SpecError: the net can't be built.
        CheckpointError: ``request`` says other classes or channels than the file has.
        MissingDependencyError: the package is not installed.
    """
    wanted = spec_of(request, size)
    module, spec = build_custom(wanted, seed=seed)
    net = packaged(request.model)
    if net is None:
        return module, spec
    named = strip_prefixes(tensors, named_tensors(module))
    classes, channels = net.sized_as(named, module)
    for found, asked, what, option in (
        (classes, request.num_classes, "class", "num-classes"),
        (channels, request.in_channels, "input channel", "in-channels"),
    ):
        if found and asked is not None:
            several = "" if found == 1 else "es" if what == "class" else "s"
            raise CheckpointError(
                f"{name} has {found} {what}{several}, not {asked}: drop --{option}"
            )
    if not (classes or channels):
        return module, spec
    return build_custom(
        replace(
            wanted,
            num_classes=classes or spec.num_classes,
            in_channels=channels or spec.in_channels,
        ),
        seed=seed,
    )


def weights_of_folder(request: ModelRequest) -> Path | None:
    """Return the folder of ``hf:FOLDER`` where it holds weights; None for all other nets."""
    net = packaged(request.model)
    if net is None or net.prefix != "hf":
        return None
    folder = Path(net.name)
    return folder if any((folder / name).is_file() for name in _FOLDER_WEIGHTS) else None


def stated_by_package(request: ModelRequest, module: nn.Module, spec: ModelSpec) -> Stated:
    """Return what the net that ``request`` names says of its pictures and classes.

    Of torchvision's recipes, one for each of its trained weights, what they have in common.
    """
    net = packaged(request.model)
    stated = stated_by_module(module, spec.image_size)
    if net is None:
        return stated
    of_imagenet = net.prefix == "torchvision" or _trained_on_imagenet(module)
    if of_imagenet and spec.num_classes == _IMAGENET_CLASSES:
        stated = replace(stated, labels=imagenet_labels())
    options = _torchvision(net, spec.image_size)
    return stated if options is None else replace(stated, pictures=((options, Learned.CONFIG),))


def refuse_published(request: ModelRequest, weights: str) -> SpecError:
    """Return why ``weights``, a word and no file, are none of the net that ``request`` names."""
    net = packaged(request.model)
    if net is None:
        return SpecError(f"--weights {weights} is for the paper's nets, not for --model factories")
    return SpecError(
        f"--weights {weights} is for the paper's nets: download those of {net.model} with its own "
        "package and give the file, as --weights FILE"
    )


def _trained_on_imagenet(module: nn.Module) -> bool:
    """Whether timm's tag of the net ends in the data of ImageNet's thousand classes."""
    trained = getattr(module, "pretrained_cfg", None)
    return isinstance(trained, dict) and str(trained.get("tag") or "").endswith("in1k")


def _torchvision(net: PackagedNet, size: int) -> InputOptions | None:
    recipes = net.recipes()
    if not recipes:
        return None
    first = recipes[0]
    crops = {(recipe.crop_size[0], recipe.resize_size[0]) for recipe in recipes}
    same = next(iter(crops)) if len(crops) == 1 else None
    kinds = {str(recipe.interpolation.value) for recipe in recipes}
    values = {(tuple(recipe.mean), tuple(recipe.std)) for recipe in recipes}
    mean, std = next(iter(values)) if len(values) == 1 else (None, None)
    return InputOptions(
        range=None if mean is None else (0.0, 1.0),
        mean=mean,
        std=std,
        channel_order=ChannelOrder.RGB,
        crop=None if same is None else same[0] / same[1],
        resize_mode=ResizeMode.CROP,
        interpolation=kinds.pop() if len(kinds) == 1 else None,
        image_size=size if first.crop_size[0] == size else None,
    )
