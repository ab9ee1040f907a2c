"""The input contract of a file without a card, from all that the file itself tells.

Its metadata is somebody's word, its graph is what happens: where both speak of the layout, of the
number of channels or of a fixed size, the graph is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx

from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.artifact.picture_metadata import picture_metadata
from resnet_deploy.errors import SpecError, UnsupportedGraphError, one_line
from resnet_deploy.graph.front import Front, front_of
from resnet_deploy.graph.front_options import options_of
from resnet_deploy.spec import (
    ChannelOrder,
    InputContract,
    InputFormat,
    InputOptions,
    Layout,
    Learned,
)
from resnet_deploy.spec.input_words import LARGEST_CHANNELS, LARGEST_SIDE

_USUAL_SIDE = 224


def foreign_contract(
    graph: onnx.GraphProto, spec: TensorSpec, metadata: Mapping[str, str]
) -> tuple[InputContract, tuple[str, ...]]:
    """Return how images become the input ``spec`` of ``graph``, and notices to its user.

    What neither the graph nor ``metadata`` tells is assumed.
    """
    front = front_of(graph)
    told = options_of(front, spec.shape)
    words = picture_metadata(metadata, _denotations(graph, spec.name))
    notices = list(words.notices)
    said = _possible(words.options, front, told, notices)
    size, channels = _usual_size(spec.shape, told), _channels_of(front, spec)
    contract = InputContract.for_size(*size, channels=channels).as_assumed()
    if spec.dtype == "uint8":
        contract = replace(contract, format=InputFormat.UINT8_NCHW)
    contract = told.over(contract, Learned.GRAPH)
    try:
        contract = said.over(contract, Learned.METADATA)
    except SpecError as error:
        notices.append(f"metadata and graph contradict each other ({one_line(error)})")
    if None not in (said.range, told.range) and said.range != told.range:
        notices.append(
            f"metadata says that values are from {_bounds(said)}, and what the graph does with "
            f"them is of {_bounds(told)}: the metadata is believed; else say --range"
        )
    return contract, tuple(notices)


def _possible(
    said: InputOptions, front: Front, told: InputOptions, notices: list[str]
) -> InputOptions:
    """Return what of the metadata's words can be so, the graph being as it is."""
    if front.layout is not None:
        said = replace(said, layout=None)
    if told.image_size is not None:
        if said.image_size not in (None, told.image_size):
            said = replace(said, resize=None)  # of another size
        said = replace(said, image_size=None)
    order, channels = said.channel_order, front.channels
    fits = order is None or ChannelOrder(order).channels in (None, channels)
    if order is not None and channels is not None and not fits:
        notices.append(
            f"metadata says that pictures are {ChannelOrder(order).value}, and the input has "
            f"{channels} channels: it is not believed"
        )
        said = replace(said, channel_order=None)
    for name in ("mean", "std"):
        numbers = getattr(said, name)
        if channels is not None and numbers is not None and len(numbers) not in (1, channels):
            notices.append(
                f"metadata says a {name} of {len(numbers)} channels, and the input has {channels}"
            )
            said = replace(said, **{name: None})
    return said


def _usual_size(shape: Sequence[int | None], told: InputOptions) -> tuple[int, int]:
    """Return height and width to begin with: the shape's where it has one, 224 otherwise."""
    last = told.layout is Layout.NHWC
    height, width = (shape[axis] for axis in ((1, 2) if last else (2, 3)))
    rows, columns = (side if side and side <= LARGEST_SIDE else None for side in (height, width))
    return rows or columns or _USUAL_SIDE, columns or rows or _USUAL_SIDE


def _channels_of(front: Front, spec: TensorSpec) -> int:
    """Return how many channels the input has; 3 where that is not known, or beyond reason."""
    found = front.channels or 3
    if found > LARGEST_CHANNELS:
        raise UnsupportedGraphError(
            f"input {spec} has {found} channels: images have at most {LARGEST_CHANNELS}"
        )
    return found


def _denotations(graph: onnx.GraphProto, name: str) -> list[str]:
    """Return what each dimension of the input ``name`` is said to be."""
    image = next(value for value in graph.input if value.name == name)
    return [dim.denotation for dim in image.type.tensor_type.shape.dim]


def _bounds(options: InputOptions) -> str:
    assert isinstance(options.range, tuple), "it was asked for"
    return "{:g} to {:g}".format(*options.range)
