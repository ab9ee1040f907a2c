"""From what a checkpoint holds to the tensors of one net: wrappers, lists, averaged weights.

Training scripts save a dict of dicts under any names. What holds layers is told from the tensors:
convolutions, or linear layers where there is none. An optimizer's state is never taken.

Long because every habit of training scripts has its function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.errors import CheckpointError
from resnet_deploy.models.layouts import State
from resnet_deploy.pickles.bounds import LONGEST_NAME, MOST_TENSORS

_DEEPEST = 8
"""More wrappers than any framework nests; a dict that holds itself has no end."""

_MOST_ENTRIES = 10_000
"""More than any checkpoint has outside its tensors; a list may hold itself many times."""

_MOST_PARTS = 4_000_000
"""Of all dicts and lists that are looked into, as many as a pickle can write: one that is in many
others counts each time."""

_MOST_AVERAGED = 64
"""Averages in one file."""

_NO_NET = re.compile(
    r"optim|sched|scaler|grad(?:ient)?s?$|param_groups|momentum_buffer|momentums?$|exp_(?:avg|inf)"
    r"|velocity|(?:^|_)masks?$|rng|criterion"
)
_AVERAGED = re.compile(r"(?:^|_)(?:ema|averaged|averages|avg|swa|teacher)(?:_|$)")
_BUFFER = re.compile(r"(?:^|\.)(?:running_mean|running_var|num_batches_tracked)$")
_USUAL = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network"),
    *("weights", "params", "state", "student", "backbone", "encoder"),
)
"""In the order of preference where a file holds several nets."""

_LEAVES = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
_FEWEST_LAYERS = 5
"""Dicts of one layer each are parts of one net, when there are so many."""

_MOST_LABELS = 100_000


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of one net, what is worth telling, and the class names that lie beside them."""

    state: State
    notices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A dict with tensors; ``broken`` is a key whose value should be one and is not."""

    path: tuple[str | int, ...]
    state: State
    broken: str = ""

    @property
    def layers(self) -> int:
        """Convolutions, and linear layers, which also a head alone has."""
        return sum(tensor.ndim in (2, 4) for tensor in self.state.values())

    @property
    def convolutions(self) -> list[tuple[int, ...]]:
        return convolutions_of(self.state.values())

    @property
    def averaged(self) -> bool:
        return any(_AVERAGED.search(str(part).lower()) for part in self.path)

    @property
    def name(self) -> str:
        return ".".join(map(str, self.path)) or "the file itself"

    @property
    def expression(self) -> str:
        return "checkpoint" + "".join(f"[{part!r}]" for part in self.path)

    @property
    def preference(self) -> tuple[int, int]:
        last = str(self.path[-1]).lower() if self.path else ""
        return (_USUAL.index(last) if last in _USUAL else len(_USUAL), len(self.path))


def unwrap(content: Any) -> Unwrapped:
    """Find the tensors of a net in what a checkpoint holds; no tensors give an empty state.

    Of several nets the averaged one is taken, as it is the one that was evaluated; else the one
    with the most usual name. A notice names what was taken, and what was not.

    Raises:
        CheckpointError: several nets, and nothing says which.
    """
    left = [_MOST_ENTRIES, _MOST_PARTS]
    found = _largest_per_path(_joined(list(_states(content, (), left))))
    if not found:
        return Unwrapped({})
    _check_sizes(found)
    plain = [entry for entry in found if not entry.averaged]
    averaged = [entry for entry in found if entry.averaged]
    same = _Comparison()
    base = _chosen(plain, same)
    notices: list[str] = []
    for entry in averaged:
        whole = _completed(entry.state, base.state if base else {})
        if whole is None or (base is not None and entry.convolutions != base.convolutions):
            continue  # not of this net: the teacher of a distillation is another one
        _check_whole(entry)
        if base is not None:
            notices.append(
                f"the checkpoint holds averaged weights ({entry.name}) beside {base.name}: "
                f"{entry.name} is used"
            )
        return Unwrapped(whole, tuple(notices), _labels(content))
    if base is None:
        base = averaged[0]
    _check_whole(base)
    shadow = _shadow(content, base.state)
    if shadow is not None:
        path, state = shadow
        notices.append(
            f"the checkpoint holds averaged weights ({path}), a list in the order of the "
            f"parameters of {base.name}: they are used"
        )
        return Unwrapped(state, tuple(notices), _labels(content))
    if isinstance(content, Mapping):
        for key, value in content.items():
            # A tensor of such a name is one of the state dict itself.
            if not isinstance(key, str) or isinstance(value, Tensor) or key in base.path:
                continue
            if _AVERAGED.search(key.lower()) and not _NO_NET.search(key.lower()):
                held = "empty" if not value else "no state dict of this net"
                notices.append(f"{key} in the checkpoint is {held}: {base.name} is used")
    layers = base.layers
    others = [
        entry.name
        for entry in plain
        if entry is not base
        and 2 * entry.layers > layers
        and not same.states(entry.state, base.state)
    ]
    if others:
        notices.append(
            f"the checkpoint holds several nets: {base.name} is used, not {', '.join(others[:3])}"
        )
    return Unwrapped(base.state, tuple(notices), _labels(content))


def convolutions_of(tensors: Iterable[Tensor]) -> list[tuple[int, ...]]:
    """Return the shapes of all convolutions, sorted: two copies of a net have the same."""
    return sorted(tuple(tensor.shape) for tensor in tensors if tensor.ndim == 4)


def _check_sizes(found: list[_Found]) -> None:
    """Refuse what no net has, before all names are looked at in many ways."""
    for entry in found:
        if len(entry.state) > MOST_TENSORS:
            raise CheckpointError(
                f"{entry.name:.80} holds {len(entry.state)} tensors, and no net has so many "
                "layers: the file is damaged or made up"
            )
        if endless := next((key for key in entry.state if len(key) > LONGEST_NAME), None):
            raise CheckpointError(
                f"a tensor has a name of {len(endless)} letters ({endless[:40]!r}…), and no layer "
                "is called so: the file is damaged or made up"
            )
    averages = sum(entry.averaged for entry in found)
    if averages > _MOST_AVERAGED:
        raise CheckpointError(
            f"the checkpoint holds {averages} nets of averaged weights: save one of them alone"
        )


def _check_whole(found: _Found) -> None:
    if found.broken:
        raise CheckpointError(
            f"{found.broken!r:.100} is not a tensor, which the rest of its layer is: save "
            "model.state_dict()"
        )


def _states(content: Any, path: tuple[str | int, ...], left: list[int]) -> Iterator[_Found]:
    """Yield the dicts of tensors with layers in ``content``; ``left`` bounds the search."""
    left[0] -= 1
    left[1] -= len(content) if isinstance(content, (Mapping, list, tuple)) else 0
    if len(path) > _DEEPEST or min(left) < 0:
        return
    if isinstance(content, Mapping):
        state = {
            key: value
            for key, value in content.items()
            if isinstance(key, str) and isinstance(value, Tensor)
        }
        if state:
            yield _Found(path, state, _broken(content, state))
        children: Iterator[tuple[str | int, Any]] = (
            (key, value)
            for key, value in content.items()
            if isinstance(key, int) or (isinstance(key, str) and len(key) <= LONGEST_NAME)
        )
    elif isinstance(content, Sequence) and not isinstance(content, (str, bytes, bytearray)):
        children = enumerate(content)
    else:
        return
    for key, value in children:
        if isinstance(value, (Mapping, list, tuple)) and not _NO_NET.search(str(key).lower()):
            yield from _states(value, (*path, key), left)


def _broken(content: Mapping[Any, Any], state: State) -> str:
    """Return the first key of a layer of ``state`` whose value is something, but no tensor."""
    layers = {key.rpartition(".")[0] for key in state}
    for key, value in content.items():
        if isinstance(key, str) and key not in state and value is not None:
            layer, _, leaf = key.rpartition(".")
            if layer and layer in layers and leaf in _LEAVES - {"num_batches_tracked"}:
                return key
    return ""


def _joined(found: list[_Found]) -> list[_Found]:
    """Join dicts of dicts of tensors, a dict a layer, to the state dict of one net."""
    layers = [entry for entry in found if entry.path and entry.state.keys() <= _LEAVES]
    if len(layers) < _FEWEST_LAYERS:
        return found
    whole = {
        f"{layer.name}.{leaf}": tensor for layer in layers for leaf, tensor in layer.state.items()
    }
    taken = {entry.path for entry in layers}
    return [_Found((), whole), *(entry for entry in found if entry.path not in taken)]


def _largest_per_path(found: list[_Found]) -> list[_Found]:
    """Drop what holds no layers, where anything does."""
    return [entry for entry in found if entry.layers] or found[:1]


def _chosen(plain: list[_Found], same: _Comparison) -> _Found | None:
    """Return the net to take; the most usual name, else the only large one."""
    if not plain:
        return None
    most = max(entry.layers for entry in plain)
    large = [entry for entry in plain if 2 * entry.layers >= most]
    large.sort(key=lambda entry: entry.preference)
    best = large[0]
    usual = [entry for entry in large if entry.preference[0] == best.preference[0]]
    if len(usual) > 1 and usual[0].preference == usual[1].preference:
        if all(same.states(entry.state, best.state) for entry in usual[1:]):
            return best
        names = [entry.name for entry in usual]
        raise CheckpointError(
            f"the checkpoint holds {len(names)} nets ({', '.join(names[:4])}), and nothing says "
            f"which: save one of them, such as torch.save({usual[0].expression}, 'net.pth')"
        )
    return best


class _Comparison:
    """Says which nets are the same; two tensors are compared once, as many nets may share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}

    def states(self, first: State, second: State) -> bool:
        """Whether two nets are the same; their tensors live as long as this."""
        return first.keys() == second.keys() and all(
            self._equal(tensor, second[key]) for key, tensor in first.items()
        )

    def _equal(self, first: Tensor, second: Tensor) -> bool:
        pair = id(first), id(second)
        if pair not in self._known:
            self._known[pair] = first.dtype == second.dtype and torch.equal(first, second)
        return self._known[pair]


