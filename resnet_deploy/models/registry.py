"""From a spec to a PyTorch module: the paper's nets by depth, any other by its factory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_deploy.errors import SpecError, one_line
from resnet_deploy.models.face_net import IResNet
from resnet_deploy.models.init import initialize
from resnet_deploy.models.packages import packaged
from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.models.tracing import ONE_AT_A_TIME
from resnet_deploy.models.vgg import VGG19
from resnet_deploy.spec import CHANNEL_COUNTS, Family, ModelSpec, Order, Pool

_VGG_SMALLEST_IMAGE = 32


def build(spec: ModelSpec, *, seed: int = 0) -> nn.Module:
    """Return the module of ``spec`` in eval mode, on the CPU, in float32.

    Our nets are initialised from ``seed``; a factory is called with PyTorch's random state set
    to ``seed`` (and put back after), so that its untrained weights repeat as well.

    Raises:
        SpecError: the spec has no module (a foreign ONNX file), the factory can't be called, or
            what it returns is not an image classifier of ``spec.num_classes`` (0: of any number).
    """
    if spec.family is Family.CUSTOM:
        return build_custom(spec, seed=seed)[0]
    module = skeleton(spec)
    initialize(module, seed)
    return module


def skeleton(spec: ModelSpec, device: str = "cpu") -> nn.Module:
    """Return the module of ``spec`` with all weights zero, to be filled by a checkpoint.

    On ``device`` ``meta`` it has shapes only. Not for factories.

    Raises:
        SpecError: no net has this depth, or the image is too small for it, or its size is not for
            this kind of pooling.
    """
    with torch.device("meta"):
        module = _architecture(spec).eval()
        if spec.pool is not Pool.PLAIN:
            _check_size(module, spec)
    if device == "meta":
        return module
    # Unlike Module.to_empty, this does not have PyTorch import what traces symbolic shapes: 0.7 s.
    zeros = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(zeros, assign=True)
    return module


def build_custom(spec: ModelSpec, *, seed: int = 0) -> tuple[nn.Module, ModelSpec]:
    """Call the factory of ``spec``; return its module and the spec with its classes and channels.

    Raises:
        SpecError: see :func:`build`.
    """
    if spec.factory is None:
        raise SpecError("the model came as an ONNX file: it has no PyTorch module to build")
    module = _made(spec, spec.factory, seed)
    if not isinstance(module, nn.Module):
        raise SpecError(
            f"{spec.factory} returned a {type(module).__name__}: it must return a torch.nn.Module"
        )
    if isinstance(module, nn.DataParallel):
        module = module.module  # the wrapper is for training on several devices
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise SpecError(
            f"{spec.factory} returned a module on the meta device, without weights: build it on "
            "the CPU"
        )
    module = module.to(device="cpu", dtype=torch.float32).eval()
    channels = spec.in_channels or _channels_taken(module, spec.image_size)
    classes = count_classes(module, spec.image_size, spec.factory, channels)
    if spec.num_classes not in (0, classes):
        raise SpecError(
            f"{spec.factory} has {classes} classes, not {spec.num_classes}: drop --num-classes"
        )
    return module, replace(spec, num_classes=classes, in_channels=channels)


def _made(spec: ModelSpec, factory: str, seed: int) -> Any:
    """Return what another package builds by its name, or what the user's own code does."""
    net = packaged(factory)
    own = load_factory(factory) if net is None else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if net is not None:
            return net.build(num_classes=spec.num_classes, in_channels=spec.in_channels)
        assert own is not None, "there is no net of another package"
        try:
            return own()
        except (Exception, SystemExit) as error:
            raise SpecError(f"{factory} failed with {_one_line(error)}") from error


def _channels_taken(module: nn.Module, image_size: int) -> int:
    """Return 3 where ``module`` runs on RGB, else what its first convolution takes."""
    first = next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)
    if first not in CHANNEL_COUNTS or first == 3:
        return 3
    try:
        count_classes(module, image_size, "", 3)
    except SpecError:
        return first
    return 3


