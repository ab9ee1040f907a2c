"""Which network a state dict belongs to, told from its keys and shapes, a request and what is said.

Longer than most: each question is answered, checked and named as open in one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.infer_design import count_blocks, infer_design
from resnet_deploy.models.layouts import State
from resnet_deploy.models.registry import skeleton
from resnet_deploy.models.stated import NOTHING_STATED, Stated
from resnet_deploy.spec import (
    CHANNEL_COUNTS,
    Attention,
    BlockKind,
    Design,
    Downsample,
    Family,
    HeadKind,
    ModelSpec,
    Order,
    Padding,
    Shortcut,
    Stem,
    Variant,
    residual_spec,
    vgg19_spec,
)
from resnet_deploy.spec.model_request import OWN_CODE, POOLS, ModelRequest, named_variant
from resnet_deploy.spec.names import design_name


def infer_spec(
    state: State, request: ModelRequest, name: str, stated: Stated = NOTHING_STATED
) -> ModelSpec:
    """Return the spec of the net that ``state``, with canonical keys, belongs to.

    What tensors can't tell is taken from ``request``, else ``stated``, else the default: where
    a Bottleneck strides, the image size, whether a net without projections is plain or where its
    zeros lie, whether a max-pool follows a 3x3 ``conv1``, BatchNorm's epsilon, and how windows that
    stride pad and filter. :func:`left_open` names it.

    Raises:
        CheckpointError: no residual net or VGG-19 has these tensors, or they contradict
            ``request``; ``name`` is the checkpoint's name in the message.
    """
    if "features.0.weight" in state:
        return _infer_vgg(state, request, name, stated)
    first = state.get("conv1.weight", state.get("conv1.0.weight"))
    if first is None or first.ndim != 4 or not count_blocks(state):
        raise CheckpointError(_unknown(state, name))
    if request.is_vgg:
        raise CheckpointError(f"{name} is a ResNet, not {request.model}: drop --model")
    channels = _infer_channels(first, request, name)
    design = _asked(infer_design(state, name), request, stated, name)
    named = request.named
    plain = request.is_plain or stated.plain
    padding, pool, variant = stated.padding, stated.pool, stated.variant
    if named is not None:
        padding = padding or (Padding.CAFFE if named.legacy else None)
        pool, variant = pool or POOLS[named.pool], variant or named_variant(named)
    _check_classes(design.num_classes, request, name)
    spec = residual_spec(
        design,
        image_size=request.image_size or stated.image_size or _read_size(state, design),
        variant=request.variant or variant or Variant.V1_5,
        shortcut=_infer_shortcut(state, design, request, name, stated, plain=plain),
        stem=_infer_stem(first, design, request, name, stated),
        plain=plain,
        bn_eps=request.bn_eps or stated.bn_eps,
        padding=request.padding or padding,
        pool=request.pool or pool,
        in_channels=channels,
    )
    _check_tensors(state, spec, name)
    return spec


def _asked(design: Design, request: ModelRequest, stated: Stated, name: str) -> Design:
    """Return ``design`` with what no tensor shows; refuse one that ``request`` does not ask for."""
    asked, named = request.resnet_depth, request.named
    own = request.design if named is None else named.design
    wanted = stated.design if own is None else own
    attention = stated.attention if own is None else own.attention
    if attention is Attention.SE_RELU and design.attention is Attention.SE:
        design = replace(design, attention=Attention.SE_RELU)
    if wanted is not None and Order.PRE is wanted.order is design.order:
        design = replace(design, downsample=wanted.downsample)
    if request.design not in (None, design):
        assert request.design is not None, "it differs from a design"
        raise CheckpointError(
            f"{name} is a {design_name(design)} ({describe(design)}, {design.num_classes} "
            f"classes), not a {design_name(request.design)} ({describe(request.design)}, "
            f"{request.design.num_classes} classes)"
        )
    if asked not in (None, design.depth):
        raise CheckpointError(
            f"{name} is a ResNet-{design.depth} ({describe(design)}), not {asked}: leave out "
            "--depth"
        )
    if named is not None:
        small = replace(named.design, stem=design.stem, stem_conv_pool=design.stem_conv_pool)
        alike = named.design if len(design.stem) == 3 else small
        bare = replace(design, head=(), concat_pool=False, embedding=alike.embedding)
        if bare != replace(alike, head=()):
            raise CheckpointError(
                f"{name} is a {design_name(design)} ({describe(design)}), not {request.model}: "
                "drop --model"
            )
    return design


def _read_size(state: State, design: Design) -> int | None:
    """Return the size of pictures of which an iResNet's last layer reads every pixel."""
    if design.order is not Order.IRESNET:
        return None
    side = round((state["fc.weight"].shape[-1] / design.stages[-1].channels) ** 0.5)
    return side * 2 ** len(design.stages)


