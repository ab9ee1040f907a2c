"""What is said of a net beside its tensors, and by the card of the weights before all else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.errors import CheckpointError
from resnet_deploy.spec import (
    Attention,
    Design,
    Family,
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
from resnet_deploy.spec.names import design_name

_FACTORY = re.compile(r"[\w.]+:[\w.\-/]+", re.ASCII)

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Stated:
    """What tensors can't tell; None and empty are "not said".

    ``pictures`` are statements on the input contract with their sources, the last one first to be
    believed. ``depth`` and ``design`` can be compared with the tensors.
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
    design: Design | None = None
    attention: Attention | None = None
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
        design=model.design,
        attention=model.residual.attention if model.is_residual else None,
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
    if model.has_bottlenecks and request.variant not in (None, model.variant):
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
    variant = spec.variant if spec.has_bottlenecks else Variant.V1_5
    return replace(spec, variant=variant, shortcut=Shortcut.A if spec.plain else spec.shortcut)


def _words(spec: ModelSpec) -> str:
    if spec.family is Family.CUSTOM:
        return f"net of {spec.num_classes} classes"
    options = f"shortcut {spec.shortcut.value}, stem {spec.stem.value}"
    return f"{spec.name} of {spec.num_classes} classes ({options})"


def check_design(stated: Stated, spec: ModelSpec, name: str) -> None:
    """Refuse tensors of another net than the config beside them says.

    Raises:
        CheckpointError: they are; ``name`` is that of their file.
    """
    said = "" if stated.depth is None else f"a net of {stated.depth} layers"
    same = stated.depth in (None, spec.depth)
    if stated.design is not None:
        said = f"a {design_name(stated.design)}"
        same = spec.is_residual and _core(stated.design) == _core(spec.residual)
    if not same or (said and not spec.is_residual):
        raise CheckpointError(
            f"{name} is a {spec.name} by its tensors, and {said} by the {CONFIG_FILE} beside it: "
            "one of them is another net's; remove the wrong one"
        )


def _core(design: Design) -> Design:
    """Return ``design`` without what a name does not tell: its head."""
    return replace(design, head=(), concat_pool=False)