def load_factory(path: str) -> Callable[[], Any]:
    """Import ``package.module:factory``; modules in the current folder are found too.

    Raises:
        SpecError: the path is malformed, the module can't be imported, or it has no such
            callable.
    """
    module_name, separator, attribute = path.partition(":")
    if not separator or not module_name or not attribute:
        raise SpecError(f"{path!r} is not a factory: write package.module:factory")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise SpecError(
            f"cannot import {module_name} of --model {path}: {_one_line(error)}; "
            "install it, or run in its folder"
        ) from error
    finally:
        with suppress(ValueError):  # the imported module may have removed it itself
            sys.path.remove(folder)
    factory = module
    for name in attribute.split("."):
        if not hasattr(factory, name):
            raise SpecError(f"the module {module_name} has no {attribute!r}: check --model {path}")
        factory = getattr(factory, name)
    if not callable(factory):
        raise SpecError(
            f"{path} is a {type(factory).__name__}, not callable: name a function or a class"
        )
    return factory


def count_classes(module: nn.Module, image_size: int, name: str, channels: int = 3) -> int:
    """Run a batch of two black images and return the number of logits.

    Raises:
        SpecError: the module fails, or doesn't return one float tensor ``(2, classes)``.
    """
    try:
        with ONE_AT_A_TIME, torch.no_grad():
            logits = module(torch.zeros(2, channels, image_size, image_size))
    except (Exception, SystemExit) as error:  # user code may raise anything
        raise SpecError(
            f"{name} fails on a batch of shape (2, {channels}, {image_size}, {image_size}): "
            f"{_one_line(error)}; another size is set by --image-size, other channels by "
            "--in-channels"
        ) from error
    if not isinstance(logits, Tensor):
        raise SpecError(
            f"{name} returns a {type(logits).__name__}: an image classifier returns one tensor "
            "of logits (N, classes); wrap it in a module that does"
        )
    if logits.ndim != 2 or logits.shape[0] != 2 or not logits.is_floating_point():
        raise SpecError(
            f"{name} returns {logits.dtype} of shape {tuple(logits.shape)} for two images: an "
            "image classifier returns floats of shape (2, classes)"
        )
    return logits.shape[1]


def _architecture(spec: ModelSpec) -> nn.Module:
    if spec.family is Family.VGG:
        if spec.image_size < _VGG_SMALLEST_IMAGE:
            raise SpecError(
                f"VGG-19 halves its input five times: --image-size {spec.image_size} is too "
                f"small, use at least {_VGG_SMALLEST_IMAGE}"
            )
        return VGG19(spec.num_classes, spec.in_channels)
    design = spec.residual
    options = NetOptions(
        stem=spec.stem,
        shortcut=spec.shortcut,
        variant=spec.variant,
        plain=spec.plain,
        bn_eps=spec.bn_eps,
        padding=spec.padding,
        pool=spec.pool,
        in_channels=spec.in_channels,
    )
    if spec.plain and design.order is not Order.POST:
        raise SpecError(f"{spec.name} is not a net without shortcuts: drop --plain")
    if design.order is not Order.IRESNET:
        return ResNet(design, options)
    halved = 2 ** len(design.stages)
    if spec.image_size % halved or not spec.image_size:
        raise SpecError(
            f"{spec.name} halves its input {len(design.stages)} times and reads every pixel of the "
            f"last map: use an --image-size that {halved} divides, 112 as a rule"
        )
    return IResNet(design, options, spec.image_size)


def _check_size(module: nn.Module, spec: ModelSpec) -> None:
    """Refuse an image of which the halves don't add up, on the meta device."""
    try:
        module(torch.empty(1, spec.in_channels, spec.image_size, spec.image_size))
    except (RuntimeError, ValueError) as error:
        raise SpecError(
            f"--pool {spec.pool.value} can't halve images of {spec.image_size} pixels as often as "
            "the net does: use an --image-size that 32 divides"
        ) from error


def _one_line(error: BaseException) -> str:
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
