"""Which network a state dict belongs to, told from its keys and shapes."""

from __future__ import annotations

import re
from collections import Counter

from torch import Tensor

from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.layouts import State
from resnet_deploy.models.registry import BLOCKS, skeleton
from resnet_deploy.models.resnet import BasicBlock, Bottleneck
from resnet_deploy.models.stated import NOTHING_STATED, Stated
from resnet_deploy.spec import (
    CHANNEL_COUNTS,
    Family,
    ModelSpec,
    Shortcut,
    Stem,
    Variant,
    resnet_spec,
    vgg19_spec,
)
from resnet_deploy.spec.model_request import ModelRequest

_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.conv1\.weight")
_OWN_NET = "load it with --model package.module:factory"


def infer_spec(
    state: State, request: ModelRequest, name: str, stated: Stated = NOTHING_STATED
) -> ModelSpec:
    """Return the spec of the net that ``state``, with torchvision's keys, belongs to.

    What tensors can't tell is taken from ``request``, else ``stated``, else the default: where
    a Bottleneck strides, the image size, whether a net without projections is plain or where its
    zeros lie, whether a max-pool follows a 3x3 ``conv1``, BatchNorm's epsilon, and how windows that
    stride pad and filter. :func:`left_open` names it.

    Raises:
        CheckpointError: no ResNet or VGG-19 has these tensors, or they contradict ``request``;
            ``name`` is the checkpoint's name in the message.
    """
    if "features.0.weight" in state:
        return _infer_vgg(state, request, name, stated)
    blocks = _count_blocks(state)
    stem_weight = state.get("conv1.weight")
    if stem_weight is None or stem_weight.ndim != 4 or not blocks:
        raise CheckpointError(_unknown(state, name))
    if request.is_vgg:
        raise CheckpointError(f"{name} is a ResNet, not {request.model}: drop --model")

    bottleneck = "layer1.0.conv3.weight" in state
    depth = _infer_depth(blocks, bottleneck, name)
    asked = request.resnet_depth
    if asked not in (None, depth):
        raise CheckpointError(
            f"{name} is a ResNet-{depth} ({_describe(blocks, bottleneck)}), not {asked}"
        )
    # Without these keys there is nothing to infer from; the check against the net's own tensors
    # names whatever else is missing.
    if "fc.weight" not in state or state["fc.weight"].ndim != 2:
        raise CheckpointError(
            f"{name} has no classifier (fc.weight): it is a backbone; use the full checkpoint"
        )
    plain = request.is_plain or stated.plain
    spec = resnet_spec(
        depth,
        num_classes=_infer_classes(state["fc.weight"], request, name),
        image_size=request.image_size or stated.image_size,
        variant=request.variant or stated.variant or Variant.V1_5,
        shortcut=_infer_shortcut(state, blocks, request, name, stated, plain=plain),
        stem=_infer_stem(stem_weight, request, name, stated),
        in_channels=_infer_channels(stem_weight, request, name),
        plain=plain,
        bn_eps=request.bn_eps or stated.bn_eps,
        padding=request.padding or stated.padding,
        pool=request.pool or stated.pool,
    )
    _check_tensors(state, spec, name)
    return spec


def _count_blocks(state: State) -> tuple[int, ...]:
    """Return the number of blocks in each stage, such as (3, 4, 6, 3)."""
    found = [match for match in map(_BLOCK.fullmatch, state) if match]
    stages = Counter(int(match[1]) for match in found)
    return tuple(stages[i + 1] for i in range(max(stages, default=0)))


def _infer_depth(blocks: tuple[int, ...], bottleneck: bool, name: str) -> int:
    kind = Bottleneck if bottleneck else BasicBlock
    for depth, known in BLOCKS.items():
        if known == (kind, blocks):
            return depth
    if len(blocks) == 3 and len(set(blocks)) == 1 and not bottleneck:
        return 6 * blocks[0] + 2
    raise CheckpointError(
        f"{name} has {_describe(blocks, bottleneck)}, not a ResNet of the paper: {_OWN_NET}"
    )


def left_open(
    spec: ModelSpec, request: ModelRequest, stated: Stated = NOTHING_STATED
) -> dict[str, str]:
    """Return, by option, what of ``spec`` neither tensors nor the others told, in words.

    Each changes what the net computes and leaves every key and shape as it is.
    """
    if spec.family is not Family.IMAGENET and spec.family is not Family.CIFAR:
        return {}
    assumed: dict[str, str] = {}
    shortcut, stem = request.shortcut or stated.shortcut, request.stem or stated.stem
    if spec.shortcut is Shortcut.A and not spec.plain and shortcut is None:
        assumed["shortcut"] = (
            "shortcuts of option A with zeros on both sides of the channels (zeros behind: "
            "--shortcut A-end; no shortcuts: --plain)"
        )
    if spec.stem is Stem.CIFAR and stem is None:
        assumed["stem"] = "no max-pool after the 3x3 conv1 (with one: --stem cifar-pool)"
    if spec.stem is Stem.CIFAR_POOL and request.stem is Stem.IMAGENET:
        assumed["stem"] = "imagenet's max-pool after a 3x3 conv1 (which is --stem cifar-pool)"
    bottleneck = spec.family is Family.IMAGENET and spec.depth >= 50
    if bottleneck and (request.variant or stated.variant) is None:
        assumed["variant"] = f"the strides of {spec.variant.value} (of the paper: --variant v1)"
    if (request.bn_eps or stated.bn_eps) is None:
        assumed["bn-eps"] = f"BatchNorm's epsilon {spec.bn_eps:g} (--bn-eps)"
    if (request.padding or stated.padding) is None:
        assumed["padding"] = "PyTorch's padding (--padding tf)"
    if (request.pool or stated.pool) is None:
        assumed["pool"] = "strides without a blur (--pool blur, avg)"
    if stated.pool is None:  # whoever says how maps are halved means a net of ReLUs
        assumed["activation"] = "ReLU (else --model package.module:factory)"
    return assumed


