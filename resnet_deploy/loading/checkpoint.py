"""From a request and a weights file to a network: every layout, no surprises.

:func:`resolve` is the only door: random, published or own weights, inferred or stated nets.
:func:`load_network` lets the user overrule what the weights' card says.

Long because it is the one place where all that is said of a net comes together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading.beside import (
    contract_for,
    stated_beside,
    stated_by_release,
)
from resnet_deploy.loading.bystanders import counters_dropped
from resnet_deploy.loading.computed_weights import with_computed_weights, with_scales
from resnet_deploy.loading.imagenet import CIFAR10_FILE, fetch, to_download
from resnet_deploy.loading.packaged import (
    build_for,
    refuse_published,
    spec_of,
    stated_by_package,
    weights_of_folder,
)
from resnet_deploy.loading.reading import Reading, to_torchvision
from resnet_deploy.loading.releases import published, release_of
from resnet_deploy.loading.strangers import recognised, strange_keys
from resnet_deploy.loading.wrappers import unwrap
from resnet_deploy.models.attention import with_attention_biases
from resnet_deploy.models.heads import with_plain_head
from resnet_deploy.models.infer import infer_spec, left_open, misfit
from resnet_deploy.models.layouts import State, strip_prefixes
from resnet_deploy.models.network import Network
from resnet_deploy.models.packages import named_tensors, packaged, trained
from resnet_deploy.models.registry import build, build_custom, skeleton
from resnet_deploy.models.stated import (
    CONFIG_FILE,
    NOTHING_STATED,
    Stated,
    check_card,
    check_design,
    stated_by_card,
)
from resnet_deploy.progress import Progress, silent
from resnet_deploy.spec import InputContract, InputOptions, Learned
from resnet_deploy.spec.deploy import LoadSpec
from resnet_deploy.spec.model_request import OWN_CODE, ModelRequest
from resnet_deploy.weights.weights_file import card_of, read_weights
from resnet_deploy.weights.weights_folder import digest_of, weights_in
from resnet_deploy.weights.whole_module import notices_of

_SHARED_TIMES = 8
_FREE_BYTES = 1 << 30
"""Of a net's tensors together: layers may share their weights, and all may be one zero, but each
gets memory of its own when the net is built."""

_ENDLESS_NUMBER = re.compile(r"(?<!\d)\d{5,}(?:\.|$)")
"""As part of a tensor's name: stages and blocks are counted up to their highest number."""


def load_network(request: LoadSpec, *, progress: Progress = silent) -> Network:
    """Return the network of ``request``; what it says goes before what the weights' card says.

    Raises:
        SpecError: the request contradicts itself, its factory fails, or the labels don't fit.
        CheckpointError: the weights can't be read, or don't fit.
        MissingDependencyError: the file needs a package that is not installed.
    """
    progress("loading", 0, 1)
    network = resolve(
        request.model,
        request.weights,
        seed=request.seed,
        download=request.download,
        progress=progress,
    )
    given, classes = request.labels, network.spec.num_classes
    if given and len(given) != classes:
        raise SpecError(f"--labels names {len(given)} classes, the model has {classes}")
    known = imagenet_labels() if network.source.kind == "imagenet" else ()
    preprocess = request.preprocess.over(network.preprocess, Learned.OPTION)
    if preprocess.channels != network.spec.in_channels:
        raise SpecError(
            f"--channel-order {preprocess.channel_order.value} is of {preprocess.channels} "
            f"channels, and the first convolution of the net takes {network.spec.in_channels}"
        )
    progress("loading", 1, 1)
    return replace(
        network,
        preprocess=preprocess,
        labels=given or network.labels or known,
        licence=request.licence or network.licence,
    )


