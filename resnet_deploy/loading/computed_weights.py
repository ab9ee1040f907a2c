"""Weights that a file holds as the parts they are computed of, and BatchNorms that it leaves out.

Training may keep a weight as a norm and a direction, as a matrix and its largest singular vectors,
or as values and a mask. In evaluation each is a plain weight, which is computed here as PyTorch
does. Sources: ``torch/nn/utils/{weight_norm,spectral_norm,prune,parametrizations}.py``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.layouts import State

_Parts = tuple[Tensor, ...]


def _normed(parts: _Parts) -> Tensor | None:
    """Return ``g v / |v|`` (Salimans and Kingma, arXiv:1602.07868); the norm is per entry of g."""
    norm, direction = parts
    if norm.ndim not in (0, direction.ndim):
        return None
    within = [dim for dim in range(direction.ndim) if norm.ndim == 0 or norm.shape[dim] == 1]
    length = torch.linalg.vector_norm(direction, dim=within, keepdim=norm.ndim > 0)
    return direction * (norm / length) if norm.shape == length.shape else None


def _spectral(parts: _Parts) -> Tensor | None:
    """Return ``W / (u W v)`` (Miyato et al., arXiv:1802.05957)."""
    weight, left, right = parts
    if weight.ndim == 0:
        return None
    matrix = weight.flatten(1) if weight.ndim > 1 else weight[:, None]
    if (left.shape, right.shape) != (matrix.shape[:1], matrix.shape[1:]):
        return None
    return weight / torch.dot(left, matrix @ right)


def _masked(parts: _Parts) -> Tensor | None:
    values, mask = parts
    return values * mask.to(values.dtype) if values.shape == mask.shape else None


_FORMS: tuple[tuple[tuple[str, ...], str, Callable[[_Parts], Tensor | None]], ...] = (
    (("{}_g", "{}_v"), "weight normalisation", _normed),
    (("{}_orig", "{}_u", "{}_v"), "spectral normalisation", _spectral),
    (("{}_orig", "{}_mask"), "pruning", _masked),
    (
        ("parametrizations.{}.original0", "parametrizations.{}.original1"),
        "weight normalisation",
        _normed,
    ),
    (
        (
            "parametrizations.{}.original",
            "parametrizations.{}.0._u",
            "parametrizations.{}.0._v",
        ),
        "spectral normalisation",
        _spectral,
    ),
)
"""Names of the parts, behind the layer's; what it is called; how the tensor is computed."""

_PART = re.compile(
    r"(|.*\.)(?:(\w+)_(?:orig|mask|g|u)|parametrizations\.(\w+)\.(?:original\d?|\d+\..+))"
)
_PARAMETERS = ("weight", "bias")
_PREFIX = re.compile(r"(?:^|(?<=\.))(?:(weight|bias)_|parametrizations\.(weight|bias)\.)")
"""Of the names of all parts of a parameter, behind the layer's."""


def with_computed_weights(state: State) -> tuple[State, tuple[str, ...]]:
    """Return ``state`` with plain weights for the parts of such, in their place; and notices.

    Raises:
        CheckpointError: parts of a weight that tensors don't say how to compute.
    """
    found = {key: match for key in state if (match := _PART.fullmatch(key)) and _parameter(match)}
    if not found:
        return state, ()
    made: dict[str, tuple[str, Tensor]] = {}
    taken: set[str] = set()
    kinds: dict[str, list[str]] = {}
    parts = _parts(state)
    for layer, parameter in dict.fromkeys((m[1], _parameter(m)) for m in found.values()):
        names, kind, tensor = _computed(state, layer, parameter, parts[layer, parameter])
        made[names[0]] = (f"{layer}{parameter}", tensor)
        taken.update(names)
        kinds.setdefault(kind, []).append(f"{layer}{parameter}")
    result: State = {}
    for key, tensor in state.items():
        if key in made:
            name, computed = made[key]
            result[name] = computed
        elif key not in taken:
            result[key] = tensor
    notices = (
        f"computed from the parts that {kind} keeps: {names[0]}"
        f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}"
        for kind, names in kinds.items()
    )
    return result, tuple(notices)


def _parameter(match: re.Match[str]) -> str:
    name = match[2] or match[3]
    return name if name in _PARAMETERS else ""


def _computed(
    state: State, layer: str, parameter: str, parts: Sequence[str]
) -> tuple[tuple[str, ...], str, Tensor]:
    for forms, kind, compute in _FORMS:
        names = tuple(layer + form.format(parameter) for form in forms)
        if all(name in state and state[name].is_floating_point() for name in names):
            more = [key for key in parts if key not in names]
            # As float32, which the net will be: parts may be of several types, or of eight bits.
            tensor = None if more else compute(tuple(state[name].float() for name in names))
            if tensor is not None:
                return names, kind, tensor
    raise CheckpointError(
        f"{layer}{parameter} is computed from others ({', '.join(parts):.120}), in a way that "
        "they don't tell: make it a plain weight "
        "(torch.nn.utils.parametrize.remove_parametrizations, or prune.remove), and save the "
        "state dict again"
    )


def _parts(state: State) -> Mapping[tuple[str, str], Sequence[str]]:
    """Return the tensors whose names say that they are parts, by layer and parameter."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in state:
        for match in _PREFIX.finditer(key):
            found[key[: match.start()], match[1] or match[2]].append(key)
    return found


def with_scales(state: State) -> State:
    """Return ``state`` with scales of one and offsets of zero for BatchNorms without (affine)."""
    result: State = {}
    for key, tensor in state.items():
        layer, _, leaf = key.rpartition(".")
        bare = leaf == "running_mean" and f"{layer}.running_var" in state
        if bare and f"{layer}.weight" not in state and f"{layer}.bias" not in state:
            result[f"{layer}.weight"] = torch.ones_like(tensor)
            result[f"{layer}.bias"] = torch.zeros_like(tensor)
        result[key] = tensor
    return result


def neutral_norm(bias: Tensor) -> State:
    """Return a BatchNorm that only adds ``bias``, whatever its epsilon: it is lost in the variance.

    All variances are the same, by which nothing takes it for one that was trained. Its numbers are
    float32: float16 has no variance as large.
    """
    bias = bias.float()
    return {
        "weight": torch.full_like(bias, 2.0**10),
        "bias": bias,
        "running_mean": torch.zeros_like(bias),
        "running_var": torch.full_like(bias, 2.0**20),
    }
