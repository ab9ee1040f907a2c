"""Which of timm's and transformers' architectures are nets of this package, and which of them.

Several of timm's have a ResNet's keys and shapes and compute something else: ``resnetblur50`` and
``resnetaa50`` filter where a ResNet-50 strides, ``resnet50_gn`` normalises groups. Sources:
``timm/models/resnet.py``, ``resnetv2.py`` and ``senet.py`` of
https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from resnet_deploy.spec import (
    BATCHNORM_EPS,
    Attention,
    Design,
    Padding,
    Pool,
    Variant,
)
from resnet_deploy.spec.model_request import POOLS, named_variant
from resnet_deploy.spec.names import NamedDesign, design_named

_ORIGIN = re.compile(r"(?:tv|ssl|swsl|ig)_(?=res)|gluon_(?=res|se)")
_GLUON = re.compile(r"(?P<net>resnet\d+)_v1(?P<stem>[bcdes])")
_PRUNED = re.compile(r"(ecaresnet(?:50|101)d)_pruned")
_CHANGED = frozenset({"ecaresnext50t_32x4d"})
"""Older releases of timm give it 26 layers, newer ones 50."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the name of a net says of its structure, beyond its tensors; None: it does not say."""

    name: str
    depth: int | None = None
    design: Design | None = None
    attention: Attention | None = None
    variant: Variant = Variant.V1_5
    pool: Pool = Pool.PLAIN
    padding: Padding = Padding.TORCH
    bn_eps: float = BATCHNORM_EPS


def timm_architecture(name: str) -> Architecture | None:
    """Return the net that timm calls ``name``, with or without a tag; None: it is not built here.

    timm's bottlenecks are those of v1.5, except those that came from Caffe. None of its ResNets
    pads as TensorFlow does.
    """
    bare = name.partition(".")[0]
    if bare == "vgg19":
        return Architecture(name=bare)
    plain = _ORIGIN.sub("", bare)
    if plain != bare:
        plain = _GLUON.sub(lambda m: m["net"] + m["stem"].replace("b", ""), plain)
    pruned = _PRUNED.fullmatch(plain)
    named = design_named(pruned[1] if pruned else plain)
    if named is None or named.design.embedding or (named.paper and len(named.design.stages) == 3):
        return None
    if pruned:  # its widths are its own
        return Architecture(name=bare, depth=named.design.depth)
    if bare in _CHANGED:
        return Architecture(name=bare, attention=named.design.attention)
    return _architecture(named, bare)


def _architecture(named: NamedDesign, name: str) -> Architecture:
    return Architecture(
        name=name,
        depth=named.design.depth,
        design=named.design,
        attention=named.design.attention,
        variant=named_variant(named),
        pool=POOLS[named.pool],
        padding=Padding.CAFFE if named.legacy else Padding.TORCH,
    )


def told_by_keys(keys: Mapping[str, Tensor]) -> Architecture | None:
    """Return what the names of tensors say beyond their canonical ones: whose code wrote them.

    Cadene's ``senet.py``, and timm's after it, alone calls attention ``se_module``: its nets came
    from Caffe. None: nothing.
    """
    if not any(".se_module." in key for key in keys):
        return None
    ends = ("conv1", "conv2", "conv3")
    convs = {
        key.split(".")[-2]: tensor
        for key, tensor in keys.items()
        if key.endswith(tuple(f"layer1.0.{end}.weight" for end in ends)) and tensor.ndim == 4
    }
    if not {"conv1", "conv2"} <= set(convs):
        return None
    grouped = convs["conv2"].shape[1] != convs["conv1"].shape[0]
    return Architecture(
        name="Cadene's",
        attention=Attention.SE if "conv3" in convs else Attention.SE_RELU,
        variant=Variant.V1_5 if grouped else Variant.V1,
        padding=Padding.CAFFE,
    )
