"""What is said of a net beside its tensors: by a card in the file, configs beside it, its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import CheckpointError, SpecError, one_line
from resnet_deploy.models.architectures import Architecture
from resnet_deploy.models.config_file import read_config
from resnet_deploy.models.hub_config import module_pictures, read_hub_config
from resnet_deploy.models.layouts import is_hugging_face
from resnet_deploy.models.preprocessor_config import preprocessor_beside
from resnet_deploy.models.releases import SIZE as RELEASE_SIZE
from resnet_deploy.models.releases import Release
from resnet_deploy.spec import (
    BATCHNORM_EPS,
    FIELDS,
    Family,
    InputContract,
    InputOptions,
    Learned,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
)
from resnet_deploy.spec.model_request import ModelRequest

_FACTORY = re.compile(r"[\w.]+:[\w.]+", re.ASCII)

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Stated:
    """What tensors can't tell; None and empty are "not said".

    ``pictures`` are statements on the input contract with their sources, the last one first to be
    believed. ``depth`` can be compared with the tensors.
    """

    variant: Variant | None = None
    image_size: int | None = None
    plain: bool = False
    labels: tuple[str, ...] = ()
    shortcut: Shortcut | None = None
    stem: Stem | None = None
    bn_eps: float | None = None
    padding: Padding | None = None
    pool: Pool | None = None
    depth: int | None = None
    pictures: tuple[tuple[InputOptions, Learned], ...] = ()
    notices: tuple[str, ...] = ()


NOTHING_STATED = Stated()


def stated_by_card(card: WeightsCard, request: ModelRequest, name: str) -> Stated:
    """Return what ``card``, of the file called ``name``, says of its net.

    Raises:
        CheckpointError: ``request`` says otherwise, or does not name the factory of a net that only
            its owner's code can build.
    """
    if contradiction := next(_contradictions(card.model, request), None):
        raise CheckpointError(f"{name} is {contradiction}")
    model = card.model
    return Stated(
        variant=model.variant,
        image_size=model.image_size,
        plain=model.plain,
        labels=card.labels,
        shortcut=model.shortcut,
        stem=model.stem,
        bn_eps=model.bn_eps,
        padding=model.padding,
        pool=model.pool,
    )


def _contradictions(model: ModelSpec, request: ModelRequest) -> Iterator[str]:
    """Yield what a card says of its net and the request does not; tensors tell the rest."""
    custom = model.family is Family.CUSTOM
    if custom and not request.is_custom:
        # A file may say anything, and this goes to a terminal.
        readable = model.factory is not None and _FACTORY.fullmatch(model.factory)
        origin = model.factory if readable else "package.module:factory"
        yield f"of a custom net by its card: add --model {origin} if you trust that code"
    if request.is_custom and not custom:
        yield f"a {model.name} by its card: drop --model {request.model}"
    if _has_bottlenecks(model) and request.variant not in (None, model.variant):
        yield f"a {model.variant.value} net by its card: drop --variant"
    zeros = {Shortcut.A, Shortcut.A_END}
    if not model.plain and {request.shortcut, model.shortcut} == zeros:
        yield f"a net with shortcut {model.shortcut.value} by its card: drop --shortcut"
    stems = {Stem.CIFAR, Stem.CIFAR_POOL}
    if {request.stem, model.stem} == stems or (
        request.stem is Stem.IMAGENET and model.stem is Stem.CIFAR
    ):
        yield f"a net with stem {model.stem.value} by its card: drop --stem"
    if request.bn_eps not in (None, model.bn_eps):
        yield f"a net with epsilon {model.bn_eps:g} by its card: drop --bn-eps"
    if request.padding not in (None, model.padding):
        yield f"a net with {model.padding.value} padding by its card: drop --padding"
    if request.pool not in (None, model.pool):
        yield f"a net with {model.pool.value} pooling by its card: drop --pool"
    if request.is_plain and not model.plain:
        yield f"a {model.name} by its card, not plain: drop --plain, or name that model"
    residual = request.model is not None and not request.is_plain
    if model.plain and (request.shortcut is not None or residual):
        yield f"a {model.name} by its card, without shortcuts: drop --model and --shortcut"


def _has_bottlenecks(model: ModelSpec) -> bool:
    """Whether the net has blocks of three layers; only these have variants."""
    return model.family is Family.IMAGENET and model.depth >= 50


def check_card(card: WeightsCard, spec: ModelSpec, name: str) -> tuple[str, ...]:
    """Refuse a ``card`` that is of another net than the tensors of the file called ``name``.

    Returns:
        What is worth telling: a net works on images of any size, but not equally well.

    Raises:
        CheckpointError: ``spec``, which they have, differs from the card's.
    """
    found, said = _comparable(spec), _comparable(card.model)
    if found != said:
        raise CheckpointError(
            f"the card in {name} is of a {_words(said)}, the tensors are of a {_words(found)}: "
            "one of them is another file's; copy or train it again"
        )
    trained = card.model.image_size
    if spec.image_size == trained:
        return ()
    return (f"{name} was trained on images of {trained} pixels, not {spec.image_size}",)


def _comparable(spec: ModelSpec) -> ModelSpec:
    """Return ``spec`` without what means nothing for its net, or is the user's to choose."""
    spec = replace(spec, image_size=0)
    if spec.family is Family.CUSTOM:
        # Code moves; what it builds was compared tensor by tensor.
        return replace(spec, factory=None)
    variant = spec.variant if _has_bottlenecks(spec) else Variant.V1_5
    return replace(spec, variant=variant, shortcut=Shortcut.A if spec.plain else spec.shortcut)


