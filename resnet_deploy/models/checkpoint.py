"""From a request and a weights file to a loaded network: every layout, no surprises.

:func:`resolve` is the only door: random, published or own weights, inferred or stated nets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.models.imagenet import fetch
from resnet_deploy.models.infer import infer_spec
from resnet_deploy.models.layouts import (
    State,
    is_hugging_face,
    strip_prefixes,
    to_torchvision,
    unwrap,
)
from resnet_deploy.models.pretrained import pretrained_cifar10
from resnet_deploy.models.reading import read_weights
from resnet_deploy.models.registry import build, build_custom, skeleton
from resnet_deploy.models.stated import (
    NOTHING_STATED,
    check_card,
    stated_by_card,
    stated_by_config,
)
from resnet_deploy.models.weights_file import MODEL_FILE, card_of
from resnet_deploy.progress import Progress, silent
from resnet_deploy.spec import ModelSpec
from resnet_deploy.spec.model_request import ModelRequest

_PUBLISHED = ("imagenet", "cifar10")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network with its weights: eval mode, CPU, float32.

    ``labels`` is empty or has one name per class; ``card`` is what training wrote beside the
    weights; ``notices`` are lines worth telling a user.
    """

    module: nn.Module
    spec: ModelSpec
    source: WeightsSource
    labels: tuple[str, ...] = ()
    card: WeightsCard | None = None
    notices: tuple[str, ...] = ()


def resolve(
    request: ModelRequest,
    weights: str = "random",
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> LoadedModel:
    """Return the network of ``request`` with ``weights``.

    Args:
        request: what is known of the network; the rest is inferred from the weights.
        weights: ``random``, ``imagenet`` (torchvision's published file, downloaded once),
            ``cifar10`` (the ResNet-20 that comes with the package), or the path of a checkpoint
            or of a training run's folder. A factory keeps the weights it made when this is
            ``random``.
        seed: of random weights.
        progress: told about the download.

    Raises:
        SpecError: the request contradicts itself, or its factory fails.
        CheckpointError: the weights can't be read, or don't fit.
        MissingDependencyError: the file needs a package that is not installed.
    """
    request.check()
    if weights == "random":
        return _without_file(request, seed)
    if weights in _PUBLISHED and request.is_custom:
        raise SpecError(f"--weights {weights} is for the paper's nets, not for --model factories")
    if weights == "imagenet":
        return _from_file(request, fetch(request.spec(), progress=progress), kind=weights)
    if weights == "cifar10":
        return _from_file(request, pretrained_cifar10(), kind=weights)
    path = _located(weights)
    if request.is_custom:
        return _into_factory(request, path, seed)
    return _from_file(request, path, kind="file")


def _without_file(request: ModelRequest, seed: int) -> LoadedModel:
    spec = request.spec()
    if request.is_custom:
        module, spec = build_custom(spec, seed=seed)
        _checked(dict(module.state_dict()), str(request.model))
        return LoadedModel(module=module, spec=spec, source=WeightsSource(kind="factory"))
    return LoadedModel(
        module=build(spec, seed=seed),
        spec=spec,
        source=WeightsSource(kind="random", seed=seed),
        notices=(
            f"weights are random (seed {seed}): good for speed, not for accuracy; "
            "use --weights FILE, imagenet or cifar10",
        ),
    )


def _from_file(request: ModelRequest, path: Path, *, kind: str) -> LoadedModel:
    raw, card, notices = _tensors(path)
    stated = NOTHING_STATED
    if card is not None:
        stated = stated_by_card(card, request, path.name)
    elif is_hugging_face(raw):
        stated = stated_by_config(path, request)
    state = to_torchvision(raw)
    spec = infer_spec(state, request, path.name, stated)
    deviations = () if card is None else check_card(card, spec, path.name)
    state, cast = _checked(state, path.name)
    module = skeleton(spec)
    # Keys and shapes were compared; only num_batches_tracked, which eval mode never reads, may
    # be missing.
    module.load_state_dict(state, strict=False)
    labels = stated.labels if len(stated.labels) == spec.num_classes else ()
    return LoadedModel(
        module=module,
        spec=spec,
        source=_source(path, kind),
        labels=labels,
        card=card,
        notices=(*notices, *cast, *deviations),
    )


def _into_factory(request: ModelRequest, path: Path, seed: int) -> LoadedModel:
    """Load a checkpoint into a user's own net, key by key."""
    raw, card, notices = _tensors(path)
    stated = NOTHING_STATED if card is None else stated_by_card(card, request, path.name)
    wanted = replace(request, image_size=request.image_size or stated.image_size)
    module, spec = build_custom(wanted.spec(), seed=seed)
    expected = module.state_dict()
    state, cast = _checked(strip_prefixes(raw, expected), path.name)
    counters = {key for key in expected if key.endswith(".num_batches_tracked")}
    for problem, keys in (
        ("lacks", [key for key in expected if key not in state and key not in counters]),
        ("has the unknown", [key for key in state if key not in expected]),
    ):
        if keys:
            raise CheckpointError(
                f"{path.name} does not fit {request.model}: it {problem} {keys[0]!r}"
                f"{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}"
            )
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointError(
                f"{path.name} does not fit {request.model}: {key} is {tuple(tensor.shape)} "
                f"instead of {tuple(expected[key].shape)}"
            )
    deviations = () if card is None else check_card(card, spec, path.name)
    module.load_state_dict(state, strict=False)
    return LoadedModel(
        module=module,
        spec=spec,
        source=_source(path, "file"),
        labels=stated.labels,
        card=card,
        notices=(*notices, *cast, *deviations),
    )


def _tensors(path: Path) -> tuple[State, WeightsCard | None, tuple[str, ...]]:
    content = read_weights(path)
    state, notices = unwrap(content)
    if not state:
        held = type(content).__name__
        if isinstance(content, dict):
            held = f"a dict of {', '.join(map(str, list(content)[:4])) or 'nothing'}"
        raise CheckpointError(f"{path} holds no weights ({held}): save model.state_dict()")
    return state, card_of(path, content), notices


def _checked(state: State, name: str) -> tuple[State, tuple[str, ...]]:
    """Return the tensors as float32; refuse what is no number, and negative variances."""
    cast: set[str] = set()
    result: State = {}
    for key, stored in state.items():
        if key.endswith(".num_batches_tracked"):
            result[key] = stored
            continue
        if stored.layout != torch.strided or stored.is_meta or stored.is_quantized:
            raise CheckpointError(f"{name}: {key} is not a plain tensor; save a float model")
        if not stored.is_floating_point():
            # A user's own net may have integer buffers.
            result[key] = stored
            continue
        if stored.dtype != torch.float32:
            cast.add(str(stored.dtype).removeprefix("torch."))
        tensor = result[key] = stored.float()
        broken = int((~torch.isfinite(tensor)).sum())
        if broken:
            raise CheckpointError(
                f"{name}: {key} holds {broken} NaN or infinite values; the training diverged or "
                "the file is damaged"
            )
        if key.endswith(".running_var") and bool((tensor < 0).any()):
            raise CheckpointError(f"{name}: {key} holds negative variances; the file is damaged")
    notices = (f"{name} holds {', '.join(sorted(cast))} weights: cast to float32",) if cast else ()
    return result, notices


def _located(weights: str) -> Path:
    """Return the file that ``weights`` names; the folder of a training run stands for its own."""
    path = Path(weights)
    inside = path / MODEL_FILE
    return inside if inside.is_file() else path


def _source(path: Path, kind: str) -> WeightsSource:
    return WeightsSource(kind=kind, file=path.name, sha256=sha256_of(path))
