"""What lies beside a net in a state dict: other nets, losses, metrics, counters, projection heads.

What certainly changes nothing that the net computes is left out, in a notice that names it. What
might is left in, so that it becomes an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.wrappers import convolutions_of
from resnet_deploy.models.layouts import State
from resnet_deploy.spec.model_request import OWN_CODE

_COUNTER = re.compile(r"(?:|.*\.)(?:total_ops|total_params)")
"""thop's, in each module."""

_OF_TRAINING = re.compile(
    r"n_averaged|(?:\w*_)?(?:criterion|loss|losses|loss_fn|loss_func|metrics?|acc|acc\d|accuracy"
    r"|auroc|f1_score|confmat)(?:_\w+)?(?:\..*)?",
    re.IGNORECASE,
)
"""Losses, metrics, ``AveragedModel``'s counter."""

_NUMBERS_OF_TRAINING = re.compile(
    r"(?:\w*_)?(?:precision|recall|specificity|f1|f_?beta|auc|aucroc|confusion_matrix|kappa|mcc|map"
    r"|m?iou|top_?\d|bce|ce|cross_entropy|focal|class_weights?|pos_weights?|loss_weights?"
    r"|initted|step|epoch|iterations?|num_updates|decay)(?:_\w+)?(?:\..*)?",
    re.IGNORECASE,
)
"""The same under names that a layer might have: of these, what has one dimension at most."""

_COUNTED = re.compile(r".+\.(?:confmat|tp|fp|tn|fn)")
"""What torchmetrics counts, in a metric of any name."""

_PROJECTION = re.compile(
    r"(?:\w*_)?(?:projection_head|projector|projection_mlp|proj_head|prototypes|queue|queue_ptr"
    r"|memory_bank|dino_head|dino_loss|ibot_patch_loss)(?:\..*)?"
    r"|head\.(?:mlp|last_layer)\..*"
)
"""Of self-supervised training: they are thrown away behind it."""

_BEHIND_PROJECTION = re.compile(r"bn\.[a-z_]+")
"""Barlow Twins' BatchNorm of what the projector gives."""

_PREDICTOR = re.compile(r"(?:\w*_)?(?:predictor|prediction_head|prediction_mlp)(?:\..*)?")
"""BYOL's and SimSiam's second head; in a net without a first it may be the classifier."""

_TWO_NETS = re.compile(
    r"(?:.*\.)?(?:encoder_[kq]|momentum_encoder|(?:target|online)_(?:encoder|network|net)|queue)"
    r"(?:\..*)?"
)

_NORMALISING = re.compile(
    r"(?:(?:\d+|\w*(?:normali[sz]er?|normalize|preprocess\w*|norm|transform))\.)?"
    r"(?:_?(?:pixel_|image_|img_|input_)?(mean|std))_?"
)
"""Buffers with which a net prepares its own pictures; relative to the net or what holds it."""

_FIRST, _TRAINED, _OTHER, _LAST = range(4)
_PREFERRED = (
    (_FIRST, re.compile(r"(?:^|[._])(?:ema|averaged|teacher|swa)[._]")),
    (_TRAINED, re.compile(r"(?:^|[._])(?:encoder_q|online\w*|query)[._]")),
    (
        _LAST,
        re.compile(r"(?:^|[._])(?:student|encoder_k|target\w*|momentum\w*|\w+_momentum|key)[._]"),
    ),
)
"""Of two copies of a net: averaged weights were evaluated; of MoCo and BYOL the trained one is
the encoder, the other its slow copy."""


@dataclass(frozen=True)
class Prefixed:
    """One net of a state dict.

    Args:
        prefix: what stands in front of the keys of its layers.
        inner: its tensors, without the prefix.
        outer: other tensors, without the part of the prefix that they share.
        notices: what was left out or chosen.
        mean: of a buffer that normalises pictures.
        std: likewise.
    """

    prefix: str
    inner: State
    outer: State
    notices: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def counters_dropped(state: State) -> tuple[State, tuple[str, ...]]:
    """Return ``state`` without thop's counters, and the notice."""
    kept = {key: tensor for key, tensor in state.items() if not _COUNTER.fullmatch(key)}
    if len(kept) == len(state):
        return state, ()
    return kept, (_left_out([key for key in state if key not in kept]),)


def without_training(state: State) -> tuple[State, tuple[str, ...]]:
    """Return ``state`` without losses and metrics, and the notice."""
    kept = {key: tensor for key, tensor in state.items() if not _of_training(key, tensor)}
    if len(kept) == len(state):
        return state, ()
    return kept, (_left_out([key for key in state if key not in kept]),)


def _of_training(name: str, tensor: Tensor) -> bool:
    """Whether a tensor, by its ``name`` without a prefix, is of no layer."""
    if tensor.numel() == 0 and "." not in name:  # some code asks it for its device
        return True
    if _OF_TRAINING.fullmatch(name) or _COUNTED.fullmatch(name):
        return True
    return tensor.ndim < 2 and _NUMBERS_OF_TRAINING.fullmatch(name) is not None