def left_open(
    spec: ModelSpec, request: ModelRequest, stated: Stated = NOTHING_STATED
) -> dict[str, str]:
    """Return, by option, what of ``spec`` neither tensors nor the others told, in words.

    Each changes what the net computes and leaves every key and shape as it is.
    """
    return dict(_open(spec, request, stated)) if spec.is_residual else {}


def _open(spec: ModelSpec, request: ModelRequest, stated: Stated) -> Iterator[tuple[str, str]]:
    design, named = spec.residual, request.named
    shortcut, stem = request.shortcut or stated.shortcut, request.stem or stated.stem
    if spec.shortcut is Shortcut.A and not spec.plain and shortcut is None:
        yield (
            "shortcut",
            "shortcuts of option A with zeros on both sides of the channels (zeros behind: "
            "--shortcut A-end; no shortcuts: --plain)",
        )
    faces = design.order is Order.IRESNET
    if spec.stem is Stem.CIFAR and stem is None and not faces:
        yield "stem", "no max-pool after the 3x3 conv1 (with one: --stem cifar-pool)"
    if spec.stem is Stem.CIFAR_POOL and request.stem is Stem.IMAGENET:
        yield "stem", "imagenet's max-pool after a 3x3 conv1 (which is --stem cifar-pool)"
    if spec.has_bottlenecks and (request.variant or stated.variant or named) is None:
        yield "variant", f"the strides of {spec.variant.value} (of the paper: --variant v1)"
    yield from _open_blocks(design, request, stated)
    yield from _open_head(design)
    if (request.bn_eps or stated.bn_eps) is None:
        yield "bn-eps", f"BatchNorm's epsilon {spec.bn_eps:g} (--bn-eps)"
    if (request.padding or stated.padding or named) is None:
        yield "padding", "PyTorch's padding (--padding tf)"
    if (request.pool or stated.pool or named) is None:
        yield "pool", f"{_strides(spec)}, without a blur (--pool blur, avg)"
    if stated.pool is None and not faces:  # whoever says how maps are halved means a net of ReLUs
        mean = "" if design.concat_pool else ", a global mean"
        yield (
            "activation",
            f"ReLU{mean} and no dilation (else --model package.module:factory)",
        )


def _strides(spec: ModelSpec) -> str:
    """Say where maps are halved; a net that dilates, or strides elsewhere, has the same tensors."""
    stem = "strides of 2 in the stem and its max-pool" if spec.stem is Stem.IMAGENET else ""
    stages = f"every stage {'' if spec.residual.order is Order.IRESNET else 'but the first'}"
    return f"{stem} and in {stages.strip()}" if stem else f"strides of 2 in {stages.strip()} alone"


def _shows_order(design: Design) -> bool:
    """Whether some block's first convolution changes the channels, so that its BatchNorm tells."""
    inputs = design.stem[-1]
    for stage in design.stages:
        for widths in stage.widths:
            if widths[0] != inputs:
                return True
            inputs = stage.channels
    return False


def _open_blocks(
    design: Design, request: ModelRequest, stated: Stated
) -> Iterator[tuple[str, str]]:
    named = request.named
    if design.order is Order.PRE and (stated.design or named) is None:
        pools = design.downsample is Downsample.AVG
        kind = "average pools" if pools else "strides"
        yield (
            "downsample",
            f"{kind} in the shortcuts of v2, which read what BatchNorm and ReLU gave",
        )
    if design.order is Order.POST and not _shows_order(design):
        yield "order", "ReLU behind the Add (BatchNorm first: --model package.module:factory)"
    pooled = design.order is Order.POST and design.downsample is Downsample.AVG
    if pooled and (stated.design or named) is None:
        yield "downsample", "average pools in the shortcuts"
    if design.attention is not Attention.NONE and (stated.attention or named) is None:
        squeezed = design.attention is Attention.SE and design.block is BlockKind.BASIC
        relu = ", with no ReLU in front of it" if squeezed else ""
        yield "attention", f"attention in front of the Add, by a sigmoid{relu}"


def _open_head(design: Design) -> Iterator[tuple[str, str]]:
    relus = [f"fc.{layer.path}" for layer in design.head if layer.kind is HeadKind.RELU]
    if relus:
        yield (
            "head",
            f"a ReLU in the head at {', '.join(relus)} (else --model package.module:factory)",
        )
    if design.concat_pool:
        yield "global-pool", "the global maximum and behind it the mean, as in fastai's heads"


