"""What the files beside weights say of their net and its pictures, or a published file's name.

:func:`contract_for` puts it together. Nothing of it is said where the weights have a card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import CheckpointError, SpecError, one_line
from resnet_deploy.loading.config_file import read_config
from resnet_deploy.loading.hub_config import module_pictures, read_hub_config
from resnet_deploy.loading.preprocessor_config import preprocessor_beside
from resnet_deploy.loading.releases import SIZE as RELEASE_SIZE
from resnet_deploy.loading.releases import Release
from resnet_deploy.models.architectures import Architecture, told_by_keys
from resnet_deploy.models.layouts import is_hugging_face
from resnet_deploy.models.stated import CONFIG_FILE, NOTHING_STATED, Stated
from resnet_deploy.spec import (
    BATCHNORM_EPS,
    FIELDS,
    BlockKind,
    ChannelOrder,
    InputContract,
    InputOptions,
    Learned,
    Padding,
    Pool,
    Variant,
)
from resnet_deploy.spec.model_request import ModelRequest


def stated_beside(
    weights: Path, state: Mapping[str, Tensor], request: ModelRequest, release: Release | None
) -> Stated:
    """Return what the files beside ``weights`` say, and the ``release`` that they are.

    Args:
        weights: the file.
        state: its tensors, by the names that they have there.
        request: what the user says; a factory's net has an architecture of its own.
        release: the published file that it is, or is called like.

    Raises:
        CheckpointError: a file beside the weights is damaged, is of a net that is not built here,
            or ``request`` says otherwise.
    """
    wanted, folder = request.image_size, weights.parent
    fields = read_config(folder / CONFIG_FILE)
    config = None
    if fields is not None:
        config = read_hub_config(
            fields,
            hugging_face=is_hugging_face(state),
            model=request.model if request.is_custom else None,
            wanted=wanted,
        )
    own = preprocessor_beside(folder, wanted)
    known = told_by_keys(state) if config is None or config.architecture is None else None
    if config is None and own is None:
        if release is not None:
            return stated_by_release(release, request)
        return NOTHING_STATED if known is None else _stated_by(known, NOTHING_STATED)
    told = [] if config is None else [config.pictures]
    told += [] if own is None else [own]
    stated = Stated(
        image_size=next((part.size for part in reversed(told) if part.size), None),
        labels=config.labels if config is not None else (),
        pictures=tuple((part.options, Learned.CONFIG) for part in told),
        notices=tuple(notice for part in told for notice in part.notices),
    )
    if config is None or config.architecture is None:
        return stated if known is None else _stated_by(known, stated)
    architecture = config.architecture
    for option, asked, told_by_config in _choices(architecture, request):
        if asked not in (None, told_by_config):
            raise CheckpointError(
                f"{weights.name} is a {_said(option, told_by_config)} net by the {CONFIG_FILE} "
                f"beside it: drop --{option}"
            )
    return _stated_by(architecture, stated)


def _stated_by(architecture: Architecture, stated: Stated) -> Stated:
    """Return ``stated`` with what a name or whose code it is says."""
    return replace(
        stated,
        variant=architecture.variant,
        bn_eps=architecture.bn_eps,
        padding=architecture.padding,
        pool=architecture.pool,
        depth=architecture.depth,
        design=architecture.design,
        attention=architecture.attention,
    )


def _choices(
    architecture: Architecture, request: ModelRequest
) -> Iterator[tuple[str, object, object]]:
    """Yield option, what the user asks for, and what the architecture has."""
    if architecture.design is None or architecture.design.block is BlockKind.BOTTLENECK:
        yield "variant", request.variant, architecture.variant
    yield "bn-eps", request.bn_eps, architecture.bn_eps
    yield "padding", request.padding, architecture.padding
    yield "pool", request.pool, architecture.pool


def _said(option: str, value: object) -> str:
    words = str(getattr(value, "value", value))
    return words if option == "variant" else f"--{option} {words}"


def stated_by_release(release: Release, request: ModelRequest) -> Stated:
    """Return what is known of a published file; of one that only has its name it is assumed."""
    options = release.options(request.image_size)
    if not release.proved:
        return Stated(
            pictures=((options, Learned.ASSUMED),),
            notices=(
                f"the name is that of torchvision's {release.name}.pth, the content is not: that "
                "pictures are prepared the same way is assumed",
            ),
        )
    return Stated(
        variant=Variant.V1_5,
        image_size=RELEASE_SIZE,
        labels=imagenet_labels(),
        bn_eps=BATCHNORM_EPS,
        padding=Padding.TORCH,
        pool=Pool.PLAIN,
        pictures=((options, Learned.RELEASE),),
    )


def stated_by_module(module: nn.Module, size: int) -> Stated:
    """Return what a factory's ``module`` says of its pictures of ``size`` pixels."""
    pictures = module_pictures(module, size)
    if pictures is None:
        return NOTHING_STATED
    return Stated(pictures=((pictures.options, Learned.CONFIG),), notices=pictures.notices)


def contract_for(
    size: int, channels: int, stated: Stated, request: ModelRequest, name: str
) -> InputContract:
    """Return how pictures of ``size`` pixels become the input of the net in the file ``name``.

    What is stated of pictures with other channels than the net's says nothing of their values.

    What nothing states is assumed. That a module takes ``(N, C, H, W)`` is not: it was called so.

    Raises:
        CheckpointError: two sources contradict each other.
    """
    # One channel has no order.
    told = ("layout", "channel_order") if channels == 1 else ("layout",)
    untold = (field for field in FIELDS if field not in told)
    contract = InputContract.for_size(size, channels=channels).as_assumed(untold)
    for options, source in stated.pictures:
        try:
            contract = _for_channels(options, channels).over(contract, source)
        except SpecError as error:
            raise CheckpointError(f"{name}: by its {source.value}, {one_line(error)}") from error
    if request.image_size is not None:
        contract = contract.learned_from(Learned.OPTION, ["size"])
    return contract


def _for_channels(options: InputOptions, channels: int) -> InputOptions:
    """Return ``options`` without the values of channels that the input has not."""
    if ChannelOrder(options.channel_order or ChannelOrder.of(channels)).channels != channels:
        options = replace(options, channel_order=None)
    counts = {len(numbers) for numbers in (options.mean, options.std) if isinstance(numbers, tuple)}
    if counts <= {1, channels}:
        return options
    return replace(options, range=None, mean=None, std=None)