def resolve(
    request: ModelRequest,
    weights: str = "random",
    *,
    seed: int = 0,
    download: bool = True,
    progress: Progress = silent,
) -> Network:
    """Return the network of ``request`` with ``weights``.

    Args:
        request: what is known of the network; the rest is inferred from the weights.
        weights: ``random``, ``imagenet`` (torchvision's published file, downloaded once),
            ``cifar10`` (the ResNet-20 that comes with the package), or the path of a checkpoint,
            or of a folder of a training run or a hub. A factory keeps the weights it made when
            this is ``random``.
        seed: of random weights.
        download: fetch a published file that is not in the cache; without, random weights stand in
            for it, and a notice says so.
        progress: told about the download.

    Raises:
        SpecError: the request contradicts itself, or its factory fails.
        CheckpointError: the weights can't be read, or don't fit.
        MissingDependencyError: the file needs a package that is not installed.
    """
    request.check()
    if weights == "random" and (folder := weights_of_folder(request)) is not None:
        weights = str(folder)
    if weights == "random":
        return _without_file(request, seed)
    if weights not in ("imagenet", "cifar10"):
        return _from_file(request, weights_in(Path(weights)), kind="file", seed=seed)
    if request.is_custom:
        raise refuse_published(request, weights)
    if weights == "imagenet" and not download and (name := to_download(request.spec())):
        notice = f"{name} is downloaded first; without it, random weights stand in here"
        return replace(_without_file(request, seed), notices=(notice,))
    if weights == "imagenet":
        return _from_file(request, fetch(request.spec(), progress=progress), kind=weights)
    if not CIFAR10_FILE.is_file():
        raise CheckpointError(
            f"the weights of --weights cifar10 are missing ({CIFAR10_FILE}): install "
            "resnet-deploy again"
        )
    return _from_file(request, CIFAR10_FILE, kind=weights)


def _without_file(request: ModelRequest, seed: int) -> Network:
    spec = spec_of(request) if request.is_custom else request.spec()
    own_code = request.is_custom and packaged(request.model) is None
    notices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    if request.is_custom:
        module, spec = build_custom(spec, seed=seed)
        _checked(dict(module.state_dict()), str(request.model))
    else:
        module = build(spec, seed=seed)
    source = WeightsSource(kind="factory")
    if not own_code:
        source = WeightsSource(kind="random", seed=seed)
        published = "" if request.is_custom else ", imagenet or cifar10"
        notices = (
            f"weights are random (seed {seed}): good for speed, not for accuracy; "
            f"use --weights FILE{published}",
        )
    preprocess = InputContract.for_size(spec.image_size, channels=spec.in_channels)
    if request.is_custom:  # who knows what it was trained on
        stated = stated_by_package(request, module, spec)
        labels = stated.labels
        preprocess = contract_for(
            spec.image_size, spec.in_channels, stated, request, str(request.model)
        )
    return Network(
        module=module,
        spec=spec,
        preprocess=preprocess,
        source=source,
        labels=labels,
        notices=notices,
    )


def _from_file(request: ModelRequest, path: Path, *, kind: str, seed: int = 0) -> Network:
    raw, card, notices, names = _tensors(path)
    sha256 = digest_of(path)
    assumed: dict[str, str] = {}
    if card is not None:
        stated = stated_by_card(card, request, path.name)
    elif kind == "imagenet":  # in a cache, where nothing lies beside it
        stated = stated_by_release(published(path), request)
    else:
        stated = stated_beside(path, raw, request, release_of(path.name, sha256))
    if request.is_custom:
        bare, left_out = counters_dropped(raw)
        module, spec = build_for(request, bare, stated.image_size, path.name, seed=seed)
        expected = named_tensors(module)
        state, notices = strip_prefixes(bare, expected), (*notices, *left_out)
        if problem := misfit(state, expected):
            raise CheckpointError(f"{path.name} does not fit {request.model}: {problem}")
        if stated == NOTHING_STATED:
            stated = stated_by_package(request, module, spec)
    else:
        reading = _reading(raw, path.name)
        state = with_attention_biases(with_plain_head(reading.state))
        notices = (*notices, *reading.notices)
        stated = _stated_by_layout(stated, reading, names, path.name)
        spec = infer_spec(state, request, path.name, stated)
        if card is None:
            check_design(stated, spec, path.name)
        module = skeleton(spec)
        assumed = {**left_open(spec, request, stated), **reading.assumed}
    deviations = () if card is None else check_card(card, spec, path.name)
    state, cast = _checked(state, path.name)
    # Keys and shapes were compared; only num_batches_tracked, which eval mode never reads, may
    # be missing.
    trained(module).load_state_dict(state, strict=False)
    size, labels = spec.image_size, stated.labels
    if len(labels) not in (0, spec.num_classes):
        where = path.name if labels == names else f"{CONFIG_FILE} beside {path.name}"
        deviations += (
            f"{where} names {len(labels)} classes, the weights have {spec.num_classes}: its names "
            "are not used",
        )
        labels = ()
    return Network(
        module=module,
        spec=spec,
        preprocess=(
            contract_for(size, spec.in_channels, stated, request, path.name)
            if card is None
            else card.preprocess_for(size)
        ),
        source=WeightsSource(kind=kind, file=path.name, sha256=sha256),
        labels=labels,
        licence="" if card is None else card.licence,
        card=card,
        notices=(
            *notices,
            *cast,
            *stated.notices,
            *deviations,
        ),
        assumed=assumed,
    )


