"""Which of timm's and transformers' architectures are nets of this package, and which of them.

Several of timm's have a ResNet's keys and shapes and compute something else: ``resnetblur50`` and
``resnetaa50`` filter where a ResNet-50 strides, ``resnet50_gn`` normalises groups. Source:
``timm/models/resnet.py`` of https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from resnet_deploy.spec import BATCHNORM_EPS, Padding, Pool, Variant

_DEPTHS = "18|34|50|101|152"
_TIMM = re.compile(
    rf"(?:tv_|ssl_|swsl_)?resnet(?P<pool>blur|aa)?(?P<depth>{_DEPTHS})"
    rf"|gluon_resnet(?P<gluon>{_DEPTHS})_v1b"
)
_POOLS = {"blur": Pool.BLUR, "aa": Pool.AVG}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the name of a net says of its structure, beyond its tensors; None: it does not say."""

    name: str
    depth: int | None = None
    variant: Variant = Variant.V1_5
    pool: Pool = Pool.PLAIN
    padding: Padding = Padding.TORCH
    bn_eps: float = BATCHNORM_EPS


def timm_architecture(name: str) -> Architecture | None:
    """Return the net that timm calls ``name``, with or without a tag; None: it is not built here.

    timm's bottlenecks are those of v1.5. None of its ResNets pads as TensorFlow does.
    """
    bare = name.partition(".")[0]
    if bare == "vgg19":
        return Architecture(name=bare)
    found = _TIMM.fullmatch(bare)
    if found is None:
        return None
    pool = _POOLS.get(found["pool"] or "", Pool.PLAIN)
    return Architecture(name=bare, depth=int(found["depth"] or found["gluon"]), pool=pool)