def _words(spec: ModelSpec) -> str:
    if spec.family is Family.CUSTOM:
        return f"net of {spec.num_classes} classes"
    options = f"shortcut {spec.shortcut.value}, stem {spec.stem.value}"
    return f"{spec.name} of {spec.num_classes} classes ({options})"


def stated_beside(
    weights: Path, state: Iterable[str], request: ModelRequest, release: Release | None
) -> Stated:
    """Return what the files beside ``weights`` say, and the ``release`` that they are.

    Args:
        weights: the file.
        state: the names of its tensors.
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
            own_net=request.is_custom,
            wanted=wanted,
        )
    own = preprocessor_beside(folder, wanted)
    if config is None and own is None:
        return NOTHING_STATED if release is None else _stated_by_release(release, weights, wanted)
    told = [] if config is None else [config.pictures]
    told += [] if own is None else [own]
    stated = Stated(
        image_size=next((part.size for part in reversed(told) if part.size), None),
        labels=config.labels if config is not None else (),
        pictures=tuple((part.options, Learned.CONFIG) for part in told),
        notices=tuple(notice for part in told for notice in part.notices),
    )
    if config is None or config.architecture is None:
        return stated
    architecture = config.architecture
    for option, asked, told_by_config in _choices(architecture, request):
        if asked not in (None, told_by_config):
            raise CheckpointError(
                f"{weights.name} is a {_said(option, told_by_config)} net by the {CONFIG_FILE} "
                f"beside it: drop --{option}"
            )
    return replace(
        stated,
        variant=architecture.variant,
        bn_eps=architecture.bn_eps,
        padding=architecture.padding,
        pool=architecture.pool,
        depth=architecture.depth,
    )


def _choices(
    architecture: Architecture, request: ModelRequest
) -> Iterator[tuple[str, object, object]]:
    """Yield option, what the user asks for, and what the architecture has."""
    if architecture.depth is None or architecture.depth >= 50:
        yield "variant", request.variant, architecture.variant
    yield "bn-eps", request.bn_eps, architecture.bn_eps
    yield "padding", request.padding, architecture.padding
    yield "pool", request.pool, architecture.pool


def _said(option: str, value: object) -> str:
    words = str(getattr(value, "value", value))
    return words if option == "variant" else f"--{option} {words}"


def _stated_by_release(release: Release, weights: Path, wanted: int | None) -> Stated:
    options = release.options(wanted)
    if not release.proved:
        return Stated(
            pictures=((options, Learned.ASSUMED),),
            notices=(
                f"{weights.name} has the name of torchvision's {release.name}.pth, but not its "
                "content: that its pictures are prepared the same way is assumed",
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


def check_depth(stated: Stated, spec: ModelSpec, name: str) -> None:
    """Refuse tensors of another depth than the config beside them says.

    Raises:
        CheckpointError: they are; ``name`` is that of their file.
    """
    if stated.depth not in (None, spec.depth) or (stated.depth and spec.family is Family.VGG):
        raise CheckpointError(
            f"{name} is a {spec.name} by its tensors, and a net of {stated.depth} layers by the "
            f"{CONFIG_FILE} beside it: one of them is another net's; remove the wrong one"
        )


def contract_for(size: int, stated: Stated, request: ModelRequest, name: str) -> InputContract:
    """Return how pictures of ``size`` pixels become the input of the net in the file ``name``.

    What nothing states is assumed. That a module takes ``(N, C, H, W)`` is not: it was called so.

    Raises:
        CheckpointError: two sources contradict each other.
    """
    untold = (field for field in FIELDS if field != "layout")
    contract = InputContract.for_size(size).as_assumed(untold)
    for options, source in stated.pictures:
        try:
            contract = options.over(contract, source)
        except SpecError as error:
            raise CheckpointError(f"{name}: by its {source.value}, {one_line(error)}") from error
    if request.image_size is not None:
        contract = contract.learned_from(Learned.OPTION, ["size"])
    return contract