def _tensors(
    path: Path,
) -> tuple[State, WeightsCard | None, tuple[str, ...], tuple[str, ...]]:
    """Return tensors, card, notices and the class names that lie among them."""
    content = read_weights(path)
    try:
        found = unwrap(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    if not found.state:
        held = type(content).__name__
        if isinstance(content, dict):
            held = f"a dict of {', '.join(map(str, list(content)[:4])) or 'nothing'}"
        raise CheckpointError(f"{path} holds no weights ({held}): save model.state_dict()")
    if endless := next((key for key in found.state if _ENDLESS_NUMBER.search(key)), None):
        raise CheckpointError(
            f"{path} has a tensor called {endless!r:.60}, and no net has so many layers: the "
            "file is damaged or made up"
        )
    _check_shared(path, found.state)
    notices = (*notices_of(path, content, found.state), *found.notices)
    return found.state, card_of(path, content), notices, found.labels


def _check_shared(path: Path, state: State) -> None:
    """Refuse tensors that together claim far more memory than they have.

    Raises:
        CheckpointError: they do.
    """
    plain = [tensor for tensor in state.values() if tensor.layout == torch.strided]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in plain}
    held = sum(storage.nbytes() for storage in storages.values())
    claimed = sum(tensor.numel() * max(tensor.element_size(), 4) for tensor in plain)
    if claimed > _SHARED_TIMES * held + _FREE_BYTES:
        raise CheckpointError(
            f"{path}: {claimed >> 20} MiB of weights share {held >> 20} MiB of memory, and a net "
            "would need all of it: save its layers with weights of their own"
        )


def _reading(raw: State, name: str) -> Reading:
    """Return the tensors with torchvision's keys; refuse nets outside the family by name."""
    if stranger := recognised(raw):
        raise CheckpointError(f"{name} {stranger}")
    try:
        computed, notices = with_computed_weights(raw)
        reading = to_torchvision(with_scales(computed))
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    if reading.trouble:
        raise CheckpointError(
            f"{name} is a residual net by its shapes, but {reading.trouble}: {OWN_CODE}"
        )
    if not reading.layout:
        strange = strange_keys(reading.state)
        raise CheckpointError(f"{name} holds no ResNet or VGG-19 (it has {strange}): {OWN_CODE}")
    _refuse_integers(reading.state, name)
    return replace(reading, notices=(*notices, *reading.notices))


def _refuse_integers(state: State, name: str) -> None:
    for key, tensor in state.items():
        if not tensor.is_floating_point() and not key.endswith(".num_batches_tracked"):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{name}: {key} holds {kind} values, and no scale says what they stand for: give "
                "the float weights"
            )


def _stated_by_layout(
    stated: Stated, reading: Reading, labels: tuple[str, ...], name: str
) -> Stated:
    """Add to what is ``stated`` beside the weights what lies in their file."""
    if reading.mean:
        try:
            own = InputOptions(mean=reading.mean, std=reading.std)
        except SpecError as error:
            raise CheckpointError(f"{name}: by its buffers mean and std, {error}") from error
        stated = replace(stated, pictures=(*stated.pictures, (own, Learned.CONFIG)))
    return replace(stated, labels=stated.labels or labels)


def _checked(state: State, name: str) -> tuple[State, tuple[str, ...]]:
    """Return the tensors as float32; refuse NaN, infinity and negative variances."""
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