def _infer_stem(
    weight: Tensor, design: Design, request: ModelRequest, name: str, stated: Stated
) -> Stem:
    stems = {(7, 7): Stem.IMAGENET, (3, 3): Stem.CIFAR}
    kernel = tuple(weight.shape[2:])
    if kernel not in stems:
        raise CheckpointError(
            f"{name} has a {'x'.join(map(str, kernel))} conv1, the paper's nets have 7x7 or 3x3: "
            f"{OWN_CODE}"
        )
    # The first of three 3x3 halves its map as one of 7x7 does.
    stem = Stem.IMAGENET if len(design.stem) == 3 else stems[kernel]
    if stem is Stem.CIFAR:
        pooled = (Stem.IMAGENET, Stem.CIFAR_POOL)
        if (request.stem or stated.stem) in pooled:
            # ImageNet's stem around a small conv1: what it names beyond the kernel is the pool.
            return Stem.CIFAR_POOL
    if request.stem not in (None, stem):
        raise CheckpointError(
            f"{name} has a {'x'.join(map(str, kernel))} conv1 (--stem {stem.value}), "
            f"not --stem {request.stem.value}"
        )
    return stem


def _infer_shortcut(
    state: State,
    design: Design,
    request: ModelRequest,
    name: str,
    stated: Stated,
    *,
    plain: bool,
) -> Shortcut:
    """Return the option of section 4.1; for a plain net, the usual one of its family."""
    projections = sum(
        key.endswith((".downsample.0.weight", ".downsample.1.weight")) and tensor.ndim == 4
        for key, tensor in state.items()
    )
    if plain:
        if projections:
            raise CheckpointError(f"{name} has projection shortcuts, so it is not plain")
        return Shortcut.A if len(design.stages) == 3 else Shortcut.B
    if projections == 0:
        found, text = Shortcut.A, "no projection shortcuts (option A)"
        if (request.shortcut or stated.shortcut) is Shortcut.A_END:
            return Shortcut.A_END
    elif projections == sum(design.blocks) and _all_change_shape(design):
        both = (Shortcut.B, Shortcut.C)  # the same net
        said = request.shortcut or stated.shortcut or Shortcut.B
        found, text = said if said in both else Shortcut.B, "projection shortcuts"
    elif projections == sum(design.blocks):
        found, text = Shortcut.C, "a projection in every block (option C)"
    else:
        found, text = Shortcut.B, "projections where the shape changes (option B)"
    if request.shortcut not in (None, found):
        raise CheckpointError(f"{name} has {text}, not option {request.shortcut.value}")
    return found


def _all_change_shape(design: Design) -> bool:
    """Whether every block gives a map of another shape than it takes."""
    widens = design.stem[-1] != design.stages[0].channels
    return max(design.blocks) == 1 and (widens or design.order is Order.IRESNET)


def _infer_channels(weight: Tensor, request: ModelRequest, name: str) -> int:
    """Return how many channels the first convolution takes."""
    channels = weight.shape[1]
    if channels not in CHANNEL_COUNTS:
        raise CheckpointError(
            f"{name} takes pictures of {channels} channels, which are none of 1 (grey), 3 (RGB) "
            f"and 4 (RGBA): {OWN_CODE}"
        )
    if request.in_channels not in (None, channels):
        kind = "1 input channel" if channels == 1 else f"{channels} input channels"
        raise CheckpointError(f"{name} has {kind}, not {request.in_channels}: drop --in-channels")
    return channels


def _check_classes(classes: int, request: ModelRequest, name: str) -> None:
    if classes and request.num_classes not in (None, classes):
        raise CheckpointError(
            f"{name} has {classes} classes, not {request.num_classes}: drop --num-classes"
        )


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
    _check_classes(len(head), request, name)
    spec = vgg19_spec(
        num_classes=len(head),
        image_size=request.image_size or stated.image_size,
        in_channels=_infer_channels(state["features.0.weight"], request, name),
    )
    _check_tensors(state, spec, name)
    return spec


def _check_tensors(state: State, spec: ModelSpec, name: str) -> None:
    if problem := misfit(state, skeleton(spec, device="meta").state_dict()):
        net = "VGG-19" if spec.family is Family.VGG else f"ResNet-{spec.depth}"
        if spec.design is not None:
            net = design_name(spec.design)
        raise CheckpointError(
            f"{name} looks like a {net}, but {problem}; if the file is complete, it is another "
            f"net: {OWN_CODE}"
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


def describe(design: Design) -> str:
    """Return the blocks of ``design`` in words, such as ``basic blocks 3-4-6-3``."""
    return f"{design.block.value} blocks {'-'.join(map(str, design.blocks))}"


def _unknown(state: State, name: str) -> str:
    known = ("bn1.", "layer", "fc.", "conv1.weight")
    first = next((key for key in state if not key.startswith(known)), next(iter(state)))
    return f"{name} holds no ResNet or VGG-19 (it has {first!r}): {OWN_CODE}"