def self_supervised(state: State) -> bool:
    """Whether what looks like the classifier is a projection head: MoCo's, BYOL's, SimSiam's."""
    parts = {part for key in state for part in key.split(".")}
    predicts = any(_PREDICTOR.fullmatch(part) for part in parts)
    projects = any(_PROJECTION.fullmatch(part) for part in parts)
    return any(map(_TWO_NETS.fullmatch, state)) or (
        predicts and not projects and "encoder" in parts
    )


def beside_the_net(state: State, prefixes: Sequence[str]) -> Prefixed:
    """Split ``state`` into the net to take and the rest, and leave out what is certainly no part.

    Raises:
        CheckpointError: several nets, and nothing says which.
    """
    prefix, notices = _chosen(prefixes, state)
    others = [_owner(other, prefix) for other in prefixes if other != prefix]
    inner: State = {}
    outer: State = {}
    dropped: list[str] = []
    trained = _PREDICTOR if len(prefixes) > 1 or self_supervised(state) else _PROJECTION
    numbers: dict[str, tuple[float, ...]] = {}
    for key, tensor in state.items():
        within = key.startswith(prefix)
        name = key[len(prefix) :] if within else _relative(key, prefix)
        if (match := _NORMALISING.fullmatch(name)) and 1 <= tensor.numel() <= 4:
            numbers[match[1]] = tuple(float(value) for value in tensor.flatten())
        elif _of_training(name, tensor) or _PROJECTION.fullmatch(name) or trained.fullmatch(name):
            dropped.append(key)
        elif within:
            inner[name] = tensor
        elif not any(key.startswith(other) for other in others):
            outer[name] = tensor
    if any(_PROJECTION.fullmatch(_relative(key, prefix)) for key in dropped):
        for name in filter(_BEHIND_PROJECTION.fullmatch, list(outer)):
            dropped.append(name)
            del outer[name]
    if dropped:
        notices = (*notices, _left_out(dropped))
    mean, std = numbers.get("mean", ()), numbers.get("std", ())
    if bool(mean) != bool(std):
        only = "mean" if mean else "std"
        raise CheckpointError(
            f"the net prepares its pictures with a buffer {only!r} of its own, and the other is "
            f"missing: {OWN_CODE}"
        )
    if mean:
        notices = (
            *notices,
            "the net normalises its pictures itself (buffers mean and std): they are taken for "
            "how pictures are prepared, not into the net",
        )
    return Prefixed(prefix, inner, outer, notices, mean, std)


def _chosen(prefixes: Sequence[str], state: State) -> tuple[str, tuple[str, ...]]:
    if len(prefixes) == 1:
        return prefixes[0], ()
    ranked = sorted(prefixes, key=_rank)
    sizes = [
        convolutions_of(tensor for key, tensor in state.items() if key.startswith(prefix))
        for prefix in ranked[:2]
    ]
    if _rank(ranked[0]) == _FIRST and sizes[0] != sizes[1]:
        # No average of the other, but its teacher; what was trained is the other.
        ranked[:2] = ranked[1::-1]
    elif _rank(ranked[0]) == _rank(ranked[1]):
        names = ", ".join(repr(prefix) for prefix in ranked[:4])
        raise CheckpointError(
            f"the checkpoint holds {len(prefixes)} nets (keys that begin with {names}): save one "
            f"of them alone, such as {{key: state[key] for key in state if "
            f"key.startswith({ranked[-1]!r})}}"
        )
    others = ", ".join(prefix.rstrip(".") or "the net without a prefix" for prefix in ranked[1:])
    taken = ranked[0].rstrip(".") or "the net without a prefix"
    return ranked[0], (f"the checkpoint holds {len(prefixes)} nets: {taken} is used, not {others}",)


def _rank(prefix: str) -> int:
    for rank, pattern in _PREFERRED:
        if pattern.search(prefix):
            return rank
    return _OTHER


def _owner(other: str, prefix: str) -> str:
    """Return how much of ``other`` is another net's alone: up to where it parts from ``prefix``.

    Of ``module.encoder_k.`` beside ``module.encoder_q.`` all, so its head goes with it; of
    ``student.backbone.`` beside ``teacher.backbone.`` the first part, with the student's head.
    """
    theirs, ours = other.split("."), prefix.split(".")
    shared = 0
    while shared < min(len(theirs), len(ours)) and theirs[shared] == ours[shared]:
        shared += 1
    return ".".join(theirs[: shared + 1]) + "." if shared < len(theirs) - 1 else other


def _relative(key: str, prefix: str) -> str:
    """Return ``key`` without the leading parts that it shares with ``prefix``."""
    parts = key.split(".")
    shared = 0
    for ours, theirs in zip(prefix.split(".")[:-1], parts[:-1], strict=False):
        if ours != theirs:
            break
        shared += 1
    return ".".join(parts[shared:])


def _left_out(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
    return f"left out, as no part of the net: {', '.join(keys[:2])}{more}"
