"""The numbers of a residual net, told from the names and shapes of its tensors alone.

What is told wrongly does no harm: the net of the design has names and shapes of its own, which are
compared with all of them.
"""

from __future__ import annotations

import re
from collections import Counter

from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.models.heads import infer_head
from resnet_deploy.models.layouts import State
from resnet_deploy.spec import (
    Attention,
    BlockKind,
    Design,
    Downsample,
    HeadKind,
    HeadLayer,
    Order,
    Stage,
)
from resnet_deploy.spec.model_request import OWN_CODE
from resnet_deploy.spec.residual import MOST_BLOCKS

_BLOCK = re.compile(r"layer([1-9]\d{0,3})\.(\d{1,4})\.conv1\.weight", re.ASCII)


def count_blocks(state: State) -> tuple[int, ...]:
    """Return the number of blocks in each stage, such as (3, 4, 6, 3)."""
    found = [match for match in map(_BLOCK.fullmatch, state) if match]
    stages = Counter(int(match[1]) for match in found)
    last = max(stages, default=0)
    return tuple(stages[i + 1] for i in range(last)) if last <= MOST_BLOCKS else ()


def infer_design(state: State, name: str) -> Design:
    """Return the design of the net that ``state``, with canonical keys, belongs to.

    Raises:
        CheckpointError: no residual net has such tensors; ``name`` is the checkpoint's.
    """
    try:
        return _infer(state, name)
    except KeyError as error:
        raise CheckpointError(
            f"{name} looks like a ResNet, but it lacks {error}; if the file is complete, it is "
            f"another net: {OWN_CODE}"
        ) from error
    except (IndexError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{name} looks like a ResNet, but its tensors don't have the shapes of one: {OWN_CODE}"
        ) from error
    except SpecError as error:
        raise CheckpointError(f"{name}: {error}; {OWN_CODE}") from error


def _infer(state: State, name: str) -> Design:
    blocks = count_blocks(state)
    order = _order(state, blocks)
    bottleneck = "layer1.0.conv3.weight" in state
    attention = _attention(state)
    stages = tuple(
        _stage(state, f"layer{i + 1}", count, bottleneck, attention)
        for i, count in enumerate(blocks)
    )
    stem = tuple(
        len(state[key])
        for key in ("conv1.weight", "conv1.0.weight", "conv1.3.weight", "conv1.6.weight")
        if key in state
    )
    if order is Order.POST and "bn1.weight" not in state:
        raise KeyError("bn1.weight")
    faces = order is Order.IRESNET
    head = () if faces else infer_head(state, name)
    return Design(
        block=BlockKind.BOTTLENECK if bottleneck else BlockKind.BASIC,
        stages=stages,
        head=head,
        order=order,
        stem=stem,
        stem_norm="bn1.weight" in state,
        stem_conv_pool="maxpool.0.weight" in state,
        downsample=_downsample(state, order),
        projection_kernel=_projection_kernel(state),
        attention=attention,
        last_norm="norm.weight" in state,
        concat_pool=_is_concat_pool(state, head, stages[-1].channels),
        embedding=len(state["fc.weight"]) if faces else 0,
    )


def _order(state: State, blocks: tuple[int, ...]) -> Order:
    """Return it as the first BatchNorms tell: one in front is as wide as a block's input."""
    if "layer1.0.prelu.weight" in state:
        return Order.IRESNET
    for stage, count in enumerate(blocks):
        for i in range(count):
            conv, norm = (state.get(f"layer{stage + 1}.{i}.{p}.weight") for p in ("conv1", "bn1"))
            if conv is None or norm is None or conv.ndim != 4 or conv.shape[0] == conv.shape[1]:
                continue
            return Order.PRE if len(norm) == conv.shape[1] else Order.POST
    return Order.PRE if "norm.weight" in state else Order.POST


def _attention(state: State) -> Attention:
    if "layer1.0.se.conv.weight" in state:
        return Attention.ECA
    return Attention.SE if "layer1.0.se.fc1.weight" in state else Attention.NONE


def _stage(state: State, name: str, count: int, bottleneck: bool, attention: Attention) -> Stage:
    inner = ("conv1", "conv2") if bottleneck else ("conv1",)
    widths = tuple(
        tuple(len(state[f"{name}.{i}.{conv}.weight"]) for conv in inner) for i in range(count)
    )
    groups = 1
    if bottleneck:
        groups = widths[0][0] // state[f"{name}.0.conv2.weight"].shape[1]
    squeezed = 0
    if attention is Attention.ECA:
        squeezed = state[f"{name}.0.se.conv.weight"].shape[-1]
    elif attention is Attention.SE:
        squeezed = len(state[f"{name}.0.se.fc1.weight"])
    last = "conv3" if bottleneck else "conv2"
    return Stage(
        channels=len(state[f"{name}.0.{last}.weight"]),
        widths=widths,
        groups=groups,
        squeezed=squeezed,
    )


def _downsample(state: State, order: Order) -> Downsample:
    """Return it as the place of the projections tells; those of v2 have one place for both.

    timm's v2 nets pool their shortcuts where the stem has three convolutions: an assumption, which
    :func:`resnet_deploy.models.infer.left_open` names.
    """
    if order is Order.PRE:
        deep = "conv1.6.weight" in state
        return Downsample.AVG if deep else Downsample.STRIDE
    keys = (key for key in state if key.endswith(".downsample.1.weight"))
    return Downsample.AVG if any(state[key].ndim == 4 for key in keys) else Downsample.STRIDE


def _projection_kernel(state: State) -> int:
    """Return that of the projections which stride."""
    projections = [
        state[key]
        for key in state
        if key.endswith(".0.downsample.0.weight") and not key.startswith("layer1.")
    ]
    kernels = {tensor.shape[-1] for tensor in projections if tensor.ndim == 4}
    return max(kernels, default=1)


def _is_concat_pool(state: State, head: tuple[HeadLayer, ...], channels: int) -> bool:
    """Whether a head begins as fastai's, with a BatchNorm of twice as many channels as there are.

    A linear layer of twice as many may as well be one of a net that misses its last stage.
    """
    if not head or head[0].kind is not HeadKind.BATCHNORM:
        return False
    return state[f"fc.{head[0].path}.weight"].shape[-1] == 2 * channels
