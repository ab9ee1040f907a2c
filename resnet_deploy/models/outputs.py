"""What a network returns, in PyTorch: its own logits, or more, or less than them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnet_deploy.errors import SpecError
from resnet_deploy.models.network import Network
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.models.tracing import ONE_AT_A_TIME
from resnet_deploy.spec import Downsample, ModelSpec, OutputKind, OutputSpec, Stem


def shaped(network: Network, output: OutputSpec) -> nn.Module:
    """Return a module that gives what ``output`` asks for; that of ``network`` stays as it is.

    Raises:
        SpecError: this network can't give that.
    """
    module = network.module
    if output.kind in (OutputKind.EMBEDDING, OutputKind.FEATURES) or output.stride != 32:
        with ONE_AT_A_TIME:  # a module may keep what it computes
            module = copy.deepcopy(module)
    shape_output(module, network.spec, output)
    return module


def shape_output(module: nn.Module, model: ModelSpec, output: OutputSpec) -> None:
    """Change ``module`` in place, so that it gives what ``output`` asks for.

    Strides become dilations; for an embedding the last linear layer goes, so that the module
    returns what went into it (the pooled features of a ResNet, 4096 values of VGG-19); for features
    a ResNet returns its maps. Probabilities are not the module's: see :func:`answers`.

    Args:
        module: in eval mode; takes ``(N, C, H, W)`` and returns ``(N, classes)``.
        model: what it is.
        output: what is asked for.

    Raises:
        SpecError: this network can't give that.
    """
    resnet = module if isinstance(module, ResNet) else None
    if output.stride != 32:
        if (
            resnet is None
            or model.stem is not Stem.IMAGENET
            or len(resnet.stage_names) != 4
            or resnet.design.downsample is Downsample.AVG
        ):
            raise SpecError(
                f"--output-stride {output.stride} is for ImageNet ResNets with their own stem, and "
                f"shortcuts without pools, not for {model.name}: drop it"
            )
        resnet.dilate(output.stride)
    if output.kind.has_names and not model.has_classes:
        raise SpecError(
            f"{model.name} has no classifier (no fc.weight): it is a backbone, and --output "
            f"{output.name} needs classes; use --output embedding or --output features, or the "
            "full checkpoint"
        )
    if output.kind is OutputKind.TOP_K and output.k > model.num_classes:
        raise SpecError(
            f"--output {output.name}: {model.name} has {model.num_classes} classes only"
        )
    if output.kind is OutputKind.EMBEDDING and model.has_classes:
        _drop_classifier(module, model)
    if output.kind is OutputKind.FEATURES:
        if resnet is None:
            raise SpecError(
                f"--output features is for the paper's ResNets, and {model.name} is not one: use "
                "--depth, or --output embedding"
            )
        resnet.gives_maps = True
        resnet.drop_head()  # it is not called, and its weights are not exported


def tensor_names(module: nn.Module, output: OutputSpec) -> tuple[str, ...]:
    """Return the names of what ``module`` itself gives, in order; it has its shape already."""
    if output.kind.has_classes:
        return OutputSpec().tensor_names()
    return output.tensor_names(len(module.stage_names) if isinstance(module, ResNet) else 1)


def answers(given: Tensor | Sequence[Tensor], output: OutputSpec) -> tuple[Tensor, ...]:
    """Return the graph's outputs from what the module gave: logits, one embedding, or maps.

    In the order of :meth:`OutputSpec.tensor_names`. Of equal probabilities ``torch.topk`` may take
    any.
    """
    given = (given,) if isinstance(given, Tensor) else given
    tensors = tuple(tensor.float() for tensor in given)
    if output.kind is OutputKind.SOFTMAX:
        return (torch.softmax(tensors[0], dim=-1),)
    if output.kind is OutputKind.TOP_K:
        best = torch.topk(torch.softmax(tensors[0], dim=-1), output.k, dim=-1)
        return best.values, best.indices
    return tensors


def _drop_classifier(module: nn.Module, model: ModelSpec) -> None:
    """Replace the linear layer that gives the logits by the identity."""
    given: list[tuple[str, Tensor]] = []
    hooks = [
        child.register_forward_hook(lambda _m, _x, y, path=path: given.append((path, y)))
        for path, child in module.named_modules()
        if isinstance(child, nn.Linear) and path
    ]
    try:
        with ONE_AT_A_TIME, torch.no_grad():
            logits = module(torch.zeros(1, model.in_channels, model.image_size, model.image_size))
    finally:
        for hook in hooks:
            hook.remove()
    last = [path for path, result in given if result is logits]
    if len(last) != 1:
        raise SpecError(
            f"--output embedding: {model.name} does not end in a linear layer of its own, in front "
            "of which its features could be taken; write a factory that returns them"
        )
    module.set_submodule(last[0], nn.Identity().eval())