def _named_as(averaged: State, base: State) -> State:
    """Return ``averaged`` with the prefix of ``base`` where one of them has one more."""
    first = next(iter(averaged), "")
    if first in base:
        return averaged
    for key in base:
        if key.endswith(f".{first}"):
            prefix = key[: -len(first)]
            return {f"{prefix}{name}": tensor for name, tensor in averaged.items()}
        if first.endswith(f".{key}"):
            prefix = first[: -len(key)]
            return {name.removeprefix(prefix): tensor for name, tensor in averaged.items()}
    return averaged


def _completed(averaged: State, base: State) -> State | None:
    """Return averaged weights with the BatchNorm statistics of ``base`` where they have none.

    An average of parameters alone (``ema.shadow``) has no buffers. None: not of the same net.
    """
    if not base or any(_BUFFER.search(key) for key in averaged):
        return averaged
    if not any(_BUFFER.search(key) for key in base):
        return averaged
    averaged = _named_as(averaged, base)
    for key, tensor in averaged.items():
        if key not in base or base[key].shape != tensor.shape:
            return None
    parameters = {key for key in base if not _BUFFER.search(key)}
    return {**base, **averaged} if parameters == set(averaged) else None


def _shadow(content: Any, base: State) -> tuple[str, State] | None:
    """Return averaged parameters that lie in a list (torch-ema), by the names of ``base``.

    The list may be of the buffers, too: in the order of the state dict, or behind the parameters.
    """
    if not isinstance(content, Mapping):
        return None
    parameters = [key for key in base if not _BUFFER.search(key)]
    orders = (parameters, list(base), [*parameters, *(key for key in base if _BUFFER.search(key))])
    for key, value in content.items():
        if not (isinstance(key, str) and _AVERAGED.search(key.lower())):
            continue
        shadow = value.get("shadow_params") if isinstance(value, Mapping) else None
        if not isinstance(shadow, (list, tuple)):
            continue
        for names in orders:
            if len(shadow) == len(names) and all(
                isinstance(tensor, Tensor) and tensor.shape == base[name].shape
                for tensor, name in zip(shadow, names, strict=True)
            ):
                return f"{key}.shadow_params", {**base, **dict(zip(names, shadow, strict=True))}
    return None


def _labels(content: Any) -> tuple[str, ...]:
    """Return the class names that MMPretrain and others write beside the tensors."""
    places = [content]
    for key in ("meta", "dataset_meta"):
        places += [place[key] for place in places if isinstance(place, Mapping) and key in place]
    for place in places:
        if not isinstance(place, Mapping):
            continue
        for key in ("CLASSES", "classes", "class_names"):
            names = place.get(key)
            if (
                isinstance(names, (list, tuple))
                and 0 < len(names) <= _MOST_LABELS
                and all(isinstance(name, str) and name.strip() for name in names)
            ):
                return tuple(names)
    return ()