def _infer_stem(weight: Tensor, request: ModelRequest, name: str, stated: Stated) -> Stem:
    stems = {(7, 7): Stem.IMAGENET, (3, 3): Stem.CIFAR}
    kernel = tuple(weight.shape[2:])
    if kernel not in stems:
        raise CheckpointError(
            f"{name} has a {kernel[0]}x{kernel[1]} conv1, the paper's nets have 7x7 or 3x3: "
            f"{_OWN_NET}"
        )
    stem = stems[kernel]
    if stem is Stem.CIFAR:
        pooled = (Stem.IMAGENET, Stem.CIFAR_POOL)
        if (request.stem or stated.stem) in pooled:
            # ImageNet's stem around a small conv1: what it names beyond the kernel is the pool.
            return Stem.CIFAR_POOL
    if request.stem not in (None, stem):
        raise CheckpointError(
            f"{name} has a {kernel[0]}x{kernel[1]} conv1 (--stem {stem.value}), "
            f"not --stem {request.stem.value}"
        )
    return stem


def _infer_shortcut(
    state: State,
    blocks: tuple[int, ...],
    request: ModelRequest,
    name: str,
    stated: Stated,
    *,
    plain: bool,
) -> Shortcut | None:
    """Return the option of section 4.1; None (any) for a plain net."""
    projections = sum(key.endswith(".downsample.0.weight") for key in state)
    if plain:
        if projections:
            raise CheckpointError(f"{name} has projection shortcuts, so it is not plain")
        return None
    if projections == 0:
        found, text = Shortcut.A, "no projection shortcuts (option A)"
        if (request.shortcut or stated.shortcut) is Shortcut.A_END:
            return Shortcut.A_END
    elif projections == sum(blocks):
        found, text = Shortcut.C, "a projection in every block (option C)"
    else:
        found, text = Shortcut.B, "projections where the shape changes (option B)"
    if request.shortcut not in (None, found):
        raise CheckpointError(f"{name} has {text}, not option {request.shortcut.value}")
    return found


def _infer_channels(weight: Tensor, request: ModelRequest, name: str) -> int:
    """Return how many channels the first convolution takes."""
    channels = weight.shape[1]
    if channels not in CHANNEL_COUNTS:
        raise CheckpointError(
            f"{name} takes pictures of {channels} channels, which are none of 1 (grey), 3 (RGB) "
            f"and 4 (RGBA): {_OWN_NET}"
        )
    if request.in_channels not in (None, channels):
        kind = "1 input channel" if channels == 1 else f"{channels} input channels"
        raise CheckpointError(f"{name} has {kind}, not {request.in_channels}: drop --in-channels")
    return channels


def _infer_classes(weight: Tensor, request: ModelRequest, name: str) -> int:
    classes = weight.shape[0]
    if request.num_classes not in (None, classes):
        raise CheckpointError(
            f"{name} has {classes} classes, not {request.num_classes}: drop --num-classes"
        )
    return classes


def _infer_vgg(state: State, request: ModelRequest, name: str, stated: Stated) -> ModelSpec:
    head = state.get("classifier.6.weight")
    if head is None or head.ndim != 2:
        raise CheckpointError(_unknown(state, name))
    if request.resnet_depth is not None:
        raise CheckpointError(f"{name} is a VGG, not a ResNet-{request.resnet_depth}")
    given = (
        request.variant,
        request.shortcut,
        request.stem,
        request.plain or None,
        request.bn_eps,
        request.padding,
        request.pool,
    )
    if any(option is not None for option in given):
        raise CheckpointError(
            f"{name} is a VGG: --variant, --shortcut, --stem, --plain, --bn-eps, --padding and "
            "--pool are for ResNets"
        )
    spec = vgg19_spec(
        num_classes=_infer_classes(head, request, name),
        image_size=request.image_size or stated.image_size,
        in_channels=_infer_channels(state["features.0.weight"], request, name),
    )
    _check_tensors(state, spec, name)
    return spec


def _check_tensors(state: State, spec: ModelSpec, name: str) -> None:
    if problem := misfit(state, skeleton(spec, device="meta").state_dict()):
        net = "VGG-19" if spec.family is Family.VGG else f"ResNet-{spec.depth}"
        raise CheckpointError(
            f"{name} looks like a {net}, but {problem}; if the file is complete, it is another "
            f"net: {_OWN_NET}"
        )


def misfit(state: State, expected: State) -> str | None:
    """Return how ``state`` differs from the ``expected`` keys and shapes, in words; None: not."""
    for problem, keys in (
        ("has the unknown", [key for key in state if key not in expected]),
        ("lacks", [key for key in expected if key not in state]),
    ):
        told = [key for key in keys if not key.endswith(".num_batches_tracked")]
        if told:
            more = f" and {len(told) - 1} more" if len(told) > 1 else ""
            return f"it {problem} {told[0]!r}{more}"
    for key in state:
        if key in expected and state[key].shape != expected[key].shape:
            return f"{key} is {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
    return None


def _describe(blocks: tuple[int, ...], bottleneck: bool) -> str:
    kind = "bottleneck" if bottleneck else "basic"
    return f"{kind} blocks {'-'.join(map(str, blocks))}"


def _unknown(state: State, name: str) -> str:
    known = ("bn1.", "layer", "fc.", "conv1.weight")
    first = next((key for key in state if not key.startswith(known)), next(iter(state)))
    return f"{name} holds no ResNet or VGG-19 (it has {first!r}): {_OWN_NET}"
