"""A residual net told from the shapes and the order of its tensors, whatever they are called.

State dicts keep the order in which layers were defined. A net of the paper is a stem, then blocks
of two 3x3 convolutions, or of 1x1, 3x3, 1x1, each with its BatchNorm, some with a 1x1 projection
from what the block gets to what it gives, then one linear layer. Where that can be read in one way
only, the tensors get torchvision's names; what shapes don't tell is said. Seen in tutorials: blocks
called ``blk1`` with ``extra``, ``left`` and ``shortcut``, or ``conv3`` as a projection.

Long because finding, checking and naming the blocks are one argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from resnet_deploy.loading.computed_weights import neutral_norm
from resnet_deploy.models.layouts import State

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_MOST_LAYERS = 2_000


@dataclass(frozen=True)
class Structure:
    """What the shapes say: torchvision's keys, or why there is no one answer."""

    state: State
    notices: tuple[str, ...] = ()
    assumed: dict[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class _Layer:
    path: str
    tensors: dict[str, Tensor]

    @property
    def weight(self) -> Tensor:
        return self.tensors["weight"]

    @property
    def is_norm(self) -> bool:
        return "running_mean" in self.tensors

    @property
    def kernel(self) -> int:
        return self.weight.shape[2]


@dataclass(frozen=True)
class _Unit:
    """A convolution and its BatchNorm; a projection may have none."""

    conv: _Layer
    norm: _Layer | None

    @property
    def kernel(self) -> int:
        return self.conv.kernel

    @property
    def inputs(self) -> int:
        return self.conv.weight.shape[1]

    @property
    def outputs(self) -> int:
        return self.conv.weight.shape[0]


@dataclass(frozen=True)
class _Block:
    main: tuple[_Unit, ...]
    projection: _Unit | None

    @property
    def inputs(self) -> int:
        return self.main[0].inputs

    @property
    def outputs(self) -> int:
        return self.main[-1].outputs


class _OtherNet(Exception):  # noqa: N818 - control flow within this module
    """Not a residual net of the paper."""


def by_structure(state: State) -> Structure | None:
    """Return ``state`` with torchvision's keys; None: its shapes are not a residual net's.

    ``trouble`` of the result says why a net that is one can't be read for sure.
    """
    try:
        by_name = _is_sorted(state)
        units, heads = _parts(_counted(state) if by_name else state)
    except _OtherNet:
        return None
    stem = units[0]
    readings = [
        blocks for length in (2, 3) for blocks in _readings(units[1:], stem.outputs, length)
    ]
    if not readings:
        return None
    if len(readings) > 1:
        return Structure(state, trouble="its blocks can be read in several ways from their shapes")
    blocks = readings[0]
    if trouble := _trouble(stem, blocks, heads):
        return Structure(state, trouble=trouble)
    named = _named(stem, blocks, heads)
    kind = "basic" if len(blocks[0].main) == 2 else "bottleneck"
    counts = "-".join(str(len(stage)) for stage in _stages(blocks))
    first = blocks[0].main[0].conv.path
    return Structure(
        named,
        notices=(
            f"the names of its layers are not a known layout's: read by structure, as {kind} "
            f"blocks {counts} ({first} is layer1.0.conv1, {blocks[-1].main[0].conv.path} the first "
            "of the last block)",
        ),
        assumed={
            "structure": "by structure, that every stage but the first halves the maps, that ReLU "
            "follows each BatchNorm but a block's last, and the Add, that the last map is averaged"
            + (", that layers follow each other as their names do" if by_name else "")
            + " (else --model package.module:factory)"
        },
    )


def _is_sorted(state: State) -> bool:
    """Whether the tensors lie in the order of their names, as in safetensors files.

    There those of a type lie together, so counters do not count.
    """
    keys = [key for key in state if not key.endswith(".num_batches_tracked")]
    return keys == sorted(keys)


def _counted(state: State) -> State:
    """Return ``state`` in the order of its names, in which 10 is behind 9."""

    def place(key: str) -> tuple[tuple[str, int], ...]:
        numbers = re.findall(r"(\D*)(\d*)", key.rpartition(".")[0])
        return tuple((text, int(number or -1)) for text, number in numbers)

    return {key: state[key] for key in sorted(state, key=place)}


def _parts(state: State) -> tuple[list[_Unit], list[_Layer]]:
    """Return stem and other convolutions with their BatchNorms, and the linear layers."""
    layers = _layers(state)
    heads = [layer for layer in layers if layer.weight.ndim == 2]
    units = _units([layer for layer in layers if layer.weight.ndim != 2])
    if len(units) < 5 or len(heads) > 1:
        raise _OtherNet
    stem = units[0]
    if stem.norm is None or stem.inputs not in (1, 3, 4) or stem.kernel not in (3, 7):
        raise _OtherNet
    return units, heads


def _layers(state: State) -> list[_Layer]:
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        path, _, leaf = key.rpartition(".")
        found.setdefault(path, {})[leaf] = tensor
    if len(found) > _MOST_LAYERS:
        raise _OtherNet
    layers = [_Layer(path, tensors) for path, tensors in found.items()]
    for layer in layers:
        weight, leaves = layer.tensors.get("weight"), set(layer.tensors)
        if weight is None:
            raise _OtherNet
        if weight.ndim == 1 and {"running_mean", "running_var"} <= leaves <= set(_NORM):
            continue
        if weight.ndim == 4 and leaves <= {"weight", "bias"}:
            if weight.shape[2] != weight.shape[3]:
                raise _OtherNet
            continue
        if weight.ndim != 2 or not leaves <= {"weight", "bias"}:
            raise _OtherNet
    return layers


def _units(layers: Sequence[_Layer]) -> list[_Unit]:
    """Give each convolution its BatchNorm: the one behind it, or the one with its number.

    Some code defines ``conv1``, ``conv2``, ``conv3`` first, then ``bn1`` and ``bn2``.
    """
    by_path = {layer.path: layer for layer in layers if layer.is_norm}
    taken: set[str] = set()
    units = []
    for index, layer in enumerate(layers):
        if layer.is_norm:
            continue
        behind = layers[index + 1] if index + 1 < len(layers) else None
        same = by_path.get(re.sub(r"conv(?!.*conv)", "bn", layer.path))
        norm = same or (behind if behind is not None and behind.is_norm else None)
        if norm is not None and (
            norm.path in taken or norm.weight.shape[0] != layer.weight.shape[0]
        ):
            norm = None
        if norm is not None:
            taken.add(norm.path)
        units.append(_Unit(layer, norm))
    if len(taken) != len(by_path):
        raise _OtherNet
    return units


def _readings(units: Sequence[_Unit], channels: int, length: int) -> list[tuple[_Block, ...]]:
    """Return up to two ways to cut ``units`` into blocks of ``length`` convolutions."""
    kernels = (3, 3) if length == 2 else (1, 3, 1)

    def blocks_at(at: int, inputs: int) -> Iterator[tuple[_Block, int]]:
        main = tuple(units[at : at + length])
        if _is_chain(main, kernels, inputs):
            yield _Block(main, None), at + length
            if at + length < len(units):
                last = units[at + length]
                if _projects(last, main, inputs):
                    yield _Block(main, last), at + length + 1
        main = tuple(units[at + 1 : at + 1 + length])
        if _is_chain(main, kernels, inputs) and _projects(units[at], main, inputs):
            yield _Block(main, units[at]), at + 1 + length

    @cache
    def ways(at: int, inputs: int) -> int:
        if at == len(units):
            return 1
        found = 0
        for block, after in blocks_at(at, inputs):
            found += ways(after, block.outputs)
        return min(found, 2)

    # From the end, so that the recursion stays shallow in deep nets. A block gives what its last
    # convolution or the projection behind it gives.
    for at in range(len(units), 0, -1):
        ways(at, units[at - 1].outputs)
    if ways(0, channels) != 1:
        return [()] * ways(0, channels)
    blocks: list[_Block] = []
    at = 0
    while at < len(units):
        for block, after in blocks_at(at, channels):
            if ways(after, block.outputs):
                blocks.append(block)
                at, channels = after, block.outputs
                break
    return [tuple(blocks)]


def _is_chain(main: Sequence[_Unit], kernels: Sequence[int], inputs: int) -> bool:
    if len(main) != len(kernels) or any(unit.norm is None for unit in main):
        return False
    for unit, kernel in zip(main, kernels, strict=True):
        grouped = kernel == 3 and len(kernels) == 3 and inputs % unit.inputs == 0
        if unit.kernel != kernel or not (unit.inputs == inputs or grouped):
            return False
        inputs = unit.outputs
    return True


def _projects(unit: _Unit, main: Sequence[_Unit], inputs: int) -> bool:
    return unit.kernel == 1 and unit.inputs == inputs and unit.outputs == main[-1].outputs


def _stages(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """Cut where the number of channels changes."""
    stages: list[list[_Block]] = []
    for block in blocks:
        if not stages or block.outputs != stages[-1][-1].outputs:
            stages.append([])
        stages[-1].append(block)
    return stages


def _trouble(stem: _Unit, blocks: Sequence[_Block], heads: Sequence[_Layer]) -> str:
    """Return why the net's strides or layers can't be told; empty: they can."""
    stages = _stages(blocks)
    widths = [stage[0].outputs for stage in stages]
    shown = "-".join(map(str, (stem.outputs, *widths[:6]))) + "-…" * (len(widths) > 6)
    uneven = any(later != 2 * earlier for earlier, later in pairwise(widths))
    begins = [stage[0].projection is not None for stage in stages[1:]]
    others = [block.projection is not None for stage in stages for block in stage[1:]]
    everywhere = all(block.projection is not None for block in blocks)
    linear = heads[0] if heads else None
    troubles = (
        (
            len(stages) not in (3, 4) or uneven,
            f"channels go {shown}, not twice as many in each of three or four stages, so strides "
            "can't be told",
        ),
        (
            len(blocks[0].main) == 2 and widths[0] != stem.outputs,
            f"channels go {shown}: its first block widens what the stem gives, so whether the "
            "stem or that block strides can't be told",
        ),
        (
            (any(others) and not everywhere) or (any(begins) and not all(begins)),
            "projections are in some blocks where they are in no net of the paper, so strides "
            "can't be told",
        ),
        (
            not any(block.projection for block in blocks) and not _are_grouped(blocks),
            "neither projections nor names say that it has shortcuts",
        ),
        (
            _has_layer_between(stem),
            f"between {stem.conv.path} and its BatchNorm is another layer, perhaps ReLU",
        ),
        (
            not _norms_behind(stem, blocks),
            "whether BatchNorm is behind a convolution or in front of it can't be told",
        ),
        (
            linear is not None and linear.weight.shape[1] != widths[-1],
            f"its linear layer does not take the {widths[-1]} channels of the last block: the "
            "map is not averaged to one pixel",
        ),
    )
    return next((words for wrong, words in troubles if wrong), "")


def _norms_behind(stem: _Unit, blocks: Sequence[_Block]) -> bool:
    """Whether names say that a BatchNorm belongs to the convolution before it.

    In a pre-activation net, too, convolutions and BatchNorms take turns; there the one behind a
    block's last convolution is the next block's.
    """
    ends = [stem, *(block.main[-1] for block in blocks[:-1])]
    for unit, after in zip(ends, blocks, strict=True):
        if unit.norm is None:
            return False
        own = _shared(unit.norm.path, unit.conv.path)
        others = _shared(unit.norm.path, after.main[0].conv.path)
        if own < others:
            return False
        if own == others and not _same_number(unit.conv.path, unit.norm.path):
            return False
    return True


def _are_grouped(blocks: Sequence[_Block]) -> bool:
    """Whether the names of the convolutions of a block have more in common than with the next's."""
    return all(
        _shared(block.main[0].conv.path, block.main[-1].conv.path)
        > _shared(block.main[-1].conv.path, after.main[0].conv.path)
        for block, after in pairwise(blocks)
    )


def _shared(first: str, second: str) -> int:
    """Return how many leading parts of two names are the same."""
    count = 0
    for ours, theirs in zip(re.split(r"[._]", first), re.split(r"[._]", second), strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _same_number(conv: str, norm: str) -> bool:
    return re.findall(r"\d+", conv) == re.findall(r"\d+", norm)


def _has_layer_between(unit: _Unit) -> bool:
    """Whether a Sequential leaves out a place between a convolution and its BatchNorm."""
    if unit.norm is None:
        return False
    conv, norm = unit.conv.path.rpartition("."), unit.norm.path.rpartition(".")
    places = (conv[2], norm[2])
    return (
        conv[0] == norm[0]
        and all(place.isdecimal() for place in places)
        and int(norm[2]) != int(conv[2]) + 1
    )


def _named(stem: _Unit, blocks: Sequence[_Block], heads: Sequence[_Layer]) -> State:
    state: State = {}

    def put(unit: _Unit, conv: str, norm: str) -> None:
        state[f"{conv}.weight"] = unit.conv.weight
        bias = unit.conv.tensors.get("bias")
        if unit.norm is None:
            # A projection without BatchNorm, as one that changes nothing but adds the bias.
            added = torch.zeros(unit.outputs) if bias is None else bias
            state.update({f"{norm}.{leaf}": value for leaf, value in neutral_norm(added).items()})
            return
        if bias is not None:
            state[f"{conv}.bias"] = bias
        for leaf, tensor in unit.norm.tensors.items():
            state[f"{norm}.{leaf}"] = tensor

    put(stem, "conv1", "bn1")
    for number, stage in enumerate(_stages(blocks), start=1):
        for index, block in enumerate(stage):
            place = f"layer{number}.{index}"
            for order, unit in enumerate(block.main, start=1):
                put(unit, f"{place}.conv{order}", f"{place}.bn{order}")
            if block.projection is not None:
                put(block.projection, f"{place}.downsample.0", f"{place}.downsample.1")
    for head in heads:
        for leaf, tensor in head.tensors.items():
            state[f"fc.{leaf}"] = tensor
    return state
